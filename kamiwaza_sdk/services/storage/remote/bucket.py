"""A bucket as this package uses one: files in parts, ranges of them, and small objects changed by compare-and-swap.

All of it is ``obstore``'s; here are its options, and its errors made ours. An object is changed only if it still is
what was read: S3 compares ETags (``If-Match``), Google generations, Azure ETags. So whatever is changed that way has
random bytes in it, as the same content has the same ETag.
"""

import hashlib
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk.services.storage.exceptions import RemoteStoreException
from kamiwaza_sdk.services.storage.files import go_on, open_file
from kamiwaza_sdk.services.storage.remote.address import Address
from kamiwaza_sdk.services.storage.remote.objects import Held

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode, UpdateVersion
    from obstore.store import ObjectStore, RetryConfig

#: A service that is down is told within a minute, as is that there are no credentials.
RETRIES: "Final[RetryConfig]" = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
#: Of an upload: the parts, and how many of them are in memory at once. S3 takes 10,000 parts: 160 GB and more.
_PART: Final = 16 * 1024**2
_PARTS_AT_ONCE: Final = 4
_MOST_PARTS: Final = 10_000
#: What is read of a file, hashed, and handed over, while it is in the processor's cache.
_PIECE: Final = 1024**2
#: Where a moment of the service's clock is read off.
_CLOCK: Final = "clock/"


class Listed(NamedTuple):
    """An object in a listing: its name below the address, its size in bytes, when it was written."""

    name: str
    size: int
    modified: datetime


class Bucket:
    """What lies below an address of a bucket. Every method blocks, and any number of threads may call them.

    Args:
        address: Of a bucket, and where in it.
    """

    def __init__(self, address: Address) -> None:
        self.address = address

    def __reduce__(self) -> "tuple[type[Bucket], tuple[Address]]":  # a connection does not travel
        return Bucket, (self.address,)

    @cached_property
    def _store(self) -> "ObjectStore":
        require("obstore", extra="object-storage")
        from obstore.store import AzureStore, GCSStore, S3Store

        scheme, name, prefix = self.address.scheme, self.address.bucket, self.address.prefix or None
        with self._translated("open"):
            if scheme == "s3":
                # what the service compares with what arrived, so that nothing is changed on the way
                return S3Store(name, prefix=prefix, config={"checksum_algorithm": "SHA256"}, retry_config=RETRIES)
            if scheme == "gs":
                return GCSStore(name, prefix=prefix, retry_config=RETRIES)
            return AzureStore(name, prefix=prefix, retry_config=RETRIES)

    @contextmanager
    def _translated(self, operation: str) -> Generator[None]:
        """Raise as ours what obstore raises, but for what is not there."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                raise self._failure(operation, "NoSuchBucket", "there is no such bucket") from error
            raise
        except (BaseError, PermissionError, TimeoutError, ValueError) as error:
            said = str(error).partition("\n")[0]
            cause = None if "sig=" in said else error
            raise self._failure(operation, type(error).__name__, said) from cause

    def _failure(self, operation: str, kind: str, reason: str) -> RemoteStoreException:
        return RemoteStoreException(address=str(self.address), operation=operation, kind=kind, reason=reason)

    def read(self, name: str) -> Held | None:
        """Return a small object; `None` where there is none.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        import obstore

        try:
            with self._translated("read"):
                found = obstore.get(self._store, name)
                return Held(bytes(found.bytes()), _version(found.meta), found.meta["last_modified"])
        except FileNotFoundError:
            return None

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object that is not there. `False`: it is there.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        return self._put(name, content, "create")

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, in place of whatever is there.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        self._put(name, content, "overwrite")

    def replace(self, name: str, content: bytes, held: Held) -> bool:
        """Write a small object in place of what was read. `False`: it is another by now, or gone.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        return self._put(name, content, held.version)

    def _put(self, name: str, content: bytes, mode: "PutMode") -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with self._translated("write"):
                try:
                    obstore.put(self._store, name, content, mode=mode, use_multipart=False)
                except (AlreadyExistsError, PreconditionError):
                    return False
        except FileNotFoundError:  # it was to be replaced, and is gone
            return False
        return True

    def put_file(self, name: str, path: Path, *, size: int) -> str:
        """Write a file, in parts where it is large, of which four are in memory at once. It appears whole, or not.

        Returns:
            The SHA-256 of what was handed over, hashed on its way. The service compares each part with its own.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
            OSError: The file cannot be read.
        """
        import obstore

        part, read = max(_PART, -(-size // _MOST_PARTS)), hashlib.sha256()
        with open_file(path) as file:
            pieces = _hashed(file, read)
            try:
                with self._translated("write"):
                    if size <= part:
                        obstore.put(self._store, name, b"".join(pieces), use_multipart=False)
                    else:
                        obstore.put(self._store, name, pieces, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)
            except FileNotFoundError as error:
                raise self._failure("write", "NotFoundError", str(error).partition("\n")[0]) from error
        return read.hexdigest()

    def read_range(self, name: str, start: int, length: int) -> memoryview:
        """Return some bytes of an object, where obstore has put them.

        Raises:
            FileNotFoundError: There is no such object.
            RemoteStoreException: The service does not answer, or refuses; or the object ends before.
        """
        import obstore

        with self._translated("read"):
            return memoryview(obstore.get_range(self._store, name, start=start, length=length))

    def size(self, name: str) -> int | None:
        """Return the size of an object; `None` where there is none.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        import obstore

        try:
            with self._translated("read"):
                return obstore.head(self._store, name)["size"]
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield what lies below a prefix that ends with a slash, a page of a thousand in memory at a time.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        import obstore

        with self._translated("list"):
            for page in obstore.list(self._store, prefix.rstrip("/"), chunk_size=1000):
                for found in page:
                    yield Listed(found["path"], found["size"], found["last_modified"])

    def folders(self, prefix: str) -> frozenset[str]:
        """Return what stands before the next slash in the names below a prefix that ends with one.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        import obstore

        with self._translated("list"):
            found = obstore.list_with_delimiter(self._store, prefix.rstrip("/"))
        return frozenset(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    def delete(self, *names: str) -> None:
        """Delete objects, whatever they are by now; none that is not there is missed.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        import obstore

        try:
            with self._translated("delete"):
                obstore.delete(self._store, list(names))
        except FileNotFoundError:
            pass

    def now(self) -> datetime:
        """Return the time by the service's clock, as it tells when something was written.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        import obstore

        name = f"{_CLOCK}{secrets.token_hex(16)}"
        self.create(name, b"")
        try:
            with self._translated("read"):
                return obstore.head(self._store, name)["last_modified"]
        finally:
            self.delete(name)


def _hashed(file: FileIO, read: "hashlib._Hash") -> Iterator[bytes]:
    """Yield the rest of a file, each piece in a place of its own, as it is sent while the next is read."""
    while piece := file.read(_PIECE):
        read.update(piece)
        yield piece
        go_on()


def _version(found: "ObjectMeta") -> "UpdateVersion":
    """Return what tells an object from what it becomes later: services have an ETag, or a version, or both."""
    version: UpdateVersion = {}
    if found["e_tag"] is not None:
        version["e_tag"] = found["e_tag"]
    if found["version"] is not None:
        version["version"] = found["version"]
    return version
