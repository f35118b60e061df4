"""Following, awaiting and cancelling a download by what `start` returns."""

import asyncio
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    DownloadInterruptedException,
    DownloadService,
    DownloadStatusException,
    InvalidInputException,
)
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Rate, Stall
from tests.download.helpers import digest, entries, visible

MIB = 1024**2
BODY = GeneratedBody(9 * MIB, seed=1)
SHA256 = digest(BODY.read(0, BODY.size))


async def test_it_can_be_awaited_as_often_as_wanted(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.add("/m", body=BODY), target)
    first, second = await asyncio.gather(download, download)
    assert first is second is await download
    assert (first.sha256, download.done(), download.path) == (SHA256, True, target)
    assert download.progress.finished
    assert len(faulty_server.requests) == 1


async def test_snapshots_are_frozen_ascend_and_end_with_the_last(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.add("/m", body=BODY, always=Rate(30 * MIB)), target)
    seen = [progress async for progress in download]
    assert len(seen) > 2
    assert [progress.received for progress in seen] == sorted(progress.received for progress in seen)
    assert (seen[-1].received, seen[-1].total, seen[-1].finished) == (BODY.size, BODY.size, True)
    assert seen[-1].path == target
    assert [progress async for progress in download] == [seen[-1]]


async def test_a_slow_reader_skips_but_gets_the_last(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.add("/m", body=BODY), target)
    seen = []
    async for progress in download:
        seen.append(progress)
        await download  # as slow as it gets
    assert [progress.finished for progress in seen] == [False, True]


async def test_two_readers_see_the_same_end(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.add("/m", body=BODY, always=Rate(30 * MIB)), target)

    async def last() -> bool:
        return [progress.finished async for progress in download][-1]

    assert list(await asyncio.gather(last(), last())) == [True, True]


async def test_cancelling_who_awaits_it_does_not_cancel_it(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.add("/m", body=BODY, always=Rate(30 * MIB)), target)
    waiting = asyncio.ensure_future(asyncio.wait_for(download, 0.05))
    with pytest.raises(TimeoutError):
        await waiting
    assert (await download).sha256 == SHA256


@pytest.mark.parametrize("keep", [True, False])
async def test_cancelling_it_keeps_what_arrived_unless_it_is_not_wanted(
    keep: bool, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[Stall(at=7 * MIB)])
    download = downloads.start(url, target)
    await asyncio.to_thread(faulty_server.wait_for_stall)
    async for progress in download:
        if progress.received > 5 * MIB:
            break
    await download.cancel(keep_partial=keep)
    with pytest.raises(asyncio.CancelledError):
        await download
    assert visible(target.parent) == []
    assert bool(entries(target.parent)) is keep
    result = await downloads.download(url, target)
    assert (result.bytes_reused > 4 * MIB) is keep
    assert result.sha256 == SHA256


async def test_cancelling_the_task_that_downloads_keeps_what_arrived(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[Stall(at=7 * MIB)])
    arrived = asyncio.Event()
    task = asyncio.create_task(
        downloads.download(
            url, target, progress=lambda progress: arrived.set() if progress.received > 5 * MIB else None
        )
    )
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await downloads.download(url, target)).bytes_reused > 4 * MIB


async def test_cancelling_what_is_over_changes_nothing(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.add("/m", body=BODY), target)
    await download
    await download.cancel(keep_partial=False)
    assert (await download).sha256 == SHA256
    assert entries(target.parent) == [target.name]


async def test_its_error_is_raised_by_awaiting_not_by_following(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.url("/missing"), target)
    assert [progress.received async for progress in download] == [0]
    for _ in range(2):
        with pytest.raises(DownloadStatusException):
            await download


async def test_an_error_nobody_awaits_is_not_reported_as_forgotten(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    download = downloads.start(faulty_server.url("/missing"), target)
    async for _ in download:
        pass
    del download
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_arguments_are_refused_at_once_or_when_awaited(downloads: DownloadService, target: Path) -> None:
    with pytest.raises(InvalidInputException):
        await downloads.start("https://example.org/m", target, size="many")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(InvalidInputException, match="^url"):
        await downloads.start("ftp://example.org/m", target)


async def test_leaving_the_service_ends_it(faulty_server: FaultyServer, target: Path) -> None:
    async with DownloadService() as downloads:
        download = downloads.start(faulty_server.add("/m", body=BODY, always=Stall(at=7 * MIB)), target)
        await asyncio.to_thread(faulty_server.wait_for_stall)
    assert download.done()
    with pytest.raises(DownloadInterruptedException, match="the service was closed"):
        await download


async def test_leaving_the_service_ends_what_was_started_just_before(faulty_server: FaultyServer, target: Path) -> None:
    async with DownloadService() as downloads:
        download = downloads.start(faulty_server.add("/m", body=BODY), target)
        task = asyncio.create_task(downloads.download(faulty_server.url("/m"), target.with_name("other")))
    for ended in (download, task):
        with pytest.raises(DownloadInterruptedException, match="the service was closed"):
            await ended
    assert (faulty_server.requests, entries(target.parent)) == ([], [])


async def test_it_can_be_cancelled_before_it_has_begun(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    download = downloads.start(faulty_server.add("/m", body=BODY), target)
    await download.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download
    assert (faulty_server.requests, entries(target.parent)) == ([], [])
