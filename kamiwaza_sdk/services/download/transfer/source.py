"""The source of one content: its ranges, and what a response to a range request is worth."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp

from kamiwaza_sdk.services.download.http.client import Network
from kamiwaza_sdk.services.download.http.requests import Rest, answer
from kamiwaza_sdk.services.download.http.responses import Exchange
from kamiwaza_sdk.services.download.partial.journal import Header, sendable

if TYPE_CHECKING:
    from yarl import URL


_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


class StartAgain(Exception):
    """The rest cannot be had from this server, or is not of what is here."""


def content_range(response: aiohttp.ClientResponse) -> tuple[int, int, int | None] | None:
    """Return which bytes an answer says it has, the last one included, and of how many (RFC 9110, section 14.4)."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return None if match is None else (int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3]))


def continues(response: aiohttp.ClientResponse, header: Header, *, offset: int, end: int | None = None) -> bool:
    """Return whether the body goes on at `offset`; otherwise it is all of the file.

    A server may ignore that a part was asked for. What it may not do is to answer with another part than it says; then
    nothing it sends is used. Whether it is a part of the same content is for `names_same` to tell, or for a digest.

    Args:
        response: The answer.
        header: Which content is here.
        offset: How much of it.
        end: Where the part that was asked for ends. Default: with the file.

    Raises:
        StartAgain: It cannot give the rest (416), or what it says of it does not fit what is here.
    """
    if response.status == HTTPStatus.OK:
        return False
    if response.status == HTTPStatus.PARTIAL_CONTENT and _fits(response, header, offset=offset, end=end):
        return True
    raise StartAgain


def names_same(response: aiohttp.ClientResponse, header: Header) -> bool:
    """Return whether a 206 names the content that the same server named before.

    Some servers ignore ``If-Range``, and send a part of what the file has become. So no validator may differ, and the
    strong one has to be said again: RFC 9110 (15.3.7) demands that of an ``ETag``, and allows to leave out a
    ``Last-Modified`` beside it.
    """
    etag, last_modified = (sendable(response.headers.get(name)) for name in ("ETag", "Last-Modified"))
    same = etag in {header.etag, None} and last_modified in {header.last_modified, None}
    return same and header.condition in {etag, last_modified, None}


def _fits(response: aiohttp.ClientResponse, header: Header, *, offset: int, end: int | None) -> bool:
    told = content_range(response)
    if told is None:
        return False
    start, last, total = told
    whole = header.size if total is None else total
    stop = whole if end is None else end
    return (
        start == offset
        and whole == (whole if header.size is None else header.size)
        and last + 1 == stop  # where nobody says how long it is, nobody can tell whether this is all of the rest
        and response.content_length in {None, last + 1 - start}
    )


class NoPartsException(Exception):
    """The server does not give a part, or not one of the same content."""


def has_parts(response: aiohttp.ClientResponse) -> bool:
    """Return whether a server says that it would give parts of what it gives (RFC 9110, section 14.3)."""
    units = response.headers.get("Accept-Ranges", "").lower().split(",")
    return response.status == HTTPStatus.PARTIAL_CONTENT or "bytes" in map(str.strip, units)


@dataclass(frozen=True, slots=True)
class Source:
    """One content at one URL.

    Attributes:
        network: What the requests go through.
        url: Where it is asked for.
        header: Which content it is.
        named: Whether that server named it before. Where it did not, a digest of all of it must tell.
        exchange: Its timeouts, and how far it is.
    """

    network: Network
    url: "URL"
    header: Header
    named: bool
    exchange: Exchange

    @asynccontextmanager
    async def part(self, begin: int, end: int) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Yield an answer whose body is the bytes from `begin` to before `end`.

        Raises:
            NoPartsException: It is anything else.
            DownloadException: As by `answer`.
        """
        rest = Rest(begin, self.header.condition if self.named else None, end)
        async with await answer(self.network, self.url, exchange=self.exchange, rest=rest) as response:
            try:
                given = continues(response, self.header, offset=begin, end=end)
            except StartAgain:
                given = False
            if not given or (self.named and not names_same(response, self.header)):
                raise NoPartsException
            yield response
