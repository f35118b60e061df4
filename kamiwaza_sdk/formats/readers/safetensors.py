"""Reads the header of a safetensors file.

The format, https://huggingface.co/docs/safetensors: eight bytes with the header's length N as a little-endian integer;
N bytes of JSON, which begin with ``{``; the tensors, without a hole, until the end of the file.

A header can have a hundred thousand entries. So each check covers all of them at once, in columns, and only a failed
check is repeated for each entry, to name it.
"""

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import chain, islice
from math import prod
from operator import eq, itemgetter, mul, sub
from typing import Any, Final, NamedTuple, NoReturn

from kamiwaza_sdk.formats.exceptions import MalformedFileException
from kamiwaza_sdk.formats.schemas.files import SafetensorsSchema, StoredTensor, TensorSchema, TensorTable
from kamiwaza_sdk.formats.source import MAX_MEMORY, ByteSource, Reading, parse_object, text_memory

#: The largest header that the specification allows.
MAX_HEADER: Final = 100_000_000
MAX_TENSORS: Final = 150_000
#: The bytes of memory for each comma and bracket of a piece, with its columns.
_MEMBER: Final = 64
#: Larger headers are parsed in pieces: other threads have to wait while one is parsed, and while Python collects its
#: objects.
_WHOLE: Final = 1024**2
_PIECE: Final = 256 * 1024
#: The longest entry of a piece, and its most commas and brackets.
_LONGEST_ENTRY: Final = 4 * 1024**2
_MAX_UNCUT: Final = 250_000
#: The place between two entries, unless it is inside of a text.
_BETWEEN: Final = re.compile(rb'\}\s{0,16},\s{0,16}(?="[^"\\]*(?:\\.[^"\\]*)*"\s{0,16}:\s{0,16}\{)')
_TRIES: Final = 8
#: The steps that a colon costs, and those that it costs again where a piece is parsed one object at a time.
_STEPS: Final = 1.5
_STEPS_AGAIN: Final = 1.5
_SORTED_AT_ONCE: Final = 20_000
MAX_METADATA: Final = 100_000
#: The most dimensions of an array of NumPy.
MAX_RANK: Final = 64
LENGTH: Final = 8
_NAMES_BY_BITS: Final = {
    4: "F4",
    6: "F6_E2M3 F6_E3M2",
    8: "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ",
    16: "I16 U16 F16 BF16",
    32: "I32 U32 F32",
    64: "C64 F64 I64 U64",
}
#: Bits of an element, by the types of version 0.8 of the reference implementation.
BITS: Final = {name: bits for bits, names in _NAMES_BY_BITS.items() for name in names.split()}
#: The bytes of an element; 0 for types of less than a byte, whose tensors are checked one by one.
_WIDTHS: Final = {name: 0 if bits % 8 else bits // 8 for name, bits in BITS.items()}
_KEYS: Final = ("dtype", "shape", "data_offsets")
_OVERFLOW: Final = 2**64


#: Type, shape, begin and end of an entry. Python's collector does not track a tuple of numbers.
_Row = tuple[str, tuple[int, ...], int, int]
#: The name of a tensor, its begin and its end.
_Place = tuple[str, int, int]


class _Columns(NamedTuple):
    dtypes: tuple[str, ...]
    widths: tuple[int, ...]
    shapes: tuple[list[int], ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]


class _Header:
    """The pieces of a header that were read so far.

    Attributes:
        tensors: Of these pieces.
        metadata: ``__metadata__``.
        totals: Elements by type.
        memory: Of the header, and of the stored parts of its pieces.
    """

    def __init__(self, source: ByteSource, length: int) -> None:
        self.tensors = TensorTable({})
        self.metadata: dict[str, str] | None = None
        self.totals = dict[str, int]()
        self.memory = length
        self._rows = dict[str, Any]()  # Any: entries as they were parsed, or rows
        self._begins, self._ends = list[int](), list[int]()
        self._start = LENGTH + length
        self._source = source

    def add(self, piece: bytes, entries: dict[str, Any]) -> None:  # Any: not checked yet
        """Check and store the entries of a piece."""
        source = self._source
        metadata = _metadata(source, entries.pop("__metadata__", None))
        self._refuse_again(entries, metadata)
        self.metadata = self.metadata if metadata is None else metadata
        columns = _columns(source, entries)
        _check_duplicates(source, piece, entries, metadata)
        counts = _check(source, entries, columns)
        for dtype, count in zip(columns.dtypes, counts, strict=True):
            self.totals[dtype] = self.totals.get(dtype, 0) + count
        self._begins += columns.begins
        self._ends += columns.ends
        self._keep(entries, columns, whole=len(piece) == self._start - LENGTH)

    def _refuse_again(self, names: Iterable[str], metadata: dict[str, str] | None) -> None:
        """Refuse names that an earlier piece has, too."""
        twice = next((name for name in names if name in self._rows), None) if self._rows else None
        if metadata is not None and self.metadata is not None:
            twice = "__metadata__"
        if twice is not None:
            _refuse_twice(self._source, [(twice, None), (twice, None)])

    def _keep(self, entries: dict[str, Any], columns: _Columns, *, whole: bool) -> None:  # Any: as it was parsed
        """Store the only piece as it is, and others as rows, which Python's collector does not track."""
        start = self._start
        if whole:
            self._rows = entries
            self.tensors = TensorTable(entries, partial(_tensor_of_entry, start), _stored_of_entry)
            return
        rows = zip(columns.dtypes, map(tuple, columns.shapes), columns.begins, columns.ends, strict=True)
        self._rows.update(zip(entries, rows, strict=True))
        self.tensors = TensorTable(self._rows, partial(_tensor, start), _stored)
        if len(self._rows) > MAX_TENSORS:
            self._source.exceed(f"there are over {MAX_TENSORS} tensors in one file", MAX_TENSORS, LENGTH)

    def afford(self, piece: bytes) -> int:
        """Return the memory of a piece; refuse it if that is too much, or its entries take too long."""
        members = sum(map(piece.count, (b",", b"[", b"{")))
        if members > _MAX_UNCUT:
            self._source.exceed(f"an entry has over {_MAX_UNCUT} values; that is no ordinary file", _MAX_UNCUT, LENGTH)
        memory = text_memory(piece) - len(piece) + _MEMBER * members
        if self.memory + memory > MAX_MEMORY:
            what = f"it is unknown, because its header takes over {MAX_MEMORY} bytes of memory"
            self._source.exceed(what, MAX_MEMORY, LENGTH)
        return memory

    def check_place(self) -> None:
        """Refuse tensors that leave a hole, overlap, or do not fill the file."""
        begins, ends = self._begins, self._ends
        end = max(ends, default=0)
        if begins and begins != [0, *ends[:-1]]:
            end = _check_order(self._source, zip(self._rows, begins, ends, strict=True))
        if self._start + end != self._source.size:
            what = f"the tensors end at byte {self._start + end}, but the file at byte {self._source.size}"
            self._source.refuse(what, self._start)


def read_safetensors(source: ByteSource) -> Reading[SafetensorsSchema]:
    """Return the header, or raise if it violates the format."""
    length = int.from_bytes((yield from source.read(0, LENGTH)), "little")
    if length > MAX_HEADER:
        reason = f"the header claims {length} bytes, over the {MAX_HEADER} that the specification allows"
        source.exceed(reason, MAX_HEADER, 0)
    if 2 * length > MAX_MEMORY:
        source.exceed(f"it is unknown, because a header of {length} bytes takes too much memory", MAX_MEMORY // 2, 0)
    text = yield from source.read(LENGTH, length)
    if not text.startswith(b"{"):
        source.refuse("the header does not begin with '{'", LENGTH)
    header = _Header(source, length)
    begin = _read_piece(source, text, 1, header)
    while begin < length:
        begin = _read_piece(source, text, begin, header)
    header.check_place()
    return SafetensorsSchema(
        size=source.size,
        tensors=header.tensors,
        metadata=header.metadata or {},
        parameters=sum(header.totals.values()),
        parameters_by_dtype=dict(sorted(header.totals.items())),
    )


def _read_piece(source: ByteSource, text: bytes, begin: int, header: _Header) -> int:
    """Add the entries of a piece, and return the offset of the next one.

    A piece ends between two entries. The same bytes can occur inside of a text; then the piece is no JSON, and the
    next such place is tried.
    """
    if len(text) <= _WHOLE:
        header.add(text, parse_object(source, text, at=LENGTH))
        return len(text)
    wanted, furthest = begin + _PIECE, begin + _LONGEST_ENTRY
    for last in reversed(range(_TRIES)):
        found = _BETWEEN.search(text, wanted, furthest)
        if found is None and furthest < len(text):
            what = f"an entry has over {_LONGEST_ENTRY} bytes; that is no ordinary file"
            source.exceed(what, _LONGEST_ENTRY, LENGTH + begin)
        end, following = (len(text), len(text)) if found is None else (found.start() + 1, found.end())
        piece = b"{%b%b" % (text[begin:end], b"" if found is None else b"}")
        memory = header.afford(piece)
        try:
            entries = parse_object(source, piece, at=LENGTH + begin)
        except MalformedFileException:
            if found is None or not last:
                raise
            wanted = following
        else:
            header.memory += memory
            header.add(piece, entries)
            return following
    raise AssertionError  # the last try returns or raises


def _tensor_of_entry(start: int, name: str, entry: dict[str, Any]) -> TensorSchema:  # Any: as it was parsed
    return _tensor(start, name, (entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"]))


def _tensor(start: int, name: str, row: _Row) -> TensorSchema:
    dtype, shape, begin, end = row
    return TensorSchema(name=name, dtype=dtype, shape=shape, size=end - begin, offset=start + begin)


def _stored_of_entry(name: str, entry: dict[str, Any]) -> StoredTensor:  # Any: as it was parsed
    return StoredTensor(name, entry["dtype"], entry["shape"])


def _stored(name: str, row: _Row) -> StoredTensor:
    dtype, shape, *_ = row
    return StoredTensor(name, dtype, shape)


def _metadata(source: ByteSource, value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        source.refuse("__metadata__ is to be an object of texts", LENGTH)
    if len(value) > MAX_METADATA:
        source.exceed(f"__metadata__ has more than {MAX_METADATA} texts", MAX_METADATA, LENGTH)
    return value


def _columns(source: ByteSource, entries: dict[str, Any]) -> _Columns:  # Any: not checked yet
    """Return the entries as columns of the right types.

    Other checks find negative numbers and other keys, by the dashes and colons of the header. This one has to find
    numbers that are too large: Python is slow with thousands of digits, and refuses to write them into a message.
    """
    if not entries:
        return _Columns((), (), (), (), ())
    rows = entries.values()
    try:
        dtypes, shapes, offsets = (tuple(map(itemgetter(key), rows)) for key in _KEYS)
        widths = tuple(map(_WIDTHS.__getitem__, dtypes))
        begins, ends = zip(*offsets, strict=True)
        numbers = (*begins, *ends, *chain.from_iterable(shapes))
        if set(map(type, numbers)) == {int} and set(map(type, shapes)) == {list} and max(numbers) < _OVERFLOW:
            return _Columns(dtypes, widths, shapes, begins, ends)
    except (KeyError, TypeError, ValueError):
        pass
    return _blame_entry(source, entries)


def _blame_entry(source: ByteSource, entries: dict[str, object]) -> NoReturn:
    problems = ((name, _entry_problem(entry)) for name, entry in entries.items())
    name, problem = next((name, problem) for name, problem in problems if problem)
    source.refuse(f"tensor {name[:80]!r} {problem}", LENGTH)


def _entry_problem(entry: object) -> str | None:
    if not isinstance(entry, dict) or sorted(entry) != sorted(_KEYS):
        return "is to have dtype, shape and data_offsets, and nothing else"
    dtype, shape, offsets = (entry[key] for key in _KEYS)
    if not isinstance(dtype, str) or dtype not in BITS:
        return f"has a dtype that the specification does not know: {str(dtype)[:80]!r}"
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:  # noqa: PLR2004 - a begin and an end
        return "is to have a list of dimensions, and two offsets"
    if not all(type(number) is int and 0 <= number < _OVERFLOW for number in shape + offsets):
        return "has a dimension or an offset that is no 64-bit integer from 0 on"
    return None


def _check_duplicates(
    source: ByteSource,
    text: bytes,
    entries: dict[str, Any],  # Any: text, a list of numbers, a pair of numbers
    metadata: dict[str, str] | None,
) -> None:
    """Refuse what a parsed entry does not show: a repeated name, and ``-0``, which other parsers do not take for 0.

    Each pair of the JSON has one colon outside of its texts. So unless a text has a colon as an escape, the header has
    as many colons as the result has pairs, and colons in texts; a repeated name is a pair too many. And if all dashes
    are in texts, no number is negative.
    """
    pairs = (1 + len(_KEYS)) * len(entries) + (0 if metadata is None else 1 + len(metadata))
    colons = text.count(b":")
    source.step(LENGTH, int(_STEPS * colons))
    # To search one character is much faster than to count it, so the counts come last.
    if b"\\" not in text or b"\\u00" not in text:
        if colons == pairs and b"-" not in text:
            return
        texts = "\n".join(chain(entries, metadata or (), (metadata or {}).values()))
        if colons == pairs + texts.count(":") and text.count(b"-") == texts.count("-"):
            return
    if any(len(entry) != len(_KEYS) for entry in entries.values()):
        _blame_entry(source, entries)
    source.step(LENGTH, int(_STEPS_AGAIN * colons))
    json.loads(text, object_pairs_hook=partial(_refuse_twice, source), parse_int=partial(_refuse_minus, source))


def _refuse_twice(source: ByteSource, pairs: list[tuple[str, object]]) -> None:
    names = Counter(name for name, _ in pairs)
    if len(names) < len(pairs):
        source.refuse(f"{names.most_common(1)[0][0][:80]!r} is there twice in one object", LENGTH)


def _refuse_minus(source: ByteSource, digits: str) -> None:
    if digits.startswith("-"):
        source.refuse(f"{digits[:20]} is no 64-bit integer from 0 on", LENGTH)


def _check(source: ByteSource, entries: dict[str, object], columns: _Columns) -> list[int]:
    """Return the number of elements of each tensor, after a check of its length."""
    if max(map(len, columns.shapes), default=0) > MAX_RANK:  # a product of so many could take forever
        _check_lengths(source, entries, columns)
    counts = list(map(prod, columns.shapes))
    taken = map(sub, columns.ends, columns.begins)
    if not all(map(eq, map(mul, counts, columns.widths), taken)) or 0 in counts:
        _check_lengths(source, entries, columns)
    return counts


def _check_lengths(source: ByteSource, entries: dict[str, object], columns: _Columns) -> None:
    for name, dtype, _, shape, begin, end in zip(entries, *columns, strict=True):
        count = 1
        for number in (*shape, BITS[dtype]):
            count *= number
            if max(count, number) >= _OVERFLOW:
                source.refuse(f"tensor {name[:80]!r} has more elements than 64 bits can count", LENGTH)
        if count != 8 * (end - begin):
            what = f"is of shape {str(shape)[:80]} and type {dtype}, which does not take {end - begin} bytes"
            source.refuse(f"tensor {name[:80]!r} {what}", LENGTH)


def _check_order(source: ByteSource, places: Iterable[_Place]) -> int:
    """Return the end of the last tensor, whatever the order of the header."""
    last = 0
    for name, begin, end in _in_order(places):
        if begin != last or end < begin:
            what = f"lies from {begin} to {end}, but is to begin at {last}: tensors leave no hole and do not overlap"
            source.refuse(f"tensor {name[:80]!r} {what}", LENGTH)
        last = end
    return last


def _in_order(places: Iterable[_Place]) -> Iterable[_Place]:
    """Yield places by their offsets, sorted in pieces: other threads have to wait while one is sorted."""
    items = iter(places)
    pieces = iter(lambda: sorted(islice(items, _SORTED_AT_ONCE), key=itemgetter(1, 2)), list[_Place]())
    return heapq.merge(*pieces, key=itemgetter(1, 2))
