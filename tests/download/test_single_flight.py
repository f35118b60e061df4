"""One brings it, the others wait: in tasks, threads and processes, with locks and without."""

import asyncio
import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadException,
    DownloadResult,
    DownloadService,
    DownloadStatusException,
)
from kamiwaza_sdk.services.download.transfer.acquire import Acquisition
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Rate, Stall, Status, Truncate
from tests.download.helpers import descriptors, digest, entries, threads

if TYPE_CHECKING:
    from kamiwaza_sdk.types import DownloadProgress

MIB = 1024**2
BODY = GeneratedBody(9 * MIB, seed=1)
SHA256 = digest(BODY.read(0, BODY.size))
SMALL = GeneratedBody(1000, seed=2)


@pytest.fixture(params=["locks", "no locks"])
def locking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the locks of the file system, and where it says that it knows none."""
    kind: str = request.param
    if kind == "no locks":

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    return kind


def body_bytes(results: list[DownloadResult]) -> int:
    return sum(result.bytes_fetched for result in results)


@pytest.mark.parametrize("sha256", [None, SHA256])
async def test_of_many_tasks_one_brings_it(
    sha256: str | None, locking: str, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=Rate(30 * MIB))
    results = await asyncio.gather(*(downloads.download(url, target, sha256=sha256) for _ in range(20)))
    assert {result.sha256 for result in results} == {SHA256}
    assert (body_bytes(results), len(faulty_server.requests)) == (BODY.size, 1)
    assert {result.bytes_reused for result in results} == {0, BODY.size}
    assert len({result.validators.etag for result in results}) == 1
    assert entries(target.parent) == [target.name]


def test_of_many_threads_one_brings_it(
    locking: str, faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=Rate(30 * MIB))
    results: list[DownloadResult] = []
    running = [
        threading.Thread(target=lambda: results.append(asyncio.run(DownloadService(config).download(url, target))))
        for _ in range(6)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert (len(results), body_bytes(results), len(faulty_server.requests)) == (6, BODY.size, 1)
    assert entries(target.parent) == [target.name]


async def test_who_waits_sees_how_far_it_is(
    locking: str, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[Stall(at=8 * MIB)])
    leader = downloads.start(url, target)
    async for progress in leader:
        if progress.received > 6 * MIB:
            break
    seen: list[DownloadProgress] = []
    follower = asyncio.create_task(downloads.download(url, target, progress=seen.append))
    while not any(progress.received >= 4 * MIB for progress in seen):  # noqa: ASYNC110 - a callback tells
        await asyncio.sleep(0.01)
    assert {progress.total for progress in seen if progress.received} == {BODY.size}
    await asyncio.to_thread(faulty_server.release)
    assert (await follower).sha256 == (await leader).sha256 == SHA256
    assert body_bytes([await leader, await follower]) == BODY.size


async def test_one_who_waits_goes_on_where_a_cancelled_one_stopped(
    locking: str, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[Stall(at=8 * MIB)])
    leader = downloads.start(url, target)
    async for progress in leader:
        if progress.received > 6 * MIB:
            break
    follower = downloads.start(url, target)
    await asyncio.sleep(0.1)
    await leader.cancel()
    result = await follower
    assert result.sha256 == SHA256
    assert result.bytes_reused > 4 * MIB
    assert entries(target.parent) == [target.name]


async def test_one_who_waits_tries_for_itself_what_failed_for_another(
    locking: str, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=SMALL, faults=[Status(404), Status(404)])
    results = await asyncio.gather(*(downloads.download(url, target) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results].count(DownloadStatusException) == 2
    assert [type(result) for result in results].count(DownloadResult) == 1
    assert len(faulty_server.requests) == 3


async def test_a_content_that_is_wrong_for_one_is_not_brought_again_for_who_waits(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """Who leads has it brought twice."""
    url = faulty_server.add("/m", body=BODY, always=Rate(60 * MIB))
    calls = (downloads.download(url, target, sha256="0" * 64) for _ in range(5))
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in errors} == {ChecksumMismatchException}
    assert len(faulty_server.requests) == 2
    assert entries(target.parent) == []


async def test_who_wants_something_else_at_the_same_path_comes_next(
    locking: str, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=Rate(60 * MIB))
    other = faulty_server.add("/other", body=SMALL)
    first = downloads.start(url, target)
    while not faulty_server.requests:  # noqa: ASYNC110 - it listens in a thread
        await asyncio.sleep(0.01)
    second = downloads.start(other, target)
    assert ((await first).size, (await second).size) == (BODY.size, SMALL.size)
    assert target.read_bytes() == SMALL.read(0, SMALL.size)
    assert entries(target.parent) == [target.name]


async def test_a_lease_that_was_left_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """What another left is copied while it is hashed, so that no two ever write into one file."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    url = faulty_server.add("/m", body=BODY, faults=[Truncate(at=8 * MIB)])
    with pytest.raises(DownloadException):
        await downloads.download(url, target)
    (left,) = target.parent.glob("*.partial")
    inode = left.stat().st_ino
    result = await downloads.download(url, target)
    assert (result.sha256, result.bytes_reused > 4 * MIB) == (SHA256, True)
    assert target.stat().st_ino != inode
    assert entries(target.parent) == [target.name]


async def test_waiting_leaves_no_descriptor_and_no_thread(
    locking: str, faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=Rate(60 * MIB))

    async def many() -> None:
        async with DownloadService(config) as downloads:
            calls = [asyncio.create_task(downloads.download(url, target)) for _ in range(10)]
            await asyncio.sleep(0.05)
            calls[3].cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    await many()
    before = [kind for kind in descriptors() if kind != "socket"]
    await many()
    assert [kind for kind in descriptors() if kind != "socket"] == before
    assert threads("kamiwaza") == set()


async def test_what_goes_wrong_while_clearing_up_replaces_neither_result_nor_error(
    faulty_server: FaultyServer,
    downloads: DownloadService,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Acquisition, "leave", refuse)
    with pytest.raises(DownloadStatusException):
        await downloads.download(faulty_server.url("/missing"), target)
    whole = SMALL.read()
    target.write_bytes(whole)
    result = await downloads.download(faulty_server.url("/missing"), target, sha256=digest(whole))
    assert (result.bytes_reused, len(caplog.messages)) == (len(whole), 2)
