"""Reads the header of a GGUF file, version 2 or 3, in either byte order.

The format, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: magic, version, two counts; keys with typed
values; then name, dimensions, type and offset of each tensor; then, aligned, the tensors.
"""

import struct
from collections import Counter
from math import prod
from typing import Any, Final, NamedTuple

from kamiwaza_sdk.formats._ggml import FILE_TYPES, TENSOR_TYPES, TensorType
from kamiwaza_sdk.formats._gguf_values import ValueReader
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.attention.gguf import gguf_attention
from kamiwaza_sdk.formats.schemas.gguf import GGUFSchema, GGUFValue
from kamiwaza_sdk.formats.schemas.tensors import TensorSchema, TensorTable

__all__ = ["read_gguf"]

MAX_KEYS: Final = 10_000
MAX_TENSORS: Final = 250_000
#: GGML's own limit.
MAX_RANK: Final = 4
VERSIONS: Final = (2, 3)
ALIGNMENT: Final = 32
_OVERFLOW: Final = 2**63
#: What a tensor costs, in steps, until it is in the sums.
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
    """Return what the header says, or raise what is wrong with it."""
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
    """Return the bytes a tensor takes, `None` where its type is not known."""
    kind = TENSOR_TYPES.get(row.type)
    return None if kind is None else prod(row.shape) // kind.elements * kind.size


def _check_places(source: ByteSource, header: _Header, end: int) -> None:
    """Refuse tensors that overlap, or do not lie in the file, or not where they may."""
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
