"""Moving one body from a connection into a sink."""

from functools import partial

import aiohttp
from aiohttp.http import HttpProcessingError

from kamiwaza_sdk.services.download._demands import Demands
from kamiwaza_sdk.services.download._exchange import Exchange, next_piece
from kamiwaza_sdk.services.download._sink import FileSink, Sink
from kamiwaza_sdk.services.download._swarm import Swarm
from kamiwaza_sdk.services.download._takeover import can_take_over, take_over
from kamiwaza_sdk.services.download.progress import Reporter

__all__ = ["receive"]


async def receive(
    response: aiohttp.ClientResponse,
    sink: Sink,
    *,
    exchange: Exchange,
    demands: Demands,
    reporter: Reporter,
    swarm: Swarm | None = None,
) -> None:
    """Return once the body is whole, in `sink`, and what was demanded.

    A body ends where ``Content-Length`` or the last chunk says. One that breaks off earlier is an error, always. Bytes
    beyond that end are never written, and not always noticed: measured, aiohttp reports them when they arrive in the
    same read as the end (that is an error here), and else drops them with the connection. Asking for ``Connection:
    close`` changes nothing about that and would cost a connection a file, so it is not done. A body without either
    header ends with the connection, so that only a demanded size or digest can tell whether it is whole.

    Args:
        response: The answer.
        sink: Where its body goes.
        exchange: What is known of it.
        demands: What it must be.
        reporter: Told how far it is.
        swarm: Brings a large body, where other connections may be of use.

    Raises:
        NoPartsException: They are not, and the rest is not here.
        DownloadTooLargeException: It is, or announces itself, larger than allowed.
        SizeMismatchException: It has, or announces, another length than demanded.
        ChecksumMismatchException: It has another digest than demanded.
        DownloadInterruptedException: It broke off, or is no valid HTTP.
        DownloadTimeoutException: Nothing arrived for as long as a stall may take.
        DownloadDiskException: It could not be written.
    """
    reporter.advance(exchange.received, exchange.announced)
    left = None if exchange.announced is None else exchange.announced - exchange.received
    if isinstance(sink, FileSink) and left is not None and can_take_over(response, left):
        sink.lane.end = exchange.announced
        one = partial(take_over, response, sink.lane, exchange=exchange, reporter=reporter)
        await (
            one()
            if swarm is None
            else swarm.run(sink, one, lambda: reporter.advance(exchange.received, exchange.announced))
        )
    else:
        await _stream(response, sink, exchange=exchange, demands=demands, reporter=reporter)
    sha256 = await sink.digest()
    if exchange.announced is not None and sink.size != exchange.announced:
        raise exchange.interrupted("the body broke off")
    demands.check_whole(sink.size, sha256, url=exchange.url)


async def _stream(
    response: aiohttp.ClientResponse, sink: Sink, *, exchange: Exchange, demands: Demands, reporter: Reporter
) -> None:
    protocol = response.connection.protocol if response.connection is not None else None
    while piece := await next_piece(response.content, exchange):
        exchange.received += len(piece)
        demands.check_arriving(exchange.received, url=exchange.url)
        await sink.write(piece)
        reporter.advance(exchange.received, exchange.announced)
    if protocol is not None and isinstance(protocol.exception(), HttpProcessingError):
        raise exchange.interrupted("something follows the announced end of the body")
    cut = exchange.announced is None and "Transfer-Encoding" not in response.headers
    if cut and demands.size is not None and exchange.received < demands.size:
        raise exchange.interrupted(f"the connection, and with it the body, ended before {demands.size} bytes")
