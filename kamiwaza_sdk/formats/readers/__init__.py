"""Readers of the formats that describe tensors: safetensors, GGUF and ONNX."""
