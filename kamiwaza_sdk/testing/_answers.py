"""Answers by RFC 9110, except for the faults of the request's plan."""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from http import HTTPStatus
from typing import Final, Literal

from kamiwaza_sdk.services.download.retries import parse_date
from kamiwaza_sdk.testing.bodies import Body, BytesBody, GeneratedBody


@dataclass(frozen=True)
class Reply:
    """An answer instead of the content."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Cut:
    """An event after a number of bytes of the body."""

    at: int
    kind: Literal["stall", "truncate", "reset"]


@dataclass(frozen=True)
class Pace:
    """The size of a piece, and the seconds that it takes."""

    size: int
    seconds: float


@dataclass
class Plan:
    """How one request is answered. Each fault changes its own part."""

    hang_up: bool = False
    delay: float = 0.0
    head_seconds: float = 0.0
    reply: Reply | None = None
    changes: list[bytes | GeneratedBody | None] = field(default_factory=list[bytes | GeneratedBody | None])
    headers: dict[str, str | None] = field(default_factory=dict[str, str | None])
    ignore_range: bool = False
    range_shift: int = 0
    range_total: int | None = None
    framing: Literal["length", "chunked", "close"] = "length"
    length_by: int = 0
    gzip: bool = False
    flips: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    pace: Pace | None = None
    cuts: list[Cut] = field(default_factory=list[Cut])


_RANGE: Final = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
_ETAG: Final = re.compile(r'(?:W/)?"[^"]*"')
_PIECE: Final = 1024**2
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)
_GZIP: Final = 16 + zlib.MAX_WBITS
_BODILESS: Final = frozenset({204, 304})


@dataclass(frozen=True)
class State:
    """The state of a path: the content, the number of its changes, and the path's own headers."""

    body: Body
    changes: int
    headers: Mapping[str, str | None]

    def described(self) -> dict[str, str | None]:
        """Return the headers that describe the content."""
        suffix = f".{self.changes}" if self.changes else ""
        return {
            "Content-Type": "application/octet-stream",
            "ETag": f'"{self.body.tag}{suffix}"',
            "Last-Modified": format_datetime(_BEGINNING + timedelta(hours=self.changes), usegmt=True),
            "Accept-Ranges": "bytes",
        }


@dataclass(frozen=True)
class Answer:
    """A status, headers, and a body. There are no pieces without a body, and no size if it is not known before."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes] | None
    size: int | None

    def head(self) -> bytes:
        """Return the status line and the headers."""
        phrase = next((status.phrase for status in HTTPStatus if status == self.status), "")
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(method: str, asked: Mapping[str, str], state: State, plan: Plan) -> Answer:
    """Return the answer to a GET or HEAD with these headers, whose names are in lower case."""
    if plan.reply is not None:
        body = BytesBody(plan.reply.body)
        return _Draft(plan.reply.status, plan.reply.headers, body, range(body.size)).finished(method, plan)
    described = _merged(state.described(), state.headers, plan.headers)
    if _is_current(asked, described):
        return _Draft(HTTPStatus.NOT_MODIFIED, described, state.body, range(0), state.headers).finished(method, plan)
    size = state.body.size
    part = None if method != "GET" or plan.ignore_range else _range(asked, described, size)
    if part is None:
        return _Draft(HTTPStatus.OK, described, state.body, range(size), state.headers).finished(method, plan)
    if not part:
        unsatisfied = {"Content-Range": f"bytes */{size}"}
        return _Draft(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, unsatisfied, state.body, part).finished(method, plan)
    described["Content-Range"] = _content_range(part, size, plan)
    return _Draft(HTTPStatus.PARTIAL_CONTENT, described, state.body, part, state.headers).finished(method, plan)


@dataclass(frozen=True)
class _Draft:
    """A part of a body with a status; `own` are the path's headers, which replace those that describe the body."""

    status: int
    headers: Mapping[str, str | None]
    body: Body
    part: range
    own: Mapping[str, str | None] = field(default_factory=dict[str, str | None])

    def finished(self, method: str, plan: Plan) -> Answer:
        """Return it with its framing, and with the faults of the plan."""
        bodiless = self.status in _BODILESS
        framing = {} if bodiless else _framing(len(self.part), plan)
        headers = _merged({"Date": formatdate(usegmt=True)}, self.headers, framing, self.own, plan.headers)
        shown = {name: value for name, value in headers.items() if value is not None}
        pieces = None if bodiless or method == "HEAD" else _pieces(self.body, self.part, plan)
        return Answer(int(self.status), shown, pieces, None if plan.gzip else len(self.part))


def _content_range(part: range, size: int, plan: Plan) -> str:
    total = size if plan.range_total is None else plan.range_total
    return f"bytes {part.start + plan.range_shift}-{part.stop - 1 + plan.range_shift}/{total}"


def _framing(size: int, plan: Plan) -> dict[str, str | None]:
    encoding: dict[str, str | None] = {"Content-Encoding": "gzip"} if plan.gzip else {}
    if plan.framing == "close":
        return {**encoding, "Connection": "close"}
    if plan.framing == "chunked" or plan.gzip:
        return {**encoding, "Transfer-Encoding": "chunked"}
    return {"Content-Length": str(max(0, size + plan.length_by))}


def _merged(*layers: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return headers in which later layers replace earlier ones, whatever the case of their names."""
    merged: dict[str, tuple[str, str | None]] = {}
    for layer in layers:
        merged.update({name.lower(): (name, value) for name, value in layer.items()})
    return dict(merged.values())


def _is_current(asked: Mapping[str, str], described: Mapping[str, str | None]) -> bool:
    """Whether the client has this content already (RFC 9110, 13.1): ``If-None-Match`` decides if it is given."""
    header = {name.lower(): value for name, value in described.items()}
    tags, since = asked.get("if-none-match"), _moment(asked.get("if-modified-since"))
    if tags is not None:
        etag = header.get("etag")
        opaque = [tag.removeprefix("W/") for tag in _ETAG.findall(tags)]
        return etag is not None and (tags.strip() == "*" or etag.removeprefix("W/") in opaque)
    modified = _moment(header.get("last-modified"))
    return since is not None and modified is not None and modified <= since


def _range(asked: Mapping[str, str], described: Mapping[str, str | None], size: int) -> range | None:
    """Return the requested part: `None` for all of it, empty if it cannot be satisfied (RFC 9110, 14.2)."""
    match = _RANGE.fullmatch(asked.get("range", "").replace(" ", ""))
    if match is None or match.groups() == ("", "") or not _same(asked.get("if-range"), described):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1) if last else size)


def _same(condition: str | None, described: Mapping[str, str | None]) -> bool:
    """Whether ``If-Range`` holds: only with strong validators, and with exactly equal dates."""
    header = {name.lower(): value for name, value in described.items()}
    if condition is None:
        return True
    return not condition.startswith("W/") and condition in {header.get("etag"), header.get("last-modified")}


def _moment(date: str | None) -> datetime | None:
    moment = None if date is None else parse_date(date)
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _pieces(body: Body, part: range, plan: Plan) -> Iterator[bytes]:
    pieces = _flipped(body, part, plan)
    return _gzipped(pieces) if plan.gzip else pieces


def _flipped(body: Body, part: range, plan: Plan) -> Iterator[bytes]:
    for start in range(part.start, part.stop, _PIECE):
        piece = body.read(start, min(start + _PIECE, part.stop))
        for offset, bit in plan.flips:
            if plan.reply is None and start <= offset < start + len(piece):
                flipped = bytearray(piece)
                flipped[offset - start] ^= 1 << bit
                piece = bytes(flipped)
        yield piece


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(level=1, wbits=_GZIP)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()
