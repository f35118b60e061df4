"""What a store does with the one that machines share, and with tiers: bring, write through, and let go to make room.

The directory is a cache. What it lacks is brought from the first place that has it, and verified as it arrives. What
comes in from elsewhere is written through before the call returns. What the shared store has may be evicted.
"""

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import cached_property, partial
from io import FileIO
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from kamiwaza_sdk.services.storage import blobs, inventory, trash
from kamiwaza_sdk.services.storage.exceptions import BlobCorruptException
from kamiwaza_sdk.services.storage.files import translated
from kamiwaza_sdk.services.storage.remote.address import Address
from kamiwaza_sdk.services.storage.remote.objects import SmallObjects
from kamiwaza_sdk.services.storage.schemas import BlobSchema, StoreDatabaseSchema, WantedBlob
from kamiwaza_sdk.services.storage.setup import prepare, write_whole
from kamiwaza_sdk.services.storage.staging import staged

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.collection import Collection
    from kamiwaza_sdk.services.storage.services import StorageService

_T = TypeVar("_T")
_Item = TypeVar("_Item")

#: Larger ones travel one after the other, each in several parts at once.
_SMALL: Final = 16 * 1024**2
_SMALL_AT_ONCE: Final = 4
_LOOKS_AT_ONCE: Final = 16
_MARK: Final = "remote.json"


class BlobStore(Protocol):
    """A place that may have blobs: a bucket, or a directory."""

    @property
    def id(self) -> str:
        """32 hexadecimal digits that no other store has."""

    def find(self, sha256: str, *, size: int | None = None) -> int | None:
        """Return the size of a blob that is there; `None` where it is not."""

    def put(self, blob: BlobSchema) -> bool:
        """Write a blob there unless it is there, hashed on its way; tell whether it had to be."""

    def copy_to(self, sha256: str, target: FileIO) -> str | None:
        """Append a blob to a file, and return the SHA-256 of what came; `None` where there is no such blob."""

    @property
    def objects(self) -> SmallObjects:
        """Small objects beside the blobs, which machines agree by."""

    def lease(self, digests: Sequence[str], *, duration: timedelta) -> str:
        """Have a clean-up keep blobs for a while."""

    def release(self, lease: str) -> bool:
        """End a lease before its time."""

    def collection(self) -> "Collection":
        """Return it as a clean-up sees it."""

    def digest(self, sha256: str) -> str | None:
        """Return the SHA-256 of the bytes that are there; `None` where there are none. Damage is noted."""

    def note_database(self, database: StoreDatabaseSchema) -> None:
        """Note, durably, that a registry is going to refer to what lies there."""

    def list_databases(self) -> list[StoreDatabaseSchema]:
        """Return the registries that have registered what lies there, by id."""

    def forget_database(self, database_id: str) -> bool:
        """Let a registry be asked no more; tell whether it was."""


def open_store(address: str, *, writable: bool) -> BlobStore:
    """Return the store at an address. Nothing is asked of it yet."""
    parsed = Address.parse(address)
    if parsed.is_directory:
        from kamiwaza_sdk.services.storage.remote.directory_store import DirectoryStore

        return DirectoryStore(parsed.path, writable=writable)
    from kamiwaza_sdk.services.storage.remote.bucket import Bucket
    from kamiwaza_sdk.services.storage.remote.bucket_store import BucketStore

    return BucketStore(Bucket(parsed), writable=writable)


class SharedStores:
    """The shared store and the tiers behind one directory. Every method blocks; any number of threads may call them.

    Args:
        storage: The store in front of them.
        remote: The address of the shared store; `None` where there is none.
        tiers: The addresses of what is only read.
    """

    def __init__(self, storage: "StorageService", *, remote: str | None, tiers: Sequence[str]) -> None:
        self._storage = storage
        self._address = remote
        self.remote: BlobStore | None = None if remote is None else open_store(remote, writable=True)
        self.tiers: list[BlobStore] = [open_store(tier, writable=False) for tier in tiers]

    @cached_property
    def id(self) -> str | None:
        """The id of the shared store, which is kept here: so nothing is asked once it is known."""
        if self.remote is None:
            return None
        place = self._storage.root / _MARK
        with suppress(FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            said = json.loads(place.read_bytes())
            if said["address"] == self._address:
                return str(said["id"])
        known = self.remote.id
        with translated(place):
            prepare(self._storage.root)
            write_whole(place, json.dumps({"address": self._address, "id": known}).encode())
        return known

    def bring(self, wanted: WantedBlob) -> BlobSchema | None:
        """Bring a blob from the first place that has it; `None` where none has.

        Raises:
            BlobCorruptException: Something is there under its name, and it is something else.
            RemoteStoreException: A place does not answer, or refuses.
            StorageException: There is no room, and the like.
        """
        wrong: BlobCorruptException | None = None
        for place in (*self.tiers, *([] if self.remote is None else [self.remote])):
            size = place.find(wanted.sha256)
            if size is None:
                continue
            self._storage.check_quota(size)
            try:
                brought = self._copied(place, wanted.sha256, size)
            except BlobCorruptException as error:
                wrong = error
                continue
            if brought is not None:
                return brought
        if wrong is not None:
            raise wrong
        return None

    def _copied(self, place: BlobStore, sha256: str, size: int) -> BlobSchema | None:
        root = self._storage.root
        with staged(root, key=None) as path:
            with translated(path, needed=size), FileIO(path, "x+b") as target:
                actual = place.copy_to(sha256, target)
                written = target.tell()
            if actual is None:
                return None
            if actual != sha256:
                raise BlobCorruptException(sha256=sha256, actual=actual, path=f"{place}", quarantined=None)
            with translated(path):
                blob = blobs.publish(root, path, sha256=sha256, size=written)
        inventory.note_use(root, sha256)
        return blob

    def bring_all(self, wanted: Iterable[WantedBlob]) -> list[BlobSchema]:
        """Bring what is not here and is there, and return that, in no order: small ones together, then each large one.

        Raises:
            BlobCorruptException: As `bring`.
            RemoteStoreException: As `bring`.
            StorageException: As `bring`.
        """
        root = self._storage.root
        missing = [one for one in dict.fromkeys(wanted) if blobs.is_missing(root, one.sha256)]
        return [blob for blob in _each(self.bring, missing, size=lambda one: one.size) if blob is not None]

    def share(self, kept: Iterable[BlobSchema]) -> int:
        """Write blobs through to the shared store, where there is one; return how many had to be.

        Raises:
            BlobCorruptException: One is damaged here. It is in quarantine, and the shared store does not have it.
            RemoteStoreException: It does not answer, or refuses.
            StorageException: It is a directory, and cannot be written.
        """
        if self.remote is None:
            return 0
        each = {blob.sha256: blob for blob in kept}
        return sum(_each(partial(self._put, self.remote), list(each.values()), size=lambda blob: blob.size))

    def _put(self, remote: BlobStore, blob: BlobSchema) -> bool:
        try:
            return remote.put(blob)
        except BlobCorruptException:
            self._storage.verify(blob.sha256)  # it is set aside here, so that it is fetched anew
            raise

    def ensure(self, wanted: Iterable[WantedBlob]) -> None:
        """Return when all are in the shared store, having written through what only the directory has.

        Raises:
            BlobNotFoundException: One is in neither.
            BlobCorruptException: One is only here, and damaged.
            RemoteStoreException: It does not answer, or refuses.
        """
        remote = self.remote
        assert remote is not None, "there is one to be looked into"

        def look(one: WantedBlob) -> BlobSchema | None:
            return None if remote.find(one.sha256, size=one.size) is not None else self._here(one)

        with ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="kamiwaza-remote") as threads:
            found = list(threads.map(look, dict.fromkeys(wanted)))
        self.share(blob for blob in found if blob is not None)

    def _here(self, wanted: WantedBlob) -> BlobSchema:
        return blobs.inspect(self._storage.root, wanted.sha256, size=wanted.size)

    def evict(self, needed: int) -> int:
        """Remove from the directory what the shared store has, least recently used first; return how many bytes.

        What a lease keeps goes last: it was fetched a moment ago, and in the shared store its lease holds as well.
        Whoever needs what went brings it again.

        Args:
            needed: How many bytes are to go.

        Raises:
            RemoteStoreException: The shared store does not answer, or refuses.
        """
        if self.remote is None:
            return 0
        freed = self._finished(self.remote)
        oldest = list(self._by_use())
        heapq.heapify(oldest)
        while freed < needed and oldest:
            *_, sha256, size = heapq.heappop(oldest)
            if self.remote.find(sha256, size=size) is not None:
                freed += self._removed(sha256, size)
        return freed

    def _finished(self, remote: BlobStore) -> int:
        """Remove what is set aside since an eviction was interrupted, as far as it is shared; return how many bytes."""
        root, freed = self._storage.root, 0
        for run in filter(None, [trash.close(root, run) for run in trash.runs(root)]):
            for sha256 in trash.contents(root, run):
                size, _ = trash.size_in(root, run, sha256)
                if remote.find(sha256, size=size) is not None and trash.remove(root, run, sha256):
                    freed += size
            trash.end(root, run)
        return freed

    def _by_use(self) -> Iterator[tuple[bool, float, str, int]]:
        root = self._storage.root
        leased = inventory.leased(root, at=inventory.now(root))
        for prefix in inventory.PREFIXES:
            for entry in inventory.entries(root, prefix):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    used = inventory.last_use(root, entry.name, status)
                    yield entry.name in leased, used, entry.name, status.st_size

    def _removed(self, sha256: str, size: int) -> int:
        """Remove a blob by a name that no other has, as a clean-up does: what is fetched meanwhile is another file."""
        filling = trash.Filling(self._storage.root)
        moved = filling.set_aside(sha256)
        run = filling.close()
        if not moved or run is None:
            return 0
        gone = trash.remove(self._storage.root, run, sha256)
        trash.end(self._storage.root, run)
        return size if gone else 0


def _each(work: "Callable[[_Item], _T]", items: Sequence[_Item], *, size: "Callable[[_Item], int | None]") -> list[_T]:
    """Return what work comes to: of small items several at once, of large ones one after the other."""
    small = [item for item in items if (size(item) or 0) <= _SMALL]
    large = [item for item in items if (size(item) or 0) > _SMALL]
    with ThreadPoolExecutor(_SMALL_AT_ONCE, thread_name_prefix="kamiwaza-remote") as threads:
        futures = [threads.submit(copy_context().run, work, item) for item in small]
        try:
            done = [future.result() for future in futures]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return done + [work(item) for item in large]
