"""Asking an API: whatever the status, with headers, redirects followed, and a host's token for that host only."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from kamiwaza_sdk import (
    DownloadConfig,
    DownloadService,
    DownloadStatusException,
    DownloadTooLargeException,
    InvalidInputException,
)
from tests.serving import Server


async def test_an_answer_is_returned_with_its_headers(downloads: DownloadService, server: Server) -> None:
    url = server.add("/api", body=b"{}", headers={"Link": '</next>; rel="next"', "X-Error-Code": "None"})
    response = await downloads.get(f"{url}?token=secret", max_size=2)
    assert (response.status, response.body, response.url) == (200, b"{}", f"{url}?token=secret")
    assert (response.headers["link"], response.headers["x-error-code"]) == ('</next>; rel="next"', "None")
    assert "secret" not in repr(response)


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410])
async def test_a_status_that_will_not_change_is_an_answer(
    downloads: DownloadService, server: Server, status: int
) -> None:
    url = server.add("/api", status=status, headers={"X-Error-Code": "Gone"})
    response = await downloads.get(url, max_size=100)
    assert (response.status, response.headers["x-error-code"]) == (status, "Gone")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_one_that_may_change_is_asked_for_again_and_then_raised(server: Server, status: int) -> None:
    config = await asyncio.to_thread(lambda: DownloadConfig(max_attempts=3, retry_pause=0))
    url = server.add("/api", status=status)
    with pytest.raises(DownloadStatusException) as refused:
        await DownloadService(config).get(url, max_size=100)
    assert (refused.value.status, refused.value.attempts, len(server.requests)) == (status, 3, 3)


async def test_a_redirect_is_followed_and_where_to_is_told(downloads: DownloadService, server: Server) -> None:
    moved = server.add("/new", body=b"{}")
    response = await downloads.get(server.add("/old", redirect=moved), max_size=100)
    assert (response.status, response.url) == (200, moved)


async def test_an_answer_is_bounded(downloads: DownloadService, server: Server) -> None:
    for announce in ("truly", "chunked"):
        with pytest.raises(DownloadTooLargeException):
            await downloads.get(server.add("/api", body=b"12345", announce=announce), max_size=4)


async def test_what_is_no_url_is_refused(downloads: DownloadService) -> None:
    with pytest.raises(InvalidInputException, match="^url"):
        await downloads.get("ftp://host/api", max_size=1)


@pytest.mark.parametrize("url", [None, 1, b"https://host/token", Path("api"), ["https://host/api"]])
async def test_what_is_no_text_is_no_url(downloads: DownloadService, url: Any) -> None:
    calls = (
        lambda: downloads.get(url, max_size=1),
        lambda: downloads.read(url, max_size=1),
        lambda: downloads.read_range(url, offset=0, length=1),
    )
    for call in calls:
        with pytest.raises(InvalidInputException, match=f"must be text, not {type(url).__name__}") as caught:
            await call()
        assert caught.value.value == type(url).__name__


async def test_a_token_is_for_its_host_and_port_wherever_redirects_lead(server: Server) -> None:
    with Server() as other:
        host = server.url("").removeprefix("http://")
        config = await asyncio.to_thread(lambda: DownloadConfig(tokens={host: SecretStr("hf_secret")}))
        away = server.add("/away", redirect=other.add("/there", redirect=server.add("/back", body=b"{}")))
        async with DownloadService(config) as downloads:
            await downloads.get(away, max_size=100)
            await downloads.get(other.add("/alone", body=b"{}"), max_size=100)
        sent = [request.headers.get("authorization") for request in server.requests]
        assert sent == ["Bearer hf_secret", "Bearer hf_secret"]
        assert [request.headers.get("authorization") for request in other.requests] == [None, None]
        assert "hf_secret" not in repr(config)
