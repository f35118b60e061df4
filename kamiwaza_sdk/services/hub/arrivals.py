"""Arrivals: small files are written from memory to the store, and the addresses of all files are remembered.

A caller passes a body and continues. Many bodies are written at a time, in one job of one thread. If the disk is slower
than the network, more threads help, because a disk syncs several files as fast as one; and above some MiB, callers
wait. An error is raised by the next call, and at the end.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.hub.cache import KeptFiles
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.storage.services import StorageService
from kamiwaza_sdk.services.storage.small import SmallBlobs, SmallBody

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import Validators
    from kamiwaza_sdk.services.storage.schemas import BlobSchema


#: What is kept in one job: so many files, or so many bytes; and after so many seconds what there is.
_MANY: Final = 16
_MUCH: Final = 1024**2
_SOON: Final = 0.1
_MAX_THREADS: Final = 8
#: How many bytes wait for the disk before who has more waits, too.
_MOST: Final = 16 * 1024**2
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
        self._waiting: list[_Arrival] = []
        self._bytes_waiting = 0
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._jobs = set[asyncio.Task[None]]()
        self._error: BaseException | None = None
        self._learnt: list[tuple[ManifestFileSchema, BlobSchema, Validators]] = []
        self._noted = time.monotonic()
        self._brought = list["BlobSchema"]()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """At the end, write everything durably, remember the addresses, and leave nothing staged.

        Raises:
            StorageException: Something cannot be kept; unless an error is raised in this context.
        """
        try:
            yield
        except BaseException:
            await settled(asyncio.ensure_future(self._ended()))
            raise
        ending = asyncio.ensure_future(self._ended())
        if (cancelled := await settled(ending)) is not None:
            raise cancelled
        ending.result()

    async def keep(self, file: ManifestFileSchema, body: SmallBody, validators: "Validators") -> None:
        """Store a body soon. Waits only while many bodies wait for the disk.

        Raises:
            StorageException: One before could not be kept.
        """
        self._raise()
        size = len(body.content)
        self._waiting.append(_Arrival(file, body, validators))
        self._bytes_waiting += size
        self._bytes += size
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._begin)
        self._begin_if_many()
        while self._bytes > _MOST and self._jobs:
            await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
        self._raise()

    def learn(self, file: ManifestFileSchema, blob: "BlobSchema", validators: "Validators") -> None:
        """Remember the content of a file's address, if this is useful: at once, or a little later. Blocks."""
        if file.git_blob_id or file.etag or validators.etag or validators.last_modified:
            with self._lock:
                self._learnt.append((file, blob, validators))
        if time.monotonic() - self._noted > _INTERVAL:
            self._note()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _begin_if_many(self) -> None:
        is_much = len(self._waiting) >= _MANY or self._bytes_waiting >= _MUCH
        if is_much and len(self._jobs) < _MAX_THREADS:
            self._begin()

    def _begin(self) -> None:
        """Let a thread write the waiting bodies."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._error is None:
            arrived, self._waiting = self._waiting, []
            size, self._bytes_waiting = self._bytes_waiting, 0
            job = asyncio.get_running_loop().create_task(self._job(arrived, size))
            self._jobs.add(job)
            job.add_done_callback(self._on_done)

    def _on_done(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        self._begin_if_many()

    async def _job(self, arrived: Sequence[_Arrival], size: int) -> None:
        try:
            await asyncio.to_thread(self._store, arrived)
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits
            self._error = self._error or error
        finally:
            self._bytes -= size

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
        self._begin()
        while self._jobs:
            await asyncio.wait(self._jobs)
        await asyncio.to_thread(self._settle)
        self._raise()

    def _settle(self) -> None:
        with self._stage:
            try:
                if self._blobs is not None:
                    self._blobs.settle()
                    self._storage._share(self._brought)
            finally:
                self._note()
