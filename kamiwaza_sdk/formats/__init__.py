"""What a model's files say about themselves: safetensors, GGUF, ONNX, pickles, and the texts beside them.

Only headers are read, nothing is executed, and nothing is believed that was not checked. Each reader asks for the bytes
that it wants (see ``_source``), so that the same one serves local files and remote ones.
"""
