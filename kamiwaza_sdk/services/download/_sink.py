"""Where received bytes go: into memory, or through one thread that writes and hashes them into a file.

The event loop hands pieces over and goes on receiving; it waits only while more than the buffer is under way. Writing
and hashing happen in the same thread: both release the interpreter's lock, and the bytes are still warm.
"""

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Protocol, Self

from kamiwaza_sdk.services.download.exceptions import DownloadDiskException

__all__ = ["FileSink", "MemorySink", "Sink"]

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

    An asynchronous context manager. Whatever happens inside, afterwards the thread has ended, the descriptor is closed,
    and either the whole file was published or nothing is left of it.

    Args:
        path: Where the file is to stand. A file there is replaced; it stays untouched until then.
        url: What it is a download of, redacted, for errors.
        buffer_size: How many bytes may be handed over and not yet written.
    """

    def __init__(self, path: Path, *, url: str, buffer_size: int) -> None:
        self._path = path
        # Not derived from the name, which may be as long as the file system allows.
        self._partial = path.parent / f".kamiwaza-{secrets.token_hex(8)}.partial"
        self._url = url
        self._buffer_size = buffer_size
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._held = 0
        self._done = 0
        self._stopped = False
        self._descriptor = _NO_DESCRIPTOR
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kamiwaza-download")
        self._absorbed: asyncio.Future[str] | None = None

    async def __aenter__(self) -> Self:
        self._absorbed = self._loop.run_in_executor(self._executor, self._absorb)
        self._absorbed.add_done_callback(self._on_absorbed)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        self._pieces.put(None)
        try:
            await _whatever_happens(self._loop.run_in_executor(self._executor, self._discard))
        finally:
            self._executor.shutdown(wait=False)
        # It has nothing left to do but to end: a matter of microseconds, for which join() would block the loop.
        while self._worker is not None and self._worker.is_alive():  # noqa: ASYNC110 - a thread signals its end to none
            await asyncio.sleep(0)

    async def write(self, piece: bytes) -> None:
        """Hand `piece` to the thread, waiting while more than the buffer is under way.

        Raises:
            DownloadDiskException: An earlier piece could not be written.
        """
        absorbed = self._running()
        self._held += sys.getsizeof(piece)  # not len: a million tiny pieces are mostly overhead
        self._pieces.put(piece)
        while self._held > self._buffer_size and not absorbed.done():
            self._room.clear()
            await self._room.wait()
        if absorbed.done():
            absorbed.result()

    async def digest(self) -> str:
        """Return the SHA-256 of the file once everything handed over is written.

        Raises:
            DownloadDiskException: Something could not be written.
        """
        self._pieces.put(None)
        return await self._running()

    async def publish(self) -> None:
        """Make the file durable and give it its name, replacing what stood there.

        A cancellation that arrives before the rename prevents it; one that arrives later finds the verified file there.

        Raises:
            DownloadDiskException: The file system refused. Nothing of this download stands at the path.
        """
        await self._loop.run_in_executor(self._executor, self._publish)

    def _running(self) -> asyncio.Future[str]:
        assert self._absorbed is not None, "not entered"
        return self._absorbed

    def _on_absorbed(self, absorbed: asyncio.Future[str]) -> None:
        if not absorbed.cancelled():
            absorbed.exception()  # marked as seen, should nobody ask any more
        self._room.set()

    def _give_back(self, size: int) -> None:
        self._held -= size
        self._room.set()

    # What follows runs in the thread.

    def _absorb(self) -> str:
        self._worker = threading.current_thread()
        digest = hashlib.sha256()
        with self._disk_errors():
            _refuse_all_but_files(self._path)
            self._descriptor = os.open(self._partial, _CREATE, 0o666)  # the umask decides, as for any new file
            for piece in iter(self._pieces.get, None):
                if self._stopped:
                    break
                _write_all(self._descriptor, piece)
                digest.update(piece)
                self._settle(piece)
        return digest.hexdigest()

    def _settle(self, piece: bytes) -> None:
        """Give room back in quarters of the buffer: waking the loop for each piece would cost more than hashing it."""
        self._done += sys.getsizeof(piece)
        if self._done > self._buffer_size // 4:
            self._loop.call_soon_threadsafe(self._give_back, self._done)
            self._done = 0

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


async def _whatever_happens(future: asyncio.Future[None]) -> None:
    """Wait for `future` through any number of cancellations, then let the last one go on."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    future.result()


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


def _write_all(descriptor: int, piece: bytes) -> None:
    written = os.write(descriptor, piece)
    while written < len(piece):  # a signal, or a file system about to be full
        written += os.write(descriptor, memoryview(piece)[written:])


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
