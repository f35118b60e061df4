"""Telling somebody how far a download is: a callback, or a bar in the terminal or the notebook."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk.services.download.schemas import DownloadProgress, DownloadRequest, ProgressCallback

__all__ = ["Reporter", "reporting"]

_INTERVAL: Final = 0.1


class Reporter:
    """Calls `callback` at most every tenth of a second, and once when all is done.

    Attributes:
        reused: Bytes that were here before.
    """

    def __init__(self, callback: ProgressCallback | None, *, url: str, path: Path) -> None:
        self.reused = 0
        self._callback = callback
        self._url = url
        self._path = path
        self._now = asyncio.get_running_loop().time
        self._due = self._now()

    def advance(self, received: int, total: int | None) -> None:
        """Report if it is time to."""
        if self._callback is not None and self._now() >= self._due:
            self._due = self._now() + _INTERVAL
            self._report(received, total)

    def finish(self, size: int, total: int | None) -> None:
        """Report that every byte is here and verified."""
        self._report(size, total, finished=True)

    def _report(self, received: int, total: int | None, *, finished: bool = False) -> None:
        if self._callback is not None:
            glance = DownloadProgress(
                url=self._url, path=self._path, received=received, reused=self.reused, total=total, finished=finished
            )
            self._callback(glance)


@asynccontextmanager
async def reporting(progress: bool | ProgressCallback, *, name: str) -> AsyncGenerator[ProgressCallback | None]:
    """Yield what `progress` asks for; a bar is closed whatever happens.

    Raises:
        MissingDependencyException: A bar was asked for and tqdm is not installed.
    """
    if progress is not True:
        yield None if progress is False else progress
        return
    bar = _new_bar(await _bars(), name)
    try:
        yield lambda glance: _draw(bar, glance)
    finally:
        bar.close()


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
        return lambda glance: self._show(request.path, glance)

    def _show(self, path: Path, glance: DownloadProgress) -> None:
        self._all.update(glance.received - self._received.get(path, 0))
        self._received[path] = glance.received
        if not glance.finished:
            bar = self._each.get(path) or self._each.setdefault(path, _new_bar(self._make_bar, path.name, leave=False))
            _draw(bar, glance)
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


def _draw(bar: _Bar, glance: DownloadProgress) -> None:
    if bar.total != glance.total or bar.initial != glance.reused:
        # In a notebook, setting `total` alone would leave the bar's length as it was.
        bar.reset(total=glance.total)
        bar.initial = glance.reused  # so that the rate shown is that of what travels
        bar.update(glance.reused)
    bar.update(glance.received - bar.n)
    if glance.finished:
        bar.refresh()
