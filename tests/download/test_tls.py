"""Whose certificates are trusted, and that nothing makes every one of them so."""

import hashlib
import ssl
from collections.abc import Generator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from kamiwaza_sdk import ConfigurationException, DownloadConfig, DownloadInterruptedException, DownloadService
from kamiwaza_sdk.testing import FaultyServer
from tests.download.tls import ANOTHER_CERTIFICATE, CERTIFICATE, certificate, client_context, server_context


@pytest.fixture
def secure(tmp_path: Path) -> Generator[FaultyServer]:
    with FaultyServer(tls=server_context(tmp_path)) as server:
        yield server


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return certificate(tmp_path)


async def test_certificates_in_a_file_are_trusted(secure: FaultyServer, config: DownloadConfig, ca_file: Path) -> None:
    async with DownloadService(config.model_copy(update={"ca_file": ca_file})) as downloads:
        assert await downloads.read(secure.add("/m", body=b"x"), max_size=1) == b"x"


async def test_certificates_in_a_file_are_trusted_besides_those_of_openssl(
    secure: FaultyServer,
    config: DownloadConfig,
    ca_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    another = ca_file.rename(tmp_path / "of-openssl.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(another))
    own = tmp_path / "own.pem"
    own.write_text(ANOTHER_CERTIFICATE)
    async with DownloadService(config.model_copy(update={"ca_file": own})) as downloads:
        assert await downloads.read(secure.add("/m", body=b"x"), max_size=1) == b"x"


async def test_certificates_of_others_are_not(secure: FaultyServer, config: DownloadConfig, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(ANOTHER_CERTIFICATE)
    async with DownloadService(config.model_copy(update={"ca_file": other})) as downloads:
        with pytest.raises(DownloadInterruptedException, match="not trusted") as caught:
            await downloads.read(secure.add("/m", body=b"x"), max_size=1)
    assert (caught.value.retryable, secure.requests) == (False, [])


async def test_certificate_of_another_name_is_not_trusted(
    secure: FaultyServer, config: DownloadConfig, ca_file: Path
) -> None:
    url = secure.add("/m", body=b"x").replace("127.0.0.1", "localhost")
    async with DownloadService(config.model_copy(update={"ca_file": ca_file})) as downloads:
        with pytest.raises(DownloadInterruptedException, match="not trusted"):
            await downloads.read(url, max_size=1)
    assert secure.requests == []


async def test_token_goes_over_tls_and_a_redirect_takes_none_along(
    secure: FaultyServer, config: DownloadConfig, ca_file: Path
) -> None:
    other = secure.another_origin()
    url = secure.add_redirect("/r", other.add("/m", body=b"x"))
    tokens = {url.split("/")[2]: SecretStr("mine")}
    async with DownloadService(config.model_copy(update={"ca_file": ca_file, "tokens": tokens})) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert secure.requests[0].headers["authorization"] == "Bearer mine"
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        ("", "no certificate"),
        ("nonsense", "no certificate"),
        ("directory", "directory|no cert"),
    ],
)
async def test_file_that_holds_no_certificate_is_named(
    content: str | None, complaint: str, secure: FaultyServer, config: DownloadConfig, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content == "directory":
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    async with DownloadService(config.model_copy(update={"ca_file": file})) as downloads:
        with pytest.raises(ConfigurationException, match=complaint) as caught:
            await downloads.read(secure.add("/m", body=b"x"), max_size=1)
    assert caught.value.setting == "DOWNLOAD_SERVICE_CA_FILE"


def test_file_without_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOAD_SERVICE_CA_FILE", " ")
    with pytest.raises(ConfigurationException, match="^DOWNLOAD_SERVICE_CA_FILE: is empty"):
        DownloadConfig()


def unverified() -> ssl.SSLContext:
    context = client_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("verification", [False, unverified()])
async def test_session_that_takes_any_certificate_is_refused(
    verification: ssl.SSLContext | bool,
    secure: FaultyServer,
    config: DownloadConfig,
) -> None:
    url = secure.add("/m", body=b"x")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=verification)) as session:
        async with session.get(url) as response:  # this is what would happen
            assert await response.read() == b"x"
        with pytest.raises(ConfigurationException, match="takes any certificate") as caught:
            await DownloadService(config, session=session).read(url, max_size=1)
    assert (caught.value.setting, len(secure.requests)) == ("session", 1)


async def test_session_that_pins_a_certificate_is_used(secure: FaultyServer, config: DownloadConfig) -> None:
    pinned = aiohttp.Fingerprint(hashlib.sha256(ssl.PEM_cert_to_DER_cert(CERTIFICATE)).digest())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=pinned)) as session:
        assert await DownloadService(config, session=session).read(secure.add("/m", body=b"x"), max_size=1) == b"x"
