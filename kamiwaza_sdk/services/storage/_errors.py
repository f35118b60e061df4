"""The one place where errors of the operating system become ours."""

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kamiwaza_sdk.services.storage.exceptions import (
    StorageException,
    StorageFullException,
    StoragePermissionException,
)

__all__ = ["DENIED", "FULL", "translated"]

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def translated(path: Path, *, needed: int | None = None) -> Generator[None]:
    """Raise a full or forbidden file system as ours, about `path`; let every other error through.

    Args:
        path: What is about to be read or written.
        needed: How many bytes that takes, where it is known.

    Raises:
        StorageFullException: The system said ``ENOSPC`` or ``EDQUOT``.
        StoragePermissionException: The system said ``EACCES``, ``EPERM`` or ``EROFS``.
    """
    free = None if needed is None else _free(path)  # before: what is half written by then would count as used
    try:
        yield
    except StorageException:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise StorageFullException(path=path, errno=error.errno, needed=needed, free=free) from error
        if error.errno in DENIED:
            raise StoragePermissionException(path=path, errno=error.errno) from error
        raise


def _free(path: Path) -> int | None:
    for place in path.parents:
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:  # it only rounds off a message
            return None
    return None
