"""What a server has compressed: decoded or kept as the digest says, and never stored by guess."""

import gzip
import zlib
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadException,
    DownloadService,
    DownloadTooLargeException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.testing import Compressed, FaultyServer, GeneratedBody, Truncate
from tests.download.helpers import digest, entries, visible
from tests.serving import Server

PLAIN = b"weights" * 500_000
RAW_DEFLATE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
CODED = {
    "gzip": gzip.compress(PLAIN),
    "x-gzip": gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]),
    "deflate": zlib.compress(PLAIN),
    "Deflate": RAW_DEFLATE.compress(PLAIN) + RAW_DEFLATE.flush(),
    "gzip, gzip": gzip.compress(gzip.compress(PLAIN)),
    "aws-chunked, gzip": gzip.compress(PLAIN),
}


@pytest.mark.parametrize("coding", CODED)
async def test_a_digest_of_the_file_has_it_decoded(
    coding: str, downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=CODED[coding], headers={"Content-Encoding": coding})
    result = await downloads.download(url, target, sha256=digest(PLAIN), size=len(PLAIN))
    assert (result.sha256, result.size, target.read_bytes() == PLAIN) == (digest(PLAIN), len(PLAIN), True)
    assert (result.bytes_fetched, entries(target.parent), len(server.requests)) == (
        len(CODED[coding]),
        [target.name],
        1,
    )
    assert await downloads.read(url, sha256=digest(PLAIN), max_size=len(PLAIN)) == PLAIN


@pytest.mark.parametrize("coding", [*CODED, "br"])
async def test_a_digest_of_what_is_sent_has_it_kept(
    coding: str, downloads: DownloadService, server: Server, target: Path
) -> None:
    body = CODED.get(coding, b"whatever this is")
    url = server.add("/m.gz", body=body, headers={"Content-Encoding": coding})
    result = await downloads.download(url, target, sha256=digest(body), size=len(body))
    assert (result.sha256, target.read_bytes() == body, len(server.requests)) == (digest(body), True, 1)
    assert await downloads.read(url, sha256=digest(body), max_size=len(body)) == body


async def test_a_large_one_goes_on_where_it_broke_off(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    plain = GeneratedBody(6 * 1024**2).read()
    coded = gzip.compress(plain, 1)
    headers = {"Content-Encoding": "gzip"}
    url = faulty_server.add("/m", body=coded, headers=headers, faults=[Truncate(at=4 * 1024**2)])
    with pytest.raises(DownloadException):
        await downloads.download(url, target, sha256=digest(plain))
    result = await downloads.download(url, target, sha256=digest(plain))
    assert (target.read_bytes() == plain, result.bytes_reused > 0) == (True, True)
    assert entries(target.parent) == [target.name]


async def test_without_a_digest_nothing_is_guessed(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    with pytest.raises(UnexpectedEncodingException, match="give the sha256"):
        await downloads.download(faulty_server.add("/m", body=PLAIN, always=Compressed()), target, size=len(PLAIN))
    assert entries(target.parent) == []


async def test_what_is_neither_is_refused_and_leaves_nothing(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=CODED["gzip"], headers={"Content-Encoding": "gzip"})
    with pytest.raises(ChecksumMismatchException) as refused:
        await downloads.download(url, target, sha256="0" * 64)
    assert (refused.value.actual, len(server.requests), entries(target.parent)) == (digest(PLAIN), 2, [])
    for coding, body in (("br", b"x" * 99), ("gzip", b"x" * 99), ("gzip", CODED["gzip"][:-1])):
        url = server.add("/m", body=body, headers={"Content-Encoding": coding})
        with pytest.raises(UnexpectedEncodingException):
            await downloads.download(url, target, sha256="0" * 64)
        with pytest.raises(UnexpectedEncodingException):
            await downloads.read(url, sha256="0" * 64, max_size=len(PLAIN))
        assert entries(target.parent) == []


async def test_the_limit_is_of_what_it_decodes_to(downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/m", body=CODED["gzip"], headers={"Content-Encoding": "gzip"})
    with pytest.raises(DownloadTooLargeException):
        await downloads.download(url, target, sha256=digest(PLAIN), max_size=len(PLAIN) - 1)
    with pytest.raises(DownloadTooLargeException):
        await downloads.read(url, sha256=digest(PLAIN), max_size=len(PLAIN) - 1)
    assert visible(target.parent) == []


async def test_how_an_upload_was_framed_is_no_coding(downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/m", body=PLAIN, headers={"Content-Encoding": "aws-chunked"})
    await downloads.download(url, target)
    assert target.read_bytes() == PLAIN


@pytest.mark.parametrize("sha256", [None, digest(PLAIN)])
async def test_a_coding_of_the_transfer_that_nobody_asked_for_is_refused(
    sha256: str | None, downloads: DownloadService, server: Server, target: Path
) -> None:
    coded = CODED["gzip"]
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(coded), coded)
    url = server.add("/m", body=framed, headers={"Transfer-Encoding": "gzip, chunked"}, announce=None)
    with pytest.raises(DownloadException) as refused:
        await downloads.download(url, target, sha256=sha256)
    assert (type(refused.value), entries(target.parent)) == (UnexpectedEncodingException, [])
    assert isinstance(refused.value, UnexpectedEncodingException)
    assert refused.value.header == "Transfer-Encoding"
