"""One file's way here: who brings it, what is here of it already, the requests, and the last step."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from kamiwaza_sdk._tasks import settled
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadTooLargeException,
    SizeMismatchException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.services.download.http.client import Network
from kamiwaza_sdk.services.download.http.coding import content_codings
from kamiwaza_sdk.services.download.http.hosts import redact
from kamiwaza_sdk.services.download.http.requests import Rest, answer, header_of
from kamiwaza_sdk.services.download.http.responses import Exchange
from kamiwaza_sdk.services.download.partial.file import Partial
from kamiwaza_sdk.services.download.partial.journal import Header, key_of
from kamiwaza_sdk.services.download.progress import Reporter
from kamiwaza_sdk.services.download.schemas import DownloadResult, Validators
from kamiwaza_sdk.services.download.transfer.acquire import Approach, Standing
from kamiwaza_sdk.services.download.transfer.connections import Swarm
from kamiwaza_sdk.services.download.transfer.expectations import Demands, Order
from kamiwaza_sdk.services.download.transfer.receive import receive
from kamiwaza_sdk.services.download.transfer.resources import Resources, Slots
from kamiwaza_sdk.services.download.transfer.source import (
    NoPartsException,
    Source,
    StartAgain,
    continues,
    has_parts,
    names_same,
)
from kamiwaza_sdk.services.download.transfer.write import SLOT_SIZE, FileSink, MemorySink

if TYPE_CHECKING:
    import aiohttp

    from kamiwaza_sdk.services.download.transfer.retries import Attempts


_LOG: Final = logging.getLogger("kamiwaza_sdk.download")

_T = TypeVar("_T")
#: Of what is not what was demanded nothing is worth keeping.
_WRONG: Final = (
    ChecksumMismatchException,
    SizeMismatchException,
    DownloadTooLargeException,
    UnexpectedEncodingException,
)
#: How long who waits for another's download sleeps before looking again, in seconds.
_LOOK: Final = 0.05


class Flight:
    """Brings one file, or waits until somebody else has.

    Args:
        order: What is asked for.
        config: The settings.
        resources: The session and the threads.
        slots: Give leave to have a request under way, or several.
        reporter: Told how far it is.
        keep_partial: Asked, at its end, whether what is unfinished is to stay, where that is worth it.
    """

    def __init__(
        self,
        order: Order,
        *,
        config: DownloadConfig,
        resources: Resources,
        slots: Slots,
        reporter: Reporter,
        keep_partial: Callable[[], bool],
    ) -> None:
        self._keep_partial = keep_partial
        self._order = order
        self._config = config
        self._resources = resources
        self._slots = slots
        self._reporter = reporter
        self._url = order.shown
        self._key = key_of(str(order.url))
        self._approach = Approach(
            order.into, order.demands, url=self._url, key=self._key, path=order.path, mode=resources.mode
        )
        self._began = time.monotonic()
        self._fetched = 0
        self._connections = config.max_connections
        self._is_wrong = False

    async def run(self, attempts: "Attempts") -> DownloadResult:
        """Return once the file stands at its path, verified and durable.

        Raises:
            DownloadException: It does not.
        """
        network = await self._resources.network()
        network.check(self._order.url, url=self._url)  # also where another has brought it, who may ask where we may not
        try:
            found = await self._approached()
            if isinstance(found, Standing):
                self._reporter.reused = found.size
                self._reporter.finish(found.size, found.size)
                return self._result(found.header, found.path, size=found.size, sha256=found.sha256, reused=found.size)
            return await self._flown(found, network, attempts)
        except _WRONG:
            if self._fetched:  # else what is here is an earlier download's, which may have demanded something else
                self._keep_partial = lambda: False
            raise
        finally:
            await self._leave()

    async def _flown(self, partial: Partial, network: Network, attempts: "Attempts") -> DownloadResult:
        try:
            return await attempts.run(lambda: self._attempt(partial, network))
        except ChecksumMismatchException as error:
            await self._in_thread(functools.partial(partial.refuse, error.actual))
            raise

    async def _approached(self) -> Standing | Partial:
        """Wait for the right to bring it, or until that is superfluous."""
        while (found := await self._in_thread(self._approach.attempt)) is None:
            self._reporter.advance(*await self._in_thread(self._approach.glance))
            await asyncio.sleep(_LOOK)
        return found

    async def _attempt(self, partial: Partial, network: Network) -> DownloadResult:
        """Ask for what is missing; for all of it where that cannot be had, or turned out to be of something else."""
        if partial.offset and (self._is_wrong or not partial.resumable):
            await self._in_thread(partial.restart)
        self._is_wrong = False
        while True:
            try:
                return await self._bring(partial, network)
            except NoPartsException:
                self._connections = 1
                continue
            except StartAgain:
                self._connections = 1
                await self._in_thread(partial.restart)
            except ChecksumMismatchException:
                self._is_wrong, self._connections = True, 1
                raise

    async def _bring(self, partial: Partial, network: Network) -> DownloadResult:
        if self._is_whole(partial):
            self._order.demands.check_announced(partial.offset, url=self._url)  # who left it may have demanded less
            return await self._published(
                partial, partial.publish, size=partial.offset, total=partial.offset, answered=None
            )
        exchange = Exchange(self._url, self._config.connect_timeout, self._config.stall_timeout)
        async with self._slots, await self._answer(network, partial, exchange) as response:
            if response.status == HTTPStatus.NOT_MODIFIED:
                return self._not_modified(response, exchange)
            answered, publish = await self._received(partial, network, exchange, response)
            codings = content_codings(response)
        if codings:
            await self._in_thread(lambda: partial.decode(codings, self._order.demands))
            exchange.received = exchange.announced = partial.offset
        return await self._published(
            partial, publish, size=exchange.received, total=exchange.announced, answered=answered
        )

    async def _published(
        self, partial: Partial, publish: Callable[[], None], *, size: int, total: int | None, answered: Header | None
    ) -> DownloadResult:
        self._reporter.reused = partial.reused
        self._reporter.finish(size, total)
        await self._in_thread(publish)
        header = self._told(partial, answered)
        return self._result(
            header, self._order.into, size=partial.offset, sha256=partial.sha256(), reused=partial.reused
        )

    def _told(self, partial: Partial, answered: Header | None) -> Header:
        """Return what our own URL said of the content; what it was begun with may have come from another."""
        header = partial.header
        assert header is not None, "what is published has one"
        if header.url == self._key:
            return header
        return answered or Header(url=self._key, final_url=self._url)

    def _is_whole(self, partial: Partial) -> bool:
        """Whether nothing is missing but the name: who brought it died just before."""
        header = partial.header
        return header is not None and partial.offset == header.size and partial.sha256() == self._order.demands.sha256

    async def _answer(self, network: Network, partial: Partial, exchange: Exchange) -> "aiohttp.ClientResponse":
        order, header = self._order, partial.header
        condition = header.condition if header is not None and header.url == self._key else None
        rest = Rest(partial.offset, condition) if partial.offset else None
        return await answer(
            network,
            order.url,
            exchange=exchange,
            validators=order.validators,
            rest=rest,
            coded=order.demands.sha256 is not None,  # which tells what to make of it
        )

    async def _received(
        self, partial: Partial, network: Network, exchange: Exchange, response: "aiohttp.ClientResponse"
    ) -> tuple[Header, Callable[[], None]]:
        """Return what was answered, and what is left to do once every byte is here, and right."""
        codings = content_codings(response)
        demands = self._order.demands.of_coded_body if codings else self._order.demands
        goes_on = partial.pieced = await self._goes_on(partial, response)
        self._reporter.reused = partial.reused
        exchange.begin(partial.offset, response.content_length)
        demands.check_announced(exchange.announced, url=self._url)
        # What an earlier answer said of its content holds only for what goes on with it, not for what begins anew.
        answered = self._said(response, size=exchange.announced, sha256=self._order.demands.sha256)
        try:
            if not (goes_on or codings) and exchange.announced is not None and exchange.announced <= SLOT_SIZE:
                body = MemorySink()
                await receive(response, body, exchange=exchange, demands=demands, reporter=self._reporter)
                return answered, functools.partial(partial.store, body, answered)
            header = (partial.header if goes_on else None) or answered
            await self._into_file(partial, network, header, exchange, response, demands=demands)
            return answered, partial.publish
        finally:
            self._fetched += exchange.received - exchange.start

    async def _into_file(
        self,
        partial: Partial,
        network: Network,
        header: Header,
        exchange: Exchange,
        response: "aiohttp.ClientResponse",
        *,
        demands: Demands,
    ) -> None:
        reporter = self._reporter
        swarm = self._swarm(network, header, exchange, response)
        try:
            async with FileSink(
                partial,
                buffer_size=self._config.buffer_size,
                threads=self._resources.threads,
                ready=lambda: partial.expect(header, exchange.announced),
            ) as file:
                await receive(response, file, exchange=exchange, demands=demands, reporter=reporter, swarm=swarm)
        finally:
            partial.pieced = partial.pieced or (swarm is not None and swarm.spread)

    def _swarm(
        self, network: Network, header: Header, exchange: Exchange, response: "aiohttp.ClientResponse"
    ) -> Swarm | None:
        """Return what can bring parts, where they are to be had, and cannot be mixed up with those of another."""
        if self._connections == 1 or not header.provable or not has_parts(response) or content_codings(response):
            return None
        source = Source(network, self._order.url, header, self._is_named(header), exchange)
        return Swarm(source, limit=self._connections, slots=self._slots)

    def _is_named(self, header: Header) -> bool:
        """Whether our own URL named the content by anything."""
        return header.url == self._key and bool(header.etag or header.last_modified)

    async def _goes_on(self, partial: Partial, response: "aiohttp.ClientResponse") -> bool:
        """Return whether an answer goes on with what is here, which is dropped where it does not.

        Raises:
            StartAgain: It is of another content, or may be, and no digest would tell.
        """
        header, sha256 = partial.header, self._order.demands.sha256
        if not partial.offset:
            return False
        if header is None or not continues(response, header, offset=partial.offset):
            await self._in_thread(partial.restart)
            return False
        if not (self._is_named(header) and names_same(response, header)):
            if sha256 is None:
                raise StartAgain
            await self._in_thread(lambda: partial.rely_on_digest(sha256))
        return True

    def _said(self, response: "aiohttp.ClientResponse", *, size: int | None, sha256: str | None) -> Header:
        final_url = self._url if response.url == self._order.url else redact(response.url)
        return header_of(response, self._key, final_url=final_url, size=size, sha256=sha256)

    def _not_modified(self, response: "aiohttp.ClientResponse", exchange: Exchange) -> DownloadResult:
        self._reporter.finish(exchange.received, exchange.announced)
        header = self._said(response, size=None, sha256=None)
        result = self._result(header, self._order.path, size=None, sha256=None, reused=0)
        return result.model_copy(update={"validators": _kept(self._order.validators, header.validators)})

    def _result(
        self, header: Header, path: Path, *, size: int | None, sha256: str | None, reused: int
    ) -> DownloadResult:
        return DownloadResult(
            url=self._url,
            final_url=header.final_url,
            path=path,
            size=size,
            sha256=sha256,
            bytes_fetched=self._fetched,
            bytes_reused=reused,
            validators=header.validators,
            filename=header.filename,
            not_modified=sha256 is None,
            seconds=time.monotonic() - self._began,
        )

    async def _in_thread(self, job: Callable[[], _T]) -> _T:
        """Return what `job` returns; when cancelled, only once it has come to its end."""
        return await self._resources.threads.run(job, on_cancel=self._approach.stopped.set)

    async def _leave(self) -> None:
        """Give back what is held, come what may. Where that is refused, the result or error there is counts more."""
        if self._approach.left:
            return
        leaving = self._resources.threads.start(lambda: self._approach.leave(keep=self._keep_partial()))
        cancelled = await settled(leaving)
        if isinstance(refusal := leaving.exception(), OSError):
            _LOG.warning("Could not clear up after %s: %s", self._url, refusal)
        if cancelled is not None:
            raise cancelled
        if not isinstance(refusal, OSError):
            leaving.result()


def _kept(known: Validators | None, said: Validators) -> Validators:
    """Return what names a state that has not changed: not every server says it again with its 304."""
    if known is None:
        return said
    return Validators(etag=said.etag or known.etag, last_modified=said.last_modified or known.last_modified)
