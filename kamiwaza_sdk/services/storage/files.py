"""Files: opened safely, hashed, linked, cloned, made durable, with typed errors, until a token says to stop.

The token is a context variable, not an argument: all of the store's interface lies between the caller that stops and
the loops that check it.
"""

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from io import FileIO
from pathlib import Path
from typing import Final

from kamiwaza_sdk._files import sync, sync_directory
from kamiwaza_sdk.services.storage.exceptions import (
    DENIED,
    FULL,
    StorageException,
    StorageFullException,
    raise_as_storage_error,
)

__all__ = [
    "DENIED",
    "FULL",
    "NEVER_CLONED",
    "Stopped",
    "check_room",
    "copy",
    "device_of",
    "digest",
    "go_on",
    "hard_link",
    "open_file",
    "pieces",
    "reflink",
    "set_mode",
    "stopped_when",
    "sync",
    "sync_directory",
    "translated",
]


#: This file system, this pair of file systems, or this pair of files cannot.
_NO_REFLINK: Final = frozenset(
    {
        errno.EBADF,
        errno.EINVAL,
        errno.ENOSYS,
        errno.ENOTSUP,
        errno.ENOTTY,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.ETXTBSY,
        errno.EXDEV,
    }
)
#: No other file of these file systems can either.
NEVER_CLONED: Final = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.EOPNOTSUPP, errno.EXDEV})
_ATTEMPTS: Final = 100
#: Linux says EPERM for another user's file (``fs.protected_hardlinks``), Android EACCES for any.
_NO_HARD_LINK: Final = frozenset(
    {errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}
)

if sys.platform == "linux":
    import fcntl

    #: ``_IOW(0x94, 9, int)`` of linux/fs.h; Python names it from 3.12 on.
    _FICLONE: Final = 0x40049409

    def reflink(source: FileIO, target: FileIO, refusals: set[int] | None = None) -> bool:
        """Make the empty `target` share the blocks of `source`, copied on write. `False`: nothing was done.

        Args:
            source: Open for reading.
            target: Open for writing.
            refusals: Gets the error's number where nothing was done.
        """
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError as error:
            if error.errno in _NO_REFLINK:
                if refusals is not None:
                    refusals.add(error.errno)
                return False
            raise
        return True

else:

    def reflink(source: FileIO, target: FileIO, refusals: set[int] | None = None) -> bool:
        """Return `False`: the standard library offers no way to clone a file here."""
        del source, target
        if refusals is not None:
            refusals.add(errno.ENOSYS)
        return False


def hard_link(source: Path | str, name: str, *, directory: int, source_directory: int | None = None) -> bool:
    """Give `source` another name in the open `directory`. `False`: links are not possible here, nothing was done.

    Raises:
        FileExistsError: Something has that name already. It is left alone.
        FileNotFoundError: There is no `source`.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            os.link(source, name, src_dir_fd=source_directory, dst_dir_fd=directory)
        except FileNotFoundError:
            # Also where another writer's equal blob takes the place of `source` while the kernel links it.
            if not attempts_left:
                raise
        except OSError as error:
            if error.errno in _NO_HARD_LINK:
                return False
            raise
        else:
            return True
    raise AssertionError("unreachable: the last attempt returns or raises")


@contextmanager
def translated(path: Path | str, *, needed: int | None = None) -> Generator[None]:
    """Raise a full, forbidden or failing file system as ours, about `path`; let every other error through.

    Args:
        path: What is about to be read or written.
        needed: How many bytes that takes, where it is known.

    Raises:
        StorageFullException: The system said ``ENOSPC`` or ``EDQUOT``.
        StoragePermissionException: The system said ``EACCES``, ``EPERM`` or ``EROFS``.
        StorageDiskException: The system said ``EIO``, ``ESTALE``, ``EMFILE`` or the like.
    """
    free = None if needed is None else _free(Path(path))  # before: what is half written by then would count as used
    try:
        yield
    except StorageException:
        raise
    except OSError as error:
        raise_as_storage_error(error, Path(path), needed=needed, free=free)


def check_room(root: Path, needed: int) -> None:
    """Refuse to begin what the file system of a store has no room for by now, as far as it tells. Blocks.

    Raises:
        StorageFullException: Fewer bytes are free than are needed.
    """
    free = _free(root / "blobs")
    if free is not None and needed > free:
        raise StorageFullException(path=root, errno=errno.ENOSPC, needed=needed, free=free)


def device_of(path: Path) -> int | None:
    """Return the number of the file system that a path is on, or will be. Blocks."""
    for place in (path, *path.parents):
        try:
            return place.stat().st_dev
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _free(path: Path) -> int | None:
    for place in path.parents:
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:  # it only rounds off a message
            return None
    return None


class Stopped(BaseException):
    """Nobody waits for this work any more. As ``asyncio.CancelledError``, nothing that handlers of errors take."""


def _never() -> bool:
    return False


_SAID: Final[ContextVar[Callable[[], bool]]] = ContextVar("kamiwaza_sdk_stopped", default=_never)


@contextmanager
def stopped_when(said: Callable[[], bool]) -> Generator[None]:
    """Let what runs herein end where it calls `go_on`, once `said` returns `True`."""
    before = _SAID.set(said)
    try:
        yield
    finally:
        _SAID.reset(before)


def go_on() -> None:
    """Return, unless the word was said: then raise `Stopped`."""
    if _SAID.get()():
        raise Stopped


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
