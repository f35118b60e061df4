"""Waiting for tasks and threads: to their end whatever happens meanwhile, or for the first error of several."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

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
