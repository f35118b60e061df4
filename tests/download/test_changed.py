"""A file that changes while it travels, on servers that ignore ``If-Range``: two contents are never mixed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kamiwaza_sdk import ChecksumMismatchException, DownloadConfig, DownloadException, DownloadService
from kamiwaza_sdk.testing import GeneratedBody
from tests.download.helpers import digest, entries

MIB = 1024**2
SIZE = 6 * MIB
OLD, NEW = (GeneratedBody(SIZE, seed=seed).read() for seed in (1, 2))
MONDAY, LATER = "Mon, 01 Jun 2026 10:00:00 GMT", "Mon, 01 Jun 2026 11:00:00 GMT"
#: What a server says of a file before and after it has changed.
SAID: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "strong ETag": ({"ETag": '"old"'}, {"ETag": '"new"'}),
    "weak ETag": ({"ETag": 'W/"old"'}, {"ETag": 'W/"new"'}),
    "Last-Modified": ({"Last-Modified": MONDAY}, {"Last-Modified": LATER}),
    "an earlier Last-Modified": ({"Last-Modified": LATER}, {"Last-Modified": MONDAY}),
    "ETag, then none": ({"ETag": '"old"'}, {}),
    "ETag, then a date": ({"ETag": '"old"'}, {"Last-Modified": LATER}),
    "ETag and date, then the date": ({"ETag": '"old"', "Last-Modified": MONDAY}, {"Last-Modified": MONDAY}),
    "date, then none": ({"Last-Modified": MONDAY}, {}),
    "date, then ETag": ({"Last-Modified": MONDAY}, {"ETag": '"new"', "Last-Modified": MONDAY}),
    "same ETag, other date": (
        {"ETag": '"same"', "Last-Modified": MONDAY},
        {"ETag": '"same"', "Last-Modified": LATER},
    ),
    "strong ETag, then weak": ({"ETag": '"same"'}, {"ETag": 'W/"same"'}),
    "nothing": ({}, {}),
}


class Changing(ThreadingHTTPServer):
    """Answers ranges, whatever ``If-Range`` says; the first answer breaks off, and from then on the file is another."""

    daemon_threads = True

    def __init__(self, said: tuple[dict[str, str], dict[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.said = said
        self.changed = False
        self.cut, self.cut_again = 4 * MIB, SIZE
        self.ranges: list[str | None] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Be silent: clients go away when they have seen enough."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Changing

    def do_GET(self) -> None:
        changed, self.server.changed = self.server.changed, True
        body, said = (NEW, self.server.said[1]) if changed else (OLD, self.server.said[0])
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), int(last) + 1 if last else SIZE
        self.send_response(200 if asked is None else 206)
        for name, value in (said | {"Accept-Ranges": "bytes", "Content-Length": f"{end - start}"}).items():
            self.send_header(name, value)
        if asked is not None:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{SIZE}")
        self.end_headers()
        limit = self.server.cut_again if changed else self.server.cut
        self.close_connection = limit < end - start
        self.wfile.write(body[start:end][:limit])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def changing(said: tuple[dict[str, str], dict[str, str]]) -> Iterator[tuple[Changing, str]]:
    with Changing(said) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}/f"
        finally:
            server.shutdown()
            thread.join(20)


async def brought(config: DownloadConfig, url: str, target: Path, *, calls: bool, sha256: str | None) -> bytes:
    """Download within one call, or in the one after the first has failed."""
    config = config.model_copy(update={"retry_pause": 0.0, "max_attempts": 1 if calls else 3})
    async with DownloadService(config) as downloads:
        if calls:
            with pytest.raises(DownloadException):
                await downloads.download(url, target, sha256=sha256)
        result = await downloads.download(url, target, sha256=sha256)
    body = target.read_bytes()
    assert (result.sha256, result.size, entries(target.parent)) == (digest(body), len(body), [target.name])
    return body


@pytest.mark.parametrize("calls", [False, True], ids=["within one call", "in the next call"])
@pytest.mark.parametrize("name", SAID)
async def test_what_names_itself_differently_is_begun_anew(
    name: str, *, calls: bool, config: DownloadConfig, target: Path
) -> None:
    with changing(SAID[name]) as (server, url):
        assert await brought(config, url, target, calls=calls, sha256=None) == NEW
        assert server.ranges[-1] is None


@pytest.mark.parametrize("calls", [False, True], ids=["within one call", "in the next call"])
@pytest.mark.parametrize("name", SAID)
async def test_a_digest_decides_at_the_end_and_all_is_asked_for_once_more(
    name: str, *, calls: bool, config: DownloadConfig, target: Path
) -> None:
    with changing(SAID[name]) as (server, url):
        assert await brought(config, url, target, calls=calls, sha256=digest(NEW)) == NEW
        assert [asked is not None for asked in server.ranges] == [False, True, False]


async def test_a_digest_that_neither_content_has_is_refused_after_one_new_start(
    config: DownloadConfig, target: Path
) -> None:
    with changing(SAID["strong ETag"]) as (server, url):
        with pytest.raises(ChecksumMismatchException):
            await brought(config, url, target, calls=False, sha256=digest(OLD))
        assert ([asked is not None for asked in server.ranges], entries(target.parent)) == ([False, True, False], [])


async def test_what_only_a_digest_vouches_for_is_not_gone_on_with_without_one(
    config: DownloadConfig, target: Path
) -> None:
    """Old bytes, new ones behind them, and a server that has the old name again."""
    impatient = config.model_copy(update={"retry_pause": 0.0, "max_attempts": 1})
    with changing(SAID["strong ETag"]) as (server, url):
        async with DownloadService(impatient) as downloads:
            server.cut_again = MIB
            for _ in range(2):
                with pytest.raises(DownloadException):
                    await downloads.download(url, target, sha256=digest(NEW))
            server.changed, server.cut = False, SIZE
            result = await downloads.download(url, target)
        assert (result.sha256, target.read_bytes() == OLD) == (digest(OLD), True)
        assert [asked is not None for asked in server.ranges] == [False, True, False]
