"""Tells formats apart by how files begin, and by their names where that says nothing."""

from pathlib import PurePosixPath
from typing import Final, Literal

__all__ = ["detect", "is_pickle_name", "kind_by_name"]

_NAMES: Final[dict[str, Literal["safetensors", "gguf", "onnx", "pickle"]]] = {
    ".safetensors": "safetensors",
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".bin": "pickle",
    ".ckpt": "pickle",
    ".joblib": "pickle",
    ".npy": "pickle",
    ".npz": "pickle",
    ".pickle": "pickle",
    ".pkl": "pickle",
    ".pt": "pickle",
    ".pth": "pickle",
}
#: ``.bin`` is what many formats are called.
_VAGUE: Final = {".bin"}
#: zip, empty zip, and NumPy's arrays: all can hold pickles.
_CONTAINERS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")
#: What follows the version in ONNX: the tags of the other fields of a model.
_ONNX_TAGS: Final = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42\x72")
_HIGHEST_PICKLE: Final = 5
_HIGHEST_IR: Final = 32


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def kind_by_name(path: str) -> str:
    """Return what of a name makes a difference to what a file is read as: two names with one kind are read alike."""
    ending = _ending(path)
    return ending if ending in _NAMES else ""


def is_pickle_name(path: str) -> bool:
    """Return whether the name alone says that a file is a pickle, or holds some."""
    ending = _ending(path)
    return _NAMES.get(ending) == "pickle" and ending not in _VAGUE


def detect(head: bytes, path: str) -> Literal["safetensors", "gguf", "onnx", "pickle"] | None:
    """Return the format of a file that begins like this and is called that."""
    if head.startswith(b"GGUF"):
        return "gguf"
    named = _NAMES.get(_ending(path))
    # Both can be true of one file: a header of 384 bytes begins as a pickle does. Then the name says who will read it.
    if head[8:9] == b"{" and head[4:8] == bytes(4) and named != "pickle":
        return "safetensors"
    if head.startswith(_CONTAINERS) or (head[:1] == b"\x80" and head[1:2] <= bytes([_HIGHEST_PICKLE])):
        return "pickle"
    if head[:1] == b"\x08" and head[1:2] <= bytes([_HIGHEST_IR]) and head[2:3] and head[2] in _ONNX_TAGS:
        return "onnx"
    return named
