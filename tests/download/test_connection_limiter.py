"""Taking turns: whoever waited longest is next, and what is free can be borrowed."""

import asyncio

import pytest

from kamiwaza_sdk.services.download.transfer.resources import ConnectionLimiter


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
