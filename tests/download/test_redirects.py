"""Where redirects may lead, and what goes along."""

from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path

import aiohttp
import pytest

from kamiwaza_sdk import DownloadConfig, DownloadService, DownloadStatusException
from tests.download.helpers import entries
from tests.download.tls import client_context
from tests.serving import Server

SECRET = "Basic bWU6c2VjcmV0"  # me:secret


@pytest.fixture
def other() -> Generator[Server]:
    with Server() as server:
        yield server


async def test_redirects_are_followed(downloads: DownloadService, server: Server, other: Server, target: Path) -> None:
    final = other.add("/final", body=b"x")
    server.add("/2", redirect=final + "?signature=secret")
    first = server.add("/1", redirect="/2")
    result = await downloads.download(first, target)
    assert (result.url, result.final_url, target.read_bytes()) == (first, final, b"x")
    assert other.requests[-1].path == "/final?signature=secret"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_each_kind_of_redirect(status: int, downloads: DownloadService, server: Server) -> None:
    server.add("/b", body=b"x")
    url = server.add("/a", status=status, headers={"Location": "b"})
    assert await downloads.read(url, max_size=1) == b"x"


async def test_ten_redirects_are_followed_and_no_more(downloads: DownloadService, server: Server, target: Path) -> None:
    server.add("/0", body=b"x")
    for step in range(1, 12):
        server.add(f"/{step}", redirect=f"/{step - 1}")
    assert (await downloads.download(server.url("/10"), target)).final_url == server.url("/0")
    with pytest.raises(DownloadStatusException, match="after 10 redirects") as caught:
        await downloads.download(server.url("/11"), target)
    assert (caught.value.status, caught.value.retryable) == (302, False)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://example.org/x",
        "javascript:alert(1)",
        "http://",
        "http://h:99999/",
        "http:///x",
    ],
)
async def test_redirect_to_anything_but_the_web_is_refused(
    location: str, downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(DownloadStatusException, match="refused"):
        await downloads.download(server.add("/m", redirect=location), target)
    assert entries(target.parent) == []


async def test_redirect_without_a_location_is_no_file(downloads: DownloadService, server: Server, target: Path) -> None:
    with pytest.raises(DownloadStatusException):
        await downloads.download(server.add("/m", status=302), target)


async def test_redirect_from_https_to_http_is_refused(
    tls_server: Server, server: Server, target: Path, config: DownloadConfig
) -> None:
    url = tls_server.add("/m", redirect=server.add("/m", body=b"x"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context())) as session:
        with pytest.raises(DownloadStatusException, match="from https to http"):
            await DownloadService(config, session=session).download(url, target)
    assert server.requests == []


async def test_credentials_of_the_url_stay_at_its_origin(
    downloads: DownloadService, server: Server, other: Server
) -> None:
    server.add("/2", redirect=other.add("/3", redirect=server.url("/4")))
    server.add("/4", body=b"x")
    await downloads.read(server.add("/1", redirect="/2").replace("//", "//me:secret@"), max_size=1)
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == [SECRET, SECRET, None]
    assert "authorization" not in other.requests[0].headers


async def test_credentials_in_a_redirect_are_not_used(
    downloads: DownloadService, server: Server, other: Server
) -> None:
    location = other.add("/m", body=b"x").replace("//", "//me:secret@")
    await downloads.read(server.add("/m", redirect=location), max_size=1)
    assert "authorization" not in other.requests[0].headers


async def test_what_a_session_adds_stays_at_the_first_origin(
    server: Server, other: Server, config: DownloadConfig
) -> None:
    async def add_token(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["X-Token"] = "secret"
        return await handler(request)

    headers = {"Authorization": "Bearer secret", "X-Api-Key": "secret", "User-Agent": "app", "Cookie": "secret=1"}
    url = server.add("/m", redirect=other.add("/m", body=b"x", etag='"1"'))
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(headers=headers, middlewares=(add_token,), cookie_jar=jar) as session:
        jar.update_cookies({"jar": "secret"})
        await DownloadService(config, session=session).read(url, max_size=1)
    (home,), (foreign,) = server.requests, other.requests
    assert (home.headers["authorization"], home.headers["x-api-key"]) == ("Bearer secret", "secret")
    assert home.headers["x-token"] == "secret"
    assert "secret" not in str(foreign.headers)
    assert (foreign.headers["user-agent"], foreign.headers["accept-encoding"]) == ("app", "identity")


async def test_requests_say_who_asks_unless_a_session_does(config: DownloadConfig, server: Server) -> None:
    url = server.add("/m", body=b"x")
    for headers, skipped in (({}, ()), ({"User-Agent": "app"}, ()), ({}, ("User-Agent",))):
        async with aiohttp.ClientSession(headers=headers, skip_auto_headers=skipped) as session:
            await DownloadService(config, session=session).read(url, max_size=1)
    await DownloadService(config).read(url, max_size=1)
    ours = f"kamiwaza-sdk/{version('kamiwaza-sdk')} "
    told = [request.headers.get("user-agent") for request in server.requests]
    assert [name and name.startswith(ours) for name in told] == [True, False, None, True]
    assert told[1] == "app"
