"""Machines that share a store and want the same at once: one brings it, and a dead one is succeeded."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from kamiwaza_sdk import HubConfig, HubService, StorageConfig, StorageService
from kamiwaza_sdk.services.storage.remote import lease as leases
from kamiwaza_sdk.services.storage.remote.lease import WorkLease
from kamiwaza_sdk.services.storage.remote.shared import open_store
from kamiwaza_sdk.testing import Delay, HuggingFaceServer
from tests import buckets

MIB = 1024**2
FILES = {
    "config.json": b"{}",
    "README.md": b"# Tiny",
    "model.safetensors": os.urandom(3 * MIB),
    "other.bin": os.urandom(2 * MIB),
}
SIZE = sum(map(len, FILES.values()))


@pytest.fixture(params=["directory", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a shared store that is empty."""
    if request.param == "directory":
        return (tmp_path / "nfs").as_uri()
    name, endpoint = f"bucket-{uuid4().hex}", request.getfixturevalue("moto")
    buckets.use(endpoint, monkeypatch)
    buckets.make_bucket(endpoint, name)
    return f"s3://{name}"


@pytest.fixture
def server() -> Iterator[HuggingFaceServer]:
    """A hub with one repository."""
    with HuggingFaceServer() as hub:
        hub.add_repository("org/tiny", FILES)
        yield hub


def machine(place: Path, address: str, server: HuggingFaceServer) -> HubService:
    """One machine, with a directory of its own."""
    storage = StorageService(StorageConfig(root=place, remote=address))
    return HubService(storage=storage, config=HubConfig(hf_endpoint=server.endpoint))


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something holds, for a minute at most."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_sixteen_machines_bring_one_copy(address: str, server: HuggingFaceServer, tmp_path: Path) -> None:
    hubs = [machine(tmp_path / f"machine-{number}", address, server) for number in range(16)]
    all_fetched = await asyncio.gather(*(hub.fetch("hf://org/tiny") for hub in hubs))
    assert len({tuple(fetched.files) for fetched in all_fetched}) == 1
    assert sum(fetched.bytes_fetched for fetched in all_fetched) <= 1.05 * SIZE
    assert all(fetched.bytes_fetched + fetched.bytes_reused == SIZE for fetched in all_fetched)
    digest = next(file.sha256 for file in all_fetched[0].files if file.path == "model.safetensors")
    for hub in hubs:
        assert hub.storage.find(digest) is not None


async def test_a_machine_that_comes_later_asks_the_hub_for_no_file(
    address: str, server: HuggingFaceServer, tmp_path: Path
) -> None:
    """Small files, too, of which the hub tells no digest that they could be looked for by."""
    await machine(tmp_path / "one", address, server).fetch("hf://org/tiny")
    fetched = await machine(tmp_path / "two", address, server).fetch("hf://org/tiny")
    assert (fetched.bytes_fetched, fetched.bytes_reused) == (0, SIZE)


async def test_what_the_shared_store_has_lost_since_is_brought_anew(
    address: str, server: HuggingFaceServer, tmp_path: Path
) -> None:
    fetched = await machine(tmp_path / "one", address, server).fetch("hf://org/tiny")
    storage = await asyncio.to_thread(lambda: StorageService(StorageConfig(root=tmp_path / "one", remote=address)))
    collection = storage._collection
    await asyncio.to_thread(collection.set_aside, [file.sha256 for file in fetched.files])
    for run in await asyncio.to_thread(collection.runs):
        for file in fetched.files:
            await asyncio.to_thread(collection.remove, run, file.sha256)
    again = await machine(tmp_path / "two", address, server).fetch("hf://org/tiny")
    assert again.bytes_fetched == SIZE


async def test_one_that_fails_lets_another_begin(address: str, server: HuggingFaceServer, tmp_path: Path) -> None:
    one, two = (machine(tmp_path / name, address, server) for name in ("one", "two"))
    first = asyncio.ensure_future(one.fetch("hf://org/tiny"))
    await asyncio.to_thread(wait_for, lambda: server.requests)
    second = asyncio.ensure_future(two.fetch("hf://org/tiny"))
    await asyncio.sleep(0.05)
    first.cancel()
    fetched = await second
    assert fetched.bytes_fetched + fetched.bytes_reused == SIZE


async def test_one_that_is_cancelled_while_it_acquires_the_work_lets_another_begin(
    address: str, server: HuggingFaceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is written, but the fetch does not know yet. Another would have to wait until it counts as dead."""
    acquire, written, go_on = WorkLease.acquire, threading.Event(), threading.Event()

    def slowly(lease: WorkLease) -> bool:
        is_mine = acquire(lease)
        written.set()
        assert go_on.wait(60)
        return is_mine

    monkeypatch.setattr(WorkLease, "acquire", slowly)
    first = asyncio.ensure_future(machine(tmp_path / "one", address, server).fetch("hf://org/tiny"))
    await asyncio.to_thread(written.wait, 60)
    first.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(leases.TIME_TO_LIVE / 2):
        fetched = await machine(tmp_path / "two", address, server).fetch("hf://org/tiny")
    assert fetched.bytes_fetched == SIZE


CHILD = """
import asyncio, sys
from kamiwaza_sdk import HubConfig, HubService, StorageConfig, StorageService
root, remote, endpoint = sys.argv[1:]
storage = StorageService(StorageConfig(root=root, remote=remote))
hub = HubService(storage=storage, config=HubConfig(hf_endpoint=endpoint))
print("begun", flush=True)
asyncio.run(hub.fetch("hf://org/tiny"))
"""


async def test_a_dead_one_is_succeeded_and_costs_what_it_had_brought(
    address: str, server: HuggingFaceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "TIME_TO_LIVE", 0.5)
    commit = server.add_repository("org/tiny", FILES)
    large = f"/org/tiny/resolve/{commit}/model.safetensors"
    server.add_faults(large, [Delay(20)])
    command = [sys.executable, "-c", CHILD, str(tmp_path / "dying"), address, server.endpoint]
    child = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE)
    try:
        await asyncio.to_thread(wait_for, lambda: any(request.path == large for request in server.requests))
        child.send_signal(signal.SIGKILL)  # in the middle of the large files
        await asyncio.to_thread(child.wait)
    finally:
        child.kill()
        child.wait()
    assert child.stdout is not None
    child.stdout.close()
    before = sum(request.sent for request in server.requests)
    fetched = await machine(tmp_path / "next", address, server).fetch("hf://org/tiny")
    assert fetched.bytes_fetched + fetched.bytes_reused == SIZE
    assert fetched.bytes_fetched >= len(FILES["model.safetensors"])
    after = sum(request.sent for request in server.requests)
    assert after - before <= 1.05 * SIZE, "a death adds at most what the dead one had been sent"


def test_of_many_one_has_it_and_a_dead_one_is_succeeded(address: str) -> None:
    """Each that has it dies without a word, but the last. None has it before the one before it counts as dead."""
    objects, time_to_live = open_store(address, writable=True).objects, 0.3
    order, began, lock = list[int](), list[float](), threading.Lock()

    def work(number: int) -> None:
        lease = WorkLease(objects, "fetches/one", time_to_live=time_to_live)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if lease.acquire():
                with lock:
                    began.append(time.monotonic())
                    order.append(number)
                if len(order) == 4:
                    assert lease.finish({"by": number})
                return
            if lease.result is not None:
                return
            time.sleep(0.02)
        raise AssertionError("nobody succeeded")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(order) == 4
    assert len(set(order)) == 4
    # Who waits can see the lease a moment before its holder knows that it has it.
    assert all(later - earlier >= time_to_live / 2 for earlier, later in pairwise(began))


def test_one_that_lives_is_not_succeeded(address: str) -> None:
    objects = open_store(address, writable=True).objects
    mine, theirs = (WorkLease(objects, "fetches/one", time_to_live=0.2) for _ in range(2))
    assert mine.acquire()
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        assert mine.renew()
        assert not theirs.acquire()
        time.sleep(0.02)
    mine.release()
    assert theirs.acquire()
    assert not mine.renew()
    assert not mine.finish(None)


def test_work_that_is_done_is_taken_up_by_one(address: str) -> None:
    objects = open_store(address, writable=True).objects
    first = WorkLease(objects, "fetches/one")
    assert first.acquire()
    assert first.finish({"result": 1})
    others = [WorkLease(objects, "fetches/one") for _ in range(3)]
    assert [other.acquire() for other in others] == [False] * 3
    assert others[0].result == {"result": 1}
    assert [other.redo() for other in others] == [True, False, False]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"state": "held"}', b"\xff"])
def test_what_was_damaged_is_taken_over(address: str, content: bytes) -> None:
    objects = open_store(address, writable=True).objects
    objects.create("fetches/one", content)
    lease = WorkLease(objects, "fetches/one", time_to_live=0.05)
    if not lease.acquire():
        time.sleep(0.1)
        assert lease.acquire()
