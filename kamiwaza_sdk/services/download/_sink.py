"""Where received bytes go: into memory, or through a thread that hashes them and writes them into a file.

The event loop copies what it receives into the free slots of a ring, a megabyte each, and hands over full ones; it
waits only while none is free. Handing over the pieces themselves would save the copy and cost more: they are a tenth as
large, so the two threads would contend for the interpreter's lock ten times as often, each with new memory. Writing
and hashing happen in the same thread: both release that lock, and the bytes are still warm.
"""

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Protocol, Self, TypeVar

from kamiwaza_sdk.services.download._resources import settled
from kamiwaza_sdk.services.download.exceptions import DownloadDiskException

__all__ = ["FileSink", "MemorySink", "Sink"]

_T = TypeVar("_T")
_SLOT_SIZE: Final = 1024**2
_NO_DESCRIPTOR: Final = -1
_CREATE: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)  # two absent on some
)


class Sink(Protocol):
    """What a body is received into."""

    async def write(self, piece: bytes) -> None:
        """Take over `piece`, waiting while too much is under way."""

    async def digest(self) -> str:
        """Return the SHA-256 of everything written, once all of it has arrived where it goes."""
        ...


class MemorySink:
    """Keeps a small body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._hash = hashlib.sha256()

    async def write(self, piece: bytes) -> None:
        """Keep and hash `piece`: at most some hundred KiB, hashed faster than handed to a thread."""
        self._pieces.append(piece)
        self._hash.update(piece)

    async def digest(self) -> str:
        """Return the SHA-256 so far."""
        return self._hash.hexdigest()

    def body(self) -> bytes:
        """Return everything written."""
        return b"".join(self._pieces)


class FileSink:
    """Writes into a partial file beside `path` and, when told that it is right, renames it to `path`.

    An asynchronous context manager. Whatever happens inside, afterwards the thread is done, the descriptor is closed,
    and either the whole file was published or nothing is left of it.

    Args:
        path: Where the file is to stand. A file there is replaced; it stays untouched until then.
        url: What it is a download of, redacted, for errors.
        announced: How many bytes are to be expected, if known: a small file needs no large slots.
        buffer_size: How large the ring may grow.
        executor: Where to find a thread; one is occupied from entering to leaving.
    """

    def __init__(self, path: Path, *, url: str, announced: int | None, buffer_size: int, executor: Executor) -> None:
        self._path = path
        # Not derived from the name, which may be as long as the file system allows.
        self._partial = path.parent / f".kamiwaza-{secrets.token_hex(8)}.partial"
        self._url = url
        self._slot_size = max(1, min(_SLOT_SIZE, buffer_size // 4, _SLOT_SIZE if announced is None else announced))
        self._unmade = buffer_size // self._slot_size
        self._free: list[bytearray] = []
        self._slot: bytearray | None = None
        self._filled = 0
        self._full: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        self._room = asyncio.Event()
        self._stopped = False
        self._descriptor = _NO_DESCRIPTOR
        self._loop = asyncio.get_running_loop()
        self._executor = executor
        self._absorbed: asyncio.Future[str] | None = None
        self._job: Future[Any] | None = None  # the last one; Any: of whatever it returns

    async def __aenter__(self) -> Self:
        self._absorbed = self._submit(self._absorb)
        self._absorbed.add_done_callback(self._on_absorbed)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        self._full.put(None)
        assert self._job is not None, "not entered"
        cancelled = await settled(asyncio.wrap_future(self._job))
        cancelled = await settled(self._submit(self._discard)) or cancelled
        if cancelled is not None:
            raise cancelled

    async def write(self, piece: bytes) -> None:
        """Copy `piece` into the ring, waiting while it is full.

        Raises:
            DownloadDiskException: Something before it could not be written.
        """
        rest = memoryview(piece)
        while rest:
            if self._slot is None:
                self._slot = await self._empty_slot()
            end = min(self._filled + len(rest), self._slot_size)
            taken = end - self._filled
            self._slot[self._filled : end] = rest[:taken]
            self._filled, rest = end, rest[taken:]
            if end == self._slot_size:
                self._hand_over()

    async def digest(self) -> str:
        """Return the SHA-256 of the file once everything is written.

        Raises:
            DownloadDiskException: Something could not be written.
        """
        self._hand_over()
        self._full.put(None)
        return await self._running()

    async def publish(self) -> None:
        """Make the file durable and give it its name, replacing what stood there.

        A cancellation that arrives before the rename prevents it; one that arrives later finds the verified file there.

        Raises:
            DownloadDiskException: The file system refused. Nothing of this download stands at the path.
        """
        await self._submit(self._publish)

    def _submit(self, job: Callable[[], _T]) -> asyncio.Future[_T]:
        """Start `job`; there is never more than one at a time."""
        submitted = self._executor.submit(job)
        self._job = submitted
        return asyncio.wrap_future(submitted)

    def _running(self) -> asyncio.Future[str]:
        assert self._absorbed is not None, "not entered"
        return self._absorbed

    def _on_absorbed(self, absorbed: asyncio.Future[str]) -> None:
        if not absorbed.cancelled():
            absorbed.exception()  # marked as seen, should nobody ask any more
        self._room.set()

    async def _empty_slot(self) -> bytearray:
        while not self._free and not self._unmade:
            if self._running().done():
                break
            self._room.clear()
            await self._room.wait()
        if self._running().done():
            self._running().result()  # raises: nothing ends it early but an error
        if self._free:
            return self._free.pop()
        self._unmade -= 1
        return bytearray(self._slot_size)

    def _hand_over(self) -> None:
        if self._slot is not None:
            self._full.put((self._slot, self._filled))
        self._slot, self._filled = None, 0

    def _give_back(self, slot: bytearray) -> None:
        self._free.append(slot)
        self._room.set()

    # What follows runs in the thread.

    def _absorb(self) -> str:
        digest = hashlib.sha256()
        with self._disk_errors():
            _refuse_all_but_files(self._path)
            self._descriptor = os.open(self._partial, _CREATE, 0o666)  # the umask decides, as for any new file
            for slot, filled in iter(self._full.get, None):
                if self._stopped:
                    break
                with memoryview(slot)[:filled] as piece:
                    _write_all(self._descriptor, piece)
                    digest.update(piece)
                self._loop.call_soon_threadsafe(self._give_back, slot)
        return digest.hexdigest()

    def _publish(self) -> None:
        with self._disk_errors():
            os.fsync(self._descriptor)
            self._close()
            if self._stopped:
                return
            os.replace(self._partial, self._path)  # noqa: PTH105 - the bare call, whose atomicity is documented
            try:
                _sync_directory(self._path.parent)
            except OSError:
                self._path.unlink()
                raise

    def _discard(self) -> None:
        with suppress(OSError):  # the error that led here is the one worth reporting
            self._close()
        with suppress(OSError):
            self._partial.unlink()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, _NO_DESCRIPTOR
        if descriptor != _NO_DESCRIPTOR:
            os.close(descriptor)

    @contextmanager
    def _disk_errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise DownloadDiskException(
                url=self._url,
                path=self._path,
                code=error.errno,
                detail=error.strerror or str(error),
                free=_free_bytes(self._path.parent) if full else None,
            ) from error


def _refuse_all_but_files(path: Path) -> None:
    """Raise now what renaming would raise after the whole transfer, and protect /dev/null from root."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise FileExistsError(errno.EEXIST, "It is neither a file nor a link", str(path))


def _write_all(descriptor: int, piece: memoryview) -> None:
    written = os.write(descriptor, piece)
    while written < len(piece):  # a signal, or a file system about to be full
        written += os.write(descriptor, piece[written:])


def _sync_directory(directory: Path) -> None:
    """Make a rename durable. Windows cannot open directories; some network file systems cannot sync them."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def _free_bytes(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
