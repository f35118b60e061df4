"""Reads the header of a GGUF file, version 2 or 3, in either byte order.

The format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic number, version, two counts; keys with
typed values; name, dimensions, type and offset of each tensor; the tensors, aligned.
"""

import struct
from collections import Counter
from math import prod
from typing import Any, Final, NamedTuple

from kamiwaza_sdk.formats.attention import gguf_attention
from kamiwaza_sdk.formats.schemas.files import GGUFArraySchema, GGUFSchema, GGUFValue, TensorSchema, TensorTable
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading


class TensorType(NamedTuple):
    """A type, the elements of its blocks, and the bytes of a block."""

    name: str
    elements: int
    size: int


#: From ``ggml.h`` and ``gguf-py/gguf/constants.py`` of https://github.com/ggml-org/ggml. Missing numbers were dropped
#: before version 2 of the format, or are not assigned.
TENSOR_TYPES: Final = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 40),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    31: TensorType("Q4_0_4_4", 32, 18),
    32: TensorType("Q4_0_4_8", 32, 18),
    33: TensorType("Q4_0_8_8", 32, 18),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    36: TensorType("IQ4_NL_4_4", 32, 18),
    37: TensorType("IQ4_NL_4_8", 32, 18),
    38: TensorType("IQ4_NL_8_8", 32, 18),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
}

#: The values of ``general.file_type``, from 0 on; ``-`` where there is none.
_FILE_TYPES: Final = """
    F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS
    IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 Q4_0_4_4 Q4_0_4_8
    Q4_0_8_8 TQ1_0 TQ2_0 MXFP4_MOE NVFP4 Q1_0
"""
FILE_TYPES: Final = {number: name for number, name in enumerate(_FILE_TYPES.split()) if name != "-"}


#: The names of each type in `struct` and in the specification, by its number.
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
#: The texts that a file may have in arrays: several times those of the largest vocabularies with their merges.
MAX_TEXTS: Final = 4_000_000
MAX_DEPTH: Final = 4
#: Longer arrays and texts are skipped.
MOST_NUMBERS: Final = 1024
MOST_TEXTS: Final = 64
LONGEST_TEXT: Final = 65_536
#: The bytes of all values that are stored.
MAX_STORED: Final = 16 * 1024**2
_BYTE: Final = 7
#: The bytes that a number counts for: at least those of the pointer to it.
_NUMBER: Final = 8
#: The steps that a value costs, and the number of skipped texts that cost one.
_VALUE_STEPS: Final = 3
_TEXTS_A_STEP: Final = 8


class ValueReader:
    """Reads values at a cursor.

    Attributes:
        cursor: The cursor.
    """

    def __init__(self, cursor: Cursor, order: str) -> None:
        self.cursor = cursor
        self._order = order
        self._texts_left = MAX_TEXTS
        self._stored = 0

    def unpack(self, form: str) -> Reading[tuple[Any, ...]]:  # Any: what `struct` gives
        """Return numbers in a format of `struct`."""
        form = self._order + form
        return struct.unpack(form, (yield from self.cursor.take(struct.calcsize(form))))

    def read_pairs(self, count: int) -> Reading[dict[str, GGUFValue]]:
        """Return so many keys and values."""
        pairs = dict[str, GGUFValue]()
        for _ in range(count):
            at = self.cursor.offset
            key = yield from self.read_text(MAX_KEY)
            if key in pairs:
                self.cursor.source.refuse(f"the key {key[:80]!r} is there twice", at)
            (kind,) = yield from self.unpack("I")
            pairs[key] = yield from self._read_value(kind)
        return pairs

    def read_text(self, most: int = LONGEST_TEXT) -> Reading[str]:
        """Return a text of at most so many bytes."""
        at = self.cursor.offset
        self.cursor.source.step(at, _VALUE_STEPS)
        (length,) = yield from self.unpack("Q")
        if length > most:
            self.cursor.source.exceed(f"a name of {length} bytes is over the limit of {most}", most, at)
        return self._decode((yield from self.cursor.take(length)))

    def _decode(self, text: bytes) -> str:
        self._charge(len(text))
        # Vocabularies of bytes are not all text; nothing is decided by what could not be decoded.
        return text.decode(errors="replace")

    def _charge(self, size: int) -> None:
        self._stored += size
        if self._stored > MAX_STORED:
            what = f"keys, short texts and short arrays take more than {MAX_STORED} bytes; that is no ordinary file"
            self.cursor.source.exceed(what, MAX_STORED, self.cursor.offset)

    def _read_value(self, kind: int) -> Reading[GGUFValue]:
        if kind in SCALARS:
            (number,) = yield from self._read_numbers(kind, 1)
            return number
        if kind == TEXT:
            (length,) = yield from self.unpack("Q")
            if length <= LONGEST_TEXT:
                return self._decode((yield from self.cursor.take(length)))
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
        self.cursor.source.step(self.cursor.offset, _VALUE_STEPS)
        if kind in SCALARS:
            letter, name = SCALARS[kind]
            if count <= MOST_NUMBERS:
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
        if count <= MOST_TEXTS:
            texts = list[str]()
            for _ in range(count):
                texts.append((yield from self.read_text(LONGEST_TEXT)))
            return tuple(texts)
        yield from self._skip_texts(count)
        return GGUFArraySchema(type="string", length=count)

    def _skip_texts(self, count: int) -> Reading[None]:
        """Skip texts: the one loop that runs a hundred thousand times for each file."""
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


MAX_KEYS: Final = 10_000
MAX_TENSORS: Final = 250_000
#: GGML's own limit.
MAX_RANK: Final = 4
VERSIONS: Final = (2, 3)
ALIGNMENT: Final = 32
_OVERFLOW: Final = 2**63
#: The steps that a tensor costs, counted and summed.
_STEPS: Final = 6


class _Row(NamedTuple):
    type: int
    shape: tuple[int, ...]
    offset: int


class _Header(NamedTuple):
    version: int
    order: str
    metadata: dict[str, GGUFValue]
    rows: dict[str, _Row]


def read_gguf(source: ByteSource) -> Reading[GGUFSchema]:
    """Return the header, or raise if it violates the format."""
    cursor = Cursor(source, 0, source.size)
    start = yield from cursor.take(8)
    if not start.startswith(b"GGUF"):
        source.refuse(f"its first four bytes are {start[:4]!r}, not b'GGUF'; fetch it again")
    if start[4:8] == bytes(4):
        source.refuse("version 0 does not exist", 4)
    # As the reference reader has it: a version over 65535 is one of the other byte order.
    order = "<" if start[4:6] != b"\0\0" else ">"
    (version,) = struct.unpack(f"{order}I", start[4:8])
    if version not in VERSIONS:
        source.refuse(f"version {version} is not one that can be read, which are 2 and 3; convert it again", 4)
    tensors, keys = struct.unpack(f"{order}2Q", (yield from cursor.take(16)))
    for count, limit, what, least in ((keys, MAX_KEYS, "keys", 12), (tensors, MAX_TENSORS, "tensors", 24)):
        if count > limit:
            source.exceed(f"the header claims {count} {what}, over the limit of {limit}", limit, 8)
        if count * least > source.size:
            source.refuse(f"the header claims {count} {what}, which do not fit into the file", 8)
    values = ValueReader(cursor, order)
    metadata = yield from values.read_pairs(keys)
    rows = yield from _read_rows(values, tensors)
    header = _Header(version, order, metadata, rows)
    _check_places(source, header, cursor.offset)
    return _schema(source, header, _aligned(cursor.offset, _alignment(source, metadata)))


def _read_rows(values: ValueReader, count: int) -> Reading[dict[str, _Row]]:
    rows = dict[str, _Row]()
    source = values.cursor.source
    for _ in range(count):
        at = values.cursor.offset
        source.step(at, _STEPS)
        name = yield from values.read_text()
        (rank,) = yield from values.unpack("I")
        if name in rows:
            source.refuse(f"tensor {name[:80]!r} is there twice", at)
        if rank > MAX_RANK:
            source.refuse(f"tensor {name[:80]!r} has {rank} dimensions, over the {MAX_RANK} that GGML has", at)
        *shape, kind, offset = yield from values.unpack(f"{rank}QIQ")
        if prod(shape) >= _OVERFLOW:
            source.refuse(f"tensor {name[:80]!r} has more elements than 63 bits can count", at)
        rows[name] = _Row(kind, tuple(shape), offset)
    return rows


def _alignment(source: ByteSource, metadata: dict[str, GGUFValue]) -> int:
    value = metadata.get("general.alignment", ALIGNMENT)
    if type(value) is not int or value <= 0 or value & (value - 1):
        source.refuse(f"general.alignment is {str(value)[:40]}, but is to be a power of two")
    return value


def _aligned(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment


def _size(row: _Row) -> int | None:
    """Return the bytes of a tensor, `None` where its type is not known."""
    kind = TENSOR_TYPES.get(row.type)
    return None if kind is None else prod(row.shape) // kind.elements * kind.size


def _check_places(source: ByteSource, header: _Header, end: int) -> None:
    """Refuse tensors that overlap, are not aligned, or are not in the file."""
    alignment = _alignment(source, header.metadata)
    start = _aligned(end, alignment)
    last = 0
    for name, row in sorted(header.rows.items(), key=lambda item: (item[1].offset, _size(item[1]) or 0)):
        kind = TENSOR_TYPES.get(row.type)
        size = _size(row) or 0
        if kind and row.shape[:1] and row.shape[0] % kind.elements:
            what = f"has rows of {row.shape[0]} elements, but {kind.name} comes in blocks of {kind.elements}"
            source.refuse(f"tensor {name[:80]!r} {what}", end)
        if row.offset % alignment or row.offset < last or start + row.offset + size > source.size:
            what = f"claims {size} bytes at {row.offset}, which overlap another, are not aligned or not in the file"
            source.refuse(f"tensor {name[:80]!r} {what}", end)
        last = row.offset + size


class _Maker:
    """Makes the description of a tensor. A class, so that it pickles."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __call__(self, name: str, row: Any) -> TensorSchema:  # Any: a `_Row`, which a table does not know
        offset = self.start + row.offset
        return TensorSchema(name=name, dtype=_dtype(row), shape=row.shape, size=_size(row), offset=offset)


def _dtype(row: _Row) -> str:
    return TENSOR_TYPES.get(row.type, TensorType(f"type {row.type}", 1, 1)).name


def _schema(source: ByteSource, header: _Header, start: int) -> GGUFSchema:
    totals = Counter[str]()
    for row in header.rows.values():
        totals[_dtype(row)] += prod(row.shape)
    texts = {key: value for key, value in header.metadata.items() if isinstance(value, str)}
    whole = {key: value for key, value in header.metadata.items() if type(value) is int}
    architecture = texts.get("general.architecture")
    file_type = whole.get("general.file_type")
    return GGUFSchema(
        size=source.size,
        version=header.version,
        byte_order="little" if header.order == "<" else "big",
        architecture=architecture,
        name=texts.get("general.name"),
        license=texts.get("general.license"),
        tensors=TensorTable(header.rows, _Maker(start)),
        parameters=totals.total(),
        parameters_by_dtype=dict(sorted(totals.items())),
        quantization=max(totals, key=lambda name: totals[name], default=None),
        claimed_quantization=None if file_type is None else FILE_TYPES.get(file_type),
        context_length=whole.get(f"{architecture}.context_length"),
        tokenizer=texts.get("tokenizer.ggml.model"),
        has_chat_template="tokenizer.chat_template" in header.metadata,
        attention=gguf_attention(header.metadata, architecture),
        metadata=header.metadata,
    )
