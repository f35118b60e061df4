"""Where received bytes go: into memory, or through a thread that hashes them and writes them into a file.

The event loop receives into the free slots of a ring, a megabyte each, and hands over full ones; it waits only while
none is free. Handing over the pieces themselves would save a copy where there is one, and cost more: they are a tenth
as large, so the two threads would contend for the interpreter's lock ten times as often, each with new memory. Writing
and hashing happen in the same thread: both release that lock, and the bytes are still warm.
"""

import asyncio
import hashlib
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Protocol, Self

from kamiwaza_sdk.services.download._partial import Partial
from kamiwaza_sdk.services.download._threads import Threads, settled

__all__ = ["SLOT_SIZE", "FileSink", "MemorySink", "Sink"]

SLOT_SIZE: Final = 1024**2


class Sink(Protocol):
    """What a body is received into."""

    async def write(self, piece: bytes) -> None:
        """Take over `piece`, waiting while too much is under way."""

    async def digest(self) -> str:
        """Return the SHA-256 of everything written, once all of it has arrived where it goes."""
        ...


class MemorySink:
    """Keeps a small body.

    Attributes:
        hash: Of all of it so far.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.hash = hashlib.sha256()

    async def write(self, piece: bytes) -> None:
        """Keep and hash `piece`: at most some hundred KiB, hashed faster than handed to a thread."""
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
    is in the partial file, unless the disk refused it.

    Args:
        partial: Where the bytes go.
        buffer_size: How large the ring may grow.
        threads: Where to find a thread; one is occupied from entering to leaving.
        ready: What to do in that thread before the first byte.
    """

    def __init__(self, partial: Partial, *, buffer_size: int, threads: Threads, ready: Callable[[], None]) -> None:
        self._partial = partial
        self._slot_size = min(SLOT_SIZE, buffer_size // 4)
        self._unmade = buffer_size // self._slot_size
        self._free: list[bytearray] = []
        self._slot: bytearray | None = None
        self._filled = 0
        self._full: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        self._room = asyncio.Event()
        self._on_room: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._threads = threads
        self._ready = ready
        self._absorbed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        self._absorbed = self._threads.start(self._absorb)
        self._absorbed.add_done_callback(self._on_absorbed)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._on_room = None
        self._hand_over()
        self._full.put(None)
        cancelled = await settled(self._running())
        if cancelled is not None:
            raise cancelled

    async def write(self, piece: bytes) -> None:
        """Copy `piece` into the ring, waiting while it is full.

        Raises:
            DownloadDiskException: Something before it could not be written.
        """
        rest = memoryview(piece)
        while rest:
            while (room := self.room()) is None:
                self._room.clear()
                await self._room.wait()
            taken = min(len(rest), len(room))
            room[:taken] = rest[:taken]
            self.advance(taken)
            rest = rest[taken:]

    def room(self) -> memoryview | None:
        """Return where the next bytes go, or `None` while the ring is full.

        Raises:
            DownloadDiskException: Something before could not be written.
        """
        if self._running().done():
            self._running().result()  # raises: nothing ends it early but an error
        if self._slot is None:
            if self._free:
                self._slot = self._free.pop()
            elif self._unmade:
                self._unmade -= 1
                self._slot = bytearray(self._slot_size)
            else:
                return None
        return memoryview(self._slot)[self._filled :]

    def advance(self, count: int) -> None:
        """Take over that many bytes, written where `room` said."""
        self._filled += count
        if self._filled == self._slot_size:
            self._hand_over()

    def notify(self, on_room: Callable[[], None]) -> None:
        """Have `on_room` called once, when there is room again, or never will be."""
        self._on_room = on_room

    async def digest(self) -> str:
        """Return the SHA-256 of the file once everything is written.

        Raises:
            DownloadDiskException: Something could not be written.
        """
        self._hand_over()
        self._full.put(None)
        await asyncio.shield(self._running())
        return self._partial.sha256()

    def _running(self) -> asyncio.Future[None]:
        assert self._absorbed is not None, "not entered"
        return self._absorbed

    def _on_absorbed(self, absorbed: asyncio.Future[None]) -> None:
        if not absorbed.cancelled():
            absorbed.exception()  # marked as seen, should nobody ask any more
        self._tell()

    def _tell(self) -> None:
        self._room.set()
        on_room, self._on_room = self._on_room, None
        if on_room is not None:
            on_room()

    def _hand_over(self) -> None:
        if self._slot is not None:
            self._full.put((self._slot, self._filled))
        self._slot, self._filled = None, 0

    def _give_back(self, slot: bytearray) -> None:
        self._free.append(slot)
        self._tell()

    def _absorb(self) -> None:
        self._ready()
        for slot, filled in iter(self._full.get, None):
            with memoryview(slot)[:filled] as piece:
                self._partial.write(piece)
            self._loop.call_soon_threadsafe(self._give_back, slot)
