"""Many files: a bounded number at once, the largest first, each for itself or all or nothing."""

import errno
import math
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final, TypeVar

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._tasks import all_or_first_error, thread_to_its_end
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.download._waiting import WaitingFile, give_names, let_go
from kamiwaza_sdk.services.download.exceptions import DownloadDiskException
from kamiwaza_sdk.services.download.schemas import DownloadOutcome, DownloadRequest, DownloadResult

__all__ = ["Many", "refuse_twice"]


#: How one file is brought, and where to, unless it stands where it belongs already.
Bring = Callable[[DownloadRequest, Path], Awaitable[DownloadResult]]
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

    async def one_by_one(self) -> list[DownloadOutcome]:
        """Return what became of each."""

        async def outcome(request: DownloadRequest) -> DownloadOutcome:
            try:
                return DownloadOutcome(request=request, result=await self._bring(request, request.path))
            except ServiceException as error:
                return DownloadOutcome(request=request, error=error)

        return await _each(self._requests, outcome, workers=self._workers)

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
