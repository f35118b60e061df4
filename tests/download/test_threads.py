"""The threads that write: one does what there is, unless it is held up."""

import asyncio
import threading

import pytest

from kamiwaza_sdk.services.download.transfer import resources
from kamiwaza_sdk.services.download.transfer.resources import Threads

PATIENCE = 10.0


async def test_what_is_stuck_holds_up_nobody_else() -> None:
    threads = Threads(3)
    go_on = threading.Event()
    stuck = [asyncio.ensure_future(threads.run(lambda: go_on.wait(PATIENCE), on_cancel=go_on.set)) for _ in range(2)]
    try:
        async with asyncio.timeout(PATIENCE / 2):
            assert await threads.run(threading.get_ident, on_cancel=go_on.set) != threading.get_ident()
        assert not any(task.done() for task in stuck)
    finally:
        go_on.set()
    assert await asyncio.gather(*stuck) == [True, True]
    await threads.close()


async def test_there_are_no_more_threads_than_allowed_and_none_afterwards() -> None:
    before = threading.active_count()
    threads = Threads(2)
    at_once, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.02)
        with lock:
            at_once -= 1

    await asyncio.gather(*(threads.start(work) for _ in range(8)))
    assert most == 2
    await threads.close()
    assert threading.active_count() == before


async def test_an_error_is_raised_where_it_is_awaited() -> None:
    threads = Threads(1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, on_cancel=lambda: None)
    assert await threads.run(lambda: 1, on_cancel=lambda: None) == 1
    await threads.close()


async def test_who_is_cancelled_waits_for_the_end_of_the_work() -> None:
    threads = Threads(1)
    stopped = threading.Event()
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stopped.wait(PATIENCE)
        ended.set()

    task = asyncio.ensure_future(threads.run(work, on_cancel=stopped.set))
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    await threads.close()


async def test_who_is_busy_for_long_is_not_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each short job would wait to be missed, for as long as a large file is on its way."""
    monkeypatch.setattr(resources, "_PATIENCE", 1000 * PATIENCE)
    threads = Threads(2)
    go_on = threading.Event()
    long = threads.start(lambda: go_on.wait(PATIENCE))
    try:
        async with asyncio.timeout(PATIENCE / 2):
            for _ in range(3):
                await threads.run(threading.get_ident, on_cancel=go_on.set)
    finally:
        go_on.set()
    assert await long
    await threads.close()
