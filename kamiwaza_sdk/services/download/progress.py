"""Progress of downloads: the handle of a running one, callbacks, and bars."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final, Protocol

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._tasks import running_loop
from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download.schemas import DownloadProgress, DownloadRequest, DownloadResult, ProgressCallback


class Download:
    """A download under way, as `DownloadService.start` returns it.

    Await it for the result, as often as you want and from as many tasks as you want: whichever of them is cancelled,
    the download goes on. Iterate over it asynchronously to follow it. To end it, `cancel` it, or leave the context of
    its service.

    Attributes:
        url: The URL asked for, without user information and query.
        path: Where the file will stand.

    Args:
        bring: What brings it, given whom to tell how far it is, and whom to ask whether an unfinished file is to stay.
        url: The URL, redacted.
        path: The path.

    Example:
        >>> async def follow(downloads: "DownloadService") -> str | None:
        ...     download = downloads.start("https://example.org/model.gguf", Path("model.gguf"))
        ...     async for progress in download:
        ...         print(progress.received, progress.total)
        ...     return (await download).sha256
    """

    def __init__(
        self,
        bring: Callable[[ProgressCallback, Callable[[], bool]], Coroutine[Any, Any, DownloadResult]],  # Any: asyncio's
        *,
        url: str,
        path: Path,
    ) -> None:
        self.url = url
        self.path = path
        self._progress = DownloadProgress(url=url, path=path, received=0, total=None, finished=False)
        self._changed = asyncio.Event()
        self._keep_partial = True
        self._task = running_loop().create_task(bring(self._report, lambda: self._keep_partial))
        self._task.add_done_callback(self._on_done)

    @property
    def progress(self) -> DownloadProgress:
        """How far it is, at most a tenth of a second ago."""
        return self._progress

    def done(self) -> bool:
        """Return whether it is over: the file is there, or it failed, or was cancelled."""
        return self._task.done()

    async def cancel(self, *, keep_partial: bool = True) -> None:
        """End it, and return when it has ended. Awaiting it then raises `asyncio.CancelledError`.

        Nothing happens to one that is over.

        Args:
            keep_partial: Leave what has arrived beside the path, so that another download there goes on with it.
        """
        self._keep_partial = keep_partial
        self._task.cancel()
        await asyncio.wait({self._task})

    def __await__(self) -> Generator[Any, None, DownloadResult]:  # Any: what coroutines yield is asyncio's own
        return asyncio.shield(self._task).__await__()

    async def __aiter__(self) -> AsyncIterator[DownloadProgress]:
        """Yield how far it is, each time that has changed, until it is over. Who reads slowly skips, but for the last.

        It ends however the download ends; how it ended, awaiting tells.
        """
        shown: DownloadProgress | None = None
        while not self._task.done():
            self._changed.clear()
            if shown is not self._progress:
                shown = self._progress
                yield shown
            else:
                await self._changed.wait()
        if shown is not self._progress:
            yield self._progress

    def _report(self, progress: DownloadProgress) -> None:
        self._progress = progress
        self._changed.set()

    def _on_done(self, task: asyncio.Task[DownloadResult]) -> None:
        self._changed.set()
        if not task.cancelled():
            task.exception()  # marked as seen: who started it need not wait for it


_INTERVAL: Final = 0.1


class Reporter:
    """Calls `callback` at most every tenth of a second, and once when all is done. What is new is never told later.

    Args:
        callback: Called on the event loop.
        url: The URL, redacted.
        path: Where the file will stand.

    Attributes:
        callback: As given.
        path: As given.
        reused: Bytes that were here before.
    """

    def __init__(self, callback: ProgressCallback | None, *, url: str, path: Path) -> None:
        self.reused = 0
        self.callback = callback
        self._url = url
        self.path = path
        self._due = 0.0
        self._news: tuple[int, int | None] = (0, None)
        self._timer: asyncio.TimerHandle | None = None
        self._raised: BaseException | None = None

    def advance(self, received: int, total: int | None) -> None:
        """Report now if it is time to, or else when it is.

        Raises:
            BaseException: What the callback raised, now or the last time.
        """
        if self.callback is None:
            return
        self._raise()
        self._news = received, total
        loop = asyncio.get_running_loop()
        if loop.time() >= self._due:
            self._report(*self._news)
        elif self._timer is None:
            self._timer = loop.call_at(self._due, self._report_late)

    def finish(self, size: int, total: int | None) -> None:
        """Report that every byte is here and verified.

        Raises:
            BaseException: What the callback raised, now or the last time.
        """
        self.close()
        self._raise()
        self._report(size, total, finished=True)

    def close(self) -> None:
        """Report nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report_late(self) -> None:
        self._timer = None
        try:
            self._report(*self._news)
        except BaseException as error:  # noqa: BLE001 - raised where the download is: here it would end the event loop
            self._raised = error

    def _raise(self) -> None:
        if self._raised is not None:
            raise self._raised

    def _report(self, received: int, total: int | None, *, finished: bool = False) -> None:
        if self.callback is not None:
            self._due = asyncio.get_running_loop().time() + _INTERVAL
            progress = DownloadProgress(
                url=self._url, path=self.path, received=received, reused=self.reused, total=total, finished=finished
            )
            self.callback(progress)


def check_progress(progress: object) -> None:
    """Refuse what could not be told how far a download is, before it begins.

    Raises:
        InvalidInputException: It is neither true nor false, nor a function; or one that would have to be awaited.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise InvalidInputException("progress", f"is {shown(progress)}; give True for a bar, or a function")
    if iscoroutinefunction(progress):
        raise InvalidInputException("progress", "is a coroutine function, which nobody awaits; give a plain one")


class reporting:  # noqa: N801 - reads as what it does
    """The reporter that `progress` asks for, as a context; a bar is closed whatever happens.

    Raises:
        MissingDependencyException: By entering it: a bar was asked for and tqdm is not installed.
    """

    def __init__(self, progress: bool | ProgressCallback, url: str, path: Path) -> None:
        self._progress = progress
        self._bar: _Bar | None = None
        self._reporter = Reporter(None if isinstance(progress, bool) else progress, url=url, path=path)

    async def __aenter__(self) -> Reporter:
        if self._progress is True:
            self._reporter.callback = partial(self._draw, await _bars())
        return self._reporter

    def _draw(self, make_bar: "_MakeBar", progress: DownloadProgress) -> None:
        # Not before the first news: an answer can turn out to be another transfer's, which has a bar of its own.
        self._bar = self._bar or _new_bar(make_bar, self._reporter.path.name)
        _draw(self._bar, progress)

    async def __aexit__(self, *_: object) -> None:
        self._reporter.close()
        if self._bar is not None:
            self._bar.close()


ProgressOf = Callable[[DownloadRequest], bool | ProgressCallback]


@asynccontextmanager
async def reporting_all(
    progress: bool | ProgressCallback, requests: Sequence[DownloadRequest]
) -> AsyncGenerator[ProgressOf]:
    """Yield what to hand to each of many downloads; a bar of each file and one of all are closed whatever happens.

    Raises:
        MissingDependencyException: Bars were asked for and tqdm is not installed.
    """
    if progress is not True:
        yield lambda _: progress
        return
    bars = _Bars(await _bars(), requests)
    try:
        yield bars.of
    finally:
        bars.close()


class _Bars:
    """A bar of all files, and one of each while it travels."""

    def __init__(self, make_bar: "_MakeBar", requests: Sequence[DownloadRequest]) -> None:
        self._make_bar = make_bar
        self._all = _new_bar(make_bar, f"{len(requests)} files")
        sizes = [request.size for request in requests]
        self._all.reset(total=None if None in sizes else sum(size or 0 for size in sizes))
        self._each: dict[Path, _Bar] = {}
        self._received: dict[Path, int] = {}

    def of(self, request: DownloadRequest) -> ProgressCallback:
        """Return whom to tell of one file."""
        return lambda progress: self._show(request.path, progress)

    def _show(self, path: Path, progress: DownloadProgress) -> None:
        self._all.update(progress.received - self._received.get(path, 0))
        self._received[path] = progress.received
        if not progress.finished:
            bar = self._each.get(path) or self._each.setdefault(path, _new_bar(self._make_bar, path.name, leave=False))
            _draw(bar, progress)
        elif path in self._each:
            self._each.pop(path).close()

    def close(self) -> None:
        for bar in (*self._each.values(), self._all):
            bar.refresh()
            bar.close()


class _Bar(Protocol):
    n: int
    initial: int
    total: int | None

    def reset(self, total: int | None) -> object: ...
    def update(self, n: int) -> object: ...
    def refresh(self) -> object: ...
    def close(self) -> None: ...


class _MakeBar(Protocol):
    def get_lock(self) -> object: ...
    def __call__(self, *, desc: str, unit: str, unit_scale: bool, unit_divisor: int, leave: bool) -> _Bar: ...


async def _bars() -> _MakeBar:
    """Return tqdm's bar for here. Importing it, and its first lock, read many files: not on the event loop."""
    require("tqdm", extra="notebook")
    return await asyncio.to_thread(_load_bar)


def _load_bar() -> _MakeBar:
    bar: _MakeBar = importlib.import_module("tqdm.auto").tqdm  # it has no types of its own
    bar.get_lock()
    return bar


def _new_bar(make_bar: _MakeBar, name: str, *, leave: bool = True) -> _Bar:
    return make_bar(desc=name, unit="B", unit_scale=True, unit_divisor=1024, leave=leave)


def _draw(bar: _Bar, progress: DownloadProgress) -> None:
    if bar.total != progress.total or bar.initial != progress.reused:
        # In a notebook, setting `total` alone would leave the bar's length as it was.
        bar.reset(total=progress.total)
        bar.initial = progress.reused  # so that the rate shown is that of what travels
        bar.update(progress.reused)
    bar.update(progress.received - bar.n)
    if progress.finished:
        bar.refresh()
