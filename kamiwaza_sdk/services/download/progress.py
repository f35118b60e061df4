"""Progress of downloads: the handle of a running one, callbacks, and bars."""

import asyncio
import importlib
import logging
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._display import counted, shown_size
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
#: From so many bytes on a file has a bar of its own beside that of all.
_LARGE: Final = 16 * 1024**2
#: Seconds between two lines of the log, where nobody looks at bars.
_LOGGED_EVERY: Final = 10.0
_LOG: Final = logging.getLogger("kamiwaza_sdk.progress")


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
        MissingDependencyException: Bars are wanted where somebody may look, and tqdm is not installed.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise InvalidInputException("progress", f"is {shown(progress)}; give True for a bar, or a function")
    if iscoroutinefunction(progress):
        raise InvalidInputException("progress", "is a coroutine function, which nobody awaits; give a plain one")
    if progress is True and _is_watched():
        require("tqdm", extra="notebook")


class reporting:  # noqa: N801 - reads as what it does
    """The reporter that `progress` asks for, as a context; a bar is closed whatever happens.

    Raises:
        MissingDependencyException: By entering it: a bar was asked for and tqdm is not installed.
    """

    def __init__(self, progress: bool | ProgressCallback, url: str, path: Path) -> None:
        self._progress = progress
        self._showing = showing(progress is True, path.name, alone=True)
        self._reporter = Reporter(None if isinstance(progress, bool) else progress, url=url, path=path)

    async def __aenter__(self) -> Reporter:
        if self._progress is True:
            progress_of = await self._showing.__aenter__()
            self._reporter.callback = progress_of(self._reporter.path.name)
        return self._reporter

    async def __aexit__(self, *_: object) -> None:
        self._reporter.close()
        if self._progress is True:
            self._showing.close()


ProgressOf = Callable[[DownloadRequest], bool | ProgressCallback]
#: Returns whom to tell of a file, given its name.
ProgressOfName = Callable[[str], ProgressCallback]


@asynccontextmanager
async def reporting_all(
    progress: bool | ProgressCallback, requests: Sequence[DownloadRequest]
) -> AsyncGenerator[ProgressOf]:
    """Yield what to hand to each of many downloads; bars are closed whatever happens.

    Raises:
        MissingDependencyException: Bars were asked for and tqdm is not installed.
    """
    if progress is not True:
        yield lambda _: progress
        return
    names = _names([request.path for request in requests])
    async with showing(True, counted(len(requests), "file"), sizes=[one.size for one in requests]) as progress_of:
        yield lambda request: progress_of(names[request.path])


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return what each of several files is called: as they lie below the folder that they share."""
    folders = {path.absolute().parent for path in paths}
    shared = Path(os.path.commonpath(folders)) if folders else Path()
    return {path: path.absolute().relative_to(shared).as_posix() for path in paths}


class showing:  # noqa: N801 - as above
    """Shows people how far several files are, as a context; nothing where that was not asked for.

    In a terminal or a notebook: a bar of all with bytes and rate, which all that is under way in the process shares,
    and one of each large file while it travels. Elsewhere: a line in the log every ten seconds.

    Args:
        is_wanted: Whether it was asked for.
        title: What it all is.
        sizes: How large the files are; `None` of one is unknown. Default: unknown.
        alone: It is one file, whose bar stays.

    Raises:
        MissingDependencyException: By entering it: bars are to be shown, and tqdm is not installed.
    """

    def __init__(
        self, is_wanted: bool, title: str, *, sizes: Sequence[int | None] | None = None, alone: bool = False
    ) -> None:
        self._is_wanted = is_wanted
        self._title = title
        self._sizes = sizes
        self._alone = alone
        self._shown: _Shown | None = None

    async def __aenter__(self) -> ProgressOfName:
        if not self._is_wanted:
            return ignoring
        if not _is_watched():
            self._shown = _Log(self._title, _sum_of(self._sizes))
        elif self._alone:
            self._shown = _OneBar(await _bars())
        else:
            self._shown = _Bars(await _bars(), self._title, self._sizes)
        shown = self._shown
        return lambda name: partial(shown.show, name)

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Show nothing more."""
        if self._shown is not None:
            self._shown.close()


def ignoring(_name: str) -> ProgressCallback:
    """Return whom to tell in vain."""
    return lambda _: None


def _is_watched() -> bool:
    """Tell whether somebody may look at bars: in a terminal, or in a notebook."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class _Shown(Protocol):
    def show(self, name: str, progress: DownloadProgress) -> None: ...
    def close(self) -> None: ...


class _OneBar:
    """The bar of one file."""

    def __init__(self, make_bar: "_MakeBar") -> None:
        self._make_bar = make_bar
        self._bar: _Bar | None = None

    def show(self, name: str, progress: DownloadProgress) -> None:
        # Not before the first news: an answer can turn out to be another transfer's, which has a bar of its own.
        self._bar = self._bar or _new_bar(self._make_bar, name)
        _draw(self._bar, progress)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Total:
    """The bar of all that is under way in this process, from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bar: _Bar | None = None
        self._titles: dict[object, str] = {}
        self._totals: dict[object, int | None] = {}

    def join(self, who: object, make_bar: "_MakeBar", title: str, total: int | None) -> None:
        """Count one more: what has that title, and so many bytes, as far as that is known."""
        with self._lock:
            self._bar = self._bar or _new_bar(make_bar, title)
            self._titles[who] = title
            named = title if len(self._titles) == 1 else counted(len(self._titles), "download")
            self._bar.set_description_str(named, refresh=False)
            self._expect(who, total)

    def expect(self, who: object, total: int) -> None:
        """Correct how many bytes somebody's are."""
        with self._lock:
            self._expect(who, total)

    def _expect(self, who: object, total: int | None) -> None:
        self._totals[who] = total
        known = self._totals.values()
        whole = None if None in known else sum(one or 0 for one in known)
        if self._bar is not None and self._bar.total != whole:
            arrived = self._bar.n
            self._bar.reset(total=whole)  # in a notebook, setting `total` alone would leave the bar's length as it was
            self._bar.update(arrived)

    def add(self, count: int) -> None:
        """Count bytes that have arrived."""
        with self._lock:
            if self._bar is not None:
                self._bar.update(count)

    def leave(self, who: object) -> None:
        """Go. The last one closes the bar."""
        with self._lock:
            self._titles.pop(who, None)
            if not self._titles and self._bar is not None:
                self._bar.refresh()
                self._bar.close()
                self._bar, self._totals = None, {}


_TOTAL: Final = _Total()


class _Bars:
    """The bar of all, and one of each large file while it travels."""

    def __init__(self, make_bar: "_MakeBar", title: str, sizes: Sequence[int | None] | None) -> None:
        self._make_bar = make_bar
        self._count = None if sizes is None else len(sizes)
        self._each: dict[str, _Bar] = {}
        self._received: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        _TOTAL.join(self, make_bar, title, _sum_of(sizes))
        self._is_known = _sum_of(sizes) is not None

    def show(self, name: str, progress: DownloadProgress) -> None:
        self._learn(name, progress.total)
        _TOTAL.add(progress.received - self._received.get(name, 0))
        self._received[name] = progress.received
        if progress.finished:
            if name in self._each:
                self._each.pop(name).close()
        elif progress.total is None or progress.total >= _LARGE:
            bar = self._each.get(name) or self._each.setdefault(name, _new_bar(self._make_bar, name, leave=False))
            _draw(bar, progress)

    def _learn(self, name: str, total: int | None) -> None:
        """Once each file has told its size, it is known how large all are."""
        if self._is_known or total is None:
            return
        self._sizes[name] = total
        if len(self._sizes) == self._count:
            self._is_known = True
            _TOTAL.expect(self, sum(self._sizes.values()))

    def close(self) -> None:
        for bar in self._each.values():
            bar.refresh()
            bar.close()
        _TOTAL.leave(self)


def _sum_of(sizes: Sequence[int | None] | None) -> int | None:
    return None if sizes is None or None in sizes else sum(size or 0 for size in sizes)


class _Log:
    """A line in the log every ten seconds, and one at the end."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._total = total
        self._received: dict[str, int] = {}
        self._began = self._said = time.monotonic()

    def show(self, name: str, progress: DownloadProgress) -> None:
        self._received[name] = progress.received
        if time.monotonic() - self._said >= _LOGGED_EVERY:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        received = sum(self._received.values())
        of = "" if self._total is None else f" of {shown_size(self._total)} ({received * 100 // max(self._total, 1)} %)"
        rate = int(received / max(self._said - self._began, 0.001))
        _LOG.info("%s: %s%s, %s/s", self._title, shown_size(received), of, shown_size(rate))

    def close(self) -> None:
        if self._received:
            self._say()


class _Bar(Protocol):
    n: int
    initial: int
    total: int | None

    def set_description_str(self, desc: str, *, refresh: bool) -> object: ...
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
