"""What is refused, with which error, and that nothing is left then."""

import asyncio
import ssl
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadException,
    DownloadInterruptedException,
    DownloadService,
    DownloadStatusException,
    DownloadTimeoutException,
    DownloadTooLargeException,
    SizeMismatchException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.exceptions import ConfigurationException, InvalidInputException
from kamiwaza_sdk.sources import Validators
from tests.download.helpers import digest, entries
from tests.download.tls import client_context
from tests.serving import Server

BODY = b"0123456789" * 100_000


@pytest.fixture(autouse=True)
def nothing_is_left(target: Path) -> Generator[None]:
    """Every test here ends with an empty directory."""
    yield
    assert entries(target.parent) == []


@pytest.mark.parametrize("announce", ["truly", "chunked"])
async def test_wrong_digest(
    announce: Literal["truly", "chunked"], downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(ChecksumMismatchException) as caught:
        await downloads.download(server.add("/m", body=BODY, announce=announce), target, sha256="0" * 64)
    assert (caught.value.expected, caught.value.actual) == ("0" * 64, digest(BODY))


async def test_wrong_size_announced_is_refused_before_a_byte_is_received(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(SizeMismatchException) as caught:
        await downloads.download(server.add("/m", body=BODY, stall_after=0), target, size=7)
    assert (caught.value.expected, caught.value.actual) == (7, len(BODY))


@pytest.mark.parametrize("off_by", [-1, 1])
async def test_wrong_size_that_was_not_announced(
    off_by: int, downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(SizeMismatchException) as caught:
        await downloads.download(server.add("/m", body=b"x" * 10, announce="chunked"), target, size=10 + off_by)
    assert (caught.value.expected, caught.value.actual) == (10 + off_by, 10)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(403, False), (404, False), (408, True), (425, True), (429, True), (500, True), (503, True)],
)
async def test_status_other_than_200(
    status: int, retryable: bool, downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(DownloadStatusException) as caught:
        await downloads.download(server.add("/m", body=b"an error page", status=status), target)
    assert (caught.value.status, caught.value.retryable) == (status, retryable)
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [204, 206, 304])
async def test_success_of_another_kind_is_no_file(
    status: int, downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(DownloadStatusException):
        await downloads.download(server.add("/m", status=status), target, validators=Validators())


@pytest.mark.parametrize("announce", ["truly", "chunked"])
@pytest.mark.parametrize("after", [0, 1, 999_999])
async def test_body_that_breaks_off(
    after: int,
    announce: Literal["truly", "chunked"],
    downloads: DownloadService,
    server: Server,
    target: Path,
) -> None:
    with pytest.raises(DownloadInterruptedException) as caught:
        await downloads.download(server.add("/m", body=BODY, drop_after=after, announce=announce), target)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.retryable is True
    assert caught.value.announced == (len(BODY) if announce == "truly" else None)
    assert caught.value.received <= after


@pytest.mark.parametrize("size", [10, 100_000, 5_000_000])
async def test_surplus_that_arrives_with_the_body_is_an_error(
    size: int, downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(DownloadInterruptedException):
        await downloads.download(server.add("/m", body=b"x" * size + b"surplus", announce=size), target)


async def test_surplus_is_an_error_wherever_the_size_is_known(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=b"x" * 20, announce=10)
    with pytest.raises(DownloadException):
        await downloads.download(url, target, size=20)


async def test_surplus_is_never_taken_for_the_next_answer(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    first = server.add("/1", body=b"good" + smuggled, announce=4)
    await downloads.download(first, target)
    assert await downloads.read(server.add("/2", body=b"fine"), max_size=4) == b"fine"
    target.unlink()


@pytest.mark.parametrize("announce", ["truly", "chunked", None])
async def test_one_byte_over_the_limit(
    announce: Literal["truly", "chunked"] | None, downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=BODY, announce=announce)
    with pytest.raises(DownloadTooLargeException) as caught:
        await downloads.download(url, target, max_size=len(BODY) - 1)
    assert caught.value.limit == len(BODY) - 1
    assert (caught.value.announced, caught.value.received) == (
        (len(BODY), 0) if announce == "truly" else (None, len(BODY))
    )
    with pytest.raises(DownloadTooLargeException):
        await downloads.read(url, max_size=len(BODY) - 1)


@pytest.mark.parametrize("announce", ["truly", "chunked", None])
async def test_exactly_the_limit_passes(
    announce: Literal["truly", "chunked"] | None, downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=BODY, announce=announce)
    assert (await downloads.download(url, target, max_size=len(BODY))).size == len(BODY)
    assert await downloads.read(url, max_size=len(BODY)) == BODY
    target.unlink()


async def test_explicit_limit_beats_the_configured_one(server: Server, target: Path, config: DownloadConfig) -> None:
    async with DownloadService(config.model_copy(update={"max_size": 3})) as downloads:
        assert (await downloads.download(server.add("/m", body=b"four"), target, max_size=4)).size == 4
    target.unlink()


@pytest.mark.parametrize("after", [0, 1000])
async def test_stall_ends_the_download(after: int, server: Server, target: Path, config: DownloadConfig) -> None:
    url = server.add("/m", body=BODY, stall_after=after)
    async with DownloadService(config.model_copy(update={"stall_timeout": 0.5})) as downloads:
        with pytest.raises(DownloadTimeoutException) as caught:
            await downloads.download(url, target)
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.seconds, caught.value.received, caught.value.retryable) == (0.5, after, True)


async def test_session_closed_by_its_owner_ends_the_download(
    server: Server, target: Path, config: DownloadConfig
) -> None:
    url = server.add("/m", body=BODY, stall_after=1000)
    session = aiohttp.ClientSession()
    service = DownloadService(config.model_copy(update={"stall_timeout": 0.5}), session=session)
    async with service as downloads:
        call = asyncio.create_task(downloads.download(url, target))
        await asyncio.to_thread(server.stalled.wait, 5)
        await session.close()
        with pytest.raises((DownloadTimeoutException, DownloadInterruptedException)):
            await call


async def test_session_that_is_closed_is_a_configuration_error(
    server: Server, target: Path, config: DownloadConfig
) -> None:
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(ConfigurationException):
        await DownloadService(config, session=session).download(server.add("/m"), target)


async def test_connection_refused(downloads: DownloadService, target: Path) -> None:
    with Server() as gone:
        url = gone.url("/m")
    with pytest.raises(DownloadInterruptedException) as caught:
        await downloads.download(url, target)
    assert (caught.value.received, caught.value.announced, caught.value.retryable) == (0, None, True)


async def test_host_that_does_not_exist(downloads: DownloadService, target: Path) -> None:
    with pytest.raises(DownloadInterruptedException, match="no connection"):
        await downloads.download("http://nowhere.invalid/m", target)


async def test_certificate_nobody_vouches_for(downloads: DownloadService, tls_server: Server, target: Path) -> None:
    with pytest.raises(DownloadInterruptedException, match="not trusted") as caught:
        await downloads.download(tls_server.add("/m", body=BODY), target)
    assert (caught.value.retryable, tls_server.requests) == (False, [])
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_answer_that_is_not_http(downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/m", headers={"Content-Length": "nonsense"}, announce=None)
    with pytest.raises(DownloadInterruptedException, match="no valid HTTP"):
        await downloads.download(url, target)


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_encoded_body(encoding: str, downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/m", body=BODY, headers={"Content-Encoding": encoding})
    with pytest.raises(UnexpectedEncodingException) as caught:
        await downloads.download(url, target)
    assert caught.value.encoding == encoding


async def test_encoding_on_a_line_of_its_own(downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/m", body=BODY, headers={"Content-Encoding": "identity", "content-encoding": "gzip"})
    with pytest.raises(UnexpectedEncodingException) as caught:
        await downloads.download(url, target)
    assert (caught.value.encoding, entries(target.parent)) == ("identity, gzip", [])


async def test_encoding_that_is_none_is_fine(downloads: DownloadService, server: Server) -> None:
    url = server.add("/m", body=b"x", headers={"Content-Encoding": "Identity"})
    assert await downloads.read(url, max_size=1) == b"x"


@pytest.mark.parametrize(("sha256", "size", "max_size"), [("abc", None, None), (None, -1, None), (None, None, -1)])
async def test_argument_that_makes_no_sense_is_refused_before_anything_is_asked(
    *,
    sha256: str | None,
    size: int | None,
    max_size: int | None,
    downloads: DownloadService,
    server: Server,
    target: Path,
) -> None:
    with pytest.raises(InvalidInputException):
        await downloads.download(server.add("/m", body=BODY), target, sha256=sha256, size=size, max_size=max_size)
    assert server.requests == []


async def test_path_with_nul(downloads: DownloadService, server: Server, target: Path) -> None:
    with pytest.raises(InvalidInputException):
        await downloads.download(server.add("/m", body=BODY), target.with_name("a\0b"))


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "\udcff", "naïve"])
def test_validator_that_cannot_be_a_header(value: str) -> None:
    with pytest.raises(InvalidInputException):
        Validators(etag=value)


async def test_tls_is_verified_with_the_callers_own_certificates(
    tls_server: Server, target: Path, config: DownloadConfig
) -> None:
    connector = aiohttp.TCPConnector(ssl=client_context())
    async with aiohttp.ClientSession(connector=connector) as session:
        body = await DownloadService(config, session=session).read(tls_server.add("/m", body=b"x"), max_size=1)
    assert body == b"x"


async def test_interim_answers_without_end_are_no_answer(config: DownloadConfig) -> None:
    ended = asyncio.Event()

    async def hint(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:  # until the client has enough of it
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        ended.set()

    impatient = config.model_copy(update={"connect_timeout": 0.4, "stall_timeout": 0.2, "max_attempts": 1})
    async with await asyncio.start_server(hint, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/m"
        with pytest.raises(DownloadTimeoutException):
            await asyncio.wait_for(DownloadService(impatient).read(url, max_size=10), 10)
        await asyncio.wait_for(ended.wait(), 10)
