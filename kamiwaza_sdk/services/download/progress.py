"""Telling somebody how far a download is: a callback, or a bar in the terminal or the notebook."""

import asyncio
import importlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk.services.download.schemas import DownloadProgress, ProgressCallback

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download._receive import Exchange

__all__ = ["Reporter", "reporting"]

_INTERVAL: Final = 0.1


class Reporter:
    """Calls `callback` at most every tenth of a second, and once when all is done."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._now = asyncio.get_running_loop().time
        self._due = self._now()

    def advance(self, exchange: "Exchange") -> None:
        """Report if it is time to."""
        if self._callback is not None and self._now() >= self._due:
            self._due = self._now() + _INTERVAL
            self._callback(_glance(exchange, finished=False))

    def finish(self, exchange: "Exchange") -> None:
        """Report that every byte is here and verified."""
        if self._callback is not None:
            self._callback(_glance(exchange, finished=True))


def _glance(exchange: "Exchange", *, finished: bool) -> DownloadProgress:
    return DownloadProgress(url=exchange.url, received=exchange.received, total=exchange.announced, finished=finished)


@asynccontextmanager
async def reporting(progress: bool | ProgressCallback, *, name: str) -> AsyncGenerator[Reporter]:
    """Yield the reporter that `progress` asks for; a bar is closed whatever happens.

    Raises:
        MissingDependencyException: A bar was asked for and tqdm is not installed.
    """
    if progress is not True:
        yield Reporter(None if progress is False else progress)
        return
    require("tqdm", extra="notebook")
    make_bar = await asyncio.to_thread(_load_bar)
    bar = make_bar(desc=name, unit="B", unit_scale=True, unit_divisor=1024)
    try:
        yield Reporter(lambda glance: _draw(bar, glance))
    finally:
        bar.close()


class _Bar(Protocol):
    n: int
    total: int | None

    def reset(self, total: int | None) -> object: ...
    def update(self, n: int) -> object: ...
    def refresh(self) -> object: ...
    def close(self) -> None: ...


class _MakeBar(Protocol):
    def get_lock(self) -> object: ...
    def __call__(self, *, desc: str, unit: str, unit_scale: bool, unit_divisor: int) -> _Bar: ...


def _load_bar() -> _MakeBar:
    """Return tqdm's bar for here. Importing it, and its first lock, read many files: not on the event loop."""
    bar: _MakeBar = importlib.import_module("tqdm.auto").tqdm  # it has no types of its own
    bar.get_lock()
    return bar


def _draw(bar: _Bar, glance: DownloadProgress) -> None:
    if bar.total != glance.total:
        bar.reset(total=glance.total)  # in a notebook, setting `total` alone would leave the bar's length as it was
    bar.update(glance.received - bar.n)
    if glance.finished:
        bar.refresh()
