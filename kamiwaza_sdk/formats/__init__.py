"""Reads the headers of model files, and the texts beside them: safetensors, GGUF, ONNX, pickles.

Only headers are read, nothing is executed, and every length is checked. Each reader requests the bytes that it needs
(see ``source``), so that the same reader serves local files and remote ones.

Everything public is importable from here, and loaded when first used.
"""

from kamiwaza_sdk._names import attach

__all__, __getattr__, __dir__ = attach(__name__)
