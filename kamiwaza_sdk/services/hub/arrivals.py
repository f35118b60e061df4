"""Arrivals: small files are written from memory to the store, and the addresses of all files are remembered.

A caller passes a body and continues: `Batches` has many written at a time. An error is raised by the next call, and at
the end.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from kamiwaza_sdk._tasks import Batches, ended_by
from kamiwaza_sdk.services.hub.cache import KeptFiles
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.storage.services import StorageService
from kamiwaza_sdk.services.storage.small import SmallBlobs, SmallBody

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import Validators
    from kamiwaza_sdk.services.storage.schemas import BlobSchema


#: Seconds for which what was learnt of addresses may be lost where the process is killed: those files travel again.
_INTERVAL: Final = 1.0


class _Arrival(NamedTuple):
    file: ManifestFileSchema
    body: SmallBody
    validators: "Validators"


class Arrivals:
    """Stores the small files of one fetch. It belongs to one event loop, and to one use of `open`.

    Args:
        storage: The store.
        kept: The index that remembers addresses.
    """

    def __init__(self, storage: StorageService, kept: KeptFiles) -> None:
        self._storage = storage
        self._kept = kept
        self._lock = Lock()
        self._stage = ExitStack()
        self._blobs: SmallBlobs | None = None
        self._batches = Batches(self._store)
        self._learnt: list[tuple[ManifestFileSchema, BlobSchema, Validators]] = []
        self._noted = time.monotonic()
        self._brought = list["BlobSchema"]()

    def open(self) -> AbstractAsyncContextManager[None]:
        """At the end, write everything durably, remember the addresses, and leave nothing staged.

        Raises:
            StorageException: Something cannot be kept; unless an error is raised in this context.
        """
        return ended_by(self._ended)

    async def keep(self, file: ManifestFileSchema, body: SmallBody, validators: "Validators") -> None:
        """Store a body soon. Waits only while many bodies wait for the disk.

        Raises:
            StorageException: One before could not be kept.
        """
        await self._batches.put(_Arrival(file, body, validators), len(body.content))

    def learn(self, file: ManifestFileSchema, blob: "BlobSchema", validators: "Validators") -> None:
        """Remember the content of a file's address, if this is useful: at once, or a little later. Blocks."""
        if file.git_blob_id or file.etag or validators.etag or validators.last_modified:
            with self._lock:
                self._learnt.append((file, blob, validators))
        if time.monotonic() - self._noted > _INTERVAL:
            self._note()

    def _store(self, arrived: Sequence[_Arrival]) -> None:
        blobs = self._opened().keep([arrival.body for arrival in arrived])
        with self._lock:
            self._brought += blobs
        for arrival, blob in zip(arrived, blobs, strict=True):
            self.learn(arrival.file, blob, arrival.validators)

    def _opened(self) -> SmallBlobs:
        with self._lock:
            if self._blobs is None:
                place = self._stage.enter_context(self._storage.stage())
                self._blobs = SmallBlobs(self._storage.root, place.parent)
            return self._blobs

    def _note(self) -> None:
        with self._lock:
            learnt, self._learnt, self._noted = self._learnt, [], time.monotonic()
        if learnt:
            self._kept.remember(learnt)

    async def _ended(self) -> None:
        try:
            await self._batches.end()
        finally:
            await asyncio.to_thread(self._settle)

    def _settle(self) -> None:
        with self._stage:
            try:
                if self._blobs is not None:
                    self._blobs.settle()
                    self._storage._share(self._brought)
            finally:
                self._note()
