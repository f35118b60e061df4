"""Small bodies: received and verified in memory, without a path, a lock or a thread; then written many at a time.

What turns out to be larger, or to have a content coding, is handed over as it is: the transfer to a path goes on with
the answer that is here already.
"""

import os
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk._files import sync_directory
from kamiwaza_sdk._tasks import Batches, CancelFlag, ended_by, thread_to_its_end
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import DownloadException
from kamiwaza_sdk.services.download.http.client import ConnectionLimiter, Resources
from kamiwaza_sdk.services.download.http.hosts import redact
from kamiwaza_sdk.services.download.http.requests import Exchange, answer, content_codings, filename_of, header_of
from kamiwaza_sdk.services.download.partial.file import Partial, disk_errors
from kamiwaza_sdk.services.download.partial.journal import key_of, sendable
from kamiwaza_sdk.services.download.partial.lock import PartialNames
from kamiwaza_sdk.services.download.progress import Reporter
from kamiwaza_sdk.services.download.schemas import DownloadRequest, DownloadResult, Validators
from kamiwaza_sdk.services.download.transfer.acquire import Acquisition, ExistingFile, ResolvedRequest
from kamiwaza_sdk.services.download.transfer.receive import MemorySink, receive
from kamiwaza_sdk.services.download.transfer.write import SLOT_SIZE

if TYPE_CHECKING:
    from hashlib import _Hash

    import aiohttp

    from kamiwaza_sdk.services.download.retries import Attempts


#: The most bytes of a body that is held in memory.
SMALL: Final = SLOT_SIZE


@dataclass(frozen=True, slots=True)
class BodyInMemory:
    """A whole body, verified; or the word that nothing has changed.

    Attributes:
        content: The bytes; `None` where the server said that the state named by the validators is the current one.
        hash: Their SHA-256, computed while they were in the processor's cache; `None` where there are none.
        fetched: How many bytes travelled, those of failed attempts too.
        validators: What to hand in next time.
        seconds: How long it took.
        request: What was asked for.
        response: The answer, which is closed.
    """

    content: bytes | None
    hash: "_Hash | None"
    fetched: int
    validators: Validators
    seconds: float
    request: ResolvedRequest
    response: "aiohttp.ClientResponse"

    @property
    def sha256(self) -> str:
        """Their digest; empty where there are none."""
        return "" if self.hash is None else self.hash.hexdigest()

    def result(self) -> DownloadResult:
        """Return it as the result of a download to its path, where it is or soon will be."""
        return DownloadResult(
            url=self.request.shown,
            final_url=self.final_url,
            path=self.request.path,
            size=None if self.content is None else len(self.content),
            sha256=self.sha256 or None,
            bytes_fetched=self.fetched,
            validators=self.validators,
            filename=filename_of(self.response),
            not_modified=self.content is None,
            seconds=self.seconds,
        )

    @property
    def final_url(self) -> str:
        """The URL that answered, redacted."""
        return self.request.shown if self.response.url == self.request.url else redact(self.response.url)


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
        return self._body(sink, _validators(response), response)

    def _not_modified(self, response: "aiohttp.ClientResponse", exchange: Exchange) -> BodyInMemory:
        self._reporter.finish(exchange.received, exchange.announced)
        known, told = self._request.validators or Validators(), _validators(response)
        merged = Validators(
            etag=told.etag or known.etag, last_modified=told.last_modified or known.last_modified
        )  # not every server repeats them
        return self._body(None, merged, response)

    def _body(
        self, sink: MemorySink | None, validators: Validators, response: "aiohttp.ClientResponse"
    ) -> BodyInMemory:
        content, hashed = (None, None) if sink is None else (sink.body(), sink.hash)
        seconds = time.monotonic() - self._began
        return BodyInMemory(content, hashed, self._fetched, validators, seconds, self._request, response)


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


@dataclass(slots=True)
class SmallFile:
    """A small body on its way to its path.

    Attributes:
        request: What was asked for.
        body: The body, verified; `None` once nothing more is to be written.
        result: What was written where, once it is; `None` also where another transfer holds the lock of the file.
        error: Why it could not be written.
    """

    request: ResolvedRequest
    body: BodyInMemory | None
    result: DownloadResult | None = None
    error: DownloadException | None = None


class SmallFiles:
    """Writes small bodies to their paths, many at a time.

    Each is written under the lock of its path, as any download is, and its content is durable before it has its name.
    But the directories of many names are synced together, at the end: who asked for the files is told of them only
    then.

    Args:
        resources: Lends the threads.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._stopped = CancelFlag()
        self._batches = Batches[SmallFile](self._store, threads=resources.threads)
        self._named = dict[str, list[SmallFile]]()  # by directory

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """At the end, all files are written, or have an error. After an error in this context no more get names."""
        async with ended_by(self._ended):
            try:
                yield
            except BaseException:
                self._stopped.set()
                raise

    async def put(self, body: BodyInMemory) -> SmallFile:
        """Write a body soon, and return what will say what became of it. Waits only while many wait for the disk."""
        assert body.content is not None, "there is something to write"
        file = SmallFile(body.request, body)
        await self._batches.put(file, len(body.content))
        return file

    def _store(self, files: list[SmallFile]) -> None:
        """Write all before the first is waited for. Blocks."""
        filled = list[tuple[SmallFile, Partial]]()
        try:
            for file in files:
                with _noting(file):
                    if (partial := self._filled(file)) is not None:
                        filled.append((file, partial))
            for file, partial in filled:
                with _noting(file):
                    partial.publish(sync_name=False)
                    self._published(file)
        finally:
            for _, partial in filled:
                partial.discard()  # what got no name
            for file in files:
                file.body = None  # which would be held until all files are here

    def _filled(self, file: SmallFile) -> Partial | None:
        """Acquire the lock and write, unless the file is there by now, or another transfer has the lock."""
        body, request = file.body, file.request
        assert body is not None
        assert body.content is not None
        assert body.hash is not None, "there is something to write"
        key = key_of(str(request.url))
        acquisition = Acquisition(
            request.into,
            request.expectations,
            url=request.shown,
            key=key,
            path=request.path,
            mode=self._resources.mode,
        )
        acquisition.stopped = self._stopped
        partial = acquisition.attempt()
        if isinstance(partial, ExistingFile):
            file.result = body.result()
            return None
        if partial is None:
            acquisition.leave(keep=False)
            return None
        try:
            if partial.offset:
                partial.restart()
            size = len(body.content)
            header = header_of(body.response, key, final_url=body.final_url, size=size, sha256=None)
            partial.fill(body.content, body.hash, header)
        except BaseException:
            partial.discard()
            raise
        return partial

    def _published(self, file: SmallFile) -> None:
        if file.body is not None and not self._stopped.is_set():
            file.result = file.body.result()
            self._named.setdefault(os.path.dirname(file.request.path), []).append(file)  # noqa: PTH120 - cheaper

    async def _ended(self) -> None:
        try:
            await self._batches.end()
        finally:
            await thread_to_its_end(self._settle, threads=self._resources.threads)

    def _settle(self) -> None:
        """Make the names durable; where that fails, there are none. Blocks."""
        for directory, files in self._named.items():
            try:
                sync_directory(directory)
            except OSError:
                for file in files:
                    with _noting(file), disk_errors(file.request.path, url=file.request.shown):
                        file.request.path.unlink(missing_ok=True)
                        raise


@contextmanager
def _noting(file: SmallFile) -> Iterator[None]:
    try:
        yield
    except DownloadException as error:
        file.result, file.error = None, error


def is_fresh(request: DownloadRequest) -> bool:
    """Return whether a file may be small, and nothing is here of it: neither it nor a partial file. Blocks."""
    if request.size is not None and request.size > SMALL:
        return False
    if request.sha256 is not None and os.path.lexists(request.path):
        return False
    return not os.path.lexists(PartialNames(request.path).beside(".partial"))
