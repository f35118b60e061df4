"""One fetch for all machines that share a store: one brings what several want, the others wait, and read it there.

What they agree by is an object named by what is wanted: its files' digests, or what else pins their content. The one
that has it fetches, writes through, and says at the end which bytes the files have. A dead one is succeeded: what it
had written through by then is there. Files that nothing pins, as of a plain URL without a digest, are not waited for.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk._validation import check_sha256
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download.schemas import Validators
from kamiwaza_sdk.services.hub.cache import KeptFiles, digest_of
from kamiwaza_sdk.services.hub.sources.local import in_thread
from kamiwaza_sdk.services.storage.exceptions import StorageException
from kamiwaza_sdk.services.storage.schemas import BlobSchema, WantedBlob

if TYPE_CHECKING:
    from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
    from kamiwaza_sdk.services.storage.remote.lease import WorkLease
    from kamiwaza_sdk.services.storage.services import StorageService

#: Between two looks at what another machine does, in seconds.
_SOONEST: Final = 0.1
_LATEST: Final = 2.0
#: How often what another machine has brought is of no use, before this one brings it without asking.
_ROUNDS: Final = 3

_logger: Final = logging.getLogger(__name__)


@asynccontextmanager
async def one_of_all(
    pinned: Sequence["ManifestFileSchema"],
    missing: Sequence["ManifestFileSchema"],
    storage: "StorageService",
    kept: KeptFiles,
) -> AsyncIterator[bool]:
    """Enter when the files are to be brought by this machine (`False`), or another has brought them (`True`).

    Args:
        pinned: All files that can be told from what they would be by now: machines that want the same agree by them.
        missing: Those of them that are not here.
        storage: Where it is to be.
        kept: What remembers which bytes files have.

    Raises:
        RemoteStoreException: The shared store does not answer, or refuses.
    """
    if not missing or not storage._is_shared:
        yield False
        return
    lease = await in_thread(lambda: storage._work_lease(f"fetches/{_name_of(pinned)}"))
    async with _released(lease):
        is_mine = await _is_mine(lease, missing, storage, kept)
    if not is_mine:
        yield True
        return
    async with _released(lease):
        renewing = asyncio.ensure_future(_renew(lease))
        try:
            yield False
        finally:
            await _stop(renewing)
    await in_thread(lambda: lease.finish(_result(pinned, kept)))


@asynccontextmanager
async def _released(lease: "WorkLease") -> AsyncIterator[None]:
    """Let another machine have the work after an error, also where it was ours only for a moment."""
    try:
        yield
    except BaseException:
        with suppress(StorageException):  # the error of the fetch counts more
            await thread_to_its_end(lease.release)
        raise


def _name_of(files: Sequence["ManifestFileSchema"]) -> str:
    names = sorted({file.sha256 or digest_of(file.content_key) for file in files})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


async def _is_mine(
    lease: "WorkLease", missing: Sequence["ManifestFileSchema"], storage: "StorageService", kept: KeptFiles
) -> bool:
    """Wait while another machine brings it. `False`: it is here."""
    pause = _SOONEST
    for _ in range(_ROUNDS):
        while not await in_thread(lease.acquire):
            if lease.result is not None:
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LATEST)
        else:
            return True
        if await in_thread(lambda: _take(lease.result, missing, storage, kept)):
            return False
        if await in_thread(lease.redo):  # it is there no more
            return True
    return False


def _take(result: object, missing: Sequence["ManifestFileSchema"], storage: "StorageService", kept: KeptFiles) -> bool:
    """Bring what another machine has brought from the shared store; tell whether that is all. Blocks."""
    wanted = list(_told(result, missing))
    blobs = {blob.sha256: blob for blob in storage._bring_all(blob for _, blob in wanted)}
    learnt = list[tuple["ManifestFileSchema", BlobSchema, Validators]]()
    for file, blob in wanted:
        found = blobs.get(blob.sha256) or storage.find(blob.sha256, size=blob.size)
        if found is not None:
            learnt.append((file, found, Validators()))
    kept.remember(one for one in learnt if one[0].sha256 is None)
    return len(learnt) == len(missing)


def _told(result: object, missing: Sequence["ManifestFileSchema"]) -> "list[tuple[ManifestFileSchema, WantedBlob]]":
    """Return which bytes files have, as far as that is said in a way that can be right."""
    said = result if isinstance(result, dict) else {}
    told = list[tuple["ManifestFileSchema", WantedBlob]]()
    for file in missing:
        with suppress(InvalidInputException, ValueError, TypeError):
            sha256, size = said[digest_of(file.content_key)] if file.sha256 is None else (file.sha256, file.size)
            told.append((file, WantedBlob(check_sha256(sha256), None if size is None else int(size))))
    return told


def _result(pinned: Sequence["ManifestFileSchema"], kept: KeptFiles) -> dict[str, tuple[str, int]]:
    """Return which bytes the files have that no digest names beforehand."""
    found = kept.find_all(file for file in pinned if file.sha256 is None)
    blobs = ((file, found[file.path].blob) for file in pinned if file.path in found)
    return {digest_of(file.content_key): (blob.sha256, blob.size) for file, blob in blobs}


async def _renew(lease: "WorkLease") -> None:
    """Say again and again that somebody is at it. Where that cannot be said, another may bring it as well."""
    while True:
        await asyncio.sleep(lease.interval)
        try:
            if not await in_thread(lease.renew):
                return
        except StorageException as error:
            _logger.warning("other machines may bring the same: %s", error)


async def _stop(renewing: "asyncio.Future[None]") -> None:
    renewing.cancel()
    with suppress(asyncio.CancelledError):
        await renewing
