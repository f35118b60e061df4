"""Writing: received bytes go to memory, or through a ring buffer to a thread that hashes them and writes the file.

The event loop receives into a free slot and hands it over when it is full; it waits only while none is free. Handing
over the received pieces themselves would save a copy, and cost more: they are a tenth as large, so the two threads
would contend for the interpreter's lock ten times as often, each time with new memory.

One thread writes and hashes, whatever the number of connections: both release the interpreter's lock, and the bytes are
still in the processor's cache.
"""

import asyncio
import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, Protocol, Self

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.download.partial.file import Partial
from kamiwaza_sdk.services.download.transfer.resources import Threads


class Writer(Protocol):
    """Who writes what is handed over."""

    def check(self) -> None:
        """Raise what it failed with, if it did."""

    def put(self, filled: "Filled") -> None:
        """Write it, in a while, and give the slot back to its lane."""


class Lane:
    """A stretch of the file that is received in order.

    Args:
        writer: Who writes it.
        at: Where it begins.
        slot_size: Bytes of a slot.
        slots: How many there may be.

    Attributes:
        at: Where the next byte belongs.
        end: Where it ends, if that is known.
        waits: How often what arrives had to wait for something here: for room, or for the event loop.
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
    def left(self) -> int:
        """How many bytes are missing up to the end."""
        assert self.end is not None, "asked only where it is known"
        return self.end - self.at

    def move(self, at: int, end: int) -> None:
        """Be about another stretch."""
        self.flush()
        self.at, self.end = at, end

    async def write(self, piece: bytes) -> None:
        """Copy `piece` into the ring, waiting while it is full; what is behind the end of the lane is left out.

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

    def advance(self, count: int) -> None:
        """Take over that many bytes, written where `room` said."""
        self.at += count
        self._filled += count
        if self._filled == self._slot_size:
            self.flush()

    def notify(self, on_room: Callable[[], None] | None) -> None:
        """Have `on_room` called once, when there is room again, or never will be."""
        self._on_room = on_room

    def flush(self) -> None:
        """Hand over what is there."""
        if self._slot is not None and self._filled:
            self._writer.put(Filled(self, self._slot, self._filled, self.at - self._filled))
            self._slot, self._filled = None, 0

    def give_back(self, slot: bytearray) -> None:
        """Use a slot again."""
        self._free.append(slot)
        self.wake()

    def wake(self) -> None:
        """Have whoever waits for room look again."""
        self._news.set()
        on_room, self._on_room = self._on_room, None
        if on_room is not None:
            on_room()


@dataclass(frozen=True, slots=True)
class Filled:
    """A slot that is handed over: its first `count` bytes belong at `offset`."""

    lane: Lane
    slot: bytearray
    count: int
    offset: int


SLOT_SIZE: Final = 1024**2
_SMALL: Final = 64 * 1024


class Sink(Protocol):
    """What a body is received into."""

    @property
    def size(self) -> int:
        """How many bytes are hashed, with none missing before them."""
        ...

    async def write(self, piece: bytes) -> None:
        """Take over `piece`, waiting while too much is under way."""

    async def digest(self) -> str:
        """Return the SHA-256 of everything written, once all of it has arrived where it goes."""
        ...


class MemorySink:
    """Keeps a small body.

    Attributes:
        size: Its bytes so far.
        hash: Of all of it so far.
    """

    def __init__(self) -> None:
        self.size: int = 0
        self._pieces: list[bytes] = []
        self.hash: hashlib._Hash = hashlib.sha256()

    async def write(self, piece: bytes) -> None:
        """Keep and hash `piece`: at most some hundred KiB, hashed faster than handed to a thread."""
        self.size += len(piece)
        self._pieces.append(piece)
        self.hash.update(piece)

    async def digest(self) -> str:
        """Return the SHA-256 so far."""
        return self.hash.hexdigest()

    def body(self) -> bytes:
        """Return everything written."""
        return b"".join(self._pieces)


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
        lane: Where the bytes arrive that follow those that are here.
        moved: Set when something is written.
    """

    def __init__(self, partial: Partial, *, buffer_size: int, threads: Threads, ready: Callable[[], None]) -> None:
        slot_size = min(SLOT_SIZE, buffer_size // 4)
        self.lane: Lane = Lane(self, partial.offset, slot_size=slot_size, slots=buffer_size // slot_size)
        self.moved: asyncio.Event = asyncio.Event()
        self._lanes = [self.lane]
        self._partial = partial
        self._buffer_size = buffer_size
        self._full: SimpleQueue[Filled | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._threads = threads
        self._ready = ready
        self._absorbed: asyncio.Future[None] | None = None

    @property
    def size(self) -> int:
        """How many bytes are written and hashed, with none missing before them."""
        return self._partial.offset

    async def __aenter__(self) -> Self:
        self._absorbed = self._threads.start(self._absorb)
        self._absorbed.add_done_callback(self._on_absorbed)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lane.notify(None)
        self.lane.flush()
        self._full.put(None)
        cancelled = await settled(self._running())
        if cancelled is not None:
            raise cancelled

    @contextmanager
    def another(self, share: int) -> Generator[Lane]:
        """Yield a lane for what comes from elsewhere in the file, one of `share` that have one buffer together."""
        lane = Lane(self, slot_size=max(_SMALL, self._buffer_size // (2 * share)), slots=2)
        self._lanes.append(lane)
        try:
            yield lane
        finally:
            lane.flush()
            self._lanes.remove(lane)

    async def write(self, piece: bytes) -> None:
        """Copy `piece` into the ring, waiting while it is full.

        Raises:
            DownloadDiskException: Something before it could not be written.
        """
        await self.lane.write(piece)

    def check(self) -> None:
        """Return if nothing was refused yet.

        Raises:
            DownloadDiskException: Something could not be written.
        """
        if self._running().done():
            self._running().result()  # raises: nothing ends it early but an error

    def put(self, filled: Filled) -> None:
        """Have it written, and the slot given back."""
        self._full.put(filled)

    async def digest(self) -> str:
        """Return the SHA-256 of the file once everything is written.

        Raises:
            DownloadDiskException: Something could not be written.
        """
        self.lane.flush()
        self._full.put(None)
        await asyncio.shield(self._running())
        return self._partial.sha256()

    def _running(self) -> asyncio.Future[None]:
        assert self._absorbed is not None, "not entered"
        return self._absorbed

    def _on_absorbed(self, absorbed: asyncio.Future[None]) -> None:
        if not absorbed.cancelled():
            absorbed.exception()  # marked as seen, should nobody ask any more
        self.moved.set()
        for lane in self._lanes:
            lane.wake()

    def _give_back(self, filled: Filled) -> None:
        filled.lane.give_back(filled.slot)
        self.moved.set()

    def _absorb(self) -> None:
        self._ready()
        for filled in iter(self._full.get, None):
            with memoryview(filled.slot)[: filled.count] as piece:
                self._partial.write(piece, filled.offset)
            self._loop.call_soon_threadsafe(self._give_back, filled)
        self._partial.close_gaps()
