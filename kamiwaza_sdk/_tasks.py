"""Waiting for tasks and threads: to their end whatever happens meanwhile, or for the first error of several.

`Batches` hands over many small items to few threads.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, Final, Generic, TypeVar

from kamiwaza_sdk.exceptions import AsyncioRequiredException

_T = TypeVar("_T")
_Item = TypeVar("_Item")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs here.

    Raises:
        AsyncioRequiredException: None of asyncio's does.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise AsyncioRequiredException from None


async def settled(
    future: asyncio.Future[Any],  # Any: of whatever it holds
    cancel: Callable[[], object] | None = None,
) -> asyncio.CancelledError | None:
    """Wait for the end of `future` through any number of cancellations, call `cancel` at each, return the last."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        ended = future.get_loop().create_future()
        future.add_done_callback(partial(_wake, ended))
        try:
            await ended
        except asyncio.CancelledError as error:
            cancelled = error
            if cancel is not None:
                cancel()
    if not future.cancelled():
        future.exception()  # marked as seen: whoever was to see it has
    return cancelled


def _wake(waiter: asyncio.Future[None], _: object) -> None:
    if not waiter.done():
        waiter.set_result(None)


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


async def thread_to_its_end(
    function: Callable[[], _T], cancel: Callable[[], object] | None = None, *, threads: Executor | None = None
) -> _T:
    """Return what `function` returns in a thread, and be cancelled only once it is done, which `cancel` may hasten.

    Args:
        function: Runs with the context variables of the caller.
        cancel: Called at each cancellation.
        threads: Where it runs. Default: the threads of the event loop.
    """
    running = asyncio.get_running_loop().run_in_executor(threads, copy_context().run, function)
    cancelled = await settled(running, cancel)
    if cancelled is not None:
        raise cancelled from running.exception()
    return running.result()


async def all_or_first_error(coroutines: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """Run all at once; at the first error cancel the others, wait for them, and raise it bare."""
    first: BaseException | None = None
    tasks: list[asyncio.Task[_T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    if first is None:
        return [task.result() for task in tasks]
    # Not in the handler: there the group, which holds it, would become its context, and IPython goes round for ever.
    try:
        raise first
    finally:
        del first  # the frame that its traceback holds


async def for_each(
    function: Callable[[_Item], Coroutine[None, None, _T]], items: Iterable[_Item], *, at_once: int
) -> list[_T]:
    """Return what a function comes to for each item, in their order, for so many of them at once; errors as above.

    There are only as many tasks: to begin ten thousand would keep the event loop from everything else.
    """
    left = enumerate(items)
    results = dict[int, _T]()

    async def work() -> None:
        for index, item in left:
            results[index] = await function(item)

    await all_or_first_error(work() for _ in range(at_once))
    return [results[index] for index in sorted(results)]


@asynccontextmanager
async def ended_by(end: Callable[[], Coroutine[None, None, None]]) -> AsyncGenerator[None]:
    """Run `end` to its end once the context is left. Its error is raised, unless another is."""
    try:
        yield
    except BaseException:
        await settled(asyncio.ensure_future(end()))
        raise
    ending = asyncio.ensure_future(end())
    if (cancelled := await settled(ending)) is not None:
        raise cancelled
    ending.result()


class Batches(Generic[_Item]):
    """Hands items over to threads, many at a time. It belongs to one event loop.

    A caller passes an item and continues. If the threads are slower than the callers, more of them run, because a disk
    syncs several files as fast as one; and above some MiB, callers wait.

    Args:
        work: Does the work for some items, in a thread. After an error nothing more is begun.
        threads: Where it runs. Default: the threads of the event loop.
    """

    #: What is handed over at once: so many items, or so many bytes; and after so many seconds what there is.
    MANY: Final = 16
    MUCH: Final = 1024**2
    SOON: Final = 0.1
    MAX_THREADS: Final = 8
    #: How many bytes wait for the threads before who has more waits, too.
    MOST: Final = 16 * 1024**2

    def __init__(self, work: Callable[[list[_Item]], object], *, threads: Executor | None = None) -> None:
        self._work = work
        self._threads = threads
        self._waiting: list[_Item] = []
        self._bytes_waiting = 0
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._jobs = set[asyncio.Task[None]]()
        self._error: BaseException | None = None

    async def put(self, item: _Item, size: int) -> None:
        """Have the work done for an item of so many bytes soon. Waits only while many bytes wait.

        Raises:
            BaseException: What the work raised before.
        """
        self._raise()
        self._waiting.append(item)
        self._bytes_waiting += size
        self._bytes += size
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.SOON, self._begin)
        self._begin_if_many()
        while self._bytes > self.MOST and self._jobs:
            await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
        self._raise()

    async def end(self) -> None:
        """Return when the work is done for all items.

        Raises:
            BaseException: What the work raised.
        """
        self._begin()
        while self._jobs:
            await asyncio.wait(self._jobs)
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _begin_if_many(self) -> None:
        is_much = len(self._waiting) >= self.MANY or self._bytes_waiting >= self.MUCH
        if is_much and len(self._jobs) < self.MAX_THREADS:
            self._begin()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._error is None:
            items, self._waiting = self._waiting, []
            size, self._bytes_waiting = self._bytes_waiting, 0
            job = asyncio.get_running_loop().create_task(self._job(items, size))
            self._jobs.add(job)
            job.add_done_callback(self._on_done)

    def _on_done(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        self._begin_if_many()

    async def _job(self, items: list[_Item], size: int) -> None:
        try:
            await thread_to_its_end(lambda: self._work(items), threads=self._threads)
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits
            self._error = self._error or error
        finally:
            self._bytes -= size
