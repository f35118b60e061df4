"""What is asked of the file system, and how its refusals are told."""

import errno
import os
import re
import shutil
import stat
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from kamiwaza_sdk.services.download.exceptions import DownloadDiskException, DownloadException

#: The mode of what is unfinished: nobody else is to read what nobody has checked.
PRIVATE: Final = 0o600
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_STATUS: Final = "/proc/thread-self/status"
_UMASK: Final = re.compile(rb"^Umask:\s*([0-7]+)$", re.MULTILINE)
_UMASK_LOCK: Final = threading.Lock()


class disk_errors:  # noqa: N801 - reads as what it is about
    """Turns what the operating system refuses into ours, as a context.

    Args:
        path: The file that is to be written.
        url: What it is a download of, redacted.
    """

    __slots__ = ("_path", "_url")

    def __init__(self, path: Path, *, url: str) -> None:
        self._path = path
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, DownloadException):
            return
        full = error.errno in _FULL
        raise DownloadDiskException(
            url=self._url,
            path=self._path,
            code=error.errno,
            detail=error.strerror or str(error),
            free=_free_bytes(self._path.parent) if full else None,
        ) from error


def make_room(path: Path, needed: int, *, url: str) -> None:
    """Refuse a file that cannot fit, before a byte of it travels.

    Raises:
        DownloadDiskException: Fewer than `needed` bytes are free.
    """
    free = _free_bytes(path.parent)
    if free is not None and free < needed:
        detail = f"{os.strerror(errno.ENOSPC)}: {needed} bytes are needed"
        raise DownloadDiskException(url=url, path=path, code=errno.ENOSPC, detail=detail, free=free)


def _free_bytes(directory: Path) -> int | None:
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.free if usage.total else None  # some network file systems say 0 of 0


def refuse_all_but_files(path: str | Path) -> None:
    """Raise now what renaming would raise after the whole transfer, and protect /dev/null from root."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise FileExistsError(errno.EEXIST, "It is neither a file nor a link", str(path))


def write_all(descriptor: int, piece: memoryview | bytes, offset: int) -> None:
    """Write all of `piece`, however little a call takes: after a signal, or on a file system about to be full."""
    written = os.pwrite(descriptor, piece, offset)
    while written < len(piece):
        written += os.pwrite(descriptor, piece[written:], offset + written)


def read_all(descriptor: int, buffer: memoryview, offset: int) -> None:
    """Fill `buffer` with what was written before.

    Raises:
        OSError: It is not there any more.
    """
    filled = 0
    while filled < len(buffer):
        count = os.preadv(descriptor, [buffer[filled:]], offset + filled)
        if not count:
            raise OSError(errno.EIO, "what was written is gone: somebody else made the file shorter")
        filled += count


def close(descriptor: int) -> None:
    """Let go of a descriptor, which it is also where the system has something to say about it: all is synced before."""
    with suppress(OSError):
        os.close(descriptor)


class NewFileMode:
    """The mode that any new file of this process gets, asked for once."""

    @cached_property
    def value(self) -> int:
        """Return it. Blocks."""
        return 0o666 & ~_umask()


def _umask() -> int:
    """Return the umask. Asking for it by setting it would for a moment be felt by other threads, so Linux tells it."""
    with suppress(OSError):
        descriptor = os.open(_STATUS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = _UMASK.search(os.read(descriptor, 4096))
        finally:
            os.close(descriptor)
        if found is not None:
            return int(found[1], 8)
    with _UMASK_LOCK:
        umask = os.umask(0o077)
        os.umask(umask)
        return umask


def sync_data(descriptor: int) -> None:
    """Return when what was written would survive a power cut."""
    getattr(os, "fdatasync", os.fsync)(descriptor)  # which macOS lacks


def sync_directory(directory: str | Path) -> None:
    """Make a rename durable. Some network file systems cannot sync directories, and need not."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
