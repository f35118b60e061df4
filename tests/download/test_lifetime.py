"""What is left after a download was cancelled or failed, and what it needs while it runs: bounded, and given back."""

import asyncio
import gc
import os
import threading
import tracemalloc
from pathlib import Path

import aiohttp
import pytest
from blockbuster import BlockBuster

from kamiwaza_sdk import (
    DownloadConfig,
    DownloadException,
    DownloadInterruptedException,
    DownloadService,
)
from tests.download.helpers import descriptors, digest, entries, threads
from tests.serving import Server

MIB = 1024**2
PATIENCE = 10


async def test_cancelled_download_leaves_nothing(downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/m", body=b"x" * MIB, stall_after=MIB // 2)
    call = asyncio.create_task(downloads.download(url, target))
    assert await asyncio.to_thread(server.stalled.wait, PATIENCE)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert entries(target.parent) == []


async def test_download_cancelled_at_any_step_leaves_nothing_or_the_whole_file(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    body = os.urandom(3 * MIB)
    url = server.add("/m", body=body)
    completed = 0
    for steps in range(200):
        call = asyncio.create_task(downloads.download(url, target))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        try:
            await call
            completed += 1
        except asyncio.CancelledError:
            pass
        left = entries(target.parent)
        assert left in ([], ["model.bin"])
        if left:
            assert digest(target.read_bytes()) == digest(body)
            target.unlink()
    assert completed < 200


async def test_small_file_cancelled_before_it_has_its_name_leaves_nothing(
    downloads: DownloadService, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is of a content that could be gone on with, there is no journal to do so by."""
    syncing, go_on = threading.Event(), threading.Event()

    def slow_sync(_: int) -> None:
        syncing.set()
        go_on.wait(PATIENCE)

    monkeypatch.setattr(os, "fsync", slow_sync)
    call = asyncio.create_task(downloads.download(server.add("/m", body=b"x", etag='"1"'), target))
    assert await asyncio.to_thread(syncing.wait, PATIENCE)
    call.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert entries(target.parent) == []


async def test_second_cancellation_does_not_interrupt_the_cleaning_up(
    downloads: DownloadService, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    write = os.pwrite

    def slow_write(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) > 10_000:
            writing.set()
            go_on.wait(PATIENCE)
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", slow_write)
    call = asyncio.create_task(downloads.download(server.add("/m", body=b"x" * MIB), target))
    assert await asyncio.to_thread(writing.wait, PATIENCE)
    for _ in range(3):
        call.cancel()
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert entries(target.parent) == []


async def test_leaving_the_context_ends_what_still_runs(server: Server, target: Path, config: DownloadConfig) -> None:
    url = server.add("/m", body=b"x" * MIB, stall_after=1000)
    async with DownloadService(config) as downloads:
        call = asyncio.create_task(downloads.download(url, target))
        assert await asyncio.to_thread(server.stalled.wait, PATIENCE)
    with pytest.raises(DownloadInterruptedException, match="the service was closed"):
        await call
    assert entries(target.parent) == []


@pytest.mark.parametrize("in_context", [True, False])
def test_nothing_is_kept_after_success_failure_and_cancellation(
    in_context: bool, server: Server, target: Path, config: DownloadConfig
) -> None:
    good, short = server.add("/good", body=b"x" * MIB), server.add("/short", body=b"x" * MIB, drop_after=1000)
    stalling = server.add("/stalling", body=b"x" * MIB, stall_after=1000)

    async def three(downloads: DownloadService) -> None:
        await downloads.download(good, target)
        with pytest.raises(DownloadException):
            await downloads.download(short, target)
        server.stalled.clear()
        call = asyncio.create_task(downloads.download(stalling, target))
        assert await asyncio.to_thread(server.stalled.wait, PATIENCE)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    async def run() -> None:
        before = threads("kamiwaza")
        downloads = DownloadService(config)
        if in_context:
            async with downloads:
                await three(downloads)
        else:
            await three(downloads)
        assert threads("kamiwaza") == before == set()

    asyncio.run(run())
    gc.collect()
    before = [kind for kind in descriptors() if kind != "socket"]
    asyncio.run(run())
    gc.collect()
    assert [kind for kind in descriptors() if kind != "socket"] == before


async def test_memory_is_bounded_when_the_disk_is_slower_than_the_network(
    server: Server, target: Path, config: DownloadConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 96 * MIB
    url = server.add("/m", body=bytes(size))
    small = config.model_copy(update={"buffer_size": 2 * MIB})
    write = os.pwrite
    held_up = threading.Event()

    def slow_write(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) > 10_000:
            held_up.wait(0.002)  # never set
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", slow_write)
    async with DownloadService(small) as downloads:
        tracemalloc.start()
        try:
            result = await downloads.download(url, target)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert result.size == size
    assert peak < 16 * MIB


def test_event_loop_is_watched(no_blocking: BlockBuster) -> None:
    """The fixture that fails blocking calls is in force in every test here."""
    assert no_blocking.functions["os.stat"].activated is True


async def test_event_loop_turns_while_bytes_travel(downloads: DownloadService, server: Server, target: Path) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await downloads.download(server.add("/m", body=b"x" * 16 * MIB), target)
    turning.cancel()
    assert turns > 50


def test_making_a_service_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings are read: a wrong one goes unnoticed until it is needed."""
    monkeypatch.setenv("DOWNLOAD_SERVICE_MAX_SIZE", "nonsense")
    assert isinstance(DownloadService(), DownloadService)


async def test_session_of_the_caller_keeps_its_connection(server: Server, target: Path, config: DownloadConfig) -> None:
    url = server.add("/m", body=b"x")
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            await DownloadService(config, session=session).download(url, target)
    assert len({request.client for request in server.requests}) == 1


async def test_cancelled_while_the_session_closes_no_thread_is_left(
    config: DownloadConfig, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = asyncio.Event()
    close = aiohttp.ClientSession.close

    async def close_slowly(session: aiohttp.ClientSession) -> None:
        await close(session)
        closing.set()
        await asyncio.sleep(PATIENCE)

    monkeypatch.setattr(aiohttp.ClientSession, "close", close_slowly)
    call = asyncio.create_task(DownloadService(config).download(server.add("/m", body=b"x"), target))
    await closing.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert threads("kamiwaza") == set()
