"""What transfers share: the threads that hash, write and sync, and the turns that connections take."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kamiwaza_sdk import DownloadConfig, DownloadRequest, DownloadService
from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk.services.download.http.client import ConnectionLimiter
from kamiwaza_sdk.testing import FaultyServer
from tests.download.helpers import threads

PATIENCE = 10.0
TWO_AT_ONCE = DownloadConfig(max_concurrency=2)


async def test_a_file_that_the_disk_holds_up_holds_up_no_other(
    faulty_server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, go_on = os.fsync, threading.Event()

    def stuck(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == len(b"stuck"):
            go_on.wait(PATIENCE)
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", stuck)
    async with DownloadService() as downloads:
        held = downloads.start(faulty_server.add("/held", body=b"stuck"), target.with_name("held"))
        try:
            async with asyncio.timeout(PATIENCE / 2):
                await downloads.download(faulty_server.add("/other", body=b"other one"), target.with_name("other"))
            assert not held.done()
        finally:
            go_on.set()
        assert (await held).size == len(b"stuck")


async def test_there_are_no_more_threads_than_files_need_and_none_afterwards(
    faulty_server: FaultyServer, target: Path
) -> None:
    urls = [faulty_server.add(f"/{number}", body=b"some") for number in range(20)]
    before = threads("kamiwaza-download")
    async with DownloadService(TWO_AT_ONCE) as downloads:
        requests = [DownloadRequest(url=url, path=target.with_name(str(number))) for number, url in enumerate(urls)]
        assert all(outcome.result for outcome in await downloads.download_many(requests))
        assert 1 <= len(threads("kamiwaza-download") - before) <= 5
    assert threads("kamiwaza-download") == before


async def test_who_is_cancelled_waits_for_the_end_of_the_work() -> None:
    stopped, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stopped.wait(PATIENCE)
        ended.set()

    with ThreadPoolExecutor(1) as executor:
        task = asyncio.ensure_future(thread_to_its_end(work, stopped.set, threads=executor))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()


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
