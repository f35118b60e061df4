"""Calls of the file system that downloads and the store share: whole writes, durable files, room, and modes."""

import errno
import os
import re
import shutil
import sys
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

#: The mode of what is unfinished: nobody else is to read what nobody has checked.
PRIVATE: Final = 0o600
_STATUS: Final = "/proc/thread-self/status"
_UMASK: Final = re.compile(rb"^Umask:\s*([0-7]+)$", re.MULTILINE)
_UMASK_LOCK: Final = threading.Lock()


def free_bytes(directory: Path) -> int | None:
    """Return how many bytes are free there; `None` where the file system does not tell."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.free if usage.total else None  # some network file systems say 0 of 0


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


#: What macOS says where a volume cannot flush its drive.
_NO_FULL_SYNC: Final = frozenset({errno.ENOTSUP, errno.EINVAL, errno.ENOTTY})


def sync(descriptor: int) -> None:
    """Return when the file would survive a power cut."""
    if not _flushed_drive(descriptor):
        os.fsync(descriptor)


def sync_data(descriptor: int) -> None:
    """Return when what was written would survive a power cut, though perhaps not the time of it."""
    if not _flushed_drive(descriptor):
        getattr(os, "fdatasync", os.fsync)(descriptor)  # which macOS lacks


def _flushed_drive(descriptor: int) -> bool:
    """Do what macOS needs, whose fsync leaves the data in the drive's cache; return whether that was done."""
    if sys.platform != "darwin":
        return False
    import fcntl

    try:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    except OSError as error:
        if error.errno not in _NO_FULL_SYNC:
            raise
        return False
    return True


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
