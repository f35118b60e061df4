"""How a local file comes into the staging area: cloned or copied, and hashed as it arrived."""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.storage._errors import translated
from kamiwaza_sdk.services.storage._files import copy, digest, open_file
from kamiwaza_sdk.services.storage._links import reflink
from kamiwaza_sdk.services.storage.exceptions import DigestMismatchException

__all__ = ["compare", "is_file", "open_source", "take_in"]

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
