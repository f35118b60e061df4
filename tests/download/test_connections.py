"""Several connections for one large file: only where one is the brake, and never mixing two contents."""

import asyncio
import os
import threading
import time
from itertools import repeat
from pathlib import Path

import pytest

from kamiwaza_sdk import DownloadConfig, DownloadResult, DownloadService
from kamiwaza_sdk.testing import (
    Changed,
    Delay,
    Fault,
    FaultyServer,
    FlipBit,
    GeneratedBody,
    HangUp,
    Headers,
    IgnoreRange,
    Rate,
    RecordedRequest,
    Reset,
    Stall,
    Status,
    Step,
    Trickle,
    Truncate,
    WrongContentRange,
)
from kamiwaza_sdk.types import DownloadProgress
from tests.download.helpers import descriptors, digest, entries, threads
from tests.effort import effort

MIB = 1024**2
SEGMENT_SIZE = 8 * MIB
BODY = GeneratedBody(64 * MIB, seed=1)
#: One connection would take more than three seconds.
SLOW = Rate(20 * MIB)
#: Whom a part of the body is told from by its digest only.
NO_ETAG = {"ETag": None, "Last-Modified": None}
LIES: list[Fault] = [
    IgnoreRange(),
    WrongContentRange(shift=1),
    WrongContentRange(total=BODY.size + 1),
    Headers({"Content-Range": None}),
    Headers({"Content-Range": "nonsense"}),
    Headers({"ETag": '"another"'}),
    Status(416),
]
#: What happens to the first connections, in their order.
FAULTS: list[list[Step]] = [
    [None, None, Reset(at=3 * MIB)],
    [None, Truncate(at=0)],
    [None, HangUp()],
    [None, None, HangUp()],
    [None, Status(429, retry_after=60)],
    [None, None, Status(503)],
    [None, None, Status(404)],
    [None, None, Stall(at=1 * MIB)],
    [Truncate(at=12 * MIB)],
]


@pytest.fixture
def config() -> DownloadConfig:
    """No second attempt: what a connection fails with is made up for by the others, or fails the test."""
    return DownloadConfig(connect_timeout=5, stall_timeout=5, max_size=2**30, max_attempts=1)


def check(result: DownloadResult, target: Path, body: GeneratedBody = BODY) -> None:
    assert (result.sha256, result.size) == (body.sha256(), body.size)
    assert digest(target.read_bytes()) == body.sha256()
    assert entries(target.parent) == [target.name]


def asked(request: RecordedRequest) -> tuple[int, int] | None:
    """Return which part was asked for, by its first byte and its last; `None` for all, or all from somewhere on."""
    first, _, last = request.headers.get("range", "bytes=-").removeprefix("bytes=").partition("-")
    return (int(first), int(last)) if last else None


async def reach(downloads: DownloadService, url: str, target: Path, received: int) -> None:
    """Download so many bytes, and cancel."""
    download = downloads.start(url, target)
    async for progress in download:
        if progress.received >= received:
            break
    await download.cancel()


async def test_connections_are_multiplied_while_that_makes_it_faster(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    body = GeneratedBody(160 * MIB, seed=2)
    url = faulty_server.add("/m", body=body, always=Rate(8 * MIB))
    together: list[int] = []
    received: list[int] = []

    def watch(progress: DownloadProgress) -> None:
        together.append(sum(request.outcome == "open" for request in faulty_server.requests))
        received.append(progress.received)

    result = await downloads.download(url, target, progress=watch)
    check(result, target, body)
    assert together[0] == 1
    assert max(together) >= 8
    assert received == sorted(received)
    assert result.bytes_fetched == body.size
    parts = [part for request in faulty_server.requests if (part := asked(request))]
    assert max(last - first + 1 for first, last in parts) == SEGMENT_SIZE
    assert len({request.client for request in faulty_server.requests}) < len(faulty_server.requests)


@pytest.mark.parametrize("headers", [NO_ETAG, {"ETag": 'W/"1"', "Last-Modified": None}])
async def test_a_digest_vouches_for_the_parts_where_no_validator_does(
    headers: dict[str, str | None], faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, headers=headers, always=SLOW)
    check(await downloads.download(url, target, sha256=BODY.sha256()), target)
    assert len(faulty_server.requests) > 2


@pytest.mark.parametrize("headers", [NO_ETAG, {"ETag": 'W/"1"', "Last-Modified": None}, {"Accept-Ranges": None}])
async def test_there_is_one_connection_where_parts_cannot_be_had_or_told_from_those_of_another_content(
    headers: dict[str, str | None], faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, headers=headers, always=SLOW)
    await reach(downloads, url, target, 24 * MIB)
    assert len(faulty_server.requests) == 1


async def test_the_number_of_connections_can_be_limited_to_one(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    async with DownloadService(config.model_copy(update={"max_connections": 1})) as downloads:
        await reach(downloads, faulty_server.add("/m", body=BODY, always=SLOW), target, 24 * MIB)
    assert len(faulty_server.requests) == 1


async def test_there_is_one_connection_where_it_is_soon_over(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    check(await downloads.download(faulty_server.add("/m", body=BODY), target), target)
    assert len(faulty_server.requests) == 1


async def test_there_is_one_connection_where_the_disk_is_the_brake(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, held_up = os.pwrite, threading.Event()

    def slow_write(descriptor: int, data: bytes, offset: int) -> int:
        held_up.wait(0.2)  # never set; 1.25 MiB in a second
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", slow_write)
    async with DownloadService(config.model_copy(update={"buffer_size": MIB})) as downloads:
        await reach(downloads, faulty_server.add("/m", body=BODY), target, 6 * MIB)
    assert len(faulty_server.requests) == 1


async def test_there_is_one_connection_where_the_event_loop_is_the_brake(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def occupy() -> None:
        while True:
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0)

    busy = "kamiwaza_sdk.services.download.transfer.connections._BUSY"
    monkeypatch.setattr(busy, 0.02)  # of a processor that other programs use as well
    occupied = asyncio.create_task(occupy())
    try:
        check(await downloads.download(faulty_server.add("/m", body=BODY, always=SLOW), target), target)
    finally:
        occupied.cancel()
    assert len(faulty_server.requests) == 1


async def test_a_server_that_sends_in_bursts_gets_more_connections(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """As nginx does where it limits the rate: of what arrives at once, none had to wait for us."""
    url = faulty_server.add("/m", body=BODY, always=Trickle(2 * MIB, every=0.1))
    check(await downloads.download(url, target), target)
    assert len({request.client for request in faulty_server.requests}) > 1


@pytest.mark.parametrize("lie", [IgnoreRange(), Headers({"ETag": '"another"'}), Status(416)])
async def test_the_first_connection_brings_all_where_no_part_is_to_be_had(
    lie: Fault, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    body = GeneratedBody(36 * MIB, seed=4)
    url = faulty_server.add("/m", body=body, always=Rate(10 * MIB), faults=[None, *repeat(lie, 3)])
    result = await downloads.download(url, target)
    check(result, target, body)
    assert result.bytes_fetched == body.size
    assert len(faulty_server.requests) <= 4


@pytest.mark.parametrize("lie", effort(LIES[::2], LIES))
async def test_one_connection_goes_on_where_parts_are_not_to_be_had_any_more(
    lie: Fault, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=SLOW, faults=[*repeat(None, 4), lie])
    check(await downloads.download(url, target), target)
    rest = [request for request in faulty_server.requests if request.headers.get("range", "").endswith("-")]
    assert [request.status for request in rest] == [206]


async def test_content_that_changes_meanwhile_is_taken_whole(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=SLOW, faults=[*repeat(None, 4), Changed()])
    check(await downloads.download(url, target), target, BODY.changed(1))


async def test_content_that_changes_behind_one_name_is_found_out_by_its_digest(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """What is there after all parts are, is half of one content and half of the other."""
    url = faulty_server.add(
        "/m", body=BODY, headers={"ETag": '"1"'}, always=SLOW, faults=[None, None, None, (Changed(), Rate(40 * MIB))]
    )
    check(await downloads.download(url, target, sha256=BODY.changed(1).sha256()), target, BODY.changed(1))


async def test_a_wrong_bit_in_a_part_is_found_out_by_the_digest(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    flip = FlipBit(40 * MIB)
    url = faulty_server.add("/m", body=BODY, always=SLOW, faults=[None, *repeat(flip, 6)])
    check(await downloads.download(url, target, sha256=BODY.sha256()), target)


@pytest.mark.parametrize("faults", effort(FAULTS[::2], FAULTS))
async def test_what_one_connection_fails_to_bring_another_brings(
    faults: list[Step], faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=Rate(4 * MIB), faults=faults)  # longer than the stall is allowed
    async with DownloadService(config.model_copy(update={"stall_timeout": 1})) as downloads:
        result = await downloads.download(url, target)
    check(result, target)
    assert result.bytes_fetched == BODY.size


async def test_of_a_slow_part_others_bring_what_they_can(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=SLOW, faults=[None, Rate(2 * MIB)])
    result = await downloads.download(url, target)
    check(result, target)
    assert result.bytes_fetched == BODY.size
    slow = faulty_server.requests[1]
    first, last = asked(slow) or (0, 0)
    assert slow.sent < SEGMENT_SIZE
    assert any(first < begin <= last for begin, _ in filter(None, map(asked, faulty_server.requests)))


async def test_an_attempt_ends_with_the_last_connection_and_the_next_goes_on(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=SLOW, faults=[None, *repeat(Truncate(at=2 * MIB), 5)])
    patient = config.model_copy(update={"max_attempts": 6, "retry_pause": 0.0})
    async with DownloadService(patient) as downloads:
        check(await downloads.download(url, target), target)


async def test_the_disk_ends_it_at_once(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite

    def refuse(descriptor: int, data: bytes, offset: int) -> int:
        if offset >= 40 * MIB:
            raise OSError(28, "No space left on device")
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(OSError, match="No space left"):
        await downloads.download(faulty_server.add("/m", body=BODY, always=SLOW), target)
    assert len(faulty_server.requests) > 1


async def test_what_is_resumed_is_brought_by_several_too(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    body = GeneratedBody(96 * MIB, seed=3)
    url = faulty_server.add("/m", body=body, always=SLOW)
    await reach(downloads, url, target, 5 * MIB)
    before = len(faulty_server.requests)
    result = await downloads.download(url, target)
    check(result, target, body)
    assert result.bytes_reused + result.bytes_fetched == body.size
    assert len(faulty_server.requests) > before + 2


async def test_cancelled_it_keeps_what_has_no_gap_and_leaves_nothing_open(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    body = GeneratedBody(128 * MIB, seed=5)
    url = faulty_server.add("/m", body=body, always=SLOW)
    before, tasks = descriptors(), asyncio.all_tasks()
    async with DownloadService(config) as downloads:
        await reach(downloads, url, target, 88 * MIB)
        assert len(faulty_server.requests) > 2
        assert asyncio.all_tasks() == tasks
        (partial,), (journal,) = target.parent.glob("*.partial"), target.parent.glob("*.journal")
        kept = int(journal.read_text().splitlines()[-1].split()[0])
        assert 16 * MIB < kept == partial.stat().st_size
    assert threads("kamiwaza-download") == set()
    assert [name for name in descriptors() if name != "socket"] == [name for name in before if name != "socket"]
    result = await DownloadService(config).download(url, target)
    check(result, target, body)
    assert (result.bytes_reused, result.bytes_fetched) == (kept, body.size - kept)


async def test_no_connection_is_added_that_another_file_could_use(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    slow = (Delay(0.5), SLOW)  # both have been asked for before either is received
    urls = [faulty_server.add(f"/{name}", body=BODY, always=slow) for name in "ab"]
    async with DownloadService(config.model_copy(update={"max_concurrency": 2})) as downloads:
        one, another = (downloads.start(url, target.with_name(url[-1])) for url in urls)
        async for progress in one:
            if progress.received >= 24 * MIB:
                break
        assert len(faulty_server.requests) == 2
        await asyncio.gather(one.cancel(), another.cancel())


async def test_a_connection_that_was_added_makes_way_for_another_file(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    url = faulty_server.add("/large", body=BODY, always=SLOW)
    async with DownloadService(config.model_copy(update={"max_concurrency": 2})) as downloads:
        large = downloads.start(url, target.with_name("large"))
        async for progress in large:
            if progress.received >= 16 * MIB:
                break
        assert len(faulty_server.requests) > 1
        await downloads.download(faulty_server.add("/small", body=b"small"), target.with_name("small"))
        assert large.progress.received < BODY.size
        assert (await large).sha256 == BODY.sha256()


async def test_parts_are_asked_for_behind_a_redirect(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    faulty_server.add("/m", body=BODY, always=SLOW)
    result = await downloads.download(faulty_server.add_redirect("/here", "/m"), target)
    check(result, target)
    assert sum(asked(request) is not None for request in faulty_server.requests) > 4


@pytest.mark.parametrize("with_digest", [False, True])
async def test_parts_of_a_file_that_has_changed_are_not_mixed_in(
    *, with_digest: bool, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """It keeps its ETag, as where a server remembers one by the path; its date tells."""
    other = GeneratedBody(BODY.size, seed=9)
    url = faulty_server.add(
        "/m",
        body=BODY,
        headers={"ETag": '"same"'},
        faults=[SLOW, (Changed(other), SLOW)],
        always=SLOW,
    )
    result = await downloads.download(url, target, sha256=other.sha256() if with_digest else None)
    assert len(faulty_server.requests) > 1
    assert result.sha256 in ({other.sha256()} if with_digest else {BODY.sha256(), other.sha256()})
    check(result, target, other if result.sha256 == other.sha256() else BODY)
