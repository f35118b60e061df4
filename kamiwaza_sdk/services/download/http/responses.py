"""One request and its answer, as errors and reports tell of it."""

import asyncio
from dataclasses import dataclass
from typing import Final, NoReturn

import aiohttp

from kamiwaza_sdk.services.download.exceptions import (
    DownloadException,
    DownloadInterruptedException,
    DownloadTimeoutException,
)

#: What OpenSSL finds wrong only where it is told to be strict: from X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA (80) to
#: X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3 (93).
_AGAINST_RFC_5280: Final = frozenset(range(80, 94))
#: X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT (18) and the three after it.
_UNKNOWN_ISSUER: Final = frozenset(range(18, 22))


@dataclass(slots=True)
class Exchange:
    """What is known of one request and its answer.

    Attributes:
        url: The URL asked for, redacted.
        connect_timeout: Seconds to get a connection.
        stall_timeout: Seconds without a byte.
        start: Bytes of the file that were here before.
        announced: Bytes of the file, as far as announced.
        received: Bytes of the file that are here.
    """

    url: str
    connect_timeout: float
    stall_timeout: float
    start: int = 0
    announced: int | None = None
    received: int = 0

    def begin(self, start: int, length: int | None) -> None:
        """Set out from `start`, with that many bytes announced."""
        self.start = self.received = start
        self.announced = None if length is None else start + length

    def interrupted(self, reason: str, *, retryable: bool = True) -> DownloadInterruptedException:
        """Return the error that says how far it came."""
        return DownloadInterruptedException(
            url=self.url, reason=reason, received=self.received, announced=self.announced, retryable=retryable
        )

    def timed_out(self, seconds: float, *, setting: str) -> DownloadTimeoutException:
        """Return the error that says which limit passed."""
        return DownloadTimeoutException(url=self.url, seconds=seconds, received=self.received, setting=setting)


class translated:  # noqa: N801 - reads as what it does
    """Turns what aiohttp raises into ours, as a context.

    Many of its errors repeat the URL with its secrets, so only the system's errors beneath them are chained.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # Some of ours are a ConnectionError, too, and say already what happened.
        if isinstance(error, DownloadException):
            _forget_context(error)
        elif isinstance(error, aiohttp.ClientError | TimeoutError | ConnectionError):
            try:
                _translate(error, self._exchange)
            except DownloadException as ours:
                _forget_context(ours)
                raise


def _forget_context(error: DownloadException) -> None:
    """Let go of what is not to be shown: aiohttp's errors hold the request, with its URL and its credentials."""
    if error.__suppress_context__:
        error.__context__ = None


def _translate(error: Exception, exchange: Exchange) -> NoReturn:
    match error:
        case aiohttp.ConnectionTimeoutError():
            raise exchange.timed_out(exchange.connect_timeout, setting="connect_timeout") from None
        case TimeoutError():
            raise exchange.timed_out(exchange.stall_timeout, setting="stall_timeout") from None
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            reason = f"the server's certificate is not trusted ({cause}{_way_out(cause)})"
            raise exchange.interrupted(reason, retryable=False) from cause
        case aiohttp.ClientConnectorError(os_error=cause):
            raise exchange.interrupted(f"no connection ({cause.strerror})") from cause
        case aiohttp.ClientPayloadError():
            raise exchange.interrupted("the body broke off") from None
        case aiohttp.ClientResponseError():
            raise exchange.interrupted("the answer is no valid HTTP") from None
        case _:
            raise exchange.interrupted(f"the connection broke ({type(error).__name__})") from None


def _way_out(error: Exception) -> str:
    """Return which setting is for such a certificate, if there is one."""
    code: object = getattr(error, "verify_code", None)
    if code in _AGAINST_RFC_5280:
        return "; for a CA of your own that leaves this out, set DOWNLOAD_SERVICE_TLS_STRICT=false"
    if code in _UNKNOWN_ISSUER:
        return "; for a CA of your own, name its certificate in DOWNLOAD_SERVICE_CA_FILE"
    return ""


async def next_piece(content: aiohttp.StreamReader, exchange: Exchange) -> bytes:
    """Return some of what has arrived, as it lies in memory, without joining it; empty at the end."""
    with translated(exchange):
        if content.is_eof():  # all has arrived: there is nothing to wait for
            return content.read_nowait()
        try:
            # aiohttp's own timer stops without a word when somebody closes the session meanwhile.
            async with asyncio.timeout(exchange.stall_timeout):
                while True:
                    piece, end_of_chunk = await content.readchunk()
                    if piece or not end_of_chunk:
                        return piece
        except RuntimeError:  # how the stream says so itself, where it notices
            raise exchange.interrupted("the session was closed") from None
