"""How readers get bytes, and how JSON from outside is parsed: both within limits.

A reader is a generator that yields a `Span` for the bytes it needs, and a driver sends them. So one reader serves local
files, from which a driver reads, and remote files, for which another driver awaits. The budgets of a `ByteSource` bound
what its readers may request in all.
"""

from collections.abc import Generator
from typing import Final, NamedTuple, NoReturn, TypeAlias, TypeVar

from pydantic_core import from_json

from kamiwaza_sdk.formats.exceptions import FormatLimitException, MalformedFileException

#: The first bytes to read, before the format is known: most headers fit.
HEAD: Final = 65_536
#: The most bytes that a cursor reads ahead.
_MOST_AHEAD: Final = 4 * 1024**2
_KIB: Final = 1024
#: The steps that one file may take. A step is an instruction of a pickle, or other work of about a microsecond.
MAX_STEPS: Final = 800_000
#: The steps and bytes that the files of one model may take together.
_MODEL_STEPS: Final = 4 * MAX_STEPS
_MODEL_BYTES: Final = 2 * 1024**3

_T = TypeVar("_T")


class Span(NamedTuple):
    """The bytes that a reader requests: at least one, and inside the file."""

    offset: int
    length: int


Reading: TypeAlias = Generator[Span, bytes, _T]


class InspectionBudget:
    """The budget that the files of one model share, besides those that each file has.

    Attributes:
        steps: The steps that are left.
        bytes: The bytes that may still be read.
    """

    def __init__(self) -> None:
        self.steps = _MODEL_STEPS
        self.bytes = _MODEL_BYTES


class ByteSource:
    """One file, from which readers request bytes.

    Attributes:
        path: The name of the file, for messages and for its ending.
        size: In bytes.
        format: The format that a reader expects, for messages.
        exhausted: Whether a budget was exceeded.
        curtailed: Whether that was the budget of bytes, of requests, or the shared one: inspected alone, or as a local
            file, this one could be described.
        budget: The budget shared with the other files of the model.
        remote: Whether a request costs a round trip, so that readers read ahead, and skip what they can.
    """

    def __init__(
        self,
        *,
        path: str,
        size: int,
        byte_budget: int,
        request_budget: int,
        remote: bool,
        budget: InspectionBudget | None = None,
    ) -> None:
        self.path = path
        self.size = size
        self.remote = remote
        self.format: str | None = None
        self.exhausted: bool = False
        self.curtailed: bool = False
        self._head = b""
        self._byte_budget = byte_budget
        self._bytes_left = byte_budget
        self._request_budget = request_budget
        self._requests_left = request_budget
        self._steps_left = MAX_STEPS
        self.budget: InspectionBudget = InspectionBudget() if budget is None else budget

    def begin(self) -> Reading[bytes]:
        """Return the first bytes, from which later reads are served."""
        self._head = yield from self.read(0, min(HEAD, self.size))
        return self._head

    def read(self, offset: int, length: int) -> Reading[bytes]:
        """Return exactly these bytes; raise where they are outside of the file, or exceed the budget."""
        if offset + length > self.size:
            self.refuse(f"{length} bytes should follow, but the file ends at byte {self.size}; get all of it", offset)
        known = self._head[offset : offset + length]
        if len(known) == length:
            return known
        if not self.remote:  # to read a little twice is faster than to join large pieces
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
        """Spend steps of the budgets, or raise."""
        self._steps_left -= steps
        self.budget.steps -= steps
        if self._steps_left < 0:
            self._stop(f"it is unknown beyond step {MAX_STEPS}; that is no ordinary file", MAX_STEPS, offset)
        if self.budget.steps < 0:
            self.curtailed = True
            what = f"it is not looked into, because the files of this model take over {_MODEL_STEPS} steps"
            self._stop(what, _MODEL_STEPS, offset)

    def _stop(self, reason: str, limit: int, offset: int) -> NoReturn:
        self.exhausted = True
        self.exceed(reason, limit, offset)

    def refuse(self, reason: str, offset: int | None = None) -> NoReturn:
        """Raise that the file is malformed."""
        raise MalformedFileException(path=self.path, format=self.format, offset=offset, reason=reason)

    def exceed(self, reason: str, limit: int, offset: int | None = None) -> NoReturn:
        """Raise that the file exceeds a limit."""
        raise FormatLimitException(path=self.path, format=self.format, offset=offset, reason=reason, limit=limit)


class Cursor:
    """Reads a file from an offset on, in pieces that grow. It does not read the bytes that it skips.

    Attributes:
        data: A buffer of bytes that were read.
        position: The index in `data` of the next byte.
        end: The offset in the file at which this ends.
    """

    def __init__(self, source: ByteSource, offset: int, end: int) -> None:
        self.source = source
        self.data: bytes = b""
        self.position: int = 0
        self.end = end
        self._base = offset
        self._stride = self._first = (64 if source.remote else 4) * _KIB

    @property
    def offset(self) -> int:
        """The offset in the file of the next byte."""
        return self._base + self.position

    def check_follow(self, length: int) -> None:
        """Raise unless so many bytes follow."""
        if length > self.end - self.offset:
            self.source.refuse(f"{length} bytes should follow, but only {self.end - self.offset} do", self.offset)

    def need(self, length: int) -> Reading[None]:
        """Fill `data` with so many bytes behind `position`, or raise."""
        self.check_follow(length)
        if length > len(self.data) - self.position:
            yield from self._read_on(length)

    def _read_on(self, length: int) -> Reading[None]:
        rest = self.data[self.position :]
        wanted = min(max(length, self._stride), self.end - self.offset) - len(rest)
        more = yield from self.source.read(self.offset + len(rest), wanted)
        self._base, self.position, self.data = self.offset, 0, rest + more
        self._stride = min(2 * self._stride, _MOST_AHEAD)

    def take(self, length: int) -> Reading[bytes]:
        """Return the next bytes, or raise."""
        yield from self.need(length)
        self.position += length
        return self.data[self.position - length : self.position]

    def skip(self, length: int) -> Reading[None]:
        """Skip so many bytes, without reading those that are not in `data`."""
        self.check_follow(length)
        if self.position + length <= len(self.data):
            self.position += length
        else:
            if self.position + length - len(self.data) > self._stride:  # weights are long, and what follows is short
                self._stride = self._first
            self._base, self.position, self.data = self.offset + length, 0, b""
        yield from ()

    def more(self) -> Reading[bool]:
        """Return whether another byte follows."""
        if self.position < len(self.data):
            return True
        return (yield from self.has(1))

    def has(self, length: int) -> Reading[bool]:
        """Return whether so many bytes follow; if they do, they are then in `data`."""
        if length > self.end - self.offset:
            return False
        yield from self.need(length)
        return True

    def peek(self, length: int) -> Reading[bytes]:
        """Return the next bytes without skipping them: so many, or all where fewer follow."""
        yield from self.has(min(length, self.end - self.offset))
        return self.data[self.position : self.position + length]

    def fork(self) -> Reading["Cursor"]:
        """Return an independent cursor at the same offset."""
        yield from ()
        return Cursor(self.source, self.offset, self.end)


#: The values that a document may have, about: each takes some 100 bytes of memory.
MAX_MEMBERS: Final = 400_000
#: The bytes of memory that a document may take, its text included.
MAX_MEMORY: Final = 96 * 1024**2
#: The bytes of memory for each byte of JSON that is not plain ASCII.
_WIDEST: Final = 4


def text_memory(text: bytes) -> int:
    """Return the most bytes of memory that a document and the texts in it take."""
    return len(text) * (2 if text.isascii() and b"\\u" not in text else 1 + _WIDEST)


def read_json(source: ByteSource, text: bytes, *, at: int = 0, infinite: bool = False) -> dict[str, object]:
    """Return the object of a document.

    Args:
        source: The file of the document.
        text: The document.
        at: Its offset in the file.
        infinite: Whether to accept ``Infinity`` and ``NaN``, which JSON lacks, and Python's ``json`` writes.

    Raises:
        MalformedFileException: It is no JSON object, is nested over 200 deep, or is not UTF-8.
        FormatLimitException: It has too many values, or its texts take too much memory.
    """
    if len(text) > MAX_MEMBERS and sum(map(text.count, (b",", b"[", b"{"))) > MAX_MEMBERS:
        source.exceed(f"the JSON has more than {MAX_MEMBERS} values; that is no ordinary file", MAX_MEMBERS, at)
    if text_memory(text) > MAX_MEMORY:
        source.exceed(f"the JSON takes more than {MAX_MEMORY} bytes; that is no ordinary file", MAX_MEMORY, at)
    return parse_object(source, text, at=at, infinite=infinite)


def parse_object(source: ByteSource, text: bytes, *, at: int = 0, infinite: bool = False) -> dict[str, object]:
    """Return the object of a document of any size.

    Raises:
        MalformedFileException: It is no JSON object, is nested over 200 deep, or is not UTF-8.
    """
    try:
        value = from_json(text, allow_inf_nan=infinite)
    except ValueError as error:
        source.refuse(f"the JSON cannot be read: {error}", at)
    if not isinstance(value, dict):
        source.refuse("the JSON holds no object", at)
    return value


def read_json_text(
    text: bytes, *, path: str = "", format_: str | None = None, infinite: bool = False
) -> dict[str, object]:
    """Do the same as `read_json` with a document in memory, for which `path` and `format_` are named in messages."""
    source = ByteSource(path=path, size=len(text), byte_budget=0, request_budget=0, remote=False)
    source.format = format_
    return read_json(source, text, infinite=infinite)
