"""Tells formats apart by how files begin, and by their names where that says nothing."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias, get_args

from kamiwaza_sdk.formats._kind_rules import is_onnx
from kamiwaza_sdk.formats.layouts.names import ENDINGS

__all__ = [
    "PICKLE_ENDINGS",
    "DetectedFormat",
    "candidates",
    "detect",
    "is_pickle_name",
    "kind_by_name",
    "named_format",
    "unpacked_name",
]

DetectedFormat: TypeAlias = Literal["safetensors", "gguf", "onnx", "pickle"]

#: By the ending, what a file is read as; arrays can hold pickles.
_NAMES: Final[dict[str, DetectedFormat]] = {
    ending: kind for kind in get_args(DetectedFormat) for ending, named in ENDINGS.items() if named == kind
} | {".npy": "pickle", ".npz": "pickle"}
#: Those of pickles, and of what can hold some.
PICKLE_ENDINGS: Final = frozenset(ending for ending, kind in _NAMES.items() if kind == "pickle")
#: What may as well be something else: many formats are called ``.bin``, and arrays are mostly numbers.
_VAGUE: Final = frozenset({".bin", ".npy", ".npz"})
#: How packed files are called, behind what they are called unpacked.
_PACKED: Final = frozenset({".bz2", ".gz", ".lz4", ".lzma", ".xz", ".z", ".zst"})
#: zip, empty zip, and NumPy's arrays: all can hold pickles.
_CONTAINERS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")
_HIGHEST_PICKLE: Final = 5
#: The largest header that safetensors allow. Catalogues of gettext, which begin alike, seem to have a larger one.
_LARGEST_HEADER: Final = 100_000_000


def _ending(path: str) -> str:
    name, dot, ending = path.rpartition("/")[2].rpartition(".")
    return f".{ending.lower()}" if dot and name and ending else ""


def kind_by_name(path: str) -> str:
    """Return what of a name makes a difference to what a file is read as: two names with one kind are read alike."""
    ending = _ending(path)
    if ending in _PACKED:
        return kind_by_name(unpacked_name(path)) + ending
    return ending if ending in _NAMES else ""


def unpacked_name(path: str) -> str:
    """Return what a packed file is called once it is unpacked; joblib packs files without calling them otherwise."""
    return str(PurePosixPath(path).with_suffix("")) if _ending(path) in _PACKED else path


def is_pickle_name(path: str) -> bool:
    """Return whether the name alone says that a file is a pickle, or holds some."""
    ending = _ending(path)
    return _NAMES.get(ending) == "pickle" and ending not in _VAGUE


def named_format(path: str) -> DetectedFormat | None:
    """Return what a name says that a file is; of what may as well be something else, the likeliest."""
    return _NAMES.get(_ending(path))


def _is_gguf(head: bytes) -> bool:
    return head.startswith(b"GGUF")


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and 1 < int.from_bytes(head[:8], "little") <= _LARGEST_HEADER


def _is_pickle(head: bytes) -> bool:
    return head.startswith(_CONTAINERS) or (head[:1] == b"\x80" and head[1:2] <= bytes([_HIGHEST_PICKLE]))


#: What each format begins with, in the order in which that is asked.
_BY_CONTENT: Final[tuple[tuple[DetectedFormat, Callable[[bytes], bool]], ...]] = (
    ("gguf", _is_gguf),
    ("safetensors", _is_safetensors),
    ("pickle", _is_pickle),
    ("onnx", is_onnx),
)


def candidates(head: bytes, path: str) -> list[DetectedFormat]:
    """Return what a file may be that begins like this and is called that, the likeliest first.

    A header of safetensors that has 384 bytes begins as a pickle does. Then the name says who will read it.
    """
    named = named_format(path)
    found = [kind for kind, begins in _BY_CONTENT if begins(head)]
    if named is not None and named not in found:
        found.append(named)
    if named == "pickle":
        found.sort(key=lambda kind: kind == "safetensors")
    return found


def detect(head: bytes, path: str) -> DetectedFormat | None:
    """Return the format of a file that begins like this and is called that."""
    return next(iter(candidates(head, path)), None)
