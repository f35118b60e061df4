"""Many files: a bounded number at once, the largest first, each for itself or all or nothing."""

import errno
import hashlib
import math
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from kamiwaza_sdk._tasks import all_or_first_error, thread_to_its_end
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.download._claim import Place
from kamiwaza_sdk.services.download._disk import disk_errors, refuse_all_but_files, sync_directory
from kamiwaza_sdk.services.download._journal import key_of
from kamiwaza_sdk.services.download.schemas import DownloadOutcome, DownloadRequest, DownloadResult
from kamiwaza_sdk.services.download.urls import redact_text

__all__ = ["Many", "refuse_twice"]


#: A device, a number on it, and the time of the last change.
_Identity = tuple[int, int, int]
#: How one file is brought, and where to, unless it stands where it belongs already.
Bring = Callable[[DownloadRequest, Path], Awaitable[DownloadResult]]


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

        return await self._each(outcome)

    async def all_or_nothing(self) -> list[DownloadOutcome]:
        """Return what was brought, or raise the first error."""
        brought: dict[Path, _Identity | None] = {}

        async def bring(request: DownloadRequest) -> DownloadOutcome:
            aside = _aside(request)
            result = await self._bring(request, aside)
            if result.path == aside:
                brought[request.path] = await thread_to_its_end(lambda: _identity(aside))
            return DownloadOutcome(request=request, result=result)

        try:
            outcomes = await self._each(bring)
            return await thread_to_its_end(lambda: _named(outcomes, brought))
        finally:  # what a digest tells to be right is of use to the next try
            unsure = [request for request in self._requests if request.sha256 is None]
            await thread_to_its_end(lambda: _forget(unsure))

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


def _aside(request: DownloadRequest) -> Path:
    """Return where a whole file waits for the others: two contents for one path do so in two places."""
    content = request.url if request.sha256 is None else request.sha256.lower()
    return Path(Place(request.path).beside(f"-{key_of(content)[:16]}.whole"))


def _identity(path: Path) -> _Identity | None:
    """Return what tells a file from any other that has its name later; `None` where there is none. Blocks."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _named(outcomes: list[DownloadOutcome], brought: Mapping[Path, _Identity | None]) -> list[DownloadOutcome]:
    """Give what was brought its names, all of it, and tell of each file by its own. Blocks."""
    new = [outcome for outcome in outcomes if outcome.request.path in brought]
    for step in (_look, _put):
        for outcome in new:
            with disk_errors(outcome.request.path, url=redact_text(outcome.request.url)):
                step(outcome, brought[outcome.request.path])
    for directory in {outcome.request.path.parent for outcome in new}:
        with disk_errors(directory, url=""):
            sync_directory(directory)
    _forget([outcome.request for outcome in outcomes])  # of what stood here something may be left from an earlier try
    return [_placed(outcome) for outcome in outcomes]


def _placed(outcome: DownloadOutcome) -> DownloadOutcome:
    assert outcome.result is not None, "else it is nothing"
    result = outcome.result.model_copy(update={"path": outcome.request.path})
    return outcome.model_copy(update={"result": result})


def _look(outcome: DownloadOutcome, brought: _Identity | None) -> None:
    """Raise now what `_put` would raise when some have their names already."""
    refuse_all_but_files(outcome.request.path)
    if brought is None or _identity(_aside(outcome.request)) != brought:
        _refuse_another(outcome)


def _put(outcome: DownloadOutcome, brought: _Identity | None) -> None:
    aside = _aside(outcome.request)
    if brought is not None and _identity(aside) == brought:
        os.replace(aside, outcome.request.path)  # noqa: PTH105 - the bare call, atomic
    else:
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
        with suppress(OSError, ValueError):  # the latter of a path that was refused
            _aside(request).unlink(missing_ok=True)
