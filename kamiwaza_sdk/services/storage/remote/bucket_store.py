"""Blobs in a bucket: bytes under names that are never used twice, and beside them what says which of them count.

::

    <address>/
      format.json                 the number of this layout, and the store's own id
      index/ab/<sha256>           which bytes are that blob's now: small, changed by compare-and-swap only
      blobs/ab/<sha256>/<random>  bytes, written once
      databases/<id>              which registries have registered what lies here
      leases/<name>               which blobs are to stay for a while
      runs/<run>                  what a clean-up has condemned, until it is sure
      marks/<run>                 which transactions it waits for
      fetches/<digest>            which machine brings what others want, too, and what that came to
      clock/<random>              gone at once: what moment it is there

An index entry is ``live``, or ``condemned`` by a clean-up, or ``gone``; whoever uses a blob that is condemned makes it
live again. Of bytes that turned out to be others it says ``damaged``. It is never deleted, as a deletion has no
condition: an entry that is ``gone`` stays, and is made ``live`` by who brings the blob again, under another name.

Who uploads writes the bytes, then the entry, then looks whether the bytes are still there. Who removes bytes that no
entry names deletes them, then looks at the entry. So one of the two sees the other.
"""

import hashlib
import json
import logging
import os
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.storage.exceptions import (
    BlobCorruptException,
    RemoteStoreException,
    StorageTooNewException,
)
from kamiwaza_sdk.services.storage.files import go_on
from kamiwaza_sdk.services.storage.remote.bucket import Bucket
from kamiwaza_sdk.services.storage.remote.objects import Held
from kamiwaza_sdk.services.storage.schemas import BlobSchema, StoreDatabaseSchema

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.collection import Collection

State = Literal["live", "condemned", "damaged", "gone"]

#: The number of the layout.
FORMAT: Final = 1
#: Of a download: what is asked for at once, and how many of such requests.
_RANGE: Final = 8 * 1024**2
_RANGES_AT_ONCE: Final = 4
#: What is hashed, then written, while it is in the processor's cache.
_WINDOW: Final = 1024**2
#: How often an entry can be changed by others between our reading and our changing it.
_ATTEMPTS: Final = 100

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index says of a blob.

    Attributes:
        state: Whether it counts.
        key: The last part of the name of its bytes.
        size: Its size, in bytes.
        run: Which clean-up has condemned it.
        nonce: What no other entry has, so that its ETag is another's than before.
    """

    state: State
    key: str
    size: int
    run: str = ""
    nonce: str = ""

    def dumped(self) -> bytes:
        """Return it as an object's content, with a new nonce."""
        return json.dumps({**asdict(self), "nonce": secrets.token_hex(16)}).encode()

    @classmethod
    def loaded(cls, content: bytes) -> "Entry | None":
        """Return what a content says; `None` where it says nothing."""
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(content)
            if said["state"] in get_args(State):
                run, nonce = str(said.get("run", "")), str(said["nonce"])
                return cls(said["state"], str(said["key"]), int(said["size"]), run, nonce)
        return None


class BucketStore:
    """Blobs in a bucket, for any number of machines at once. Every method blocks; any number of threads may call them.

    Args:
        bucket: Where.
        writable: Whether anything may be changed there. Where not, a blob that is condemned is still read.
    """

    def __init__(self, bucket: Bucket, *, writable: bool) -> None:
        self.bucket = bucket
        self._writable = writable

    def __str__(self) -> str:
        """Return its address."""
        return str(self.bucket.address)

    @cached_property
    def id(self) -> str:
        """32 hexadecimal digits that no other store has. The layout is looked at here, once, and made where it is new.

        Raises:
            StorageTooNewException: A newer version of the library has made it.
            RemoteStoreException: The service does not answer, or refuses.
        """
        held = self.bucket.read("format.json")
        if held is None:
            said = {"format": FORMAT, "id": secrets.token_hex(16)}
            self.bucket.create("format.json", json.dumps(said).encode())
            held = self.bucket.read("format.json")
        return self._read_format(held)

    def _read_format(self, held: Held | None) -> str:
        try:
            said = json.loads(b"" if held is None else held.content)
            number, known = int(said["format"]), str(said["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationException("STORAGE_SERVICE_REMOTE", f"{self}/format.json is damaged") from error
        if number > FORMAT:
            raise StorageTooNewException(path=str(self), format=number, known=FORMAT)
        return known

    def index(self, sha256: str) -> tuple[Entry, Held] | None:
        """Return what the index says of a blob; `None` where it says nothing."""
        held = self.bucket.read(index_name(sha256))
        if held is None:
            return None
        entry = Entry.loaded(held.content)
        return (Entry("gone", "", 0) if entry is None else entry), held

    def change(self, sha256: str, held: Held | None, entry: Entry) -> bool:
        """Have the index say something else than what was read of it. `False`: it was changed meanwhile."""
        name = index_name(sha256)
        if held is None:
            return self.bucket.create(name, entry.dumped())
        return self.bucket.replace(name, entry.dumped(), held)

    def find(self, sha256: str, *, size: int | None = None) -> int | None:
        """Return the size of a blob that is there; `None` where it is not. A condemned one is live again.

        Two requests: what the index says, and whether the bytes are there.

        Args:
            sha256: Its digest.
            size: The size it has to have.

        Raises:
            RemoteStoreException: The service does not answer, or refuses.
        """
        entry = self._live(sha256)
        if entry is None or size not in {None, entry.size}:
            return None
        return entry.size if self.bucket.size(bytes_name(sha256, entry)) == entry.size else None

    def _live(self, sha256: str) -> Entry | None:
        for _ in range(_ATTEMPTS):
            found = self.index(sha256)
            if found is None or found[0].state in {"gone", "damaged"}:
                return None
            entry, held = found
            if entry.state == "live" or not self._writable:
                return entry
            if self.change(sha256, held, replace(entry, state="live", run="")):
                return replace(entry, state="live", run="")
        raise self._busy(sha256)

    def _busy(self, sha256: str) -> RemoteStoreException:
        reason = f"the index of {sha256} is changed all the time by others"
        return RemoteStoreException(address=str(self), operation="write", kind="PreconditionError", reason=reason)

    def put(self, blob: BlobSchema) -> bool:
        """Upload a blob unless it is there; tell whether it had to be. It is there, whole, when this returns.

        It is hashed once more on its way: what turns out to be something else is not named.

        Raises:
            BlobCorruptException: The file is not what its name says.
            RemoteStoreException: The service does not answer, or refuses.
            OSError: The file cannot be read.
        """
        assert self.id, "its layout is known, or made"
        for _ in range(_ATTEMPTS):
            found = self.index(blob.sha256)
            if found is not None and self.find(blob.sha256, size=blob.size) is not None:
                return False
            if self._upload(blob, None if found is None else found[1]):
                return True
        raise self._busy(blob.sha256)

    def _upload(self, blob: BlobSchema, held: Held | None) -> bool:
        """Write the bytes, then have the index name them. `False`: others were faster, or a clean-up."""
        entry = Entry("live", secrets.token_hex(16), blob.size)
        name = bytes_name(blob.sha256, entry)
        is_named = False
        try:
            actual = self.bucket.put_file(name, blob.path, size=blob.size)
            if actual != blob.sha256:
                raise BlobCorruptException(sha256=blob.sha256, actual=actual, path=blob.path, quarantined=None)
            is_named = self.change(blob.sha256, held, entry)
        finally:
            if not is_named:
                with suppress(RemoteStoreException):  # a clean-up removes what nothing names
                    self.bucket.delete(name)
        return is_named and self.bucket.size(name) == blob.size

    def copy_to(self, sha256: str, target: FileIO) -> str | None:
        """Append a blob to a file, and return the SHA-256 of what came; `None` where there is no such blob.

        Of a large one, four ranges of 8 MiB are asked for at once, and hashed in order as they arrive.

        Raises:
            RemoteStoreException: The service does not answer, or refuses, or breaks off.
            OSError: The file cannot be written.
        """
        entry = self._live(sha256)
        if entry is None:
            return None
        read = hashlib.sha256()
        try:
            for piece in self._pieces(bytes_name(sha256, entry), entry.size):
                for start in range(0, len(piece), _WINDOW):
                    go_on()
                    read.update(window := piece[start : start + _WINDOW])
                    _write(target, window)
        except FileNotFoundError:  # it went meanwhile
            return None
        if read.hexdigest() != sha256:
            self._note_damage(sha256, entry)
        return read.hexdigest()

    def digest(self, sha256: str) -> str | None:
        """Return the SHA-256 of the bytes that are there; `None` where there are none. Damage is noted.

        Raises:
            RemoteStoreException: As `copy_to`.
        """
        with Path(os.devnull).open("wb", buffering=0) as nothing:
            return self.copy_to(sha256, nothing)

    def _pieces(self, name: str, size: int) -> Iterator[memoryview]:
        spans = [(start, min(_RANGE, size - start)) for start in range(0, size, _RANGE)]
        if len(spans) <= 1:
            yield from (self.bucket.read_range(name, *span) for span in spans)
            return
        coming = deque[Future[memoryview]]()
        with ThreadPoolExecutor(_RANGES_AT_ONCE, thread_name_prefix="kamiwaza-remote") as threads:
            try:
                for span in spans:
                    if len(coming) == _RANGES_AT_ONCE:
                        yield coming.popleft().result()
                    coming.append(threads.submit(self.bucket.read_range, name, *span))
                while coming:
                    yield coming.popleft().result()
            finally:
                for future in coming:
                    future.cancel()

    def _note_damage(self, sha256: str, entry: Entry) -> None:
        """Have the index say that these bytes are others, so that they are brought anew. The bytes stay."""
        _logger.warning("blob %s at %s is not what its name says; it will be uploaded again", sha256, self)
        if not self._writable:
            return
        found = self.index(sha256)
        if found is not None and found[0].key == entry.key:
            self.change(sha256, found[1], replace(found[0], state="damaged"))

    @property
    def objects(self) -> Bucket:
        """Small objects beside the blobs, which machines agree by."""
        return self.bucket

    def lease(self, digests: Sequence[str], *, duration: timedelta) -> str:
        """Have a clean-up keep blobs for a while, by the service's clock; the same blobs and time share a lease."""
        said = json.dumps({"seconds": duration.total_seconds(), "blobs": sorted(set(digests))}).encode()
        name = hashlib.sha256(said).hexdigest()[:32]
        self.bucket.write(f"leases/{name}", said)
        return name

    def release(self, lease: str) -> bool:
        """End a lease before its time; tell whether there was one."""
        if self.bucket.size(f"leases/{lease}") is None:
            return False
        self.bucket.delete(f"leases/{lease}")
        return True

    def leased(self, *, at: datetime, remove: bool = False) -> frozenset[str]:
        """Return which blobs leases keep at a moment of the service's clock; those that have ended may be removed."""
        kept = set[str]()
        for listed in list(self.bucket.list("leases/")):
            held = self.bucket.read(listed.name)
            with suppress(ValueError, KeyError, TypeError):
                said = json.loads(b"" if held is None else held.content)
                if listed.modified + timedelta(seconds=said["seconds"]) > at:
                    kept.update(said["blobs"])
                elif remove:
                    self.bucket.delete(listed.name)
        return frozenset(kept)

    def collection(self) -> "Collection":
        """Return it as a clean-up sees it."""
        from kamiwaza_sdk.services.storage.remote.bucket_collection import BucketCollection

        return BucketCollection(self)

    def note_database(self, database: StoreDatabaseSchema) -> None:
        """Note, durably, that a registry is going to refer to what lies here."""
        assert self.id, "its layout is known, or made"
        self.bucket.create(f"databases/{database.id}", json.dumps({"name": database.name}).encode())

    def list_databases(self) -> list[StoreDatabaseSchema]:
        """Return the registries that have registered what lies here, by id."""
        names = sorted(listed.name for listed in self.bucket.list("databases/"))
        return [self._database(name) for name in names]

    def _database(self, name: str) -> StoreDatabaseSchema:
        held, known = self.bucket.read(name), name.rpartition("/")[2]
        with suppress(ValueError, KeyError, TypeError):
            return StoreDatabaseSchema(id=known, name=str(json.loads(b"" if held is None else held.content)["name"]))
        return StoreDatabaseSchema(id=known, name="?")

    def forget_database(self, database_id: str) -> bool:
        """Let a registry be asked no more; tell whether it was."""
        if self.bucket.size(f"databases/{database_id}") is None:
            return False
        self.bucket.delete(f"databases/{database_id}")
        return True


def index_name(sha256: str) -> str:
    """Return the name of a blob's entry."""
    return f"index/{sha256[:2]}/{sha256}"


def bytes_name(sha256: str, entry: Entry) -> str:
    """Return the name of the bytes that an entry says."""
    return f"blobs/{sha256[:2]}/{sha256}/{entry.key}"


def _write(target: FileIO, data: memoryview) -> None:
    while data:
        data = data[target.write(data) :]
