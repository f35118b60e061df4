"""Many files: a bounded number at a time, the largest first, each by itself, or all or nothing.

With all or nothing, whole files wait under hidden names until all have arrived. Two calls for the same files share
these names, so that each file travels once and is found after a crash. The other call may replace, publish or remove a
waiting file. So a call that publishes first moves all its files out of the other's reach, and fetches again those that
are gone.
"""

import errno
import hashlib
import math
import os
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._files import sync_directory
from kamiwaza_sdk._tasks import all_or_first_error, thread_to_its_end
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.download.exceptions import DownloadDiskException
from kamiwaza_sdk.services.download.partial.file import disk_errors, refuse_all_but_files
from kamiwaza_sdk.services.download.partial.journal import key_of
from kamiwaza_sdk.services.download.partial.lock import PartialNames
from kamiwaza_sdk.services.download.schemas import DownloadOutcome, DownloadRequest, DownloadResult
from kamiwaza_sdk.services.download.transfer.small import BodyInMemory, SmallFile, SmallFiles, is_fresh

#: A device, a number on it, and the time of the last change.
_Identity = tuple[int, int, int]


class WaitingFile:
    """One of the files. Every method blocks.

    Args:
        request: What is asked for.

    Attributes:
        aside: Where it waits: two contents for one path do so in two places.
    """

    def __init__(self, request: DownloadRequest) -> None:
        self.request: Final = request
        content = request.url if request.sha256 is None else request.sha256.lower()
        self.aside: Final = self._beside(key_of(content)[:16])
        self._own: Final = self._beside(secrets.token_hex(8))
        self._is_taken = False
        self._stands = False
        self._sha256: str | None = None
        self._identity: _Identity | None = None

    def _beside(self, key: str) -> Path:
        return Path(PartialNames(self.request.path).beside(f"-{key}.whole"))

    def brought(self, result: DownloadResult) -> None:
        """Remember what was brought."""
        self._stands = result.path != self.aside
        self._sha256 = result.sha256
        self._identity = _identity(self.aside)

    def take(self) -> bool:
        """Take it out of the reach of others, and return whether it is there: here, or under its own name already."""
        if self._is_taken or self._stands:
            return True
        try:
            os.replace(self.aside, self._own)  # noqa: PTH105 - the bare call, atomic
        except FileNotFoundError:  # whoever asked for the same has named it, or failed and removed it
            self._stands = self._is_it(self.request.path)
            return self._stands
        self._is_taken = _identity(self._own) == self._identity or self._is_it(self._own)
        if not self._is_taken:
            os.replace(self._own, self.aside)  # noqa: PTH105 - as above
        return self._is_taken

    def put(self) -> None:
        """Give it its name, where it has not got it."""
        if self._is_taken:
            os.replace(self._own, self.request.path)  # noqa: PTH105 - as above
            self._is_taken, self._stands = False, True

    def let_go(self) -> None:
        """Leave nothing, unless it failed and a digest tells what is right: that is of use to the next try."""
        with suppress(OSError, ValueError):  # the latter of a path that was refused
            if self._is_taken:
                os.replace(self._own, self.aside)  # noqa: PTH105 - as above
            if self._stands or self.request.sha256 is None:
                self.aside.unlink(missing_ok=True)

    def _is_it(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self._sha256
        except FileNotFoundError:
            return False


def give_names(wholes: Collection[WaitingFile]) -> list[DownloadRequest]:
    """Give all files their names, or none; return those that are not there any more. Blocks.

    Raises:
        DownloadDiskException: The file system refuses one.
    """
    gone = []
    for whole in wholes:
        with _errors(whole):
            refuse_all_but_files(whole.request.path)  # as naming it would, when others have their names already
            if not whole.take():
                gone.append(whole.request)
    if not gone:
        _put(wholes)
    return gone


def let_go(wholes: Collection[WaitingFile]) -> None:
    """Leave nothing of them but what is of use to the next try. Blocks."""
    for whole in wholes:
        whole.let_go()


def _put(wholes: Collection[WaitingFile]) -> None:
    for whole in wholes:
        with _errors(whole):
            whole.put()
    for directory in {whole.request.path.parent for whole in wholes}:
        with disk_errors(directory, url=""):
            sync_directory(directory)


def _errors(whole: WaitingFile) -> disk_errors:
    return disk_errors(whole.request.path, url=redact_text(whole.request.url))


def _identity(path: Path) -> _Identity | None:
    """Return what tells a file from any other that has its name later; `None` where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


#: How one file is brought, and where to, unless it stands where it belongs already.
Bring = Callable[[DownloadRequest, Path], Awaitable[DownloadResult]]
#: How one that may be small is brought: into memory if it is.
BringSmall = Callable[[DownloadRequest], Awaitable[BodyInMemory | DownloadResult]]
#: How often what other calls took away is brought, where they do so each time.
_ROUNDS: Final = 5
_T = TypeVar("_T")


class Many:
    """Brings many files.

    Args:
        requests: What is asked for.
        bring: How one is brought.
        concurrency: How many requests are under way at once, which `bring` sees to; here twice as many are in work, so
            that while some wait for the disk others use the network.
    """

    def __init__(self, requests: list[DownloadRequest], bring: Bring, *, concurrency: int) -> None:
        self._requests = requests
        self._bring = bring
        self._workers = 2 * concurrency

    async def one_by_one(self, bring_small: BringSmall, files: SmallFiles) -> list[DownloadOutcome]:
        """Return what became of each. Small files are written many at a time, and durable at the end."""
        fresh = await thread_to_its_end(lambda: {request.path for request in self._requests if is_fresh(request)})

        async def brought(request: DownloadRequest) -> DownloadOutcome | SmallFile:
            if request.path not in fresh:
                return await self._outcome(request)
            try:
                body = await bring_small(request)
            except ServiceException as error:
                return DownloadOutcome(request=request, error=error)
            if isinstance(body, DownloadResult):
                return DownloadOutcome(request=request, result=body)
            if body.content is None:
                return DownloadOutcome(request=request, result=body.result())
            return await files.put(body)

        async with files.open():
            found = await _each(self._requests, brought, workers=self._workers)
        known = [
            _written(request, one) if isinstance(one, SmallFile) else one
            for request, one in zip(self._requests, found, strict=True)
        ]
        held = [request for request, outcome in zip(self._requests, known, strict=True) if outcome is None]
        later = iter(await _each(held, self._outcome, workers=self._workers))
        return [next(later) if outcome is None else outcome for outcome in known]

    async def _outcome(self, request: DownloadRequest) -> DownloadOutcome:
        try:
            return DownloadOutcome(request=request, result=await self._bring(request, request.path))
        except ServiceException as error:
            return DownloadOutcome(request=request, error=error)

    async def all_or_nothing(self) -> list[DownloadOutcome]:
        """Return what was brought, or raise the first error."""
        wholes = {request.path: WaitingFile(request) for request in self._requests}
        outcomes: dict[Path, DownloadOutcome] = {}

        async def bring(request: DownloadRequest) -> None:
            whole = wholes[request.path]
            result = await self._bring(request, whole.aside)
            await thread_to_its_end(lambda: whole.brought(result))
            own = result.model_copy(update={"path": request.path})
            outcomes[request.path] = DownloadOutcome(request=request, result=own)

        try:
            await self._until_named(wholes.values(), bring)
            return [outcomes[request.path] for request in self._requests]
        finally:
            await thread_to_its_end(lambda: let_go(wholes.values()))

    async def _until_named(
        self, wholes: Collection[WaitingFile], bring: Callable[[DownloadRequest], Awaitable[None]]
    ) -> None:
        missing = self._requests
        for _ in range(_ROUNDS):
            await _each(missing, bring, workers=self._workers)
            missing = await thread_to_its_end(lambda: give_names(wholes))
            if not missing:
                return
        raise DownloadDiskException(
            url=redact_text(missing[0].url),
            path=missing[0].path,
            code=errno.ESTALE,
            detail=f"other downloads of it have taken away what was brought, {_ROUNDS} times",
        )


def _written(request: DownloadRequest, file: SmallFile) -> DownloadOutcome | None:
    """Return what became of a small file; `None` where another transfer held its lock."""
    if file.result is None and file.error is None:
        return None
    return DownloadOutcome(request=request, result=file.result, error=file.error)


async def _each(
    requests: list[DownloadRequest], work: Callable[[DownloadRequest], Awaitable[_T]], *, workers: int
) -> list[_T]:
    """Work on all, the largest first; at the first error end the others, and raise it bare."""
    order = sorted(range(len(requests)), key=lambda index: -_size(requests[index]))
    results: dict[int, _T] = {}
    waiting = iter(order)

    async def worker() -> None:
        for index in waiting:
            results[index] = await work(requests[index])

    await all_or_first_error(worker() for _ in range(min(workers, len(order))))
    return [results[index] for index in range(len(order))]


def refuse_twice(requests: list[DownloadRequest]) -> None:
    """Refuse two with the same path, however it is written. Blocks.

    Raises:
        InvalidInputException: There are.
    """
    real = {parent: os.path.realpath(parent) for parent in {request.path.parent for request in requests}}
    places = Counter((real[request.path.parent], request.path.name) for request in requests)
    place, count = places.most_common(1)[0] if places else (("", ""), 1)
    if count > 1:
        raise InvalidInputException("requests", f"has {count} with the path {Path(*place)}; give each its own")


def _size(request: DownloadRequest) -> float:
    return math.inf if request.size is None else request.size
