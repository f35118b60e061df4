"""The session that requests are sent by: ours, as the settings want it, or the caller's, looked at."""

import ssl
from pathlib import Path

import aiohttp

from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.download._addresses import public_socket
from kamiwaza_sdk.services.download.config import DownloadConfig

__all__ = ["check_session", "open_session", "trusting"]


def check_session(session: aiohttp.ClientSession, config: DownloadConfig) -> None:
    """Refuse a caller's session that cannot be used, or not with these settings.

    Raises:
        ConfigurationException: It is closed, does not verify who it talks to, or connects where it must not.
    """
    if session.closed:
        raise ConfigurationException("session", "is closed; hand in an open one")
    if config.block_private_networks:
        raise _unblockable("a session handed in connects by itself")
    # aiohttp has no public way to ask. Where this attribute should go one day, a test says so.
    verification: object = getattr(session.connector, "_ssl", True)
    if verification is False or (
        isinstance(verification, ssl.SSLContext) and verification.verify_mode is not ssl.CERT_REQUIRED
    ):
        raise ConfigurationException(
            "session",
            "has a connector that takes any certificate; give it an ssl.SSLContext that trusts yours, or leave the "
            "session out and set DOWNLOAD_SERVICE_CA_FILE",
        )


def _unblockable(why: str) -> ConfigurationException:
    return ConfigurationException(
        "DOWNLOAD_SERVICE_BLOCK_PRIVATE_NETWORKS", f"cannot hold, because {why}; do without one of the two"
    )


def trusting(file: Path | None, *, strict: bool) -> ssl.SSLContext:
    """Return a context that trusts the certificates in a file besides those that OpenSSL does anyway. Reads files.

    Args:
        file: The certificates, in PEM form. `None`: no others.
        strict: Whether to be as strict as this Python is; else to let pass what RFC 5280 demands of CAs beyond need.

    Raises:
        ConfigurationException: The file cannot be read, or there is no certificate in it.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    if not strict:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if file is not None:
        _trust(context, file)
    return context


def _trust(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(file.expanduser())
    except OSError as error:  # ssl.SSLError is one
        problem = "holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else f"is {error.strerror}"
        raise ConfigurationException("DOWNLOAD_SERVICE_CA_FILE", f"{problem}; name a readable file") from error


def open_session(config: DownloadConfig, trusted: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """Return a session that carries nothing from one request to the next; how many travel is limited elsewhere.

    Args:
        config: Which addresses it connects to.
        trusted: Whose certificates count. `None`: those that OpenSSL trusts.

    Raises:
        ConfigurationException: It could not hold to that.
    """
    if config.block_private_networks and config.trust_env:
        raise _unblockable("a proxy, which DOWNLOAD_SERVICE_TRUST_ENV asks for, connects by itself")
    factory = public_socket if config.block_private_networks else None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trusted or True, socket_factory=factory),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
