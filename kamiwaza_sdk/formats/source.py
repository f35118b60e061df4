"""JSON from strangers: bounded in depth, in size, and in what it unfolds to.

How a reader gets bytes without knowing from where: it yields the spans that it wants, and a driver sends them.

A reader is a generator of `Span`, so that one reader serves a local file, where a driver reads, and a remote one, where
another driver awaits. What it may ask for in all is bounded by the budgets of its `ByteSource`.
"""

from collections.abc import Generator
from typing import Final, NamedTuple, NoReturn, TypeAlias, TypeVar

from pydantic_core import from_json

from kamiwaza_sdk.formats.exceptions import FormatLimitException, MalformedFileException

#: How much is read first, before the format is known: most headers are in it.
HEAD: Final = 65_536
#: What a cursor reads ahead at most.
_FURTHEST: Final = 4 * 1024**2
_KIB: Final = 1024
#: How many steps are made in one file. A step is an instruction of a pickle, or what takes as long: a microsecond.
MAX_STEPS: Final = 800_000
#: How many files' worth of it one model may take.
_MODEL_SHARE: Final = 4
_MODEL_BYTES: Final = 2 * 1024**3

_T = TypeVar("_T")


class Span(NamedTuple):
    """Bytes that a reader wants: always inside the file, never none."""

    offset: int
    length: int


Reading: TypeAlias = Generator[Span, bytes, _T]


class Budget:
    """What looking into all files of one model may take together, besides what each of them may.

    Attributes:
        steps: How many are left.
        bytes: How many may still be read.
    """

    def __init__(self) -> None:
        self.steps = _MODEL_SHARE * MAX_STEPS
        self.bytes = _MODEL_BYTES


class ByteSource:
    """One file, as a reader sees it.

    Attributes:
        path: The name for messages, whose ending can tell the format.
        size: In bytes.
        format: What it is read as, for messages.
        exhausted: Whether a budget was not enough.
        curtailed: Whether that was one of bytes or requests, or what this file shares with others: alone, or read from
            here, it could be known.
        budget: What this file shares with the others of its model.
        remote: Whether a read costs a round trip, so that reading ahead pays and looking everywhere does not.
    """

    def __init__(
        self,
        *,
        path: str,
        size: int,
        byte_budget: int,
        request_budget: int,
        remote: bool,
        budget: Budget | None = None,
    ) -> None:
        self.path = path
        self.size = size
        self.remote = remote
        self.format: str | None = None
        self.exhausted = False
        self.curtailed = False
        self._head = b""
        self._byte_budget = byte_budget
        self._bytes_left = byte_budget
        self._request_budget = request_budget
        self._requests_left = request_budget
        self._steps_left = MAX_STEPS
        self.budget = Budget() if budget is None else budget

    def begin(self) -> Reading[bytes]:
        """Return the first bytes, which later reads are served from."""
        self._head = yield from self.read(0, min(HEAD, self.size))
        return self._head

    def read(self, offset: int, length: int) -> Reading[bytes]:
        """Return exactly these bytes, or raise: they are not in the file, or over the budget."""
        if offset + length > self.size:
            self.refuse(f"{length} bytes should follow, but the file ends at byte {self.size}; get all of it", offset)
        known = self._head[offset : offset + length]
        if len(known) == length:
            return known
        if not self.remote:  # to read a little again is faster than to put large pieces together
            return (yield self._spend(offset, length))
        return known + (yield self._spend(offset + len(known), length - len(known)))

    def _spend(self, offset: int, length: int) -> Span:
        if length > self.budget.bytes:
            self.curtailed = True
            self._stop("what looking into the files of this model may read in all was read", _MODEL_BYTES, offset)
        self.exhausted = self.curtailed = length > self._bytes_left or not self._requests_left
        if length > self._bytes_left:
            what = f"more than {self._byte_budget} bytes have to be read; raise byte_budget, or fetch the file"
            self.exceed(what, self._byte_budget, offset)
        if not self._requests_left:
            what = f"more than {self._request_budget} requests have to be made; fetch the file, and inspect it here"
            self.exceed(what, self._request_budget, offset)
        self._bytes_left -= length
        self.budget.bytes -= length
        self._requests_left -= 1
        return Span(offset, length)

    def step(self, offset: int, steps: int = 1) -> None:
        """Count what costs time, not bytes, or raise: that is enough."""
        self._steps_left -= steps
        self.budget.steps -= steps
        if self._steps_left < 0:
            self._stop(f"it is unknown beyond step {MAX_STEPS}; that is no ordinary file", MAX_STEPS, offset)
        if self.budget.steps < 0:
            self.curtailed = True
            most = _MODEL_SHARE * MAX_STEPS
            self._stop(f"it is not looked into, because the files of this model take over {most} steps", most, offset)

    def _stop(self, reason: str, limit: int, offset: int) -> NoReturn:
        self.exhausted = True
        self.exceed(reason, limit, offset)

    def refuse(self, reason: str, offset: int | None = None) -> NoReturn:
        """Raise that the file is malformed."""
        raise MalformedFileException(path=self.path, format=self.format, offset=offset, reason=reason)

    def exceed(self, reason: str, limit: int, offset: int | None = None) -> NoReturn:
        """Raise that the file is over a limit."""
        raise FormatLimitException(path=self.path, format=self.format, offset=offset, reason=reason, limit=limit)


class Cursor:
    """Reads on from a place in a file, in pieces that grow; what is skipped is not read.

    Attributes:
        data: What has been read and not been left behind.
        position: Where in `data` the next byte is.
        end: Where in the file this ends.
    """

    def __init__(self, source: ByteSource, offset: int, end: int) -> None:
        self.source = source
        self.data = b""
        self.position = 0
        self.end = end
        self._base = offset
        self._stride = self._first = (64 if source.remote else 4) * _KIB

    @property
    def offset(self) -> int:
        """Where in the file the next byte is."""
        return self._base + self.position

    def need(self, length: int) -> Reading[None]:
        """See to it that so many bytes of `data` follow `position`, or raise."""
        if length > self.end - self.offset:
            self.source.refuse(f"{length} bytes should follow, but only {self.end - self.offset} do", self.offset)
        if length > len(self.data) - self.position:
            yield from self._read_on(length)

    def _read_on(self, length: int) -> Reading[None]:
        rest = self.data[self.position :]
        wanted = min(max(length, self._stride), self.end - self.offset) - len(rest)
        more = yield from self.source.read(self.offset + len(rest), wanted)
        self._base, self.position, self.data = self.offset, 0, rest + more
        self._stride = min(2 * self._stride, _FURTHEST)

    def take(self, length: int) -> Reading[bytes]:
        """Return the next bytes, or raise."""
        yield from self.need(length)
        self.position += length
        return self.data[self.position - length : self.position]

    def skip(self, length: int) -> Reading[None]:
        """Leave so many bytes behind, without reading those that have not been read."""
        if length > self.end - self.offset:
            self.source.refuse(f"{length} bytes should follow, but only {self.end - self.offset} do", self.offset)
        if self.position + length <= len(self.data):
            self.position += length
        else:
            if self.position + length - len(self.data) > self._stride:  # over weights: what follows them is short
                self._stride = self._first
            self._base, self.position, self.data = self.offset + length, 0, b""
        yield from ()

    def more(self) -> Reading[bool]:
        """Return whether another byte follows."""
        if self.position < len(self.data):
            return True
        return (yield from self.has(1))

    def has(self, length: int) -> Reading[bool]:
        """Return whether so many bytes follow, and see to it that they are in `data` if they do."""
        if length > self.end - self.offset:
            return False
        yield from self.need(length)
        return True

    def peek(self, length: int) -> Reading[bytes]:
        """Return the next bytes without leaving them behind: so many, or fewer where the end comes before."""
        yield from self.has(min(length, self.end - self.offset))
        return self.data[self.position : self.position + length]

    def fork(self) -> Reading["Cursor"]:
        """Return another cursor at the same place, which goes its own way."""
        yield from ()
        return Cursor(self.source, self.offset, self.end)


#: How many values a document may hold, near enough: what each of them takes in memory is some 100 bytes.
MAX_MEMBERS: Final = 400_000
#: What a document may take in memory, itself included.
MAX_MEMORY: Final = 96 * 1024**2
#: What a text takes for each byte of JSON where it is not plain ASCII.
_WIDEST: Final = 4


def text_memory(text: bytes) -> int:
    """Return what a document and the texts in it take in memory at most."""
    return len(text) * (2 if text.isascii() and b"\\u" not in text else 1 + _WIDEST)


def read_json(
    source: ByteSource, text: bytes, *, at: int = 0, most: int = MAX_MEMBERS, infinite: bool = False
) -> dict[str, object]:
    """Return the object that a document holds.

    Args:
        source: What it is of.
        text: The document.
        at: Where in the file it begins.
        most: How many values it may hold.
        infinite: Whether ``Infinity`` and ``NaN`` are numbers, which JSON has not, and Python's ``json`` writes.

    Raises:
        MalformedFileException: It is no JSON object, is nested over 200 deep, or is not text in UTF-8.
        FormatLimitException: It has more than `most` values, or its texts take too much memory.
    """
    if len(text) > most and sum(map(text.count, (b",", b"[", b"{"))) > most:
        source.exceed(f"the JSON has more than {most} values; that is no ordinary file", most, at)
    if text_memory(text) > MAX_MEMORY:
        source.exceed(f"the JSON takes more than {MAX_MEMORY} bytes; that is no ordinary file", MAX_MEMORY, at)
    return parse_object(source, text, at=at, infinite=infinite)


def parse_object(source: ByteSource, text: bytes, *, at: int = 0, infinite: bool = False) -> dict[str, object]:
    """Return the object that a document holds, however large it is.

    Raises:
        MalformedFileException: It is no JSON object, is nested over 200 deep, or is not text in UTF-8.
    """
    try:
        value = from_json(text, allow_inf_nan=infinite)
    except ValueError as error:
        source.refuse(f"the JSON cannot be read: {error}", at)
    if not isinstance(value, dict):
        source.refuse("the JSON holds no object", at)
    return value
