"""Moving one body from a connection into a sink."""

import asyncio

import aiohttp
from aiohttp.http import HttpProcessingError

from kamiwaza_sdk.services.download._demands import Demands
from kamiwaza_sdk.services.download._exchange import Exchange, translated
from kamiwaza_sdk.services.download._sink import FileSink, Sink
from kamiwaza_sdk.services.download._takeover import can_take_over, take_over
from kamiwaza_sdk.services.download.progress import Reporter

__all__ = ["next_piece", "receive"]


async def receive(
    response: aiohttp.ClientResponse, sink: Sink, *, exchange: Exchange, demands: Demands, reporter: Reporter
) -> None:
    """Return once the body is whole, in `sink`, and what was demanded.

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
    reporter.advance(exchange.received, exchange.announced)
    left = None if exchange.announced is None else exchange.announced - exchange.received
    if isinstance(sink, FileSink) and left is not None and can_take_over(response, left):
        await take_over(response, sink, exchange=exchange, reporter=reporter)
    else:
        await _stream(response, sink, exchange=exchange, demands=demands, reporter=reporter)
    demands.check_whole(exchange.received, await sink.digest(), url=exchange.url)


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
