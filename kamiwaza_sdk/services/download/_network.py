"""What every request goes through: a session, and what the settings say of each hop."""

from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import aiohttp

from kamiwaza_sdk.services.download._addresses import RefusedAddressError
from kamiwaza_sdk.services.download._hosts import is_listed, is_loopback, value_for_origin
from kamiwaza_sdk.services.download._proxies import proxy_for
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import HostNotAllowedException, PrivateAddressException

if TYPE_CHECKING:
    from yarl import URL

    from kamiwaza_sdk.services.download._exchange import Exchange

__all__ = ["Network"]

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
            PrivateAddressException: Its host has no address that may be connected to.
            DownloadInterruptedException: It was the proxy.
        """
        if isinstance(error, aiohttp.ClientHttpProxyError):
            retryable = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            raise exchange.interrupted(f"the proxy answered {error.status}", retryable=retryable) from None
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            raise exchange.interrupted(f"no connection to the proxy ({error.os_error.strerror})") from error.os_error
        if isinstance(refusal := error.__cause__, RefusedAddressError):
            host = target.host or ""
            raise PrivateAddressException(url=exchange.url, host=host, address=refusal.address) from None


def _has_user(url: "URL") -> bool:
    return url.raw_user is not None or url.raw_password is not None
