"""Resources that the calls of a service share: a session, threads that write, and a limit of connections.

The threads hash, write and sync. They start when they are needed, and end with the service's last call.

`concurrent.futures` would do, at several times the cost of a hop: a future of its own that is chained to the event
loop's, three locks, a thread woken for each job, and one wake-up of the event loop. For small files the hops are most
of the work, as threads take the interpreter's lock from each other. So one thread does all jobs for as long as it keeps
up, and reports them in batches.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.partial.disk import NewFileMode

if TYPE_CHECKING:
    import aiohttp

    from kamiwaza_sdk.services.download.http.client import Network


_T = TypeVar("_T")
_POLL: Final = 0.001
#: How long the next job waits, in seconds, before another thread joins in.
_PATIENCE: Final = 0.005
#: How long a thread that has more to do keeps to itself what it has done, in seconds.
_NEWS: Final = 0.001


class _Job:
    """What runs, and who is told."""

    __slots__ = ("end", "ended", "future", "is_long", "work")

    # Any: of whatever it returns
    def __init__(self, work: Callable[[], Any], future: asyncio.Future[Any], *, is_long: bool) -> None:
        self.work = work
        self.future = future
        self.is_long = is_long
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
        self._jobs: deque[_Job] = deque()
        self._threads: list[threading.Thread] = []
        self._awake = 0
        self._long = 0
        self._alarm: SimpleQueue[bool] = SimpleQueue()
        self._timer: asyncio.TimerHandle | None = None
        self._news: deque[tuple[_Job, Any, BaseException | None] | None] = deque()  # Any: as above
        self._called = False

    def start(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """Run `work`, which may take long. Cancelling what is returned does not keep it from being done."""
        job = self._add(work, is_long=True)
        self._long += 1
        self._wake()
        return job.future

    async def run(self, work: Callable[[], _T], *, on_cancel: Callable[[], None]) -> _T:
        """Return what `work` returns; when cancelled, call `on_cancel`, and go on once the work has come to its end."""
        job = self._add(work)
        if self._awake <= self._long:
            self._wake()
        elif self._timer is None:
            self._timer = self._loop.call_later(_PATIENCE, self._look, job)
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
        if self._timer is not None:
            self._timer.cancel()
        for _ in self._threads:
            self._alarm.put(False)
        # They have nothing left to do, so this is about a millisecond; joining them would block the event loop for it.
        while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110 - a thread's end signals nothing
            await asyncio.sleep(_POLL)

    def _add(self, work: Callable[[], Any], *, is_long: bool = False) -> _Job:  # Any: as above
        job = _Job(work, self._loop.create_future(), is_long=is_long)
        self._jobs.append(job)
        return job

    def _wake(self) -> None:
        """Have one thread more at work, if there is one more."""
        if self._awake < len(self._threads):
            self._alarm.put(True)
        elif self._awake < self._limit:
            thread = threading.Thread(target=self._run, name=f"kamiwaza-download-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        else:
            return
        self._awake += 1

    def _look(self, first: _Job) -> None:
        """Call for help where what had to wait still does."""
        self._timer = None
        try:
            head = self._jobs[0]
        except IndexError:
            return
        if head is first:
            self._wake()
        self._timer = self._loop.call_later(_PATIENCE, self._look, head)

    def _run(self) -> None:
        """Work, and sleep where there is nothing to do, until the alarm says that there never will be."""
        while True:
            self._work()
            self._news.append(None)
            self._tell()
            if not self._alarm.get():
                return

    def _work(self) -> None:
        told = time.monotonic()
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                return
            result, raised = None, None
            try:
                result = job.work()
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                raised = error
            self._news.append((job, result, raised))
            del job, result, raised
            if (now := time.monotonic()) - told >= _NEWS:
                told = now
                self._tell()

    def _tell(self) -> None:
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        """Hand over what has ended, however many that are: they need one wake-up only."""
        self._called = False  # first: what is appended from here on calls again
        while self._news:
            news = self._news.popleft()
            if news is None:
                self._awake -= 1
            else:
                self._long -= news[0].is_long
                _end(*news)
        if self._jobs and self._awake <= self._long:  # added when the last one had found nothing more
            self._wake()


def _end(job: _Job, result: Any, raised: BaseException | None) -> None:  # Any: as above
    job.ended = True
    if job.end is not None:
        job.end.set_result(None)
    elif job.future.done():
        pass
    elif raised is None:
        job.future.set_result(result)
    else:
        job.future.set_exception(raised)


class CancelFlag:
    """A flag that any thread sets once: a `threading.Event` without waiting, at a tenth of its cost."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said = False

    def set(self) -> None:
        """Set the flag."""
        self._said = True

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return self._said


class Resources:
    """Opens each of them when first used; after leaving its context none is left.

    Args:
        config: How the session is made, and how many files travel at once: each needs one thread while it does, and as
            many others need one for a moment now and then.
        session: The caller's own session, used and not closed.
    """

    def __init__(self, config: DownloadConfig, session: "aiohttp.ClientSession | None") -> None:
        self._config = config
        self._given = session
        self._own: aiohttp.ClientSession | None = None
        self._network: Network | None = None
        self.mode: NewFileMode = NewFileMode()
        self.threads: Threads = Threads(2 * config.max_concurrency + 1)

    async def network(self) -> "Network":
        """Return what requests go through.

        Raises:
            ConfigurationException: The caller's session is closed, or cannot do what the settings ask for; or the file
                of certificates cannot be used.
        """
        if self._network is not None:
            return self._network
        from kamiwaza_sdk.services.download.http.client import Network, check_session, open_session, trusting

        if self._given is not None:
            check_session(self._given, self._config)
            return Network(self._given, self._config, given=True)
        ca_file, strict = self._config.ca_file, self._config.tls_strict
        own = ca_file is not None or not strict
        trusted = await asyncio.to_thread(trusting, ca_file, strict=strict) if own else None
        if self._network is None:  # else another call was faster
            self._own = open_session(self._config, trusted)
            self._network = Network(self._own, self._config, given=False)
        return self._network

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._own is not None:
                await self._own.close()
        finally:  # also when cancelled meanwhile
            await self.threads.close()


class ConnectionLimiter:
    """A semaphore that tells how many wait, so that a transfer over several connections gives back what it borrowed.

    Args:
        count: The number of places.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def wanted(self) -> int:
        """The number of requests that wait."""
        return len(self._waiting)

    def borrow(self) -> bool:
        """Take a place if one is free, to be given back by `release`."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Give a place back, to the request that has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                turn.set_result(None)
                return
        self._free += 1

    async def __aenter__(self) -> Self:
        if not self.borrow():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._forget(turn)
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def _forget(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():  # its turn came in the same moment
            self.release()
