"""Certificates of a proxy that opens TLS: signed by a CA of one's own, without all that RFC 5280 wants."""

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kamiwaza_sdk import DownloadConfig, DownloadInterruptedException, DownloadService
from kamiwaza_sdk.testing import FaultyServer

NOW = datetime.datetime.now(datetime.UTC)


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def signed(
    key: ec.EllipticCurvePrivateKey, subject: str, public: ec.EllipticCurvePublicKey, *more: x509.ExtensionType
) -> bytes:
    builder = x509.CertificateBuilder(
        named("Own CA"),
        named(subject),
        public,
        x509.random_serial_number(),
        NOW - datetime.timedelta(1),
        NOW + datetime.timedelta(9),
    )
    for extension in more:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return tmp_path / "ca.pem"


@pytest.fixture
def proxied(tmp_path: Path, ca_file: Path) -> Iterator[FaultyServer]:
    """A server whose certificate lacks an Authority Key Identifier."""
    key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_file.write_bytes(
        signed(
            key,
            "Own CA",
            key.public_key(),
            x509.BasicConstraints(ca=True, path_length=None),
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.KeyUsage(True, False, False, False, False, True, True, False, False),
        )
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = tmp_path / "leaf.pem"
    chain.write_bytes(signed(key, "localhost", leaf_key.public_key(), names) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with FaultyServer(tls=context) as server:
        yield server


@pytest.fixture
def strict_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as strict as Python is from 3.13 on."""
    create = ssl.create_default_context

    def strict() -> ssl.SSLContext:
        context = create()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


@pytest.mark.usefixtures("strict_python")
async def test_the_error_names_the_setting_that_lets_such_certificates_pass(
    proxied: FaultyServer, config: DownloadConfig, ca_file: Path
) -> None:
    url = proxied.add("/m", body=b"x").replace("127.0.0.1", "localhost")
    own = config.model_copy(update={"ca_file": ca_file})
    async with DownloadService(own) as downloads:
        with pytest.raises(DownloadInterruptedException, match="set DOWNLOAD_SERVICE_TLS_STRICT=false"):
            await downloads.read(url, max_size=1)
    async with DownloadService(own.model_copy(update={"tls_strict": False})) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"


@pytest.mark.usefixtures("strict_python")
@pytest.mark.parametrize("wrong", ["name", "issuer"])
async def test_whom_it_talks_to_is_verified_all_the_same(
    wrong: str, proxied: FaultyServer, config: DownloadConfig, ca_file: Path
) -> None:
    url = proxied.add("/m", body=b"x")  # which is asked for by an address that is not in the certificate
    trusted = None
    if wrong == "name":
        trusted = ca_file
    else:
        url = url.replace("127.0.0.1", "localhost")
    lax = config.model_copy(update={"ca_file": trusted, "tls_strict": False})
    async with DownloadService(lax) as downloads:
        with pytest.raises(DownloadInterruptedException, match="not trusted") as refused:
            await downloads.read(url, max_size=1)
    assert ("DOWNLOAD_SERVICE_CA_FILE" in str(refused.value)) == (wrong == "issuer")
    assert proxied.requests == []
