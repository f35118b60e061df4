"""How many bytes NumPy's arrays have, by what stands before them."""

import ast
import math
import re
from typing import Final, NamedTuple

from kamiwaza_sdk.formats._pickle_machine import Import, Instance, Kind, Value

__all__ = ["ArraySize", "item_size", "parse_header", "wrapped_array_size"]

_FORMAT: Final = re.compile(r"[<>|=]?([?bBhHiIlLqQefdgcuSaUVmM])(\d{0,9})(?:\[\w+\])?")
_BYTES_OF_A_CHARACTER: Final = 4
_DTYPE: Final = Import("numpy", "dtype")
#: A flag of types: items are references to objects.
_HAS_OBJECTS: Final = 1
_FLAGS: Final = 7
#: What no file has as many bytes as.
_MOST: Final = 2**62


class ArraySize(NamedTuple):
    """What follows where an array is read.

    Attributes:
        length: How many bytes the items have.
        pickled: Whether they are objects, and so pickled.
        padded: Whether a byte tells how many more stand before them.
    """

    length: int
    pickled: bool
    padded: bool


def item_size(descr: object) -> int | None:
    """Return how many bytes an item has, by what a header says; `None` where it is not surely a number or a text."""
    if isinstance(descr, str):
        return _format_size(descr)
    if not isinstance(descr, list) or not descr:
        return None
    sizes = [_field_size(field) for field in descr]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _format_size(text: str) -> int | None:
    found = _FORMAT.fullmatch(text)
    if found is None:
        return None
    kind, digits = found.groups()
    if not digits:
        return 1 if kind == "?" else None
    return int(digits) * (_BYTES_OF_A_CHARACTER if kind == "U" else 1)


def _field_size(field: object) -> int | None:
    match field:
        case (str() | (str(), str()), inner):
            return item_size(inner)
        case (str() | (str(), str()), inner, tuple() as shape):
            size, count = item_size(inner), _count(shape)
            return None if size is None or count is None else size * count
        case _:
            return None


def _count(shape: object) -> int | None:
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        return None
    return count if (count := math.prod(shape)) < _MOST else None


def parse_header(text: bytes) -> int | None:
    """Return how many bytes the numbers have that this header of an array tells of; `None` where it cannot be told."""
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        return None
    size, count = item_size(header["descr"]), _count(header["shape"])
    return None if size is None or count is None else size * count


def wrapped_array_size(array: Value) -> ArraySize | None:
    """Return how long an array is that joblib has written after this, as its ``NumpyArrayWrapper`` tells."""
    state = array.state if isinstance(array, Instance) else None
    if not isinstance(state, dict) or Kind.MORE in state or not {"shape", "dtype"} <= state.keys():
        return None
    count, item = _count(state["shape"]), _dtype_size(state["dtype"])
    if count is None or item is None or count * item[0] >= _MOST:
        return None
    return ArraySize(count * item[0], item[1], state.get("numpy_array_alignment_bytes") is not None)


def _dtype_size(dtype: Value) -> tuple[int, bool] | None:
    """Return how many bytes an item has, and whether items are objects."""
    if not isinstance(dtype, Instance) or dtype.made_by != _DTYPE:
        return None
    text = dtype.arguments[0] if isinstance(dtype.arguments, tuple) and dtype.arguments else None
    if not isinstance(text, str):
        return None
    state = dtype.state if isinstance(dtype.state, tuple) else ()
    flags = state[_FLAGS] if len(state) > _FLAGS else 0
    if not isinstance(flags, int):
        return None
    if text.lstrip("<>|=")[:1] == "O" or flags & _HAS_OBJECTS:
        return 0, True
    size = _format_size(text)
    return None if size is None else (size, False)
