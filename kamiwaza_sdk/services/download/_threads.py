"""The threads that hash, write and sync: started as they are needed, all gone afterwards.

`concurrent.futures` would do, at two or three times the cost of a hop: a future of its own that is chained to the event
loop's, three locks, and one wake-up of the event loop for each job. For small files the hops are most of the work.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from kamiwaza_sdk._tasks import settled

__all__ = ["Threads"]

_T = TypeVar("_T")
_POLL: Final = 0.001


class _Job:
    """What runs, and who is told."""

    __slots__ = ("end", "ended", "future", "work")

    def __init__(self, work: Callable[[], Any], future: asyncio.Future[Any]) -> None:  # Any: of whatever it returns
        self.work = work
        self.future = future
        self.ended = False
        self.end: asyncio.Future[None] | None = None


class Threads:
    """Runs jobs for one event loop.

    Args:
        limit: How many threads there are at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._ended: deque[tuple[_Job, Any, BaseException | None]] = deque()  # Any: as above
        self._called = False

    def start(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """Run `work` in a thread. Cancelling what is returned does not keep it from being done."""
        return self._begin(work).future

    async def run(self, work: Callable[[], _T], *, on_cancel: Callable[[], None]) -> _T:
        """Return what `work` returns; when cancelled, call `on_cancel`, and go on once the work has come to its end."""
        job = self._begin(work)
        try:
            result: _T = await job.future
        except asyncio.CancelledError:
            on_cancel()
            if not job.ended:
                job.end = self._loop.create_future()
                await settled(job.end)
            raise
        return result

    async def close(self) -> None:
        """Return when all threads are gone."""
        for _ in self._threads:
            self._jobs.put(None)
        # They have nothing left to do, so this is about a millisecond; joining them would block the event loop for it.
        while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110 - a thread's end signals nothing
            await asyncio.sleep(_POLL)

    def _begin(self, work: Callable[[], Any]) -> _Job:  # Any: as above
        job = _Job(work, self._loop.create_future())
        self._busy += 1
        if self._busy > len(self._threads) < self._limit:
            thread = threading.Thread(target=self._work, name=f"kamiwaza-download-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)
        return job

    def _work(self) -> None:
        for job in iter(self._jobs.get, None):
            result, raised = None, None
            try:
                result = job.work()
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                raised = error
            self._ended.append((job, result, raised))
            del job, result, raised
            if not self._called:
                self._called = True
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        """Hand over what has ended, however many that are: they need one wake-up only."""
        self._called = False  # first: what is appended from here on calls again
        while self._ended:
            job, result, raised = self._ended.popleft()
            self._busy -= 1
            job.ended = True
            if job.end is not None:
                job.end.set_result(None)
            elif job.future.done():
                continue
            elif raised is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(raised)
