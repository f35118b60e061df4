"""Faults in the answers of a `FaultyServer`, and its record of requests.

Several faults can be combined, as a tuple, for one request.

Offsets named ``at`` count the bytes of the body in this answer, also if it is a range; an answer with fewer bytes is
not affected. Faults of the body have no effect on an answer without one (to HEAD, or 304).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import ClassVar, Final, Literal, TypeAlias

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.testing._answers import Cut, Pace, Plan, Reply
from kamiwaza_sdk.testing.bodies import GeneratedBody, body_of

# One file, though a long one: they are read as a list.

#: How many pieces a second a limited connection sends, where it sends more than as many bytes.
_PIECES_A_SECOND: Final = 50
_LARGEST_PIECE: Final = 1024**2


class Fault(ABC):
    """A fault in the answer to one request. Faults are frozen dataclasses, so you can use one several times."""

    _least: ClassVar[Mapping[str, float]] = {}

    def __post_init__(self) -> None:
        for name, least in self._least.items():
            value: float | None = getattr(self, name)
            if value is not None and not value >= least:
                raise InvalidInputException(name, f"of {type(self).__name__} is {value}; give {least:g} or more")

    @abstractmethod
    def _change(self, plan: Plan) -> None:
        """Change what is this fault's own."""


#: What happens to one request: nothing, one fault, or several.
Step: TypeAlias = Fault | tuple[Fault, ...] | None


@dataclass(frozen=True)
class Status(Fault):
    """Another status instead of the content.

    Attributes:
        status: The HTTP status.
        retry_after: ``Retry-After``: seconds, or a moment with a time zone, or a text that is sent unchanged.
        body: The body of this answer.

    Raises:
        InvalidInputException: The body is not bytes.

    Example:
        >>> from kamiwaza_sdk.testing import Status
        >>> burst = [Status(503, retry_after=1), Status(503, retry_after=1), None]
    """

    status: int
    retry_after: int | datetime | str | None = None
    body: bytes = b"not what was asked for\n"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.body, bytes):
            raise InvalidInputException("body", f"of Status is a {type(self.body).__name__}; give bytes")

    def _change(self, plan: Plan) -> None:
        after = self.retry_after
        text = format_datetime(after.astimezone(UTC), usegmt=True) if isinstance(after, datetime) else str(after)
        plan.reply = Reply(self.status, {} if after is None else {"Retry-After": text}, self.body)


@dataclass(frozen=True)
class Redirect(Fault):
    """A redirect instead of the content.

    Attributes:
        to: ``Location``, sent unchanged: a URL, or a reference relative to the path.
        status: 301, 302, 303, 307 or 308.
    """

    to: str
    status: int = HTTPStatus.FOUND.value

    def _change(self, plan: Plan) -> None:
        plan.reply = Reply(self.status, {"Location": self.to}, b"elsewhere\n")


@dataclass(frozen=True)
class HangUp(Fault):
    """The connection is closed without an answer, as by a server that restarts."""

    def _change(self, plan: Plan) -> None:
        plan.hang_up = True


@dataclass(frozen=True)
class Delay(Fault):
    """The answer begins late.

    Attributes:
        seconds: The time before the first byte.
    """

    _least: ClassVar[Mapping[str, float]] = {"seconds": 0}

    seconds: float

    def _change(self, plan: Plan) -> None:
        plan.delay += self.seconds


@dataclass(frozen=True)
class SlowHead(Fault):
    """The status line and the headers arrive in small pieces.

    Attributes:
        seconds: The time that they take.
    """

    _least: ClassVar[Mapping[str, float]] = {"seconds": 0}

    seconds: float

    def _change(self, plan: Plan) -> None:
        plan.head_seconds += self.seconds


@dataclass(frozen=True)
class Truncate(Fault):
    """The connection is closed normally before the body is complete. The announced length is that of the whole body.

    Attributes:
        at: The number of bytes of the body that are sent.
    """

    _least: ClassVar[Mapping[str, float]] = {"at": 0}

    at: int

    def _change(self, plan: Plan) -> None:
        plan.cuts.append(Cut(self.at, "truncate"))


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (TCP RST). On Linux, only after the client's system has received all bytes sent before.

    Attributes:
        at: The number of bytes of the body that are sent.
    """

    _least: ClassVar[Mapping[str, float]] = {"at": 0}

    at: int

    def _change(self, plan: Plan) -> None:
        plan.cuts.append(Cut(self.at, "reset"))


@dataclass(frozen=True)
class Stall(Fault):
    """Nothing more arrives on an open connection, until `FaultyServer.release` is called, or the server closes.

    Attributes:
        at: The number of bytes of the body that are sent before.
    """

    _least: ClassVar[Mapping[str, float]] = {"at": 0}

    at: int

    def _change(self, plan: Plan) -> None:
        plan.cuts.append(Cut(self.at, "stall"))


@dataclass(frozen=True)
class Trickle(Fault):
    """The body arrives slowly but steadily, without a stall.

    Attributes:
        size: The number of bytes in a piece.
        every: Seconds from one piece to the next.
    """

    _least: ClassVar[Mapping[str, float]] = {"size": 1, "every": 0}

    size: int = 1
    every: float = 0.01

    def _change(self, plan: Plan) -> None:
        plan.pace = Pace(self.size, self.every)


@dataclass(frozen=True)
class Rate(Fault):
    """The body arrives at this rate at most, so several connections together are faster than one.

    Attributes:
        bytes_per_second: On each connection.
    """

    _least: ClassVar[Mapping[str, float]] = {"bytes_per_second": 1}

    bytes_per_second: float

    def _change(self, plan: Plan) -> None:
        size = max(1, min(_LARGEST_PIECE, int(self.bytes_per_second / _PIECES_A_SECOND)))
        plan.pace = Pace(size, size / self.bytes_per_second)


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """200 and all of the content, although a range was requested."""

    def _change(self, plan: Plan) -> None:
        plan.ignore_range = True


@dataclass(frozen=True)
class WrongContentRange(Fault):
    """206 with the requested bytes, and a wrong ``Content-Range``.

    Attributes:
        shift: Added to the first and the last position.
        total: The announced size of the whole. Default: the true size.
    """

    shift: int = 0
    total: int | None = None

    def _change(self, plan: Plan) -> None:
        plan.range_shift += self.shift
        plan.range_total = self.total


@dataclass(frozen=True)
class WrongLength(Fault):
    """A wrong ``Content-Length``. If it is too large, the connection is closed after the body.

    Attributes:
        by: Added to the true length; the result is never negative.
    """

    by: int

    def _change(self, plan: Plan) -> None:
        plan.length_by += self.by


@dataclass(frozen=True)
class NoLength(Fault):
    """A body without a length, which ends with the connection. Combined with `Truncate`, a client cannot notice it."""

    def _change(self, plan: Plan) -> None:
        plan.framing = "close"


@dataclass(frozen=True)
class Chunked(Fault):
    """A body in chunks, without a length. If it is truncated, the last chunk is missing."""

    def _change(self, plan: Plan) -> None:
        plan.framing = "chunked"


@dataclass(frozen=True)
class Compressed(Fault):
    """The body compressed by gzip, in chunks, although it was not requested. Offsets count the compressed bytes."""

    def _change(self, plan: Plan) -> None:
        plan.gzip = True


@dataclass(frozen=True)
class Changed(Fault):
    """From this request on, the path has other content, with other validators.

    Attributes:
        body: The new content. Default: the same number of bytes, each of them different.

    Raises:
        InvalidInputException: The body is neither bytes nor generated.
    """

    body: bytes | GeneratedBody | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.body is not None:
            body_of(self.body)

    def _change(self, plan: Plan) -> None:
        plan.changes.append(self.body)


@dataclass(frozen=True)
class FlipBit(Fault):
    """One bit of the content is wrong. A range without that byte is correct.

    Attributes:
        offset: The byte, counted in the whole content.
        bit: The bit in that byte: 0 to 7, the lowest first.

    Raises:
        InvalidInputException: There is no such bit.
    """

    _least: ClassVar[Mapping[str, float]] = {"offset": 0, "bit": 0}

    offset: int
    bit: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bit not in range(8):
            raise InvalidInputException("bit", f"of FlipBit is {self.bit}; give 0 to 7")

    def _change(self, plan: Plan) -> None:
        plan.flips.append((self.offset, self.bit))


@dataclass(frozen=True)
class Headers(Fault):
    """Other headers than the usual ones.

    Attributes:
        headers: By name; `None` removes one.

    Example:
        >>> from kamiwaza_sdk.testing import Headers
        >>> without_validators = Headers({"ETag": None, "Last-Modified": None})
    """

    headers: Mapping[str, str | None]

    def _change(self, plan: Plan) -> None:
        plan.headers.update(self.headers)


#: How an answer came out: ``open`` while it is on its way.
Outcome: TypeAlias = Literal["open", "complete", "truncated", "reset", "stalled", "abandoned", "closed"]


@dataclass(eq=False)
class RecordedRequest:
    """A request, and how its answer ended. The fields are filled in while the answer is sent.

    Attributes:
        method: Such as ``GET``.
        path: As it was requested, including the query.
        headers: Those of the request, with names in lower case.
        client: The port of the client: the same for all requests on one connection.
        status: Of the answer. `None` until it is sent.
        sent: The number of bytes of the body that were sent, whether or not the client has read them.
        outcome: ``open`` while it is sent; then ``complete``; ``truncated`` or ``reset`` by a fault; ``stalled`` while
            a fault holds it, and if it never continued; ``abandoned`` by the client; or ``closed`` with the server.
            When a client has received everything, it is ``complete``.
        body: The body of the request, at most its first MiB.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    client: int
    status: int | None = None
    sent: int = 0
    outcome: Outcome = "open"
    body: bytes = b""
