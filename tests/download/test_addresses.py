"""Addresses of private networks: refused where that is asked for, on the connection itself."""

import ipaddress
import socket
from pathlib import Path

import aiohttp
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from kamiwaza_sdk import ConfigurationException, DownloadConfig, DownloadService, HostNotAllowedException
from kamiwaza_sdk.services.download.http import hosts
from kamiwaza_sdk.services.download.http.hosts import is_public, public_socket
from kamiwaza_sdk.testing import FaultyServer
from tests.download.helpers import entries, resolve_to

PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2001:0:808:808::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff0e::1",
    "localhost",
    "",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2606:4700:4700::1111"]


@pytest.fixture
def config(config: DownloadConfig) -> DownloadConfig:
    return config.model_copy(update={"block_private_networks": True})


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_however_they_are_wrapped(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_get_a_socket(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with public_socket((family, socket.SOCK_STREAM, 6, "", (address, 443))) as made:
        assert (made.family, made.type) == (family, socket.SOCK_STREAM)


@given(inner=st.ip_addresses(v=4))
def test_wrapping_an_address_changes_nothing(inner: ipaddress.IPv4Address) -> None:
    public = is_public(str(inner))
    assert public == (inner.is_global and not inner.is_multicast)
    for text in (f"::ffff:{inner}", f"64:ff9b::{inner}", str(ipaddress.IPv6Address(0x2002 << 112 | int(inner) << 80))):
        assert is_public(text) is public, text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:7f00:1]", "[::]", "0.0.0.0", "0x7f.1"])
async def test_nothing_private_is_connected_to_whatever_it_is_called(
    host: str, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=b"x").replace("127.0.0.1", host)
    with pytest.raises(HostNotAllowedException, match="DOWNLOAD_SERVICE_BLOCK_PRIVATE_NETWORKS") as caught:
        await downloads.download(f"{url}?signature=secret", target)
    asked = yarl.URL(url)  # from Python 3.13 on, the end of a mapped address is written as IPv4 addresses are
    assert caught.value.host == asked.host
    assert not is_public(caught.value.address or "")
    assert (caught.value.url, caught.value.retryable, caught.value.attempts) == (str(asked), False, 1)
    assert "secret" not in str(caught.value)
    assert (faulty_server.requests, entries(target.parent)) == ([], [])


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("127.0.0.2", "127.0.0.1", "::1", "fe80::1")])
async def test_name_that_stands_for_private_addresses_only_says_so(
    addresses: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    faulty_server: FaultyServer,
    downloads: DownloadService,
    target: Path,
) -> None:
    resolve_to(monkeypatch, *addresses)
    url = faulty_server.add("/m", body=b"x").replace("127.0.0.1", "rebound.example")
    with pytest.raises(HostNotAllowedException, match="is in a private network") as caught:
        await downloads.download(url, target)
    assert (caught.value.host, caught.value.attempts) == ("rebound.example", 1)
    assert caught.value.address in addresses
    assert faulty_server.requests == []


async def test_redirect_to_a_private_address_is_not_followed_and_a_public_one_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    # No address of this machine is public. For this test, one is.
    monkeypatch.setattr(hosts, "is_public", lambda address: address == "127.0.0.1")
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1", "::1")
    url = faulty_server.add("/m", body=b"x").replace("127.0.0.1", "mixed.example")
    assert await downloads.read(url, max_size=1) == b"x"
    inside = url.replace("mixed.example", "127.0.0.2")
    with pytest.raises(HostNotAllowedException, match="is in a private network") as caught:
        await downloads.download(faulty_server.add_redirect("/r", inside), target)
    assert (caught.value.host, caught.value.address) == ("127.0.0.2", "127.0.0.2")
    assert [request.path for request in faulty_server.requests] == ["/m", "/r"]


async def test_it_cannot_hold_for_a_session_of_the_callers(config: DownloadConfig, faulty_server: FaultyServer) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationException, match="connects by itself") as caught:
            await DownloadService(config, session=session).read(faulty_server.add("/m", body=b"x"), max_size=1)
    assert (caught.value.setting, faulty_server.requests) == ("DOWNLOAD_SERVICE_BLOCK_PRIVATE_NETWORKS", [])


async def test_it_cannot_hold_for_a_proxy(config: DownloadConfig, faulty_server: FaultyServer) -> None:
    service = DownloadService(config.model_copy(update={"trust_env": True}))
    with pytest.raises(ConfigurationException, match="DOWNLOAD_SERVICE_TRUST_ENV") as caught:
        await service.read(faulty_server.add("/m", body=b"x"), max_size=1)
    assert (caught.value.setting, faulty_server.requests) == ("DOWNLOAD_SERVICE_BLOCK_PRIVATE_NETWORKS", [])
