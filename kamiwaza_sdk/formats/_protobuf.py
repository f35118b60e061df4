"""Skims protocol buffers: what is not asked for is left behind, mostly without being read.

The encoding: https://protobuf.dev/programming-guides/encoding/.
"""

from typing import Final, NamedTuple

from kamiwaza_sdk.formats._source import Cursor, Reading

__all__ = ["BYTES", "FIXED32", "FIXED64", "VARINT", "Field", "next_field", "read_bytes", "read_varints", "skip_field"]

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
_WIDTHS: Final = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT: Final = 10
_MORE: Final = 0x80
#: What a field costs, in steps.
_STEPS: Final = 3


class Field(NamedTuple):
    """A field that a cursor has come upon: its number, its wire type, and its value or, of bytes, their number."""

    number: int
    wire: int
    value: int


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
        if not byte & _MORE:
            return value & (2**64 - 1)
    cursor.source.refuse("a number does not end", cursor.offset)


def next_field(cursor: Cursor, end: int) -> Reading[Field]:
    """Return the next field of a message that ends there. Of bytes, the length: they follow."""
    at = cursor.offset
    cursor.source.step(at, _STEPS)
    data, position = cursor.data, cursor.position
    if position + 1 < len(data) and at + 1 < end and data[position] | data[position + 1] < _MORE:  # most are so short
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
    """Leave a field's bytes behind."""
    if field.wire != VARINT:
        yield from cursor.skip(field.value)


def read_bytes(cursor: Cursor, field: Field, *, most: int) -> Reading[bytes]:
    """Return a field's bytes, which are to be no more than `most`."""
    if field.value > most:
        cursor.source.exceed(f"a text of {field.value} bytes is over the limit of {most}", most, cursor.offset)
    return (yield from cursor.take(field.value))


def read_varints(cursor: Cursor, field: Field, *, most: int) -> Reading[list[int]]:
    """Return one number, or the many of a packed field, which are to be no more than `most`, as signed integers."""
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
