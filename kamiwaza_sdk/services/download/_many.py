"""Many files: a bounded number at once, the largest first, each for itself or all or nothing."""

import asyncio
import errno
import hashlib
import math
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from kamiwaza_sdk._tasks import all_or_first_error
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.download._claim import Place
from kamiwaza_sdk.services.download._disk import disk_errors, refuse_all_but_files, sync_directory
from kamiwaza_sdk.services.download.schemas import DownloadOutcome, DownloadRequest, DownloadResult
from kamiwaza_sdk.services.download.urls import redact_text

__all__ = ["Many"]


#: How one file is brought, and where to, unless it stands where it belongs already.
Bring = Callable[[DownloadRequest, Path], Awaitable[DownloadResult]]


class Many:
    """Brings many files.

    Args:
        requests: What is asked for.
        bring: How one is brought.
        concurrency: How many requests are under way at once, which `bring` sees to; here twice as many are in work, so
            that while some wait for the disk others use the network.

    Raises:
        InvalidInputException: Two have the same path.
    """

    def __init__(self, requests: list[DownloadRequest], bring: Bring, *, concurrency: int) -> None:
        path, count = Counter(request.path for request in requests).most_common(1)[0] if requests else (None, 1)
        if count > 1:
            raise InvalidInputException("requests", f"has {count} with the path {path}; give each its own")
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

        return await self._each(outcome)

    async def all_or_nothing(self) -> list[DownloadOutcome]:
        """Return what was brought, or raise the first error."""

        async def bring(request: DownloadRequest) -> DownloadOutcome:
            return DownloadOutcome(request=request, result=await self._bring(request, _aside(request.path)))

        try:
            outcomes = await self._each(bring)
            return await asyncio.to_thread(_named, outcomes)
        finally:  # what a digest tells to be right is of use to the next try
            await asyncio.to_thread(_forget, [request for request in self._requests if request.sha256 is None])

    async def _each(self, work: Callable[[DownloadRequest], Awaitable[DownloadOutcome]]) -> list[DownloadOutcome]:
        """Work on all, the largest first; at the first error end the others, and raise it bare."""
        order = sorted(range(len(self._requests)), key=lambda index: -_size(self._requests[index]))
        outcomes: dict[int, DownloadOutcome] = {}
        waiting = iter(order)

        async def worker() -> None:
            for index in waiting:
                outcomes[index] = await work(self._requests[index])

        await all_or_first_error(worker() for _ in range(min(self._workers, len(order))))
        return [outcomes[index] for index in range(len(order))]


def _size(request: DownloadRequest) -> float:
    return math.inf if request.size is None else request.size


def _aside(path: Path) -> Path:
    """Return where a whole file waits for the others."""
    return Path(Place(path).beside(".whole"))


def _named(outcomes: list[DownloadOutcome]) -> list[DownloadOutcome]:
    """Give all files their names, but for those that have them, and tell of them by these. Blocks."""
    new = [outcome for outcome in outcomes if outcome.result and outcome.result.path != outcome.request.path]
    for step in (_look, _put):
        for outcome in new:
            with disk_errors(outcome.request.path, url=redact_text(outcome.request.url)):
                step(outcome)
    for directory in {outcome.request.path.parent for outcome in new}:
        with disk_errors(directory, url=""):
            sync_directory(directory)
    _forget([outcome.request for outcome in outcomes])  # of what stood here something may be left from an earlier try
    return [_placed(outcome) for outcome in outcomes]


def _placed(outcome: DownloadOutcome) -> DownloadOutcome:
    assert outcome.result is not None, "else it is nothing"
    result = outcome.result.model_copy(update={"path": outcome.request.path})
    return outcome.model_copy(update={"result": result})


def _look(outcome: DownloadOutcome) -> None:
    """Raise now what `_put` would raise when some have their names already."""
    refuse_all_but_files(outcome.request.path)
    if not _aside(outcome.request.path).exists():
        _refuse_another(outcome)


def _put(outcome: DownloadOutcome) -> None:
    try:
        os.replace(_aside(outcome.request.path), outcome.request.path)  # noqa: PTH105 - the bare call, atomic
    except FileNotFoundError:
        _refuse_another(outcome)


def _refuse_another(outcome: DownloadOutcome) -> None:
    """Who asked for the same at the same time may have named it, or taken it away: only the former is well."""
    request, result = outcome.request, outcome.result
    with request.path.open("rb") as file:
        if result is None or hashlib.file_digest(file, "sha256").hexdigest() != result.sha256:
            raise FileNotFoundError(errno.ENOENT, "Another download took it away", str(request.path))


def _forget(requests: list[DownloadRequest]) -> None:
    """Remove what waits for others. Blocks."""
    for request in requests:
        with suppress(OSError):
            _aside(request.path).unlink(missing_ok=True)
