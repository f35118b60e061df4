"""What an answer to a request for the rest of a file is worth."""

import re
from http import HTTPStatus
from typing import Final

import aiohttp

from kamiwaza_sdk.services.download._journal import Header

__all__ = ["StartAgain", "content_range", "continues"]

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


class StartAgain(Exception):
    """The rest cannot be had from this server, or is not of what is here."""


def content_range(response: aiohttp.ClientResponse) -> tuple[int, int, int | None] | None:
    """Return which bytes an answer says it has, the last one included, and of how many (RFC 9110, section 14.4)."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return None if match is None else (int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3]))


def continues(
    response: aiohttp.ClientResponse, header: Header, *, offset: int, etag: str | None, end: int | None = None
) -> bool:
    """Return whether the body goes on at `offset`; otherwise it is all of the file.

    A server may ignore that a part was asked for. What it may not do is to answer with another part than it says, or
    with one of another content; then nothing it sends is used.

    Args:
        response: The answer.
        header: Which content is here.
        offset: How much of it.
        etag: How this server named that content before, if it did.
        end: Where the part that was asked for ends. Default: with the file.

    Raises:
        StartAgain: It cannot give the rest (416), or what it says of it does not fit what is here.
    """
    if response.status == HTTPStatus.OK:
        return False
    same = etag is None or response.headers.get("ETag", etag) == etag
    if response.status == HTTPStatus.PARTIAL_CONTENT and same and _fits(response, header, offset=offset, end=end):
        return True
    raise StartAgain


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
