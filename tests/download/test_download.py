"""What arrives when all goes well."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from kamiwaza_sdk import (
    DownloadConfig,
    DownloadRequest,
    DownloadService,
    DownloadTooLargeException,
    InvalidInputException,
)
from kamiwaza_sdk.sources import Validators
from kamiwaza_sdk.testing import FaultyServer, Headers, Status
from tests.download.helpers import digest, entries
from tests.serving import Server

BODY = bytes(range(256)) * 20_000


async def test_file_is_there_with_its_digest_and_size(downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/model.bin", body=BODY, etag='"1"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")
    result = await downloads.download(url, target, sha256=digest(BODY), size=len(BODY))
    assert target.read_bytes() == BODY
    assert result.sha256 == digest(BODY)
    assert (result.size, result.bytes_fetched, result.bytes_reused) == (len(BODY), len(BODY), 0)
    assert (result.url, result.final_url, result.path) == (url, url, target)
    assert result.validators == Validators(etag='"1"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")
    assert result.not_modified is False
    assert result.seconds > 0


async def test_a_path_may_be_text_and_what_is_none_is_refused(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=b"body")
    assert (await downloads.download(url, str(target))).path == target
    for wrong in (None, 7, b"m", "a\0b", "a\ud800"):
        with pytest.raises(InvalidInputException, match="^path must be a path on this machine"):
            await downloads.download(url, wrong)  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(InvalidInputException, match="^path must be a path on this machine"):
            downloads.start(url, wrong)  # type: ignore[arg-type, unused-awaitable]  # as above
        with pytest.raises(InvalidInputException, match="^path must be a path on this machine"):
            DownloadRequest(url=url, path=wrong)  # type: ignore[arg-type]  # as above
        request = DownloadRequest(url=url, path=target).model_copy(update={"path": wrong})
        with pytest.raises(InvalidInputException, match="^path must be a path on this machine"):
            await downloads.download_many([request])


async def test_nothing_else_is_left_beside_the_file(downloads: DownloadService, server: Server, target: Path) -> None:
    await downloads.download(server.add("/model.bin", body=BODY), target)
    assert entries(target.parent) == ["model.bin"]


@pytest.mark.parametrize("announce", ["truly", "chunked", None])
async def test_body_may_be_framed_in_any_way(
    announce: Literal["truly", "chunked"] | None, downloads: DownloadService, server: Server, target: Path
) -> None:
    result = await downloads.download(server.add("/m", body=BODY, announce=announce), target)
    assert (target.read_bytes(), result.sha256) == (BODY, digest(BODY))


@pytest.mark.parametrize("announce", ["truly", "chunked", None])
async def test_empty_file_is_a_file(
    announce: Literal["truly", "chunked"] | None, downloads: DownloadService, server: Server, target: Path
) -> None:
    result = await downloads.download(server.add("/m", announce=announce), target, size=0, sha256=digest(b""))
    assert (target.read_bytes(), result.size) == (b"", 0)


async def test_file_has_the_mode_of_any_new_file(downloads: DownloadService, server: Server, target: Path) -> None:
    (other := target.with_name("other")).touch()
    await downloads.download(server.add("/m", body=BODY), target)
    assert target.stat().st_mode == other.stat().st_mode


async def test_file_that_stood_there_is_replaced(downloads: DownloadService, server: Server, target: Path) -> None:
    target.write_bytes(b"old")
    await downloads.download(server.add("/m", body=b"new"), target)
    assert target.read_bytes() == b"new"


async def test_file_that_stood_there_stays_when_the_download_fails(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="broke off"):
        await downloads.download(server.add("/m", body=BODY, drop_after=1000), target)
    assert (target.read_bytes(), entries(target.parent)) == (b"old", ["model.bin"])


async def test_state_that_has_not_changed_is_not_sent_again(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=BODY, etag='W/"1"')
    known = (await downloads.download(url, target)).validators
    target.unlink()
    result = await downloads.download(url, target, validators=known)
    assert (result.not_modified, result.size, result.sha256, result.bytes_fetched) == (True, None, None, 0)
    assert (result.validators, entries(target.parent)) == (known, [])
    assert server.requests[-1].headers["if-none-match"] == 'W/"1"'


async def test_state_that_has_not_changed_keeps_its_name_where_the_server_does_not_repeat_it(
    downloads: DownloadService, faulty_server: FaultyServer, target: Path
) -> None:
    """As Python's own http.server, whose 304 has no Last-Modified."""
    known = Validators(etag='"1"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")
    url = faulty_server.add("/m", body=BODY, always=(Status(304), Headers({"ETag": None, "Last-Modified": None})))
    result = await downloads.download(url, target, validators=known)
    assert (result.not_modified, result.validators) == (True, known)


async def test_date_of_the_last_change_is_a_validator_too(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    url = server.add("/m", body=BODY, last_modified=date)
    assert (await downloads.download(url, target, validators=Validators(last_modified=date))).not_modified is True


async def test_changed_state_is_sent(downloads: DownloadService, server: Server, target: Path) -> None:
    url = server.add("/m", body=BODY, etag='"2"')
    result = await downloads.download(url, target, validators=Validators(etag='"1"'))
    assert (result.not_modified, target.read_bytes()) == (False, BODY)


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        ('attachment; filename="model.gguf"', "model.gguf"),
        ("attachment; filename*=UTF-8''mod%C3%A8le.gguf", "modèle.gguf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\dir\\\\model.gguf"', "model.gguf"),
        ('attachment; filename=".."', None),
        ('attachment; filename=" .model.gguf. "', "model.gguf"),
        ("attachment; filename=\"a.gguf\"; filename*=UTF-8''b.gguf", "b.gguf"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ('attachment; filename=""', None),
        ("attachment; filename*=UTF-8''a%00b", None),
        ("attachment; filename*=UTF-8''a%0Ab", None),
        ("attachment; ;;=", None),
        ("inline", None),
    ],
)
async def test_name_the_server_gives_is_one_plain_segment(
    header: str, filename: str | None, downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=b"x", headers={"Content-Disposition": header})
    assert (await downloads.download(url, target)).filename == filename


async def test_no_compression_is_asked_for(downloads: DownloadService, server: Server, target: Path) -> None:
    await downloads.download(server.add("/m", body=BODY), target)
    assert server.requests[-1].headers["accept-encoding"] == "identity"


async def test_path_and_query_travel_as_they_were_written(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    server.add("/a%2Fb", body=BODY)
    await downloads.download(server.url("/a%2Fb") + "?sig=x%2By%2F+z&e=%zz", target)
    assert server.requests[-1].path == "/a%2Fb?sig=x%2By%2F+z&e=%zz"


async def test_user_information_is_sent_as_basic_authentication(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=BODY).replace("//", "//me:pass%20word@")
    await downloads.download(url, target)
    assert server.requests[-1].headers["authorization"] == "Basic bWU6cGFzcyB3b3Jk"


async def test_read_returns_the_body(downloads: DownloadService, server: Server) -> None:
    url = server.add("/config.json", body=b"{}")
    assert await downloads.read(url, max_size=2, sha256=digest(b"{}")) == b"{}"


async def test_calls_inside_a_context_share_a_connection(server: Server, target: Path, config: DownloadConfig) -> None:
    url = server.add("/m", body=b"x")
    async with DownloadService(config) as downloads:
        for _ in range(3):
            await downloads.download(url, target)
    assert len({request.client for request in server.requests}) == 1


async def test_service_works_without_a_context(server: Server, target: Path, config: DownloadConfig) -> None:
    downloads = DownloadService(config)
    await downloads.download(server.add("/m", body=BODY), target)
    assert target.read_bytes() == BODY
    assert await downloads.read(server.url("/m"), max_size=len(BODY)) == BODY


def test_service_works_in_one_event_loop_after_the_other(server: Server, target: Path, config: DownloadConfig) -> None:
    downloads = DownloadService(config)
    url = server.add("/m", body=BODY)

    async def several() -> None:
        await asyncio.gather(*(downloads.download(url, target.with_name(str(i))) for i in range(20)))

    asyncio.run(several())
    asyncio.run(several())
    assert len(entries(target.parent)) == 20


async def test_session_of_the_caller_is_used_and_left_open(
    server: Server, target: Path, config: DownloadConfig
) -> None:
    async with aiohttp.ClientSession(headers={"X-Host": "app"}) as session:
        async with DownloadService(config, session=session) as downloads:
            await downloads.download(server.add("/m", body=BODY), target)
        assert session.closed is False
    assert server.requests[-1].headers["x-host"] == "app"


async def test_no_more_files_travel_at_once_than_configured(
    server: Server, target: Path, config: DownloadConfig
) -> None:
    url = server.add("/m", body=b"x")
    async with DownloadService(config.model_copy(update={"max_concurrency": 2})) as downloads:
        await asyncio.gather(*(downloads.download(url, target.with_name(str(i))) for i in range(10)))
    assert len({request.client for request in server.requests}) == 2


async def test_settings_are_read_with_the_first_call(
    monkeypatch: pytest.MonkeyPatch, server: Server, target: Path
) -> None:
    downloads = DownloadService()
    monkeypatch.setenv("DOWNLOAD_SERVICE_MAX_SIZE", "3")
    with pytest.raises(DownloadTooLargeException, match="over the limit of 3"):
        await downloads.download(server.add("/m", body=b"four"), target)


async def test_one_line_is_logged_for_each_file(
    caplog: pytest.LogCaptureFixture, downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=BODY)
    with caplog.at_level(logging.INFO, "kamiwaza_sdk"):
        await downloads.download(f"{url}?token=secret", target)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("kamiwaza_sdk.download", logging.INFO)
    assert record.getMessage().startswith(f"Downloaded {url}: {len(BODY)} bytes in ")


async def test_a_relative_path_is_meant_where_the_download_began(
    downloads: DownloadService, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    many = [DownloadRequest(url=server.add("/n", body=b"n"), path=Path("n.bin"))]
    result = await downloads.download(
        server.add("/m", body=b"m" * 2_000_000), Path("m.bin"), progress=lambda _: os.chdir(tmp_path / "two")
    )
    monkeypatch.chdir(tmp_path / "one")
    await downloads.download_many(many, progress=lambda _: os.chdir(tmp_path / "two"))
    assert result.path == tmp_path / "one" / "m.bin"
    assert (entries(tmp_path / "one"), entries(tmp_path / "two")) == (["m.bin", "n.bin"], [])


@pytest.mark.parametrize(("wrong", "told"), [(-1, "is -1"), ("1MB", "is '1MB'"), (True, "is bool")])
async def test_a_size_that_is_no_number_of_bytes_is_refused(wrong: int, told: str, downloads: DownloadService) -> None:
    with pytest.raises(InvalidInputException, match=f"max_size {told}; give a whole number of bytes, 0 or more"):
        await downloads.read("https://example.org/m", max_size=wrong)
    with pytest.raises(InvalidInputException, match=f"length {told}; give a whole number of bytes, 1 or more"):
        await downloads.read_range("https://example.org/m", offset=0, length=wrong)
