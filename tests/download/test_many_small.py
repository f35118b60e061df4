"""Small files of `download_many`, which are received in memory and written many at a time."""

import asyncio
import gzip
import os
import stat
from pathlib import Path

import pytest

from kamiwaza_sdk import DownloadDiskException, DownloadRequest, DownloadService
from kamiwaza_sdk.services.download.partial.lock import FileLock, LockState, PartialNames
from kamiwaza_sdk.testing import Delay, FaultyServer
from kamiwaza_sdk.types import DownloadOutcome, DownloadProgress
from tests.download.helpers import digest, entries, visible

BODIES = {f"{number:02}.bin": bytes([number]) * (1 + number * 1000) for number in range(40)}


@pytest.fixture
def requests(faulty_server: FaultyServer, tmp_path: Path) -> list[DownloadRequest]:
    (tmp_path / "files").mkdir()
    return [
        DownloadRequest(url=faulty_server.add(f"/{name}", body=body), path=tmp_path / "files" / name)
        for name, body in BODIES.items()
    ]


def right(outcomes: list[DownloadOutcome]) -> list[bool]:
    return [
        outcome.result is not None and outcome.result.sha256 == digest(outcome.result.path.read_bytes())
        for outcome in outcomes
    ]


async def test_each_has_the_mode_of_a_new_file(requests: list[DownloadRequest], downloads: DownloadService) -> None:
    assert all(right(await downloads.download_many(requests)))
    made = requests[0].path.with_name("made")
    made.touch()
    assert {stat.S_IMODE(request.path.stat().st_mode) for request in requests} == {stat.S_IMODE(made.stat().st_mode)}


async def test_one_that_the_disk_refuses_leaves_the_others(
    requests: list[DownloadRequest], downloads: DownloadService
) -> None:
    requests[3].path.mkdir()
    requests[5] = requests[5].model_copy(update={"path": requests[5].path.with_name("missing") / "m"})
    outcomes = await downloads.download_many(requests)
    assert [index for index, is_right in enumerate(right(outcomes)) if not is_right] == [3, 5]
    for index in (3, 5):
        error = outcomes[index].error
        assert isinstance(error, DownloadDiskException)
        assert error.path == requests[index].path
    assert len(visible(requests[0].path.parent)) == len(entries(requests[0].path.parent)) == len(BODIES) - 1


async def test_one_whose_lock_another_has_waits_for_it(
    requests: list[DownloadRequest], downloads: DownloadService, faulty_server: FaultyServer
) -> None:
    """Another transfer of it begins while the body travels, and ends without it."""
    path, arrived = requests[7].path, asyncio.Event()
    faulty_server.add("/07.bin", body=BODIES["07.bin"], always=Delay(1))
    lock = FileLock(PartialNames(path))
    call = asyncio.create_task(
        downloads.download_many(requests, progress=lambda seen: arrived.set() if seen.path == path else None)
    )
    while not faulty_server.requests_to("/07.bin"):  # noqa: ASYNC110 - the server is in a thread
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(lock.acquire) is LockState.ACQUIRED
    await arrived.wait()
    assert not (await asyncio.wait([call], timeout=0.3))[0]
    await asyncio.to_thread(lock.release)
    assert all(await asyncio.to_thread(right, await call))
    assert entries(path.parent) == sorted(BODIES)
    assert len(faulty_server.requests_to("/07.bin")) == 2


async def test_all_whose_locks_another_has_are_waited_for_at_once(
    requests: list[DownloadRequest], downloads: DownloadService, faulty_server: FaultyServer
) -> None:
    """Another asks for the same files, and is a little later: each waits for half a second for its answer."""
    for name, body in BODIES.items():
        faulty_server.add(f"/{name}", body=body, always=Delay(0.5))
    locks = [FileLock(PartialNames(request.path)) for request in requests]
    call = asyncio.create_task(downloads.download_many(requests))
    while not faulty_server.requests:  # noqa: ASYNC110 - the server is in a thread
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(lambda: {lock.acquire() for lock in locks}) == {LockState.ACQUIRED}
    while len(faulty_server.requests) < len(BODIES):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    for lock in locks:
        await asyncio.to_thread(lock.release)
    before = asyncio.get_running_loop().time()
    assert all(await asyncio.to_thread(right, await call))
    one_after_the_other = len(BODIES) * 0.5
    assert asyncio.get_running_loop().time() - before < one_after_the_other / 2


async def test_what_a_killed_process_left_goes(requests: list[DownloadRequest], downloads: DownloadService) -> None:
    for request in requests[:5]:
        Path(PartialNames(request.path).beside(".partial")).write_bytes(b"cut")
    assert all(right(await downloads.download_many(requests)))
    assert entries(requests[0].path.parent) == sorted(BODIES)


async def test_none_has_its_name_where_names_cannot_be_made_durable(
    requests: list[DownloadRequest], downloads: DownloadService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, fsync: object = os.fsync) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        assert callable(fsync)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    outcomes = await downloads.download_many(requests)
    assert all(isinstance(outcome.error, DownloadDiskException) for outcome in outcomes)
    assert entries(requests[0].path.parent) == []


@pytest.mark.parametrize("at", [1, 17, 39])
async def test_cancelled_it_leaves_only_whole_files(
    at: int, requests: list[DownloadRequest], downloads: DownloadService
) -> None:
    arrived: list[Path] = []

    def cancel_later(progress: DownloadProgress) -> None:
        if progress.finished:
            arrived.append(progress.path)
            if len(arrived) == at:
                call.cancel()

    call = asyncio.create_task(downloads.download_many(requests, progress=cancel_later))
    with pytest.raises(asyncio.CancelledError):
        await call
    directory = requests[0].path.parent
    assert all((directory / name).read_bytes() == BODIES[name] for name in entries(directory))


async def test_a_file_that_is_there_does_not_travel(
    requests: list[DownloadRequest], downloads: DownloadService, faulty_server: FaultyServer
) -> None:
    name, body = next(iter(BODIES.items()))
    requests[0].path.write_bytes(body)
    requests[0] = requests[0].model_copy(update={"sha256": digest(body)})
    outcomes = await downloads.download_many(requests)
    assert outcomes[0].result is not None
    assert (outcomes[0].result.bytes_reused, outcomes[0].result.bytes_fetched) == (len(body), 0)
    assert faulty_server.requests_to(f"/{name}") == []


async def test_the_result_says_what_the_server_said(
    downloads: DownloadService, faulty_server: FaultyServer, tmp_path: Path
) -> None:
    headers = {"ETag": '"1"', "Content-Disposition": 'attachment; filename="named.bin"'}
    url = faulty_server.add("/m", body=b"body", headers=headers)
    coded = faulty_server.add("/coded", body=gzip.compress(b"coded"), headers={"Content-Encoding": "gzip"})
    one, other = await downloads.download_many(
        [
            DownloadRequest(url=f"{url}?token=secret", path=tmp_path / "m"),
            DownloadRequest(url=coded, path=tmp_path / "coded", sha256=digest(b"coded")),
        ]
    )
    assert one.result is not None
    assert (one.result.url, one.result.final_url, one.result.filename) == (url, url, "named.bin")
    assert one.result.validators.etag == '"1"'
    assert other.result is not None, "a body with a coding is decoded as in any download"
    assert (tmp_path / "coded").read_bytes() == b"coded"
    unchanged = DownloadRequest(url=url, path=tmp_path / "m", validators=one.result.validators)
    (again,) = await downloads.download_many([unchanged])
    assert again.result is not None
    assert again.result.not_modified
