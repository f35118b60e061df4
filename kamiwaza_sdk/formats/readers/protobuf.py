"""Reads protocol buffers, and the values of an ONNX graph in them: weights, inputs and outputs.

It skips fields that are not needed, mostly without reading them. The encoding:
https://protobuf.dev/programming-guides/encoding/. The numbers of fields:
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, Final, NamedTuple, TypeAlias

from kamiwaza_sdk.formats.schemas.files import ONNXValueSchema
from kamiwaza_sdk.formats.source import Cursor, Reading

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
_WIDTHS: Final = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT: Final = 10
_CONTINUATION: Final = 0x80
#: The steps that a field costs.
_STEPS: Final = 3


class Field(NamedTuple):
    """A field at a cursor: its number, its wire type, and its value, or the number of its bytes."""

    number: int
    wire: int
    value: int


_FieldReader: TypeAlias = Callable[[Cursor, Field], Reading[Any]]


def _read_varint(cursor: Cursor, end: int) -> Reading[int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if cursor.offset >= end:
            break
        if cursor.position >= len(cursor.data):
            yield from cursor.need(1)
        byte = cursor.data[cursor.position]
        cursor.position += 1
        value |= (byte & 0x7F) << (7 * index)
        if not byte & _CONTINUATION:
            return value & (2**64 - 1)
    cursor.source.refuse("a number does not end", cursor.offset)


def next_field(cursor: Cursor, end: int) -> Reading[Field]:
    """Return the next field of a message that ends at `end`. Its bytes follow."""
    at = cursor.offset
    cursor.source.step(at, _STEPS)
    data, position = cursor.data, cursor.position
    if (
        position + 1 < len(data) and at + 1 < end and data[position] | data[position + 1] < _CONTINUATION
    ):  # most are so short
        number, wire, value = data[position] >> 3, data[position] & 7, data[position + 1]
        if number and (wire == VARINT or (wire == BYTES and at + 2 + value <= end)):
            cursor.position += 2
            return Field(number, wire, value)
    cursor.source.step(at, _STEPS)
    tag = yield from _read_varint(cursor, end)
    number, wire = tag >> 3, tag & 7
    if wire == VARINT:
        return Field(number, wire, (yield from _read_varint(cursor, end)))
    if wire == BYTES:
        length = yield from _read_varint(cursor, end)
    elif wire in _WIDTHS:
        length = _WIDTHS[wire]
    else:
        cursor.source.refuse(f"fields of wire type {wire} are not used", at)
    if number == 0 or length > end - cursor.offset:
        cursor.source.refuse(f"field {number} claims {length} bytes, but {end - cursor.offset} are left", at)
    return Field(number, wire, length)


def skip_field(cursor: Cursor, field: Field) -> Reading[None]:
    """Skip the bytes of a field."""
    if field.wire != VARINT:
        yield from cursor.skip(field.value)


def read_bytes(cursor: Cursor, field: Field, *, most: int) -> Reading[bytes]:
    """Return the bytes of a field, at most so many."""
    if field.value > most:
        cursor.source.exceed(f"a text of {field.value} bytes is over the limit of {most}", most, cursor.offset)
    return (yield from cursor.take(field.value))


def read_number(cursor: Cursor, field: Field) -> Reading[int]:
    """Return the number of a field."""
    yield from ()
    return field.value


def read_values(
    cursor: Cursor, field: Field, readers: Mapping[tuple[int, int], _FieldReader]
) -> Reading[dict[int, Any]]:
    """Return the last value of each field in a message, by its number. Any: the values of the readers.

    Args:
        cursor: At the message.
        field: With its length.
        readers: Of its fields, by number and wire type; other fields are skipped.
    """
    end = cursor.offset + field.value
    values = dict[int, Any]()
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        reader = readers.get((found.number, found.wire))
        if reader is None:
            yield from skip_field(cursor, found)
        else:
            values[found.number] = yield from reader(cursor, found)
    return values


def read_varints(cursor: Cursor, field: Field, *, most: int) -> Reading[list[int]]:
    """Return the number of a field, or the numbers of a packed one, as signed integers, at most so many."""
    if field.wire == VARINT:
        return [_signed(field.value)]
    end = cursor.offset + field.value
    numbers = list[int]()
    while cursor.offset < end:
        cursor.source.step(cursor.offset)
        numbers.append(_signed((yield from _read_varint(cursor, end))))
        if len(numbers) > most:
            cursor.source.exceed(f"more than {most} numbers follow each other", most, cursor.offset)
    return numbers


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


MAX_TEXT: Final = 65_536
MAX_RANK: Final = 64
_OVERFLOW: Final = 2**63
_EXTERNAL: Final = 1


class DType(NamedTuple):
    """A type of elements, and the bits of one; `None` for texts."""

    name: str
    bits: int | None


#: ``TensorProto.DataType``.
DTYPES: Final = {
    0: DType("UNDEFINED", None),
    1: DType("FLOAT", 32),
    2: DType("UINT8", 8),
    3: DType("INT8", 8),
    4: DType("UINT16", 16),
    5: DType("INT16", 16),
    6: DType("INT32", 32),
    7: DType("INT64", 64),
    8: DType("STRING", None),
    9: DType("BOOL", 8),
    10: DType("FLOAT16", 16),
    11: DType("DOUBLE", 64),
    12: DType("UINT32", 32),
    13: DType("UINT64", 64),
    14: DType("COMPLEX64", 64),
    15: DType("COMPLEX128", 128),
    16: DType("BFLOAT16", 16),
    17: DType("FLOAT8E4M3FN", 8),
    18: DType("FLOAT8E4M3FNUZ", 8),
    19: DType("FLOAT8E5M2", 8),
    20: DType("FLOAT8E5M2FNUZ", 8),
    21: DType("UINT4", 4),
    22: DType("INT4", 4),
    23: DType("FLOAT4E2M1", 4),
    24: DType("FLOAT8E8M0", 8),
    25: DType("UINT2", 2),
    26: DType("INT2", 2),
    27: DType("FLOAT6E2M3", 6),
    28: DType("FLOAT6E3M2", 6),
}


def dtype_name(number: int) -> str:
    """Return the name of a type; for an unknown one, its number."""
    return DTYPES[number].name if number in DTYPES else f"type {number}"


class Weight(NamedTuple):
    """An initializer: `offset` is that of its bytes in this file, `location` names another file that holds them."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    offset: int | None
    external: bool
    location: str = ""


def read_text(cursor: Cursor, found: Field) -> Reading[str]:
    """Return a field as text."""
    return (yield from read_bytes(cursor, found, most=MAX_TEXT)).decode(errors="replace")


def read_weight(cursor: Cursor, end: int) -> Reading[Weight]:
    """Return a ``TensorProto`` without its data."""
    at = cursor.offset
    name, dtype, offset, external, location = "", 0, None, False, ""
    shape = list[int]()
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        match found.number, found.wire:
            case 1, 0 | 2:
                shape += yield from read_varints(cursor, found, most=MAX_RANK)
            case 2, 0:
                dtype = found.value
            case 8, 2:
                name = yield from read_text(cursor, found)
            case 9, 2:
                offset = cursor.offset
                yield from cursor.skip(found.value)
            case 13, 2:
                location = (yield from _read_location(cursor, found)) or location
            case 14, 0:
                external = found.value == _EXTERNAL
            case _:
                yield from skip_field(cursor, found)
        if len(shape) > MAX_RANK:
            cursor.source.exceed(f"a weight has more than {MAX_RANK} dimensions", MAX_RANK, at)
    if min(shape, default=0) < 0 or prod(shape) >= _OVERFLOW:
        cursor.source.refuse(f"weight {name[:80]!r} has a negative dimension, or more than 63 bits can count", at)
    return Weight(name, dtype, tuple(shape), offset, external, location)


def _read_location(cursor: Cursor, field: Field) -> Reading[str]:
    """Return the file in an entry of external data; nothing for other entries."""
    values = yield from read_values(cursor, field, {(1, BYTES): read_text, (2, BYTES): read_text})
    return values.get(2, "") if values.get(1) == "location" else ""


def read_value(cursor: Cursor, field: Field) -> Reading[ONNXValueSchema]:
    """Return a ``ValueInfoProto``."""
    values = yield from read_values(cursor, field, {(1, BYTES): read_text, (2, BYTES): _read_type})
    dtype, shape = values.get(2, (None, None))
    return ONNXValueSchema(name=values.get(1, ""), dtype=dtype, shape=shape)


_Shape = tuple[int | str | None, ...]


def _read_type(cursor: Cursor, field: Field) -> Reading[tuple[str | None, _Shape | None]]:
    """Return the type of a tensor; sequences, maps and the like are other fields."""
    values = yield from read_values(cursor, field, {(1, BYTES): _read_tensor_type})
    dtype, shape = values.get(1, (None, None))
    return dtype, shape


def _read_tensor_type(cursor: Cursor, field: Field) -> Reading[tuple[str, _Shape | None]]:
    values = yield from read_values(cursor, field, {(1, VARINT): read_number, (2, BYTES): _read_shape})
    return dtype_name(values.get(1, 0)), values.get(2)


def _read_shape(cursor: Cursor, field: Field) -> Reading[_Shape]:
    end = cursor.offset + field.value
    shape = list[int | str | None]()
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        if (found.number, found.wire) != (1, BYTES):
            yield from skip_field(cursor, found)
            continue
        shape.append((yield from _read_dimension(cursor, cursor.offset + found.value)))
        if len(shape) > MAX_RANK:
            cursor.source.exceed(f"a value has more than {MAX_RANK} dimensions", MAX_RANK, cursor.offset)
    return tuple(shape)


def _read_dimension(cursor: Cursor, end: int) -> Reading[int | str | None]:
    value: int | str | None = None
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        if (found.number, found.wire) == (1, VARINT):
            (value,) = yield from read_varints(cursor, found, most=1)
        elif (found.number, found.wire) == (2, BYTES):
            value = yield from read_text(cursor, found)
        else:
            yield from skip_field(cursor, found)
    return value
