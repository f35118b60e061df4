"""Blobs: their places, how an edited one is noticed, how a new one arrives, and which paths a version may use.

A published blob has mode 0444 and one constant modification time. Every write changes that time, also one through a
hard link, by root, or through a mapping. So one ``stat`` tells whether the digest must be computed again. (`verify`
alone notices somebody who sets the time back on purpose.)
"""

import errno
import logging
import os
import secrets
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

from kamiwaza_sdk._validation import check_layout, check_path
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.storage.exceptions import (
    BlobCorruptException,
    BlobNotFoundException,
    DigestMismatchException,
    PathTraversalException,
)
from kamiwaza_sdk.services.storage.files import (
    DENIED,
    FULL,
    copy,
    digest,
    open_file,
    reflink,
    set_mode,
    sync,
    sync_directory,
    translated,
)
from kamiwaza_sdk.services.storage.schemas import BlobSchema, FileEntry
from kamiwaza_sdk.services.storage.setup import make_directory
from kamiwaza_sdk.services.storage.trash import take_back

#: What the system says where nothing is, or can be.
_NOTHING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


@contextmanager
def open_source(path: Path) -> Generator[FileIO]:
    """Open a file of the user's, or raise `InvalidInputException` where it is none."""
    if not is_file(path):
        raise _no_file(path)
    with translated(path):
        try:
            file = open_file(path, follow_symlinks=True)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):  # since it was looked at
            raise _no_file(path) from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # of a FIFO, nothing would be read, and be taken for all
            raise _no_file(path)
        yield file


def _no_file(path: Path) -> InvalidInputException:
    return InvalidInputException("source", f"{path} is no file; give the path of a regular file")


def is_file(path: Path) -> bool:
    """Return whether a regular file is there, or a link to one."""
    with translated(path):
        try:
            return stat.S_ISREG(path.stat().st_mode)  # is_file() would hide, from Python 3.14 on, what is forbidden
        except OSError as error:
            if error.errno not in _NOTHING:
                raise
            return False


def take_in(source: FileIO, staged: Path) -> tuple[str, int]:
    """Write what `source` holds to `staged`, and return the digest and size of what was written."""
    with translated(staged, needed=os.fstat(source.fileno()).st_size), FileIO(staged, "x+b") as target:
        actual = digest(target) if reflink(source, target) else copy(source, target)
        return actual, target.tell()


def compare(actual: str, expected: str | None, path: Path) -> None:
    """Raise `DigestMismatchException` unless the digest is the expected one, or none was."""
    if expected is not None and actual != expected:
        raise DigestMismatchException(expected=expected, actual=actual, path=path)


#: How often a blob can be set aside in the moment between its coming back and our looking at it.
_LOOKS: Final = 100
BLOB_MODE: Final = 0o444
#: 2001-09-09 01:46:40 UTC: a whole, even second, which the coarsest file system can keep, and which no clock shows.
PUBLISHED_NS: Final = 1_000_000_000 * 10**9

_logger: Final = logging.getLogger(__name__)


def blob_path(root: Path, sha256: str) -> Path:
    """Return where the blob lies or would lie."""
    return root / f"blobs/sha256/{sha256[:2]}/{sha256}"


def blob_place(root: Path, sha256: str) -> str:
    """Return the same as text: a `Path` takes longer to make than the file to look at, and blobs are many."""
    return f"{root}/blobs/sha256/{sha256[:2]}/{sha256}"


def is_missing(root: Path, sha256: str) -> bool:
    """Tell whether there is no such blob. What cannot be looked at is none that is missing: `inspect` says why."""
    try:
        os.lstat(blob_place(root, sha256))
    except (FileNotFoundError, NotADirectoryError):
        return not _is_brought_back(root, sha256)
    except OSError:
        return False
    return False


def _is_brought_back(root: Path, sha256: str) -> bool:
    """Tell whether a blob stands in its place now, which was not there before. What cannot be moved is looked at."""
    try:
        return take_back(root, sha256)
    except OSError as error:
        if error.errno in DENIED:  # who may not write here is told where it is asked for
            return True
        raise


def inspect(root: Path, sha256: str, *, size: int | None = None, thorough: bool = False) -> BlobSchema:
    """Return a blob that is sound, at the price of one ``stat`` unless it is suspect or `thorough` is set.

    Raises:
        BlobNotFoundException: It is not kept.
        BlobCorruptException: It was not sound, and is in quarantine now.
    """
    status = _status(root, sha256)
    if thorough or not _looks_sound(status, size):
        return _rehash(root, sha256, status)
    path = blob_path(root, sha256)
    if stat.S_IMODE(status.st_mode) != BLOB_MODE:  # says nothing about the content, but invites edits
        set_mode(path, BLOB_MODE)
    return BlobSchema(sha256=sha256, size=status.st_size, path=path)


def _status(root: Path, sha256: str) -> os.stat_result:
    for _ in range(_LOOKS):
        try:
            return os.lstat(blob_place(root, sha256))
        except (FileNotFoundError, NotADirectoryError):
            if not take_back(root, sha256):
                break
    raise BlobNotFoundException(sha256=sha256, path=blob_path(root, sha256))


def looks_published(place: str, *, size: int) -> bool:
    """Tell whether a sound blob of this size lies at its place. Where not, `inspect` says what does, and mends it."""
    try:
        status = os.lstat(place)
    except OSError:
        return False
    return _looks_sound(status, size) and stat.S_IMODE(status.st_mode) == BLOB_MODE


def _looks_sound(status: os.stat_result, size: int | None) -> bool:
    return (
        stat.S_ISREG(status.st_mode) and status.st_mtime_ns == PUBLISHED_NS and (size is None or size == status.st_size)
    )


def _rehash(root: Path, sha256: str, status: os.stat_result) -> BlobSchema:
    path = blob_path(root, sha256)
    if not stat.S_ISREG(status.st_mode):
        raise _corrupt(root, sha256, actual=None, seen=status)
    try:
        file = open_file(path)
    except FileNotFoundError:  # set aside since it was looked at, or gone
        return inspect(root, sha256, thorough=True)
    with file:
        actual, steady = _digest_at_rest(file)
        seen = os.fstat(file.fileno())
        if actual != sha256 or not steady:
            raise _corrupt(root, sha256, actual=actual, seen=seen)
        set_mode(file.fileno(), BLOB_MODE)
        if seen.st_mtime_ns != PUBLISHED_NS:
            _put_time_back(file.fileno(), path)
    return BlobSchema(sha256=sha256, size=seen.st_size, path=path)


def _digest_at_rest(file: FileIO) -> tuple[str, bool]:
    """Return the digest, and whether the file stayed as it was meanwhile.

    The order matters: after the first look, ``fsync`` makes the kernel notice the next write through a mapping again.
    """
    before = os.fstat(file.fileno())
    try:
        sync(file.fileno())
    except OSError as error:
        if error.errno not in DENIED:  # a read-only store has nothing to sync
            raise
    actual = digest(file)
    after = os.fstat(file.fileno())
    # Another process may have found it sound meanwhile, and put its time back.
    return actual, after.st_size == before.st_size and after.st_mtime_ns in {before.st_mtime_ns, PUBLISHED_NS}


def make_published(descriptor: int, path: Path | str) -> None:
    """Give what is whole the mode and the time of a blob, and return when it would survive a power cut."""
    set_mode(descriptor, BLOB_MODE)
    _put_time_back(descriptor, path)
    sync(descriptor)


def _put_time_back(descriptor: int, path: Path | str) -> None:
    try:
        os.utime(descriptor, ns=(PUBLISHED_NS, PUBLISHED_NS))
    except OSError as error:
        if error.errno not in DENIED:
            raise
        _logger.warning("%s is right, but hashed at every use: its time cannot be set: %s", path, error.strerror)


def _corrupt(root: Path, sha256: str, *, actual: str | None, seen: os.stat_result) -> BlobCorruptException:
    path = blob_path(root, sha256)
    quarantined = _quarantine(root, path, seen)
    error = BlobCorruptException(sha256=sha256, actual=actual, path=path, quarantined=quarantined)
    _logger.warning("%s", error)
    return error


def _quarantine(root: Path, path: Path, seen: os.stat_result) -> Path | None:
    """Move away what was `seen` at `path`, unless another process has replaced it or moved it already."""
    target = root / "quarantine" / f"{path.name}-{secrets.token_hex(8)}"
    try:
        if not os.path.samestat(path.lstat(), seen):
            return None
        make_directory(target.parent)
        path.rename(target)
        if not os.path.samestat(target.lstat(), seen):  # replaced in between: what was moved is the good one
            target.rename(path)
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in DENIED | FULL:
            return None
        raise
    return target


def publish(root: Path, staged: Path, *, sha256: str, size: int) -> BlobSchema:
    """Move a staged file under its final name, durably, unless that blob is kept already.

    Raises:
        InvalidInputException: `staged` is no regular file of this `size`.
        PathTraversalException: `staged` is not in the store's staging area.
    """
    _check_staged(root, staged, size)
    try:
        blob = inspect(root, sha256, size=size)
    except (BlobNotFoundException, BlobCorruptException):
        try:
            return _arrive(root, staged, sha256=sha256, size=size)
        except FileNotFoundError:  # who shares the path was faster
            return inspect(root, sha256, size=size)
    with suppress(OSError):  # the blob is kept, and the stage is cleared by who lent it
        staged.unlink(missing_ok=True)
    return blob


def _check_staged(root: Path, staged: Path, size: int) -> None:
    area = root / "staging"
    if not staged.parent.resolve().is_relative_to(area.resolve()):
        raise PathTraversalException(path=staged, directory=area)
    try:
        status = staged.lstat()
    except FileNotFoundError as error:
        raise InvalidInputException("path", f"{staged} does not exist; write the file before publishing it") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputException("path", f"{staged} is no regular file; publish files one by one")
    if status.st_size != size:
        raise InvalidInputException("size", f"is {size}, but {staged} has {status.st_size} bytes; close it first")


def _arrive(root: Path, staged: Path, *, sha256: str, size: int) -> BlobSchema:
    path = blob_path(root, sha256)
    with open_file(staged) as file:
        make_published(file.fileno(), staged)  # before the rename: a name must never reach the disk before its content
    make_directory(path.parent)
    move(staged, path)
    sync_directory(path.parent)
    return BlobSchema(sha256=sha256, size=size, path=path)


def move(staged: Path | str, path: Path | str) -> None:
    """Give a staged file that is published but for its name that name."""
    try:
        os.rename(staged, path)  # noqa: PTH104 - also takes text
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_across(Path(staged), Path(path))


def _move_across(staged: Path, path: Path) -> None:
    """Move a staged file to another file system: its bytes first, under a name that means nothing."""
    arriving = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with open_file(staged) as source, FileIO(arriving, "x+b") as target:
            actual = copy(source, target)
            compare(actual, path.name, staged)
            make_published(target.fileno(), arriving)
        arriving.rename(path)
    finally:
        with suppress(OSError):
            arriving.unlink(missing_ok=True)
    with suppress(OSError):
        staged.unlink()


def checked_paths(files: Sequence[FileEntry]) -> list[str]:
    """Return the files' paths, in order.

    Raises:
        InvalidPathException: One is not a plain relative path, or two would be one on a file system that ignores case
            or normalises Unicode, or one is a directory of another.
    """
    paths = [check_path(file.path, field=f"files.{index}.path") for index, file in enumerate(files)]
    check_layout(paths)
    return paths
