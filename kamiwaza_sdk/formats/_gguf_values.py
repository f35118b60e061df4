"""Reads the typed values of a GGUF file. Of what is long, only the length is kept."""

import struct
from typing import Any, Final

from kamiwaza_sdk.formats._source import Cursor, Reading
from kamiwaza_sdk.formats.schemas.gguf import GGUFArraySchema, GGUFValue

__all__ = ["ValueReader"]

#: What `struct` and the specification call each type, by its number.
SCALARS: Final = {
    0: ("B", "uint8"),
    1: ("b", "int8"),
    2: ("H", "uint16"),
    3: ("h", "int16"),
    4: ("I", "uint32"),
    5: ("i", "int32"),
    6: ("f", "float32"),
    7: ("?", "bool"),
    10: ("Q", "uint64"),
    11: ("q", "int64"),
    12: ("d", "float64"),
}
TEXT: Final = 8
ARRAY: Final = 9
MAX_KEY: Final = 65_535
MAX_TEXT: Final = 16 * 1024**2
#: How many texts one file may hold in arrays: several times what the largest vocabularies have, with their merges.
MAX_TEXTS: Final = 4_000_000
MAX_DEPTH: Final = 4
#: Arrays and texts up to these lengths are kept.
KEPT_NUMBERS: Final = 1024
KEPT_TEXTS: Final = 64
KEPT_TEXT: Final = 65_536
#: What is kept of one file in all.
MAX_KEPT: Final = 16 * 1024**2
_BYTE: Final = 7
#: What a kept number counts for, at least the pointer to it.
_NUMBER: Final = 8
#: What a value that is read costs, in steps, and how many texts are left behind in one.
_STEPS: Final = 3
_TEXTS_A_STEP: Final = 8


class ValueReader:
    """Reads what a cursor comes upon.

    Attributes:
        cursor: Where it reads.
    """

    def __init__(self, cursor: Cursor, order: str) -> None:
        self.cursor = cursor
        self._order = order
        self._texts_left = MAX_TEXTS
        self._kept = 0

    def unpack(self, form: str) -> Reading[tuple[Any, ...]]:  # Any: what `struct` gives
        """Return numbers of a form that `struct` knows."""
        form = self._order + form
        return struct.unpack(form, (yield from self.cursor.take(struct.calcsize(form))))

    def read_pairs(self, count: int) -> Reading[dict[str, GGUFValue]]:
        """Return keys and values, as many as there are to be."""
        pairs = dict[str, GGUFValue]()
        for _ in range(count):
            at = self.cursor.offset
            key = yield from self.read_text(MAX_KEY)
            if key in pairs:
                self.cursor.source.refuse(f"the key {key[:80]!r} is there twice", at)
            (kind,) = yield from self.unpack("I")
            pairs[key] = yield from self._read_value(kind)
        return pairs

    def read_text(self, most: int = KEPT_TEXT) -> Reading[str]:
        """Return a text of at most so many bytes."""
        at = self.cursor.offset
        self.cursor.source.step(at, _STEPS)
        (length,) = yield from self.unpack("Q")
        if length > most:
            self.cursor.source.exceed(f"a name of {length} bytes is over the limit of {most}", most, at)
        return self._keep((yield from self.cursor.take(length)))

    def _keep(self, text: bytes) -> str:
        self._charge(len(text))
        # Vocabularies of bytes are not all text; nothing is decided by what could not be decoded.
        return text.decode(errors="replace")

    def _charge(self, size: int) -> None:
        self._kept += size
        if self._kept > MAX_KEPT:
            what = f"keys, short texts and short arrays take more than {MAX_KEPT} bytes; that is no ordinary file"
            self.cursor.source.exceed(what, MAX_KEPT, self.cursor.offset)

    def _read_value(self, kind: int) -> Reading[GGUFValue]:
        if kind in SCALARS:
            (number,) = yield from self._read_numbers(kind, 1)
            return number
        if kind == TEXT:
            (length,) = yield from self.unpack("Q")
            if length <= KEPT_TEXT:
                return self._keep((yield from self.cursor.take(length)))
            yield from self._skip(length)
            return GGUFArraySchema(type="text", length=length)
        if kind == ARRAY:
            return (yield from self._read_array(1))
        return self._refuse_kind(kind)

    def _refuse_kind(self, kind: int) -> GGUFValue:
        self.cursor.source.refuse(f"values of type {kind} do not exist", self.cursor.offset)

    def _read_numbers(self, kind: int, count: int) -> Reading[tuple[bool | int | float, ...]]:
        letter = SCALARS[kind][0]
        if kind == _BYTE:  # any byte but 0 would do for `struct`; the specification says otherwise
            values = yield from self.cursor.take(count)
            if max(values, default=0) > 1:
                self.cursor.source.refuse("a truth value is neither 0 nor 1", self.cursor.offset)
            return tuple(map(bool, values))
        return (yield from self.unpack(f"{count}{letter}"))

    def _skip(self, length: int) -> Reading[None]:
        # A text can be as long as the file, and is as harmless as the weights when it is not read.
        yield from self.cursor.skip(length)

    def _read_array(self, depth: int) -> Reading[GGUFValue]:
        kind, count = yield from self.unpack("IQ")
        self.cursor.source.step(self.cursor.offset, _STEPS)
        if kind in SCALARS:
            letter, name = SCALARS[kind]
            if count <= KEPT_NUMBERS:
                self.cursor.source.step(self.cursor.offset, count // _TEXTS_A_STEP)
                self._charge(count * _NUMBER)  # not its bytes in the file: of one byte, Python makes at least eight
                return (yield from self._read_numbers(kind, count))
            yield from self._skip(count * struct.calcsize(f"={letter}"))
            return GGUFArraySchema(type=name, length=count)
        if kind not in {TEXT, ARRAY}:
            return self._refuse_kind(kind)
        self._spend(count)
        if kind == TEXT:
            return (yield from self._read_texts(count))
        if depth == MAX_DEPTH:
            self.cursor.source.exceed(f"arrays are nested deeper than {MAX_DEPTH}", MAX_DEPTH, self.cursor.offset)
        for _ in range(count):
            yield from self._read_array(depth + 1)
        return GGUFArraySchema(type="array", length=count)

    def _spend(self, count: int) -> None:
        self._texts_left -= count
        if self._texts_left < 0:
            what = f"arrays hold more than {MAX_TEXTS} texts and arrays; that is no ordinary file"
            self.cursor.source.exceed(what, MAX_TEXTS, self.cursor.offset)

    def _read_texts(self, count: int) -> Reading[GGUFValue]:
        if count <= KEPT_TEXTS:
            texts = list[str]()
            for _ in range(count):
                texts.append((yield from self.read_text(KEPT_TEXT)))
            return tuple(texts)
        yield from self._skip_texts(count)
        return GGUFArraySchema(type="string", length=count)

    def _skip_texts(self, count: int) -> Reading[None]:
        """Leave texts behind: the one loop that runs a hundred thousand times for each file."""
        unpack = struct.Struct(f"{self._order}Q").unpack_from
        cursor = self.cursor
        while count:
            yield from cursor.need(8)
            data, position = cursor.data, cursor.position
            last, before = len(data) - 8, count
            while count and position <= last:
                position += 8 + unpack(data, position)[0]
                count -= 1
            cursor.source.step(cursor.offset, 1 + (before - count) // _TEXTS_A_STEP)
            over = position - len(data)
            cursor.position = min(position, len(data))
            if over > 0:
                yield from cursor.skip(over)
