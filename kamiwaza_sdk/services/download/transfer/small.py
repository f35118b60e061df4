"""Small bodies: received and verified in memory, without a path, a lock or a thread.

What turns out to be larger, or to have a content coding, is handed over as it is: the transfer to a path goes on with
the answer that is here already.
"""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.http.client import ConnectionLimiter, Resources
from kamiwaza_sdk.services.download.http.requests import Exchange, answer, content_codings
from kamiwaza_sdk.services.download.partial.journal import sendable
from kamiwaza_sdk.services.download.progress import Reporter
from kamiwaza_sdk.services.download.schemas import Validators
from kamiwaza_sdk.services.download.transfer.acquire import ResolvedRequest
from kamiwaza_sdk.services.download.transfer.receive import MemorySink, receive
from kamiwaza_sdk.services.download.transfer.write import SLOT_SIZE

if TYPE_CHECKING:
    import aiohttp

    from kamiwaza_sdk.services.download.retries import Attempts


#: The most bytes of a body that is held in memory.
SMALL: Final = SLOT_SIZE


@dataclass(frozen=True, slots=True)
class BodyInMemory:
    """A whole body, verified; or the word that nothing has changed.

    Attributes:
        content: The bytes; `None` where the server said that the state named by the validators is the current one.
        sha256: Their digest; empty where there are none.
        fetched: How many bytes travelled, those of failed attempts too.
        validators: What to hand in next time.
        seconds: How long it took.
    """

    content: bytes | None
    sha256: str
    fetched: int
    validators: Validators
    seconds: float


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer whose body is still to be received.

    Attributes:
        response: The answer, which is 200.
        exchange: Its progress.
        connection: Closes the answer, and gives back its place in the limit of connections.
        fetched: How many bytes travelled in failed attempts before.
    """

    response: "aiohttp.ClientResponse"
    exchange: Exchange
    connection: AsyncExitStack
    fetched: int


class _HandedOver(Exception):
    """No error: it is how an attempt neither fails nor succeeds."""

    def __init__(self, begun: Begun) -> None:
        self.begun = begun


class SmallTransfer:
    """Receives one small body.

    Args:
        request: The resolved request.
        config: The settings.
        resources: The session.
        limiter: Limits the requests under way.
        reporter: Receives the progress.
        attempts: The budget of attempts.
    """

    def __init__(
        self,
        request: ResolvedRequest,
        *,
        config: DownloadConfig,
        resources: Resources,
        limiter: ConnectionLimiter,
        reporter: Reporter,
        attempts: "Attempts",
    ) -> None:
        self._request = request
        self._config = config
        self._resources = resources
        self._limiter = limiter
        self._reporter = reporter
        self._attempts = attempts
        self._began = time.monotonic()
        self._fetched = 0

    async def run(self) -> BodyInMemory | Begun:
        """Return the body, or the answer whose body is no small one.

        Raises:
            DownloadException: The transfer failed.
        """
        self._network = await self._resources.network()
        self._network.check(self._request.url, url=self._request.shown)
        try:
            return await self._attempts.run(self._attempt)
        except _HandedOver as handed_over:
            self._attempts.take_back()
            return handed_over.begun

    async def _attempt(self) -> BodyInMemory:
        exchange = Exchange(self._request.shown, self._config.connect_timeout, self._config.stall_timeout)
        begun: Begun | None = None
        await self._limiter.__aenter__()
        try:
            response = await self._answer(exchange)
            try:
                if response.status == HTTPStatus.NOT_MODIFIED:
                    return self._not_modified(response, exchange)
                exchange.begin(0, response.content_length)
                if self._is_small(exchange) and not content_codings(response):
                    return await self._received(response, exchange)
                begun = Begun(response, exchange, _held(self._limiter, response), self._fetched)
                raise _HandedOver(begun)
            finally:
                if begun is None:
                    await response.__aexit__(None, None, None)
        finally:
            if begun is None:
                self._limiter.release()

    async def _answer(self, exchange: Exchange) -> "aiohttp.ClientResponse":
        return await answer(
            self._network,
            self._request.url,
            exchange=exchange,
            validators=self._request.validators,
            coded=self._request.expectations.sha256 is not None,
        )

    def _is_small(self, exchange: Exchange) -> bool:
        """Return whether the body fits in memory. One without an announced length does if it is known otherwise."""
        size = self._request.expectations.size if exchange.announced is None else exchange.announced
        return size is not None and size <= SMALL

    async def _received(self, response: "aiohttp.ClientResponse", exchange: Exchange) -> BodyInMemory:
        expectations, sink = self._request.expectations, MemorySink()
        expectations.check_announced(exchange.announced, url=exchange.url)
        try:
            await receive(response, sink, exchange=exchange, expectations=expectations, reporter=self._reporter)
        finally:
            self._fetched += exchange.received
        self._reporter.finish(sink.size, exchange.announced)
        return self._body(sink.body(), sink.hash.hexdigest(), _validators(response))

    def _not_modified(self, response: "aiohttp.ClientResponse", exchange: Exchange) -> BodyInMemory:
        self._reporter.finish(exchange.received, exchange.announced)
        known, told = self._request.validators or Validators(), _validators(response)
        merged = Validators(
            etag=told.etag or known.etag, last_modified=told.last_modified or known.last_modified
        )  # not every server repeats them
        return self._body(None, "", merged)

    def _body(self, content: bytes | None, sha256: str, validators: Validators) -> BodyInMemory:
        return BodyInMemory(content, sha256, self._fetched, validators, time.monotonic() - self._began)


def _held(limiter: ConnectionLimiter, response: "aiohttp.ClientResponse") -> AsyncExitStack:
    """Return what closes an answer, and gives back its place: to be built for each small body, it costs too much."""
    connection = AsyncExitStack()
    connection.push_async_exit(limiter)
    connection.push_async_exit(response)
    return connection


def _validators(response: "aiohttp.ClientResponse") -> Validators:
    return Validators(
        etag=sendable(response.headers.get("ETag")), last_modified=sendable(response.headers.get("Last-Modified"))
    )
