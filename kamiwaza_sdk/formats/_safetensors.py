"""Reads the header of a safetensors file.

The format, https://huggingface.co/docs/safetensors: eight bytes, the header's length N as a little-endian integer; N
bytes of JSON, which begin with ``{``; then the tensors, without a hole, until the end of the file.

A header can have a hundred thousand entries. So what is checked is checked for all of them at once, in columns, and
only where something is wrong it is looked for.
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

from kamiwaza_sdk.formats._json import MAX_MEMORY, parse_object, text_memory
from kamiwaza_sdk.formats._source import ByteSource, Reading
from kamiwaza_sdk.formats.exceptions import MalformedFileException
from kamiwaza_sdk.formats.schemas.safetensors import SafetensorsSchema
from kamiwaza_sdk.formats.schemas.tensors import TensorSchema, TensorTable

__all__ = ["BITS", "read_safetensors"]

#: The largest header that the specification allows.
MAX_HEADER: Final = 100_000_000
MAX_TENSORS: Final = 150_000
#: An ordinary tensor has four pairs in all. In memory, a pair of texts takes more than any other two members do.
MAX_PAIRS: Final = 5 * MAX_TENSORS
#: What each comma and bracket of a header stands for in memory, with the columns made of it.
_MEMBER: Final = 64
#: Larger headers are looked at in pieces, for other threads have to wait while one is parsed.
_WHOLE: Final = 2 * 1024**2
_PIECE: Final = 256 * 1024
#: How many commas and brackets may stand where a header cannot be cut.
_MAX_UNCUT: Final = 300_000
#: Where one entry ends and the next begins, unless it is within a text.
_BETWEEN: Final = re.compile(rb'\}\s{0,16},\s{0,16}(?=")')
_TRIES: Final = 8
#: The largest header that is parsed once more, one object at a time.
_MAX_ESCAPED: Final = 16 * _PIECE
_SORTED_AT_ONCE: Final = 20_000
MAX_METADATA: Final = 100_000
#: As many dimensions as NumPy's arrays can have.
MAX_RANK: Final = 64
LENGTH: Final = 8
#: Bits of an element, by the types of version 0.8 of the reference implementation.
BITS: Final = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
#: Bytes of an element; 0 for those that take a part of one, so that they are looked at one by one.
_WIDTHS: Final = {name: 0 if bits % 8 else bits // 8 for name, bits in BITS.items()}
_KEYS: Final = ("dtype", "shape", "data_offsets")
_OVERFLOW: Final = 2**64
#: What an entry is, once it is checked.
_Entry = dict[str, Any]  # Any: text, a list of numbers, a pair of numbers


class _Columns(NamedTuple):
    dtypes: tuple[str, ...]
    widths: tuple[int, ...]
    shapes: tuple[list[int], ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]


def read_safetensors(source: ByteSource) -> Reading[SafetensorsSchema]:
    """Return what the header says, or raise what is wrong with it."""
    length = int.from_bytes((yield from source.read(0, LENGTH)), "little")
    if length > MAX_HEADER:
        reason = f"the header claims {length} bytes, over the {MAX_HEADER} that the specification allows"
        source.exceed(reason, MAX_HEADER, 0)
    if 2 * length > MAX_MEMORY:
        source.exceed(f"it is unknown, because a header of {length} bytes takes too much memory", MAX_MEMORY // 2, 0)
    header = yield from source.read(LENGTH, length)
    if not header.startswith(b"{"):
        source.refuse("the header does not begin with '{'", LENGTH)
    source.step(LENGTH, 3 * header.count(b":") // 2)  # of a tensor there are four, and it costs some six
    entries = _parse(source, header)
    metadata = _metadata(source, entries.pop("__metadata__", None))
    if len(entries) > MAX_TENSORS:
        source.exceed(f"{len(entries)} tensors are over the limit of {MAX_TENSORS} a file", MAX_TENSORS, LENGTH)
    columns = _columns(source, entries)
    _check_duplicates(source, header, entries, metadata)
    counts = _check(source, entries, columns, start=LENGTH + length)
    return _schema(source, entries, metadata or {}, columns.dtypes, counts, start=LENGTH + length)


def _parse(source: ByteSource, header: bytes) -> dict[str, Any]:  # Any: what is about to be checked
    """Return what the header holds, unless that would take too much memory."""
    if len(header) <= _WHOLE:
        return parse_object(source, header, at=LENGTH)
    if header.count(b":") > MAX_PAIRS:
        source.exceed(f"the header has more than {MAX_PAIRS} pairs; that is no ordinary file", MAX_PAIRS, LENGTH)
    if text_memory(header) + _MEMBER * _members(header) > MAX_MEMORY:
        source.exceed(f"it is unknown, because its header takes over {MAX_MEMORY} bytes of memory", MAX_MEMORY, LENGTH)
    entries = dict[str, Any]()
    begin = 1
    while begin < len(header):
        piece, begin = _piece(source, header, begin)
        entries |= piece
    return entries


def _members(text: bytes) -> int:
    return sum(map(text.count, (b",", b"[", b"{")))


def _piece(source: ByteSource, header: bytes, begin: int) -> tuple[dict[str, Any], int]:
    """Return the entries from a place on, and where the next ones begin.

    Between two entries there is always the same to see. Within a text that can be seen too, but what comes before it is
    no JSON then: so the next such place is tried.
    """
    wanted = begin + _PIECE
    for last in reversed(range(_TRIES)):
        found = _BETWEEN.search(header, wanted)
        end, following = (len(header), len(header)) if found is None else (found.start() + 1, found.end())
        text = b"{%b%b" % (header[begin:end], b"" if found is None else b"}")
        if len(text) > 8 * _PIECE and _members(text) > _MAX_UNCUT:
            source.exceed(f"an entry has over {_MAX_UNCUT} values; that is no ordinary file", _MAX_UNCUT, begin)
        try:
            return parse_object(source, text, at=LENGTH + begin), following
        except MalformedFileException:
            if found is None or not last:
                raise
            wanted = following
    raise AssertionError  # the last try returns or raises


def _schema(
    source: ByteSource,
    entries: dict[str, Any],  # Any: as `_Entry`
    metadata: dict[str, str],
    dtypes: tuple[str, ...],
    counts: list[int],
    *,
    start: int,
) -> SafetensorsSchema:
    totals = dict.fromkeys(dtypes, 0)
    for dtype, count in zip(dtypes, counts, strict=True):
        totals[dtype] += count
    return SafetensorsSchema(
        size=source.size,
        tensors=TensorTable(entries, partial(_tensor, start)),
        metadata=metadata,
        parameters=sum(totals.values()),
        parameters_by_dtype=dict(sorted(totals.items())),
    )


def _tensor(start: int, name: str, entry: _Entry) -> TensorSchema:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    return TensorSchema(name=name, dtype=entry["dtype"], shape=shape, size=end - begin, offset=start + begin)


def _metadata(source: ByteSource, value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        source.refuse("__metadata__ is to be an object of texts", LENGTH)
    if len(value) > MAX_METADATA:
        source.exceed(f"__metadata__ has more than {MAX_METADATA} texts", MAX_METADATA, LENGTH)
    return value


def _columns(source: ByteSource, entries: dict[str, Any]) -> _Columns:  # Any: what is about to be checked
    """Return the entries as columns whose types are right.

    That no number is negative, and that there are no other keys, shows elsewhere: by the dashes and colons of the
    header. That none is too large has to show here: with thousands of digits, Python reckons for long, and refuses to
    write them into a message.
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
    header: bytes,
    entries: dict[str, Any],  # Any: as `_Entry`
    metadata: dict[str, str] | None,
) -> None:
    """Refuse what does not show in what was parsed: a name given twice, and ``-0``, which others do not take for 0.

    Every pair of the JSON has one colon outside of its texts. So where no text has a colon as an escape, the colons of
    the header are as many as the result has pairs and colons in texts, unless a pair was dropped. And where the dashes
    are as many as there are in texts, no number is negative.
    """
    pairs = (1 + len(_KEYS)) * len(entries) + (0 if metadata is None else 1 + len(metadata))
    colons = header.count(b":")
    # To look for one character is so much faster than to count it that the second question is asked only if need be.
    if b"\\" not in header or b"\\u00" not in header:
        if colons == pairs and b"-" not in header:
            return
        texts: tuple[Iterable[str], ...] = (entries, metadata or (), (metadata or {}).values())
        if len(header) <= _WHOLE:
            texts = (["\n".join(chain(*texts))],)
        if colons == pairs + _count(texts, ":") and header.count(b"-") == _count(texts, "-"):
            return
    if any(len(entry) != len(_KEYS) for entry in entries.values()):
        _blame_entry(source, entries)
    if len(header) > _MAX_ESCAPED:
        source.exceed(f"texts are escaped in a header of over {_MAX_ESCAPED} bytes", _MAX_ESCAPED, LENGTH)
    json.loads(header, object_pairs_hook=partial(_refuse_twice, source), parse_int=partial(_refuse_minus, source))


def _count(texts: tuple[Iterable[str], ...], character: str) -> int:
    return sum(text.count(character) for text in chain(*texts))


def _refuse_twice(source: ByteSource, pairs: list[tuple[str, object]]) -> None:
    names = Counter(name for name, _ in pairs)
    if len(names) < len(pairs):
        source.refuse(f"{names.most_common(1)[0][0][:80]!r} is there twice in one object", LENGTH)


def _refuse_minus(source: ByteSource, digits: str) -> None:
    if digits.startswith("-"):
        source.refuse(f"{digits[:20]} is no 64-bit integer from 0 on", LENGTH)


def _check(source: ByteSource, entries: dict[str, object], columns: _Columns, *, start: int) -> list[int]:
    """Return how many elements each tensor has, whose data lie one behind the other, in the length that these take."""
    if max(map(len, columns.shapes), default=0) > MAX_RANK:  # a product of so many could take forever
        _check_lengths(source, entries, columns)
    counts = list(map(prod, columns.shapes))
    taken = map(sub, columns.ends, columns.begins)
    if not all(map(eq, map(mul, counts, columns.widths), taken)) or 0 in counts:
        _check_lengths(source, entries, columns)
    in_order = columns.begins == (0, *columns.ends)[:-1] if entries else True
    end = max(columns.ends, default=0) if in_order else _check_order(source, entries)
    if start + end != source.size:
        source.refuse(f"the tensors end at byte {start + end}, but the file at byte {source.size}", start)
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


def _check_order(source: ByteSource, entries: dict[str, Any]) -> int:  # Any: as `_Entry`
    """Return where the last tensor ends, whatever order the header lists them in."""
    last = 0
    for name, entry in _in_order(entries):
        begin, end = entry["data_offsets"]
        if begin != last or end < begin:
            what = f"lies from {begin} to {end}, but is to begin at {last}: tensors leave no hole and do not overlap"
            source.refuse(f"tensor {name[:80]!r} {what}", LENGTH)
        last = end
    return last


def _in_order(entries: dict[str, Any]) -> Iterable[tuple[str, Any]]:  # Any: as `_Entry`
    """Yield the entries by their offsets, sorted in pieces: other threads have to wait while one is."""
    items = iter(entries.items())
    pieces = iter(lambda: sorted(islice(items, _SORTED_AT_ONCE), key=_offsets), list[tuple[str, Any]]())
    return heapq.merge(*pieces, key=_offsets)


def _offsets(item: tuple[str, Any]) -> tuple[int, ...]:  # Any: as `_Entry`
    return tuple(item[1]["data_offsets"])
