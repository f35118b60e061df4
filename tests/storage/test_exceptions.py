"""Errors say what, where and what next, and travel between processes."""

import errno
import pickle
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    BlobCorruptException,
    BlobNotFoundException,
    DigestMismatchException,
    FileConflictException,
    PathTraversalException,
    StorageDiskException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
)
from kamiwaza_sdk.exceptions import NotFoundException, ServiceException
from kamiwaza_sdk.services.storage.files import translated

PATH = Path("/srv/store/file")
ONE, TWO = "1" * 64, "2" * 64
ERRORS = [
    BlobNotFoundException(sha256=ONE, path=PATH),
    BlobCorruptException(sha256=ONE, actual=TWO, path=PATH, quarantined=Path("/q")),
    BlobCorruptException(sha256=ONE, actual=None, path=PATH, quarantined=None),
    DigestMismatchException(expected=ONE, actual=TWO, path=PATH),
    FileConflictException(path=PATH, sha256=ONE),
    PathTraversalException(path=PATH, directory=Path("/srv")),
    StorageDiskException(path=PATH, errno=errno.EIO),
    StorageDiskException(path=PATH, errno=errno.EMFILE),
    StorageFullException(path=PATH, errno=errno.ENOSPC, needed=2, free=1),
    StorageFullException(path=PATH, errno=errno.EDQUOT),
    StoragePermissionException(path=PATH, errno=errno.EROFS),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling(error: StorageException) -> None:
    """Kind, message, attributes and cause arrive on the other side."""
    error.__cause__ = KeyError("cause")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))
    assert repr(copy.__cause__) == "KeyError('cause')"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_messages_name_the_path(error: StorageException) -> None:
    """The message is ours, names the path and offers a way out."""
    assert str(PATH) in str(error)
    assert "; " in str(error)
    assert not str(error).startswith("[Errno")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (BlobNotFoundException, NotFoundException),
        (BlobNotFoundException, LookupError),
        (PathTraversalException, ValueError),
        (StorageDiskException, OSError),
        (StorageFullException, OSError),
        (StoragePermissionException, PermissionError),
    ],
)
def test_errors_are_also_what_python_calls_them(kind: type[Exception], builtin: type[Exception]) -> None:
    """Code that knows only Python's own errors catches ours."""
    assert issubclass(kind, builtin)
    assert issubclass(kind, StorageException)
    assert issubclass(kind, ServiceException)


def test_messages_in_full() -> None:
    """The message of a full disk reads like a sentence."""
    error = StorageFullException(path=PATH, errno=errno.ENOSPC, needed=2, free=1)
    assert str(error) == (
        "no room for /srv/store/file (2 bytes needed, 1 free): No space left on device; free some space, "
        "or choose another place (STORAGE_SERVICE_ROOT for the store)"
    )
    assert (error.filename, error.strerror) == ("/srv/store/file", "No space left on device")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EIO, StorageDiskException),
        (errno.ESTALE, StorageDiskException),
        (errno.EMFILE, StorageDiskException),
        (errno.ENOSPC, StorageFullException),
        (errno.EDQUOT, StorageFullException),
        (errno.EACCES, StoragePermissionException),
        (errno.EPERM, StoragePermissionException),
        (errno.EROFS, StoragePermissionException),
    ],
)
def test_what_is_translated(number: int, kind: type[StorageFullException]) -> None:
    """What says nothing about the files themselves becomes ours, with the original as the cause; ours pass."""
    original = OSError(number, "no")
    with pytest.raises(kind) as caught, translated(Path("/elsewhere")), translated(PATH):
        raise original
    assert (caught.value.path, caught.value.errno, caught.value.__cause__) == (PATH, number, original)


def test_what_is_not_translated() -> None:
    """What says something about the files passes through untouched, for those who know what it means there."""
    original = FileExistsError(errno.EEXIST, "there is one")
    with pytest.raises(FileExistsError, match="there is one") as caught, translated(PATH, needed=1):
        raise original
    assert caught.value is original
