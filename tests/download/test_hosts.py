"""Which hosts are asked: those that are allowed, first and wherever a redirect leads."""

from pathlib import Path

import pytest

from kamiwaza_sdk import ConfigurationException, DownloadConfig, DownloadService, HostNotAllowedException
from kamiwaza_sdk.services.download.http.hosts import check_url, is_listed
from kamiwaza_sdk.testing import FaultyServer
from tests.download.helpers import entries


@pytest.fixture
def other(faulty_server: FaultyServer) -> FaultyServer:
    return faulty_server.another_origin()


def authority(server: FaultyServer) -> str:
    return server.url("").removeprefix("http://")


def restricted(config: DownloadConfig, *hosts: str) -> DownloadService:
    return DownloadService(config.model_copy(update={"allowed_hosts": hosts}))


async def test_host_that_is_not_allowed_is_never_asked(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    url = faulty_server.add("/m", body=b"x")
    with pytest.raises(HostNotAllowedException, match="DOWNLOAD_SERVICE_ALLOWED_HOSTS") as caught:
        await restricted(config, "example.org").download(f"{url}?signature=secret", target)
    assert (caught.value.url, caught.value.host) == (url, authority(faulty_server))
    assert (caught.value.retryable, caught.value.attempts) == (False, 1)
    assert (faulty_server.requests, entries(target.parent)) == ([], [])


async def test_redirect_to_a_host_that_is_not_allowed_is_not_followed(
    faulty_server: FaultyServer, other: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    final = other.add("/m", body=b"x")
    url = faulty_server.add_redirect("/r", final, hops=3)
    with pytest.raises(HostNotAllowedException) as caught:
        await restricted(config, authority(faulty_server)).download(url, target)
    assert (caught.value.url, caught.value.host) == (url, authority(other))
    assert (len(faulty_server.requests), other.requests) == (3, [])


@pytest.mark.parametrize("hosts", [("127.0.0.1",), ("*.0.0.1",), ("example.org", "127.0.0.1"), ()])
async def test_host_without_a_port_means_all_of_its_ports(
    hosts: tuple[str, ...], faulty_server: FaultyServer, other: FaultyServer, config: DownloadConfig
) -> None:
    url = faulty_server.add_redirect("/r", other.add("/m", body=b"x"))
    assert await restricted(config, *hosts).read(url, max_size=1) == b"x"


@pytest.mark.parametrize(
    ("host", "url", "listed"),
    [
        ("example.org", "https://EXAMPLE.org/x", True),
        ("EXAMPLE.org", "https://example.org:8443/x", True),
        ("example.org", "https://cdn.example.org/x", False),
        ("example.org", "https://example.org.evil/x", False),
        ("example.org", "https://evilexample.org/x", False),
        ("example.org", "https://example.org@evil/x", False),
        ("*.example.org", "https://a.b.example.org/x", True),
        ("*.example.org", "https://example.org/x", False),
        ("*.example.org", "https://evilexample.org/x", False),
        ("*.example.org:8443", "https://a.example.org:8443/x", True),
        ("*.example.org:8443", "https://a.example.org/x", False),
        ("example.org:443", "https://example.org/x", True),
        ("example.org:443", "http://example.org/x", False),
        ("bücher.example", "https://xn--bcher-kva.example/x", True),
        ("[::1]:8443", "https://[0:0::1]:8443/x", True),
        ("[::1]", "https://[::2]/x", False),
    ],
)
def test_what_an_entry_stands_for(*, host: str, url: str, listed: bool) -> None:
    assert is_listed(check_url(url), DownloadConfig(allowed_hosts=(host,)).allowed_hosts) is listed


def test_hosts_in_the_environment_have_commas_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOAD_SERVICE_ALLOWED_HOSTS", "huggingface.co, *.HF.co,")
    assert DownloadConfig().allowed_hosts == ("huggingface.co", "*.hf.co")


@pytest.mark.parametrize(
    "entry",
    [
        "https://example.org",
        "example.org/x",
        "me@example.org",
        "a b",
        "*",
        "*.",
        "a.*.org",
        "h:99999",
        "::1",
        "h\n",
        "",
    ],
)
def test_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ConfigurationException, match="no host; write example.org") as caught:
        DownloadConfig(allowed_hosts=("example.org", entry))
    assert caught.value.setting == "allowed_hosts"
