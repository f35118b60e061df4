"""Runs the transfer of one file, as a state machine.

Each state is a method of `Transfer`, which returns the next state, or the result::

    ACQUIRE ──── another holds the lock ─────────────> FOLLOW ──> ACQUIRE
     │  └─────── the file is there, verified ────────> result
     │
     │ the lock is ours, and the partial file recovered (by `Acquisition`, in the same step)
     v
    REQUEST ──── the partial file is complete ───────> PUBLISH
     │ │ │ └──── 304 ────────────────────────────────> result (not modified)
     │ │ └────── 416, or a 206 of another content ───> RESTART ──> REQUEST
     │ │
     │ │ 206: goes on at the offset; 200: begins at 0
     │ v
     │ RECEIVE ─ the server gives no segments ───────> REQUEST, over one connection
     │ │   └──── the body has a content coding ──────> DECODE ──> PUBLISH
     │ v
     │ PUBLISH ──────────────────────────────────────> result
     │
     └ a retryable error, in any state from here on: BACKOFF (by `Attempts`) ──> REQUEST
       another digest than expected, once: BACKOFF ──> RESTART

RECEIVE ends by verifying the size and the digest, DECODE by verifying those of the decoded body. Whatever the end, the
lock is released, and the partial file stays only where a later transfer could go on with it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial as bind
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadTooLargeException,
    SizeMismatchException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.services.download.http.client import ConnectionLimiter, Resources
from kamiwaza_sdk.services.download.http.hosts import redact
from kamiwaza_sdk.services.download.http.requests import Exchange, Rest, answer, content_codings, header_of
from kamiwaza_sdk.services.download.partial.file import Partial
from kamiwaza_sdk.services.download.partial.journal import Header, key_of
from kamiwaza_sdk.services.download.progress import Reporter
from kamiwaza_sdk.services.download.schemas import DownloadResult, Validators
from kamiwaza_sdk.services.download.transfer.acquire import Acquisition, ExistingFile, ResolvedRequest
from kamiwaza_sdk.services.download.transfer.connections import (
    NoSegmentsException,
    ParallelReceiver,
    RestartRequired,
    SegmentSource,
    accepts_ranges,
    continues,
    names_same,
)
from kamiwaza_sdk.services.download.transfer.receive import MemorySink, receive
from kamiwaza_sdk.services.download.transfer.write import SLOT_SIZE, FileSink

if TYPE_CHECKING:
    import aiohttp

    from kamiwaza_sdk.services.download.retries import Attempts
    from kamiwaza_sdk.services.download.transfer.small import Begun


_LOG: Final = logging.getLogger("kamiwaza_sdk.download")

_T = TypeVar("_T")
_State = Callable[[], Awaitable["_State | DownloadResult"]]
#: After these errors the received bytes are of no use: they are not the expected content.
_WRONG_CONTENT: Final = (
    ChecksumMismatchException,
    SizeMismatchException,
    DownloadTooLargeException,
    UnexpectedEncodingException,
)
#: Seconds between two attempts to acquire a lock that another holds.
_FOLLOW_INTERVAL: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer whose body is still to be received.

    Attributes:
        response: The answer.
        exchange: Its progress.
        connection: Closes the answer, and gives back its place in the limit of connections.
        codings: The content codings of the body.
        header: What the answer says of the content.
        resumes: Whether the body goes on where the partial file ends.
    """

    response: "aiohttp.ClientResponse"
    exchange: Exchange
    connection: AsyncExitStack
    codings: tuple[str, ...]
    header: Header
    resumes: bool


class Transfer:
    """Brings one file to its path, or waits until another transfer has.

    Args:
        request: The resolved request.
        config: The settings.
        resources: The session and the threads.
        limiter: Limits the requests under way.
        reporter: Receives the progress.
        attempts: The budget of attempts.
        keep_partial: Called at the end of an unfinished transfer. Returns whether the partial file may stay.
        begun: An answer that is here already, of the whole content. It is closed where it cannot be gone on with.
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
        keep_partial: Callable[[], bool],
        begun: "Begun | None" = None,
    ) -> None:
        self._request = request
        self._config = config
        self._resources = resources
        self._limiter = limiter
        self._reporter = reporter
        self._attempts = attempts
        self._keep_partial = keep_partial
        self._url = request.shown
        self._key = key_of(str(request.url))
        self._acquisition = Acquisition(
            request.into, request.expectations, url=self._url, key=self._key, path=request.path, mode=resources.mode
        )
        self._began = time.monotonic()
        self._fetched = 0 if begun is None else begun.fetched
        self._begun = begun
        self._connections = config.max_connections

    async def run(self) -> DownloadResult:
        """Return when the file is at its path, verified and durable.

        Raises:
            DownloadException: The transfer failed.
        """
        self._network = await self._resources.network()
        # Also where another transfer has brought the file: it may be allowed hosts that this one is not.
        self._network.check(self._request.url, url=self._url)
        is_wrong = False
        try:
            return await _run(self._acquire)
        except _WRONG_CONTENT:
            # Bytes of an earlier transfer, which may have had other expectations, stay.
            is_wrong = self._fetched > 0
            raise
        finally:
            await self._close_begun()
            await self._leave(is_wrong=is_wrong)

    async def _acquire(self) -> _State | DownloadResult:
        found = await self._in_thread(self._acquisition.attempt)
        if found is None:
            return self._follow
        if isinstance(found, ExistingFile):
            self._reporter.reused = found.size
            self._reporter.finish(found.size, found.size)
            return self._result(found.header, found.path, size=found.size, sha256=found.sha256, reused=found.size)
        return bind(self._attempt, found)

    async def _follow(self) -> _State:
        await self._close_begun()  # another brings it
        self._reporter.advance(*await self._in_thread(self._acquisition.progress))
        await asyncio.sleep(_FOLLOW_INTERVAL)
        return self._acquire

    async def _attempt(self, partial: Partial) -> DownloadResult:
        """Run the states from REQUEST on, again after each retryable error."""
        is_right = True

        async def attempt() -> DownloadResult:
            nonlocal is_right
            start = self._request_rest if is_right and partial.resumable else self._restart
            is_right = True
            try:
                return await _run(bind(start, partial))
            except ChecksumMismatchException:
                is_right, self._connections = False, 1
                raise

        try:
            return await self._attempts.run(attempt)
        except ChecksumMismatchException as error:
            await self._in_thread(bind(partial.refuse, error.actual))
            raise

    async def _restart(self, partial: Partial) -> _State:
        if partial.offset:
            await self._in_thread(partial.restart)
        return bind(self._request_rest, partial)

    async def _request_rest(self, partial: Partial) -> _State | DownloadResult:
        if self._is_complete(partial):
            # The transfer that left it may have had another limit.
            self._request.expectations.check_announced(partial.offset, url=self._url)
            return bind(self._publish, partial, partial.publish, size=partial.offset, total=partial.offset)
        async with AsyncExitStack() as connection:
            exchange, response = await self._asked(partial, connection)
            if response.status == HTTPStatus.NOT_MODIFIED:
                return self._not_modified(response, exchange)
            try:
                resumes = await self._resumes(partial, response)
            except RestartRequired:
                self._connections = 1
                return bind(self._restart, partial)
            self._reporter.reused = partial.reused
            exchange.begin(partial.offset, response.content_length)
            # What an earlier answer said of its content holds only for an answer that goes on with it.
            header = self._header(response, size=exchange.announced, sha256=self._request.expectations.sha256)
            codings = content_codings(response)
            received = _Answer(response, exchange, connection.pop_all(), codings, header, resumes)
            return bind(self._receive, partial, received)

    async def _receive(self, partial: Partial, received: _Answer) -> _State:
        exchange, expectations = received.exchange, self._request.expectations
        if received.codings:
            expectations = expectations.of_coded_body
        async with received.connection:
            try:
                expectations.check_announced(exchange.announced, url=self._url)
                announced = exchange.announced
                if not (received.resumes or received.codings) and announced is not None and announced <= SLOT_SIZE:
                    body = MemorySink()
                    await receive(
                        received.response,
                        body,
                        exchange=exchange,
                        expectations=expectations,
                        reporter=self._reporter,
                        is_verified_later=self._reporter.callback is None,
                    )
                    publish: Callable[[], None] = bind(partial.store, body, received.header, expectations)
                else:
                    header = (partial.header if received.resumes else None) or received.header
                    async with FileSink(
                        partial,
                        buffer_size=self._config.buffer_size,
                        threads=self._resources.threads,
                        ready=lambda: partial.expect(header, exchange.announced),
                    ) as file:
                        await receive(
                            received.response,
                            file,
                            exchange=exchange,
                            expectations=expectations,
                            reporter=self._reporter,
                            parallel=self._parallel(header, received),
                        )
                    publish = partial.publish
            except NoSegmentsException:
                self._connections = 1
                return bind(self._request_rest, partial)
            finally:
                self._fetched += exchange.received - exchange.start
        if received.codings:
            return bind(self._decode, partial, received)
        return bind(
            self._publish,
            partial,
            publish,
            size=exchange.received,
            total=exchange.announced,
            answered=received.header,
        )

    async def _decode(self, partial: Partial, received: _Answer) -> _State:
        await self._in_thread(lambda: partial.decode(received.codings, self._request.expectations))
        size = partial.offset
        return bind(self._publish, partial, partial.publish, size=size, total=size, answered=received.header)

    async def _publish(
        self,
        partial: Partial,
        publish: Callable[[], None],
        *,
        size: int,
        total: int | None,
        answered: Header | None = None,
    ) -> DownloadResult:
        self._reporter.reused = partial.reused
        self._reporter.finish(size, total)
        await self._in_thread(publish)
        header = partial.header
        assert header is not None, "a published file has a header"
        if header.url != self._key:  # begun from another URL: report what this one said of the content
            header = answered or Header(url=self._key, final_url=self._url)
        return self._result(
            header, self._request.into, size=partial.offset, sha256=partial.sha256(), reused=partial.reused
        )

    def _is_complete(self, partial: Partial) -> bool:
        """Return whether only the name is missing: an earlier transfer died just before."""
        header, sha256 = partial.header, self._request.expectations.sha256
        return header is not None and partial.offset == header.size and partial.sha256() == sha256

    async def _asked(self, partial: Partial, connection: AsyncExitStack) -> "tuple[Exchange, aiohttp.ClientResponse]":
        """Return the answer that is here already, if all of the content is wanted, or else another."""
        begun = self._begun
        if begun is not None and not partial.offset:
            self._begun = None
            connection.push_async_exit(begun.connection)
            return begun.exchange, begun.response
        await self._close_begun()
        exchange = Exchange(self._url, self._config.connect_timeout, self._config.stall_timeout)
        await connection.enter_async_context(self._limiter)
        return exchange, await connection.enter_async_context(await self._answer(partial, exchange))

    async def _close_begun(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.response.close()  # what has not arrived is not waited for
            await begun.connection.aclose()

    async def _answer(self, partial: Partial, exchange: Exchange) -> "aiohttp.ClientResponse":
        header = partial.header
        condition = header.condition if header is not None and header.url == self._key else None
        return await answer(
            self._network,
            self._request.url,
            exchange=exchange,
            validators=self._request.validators,
            rest=Rest(partial.offset, condition) if partial.offset else None,
            coded=self._request.expectations.sha256 is not None,  # it verifies a decoded body
        )

    def _parallel(self, header: Header, received: _Answer) -> ParallelReceiver | None:
        """Return a receiver over several connections, where segments of another content would be recognised."""
        if self._connections == 1 or not header.provable or not accepts_ranges(received.response) or received.codings:
            return None
        source = SegmentSource(self._network, self._request.url, header, self._is_named(header), received.exchange)
        return ParallelReceiver(source, limit=self._connections, limiter=self._limiter)

    def _is_named(self, header: Header) -> bool:
        """Return whether the content has a validator of the server at our URL."""
        return header.url == self._key and bool(header.etag or header.last_modified)

    async def _resumes(self, partial: Partial, response: "aiohttp.ClientResponse") -> bool:
        """Return whether the body goes on with the partial file, which is emptied where it does not.

        Raises:
            RestartRequired: It is, or may be, of another content, and no digest would tell.
        """
        header, sha256 = partial.header, self._request.expectations.sha256
        if not partial.offset:
            return False
        if header is None or not continues(response, header, offset=partial.offset):
            await self._in_thread(partial.restart)
            return False
        if not (self._is_named(header) and names_same(response, header)):
            if sha256 is None:
                raise RestartRequired
            await self._in_thread(lambda: partial.rely_on_digest(sha256))
        return True

    def _header(self, response: "aiohttp.ClientResponse", *, size: int | None, sha256: str | None) -> Header:
        final_url = self._url if response.url == self._request.url else redact(response.url)
        return header_of(response, self._key, final_url=final_url, size=size, sha256=sha256)

    def _not_modified(self, response: "aiohttp.ClientResponse", exchange: Exchange) -> DownloadResult:
        self._reporter.finish(exchange.received, exchange.announced)
        header = self._header(response, size=None, sha256=None)
        result = self._result(header, self._request.path, size=None, sha256=None, reused=0)
        return result.model_copy(update={"validators": _merged(self._request.validators, header.validators)})

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
        """Return the result of `job`. A cancellation stops the job, and is raised once it has ended."""
        return await thread_to_its_end(job, self._acquisition.stopped.set, threads=self._resources.threads)

    async def _leave(self, *, is_wrong: bool) -> None:
        """Release the lock. If the disk refuses to clear up, that is logged: the result or error counts more."""
        if self._acquisition.left:
            return
        leave = bind(self._acquisition.leave, keep=not is_wrong and self._keep_partial())
        try:
            await thread_to_its_end(leave, threads=self._resources.threads)
        except OSError as refusal:
            _LOG.warning("Could not clear up after %s: %s", self._url, refusal)


async def _run(state: _State) -> DownloadResult:
    """Run one state after the other until one returns the result."""
    while not isinstance(reached := await state(), DownloadResult):
        state = reached
    return reached


def _merged(known: Validators | None, answered: Validators) -> Validators:
    """Return the validators after a 304: not every server repeats them."""
    if known is None:
        return answered
    return Validators(etag=answered.etag or known.etag, last_modified=answered.last_modified or known.last_modified)
