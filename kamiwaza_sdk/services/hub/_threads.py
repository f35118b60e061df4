"""Work in threads that ends with the task that waits for it."""

from collections.abc import Callable
from typing import TypeVar

from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk.services.download._stop import Stop
from kamiwaza_sdk.services.storage._stopping import go_on, stopped_when

__all__ = ["in_thread"]

_T = TypeVar("_T")


async def in_thread(function: Callable[[], _T]) -> _T:
    """Return what `function` returns in a thread. Cancelled, it is told to stop (`go_on`), and waited for."""
    stop = Stop()

    def run() -> _T:
        with stopped_when(stop.is_set):
            go_on()  # it may have waited for a thread until after the cancellation
            return function()

    return await thread_to_its_end(run, stop.set)
