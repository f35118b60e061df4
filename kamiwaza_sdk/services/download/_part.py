"""Reading one part of a file into memory."""

import re
from http import HTTPStatus
from typing import Final

import aiohttp

from kamiwaza_sdk.services.download._exchange import Exchange, next_piece
from kamiwaza_sdk.services.download._ranges import content_range
from kamiwaza_sdk.services.download.exceptions import RangeNotSupportedException
from kamiwaza_sdk.services.download.schemas import RangeSchema

__all__ = ["read_part"]

_UNSATISFIED: Final = re.compile(r"bytes \*/([0-9]{1,19})")


async def read_part(response: aiohttp.ClientResponse, *, exchange: Exchange, offset: int, length: int) -> RangeSchema:
    """Return the bytes that were asked for, fewer where the file ends before.

    Of a server that sends the whole file instead, the first bytes are read, and the connection is given up. Behind the
    end of the file there is nothing, however a server says so: by 416, by the size that it tells, or by an empty part.

    Raises:
        RangeNotSupportedException: The answer is another part, or all of a file of which the middle was wanted.
        DownloadInterruptedException: It broke off.
        DownloadTimeoutException: Nothing arrived for as long as a stall may take.
    """
    if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _beyond_the_end(response, exchange, offset, length)
    if _ends_before(response, offset):
        return RangeSchema(offset=offset, size=_told_size(response), body=b"")
    if response.status == HTTPStatus.OK and offset:
        raise RangeNotSupportedException(
            url=exchange.url, offset=offset, length=length, reason="the server sends the whole file instead"
        )
    if response.status == HTTPStatus.OK:
        size, wanted = response.content_length, length
    else:
        size, wanted = _announced(response, exchange, offset, length)
    exchange.begin(0, min(wanted, size) if size is not None and not offset else wanted)
    body = await _first(response, exchange, wanted)
    is_whole = response.status == HTTPStatus.PARTIAL_CONTENT or size is not None
    if is_whole and len(body) != exchange.announced:
        raise exchange.interrupted("the body ended early")
    known = len(body) if size is None and response.status == HTTPStatus.OK and len(body) < length else size
    return RangeSchema(offset=offset, size=known, body=body)


def _beyond_the_end(response: aiohttp.ClientResponse, exchange: Exchange, offset: int, length: int) -> RangeSchema:
    size = _told_size(response)
    if size is not None and size > offset:
        reason = "the server answered 416 although the file has those bytes"
        raise RangeNotSupportedException(url=exchange.url, offset=offset, length=length, reason=reason)
    return RangeSchema(offset=offset, size=size, body=b"")


def _ends_before(response: aiohttp.ClientResponse, offset: int) -> bool:
    size = _told_size(response)
    return size is not None and size <= offset


def _told_size(response: aiohttp.ClientResponse) -> int | None:
    """Return the size of the file, where the server says it."""
    if response.status == HTTPStatus.OK:
        return response.content_length
    if match := _UNSATISFIED.fullmatch(response.headers.get("Content-Range", "").strip()):
        return int(match[1])
    told = content_range(response)
    return told[2] if told is not None and told[2] is not None and told[1] < told[2] else None


def _announced(
    response: aiohttp.ClientResponse, exchange: Exchange, offset: int, length: int
) -> tuple[int | None, int]:
    """Return the size of the file and how many bytes of it come, as ``Content-Range`` says."""
    told = content_range(response)
    if told is not None:
        start, last, size = told
        end = offset + length if size is None else min(offset + length, size)
        if start == offset and last == end - 1 and response.content_length in {None, end - offset}:
            return size, end - offset
    reason = "the server sends another part than the one asked for"
    raise RangeNotSupportedException(url=exchange.url, offset=offset, length=length, reason=reason)


async def _first(response: aiohttp.ClientResponse, exchange: Exchange, wanted: int) -> bytes:
    body = bytearray()
    while len(body) < wanted and (piece := await next_piece(response.content, exchange)):
        body += piece
        exchange.received = len(body)
    return bytes(body[:wanted])
