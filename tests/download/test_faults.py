"""What each fault of a server comes to: the right bytes, or an error of its kind and nothing at the destination."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadException,
    DownloadInterruptedException,
    DownloadService,
    DownloadStatusException,
    DownloadTimeoutException,
)
from kamiwaza_sdk.sources import Validators
from kamiwaza_sdk.testing import (
    Changed,
    Chunked,
    Delay,
    Fault,
    FaultyServer,
    FlipBit,
    GeneratedBody,
    HangUp,
    Headers,
    IgnoreRange,
    NoLength,
    Rate,
    Redirect,
    Reset,
    SlowHead,
    Stall,
    Status,
    Step,
    Trickle,
    Truncate,
    WrongContentRange,
    WrongLength,
)
from tests.download.helpers import entries, visible

BODY = GeneratedBody(300_000)
DIGEST = hashlib.sha256(BODY.read()).hexdigest()


@pytest.fixture
def config() -> DownloadConfig:
    return DownloadConfig(connect_timeout=5, stall_timeout=0.5)


@pytest.mark.parametrize(
    "faults",
    [
        Delay(0.2),
        SlowHead(0.2),
        Trickle(10_000, every=0.02),  # takes longer than the stall timeout
        Rate(500_000),
        IgnoreRange(),
        Stall(at=300_000),  # everything is there
        WrongContentRange(shift=1),
        Chunked(),
        NoLength(),
        Headers({"ETag": None, "Last-Modified": None}),
        (Chunked(), Rate(1_000_000), Delay(0.1)),
    ],
)
async def test_slow_or_odd_but_whole(
    faults: Fault | tuple[Fault, ...], faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, always=faults)
    result = await downloads.download(url, target, sha256=DIGEST, size=BODY.size)
    assert (result.size, entries(target.parent)) == (BODY.size, [target.name])
    assert target.read_bytes() == BODY.read()
    assert [(request.status, request.sent) for request in faulty_server.requests] == [(200, BODY.size)]


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Status(503, retry_after=1), DownloadStatusException),
        (Status(404), DownloadStatusException),
        (Redirect("/m"), DownloadStatusException),
        (HangUp(), DownloadInterruptedException),
        (Delay(30), DownloadTimeoutException),
        (Truncate(at=0), DownloadInterruptedException),
        (Truncate(at=100_000), DownloadInterruptedException),
        ((Truncate(at=100_000), Chunked()), DownloadInterruptedException),
        ((Truncate(at=100_000), NoLength()), DownloadInterruptedException),
        (Reset(at=0), DownloadInterruptedException),
        (Reset(at=100_000), DownloadInterruptedException),
        (Stall(at=0), DownloadTimeoutException),
        (Stall(at=100_000), DownloadTimeoutException),
        (WrongLength(by=-1), DownloadException),
        (WrongLength(by=1), DownloadException),
        (FlipBit(150_000), ChecksumMismatchException),
        ((FlipBit(150_000), Chunked()), ChecksumMismatchException),
        (Changed(), ChecksumMismatchException),
        (Headers({"Content-Length": "nonsense"}), DownloadInterruptedException),
    ],
)
async def test_broken(
    faults: Fault | tuple[Fault, ...],
    error: type[DownloadException],
    faulty_server: FaultyServer,
    downloads: DownloadService,
    target: Path,
) -> None:
    url = faulty_server.add("/m", body=BODY, always=faults)
    with pytest.raises(error):
        await downloads.download(url, target, sha256=DIGEST, size=BODY.size)
    assert visible(target.parent) == []


@pytest.mark.parametrize("fault", [Truncate(at=7), Reset(at=7), Stall(at=7), FlipBit(7), WrongLength(by=5)])
async def test_the_file_that_stands_there_survives(
    fault: Fault, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    target.write_bytes(b"as it was")
    with pytest.raises(DownloadException):
        await downloads.download(faulty_server.add("/m", body=BODY, always=fault), target, sha256=DIGEST)
    assert (entries(target.parent), target.read_bytes()) == ([target.name], b"as it was")


async def test_what_failed_once_succeeds_when_asked_again(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    flipped = (FlipBit(7), Chunked())
    script: list[Step] = [Status(503), Truncate(at=7), Reset(at=7), flipped, flipped]  # other bytes are asked for twice
    url = faulty_server.add("/m", body=BODY, faults=script)
    for _ in script[1:]:
        with pytest.raises(DownloadException):
            await downloads.download(url, target, sha256=DIGEST)
    await downloads.download(url, target, sha256=DIGEST)
    assert target.read_bytes() == BODY.read()
    assert [request.outcome for request in faulty_server.requests] == [
        "complete",
        "truncated",
        "reset",
        "complete",
        "complete",
        "complete",
    ]


async def test_validators_tell_content_that_changed(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[None, None, Changed()])
    first = await downloads.download(url, target)
    assert (await downloads.download(url, target, validators=first.validators)).not_modified
    changed = await downloads.download(url, target, validators=first.validators)
    assert (changed.not_modified, changed.sha256) == (False, faulty_server.sha256("/m"))
    assert changed.validators != first.validators
    assert [request.status for request in faulty_server.requests] == [200, 304, 200]
    assert Validators(etag=faulty_server.requests[1].headers["if-none-match"]).etag == first.validators.etag


async def test_no_credentials_go_to_another_origin(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    other = faulty_server.another_origin()
    url = faulty_server.add_redirect("/start", other.add("/m", body=BODY), hops=3)
    await downloads.download(url.replace("http://", "http://me:secret@"), target, sha256=DIGEST)
    assert ["authorization" in request.headers for request in faulty_server.requests] == [True] * 3
    assert ["authorization" in request.headers for request in other.requests] == [False]


async def test_a_stall_that_ends_in_time_is_none(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[Stall(at=100_000)])
    call = asyncio.create_task(downloads.download(url, target, sha256=DIGEST))
    await asyncio.to_thread(faulty_server.wait_for_stall)
    faulty_server.release()
    assert (await call).size == BODY.size
