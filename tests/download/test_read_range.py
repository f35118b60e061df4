"""Parts of files: the bytes that were asked for or an error, within the memory and the traffic that they take."""

from collections.abc import Iterator

import pytest

from kamiwaza_sdk import (
    DownloadInterruptedException,
    DownloadService,
    DownloadStatusException,
    InvalidInputException,
    RangeNotSupportedException,
)
from kamiwaza_sdk.testing import (
    Chunked,
    Fault,
    FaultyServer,
    GeneratedBody,
    Headers,
    IgnoreRange,
    NoLength,
    Status,
    Truncate,
    WrongContentRange,
)

BODY = bytes(range(256)) * 8


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """A server on loopback that knows ranges."""
    with FaultyServer() as server:
        yield server


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (0, 2048), (7, 100), (2047, 1), (2000, 4096)])
async def test_a_part_is_what_was_asked_for_as_far_as_the_file_goes(
    downloads: DownloadService, faulty: FaultyServer, offset: int, length: int
) -> None:
    part = await downloads.read_range(faulty.add("/model", body=BODY), offset=offset, length=length)
    assert (part.body, part.size, part.offset) == (BODY[offset : offset + length], 2048, offset)
    assert [request.headers["range"] for request in faulty.requests] == [f"bytes={offset}-{offset + length - 1}"]


@pytest.mark.parametrize("body", [b"", BODY])
async def test_behind_the_end_there_is_nothing_and_the_size_is_told(
    downloads: DownloadService, faulty: FaultyServer, body: bytes
) -> None:
    part = await downloads.read_range(faulty.add("/model", body=body), offset=len(body), length=10)
    assert (part.body, part.size) == (b"", len(body))


@pytest.mark.parametrize(
    ("faults", "size"),
    [
        ((IgnoreRange(),), 2048),
        ((Headers({"Content-Range": "bytes */2048"}),), 2048),
        ((Headers({"Content-Range": None}),), None),
        ((Status(416),), None),
        ((Status(206, body=b""), Headers({"Content-Range": "bytes */2048"})), 2048),
        ((Status(206, body=b""), Headers({"Content-Range": "bytes 2048-2047/2048"})), 2048),
        ((Status(206, body=b"x"), Headers({"Content-Range": "bytes 2047-2047/2048"})), 2048),
    ],
)
async def test_behind_the_end_there_is_nothing_however_a_server_says_so(
    downloads: DownloadService, faulty: FaultyServer, faults: tuple[Fault, ...], size: int | None
) -> None:
    part = await downloads.read_range(faulty.add("/model", body=BODY, always=faults), offset=5000, length=10)
    assert (part.offset, part.body, part.size) == (5000, b"", size)


@pytest.mark.parametrize("length", [10, 5000])
@pytest.mark.parametrize("faults", [(IgnoreRange(),), (IgnoreRange(), NoLength()), (IgnoreRange(), Chunked())])
async def test_of_a_server_that_ignores_ranges_the_first_bytes_are_read(
    downloads: DownloadService, faulty: FaultyServer, faults: tuple[Fault, ...], length: int
) -> None:
    url = faulty.add("/model", body=BODY, always=faults)
    part = await downloads.read_range(url, offset=0, length=length)
    assert part.body == BODY[:length]
    assert part.size == (2048 if len(faults) == 1 or length > 2048 else None)


async def test_of_a_large_file_reading_stops_behind_the_first_bytes(
    downloads: DownloadService, faulty: FaultyServer
) -> None:
    url = faulty.add("/model", body=GeneratedBody(5 * 1024**3), always=IgnoreRange())
    part = await downloads.read_range(url, offset=0, length=100)
    assert (len(part.body), part.size) == (100, 5 * 1024**3)
    assert faulty.requests[0].sent < 100 * 1024**2


@pytest.mark.parametrize(
    "faults",
    [
        (IgnoreRange(),),
        (WrongContentRange(shift=1),),
        (Headers({"Content-Range": "bytes 10-19/5"}),),
        (Headers({"Content-Range": "bytes 10-15/2048"}),),
        (Headers({"Content-Range": "lines 10-19/2048"}),),
    ],
)
async def test_another_part_than_the_one_asked_for_is_refused(
    downloads: DownloadService, faulty: FaultyServer, faults: tuple[Fault, ...]
) -> None:
    url = faulty.add("/model", body=BODY, always=faults)
    with pytest.raises(RangeNotSupportedException) as refused:
        await downloads.read_range(f"{url}?signature=secret", offset=10, length=10)
    assert (refused.value.offset, refused.value.length, refused.value.url) == (10, 10, url)


async def test_416_for_bytes_that_the_file_has_is_refused(downloads: DownloadService, faulty: FaultyServer) -> None:
    url = faulty.add("/model", body=BODY, always=(Status(416), Headers({"Content-Range": "bytes */2048"})))
    with pytest.raises(RangeNotSupportedException):
        await downloads.read_range(url, offset=10, length=10)


async def test_a_part_that_breaks_off_is_an_error(downloads: DownloadService, faulty: FaultyServer) -> None:
    url = faulty.add("/model", body=BODY, always=Truncate(5))
    with pytest.raises(DownloadInterruptedException):
        await downloads.read_range(url, offset=0, length=10)


async def test_another_status_is_raised(downloads: DownloadService, faulty: FaultyServer) -> None:
    with pytest.raises(DownloadStatusException):
        await downloads.read_range(faulty.url("/missing"), offset=0, length=10)


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, 0), (True, 1), (0, 1.5)])
async def test_what_is_no_range_is_refused(downloads: DownloadService, offset: int, length: int) -> None:
    with pytest.raises(InvalidInputException):
        await downloads.read_range("https://host/model", offset=offset, length=length)


async def test_what_is_no_url_is_refused(downloads: DownloadService) -> None:
    with pytest.raises(InvalidInputException, match="^url"):
        await downloads.read_range("ftp://host/model", offset=0, length=1)
