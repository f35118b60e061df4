"""Proxies of the environment: used when asked, and told no more than they need."""

import pickle
import traceback
from collections.abc import Generator
from pathlib import Path

import aiohttp
import pytest
from blockbuster import BlockBuster
from pydantic import SecretStr

from kamiwaza_sdk import ConfigurationException, DownloadConfig, DownloadInterruptedException, DownloadService
from kamiwaza_sdk.testing import FaultyServer
from tests.download.proxy import Proxy
from tests.download.tls import certificate, server_context

ME = "Basic bWU6U0VDUkVU"  # me:SECRET


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave behind what the environment of these tests says itself."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").touch()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Generator[Proxy]:
    with Proxy(user="me:SECRET") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        yield proxy


@pytest.fixture
def config(config: DownloadConfig) -> DownloadConfig:
    return config.model_copy(update={"trust_env": True, "max_attempts": 2, "retry_pause": 0})


@pytest.fixture
def secure(tmp_path: Path) -> Generator[FaultyServer]:
    with FaultyServer(tls=server_context(tmp_path)) as server:
        yield server


async def test_proxies_are_used_only_when_asked(
    faulty_server: FaultyServer, proxy: Proxy, config: DownloadConfig
) -> None:
    url = faulty_server.add("/m", body=b"x")
    async with DownloadService(config.model_copy(update={"trust_env": False})) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert proxy.asked == []
    async with DownloadService(config) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert [line for line, _ in proxy.asked] == [f"GET {url}"]
    assert proxy.asked[0][1]["proxy-authorization"] == ME
    assert "proxy-authorization" not in faulty_server.requests[-1].headers


async def test_https_goes_through_a_tunnel_which_sees_no_token(
    secure: FaultyServer, proxy: Proxy, config: DownloadConfig, tmp_path: Path
) -> None:
    url = secure.add("/m", body=b"x")
    host = url.split("/")[2]
    more = {"ca_file": certificate(tmp_path), "tokens": {host: SecretStr("mine")}}
    async with DownloadService(config.model_copy(update=more)) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    ((line, headers),) = proxy.asked
    assert (line, headers["proxy-authorization"]) == (f"CONNECT {host}", ME)
    assert "authorization" not in headers
    assert secure.requests[0].headers["authorization"] == "Bearer mine"
    assert "proxy-authorization" not in secure.requests[0].headers


async def test_token_is_not_sent_in_the_clear_through_a_proxy(
    faulty_server: FaultyServer, proxy: Proxy, config: DownloadConfig
) -> None:
    url = faulty_server.add("/m", body=b"x")
    tokens = {url.split("/")[2]: SecretStr("mine")}
    async with DownloadService(config.model_copy(update={"tokens": tokens})) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert "authorization" not in proxy.asked[0][1]
    assert "authorization" not in faulty_server.requests[0].headers


@pytest.mark.parametrize("name", ["127.0.0.1", "example.org,127.0.0.1:PORT", "*"])
async def test_hosts_that_need_no_proxy_are_asked_without_it(
    name: str, faulty_server: FaultyServer, proxy: Proxy, config: DownloadConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = faulty_server.add("/m", body=b"x")
    monkeypatch.setenv("no_proxy", name.replace("PORT", url.rpartition(":")[2].partition("/")[0]))
    async with DownloadService(config) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert proxy.asked == []


async def test_netrc_is_no_source_of_credentials_for_hosts(
    faulty_server: FaultyServer, config: DownloadConfig, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password SECRET\ndefault login me password SECRET\n")
    other = faulty_server.another_origin()
    url = faulty_server.add_redirect("/r", other.add("/m", body=b"x"))
    async with DownloadService(config) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
        own = url.replace("//", "//you:own@")
        assert await downloads.read(own, max_size=1) == b"x"
    sent = [request.headers.get("authorization") for request in (*faulty_server.requests, *other.requests)]
    assert sent == [None, "Basic eW91Om93bg==", None, None]


async def test_what_netrc_tells_a_session_handed_in_stays_at_the_first_origin(
    faulty_server: FaultyServer, config: DownloadConfig, tmp_path: Path, no_blocking: BlockBuster
) -> None:
    no_blocking.deactivate()  # older versions of aiohttp read the file on the event loop
    (tmp_path / "netrc").write_text("default login me password SECRET\n")
    other = faulty_server.another_origin()
    url = faulty_server.add_redirect("/r", other.add("/m", body=b"x"))
    async with aiohttp.ClientSession(trust_env=True) as session:
        assert await DownloadService(config, session=session).read(url, max_size=1) == b"x"
    assert faulty_server.requests[0].headers["authorization"] == ME
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize(("status", "attempts"), [(407, 1), (403, 1), (502, 2)])
async def test_tunnel_that_is_refused_is_told_without_the_password(
    *,
    status: int,
    attempts: int,
    secure: FaultyServer,
    config: DownloadConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Proxy(user="me:SECRET", status=status) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        async with DownloadService(config) as downloads:
            with caplog.at_level("DEBUG"), pytest.raises(DownloadInterruptedException) as caught:
                await downloads.read(secure.add("/m", body=b"x"), max_size=1)
    assert f"the proxy answered {status}" in str(caught.value)
    assert (caught.value.retryable, caught.value.attempts) == (attempts > 1, attempts)
    assert no_secret(caught.value)
    assert "SECRET" not in caplog.text


async def test_proxy_that_is_not_there_is_told_without_the_password(
    faulty_server: FaultyServer,
    config: DownloadConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Proxy(user="me:SECRET") as gone:
        monkeypatch.setenv("http_proxy", gone.url)
    async with DownloadService(config) as downloads:
        with (
            caplog.at_level("DEBUG"),
            pytest.raises(DownloadInterruptedException, match="no connection to the proxy") as c,
        ):
            await downloads.read(faulty_server.add("/m", body=b"x"), max_size=1)
    assert (c.value.retryable, c.value.attempts) == (True, 2)
    assert no_secret(c.value)
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    "proxy", ["https://me:SECRET@proxy:1", "socks5://SECRET@proxy", "http://me:SECRET@h:bad", "http://", "proxy:3128"]
)
async def test_proxy_that_cannot_be_used_is_refused_and_not_passed_over(
    proxy: str, faulty_server: FaultyServer, config: DownloadConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    async with DownloadService(config) as downloads:
        with pytest.raises(ConfigurationException, match="write http://host:port") as caught:
            await downloads.read(faulty_server.add("/m", body=b"x"), max_size=1)
    assert (caught.value.setting, faulty_server.requests) == ("http_proxy", [])
    assert no_secret(caught.value)


def no_secret(error: Exception) -> bool:
    shown = "".join(traceback.format_exception(error, limit=0)) + repr(vars(error)) + repr(error.__cause__)
    assert error.__context__ in {None, error.__cause__}  # aiohttp's has the request with all its headers
    return "SECRET" not in shown and b"SECRET" not in pickle.dumps(error)
