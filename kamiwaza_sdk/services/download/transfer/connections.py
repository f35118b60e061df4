"""Several connections for one large file, where one connection is the bottleneck.

A transfer begins with one connection. If it will take more than two seconds, and nothing on this side holds it up, the
number is doubled every quarter of a second, as long as the rate grows by at least half of the ideal. From then on each
connection brings parts of eight megabytes, in order, at most one part per connection beyond the hashed bytes. One
thread writes and hashes them all. A connection that is too far ahead takes half of what the last one has left. A
connection that fails gives back the rest of its part and is not replaced; the last one's error is the attempt's.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from typing import Final

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.download.exceptions import DownloadDiskException, DownloadException
from kamiwaza_sdk.services.download.http.responses import Exchange, next_piece
from kamiwaza_sdk.services.download.transfer.resources import Slots
from kamiwaza_sdk.services.download.transfer.source import NoPartsException, Source
from kamiwaza_sdk.services.download.transfer.write import SLOT_SIZE, FileSink, Lane

#: Bytes of a part.
PART: Final = 8 * 1024**2


class Parts:
    """The parts of a file that nobody brings yet, in order.

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
        """Whether there is none."""
        return not self._rests and self._next == self._total

    def take(self, *, within: int) -> tuple[int, int] | None:
        """Return where the next one begins and ends, unless it would end beyond `within`."""
        if self._rests:
            return heapq.heappop(self._rests)
        begin, end = self._next, min(self._next + PART, self._total)
        if begin == end or end > within:
            return None
        self._next = end
        return begin, end

    def give_back(self, begin: int, end: int) -> None:
        """Have the rest of a part brought by somebody else."""
        if begin < end:
            heapq.heappush(self._rests, (begin, end))


#: Half of what passes from one look at the rate to the next decision: what counts is the second half.
_TICK: Final = 0.125
#: How much must be left of a part that is divided: two slots, as no end may come closer than what is received next.
#: Measured with 16 MiB/s a connection, up to eight, and every eighth part at a quarter of that: 30 MiB/s without
#: dividing, 65 with twice as much, 74 with this; 104 where all are equal.
_LARGE: Final = 2 * SLOT_SIZE
#: What is over sooner is not worth another connection, in seconds.
_SOON: Final = 2.0


class Swarm:
    """Brings the rest of one body.

    Args:
        source: Where the parts come from.
        limit: How many connections there may be.
        slots: Where each but the first borrows leave to have a request under way, as long as nobody else wants it.

    Attributes:
        spread: Whether there was more than one connection.
    """

    def __init__(self, source: Source, *, limit: int, slots: Slots) -> None:
        self.spread: bool = False
        self._source = source
        self._exchange: Exchange = source.exchange
        self._limit = limit
        self._slots = slots
        self._borrowed = 0
        self._workers: list[asyncio.Task[None]] = []
        self._fresh: set[asyncio.Task[None] | None] = set()
        self._busy: set[Lane] = set()
        self._growing = True
        self._goal = 0.0
        self._ticks = self._waits = 0

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
        self._total = sink.lane.left + sink.lane.at
        self._parts = Parts(self._total, self._total)
        self._loop = asyncio.get_running_loop()
        self._looked, self._seen = self._loop.time(), self._exchange.received
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
        if self._loop.time() - self._looked >= _TICK:
            self._look()

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
            self._slots.release()

    def _look(self) -> None:
        """Measure, and change the number of connections where there is reason to."""
        now, received = self._loop.time(), self._exchange.received
        rate = (received - self._seen) / (now - self._looked)
        self._looked, self._seen = now, received
        self._make_way()
        self._ticks = 0 if self._fresh else self._ticks + 1
        if self._growing and self._ticks and self._ticks % 2 == 0:
            self._judge(rate)

    def _make_way(self) -> None:
        """End as many as others wait for; once they have what they want, begin growing anew."""
        for worker in self._workers[1:][-self._slots.wanted :] if self._slots.wanted else ():
            worker.cancel()
            self._growing, self._goal = True, 0.0

    def _judge(self, rate: float) -> None:
        waits, left = self._sink.lane.waits, self._total - self._exchange.received
        held_up, self._waits = waits > self._waits, waits
        if held_up or not rate or left <= rate * _SOON:
            return
        if rate < self._goal:
            self._growing = False
            return
        before = len(self._workers)
        self._grow(min(2 * before, self._limit, -(-left // PART)))
        if len(self._workers) > before:
            self._goal = rate * (1 + len(self._workers) / before) / 2

    def _grow(self, wanted: int) -> None:
        while len(self._workers) < wanted and self._slots.borrow():
            self._borrowed += 1
            worker = self._loop.create_task(self._work())
            self._workers.append(worker)
            self._fresh.add(worker)
            if not self.spread:
                self._spread()

    def _spread(self) -> None:
        """Let the first connection end with a part, which leaves time for an answer that there are none."""
        lane = self._sink.lane
        lane.end = min(-(-(lane.at + PART // 2) // PART) * PART, self._total)
        self._busy.add(lane)
        self._parts = Parts(lane.end, self._total)
        self.spread = True

    async def _begin(self, receive: Callable[[], Awaitable[None]]) -> None:
        try:
            try:
                await receive()
            finally:
                self._return(self._sink.lane, self._parts)
            await self._bring()
        except (DownloadException, NoPartsException) as error:
            self._drop(error)

    async def _work(self) -> None:
        try:
            await self._bring()
        except (DownloadException, NoPartsException) as error:
            self._drop(error)

    def _drop(self, error: DownloadException | NoPartsException) -> None:
        """Do with one less, if there is another, and parts are to be had."""
        self._growing = False
        others = {worker for worker in self._workers if not (worker.done() or worker.cancelling())}
        others.discard(asyncio.current_task())
        useless = isinstance(error, NoPartsException)
        if (useless or others == {self._first}) and self._rejoin(others):
            return
        if useless or not others or isinstance(error, DownloadDiskException):
            raise error

    def _rejoin(self, others: set[asyncio.Task[None]]) -> bool:
        """Let the first connection bring all the rest, if it is still there and nothing came by any other."""
        lane = self._sink.lane
        if self._first not in others or not lane.left or self._exchange.received != lane.at:
            return False
        for worker in others - {self._first}:
            worker.cancel()
        lane.end, self._parts, self.spread = self._total, Parts(self._total, self._total), False
        return True

    async def _bring(self) -> None:
        parts = self._parts
        if not self.spread:
            return
        with self._sink.another(self._limit) as lane:
            while part := await self._next(parts):
                lane.move(*part)
                self._busy.add(lane)
                try:
                    await self._fetch(lane)
                finally:
                    self._return(lane, parts)

    async def _next(self, parts: Parts) -> tuple[int, int] | None:
        """Return the next part, or, where that would be too far ahead, half of what keeps the others waiting."""
        while True:
            part = parts.take(within=self._sink.size + len(self._workers) * PART) or self._half()
            if part is not None or parts.taken:
                return part
            self._sink.moved.clear()
            await self._sink.moved.wait()
            self._sink.check()

    def _half(self) -> tuple[int, int] | None:
        hindmost = min(self._busy, key=lambda lane: lane.at, default=None)
        if hindmost is None or hindmost.left < _LARGE:
            return None
        middle, end = hindmost.at + hindmost.left // 2, hindmost.at + hindmost.left
        hindmost.end = middle
        return middle, end

    async def _fetch(self, lane: Lane) -> None:
        async with self._source.part(lane.at, lane.at + lane.left) as response:
            while lane.left:
                piece = await next_piece(response.content, self._exchange)
                self._fresh.discard(asyncio.current_task())
                if not piece:
                    raise self._exchange.interrupted("the body broke off")
                await self._write(lane, piece)

    async def _write(self, lane: Lane, piece: bytes) -> None:
        before = lane.at
        try:
            await lane.write(piece)
        finally:
            self._exchange.received += lane.at - before

    def _return(self, lane: Lane, parts: Parts) -> None:
        """Let somebody else bring what is missing, if anything is."""
        lane.flush()
        self._busy.discard(lane)
        parts.give_back(lane.at, lane.at + lane.left)
        self._sink.moved.set()
