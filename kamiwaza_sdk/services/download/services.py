"""The surface: `DownloadService`."""

import asyncio
import importlib
import logging
import sys
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from kamiwaza_sdk.exceptions import InvalidPathException
from kamiwaza_sdk.services.download._demands import Demands, demands
from kamiwaza_sdk.services.download._resources import Resources, settled
from kamiwaza_sdk.services.download._retries import Attempts
from kamiwaza_sdk.services.download._sink import FileSink, MemorySink
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import DownloadInterruptedException
from kamiwaza_sdk.services.download.progress import Reporter, reporting
from kamiwaza_sdk.services.download.schemas import (
    AttemptCallback,
    DownloadResult,
    ProgressCallback,
    ResponseSchema,
    Validators,
)
from kamiwaza_sdk.services.download.urls import check_url, redact

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from kamiwaza_sdk.services.download._receive import Exchange

__all__ = ["DownloadService"]

_LOG: Final = logging.getLogger("kamiwaza_sdk.download")
_T = TypeVar("_T")


class DownloadService:
    """Brings the bytes of a URL here, whole and verified.

    Inside ``async with`` one connection pool serves all calls; leaving it cancels what still runs. Without it each call
    opens and closes its own. One instance belongs to one event loop at a time.

    Args:
        config: The settings. Default: read from the environment (``DOWNLOAD_SERVICE_…``) with the first call.
        on_attempt: Told of each attempt at a file once it is over: enough for a tracer, or for metrics.
        session: Send the requests through this session, with its headers, proxy and certificates. It is never closed
            here. Timeouts, redirects and decompression follow this service's rules all the same, and nothing the
            session adds by itself follows a redirect to another origin.

    Example:
        >>> async def fetch() -> str | None:
        ...     async with DownloadService() as downloads:
        ...         result = await downloads.download("https://example.org/model.gguf", Path("model.gguf"))
        ...         return result.sha256
    """

    def __init__(
        self,
        config: DownloadConfig | None = None,
        *,
        session: "aiohttp.ClientSession | None" = None,
        on_attempt: AttemptCallback | None = None,
    ) -> None:
        self._config = config
        self._on_attempt = on_attempt
        self._given = session
        self._shared: Resources | None = None
        self._entered = 0
        self._calls: set[asyncio.Task[Any]] = set()  # Any: of whatever the calls return
        self._slots: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    async def __aenter__(self) -> Self:
        self._entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered -= 1
        if self._entered:
            return
        shared, self._shared = self._shared, None
        for call in self._calls:
            call.cancel()
        cancelled = await settled(asyncio.gather(*self._calls, return_exceptions=True))
        if shared is not None:
            await shared.__aexit__()
        if cancelled is not None:
            raise cancelled

    async def download(
        self,
        url: str,
        path: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        max_size: int | None = None,
        validators: Validators | None = None,
        progress: bool | ProgressCallback = False,
    ) -> DownloadResult:
        """Download `url` to `path`, which appears only when every byte is there, verified and durable.

        What can succeed later is tried again, from the beginning, as often and as long as `DownloadConfig` says. Memory
        is bounded by `DownloadConfig.buffer_size` and some MiB, whatever the size of the file. On any failure nothing
        stands at `path` that did not stand there before, and no partial file is left.

        Args:
            url: An http or https URL. User information in it is sent as basic authentication, to that origin only.
            path: The file to write, in a directory that exists. A file there is replaced, at the last moment.
            sha256: The digest the file must have, in hexadecimal.
            size: The number of bytes it must have.
            max_size: The largest number of bytes accepted. Default: `DownloadConfig.max_size`.
            validators: What identifies the state the caller already has. If the server says it is the current one,
                nothing is written and `DownloadResult.not_modified` is true.
            progress: `True` for a bar, or a function to be called on the event loop with each `DownloadProgress`. What
                it raises ends the download.

        Returns:
            What was written where.

        Raises:
            InvalidInputException: An argument is not acceptable (`InvalidUrlException` for the URL).
            ConfigurationException: A setting is not acceptable, or the session handed in is closed.
            MissingDependencyException: A bar was asked for and tqdm is not installed.
            DownloadStatusException: The server answered with something else.
            DownloadInterruptedException: There was no connection, or it broke.
            DownloadTimeoutException: Nothing arrived for too long.
            DownloadTooLargeException: The body is larger than allowed.
            SizeMismatchException: It has another size than `size`.
            ChecksumMismatchException: It has another digest than `sha256`.
            UnexpectedEncodingException: It is compressed although that was declined.
            DownloadDiskException: It could not be written.
        """
        config = await self._ready()
        target = check_url(url)
        if "\0" in str(path):
            raise InvalidPathException("path", "contains NUL; remove it", value=str(path))
        limit = config.max_size if max_size is None else max_size
        wanted = demands(limit=limit, size=size, sha256=sha256)
        async with reporting(progress, name=path.name) as reporter:
            return await self._owned(
                self._attempts(config, target).run(lambda: self._download(target, path, wanted, validators, reporter)),
                url=redact(target),
            )

    async def read(self, url: str, *, sha256: str | None = None, max_size: int) -> bytes:
        """Return a small body, held in memory.

        Args:
            url: An http or https URL, as for `download`.
            sha256: The digest it must have, in hexadecimal.
            max_size: The largest number of bytes accepted.

        Returns:
            The body.

        Raises:
            InvalidInputException: An argument is not acceptable (`InvalidUrlException` for the URL).
            ConfigurationException: A setting is not acceptable, or the session handed in is closed.
            DownloadStatusException: The server answered with something else.
            DownloadInterruptedException: There was no connection, or it broke.
            DownloadTimeoutException: Nothing arrived for too long.
            DownloadTooLargeException: The body is larger than allowed.
            ChecksumMismatchException: It has another digest than `sha256`.
            UnexpectedEncodingException: It is compressed although that was declined.
        """
        config = await self._ready()
        target = check_url(url)
        wanted = demands(limit=max_size, sha256=sha256)
        attempts = self._attempts(config, target)
        return await self._owned(attempts.run(lambda: self._read(target, wanted)), url=redact(target))

    async def get(self, url: str, *, max_size: int) -> ResponseSchema:
        """Return a small answer whatever its status, held in memory with its headers: for asking an API.

        What can succeed later is tried again as for `download`; once the budget is used up, its status is raised.

        Args:
            url: An http or https URL, as for `download`.
            max_size: The largest body accepted, in bytes.

        Returns:
            The answer that no redirect leads on from.

        Raises:
            InvalidInputException: An argument is not acceptable (`InvalidUrlException` for the URL).
            ConfigurationException: A setting is not acceptable, or the session handed in is closed.
            DownloadStatusException: The server answered with 408, 425, 429 or from 500 on, or redirects too often or
                to where it must not.
            DownloadInterruptedException: There was no connection, or it broke.
            DownloadTimeoutException: Nothing arrived for too long.
            DownloadTooLargeException: The body is larger than allowed.
            UnexpectedEncodingException: It is compressed although that was declined.
        """
        config = await self._ready()
        target = check_url(url)
        wanted = demands(limit=max_size)
        attempts = self._attempts(config, target)
        return await self._owned(attempts.run(lambda: self._get(target, wanted)), url=redact(target))

    def _attempts(self, config: DownloadConfig, target: "URL") -> Attempts:
        return Attempts(config, url=redact(target), on_attempt=self._on_attempt)

    async def _ready(self) -> DownloadConfig:
        """Return the settings. What reads files, once, does so off the event loop: them, and importing aiohttp."""
        if "aiohttp" not in sys.modules:
            await asyncio.to_thread(importlib.import_module, "kamiwaza_sdk.services.download._requests")
        if self._config is None:
            self._config = await asyncio.to_thread(DownloadConfig)
        return self._config

    async def _owned(self, work: Coroutine[Any, Any, _T], *, url: str) -> _T:
        """Run a call as a task of ours, which leaving the context ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise DownloadInterruptedException(url=url, reason="the service was closed") from None

    async def _download(
        self, target: "URL", path: Path, wanted: Demands, validators: Validators | None, reporter: Reporter
    ) -> DownloadResult:
        from kamiwaza_sdk.services.download._requests import result_of

        started = time.monotonic()
        async with self._resources() as resources, self._answer(resources, target, validators) as (exchange, response):
            if response.status == HTTPStatus.NOT_MODIFIED:
                sha256 = None
                reporter.finish(exchange)
            else:
                sha256 = await self._store(
                    exchange, response, path, wanted=wanted, reporter=reporter, resources=resources
                )
            result = result_of(response, exchange, path=path, sha256=sha256, seconds=time.monotonic() - started)
        _log(result)
        return result

    async def _store(
        self,
        exchange: "Exchange",
        response: "aiohttp.ClientResponse",
        path: Path,
        *,
        wanted: Demands,
        reporter: Reporter,
        resources: Resources,
    ) -> str:
        from kamiwaza_sdk.services.download._receive import receive

        async with FileSink(
            path,
            url=exchange.url,
            announced=response.content_length,
            buffer_size=(await self._ready()).buffer_size,
            executor=resources.executor,
        ) as sink:
            sha256 = await receive(response, sink, exchange=exchange, demands=wanted, reporter=reporter)
            reporter.finish(exchange)  # before publishing: should it raise, nothing stands at `path`
            await sink.publish()
        return sha256

    async def _read(self, target: "URL", wanted: Demands) -> bytes:
        from kamiwaza_sdk.services.download._receive import receive

        sink = MemorySink()
        async with self._resources() as resources, self._answer(resources, target, None) as (exchange, response):
            await receive(response, sink, exchange=exchange, demands=wanted, reporter=Reporter(None))
        return sink.body()

    async def _get(self, target: "URL", wanted: Demands) -> ResponseSchema:
        from kamiwaza_sdk.services.download._receive import receive
        from kamiwaza_sdk.services.download._requests import response_of

        sink = MemorySink()
        async with (
            self._resources() as resources,
            self._answer(resources, target, None, any_status=True) as (exchange, response),
        ):
            await receive(response, sink, exchange=exchange, demands=wanted, reporter=Reporter(None))
            return response_of(response, sink.body())

    @asynccontextmanager
    async def _answer(
        self, resources: Resources, target: "URL", validators: Validators | None, *, any_status: bool = False
    ) -> AsyncGenerator[tuple["Exchange", "aiohttp.ClientResponse"]]:
        from kamiwaza_sdk.services.download import _receive, _requests

        config = await self._ready()
        exchange = _receive.Exchange(redact(target), config.connect_timeout, config.stall_timeout, tokens=config.tokens)
        async with (
            self._slot(config.max_concurrency),
            _requests.answer(
                resources.session, target, exchange=exchange, validators=validators, any_status=any_status
            ) as response,
        ):
            yield exchange, response

    @asynccontextmanager
    async def _resources(self) -> AsyncGenerator[Resources]:
        """Yield what the context shares, or outside one what this call has to itself."""
        config = await self._ready()
        if self._entered:
            self._shared = self._shared or Resources(config, self._given)
            yield self._shared
        else:
            async with Resources(config, self._given) as resources:
                yield resources

    def _slot(self, concurrency: int) -> asyncio.Semaphore:
        """Return what bounds the number of files on the way; a semaphore belongs to one event loop."""
        loop = asyncio.get_running_loop()
        if self._slots is None or self._slots[0] is not loop:
            self._slots = loop, asyncio.Semaphore(concurrency)
        return self._slots[1]


def _log(result: DownloadResult) -> None:
    if result.not_modified:
        _LOG.info("%s is not modified", result.url)
    else:
        _LOG.info("Downloaded %s: %d bytes in %.3f s", result.url, result.bytes_fetched, result.seconds)
