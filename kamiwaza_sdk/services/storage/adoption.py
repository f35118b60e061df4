"""Adoption: a file of another tool becomes a blob by a reflink, else by a hard link, else by a copy.

A hard link gives the other tool's file the mode and the modification time of a published blob. Both are set before the
file is hashed, so that a write meanwhile is noticed. Both are restored if the file does not become a blob.
"""

import os
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.storage.blobs import BLOB_MODE, PUBLISHED_NS, compare, open_source
from kamiwaza_sdk.services.storage.files import copy, digest, hard_link, reflink, sync, translated
from kamiwaza_sdk.services.storage.schemas import AdoptedBlobSchema, AdoptedBy, BlobSchema

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.services import StorageService


def adopt(store: "StorageService", path: Path, *, expected: str | None) -> AdoptedBlobSchema:
    """Make a blob of a file, in the best way there is. The public docstring is that of `StorageService.adopt`."""
    with open_source(path) as file, store.stage() as staged:
        before = os.fstat(file.fileno())
        store.check_quota(before.st_size)
        with translated(staged, needed=before.st_size):
            if (actual := _cloned(file, staged)) is not None:
                return _keep(store, path, staged, actual, expected=expected, by="reflink")
            if _linked(file, path, staged):
                return _keep_linked(store, file, before, path, staged, expected=expected)
            with FileIO(staged, "x+b") as target:
                actual = copy(file, target)
            return _keep(store, path, staged, actual, expected=expected, by="copy")


def as_adopted(blob: BlobSchema, by: AdoptedBy) -> AdoptedBlobSchema:
    """Return a blob, with how it came."""
    return AdoptedBlobSchema(sha256=blob.sha256, size=blob.size, path=blob.path, by=by)


def _keep(
    store: "StorageService", path: Path, staged: Path, actual: str, *, expected: str | None, by: AdoptedBy
) -> AdoptedBlobSchema:
    compare(actual, expected, path)
    kept = store.find(actual)
    if kept is not None:
        return as_adopted(kept, "kept")
    return as_adopted(store.publish(staged, sha256=actual, size=staged.stat().st_size), by)


def _keep_linked(
    store: "StorageService", file: FileIO, before: os.stat_result, path: Path, staged: Path, *, expected: str | None
) -> AdoptedBlobSchema:
    adopted: AdoptedBlobSchema | None = None
    try:
        actual = _digest_as_published(file, path)
        adopted = _keep(store, path, staged, actual, expected=expected, by="link")
    finally:
        is_blob = adopted is not None and _is_same(before, adopted.path)
        if not is_blob:
            _put_back(file, before)
    # Where the staging area is another file system than the blobs, it was copied across after all.
    return adopted if is_blob or adopted.by == "kept" else as_adopted(adopted, "copy")


def _is_same(file: os.stat_result, path: Path) -> bool:
    """Whether that file lies there. Where this cannot be told, it may: its mode and time then stay a blob's."""
    try:
        return os.path.samestat(file, path.stat())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _cloned(file: FileIO, staged: Path) -> str | None:
    """Return the digest of a clone at `staged`; `None` where there can be none, and is nothing."""
    with FileIO(staged, "x+b") as target:
        if reflink(file, target):
            return digest(target)
    staged.unlink()
    return None


def _linked(file: FileIO, path: Path, staged: Path) -> bool:
    """Give a file of this user's a second name. `False`: that is not possible, and nothing was done."""
    if os.fstat(file.fileno()).st_uid != os.geteuid():  # whose mode and time would not be ours to set
        return False
    directory = os.open(staged.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not hard_link(Path(os.path.realpath(path)), staged.name, directory=directory):
            return False
    except FileNotFoundError:  # replaced since it was opened; what was opened can still be copied
        return False
    finally:
        os.close(directory)
    if os.path.samestat(os.fstat(file.fileno()), staged.lstat()) and _can_be_published(file):
        return True
    staged.unlink()
    return False


def _can_be_published(file: FileIO) -> bool:
    """Give it a blob's mode and time. `False`: it has a flag that forbids this, and is as it was."""
    before = os.fstat(file.fileno())
    try:
        os.chmod(file.fileno(), BLOB_MODE)  # noqa: PTH101 - also takes a descriptor
        os.utime(file.fileno(), ns=(before.st_atime_ns, PUBLISHED_NS))
    except OSError:
        _put_back(file, before)
        return False
    return True


def _digest_as_published(file: FileIO, path: Path) -> str:
    """Return the digest of a file that stays as it is meanwhile: ``fsync`` has mappings tell of their next write."""
    sync(file.fileno())
    before = os.fstat(file.fileno())
    actual = digest(file)
    after = os.fstat(file.fileno())
    if (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, before.st_size):
        raise InvalidInputException("source", f"{path} is being written to; adopt it when that is done")
    return actual


def _put_back(file: FileIO, before: os.stat_result) -> None:
    with suppress(OSError):  # it was ours to set, so it is ours to put back; and what is raised matters more
        os.chmod(file.fileno(), stat.S_IMODE(before.st_mode))  # noqa: PTH101 - also takes a descriptor
        if os.fstat(file.fileno()).st_mtime_ns == PUBLISHED_NS:
            os.utime(file.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))
