"""A download under way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from kamiwaza_sdk._tasks import running_loop
from kamiwaza_sdk.services.download.schemas import DownloadProgress, DownloadResult, ProgressCallback

__all__ = ["Download"]


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
