"""A watch over the event loop, and over what is cancelled in it."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, Final, TypeVar

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

__all__ = ["Held", "longest_wait", "watched"]

_PATIENCE: Final = 20

_T = TypeVar("_T")


@contextmanager
def watched() -> Iterator[BlockBuster]:
    """Fail whatever of ours blocks the event loop. What measures coverage meanwhile may wait for its own lock."""
    with blockbuster_ctx("kamiwaza_sdk") as blockbuster:
        blockbuster.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield blockbuster


class Held:
    """Holds a thread up, so that the task that waits for it can be cancelled in the middle."""

    def __init__(self) -> None:
        self._begun, self._go_on = Event(), Event()

    def wait(self) -> None:
        """Say that the thread is here, and wait until it may go on."""
        self._begun.set()
        self._go_on.wait(_PATIENCE)

    async def cancel(self, task: asyncio.Task[Any]) -> None:  # Any: of whatever it would return
        """Cancel the task while the thread is held, and see that it waits for the thread, and is cancelled then."""
        assert await asyncio.to_thread(self._begun.wait, _PATIENCE)
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
        assert not task.done()
        self._go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task


async def longest_wait(call: Coroutine[Any, Any, _T]) -> tuple[_T, float]:
    """Return what a call returns, and how long the event loop had to wait for it at a time.

    That is counted in seconds of this process's processors, which others on the machine do not take from.
    """
    waited = 0.0
    running = asyncio.ensure_future(call)
    while not running.done():
        before = time.process_time()
        await asyncio.sleep(0.001)
        waited = max(waited, time.process_time() - before)
    return await running, waited
