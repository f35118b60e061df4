"""Faults of a `FaultyServer`'s answers, and its record of requests.

Several faults can be combined, as a tuple, for one request.

Offsets named ``at`` count the bytes of the body that this answer sends, whatever range it is of; an answer that has
fewer is not affected. In an answer without a body (to HEAD, or 304) nothing happens to the body.
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
    """What one request's answer has wrong with it. Each is a frozen dataclass, so it can be used again anywhere."""

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
    """Another status in place of the content.

    Attributes:
        status: The HTTP status.
        retry_after: ``Retry-After``: seconds, or a moment (aware), or a text to be sent as it is.
        body: What is sent along.

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
    """A redirect in place of the content.

    Attributes:
        to: ``Location``, as it is sent: a URL, or a reference relative to the path.
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
    """Nothing for a while, then the answer.

    Attributes:
        seconds: How long the first byte takes.
    """

    _least: ClassVar[Mapping[str, float]] = {"seconds": 0}

    seconds: float

    def _change(self, plan: Plan) -> None:
        plan.delay += self.seconds


@dataclass(frozen=True)
class SlowHead(Fault):
    """The status line and the headers come in small pieces.

    Attributes:
        seconds: How long they take.
    """

    _least: ClassVar[Mapping[str, float]] = {"seconds": 0}

    seconds: float

    def _change(self, plan: Plan) -> None:
        plan.head_seconds += self.seconds


@dataclass(frozen=True)
class Truncate(Fault):
    """The connection is closed in an orderly way before the body is whole. What was announced stays announced.

    Attributes:
        at: How many bytes of the body are sent.
    """

    _least: ClassVar[Mapping[str, float]] = {"at": 0}

    at: int

    def _change(self, plan: Plan) -> None:
        plan.cuts.append(Cut(self.at, "truncate"))


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (TCP RST). On Linux not before the client's system has every byte sent until then.

    Attributes:
        at: How many bytes of the body are sent.
    """

    _least: ClassVar[Mapping[str, float]] = {"at": 0}

    at: int

    def _change(self, plan: Plan) -> None:
        plan.cuts.append(Cut(self.at, "reset"))


@dataclass(frozen=True)
class Stall(Fault):
    """Silence on an open connection, until `FaultyServer.release` lets it go on, or the server closes.

    Attributes:
        at: How many bytes of the body are sent before.
    """

    _least: ClassVar[Mapping[str, float]] = {"at": 0}

    at: int

    def _change(self, plan: Plan) -> None:
        plan.cuts.append(Cut(self.at, "stall"))


@dataclass(frozen=True)
class Trickle(Fault):
    """The body comes slowly but steadily: no stall.

    Attributes:
        size: How many bytes come at once.
        every: Seconds from one piece to the next.
    """

    _least: ClassVar[Mapping[str, float]] = {"size": 1, "every": 0}

    size: int = 1
    every: float = 0.01

    def _change(self, plan: Plan) -> None:
        plan.pace = Pace(self.size, self.every)


@dataclass(frozen=True)
class Rate(Fault):
    """The body comes no faster than this; so several connections together are faster than one.

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
    """200 and all of the content, although a range was asked for."""

    def _change(self, plan: Plan) -> None:
        plan.ignore_range = True


@dataclass(frozen=True)
class WrongContentRange(Fault):
    """206 with the bytes asked for, and a ``Content-Range`` that says otherwise.

    Attributes:
        shift: Added to the first and the last position.
        total: What is said to be the size of the whole. Default: the truth.
    """

    shift: int = 0
    total: int | None = None

    def _change(self, plan: Plan) -> None:
        plan.range_shift += self.shift
        plan.range_total = self.total


@dataclass(frozen=True)
class WrongLength(Fault):
    """A ``Content-Length`` that is not the body's. Where it promises more, the connection is closed after the body.

    Attributes:
        by: Added to the truth, which is never made negative.
    """

    by: int

    def _change(self, plan: Plan) -> None:
        plan.length_by += self.by


@dataclass(frozen=True)
class NoLength(Fault):
    """A body without a length, which ends with the connection: combined with `Truncate`, nobody can tell."""

    def _change(self, plan: Plan) -> None:
        plan.framing = "close"


@dataclass(frozen=True)
class Chunked(Fault):
    """A body in chunks, without a length. Truncated, it lacks the last chunk."""

    def _change(self, plan: Plan) -> None:
        plan.framing = "chunked"


@dataclass(frozen=True)
class Compressed(Fault):
    """The body compressed by gzip, in chunks, although nobody asked for it. Offsets count what is sent."""

    def _change(self, plan: Plan) -> None:
        plan.gzip = True


@dataclass(frozen=True)
class Changed(Fault):
    """From this request on the path has other content, with other validators.

    Attributes:
        body: The new content. Default: as many bytes as before, each of them another.

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
    """One bit of the content is wrong. A range without that byte is right.

    Attributes:
        offset: Which byte of the whole content.
        bit: Which bit of it: 0 to 7, the lowest first.

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
    """Other headers, whatever they would have been.

    Attributes:
        headers: By name; `None` leaves one out.

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
    """A request and what became of its answer, which is filled in as it goes.

    Attributes:
        method: ``GET``, for one.
        path: As it was asked for, query and all.
        headers: The request's. Their names are in lower case.
        client: The port that the client sent it from: the same for all requests of one connection.
        status: Of the answer. `None` until it is sent.
        sent: How many bytes of the body were sent, whether or not the client took them.
        outcome: ``open`` while it is on its way; then ``complete``; ``truncated`` or ``reset`` by a fault; ``stalled``
            while a fault holds it, and if it never went on; ``abandoned`` by the client; or ``closed`` with the server.
            A client that has everything finds ``complete``.
        body: What was sent along, no more than its first MiB.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    client: int
    status: int | None = None
    sent: int = 0
    outcome: Outcome = "open"
    body: bytes = b""
