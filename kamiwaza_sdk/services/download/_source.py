"""Where the parts of one content come from."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from kamiwaza_sdk.services.download._exchange import Exchange
from kamiwaza_sdk.services.download._journal import Header
from kamiwaza_sdk.services.download._network import Network
from kamiwaza_sdk.services.download._ranges import StartAgain, continues, names_same
from kamiwaza_sdk.services.download._requests import Rest, answer

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["NoPartsException", "Source", "has_parts"]


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
