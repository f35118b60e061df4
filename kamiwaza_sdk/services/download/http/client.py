"""What the calls of a service share: a session, ours or the caller's, its rules, threads, and a limit of connections.

The threads hash, write and sync. They start when they are needed, and end with the service's last call.
"""

import asyncio
import ssl
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from kamiwaza_sdk._files import NewFileMode
from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import HostNotAllowedException
from kamiwaza_sdk.services.download.http.hosts import (
    RefusedAddressError,
    is_listed,
    is_loopback,
    proxy_for,
    public_socket,
    value_for_origin,
)

if TYPE_CHECKING:
    from yarl import URL

    from kamiwaza_sdk.services.download.http.requests import Exchange


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


#: Read here, as this module is only imported off the event loop.
_AGENT: Final = f"kamiwaza-sdk/{version('kamiwaza-sdk')} {aiohttp.http.SERVER_SOFTWARE}"
#: What of a session goes along to another origin: nothing that could be a credential.
_HARMLESS: Final = frozenset({"accept", "accept-language", "user-agent"})


@dataclass(frozen=True, slots=True)
class Network:
    """A session, and what the settings say of where its requests go and what they carry.

    Attributes:
        session: Sends them.
        config: The settings.
        given: Whether the session is the caller's, with credentials of its own.
    """

    session: aiohttp.ClientSession
    config: DownloadConfig
    given: bool

    @property
    def agent(self) -> dict[str, str]:
        """What to call ourselves, where the session has no word on it."""
        session = self.session
        has_own = "User-Agent" in session.headers or "User-Agent" in session.skip_auto_headers
        return {} if has_own else {"User-Agent": _AGENT}

    def check(self, target: "URL", *, url: str) -> None:
        """Refuse a host that is not allowed.

        Args:
            target: Where the next request goes.
            url: What was asked for, redacted.

        Raises:
            HostNotAllowedException: It is not.
        """
        if self.config.allowed_hosts and not is_listed(target, self.config.allowed_hosts):
            raise HostNotAllowedException(url=url, host=target.host_port_subcomponent or "")

    def proxy(self, target: "URL") -> "URL | None":
        """Return the proxy to reach a URL by; `None` leaves that to the session.

        Raises:
            ConfigurationException: It cannot be used.
        """
        return proxy_for(target) if self.config.trust_env and not self.given else None

    def token_header(self, target: "URL") -> dict[str, str]:
        """Return what to send along to a URL whose origin has a token, and no credentials that go before it."""
        token = self._token(target)
        # With these, aiohttp refuses a second word on who asks.
        has_own = self.session.auth is not None or self.session.trust_env
        return {} if token is None or has_own else {"Authorization": token}

    def _token(self, target: "URL") -> str | None:
        """Return the token of a URL's origin. Nobody on the way reads it, and what the URL itself says goes before."""
        token = value_for_origin(target, self.config.tokens)
        if token is None or _has_user(target) or not self._is_confidential(target):
            return None
        return f"Bearer {token.get_secret_value()}"

    def _is_confidential(self, target: "URL") -> bool:
        proxied = self.given or self.config.trust_env  # or may be
        return target.scheme == "https" or (is_loopback(target.host) and not proxied)

    def middleware(self, target: "URL", *, keep: frozenset[str]) -> aiohttp.ClientMiddlewareType:
        """Return what makes a request carry the credentials of its own origin only.

        It takes the place of the session's own middlewares, and from the request all that the session added to it, what
        aiohttp finds in ``~/.netrc`` for one with ``trust_env`` included.

        Args:
            target: Where the request goes. User information in it is sent.
            keep: The names of the headers that are ours, in lower case.
        """
        dropped = {"cookie", *map(str.lower, self.session.headers)} - _HARMLESS - keep
        if not _has_user(target):
            dropped.add("authorization")
        token = self._token(target)

        async def carry(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            for name in dropped:
                request.headers.popall(name, None)
            if token is not None:
                request.headers["Authorization"] = token
            return await handler(request)

        return carry

    @staticmethod
    def explain(
        error: aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError, target: "URL", exchange: "Exchange"
    ) -> None:
        """Say what kept a request from being sent, where it was not the server.

        Raises:
            HostNotAllowedException: Its host has no address that may be connected to.
            DownloadInterruptedException: It was the proxy.
        """
        if isinstance(error, aiohttp.ClientHttpProxyError):
            retryable = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            raise exchange.interrupted(f"the proxy answered {error.status}", retryable=retryable) from None
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            raise exchange.interrupted(f"no connection to the proxy ({error.os_error.strerror})") from error.os_error
        if isinstance(refusal := error.__cause__, RefusedAddressError):
            host = target.host or ""
            raise HostNotAllowedException(url=exchange.url, host=host, address=refusal.address) from None


def _has_user(url: "URL") -> bool:
    return url.raw_user is not None or url.raw_password is not None


class Resources:
    """Opens each of them when first used; after leaving its context none is left.

    Args:
        config: How the session is made, and how many files travel at once: each needs one thread while it does, and as
            many others need one for a moment now and then.
        session: The caller's own session, used and not closed.
    """

    def __init__(self, config: DownloadConfig, session: aiohttp.ClientSession | None) -> None:
        self._config = config
        self._given = session
        self._own: aiohttp.ClientSession | None = None
        self._network: Network | None = None
        self.mode: NewFileMode = NewFileMode()
        self.threads: ThreadPoolExecutor = ThreadPoolExecutor(
            2 * config.max_concurrency + 1, thread_name_prefix="kamiwaza-download"
        )

    async def network(self) -> Network:
        """Return what requests go through.

        Raises:
            ConfigurationException: The caller's session is closed, or cannot do what the settings ask for; or the file
                of certificates cannot be used.
        """
        if self._network is not None:
            return self._network
        if self._given is not None:
            check_session(self._given, self._config)
            return Network(self._given, self._config, given=True)
        ca_file, strict = self._config.ca_file, self._config.tls_strict
        own = ca_file is not None or not strict
        trusted = await asyncio.to_thread(trusting, ca_file, strict=strict) if own else None
        if self._network is None:  # else another call was faster
            self._own = open_session(self._config, trusted)
            self._network = Network(self._own, self._config, given=False)
        return self._network

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._own is not None:
                await self._own.close()
        finally:  # also when cancelled meanwhile
            await thread_to_its_end(self.threads.shutdown)


class ConnectionLimiter:
    """A semaphore that tells how many wait, so that a transfer over several connections gives back what it borrowed.

    Args:
        count: The number of places.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def wanted(self) -> int:
        """The number of requests that wait."""
        return len(self._waiting)

    def borrow(self) -> bool:
        """Take a place if one is free, to be given back by `release`."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Give a place back, to the request that has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                turn.set_result(None)
                return
        self._free += 1

    async def __aenter__(self) -> Self:
        if not self.borrow():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._forget(turn)
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def _forget(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():  # its turn came in the same moment
            self.release()
