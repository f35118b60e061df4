"""What an answer to a request for the rest of a file is worth."""

import re
from http import HTTPStatus
from typing import Final

import aiohttp

from kamiwaza_sdk.services.download._journal import Header, sendable

__all__ = ["StartAgain", "content_range", "continues", "names_same"]

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
