"""Moving one body from a connection into a sink."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp.http import HttpProcessingError
from pydantic import SecretStr

from kamiwaza_sdk.services.download._demands import Demands
from kamiwaza_sdk.services.download._sink import Sink
from kamiwaza_sdk.services.download.exceptions import DownloadInterruptedException, DownloadTimeoutException
from kamiwaza_sdk.services.download.progress import Reporter

__all__ = ["Exchange", "receive", "translated"]


@dataclass(slots=True)
class Exchange:
    """What is known of one request and its answer.

    Attributes:
        url: The URL asked for, redacted.
        connect_timeout: Seconds to get a connection.
        stall_timeout: Seconds without a byte.
        announced: Bytes of the body announced.
        received: Bytes of the body that arrived.
        tokens: Bearer tokens by host.
    """

    url: str
    connect_timeout: float
    stall_timeout: float
    announced: int | None = None
    received: int = 0
    tokens: Mapping[str, SecretStr] = field(default_factory=dict[str, SecretStr], repr=False)

    def interrupted(self, reason: str, *, retryable: bool = True) -> DownloadInterruptedException:
        """Return the error that says how far it came."""
        return DownloadInterruptedException(
            url=self.url, reason=reason, received=self.received, announced=self.announced, retryable=retryable
        )

    def timed_out(self, seconds: float, *, setting: str) -> DownloadTimeoutException:
        """Return the error that says which limit passed."""
        return DownloadTimeoutException(url=self.url, seconds=seconds, received=self.received, setting=setting)


async def receive(
    response: aiohttp.ClientResponse, sink: Sink, *, exchange: Exchange, demands: Demands, reporter: Reporter
) -> str:
    """Return the SHA-256 of the body once it is whole, in `sink`, and what was demanded.

    A body ends where ``Content-Length`` or the last chunk says. One that breaks off earlier is an error, always. Bytes
    beyond that end are never written, and not always noticed: measured, aiohttp reports them when they arrive in the
    same read as the end (that is an error here), and else drops them with the connection. Asking for ``Connection:
    close`` changes nothing about that and would cost a connection a file, so it is not done. A body without either
    header ends with the connection, so that only a demanded size or digest can tell whether it is whole.

    Raises:
        DownloadTooLargeException: It is, or announces itself, larger than allowed.
        SizeMismatchException: It has, or announces, another length than demanded.
        ChecksumMismatchException: It has another digest than demanded.
        DownloadInterruptedException: It broke off, or is no valid HTTP.
        DownloadTimeoutException: Nothing arrived for as long as a stall may take.
        DownloadDiskException: It could not be written.
    """
    exchange.announced = response.content_length
    demands.check_announced(exchange.announced, url=exchange.url)
    protocol = response.connection.protocol if response.connection is not None else None
    reporter.advance(exchange)
    while piece := await _next_piece(response.content, exchange):
        exchange.received += len(piece)
        demands.check_arriving(exchange.received, url=exchange.url)
        await sink.write(piece)
        reporter.advance(exchange)
    if protocol is not None and isinstance(protocol.exception(), HttpProcessingError):
        raise exchange.interrupted("something follows the announced end of the body")
    sha256 = await sink.digest()
    demands.check_whole(exchange.received, sha256, url=exchange.url)
    return sha256


async def _next_piece(content: aiohttp.StreamReader, exchange: Exchange) -> bytes:
    """Return some of what has arrived, as it lies in memory, without joining it; empty at the end."""
    with translated(exchange):
        try:
            # aiohttp's own timer stops without a word when somebody closes the session meanwhile.
            async with asyncio.timeout(exchange.stall_timeout):
                while True:
                    piece, end_of_chunk = await content.readchunk()
                    if piece or not end_of_chunk:
                        return piece
        except RuntimeError:  # how the stream says so itself, where it notices
            raise exchange.interrupted("the session was closed") from None


@contextmanager
def translated(exchange: Exchange) -> Generator[None]:
    """Turn what aiohttp raises into ours.

    Many of its errors repeat the URL with its secrets, so only the system's errors beneath them are chained.
    """
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise exchange.timed_out(exchange.connect_timeout, setting="connect_timeout") from None
    except TimeoutError:
        raise exchange.timed_out(exchange.stall_timeout, setting="stall_timeout") from None
    except aiohttp.ClientConnectorCertificateError as error:
        cause = error.certificate_error
        raise exchange.interrupted(f"the server's certificate is not trusted ({cause})", retryable=False) from cause
    except aiohttp.ClientConnectorError as error:
        raise exchange.interrupted(f"no connection ({error.os_error.strerror})") from error.os_error
    except aiohttp.ClientPayloadError:
        raise exchange.interrupted("the body broke off") from None
    except aiohttp.ClientResponseError:
        raise exchange.interrupted("the answer is no valid HTTP") from None
    except (aiohttp.ClientError, ConnectionError) as error:
        raise exchange.interrupted(f"the connection broke ({type(error).__name__})") from None
