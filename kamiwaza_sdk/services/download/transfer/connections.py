"""Several connections for one large file, if a single connection is the limit of its speed.

A transfer begins with one connection. Sixteen times a second the rate is looked at. If the rest would take longer than
one second, and nothing on our side is the limit, there are four times as many connections from then on, as long as the
rate grows by half each time; once it may stay flat, as servers send in bursts. Our side is the limit if the ring buffer
was full, or the thread of the event loop was busy; that much arrives at once says nothing. Each connection then brings
segments of eight megabytes, in order. No segment is requested that ends
further behind the hashed bytes than one segment for each connection. One thread writes and hashes all of them. A
connection that is too far ahead takes half of the rest of the segment that keeps the others waiting. A connection that
fails gives back the rest of its segment, and is not replaced. The error of the last one ends the attempt.
"""

import asyncio
import heapq
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.download.exceptions import DownloadDiskException, DownloadException
from kamiwaza_sdk.services.download.http.client import ConnectionLimiter, Network
from kamiwaza_sdk.services.download.http.requests import Exchange, Rest, answer, next_piece
from kamiwaza_sdk.services.download.partial.journal import Header, sendable
from kamiwaza_sdk.services.download.transfer.write import SLOT_SIZE, FileSink, RingBuffer

if TYPE_CHECKING:
    from yarl import URL


_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


class RestartRequired(Exception):
    """The server does not send the rest of the same content."""


def content_range(response: aiohttp.ClientResponse) -> tuple[int, int, int | None] | None:
    """Return the first and last byte and the size of the file in ``Content-Range`` (RFC 9110, section 14.4)."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return None if match is None else (int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3]))


def continues(response: aiohttp.ClientResponse, header: Header, *, offset: int, end: int | None = None) -> bool:
    """Return whether the body goes on at `offset`; otherwise it is all of the file.

    A server may ignore that a part was asked for. What it may not do is to answer with another part than it says; then
    nothing it sends is used. Whether it is a part of the same content is for `names_same` to tell, or for a digest.

    Args:
        response: The answer.
        header: Which content is here.
        offset: How much of it.
        end: Where the part that was asked for ends. Default: with the file.

    Raises:
        RestartRequired: It cannot give the rest (416), or what it says of it does not fit what is here.
    """
    if response.status == HTTPStatus.OK:
        return False
    if response.status == HTTPStatus.PARTIAL_CONTENT and _fits(response, header, offset=offset, end=end):
        return True
    raise RestartRequired


def names_same(response: aiohttp.ClientResponse, header: Header) -> bool:
    """Return whether a 206 names the content that the same server named before.

    Some servers ignore ``If-Range``, and send a part of what the file has become. So no validator may differ, and the
    strong one has to be said again: RFC 9110 (15.3.7) demands that of an ``ETag``, and allows to leave out a
    ``Last-Modified`` beside it.
    """
    etag, last_modified = (sendable(response.headers.get(name)) for name in ("ETag", "Last-Modified"))
    same = etag in {header.etag, None} and last_modified in {header.last_modified, None}
    return same and header.condition in {etag, last_modified, None}


def _fits(response: aiohttp.ClientResponse, header: Header, *, offset: int, end: int | None) -> bool:
    told = content_range(response)
    if told is None:
        return False
    start, last, total = told
    whole = header.size if total is None else total
    stop = whole if end is None else end
    return (
        start == offset
        and whole == (whole if header.size is None else header.size)
        and last + 1 == stop  # where nobody says how long it is, nobody can tell whether this is all of the rest
        and response.content_length in {None, last + 1 - start}
    )


class NoSegmentsException(Exception):
    """The server does not send a segment, or not one of the same content."""


def accepts_ranges(response: aiohttp.ClientResponse) -> bool:
    """Return whether the server accepts requests for ranges of the file (RFC 9110, section 14.3)."""
    units = response.headers.get("Accept-Ranges", "").lower().split(",")
    return response.status == HTTPStatus.PARTIAL_CONTENT or "bytes" in map(str.strip, units)


@dataclass(frozen=True, slots=True)
class SegmentSource:
    """Requests segments of one content at one URL.

    Attributes:
        network: What the requests go through.
        url: The URL.
        header: The expected content.
        named: Whether the server gave it a validator. If not, the digest of the whole file must verify it.
        exchange: The timeouts and the progress.
    """

    network: Network
    url: "URL"
    header: Header
    named: bool
    exchange: Exchange

    @asynccontextmanager
    async def part(self, begin: int, end: int) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Yield an answer whose body is the bytes from `begin` to before `end`.

        Raises:
            NoPartsException: It is anything else.
            DownloadException: As by `answer`.
        """
        rest = Rest(begin, self.header.condition if self.named else None, end)
        async with await answer(self.network, self.url, exchange=self.exchange, rest=rest) as response:
            try:
                given = continues(response, self.header, offset=begin, end=end)
            except RestartRequired:
                given = False
            if not given or (self.named and not names_same(response, self.header)):
                raise NoSegmentsException
            yield response


#: Bytes of a part.
SEGMENT_SIZE: Final = 8 * 1024**2


class SegmentQueue:
    """The segments of a file that no connection has taken yet, in order.

    Args:
        start: Where the first begins.
        total: Where the last ends.
    """

    def __init__(self, start: int, total: int) -> None:
        self._next = start
        self._total = total
        self._rests: list[tuple[int, int]] = []

    @property
    def taken(self) -> bool:
        """Whether all segments are taken."""
        return not self._rests and self._next == self._total

    def take(self, *, within: int) -> tuple[int, int] | None:
        """Return where the next one begins and ends, unless it would end beyond `within`."""
        if self._rests:
            return heapq.heappop(self._rests)
        begin, end = self._next, min(self._next + SEGMENT_SIZE, self._total)
        if begin == end or end > within:
            return None
        self._next = end
        return begin, end

    def give_back(self, begin: int, end: int) -> None:
        """Return the rest of a segment to the queue."""
        if begin < end:
            heapq.heappush(self._rests, (begin, end))


#: Seconds from one look at the rate to the next.
_TICK: Final = 1 / 16
_GROWTH: Final = 4
#: By what the rate grows at least where more connections are of use.
_GAIN: Final = 1.5
#: The share of a processor from which on the event loop is too busy to receive more.
_BUSY: Final = 0.8
#: How much must be left of a part that is divided: two slots, as no end may come closer than what is received next.
#: Measured with 16 MiB/s a connection, up to eight, and every eighth part at a quarter of that: 30 MiB/s without
#: dividing, 65 with twice as much, 74 with this; 104 where all are equal.
_LARGE: Final = 2 * SLOT_SIZE
#: What is over sooner is not worth another connection, in seconds.
_SOON: Final = 1.0


class _Rate:
    """The rate of what is received, since some moment.

    Args:
        received: How many bytes there were at that moment.
    """

    def __init__(self, received: int) -> None:
        self._at = time.monotonic()
        self._received = received

    def until_now(self, received: int) -> float:
        """Return the bytes of a second."""
        return (received - self._received) / max(time.monotonic() - self._at, 1e-9)


@dataclass(frozen=True, slots=True)
class _Look:
    """What our side was like at one moment.

    Attributes:
        at: When that was.
        processor: Seconds that the thread of the event loop had run by then.
        waits: How often received bytes had waited for a free slot of the ring buffer by then.
        is_full: Whether they waited for one.
    """

    at: float
    processor: float
    waits: int
    is_full: bool = field(kw_only=True)


class ParallelReceiver:
    """Receives the rest of one body over several connections.

    Args:
        source: Requests the segments.
        limit: The largest number of connections.
        slots: Where each but the first borrows leave to have a request under way, as long as nobody else wants it.

    Attributes:
        spread: Whether there was more than one connection.
    """

    def __init__(self, source: SegmentSource, *, limit: int, limiter: ConnectionLimiter) -> None:
        self.spread: bool = False
        self._source = source
        self._exchange: Exchange = source.exchange
        self._limit = limit
        self._limiter = limiter
        self._borrowed = 0
        self._workers: list[asyncio.Task[None]] = []
        self._fresh: set[asyncio.Task[None] | None] = set()
        self._busy: set[RingBuffer] = set()
        self._begin_growing()

    async def run(self, sink: FileSink, receive: Callable[[], Awaitable[None]], report: Callable[[], None]) -> None:
        """Return once all is received.

        Args:
            sink: Where it goes.
            receive: Receives with the first connection, up to the end of the sink's own lane.
            report: Called when there may be news.

        Raises:
            NoPartsException: There is more to come, but not in parts.
            DownloadException: Nothing is left that could bring it.
        """
        self._sink = sink
        self._total = sink.ring.left + sink.ring.at
        self._segments = SegmentQueue(self._total, self._total)
        self._loop = asyncio.get_running_loop()
        self._looked = _Look(self._loop.time(), time.thread_time(), 0, is_full=False)
        self._average = self._recent = _Rate(self._exchange.received)
        self._first = self._loop.create_task(self._begin(receive))
        self._workers.append(self._first)
        try:
            while self._workers:
                await self._tend()
                report()
        finally:
            await self._end()

    async def _tend(self) -> None:
        done, _ = await asyncio.wait(self._workers, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
        self._workers = [worker for worker in self._workers if worker not in done]
        self._fresh -= done
        self._give_back()
        errors = [worker.exception() for worker in done if not worker.cancelled()]  # by us, for somebody who waited
        for error in filter(None, errors):
            raise error
        if self._loop.time() - self._looked.at >= _TICK:
            self._measure()

    async def _end(self) -> None:
        for worker in self._workers:
            worker.cancel()
        cancelled = await settled(asyncio.gather(*self._workers, return_exceptions=True))
        self._workers.clear()
        self._give_back()
        if cancelled is not None:
            raise cancelled

    def _give_back(self) -> None:
        while self._borrowed > max(0, len(self._workers) - 1):
            self._borrowed -= 1
            self._limiter.release()

    def _measure(self) -> None:
        """Look at the rate, and adapt the number of connections."""
        is_held_up = self._is_held_up()
        self._yield_connections()
        if self._fresh:
            self._recent = _Rate(self._exchange.received)
        elif self._growing and not is_held_up:
            self._decide_growth()

    def _is_held_up(self) -> bool:
        """Return whether our side was the limit since the last look, or at that moment."""
        ring = self._sink.ring
        before, now = self._looked, _Look(self._loop.time(), time.thread_time(), ring.waits, is_full=ring.is_full)
        self._looked = now
        is_busy = now.processor - before.processor > _BUSY * (now.at - before.at)
        return is_busy or before.is_full or now.is_full or now.waits > before.waits

    def _yield_connections(self) -> None:
        """End as many as others wait for; once they have what they want, begin growing anew."""
        for worker in self._workers[1:][-self._limiter.wanted :] if self._limiter.wanted else ():
            worker.cancel()
            self._begin_growing()

    def _begin_growing(self) -> None:
        self._growing, self._goal, self._was_flat = True, 0.0, False

    def _decide_growth(self) -> None:
        received, before = self._exchange.received, len(self._workers)
        left, rate = self._total - received, self._recent.until_now(received)
        # The average, as what has just been added may begin with a burst.
        if not rate or left <= _SOON * self._average.until_now(received):
            return
        if rate < self._goal:
            self._growing, self._was_flat = not self._was_flat, True
        if self._growing:
            self._grow(min(_GROWTH * before, self._limit, -(-left // SEGMENT_SIZE)))
        if len(self._workers) > before:
            self._goal, self._recent = _GAIN * rate, _Rate(received)

    def _grow(self, wanted: int) -> None:
        while len(self._workers) < wanted and self._limiter.borrow():
            self._borrowed += 1
            worker = self._loop.create_task(self._work())
            self._workers.append(worker)
            self._fresh.add(worker)
            if not self.spread:
                self._spread()

    def _spread(self) -> None:
        """Let the first connection end with a part, which leaves time for an answer that there are none."""
        ring = self._sink.ring
        begin = min(-(-(ring.at + SEGMENT_SIZE // 2) // SEGMENT_SIZE) * SEGMENT_SIZE, self._total)
        ring.end_at(begin)
        self._busy.add(ring)
        self._segments = SegmentQueue(begin, self._total)
        self.spread = True

    async def _begin(self, receive: Callable[[], Awaitable[None]]) -> None:
        try:
            try:
                await receive()
            finally:
                self._return(self._sink.ring, self._segments)
            await self._bring()
        except (DownloadException, NoSegmentsException) as error:
            self._lose_connection(error)

    async def _work(self) -> None:
        try:
            await self._bring()
        except (DownloadException, NoSegmentsException) as error:
            self._lose_connection(error)

    def _lose_connection(self, error: DownloadException | NoSegmentsException) -> None:
        """Do with one less, if there is another, and parts are to be had."""
        self._growing = False
        others = {worker for worker in self._workers if not (worker.done() or worker.cancelling())}
        others.discard(asyncio.current_task())
        useless = isinstance(error, NoSegmentsException)
        if (useless or others == {self._first}) and self._rejoin(others):
            return
        if useless or not others or isinstance(error, DownloadDiskException):
            raise error

    def _rejoin(self, others: set[asyncio.Task[None]]) -> bool:
        """Let the first connection bring all the rest, if it is still there and nothing came by any other."""
        ring = self._sink.ring
        if self._first not in others or not ring.left or self._exchange.received != ring.at:
            return False
        for worker in others - {self._first}:
            worker.cancel()
        ring.end, self._segments, self.spread = self._total, SegmentQueue(self._total, self._total), False
        return True

    async def _bring(self) -> None:
        segments = self._segments
        if not self.spread:
            return
        with self._sink.another(self._limit) as ring:
            while part := await self._next(segments):
                ring.move(*part)
                self._busy.add(ring)
                try:
                    await self._fetch(ring)
                finally:
                    self._return(ring, segments)

    async def _next(self, segments: SegmentQueue) -> tuple[int, int] | None:
        """Return the next part, or, where that would be too far ahead, half of what keeps the others waiting."""
        while True:
            part = segments.take(within=self._sink.size + len(self._workers) * SEGMENT_SIZE) or self._half()
            if part is not None or segments.taken:
                return part
            self._sink.moved.clear()
            await self._sink.moved.wait()
            self._sink.check()

    def _half(self) -> tuple[int, int] | None:
        hindmost = min(self._busy, key=lambda ring: ring.at, default=None)
        if hindmost is None or hindmost.left < _LARGE:
            return None
        middle, end = hindmost.at + hindmost.left // 2, hindmost.at + hindmost.left
        hindmost.end_at(middle)
        return middle, end

    async def _fetch(self, ring: RingBuffer) -> None:
        async with self._source.part(ring.at, ring.at + ring.left) as response:
            while ring.left:
                piece = await next_piece(response.content, self._exchange)
                self._fresh.discard(asyncio.current_task())
                if not piece:
                    raise self._exchange.interrupted("the body broke off")
                await self._write(ring, piece)

    async def _write(self, ring: RingBuffer, piece: bytes) -> None:
        before = ring.at
        try:
            await ring.write(piece)
        finally:
            self._exchange.advance(ring.at - before)

    def _return(self, ring: RingBuffer, segments: SegmentQueue) -> None:
        """Let somebody else bring what is missing, if anything is."""
        ring.flush()
        self._busy.discard(ring)
        segments.give_back(ring.at, ring.at + ring.left)
        self._sink.moved.set()
