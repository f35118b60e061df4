"""Where received bytes go: into memory, or through a thread that hashes them and writes them into a file.

Writing and hashing happen in the same thread, whatever the number of connections: both release the interpreter's lock,
and the bytes are still warm.
"""

import asyncio
import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, Protocol, Self

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.download._lane import Filled, Lane
from kamiwaza_sdk.services.download._partial import Partial
from kamiwaza_sdk.services.download._threads import Threads

__all__ = ["SLOT_SIZE", "FileSink", "MemorySink", "Sink"]

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
        self.size = 0
        self._pieces: list[bytes] = []
        self.hash = hashlib.sha256()

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
        self.lane = Lane(self, partial.offset, slot_size=slot_size, slots=buffer_size // slot_size)
        self.moved = asyncio.Event()
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
