"""Regular files, below what `pathlib` offers: opened without surprises, hashed, copied, made durable."""

import errno
import hashlib
import os
import sys
from collections.abc import Generator
from io import FileIO
from pathlib import Path
from typing import Final

from kamiwaza_sdk.services.storage._errors import DENIED
from kamiwaza_sdk.services.storage._stopping import go_on

__all__ = ["copy", "digest", "open_file", "pieces", "set_mode", "sync", "sync_directory"]

#: Larger than what any layer below transfers at once, smaller than the caches of a core's hash.
_CHUNK: Final = 1024**2


def open_file(path: Path, *, follow_symlinks: bool = False) -> FileIO:
    """Open an existing file for reading. A FIFO that took its place meanwhile does not block."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_symlinks else os.O_NOFOLLOW)
    return FileIO(os.open(path, flags), "rb")


def digest(file: FileIO) -> str:
    """Return the SHA-256 of the whole file."""
    file.seek(0)
    read = hashlib.sha256()
    for piece in pieces(file):
        read.update(piece)
    return read.hexdigest()


def copy(source: FileIO, target: FileIO) -> str:
    """Append what `source` holds to `target`, and return the SHA-256 of just these bytes, whoever edits `source`."""
    written = hashlib.sha256()
    for piece in pieces(source):
        written.update(piece)
        _write(target, piece)
    return written.hexdigest()


def pieces(file: FileIO) -> Generator[memoryview]:
    """Yield the rest of a file, each piece in the place of the one before, until told to stop (`go_on`)."""
    buffer = memoryview(bytearray(_CHUNK))
    while count := file.readinto(buffer):
        yield buffer[:count]
        go_on()


def _write(target: FileIO, data: memoryview) -> None:
    while data:
        data = data[target.write(data) :]


def set_mode(file: int | Path, mode: int) -> None:
    """Set the mode, where the file system knows modes and the file is this user's. No promise rests on it."""
    try:
        os.chmod(file, mode)  # noqa: PTH101 - also takes a descriptor
    except OSError as error:
        if error.errno not in DENIED:
            raise


def sync(descriptor: int) -> None:
    """Return when the file would survive a power cut."""
    if sys.platform == "darwin":  # whose fsync leaves the data in the drive's cache
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}:
                raise
        else:
            return
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Return when the names in a directory would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems cannot, and need not
            raise
    finally:
        os.close(descriptor)
