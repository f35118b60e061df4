"""The one place where errors of the operating system become ours."""

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from kamiwaza_sdk.services.storage.exceptions import (
    DENIED,
    FULL,
    StorageException,
    StorageFullException,
    raise_as_storage_error,
)

__all__ = ["DENIED", "FULL", "check_room", "device_of", "translated"]


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
