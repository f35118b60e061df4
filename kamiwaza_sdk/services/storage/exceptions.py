"""What can go wrong in the store. The whole tree is drawn in `kamiwaza_sdk.exceptions`."""

import errno as system
import os
from pathlib import Path
from typing import Final, NoReturn

from kamiwaza_sdk._addresses import without_queries
from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import NotFoundException, ServiceException

FULL: Final = frozenset({system.ENOSPC, system.EDQUOT})
DENIED: Final = frozenset({system.EACCES, system.EPERM, system.EROFS})
_TOO_MANY: Final = frozenset({system.EMFILE, system.ENFILE})
#: What says nothing about the files, but that the file system or what is beneath it fails.
_FAILED: Final[frozenset[int]] = _TOO_MANY | {
    system.EFBIG,
    system.EIO,
    system.ENODEV,
    system.ENOMEM,
    system.ENXIO,
    system.ESTALE,
    system.ETIMEDOUT,
    getattr(system, "EUCLEAN", system.EIO),  # which only Linux has
}


class StorageException(ServiceException):
    """The store could not do what it was asked to do."""


class StorageTooNewException(StorageException):
    """A newer version of the library has laid the store out, in a way that this one does not know.

    Attributes:
        path: The directory of the store, or the address of a bucket.
        format: The number of its layout.
        known: The newest that this version of the library knows.
    """

    def __init__(self, *, path: Path | str, format: int, known: int) -> None:  # noqa: A002 - what it is called in the store
        super().__init__(
            f"the store at {path} has format {format}, and this version of kamiwaza_sdk knows {known}; upgrade it, or "
            "choose another store (STORAGE_SERVICE_ROOT)"
        )
        self.path = path
        self.format = format
        self.known = known


class RemoteStoreException(StorageException):
    """A shared store in a bucket, or a tier, does not do what was asked of it. What is kept locally stays.

    Attributes:
        address: Where it is.
        operation: What was to be done: ``open``, ``read``, ``write``, ``list`` or ``delete``.
        kind: What ``obstore`` calls it: ``PermissionDeniedError``, ``UnauthenticatedError``, ``GenericError`` for most
            others; ``NoSuchBucket`` where there is none.
        reason: What it says, without signatures.
    """

    def __init__(self, *, address: str, operation: str, kind: str, reason: str) -> None:
        way_out = "check the address (STORAGE_SERVICE_REMOTE, STORAGE_SERVICE_TIERS), and the credentials, region and "
        way_out += "endpoint in the environment (AWS_…, GOOGLE_…, AZURE_…); name what may only be read as a tier"
        super().__init__(
            f"{shown(address, limit=200)}: cannot {operation} ({kind}: {shown(without_queries(reason), limit=400)}); "
            f"{way_out}"
        )
        self.address = address
        self.operation = operation
        self.kind = kind
        self.reason: str = without_queries(reason)


class StorageQuotaException(StorageException):
    """What was to be fetched would not fit in the store's quota. Nothing has travelled.

    Attributes:
        path: The directory of the store.
        limit: The quota, in bytes.
        needed: How many bytes were to come.
        blobs: How many bytes the blobs take.
        leftovers: How many staging area, trash and quarantine take.
    """

    def __init__(self, *, path: Path, limit: int, needed: int, blobs: int, leftovers: int) -> None:
        super().__init__(
            f"{needed} bytes more would exceed the {limit} that the store at {path} may take "
            f"(STORAGE_SERVICE_MAX_SIZE): its blobs take {blobs}, what is staged, set aside or in quarantine takes "
            f"{leftovers}; plan_cleanup() tells what nothing refers to, clean_up() removes it, or raise the limit"
        )
        self.path = path
        self.limit = limit
        self.needed = needed
        self.blobs = blobs
        self.leftovers = leftovers


class BlobNotFoundException(StorageException, NotFoundException):
    """The store does not keep this blob.

    Attributes:
        sha256: The digest that was asked for.
        path: Where the blob would lie.
    """

    def __init__(self, *, sha256: str, path: Path) -> None:
        super().__init__(
            f"no blob {sha256} lies at {path}; fetch(version) brings what a registered version lacks, or add it first"
        )
        self.sha256 = sha256
        self.path = path


class BlobCorruptException(StorageException):
    """A kept blob no longer is what its name says. It is moved away now, or when next asked for, where possible.

    Attributes:
        sha256: The digest in the blob's name.
        actual: The digest of what lay there; `None` where that was no regular file.
        path: Where it lay; in a bucket, the address of that.
        quarantined: Where it lies now; `None` where it was not moved: this user may not, or another process was first.
    """

    def __init__(self, *, sha256: str, actual: str | None, path: Path | str, quarantined: Path | None) -> None:
        what = "is no regular file" if actual is None else f"hashes to {actual}"
        where = "was not moved away" if quarantined is None else f"was moved to {quarantined}"
        super().__init__(f"blob {sha256} at {path} {what} and {where}; fetch or add it again")
        self.sha256 = sha256
        self.actual = actual
        self.path = path
        self.quarantined = quarantined


class DigestMismatchException(StorageException):
    """A file is not what was promised. It was not stored.

    Attributes:
        expected: The digest that was promised.
        actual: The digest of what was read.
        path: The file.
    """

    def __init__(self, *, expected: str, actual: str, path: Path) -> None:
        super().__init__(f"{path} hashes to {actual}, not to {expected}; get the right file, or correct the digest")
        self.expected = expected
        self.actual = actual
        self.path = path


class LayoutNotPossibleException(StorageException):
    """A version cannot be laid out as another program keeps models, as it lacks what that needs. Nothing was written.

    Attributes:
        layout: The layout.
        needed: What the version would need.
    """

    def __init__(self, *, layout: str, needed: str) -> None:
        super().__init__(f"the layout {layout!r} needs {needed}; choose another layout, such as 'plain'")
        self.layout = layout
        self.needed = needed


class FileConflictException(StorageException):
    """Something else already stands where a file is to be laid out. It was left alone.

    Attributes:
        path: What stands in the way.
        sha256: The blob that was to appear there.
    """

    def __init__(self, *, path: Path, sha256: str) -> None:
        super().__init__(
            f"{path} exists and is not the file with digest {sha256}; move it away, or choose another directory"
        )
        self.path = path
        self.sha256 = sha256


class PathTraversalException(StorageException, ValueError):
    """A path leads out of the directory it has to stay in. Nothing was written there.

    Attributes:
        path: The path as it was given or composed.
        directory: The directory that it has to stay in.
    """

    def __init__(self, *, path: Path, directory: Path) -> None:
        super().__init__(f"{path} leads outside {directory}; remove the symbolic link, or choose a path inside")
        self.path = path
        self.directory = directory


class VersionFailedException(StorageException):
    """A version that failed was to be laid out, and nobody has forced it. Nothing was written.

    Attributes:
        version: Its model's name and its number, as far as it tells them.
        reason: What is said against it, as far as it tells.
    """

    def __init__(self, *, version: str, reason: str) -> None:
        super().__init__(
            f"{shown(version, limit=200)} failed{reason}; materialize(…, force=True) lays it out all the same"
        )
        self.version = version
        self.reason = reason


class _SystemException(StorageException, OSError):
    """A refusal by the operating system, which keeps its error number.

    Attributes:
        path: What was read or written.
        errno: The error number of the system's own error, which is the ``__cause__``.
        strerror: The system's words for it.
        filename: `path` as text.
    """

    # Defined here, they live in ``__dict__``, which is pickled; those of OSError are slots, which are not.
    errno: int | None = None
    strerror: str | None = None
    filename: str | None = None

    def __init__(self, message: str, *, path: Path, errno: int) -> None:
        super().__init__(message)
        self.path = path
        self.errno = errno
        self.strerror = os.strerror(errno)
        self.filename = str(path)


class StorageDiskException(_SystemException):
    """The file system failed at a file: its disk is dying, its server is gone, or a file is too large or one too many.

    Attributes:
        path: What was to be read or written.
        errno: Such as ``EIO``, ``ESTALE``, ``EFBIG`` or ``EMFILE``.
    """

    def __init__(self, *, path: Path, errno: int) -> None:
        super().__init__(f"{path} failed: {os.strerror(errno)}; {_disk_advice(errno)}", path=path, errno=errno)


def _disk_advice(code: int) -> str:
    if code in _TOO_MANY:
        return "close files, or raise the limit (ulimit -n)"
    if code == system.EFBIG:  # FAT, for one, ends at 4 GiB
        return "choose a place that takes files so large, or raise the limit (ulimit -f)"
    return "look at the disk, and try again"


class StorageFullException(_SystemException):
    """The file system, or the user's quota on it, has no room.

    Attributes:
        path: What was to be written.
        needed: How many bytes it takes; `None` where that is not known.
        free: How many bytes were free before; `None` where that is not known. A quota may allow less.
        errno: ``ENOSPC`` or ``EDQUOT``.
    """

    def __init__(self, *, path: Path, errno: int, needed: int | None = None, free: int | None = None) -> None:
        known = "" if needed is None else f" ({needed} bytes needed, {'?' if free is None else free} free)"
        super().__init__(
            f"no room for {path}{known}: {os.strerror(errno)}; free some space, or choose another place "
            "(STORAGE_SERVICE_ROOT for the store)",
            path=path,
            errno=errno,
        )
        self.needed = needed
        self.free = free


class StoragePermissionException(_SystemException, PermissionError):
    """The operating system does not let this user read or write there.

    Attributes:
        path: What was to be read or written.
        errno: ``EACCES``, ``EPERM`` or ``EROFS``.
    """

    def __init__(self, *, path: Path, errno: int) -> None:
        super().__init__(
            f"no access to {path}: {os.strerror(errno)}; grant it to this user, or choose another place "
            "(STORAGE_SERVICE_ROOT for the store)",
            path=path,
            errno=errno,
        )


def raise_as_storage_error(
    error: OSError, path: Path, *, needed: int | None = None, free: int | None = None
) -> NoReturn:
    """Raise what says that the file system is full, forbidden or failing, by its error number; any other as it is."""
    if error.errno in FULL:
        raise StorageFullException(path=path, errno=error.errno, needed=needed, free=free) from error
    if error.errno in DENIED:
        raise StoragePermissionException(path=path, errno=error.errno) from error
    if error.errno in _FAILED:
        raise StorageDiskException(path=path, errno=error.errno) from error
    raise error
