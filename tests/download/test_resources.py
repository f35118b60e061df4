"""What transfers share: the threads that write, and the turns that connections take."""

import asyncio
import threading

import pytest

# Who waits longest, and which thread is stuck, no transfer can be made to show without races.
from kamiwaza_sdk.services.download.transfer import resources
from kamiwaza_sdk.services.download.transfer.resources import ConnectionLimiter, Threads

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


async def waiter(slots: ConnectionLimiter, order: list[str], name: str) -> None:
    async with slots:
        order.append(name)


async def test_who_waited_longest_is_next() -> None:
    slots, order = ConnectionLimiter(1), list[str]()
    async with slots:
        calls = [asyncio.create_task(waiter(slots, order, name)) for name in "abc"]
        await asyncio.sleep(0)
        assert (slots.wanted, order) == (3, [])
    await asyncio.gather(*calls)
    assert (order, slots.wanted) == (["a", "b", "c"], 0)


async def test_only_what_is_free_can_be_borrowed() -> None:
    slots = ConnectionLimiter(2)
    async with slots:
        assert [slots.borrow(), slots.borrow()] == [True, False]
        slots.release()
        assert slots.borrow()


async def test_what_is_given_back_while_somebody_waits_cannot_be_borrowed() -> None:
    slots, order = ConnectionLimiter(1), list[str]()
    assert slots.borrow()
    call = asyncio.create_task(waiter(slots, order, "a"))
    await asyncio.sleep(0)
    slots.release()
    assert (slots.wanted, slots.borrow()) == (0, False)
    await call
    assert slots.borrow()


@pytest.mark.parametrize("turn_came", [False, True])
async def test_who_is_cancelled_while_waiting_costs_no_slot(turn_came: bool) -> None:
    slots = ConnectionLimiter(1)
    assert slots.borrow()
    call = asyncio.create_task(waiter(slots, [], "a"))
    await asyncio.sleep(0)
    if turn_came:
        slots.release()
    call.cancel()
    await asyncio.wait({call})
    assert call.cancelled()
    if not turn_came:
        slots.release()
    assert [slots.borrow(), slots.borrow()] == [True, False]


async def test_two_who_are_cancelled_at_once_cost_no_slot() -> None:
    slots = ConnectionLimiter(1)
    assert slots.borrow()
    calls = [asyncio.create_task(waiter(slots, [], name)) for name in "ab"]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    slots.release()
    await asyncio.wait(calls)
    assert (slots.wanted, slots.borrow(), slots.borrow()) == (0, True, False)
