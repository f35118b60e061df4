"""A ring buffer of received bytes, that a thread hashes and writes into the partial file.

The event loop receives into a free slot of the ring, and hands it over when it is full. It waits only while no slot is
free. Handing over the pieces themselves would save a copy but cost more: they are a tenth as large, so the two threads
would contend for the interpreter's lock ten times as often, each time with new memory.

One thread hashes and writes, for any number of connections: both release the interpreter's lock, and the bytes are
still in the CPU's cache.
"""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, Protocol, Self

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.download.partial.file import Partial


class Writer(Protocol):
    """Writes full slots into a file."""

    def check(self) -> None:
        """Raise the error of the writer, if it failed."""

    def put(self, filled: "Filled") -> None:
        """Write the slot later, and give it back to its ring."""


class RingBuffer:
    """A ring buffer for one segment of the file, whose bytes arrive in order.

    Args:
        writer: Writes the full slots.
        at: The offset of the segment in the file.
        slot_size: Bytes of a slot.
        slots: The largest number of slots.

    Attributes:
        at: The offset of the next byte.
        end: The offset after the last byte, if known.
        waits: How often received bytes had to wait for a free slot.
    """

    def __init__(self, writer: Writer, at: int = 0, *, slot_size: int, slots: int) -> None:
        self.at: int = at
        self.end: int | None = None
        self.waits: int = 0
        self._writer = writer
        self._slot_size = slot_size
        self._unmade = slots
        self._free: list[bytearray] = []
        self._slot: bytearray | None = None
        self._filled = 0
        self._news = asyncio.Event()
        self._on_room: Callable[[], None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no slot is free."""
        return self._slot is None and not self._free and not self._unmade

    @property
    def left(self) -> int:
        """The number of bytes missing up to the end."""
        assert self.end is not None, "used only where the end is known"
        return self.end - self.at

    def move(self, at: int, end: int) -> None:
        """Begin another segment."""
        self.flush()
        self.at, self.end = at, end

    async def write(self, piece: bytes) -> None:
        """Copy `piece` into the ring, waiting while it is full. Bytes behind the end of the segment are dropped.

        Raises:
            DownloadDiskException: Something before it could not be written.
        """
        rest = memoryview(piece)
        while rest := rest if self.end is None else rest[: self.left]:
            while (room := self.room()) is None:
                self._news.clear()
                await self._news.wait()
            taken = min(len(rest), len(room))
            room[:taken] = rest[:taken]
            self.advance(taken)
            rest = rest[taken:]

    def room(self) -> memoryview | None:
        """Return where the next bytes go, or `None` while the ring is full.

        Raises:
            DownloadDiskException: Something before could not be written.
        """
        self._writer.check()
        if self._slot is None:
            if self._free:
                self._slot = self._free.pop()
            elif self._unmade:
                self._unmade -= 1
                self._slot = bytearray(self._slot_size)
            else:
                self.waits += 1
                return None
        return memoryview(self._slot)[self._filled :]

    def end_at(self, end: int) -> None:
        """Set where the segment ends."""
        self.end = end

    def advance(self, count: int) -> None:
        """Add `count` bytes, written where `room` said."""
        self.at += count
        self._filled += count
        if self._filled == self._slot_size:
            self.flush()

    def notify(self, on_room: Callable[[], None] | None) -> None:
        """Have `on_room` called once, when there is room again, or never will be."""
        self._on_room = on_room

    def flush(self) -> None:
        """Hand over the current slot."""
        if self._slot is not None and self._filled:
            self._writer.put(Filled(self, self._slot, self._filled, self.at - self._filled))
            self._slot, self._filled = None, 0

    def give_back(self, slot: bytearray) -> None:
        """Use a slot again."""
        self._free.append(slot)
        self.wake()

    def wake(self) -> None:
        """Wake up those that wait for room."""
        self._news.set()
        on_room, self._on_room = self._on_room, None
        if on_room is not None:
            on_room()


@dataclass(frozen=True, slots=True)
class Filled:
    """A slot to be written: its first `count` bytes belong at `offset`."""

    ring: RingBuffer
    slot: bytearray
    count: int
    offset: int


SLOT_SIZE: Final = 1024**2
_SMALL: Final = 64 * 1024


class FileSink:
    """Writes into a partial file, in a thread.

    An asynchronous context manager. Whatever happens inside, afterwards the thread is done, and all that was received
    is in the partial file, but for what has a gap before it, unless the disk refused it.

    Args:
        partial: Where the bytes go.
        buffer_size: How large the ring may grow.
        threads: Where to find a thread; one is occupied from entering to leaving.
        ready: What to do in that thread before the first byte.

    Attributes:
        ring: Takes the bytes that follow the partial file.
        moved: Set when a slot has been written.
    """

    def __init__(self, partial: Partial, *, buffer_size: int, threads: Executor, ready: Callable[[], None]) -> None:
        slot_size = min(SLOT_SIZE, buffer_size // 4)
        self.ring: RingBuffer = RingBuffer(self, partial.offset, slot_size=slot_size, slots=buffer_size // slot_size)
        self.moved: asyncio.Event = asyncio.Event()
        self._rings = [self.ring]
        self._partial = partial
        self._buffer_size = buffer_size
        self._full: SimpleQueue[Filled | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._threads = threads
        self._ready = ready
        self._written: asyncio.Future[None] | None = None

    @property
    def size(self) -> int:
        """How many bytes are written and hashed, with none missing before them."""
        return self._partial.offset

    async def __aenter__(self) -> Self:
        self._written = self._loop.run_in_executor(self._threads, self._write_slots)
        self._written.add_done_callback(self._on_written)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ring.notify(None)
        self.ring.flush()
        self._full.put(None)
        cancelled = await settled(self._running())
        if cancelled is not None:
            raise cancelled

    @contextmanager
    def another(self, share: int) -> Generator[RingBuffer]:
        """Yield a ring for another segment of the file, one of `share` rings that divide one buffer."""
        ring = RingBuffer(self, slot_size=max(_SMALL, self._buffer_size // (2 * share)), slots=2)
        self._rings.append(ring)
        try:
            yield ring
        finally:
            ring.flush()
            self._rings.remove(ring)

    async def write(self, piece: bytes) -> None:
        """Copy `piece` into the ring, waiting while it is full.

        Raises:
            DownloadDiskException: Something before it could not be written.
        """
        await self.ring.write(piece)

    def check(self) -> None:
        """Raise the error of the writing thread, if it failed.

        Raises:
            DownloadDiskException: Something could not be written.
        """
        if self._running().done():
            self._running().result()  # raises: nothing ends it early but an error

    def put(self, filled: Filled) -> None:
        """Queue a slot for the writing thread."""
        self._full.put(filled)

    async def digest(self) -> str:
        """Return the SHA-256 of the file once everything is written.

        Raises:
            DownloadDiskException: Something could not be written.
        """
        self.ring.flush()
        self._full.put(None)
        await asyncio.shield(self._running())
        return self._partial.sha256()

    def _running(self) -> asyncio.Future[None]:
        assert self._written is not None, "not entered"
        return self._written

    def _on_written(self, absorbed: asyncio.Future[None]) -> None:
        if not absorbed.cancelled():
            absorbed.exception()  # marked as seen, should nobody ask any more
        self.moved.set()
        for ring in self._rings:
            ring.wake()

    def _give_back(self, filled: Filled) -> None:
        filled.ring.give_back(filled.slot)
        self.moved.set()

    def _write_slots(self) -> None:
        self._ready()
        for filled in iter(self._full.get, None):
            with memoryview(filled.slot)[: filled.count] as piece:
                self._partial.write(piece, filled.offset)
            self._loop.call_soon_threadsafe(self._give_back, filled)
        self._partial.close_gaps()
