"""Readers of safetensors, GGUF and ONNX."""
