"""The surface: `DownloadService`."""

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._tasks import running_loop, settled
from kamiwaza_sdk._validation import check_count, check_given, revalidated_quickly, shown
from kamiwaza_sdk.exceptions import AsyncioRequiredException, InvalidInputException
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import DownloadInterruptedException
from kamiwaza_sdk.services.download.http.hosts import check_url, redact
from kamiwaza_sdk.services.download.progress import Download, Reporter, check_progress, reporting, reporting_all
from kamiwaza_sdk.services.download.retries import Attempts
from kamiwaza_sdk.services.download.schemas import (
    AttemptCallback,
    DownloadOutcome,
    DownloadRequest,
    DownloadResult,
    ProgressCallback,
    RangeSchema,
    ResponseSchema,
    Validators,
)
from kamiwaza_sdk.services.download.transfer.acquire import (
    Expectations,
    expectations,
    resolve_request,
)

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from kamiwaza_sdk.services.download.http.client import ConnectionLimiter, Resources
    from kamiwaza_sdk.services.download.transfer.small import Begun, BodyInMemory


_LOG: Final = logging.getLogger("kamiwaza_sdk.download")
#: What only who downloads has to load: aiohttp, and what is built on it.
_LATER: Final = ("transfer.transfer", "transfer.many", "transfer.small", "http.client")
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

    Raises:
        InvalidInputException: `config` is no `DownloadConfig`.

    Example:
        >>> async def fetch() -> str | None:
        ...     async with DownloadService() as downloads:
        ...         result = await downloads.download("https://example.org/model.gguf", Path("model.gguf"))
        ...         return result.sha256
    """

    _imported: ClassVar[bool] = False

    def __init__(
        self,
        config: DownloadConfig | None = None,
        *,
        session: "aiohttp.ClientSession | None" = None,
        on_attempt: AttemptCallback | None = None,
    ) -> None:
        self._config = check_given(config, DownloadConfig, field="config", way_out="write DownloadConfig(…)")
        self._on_attempt = on_attempt
        self._given = session
        self._shared: Resources | None = None
        self._entered = 0
        self._calls: set[asyncio.Task[Any]] = set()  # Any: of whatever the calls return
        self._shared_limiter: tuple[asyncio.AbstractEventLoop, ConnectionLimiter] | None = None

    async def __aenter__(self) -> Self:
        running_loop()
        self._entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered -= 1
        if self._entered:
            return
        shared, self._shared = self._shared, None
        # What was started a moment ago has yet to run up to where it is one of our calls.
        cancelled = await settled(asyncio.ensure_future(asyncio.sleep(0)))
        for call in self._calls:
            call.cancel()
        cancelled = await settled(asyncio.gather(*self._calls, return_exceptions=True)) or cancelled
        if shared is not None:
            await shared.__aexit__()
        if cancelled is not None:
            raise cancelled

    async def download(
        self,
        url: str,
        path: str | os.PathLike[str],
        *,
        sha256: str | None = None,
        size: int | None = None,
        max_size: int | None = None,
        validators: Validators | None = None,
        progress: bool | ProgressCallback = False,
    ) -> DownloadResult:
        """Download `url` to `path`, which appears only when every byte is there, verified and durable.

        What can succeed later is tried again as often and as long as `DownloadConfig` says. Memory is bounded by
        `DownloadConfig.buffer_size` and some MiB, whatever the size of the file. On any failure nothing stands at
        `path` that did not stand there before.

        What has arrived stays beside `path`, hidden, when this call fails, is cancelled, or dies, if more can be added
        to it so that two contents are never mixed: where `sha256` is given, or the server names the content by a strong
        validator. The next download to `path` of the same goes on from there. A file at `path` that has the digest
        `sha256` already is the result, and nothing travels. When several ask for the same at once, in whatever tasks,
        threads or processes, one brings it, and the others wait.

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
            InvalidInputException: An argument is not acceptable.
            ConfigurationException: A setting is not acceptable, or the session handed in is closed or does not fit it.
            MissingDependencyException: A bar was asked for and tqdm is not installed.
            DownloadStatusException: The server answered with something else.
            DownloadInterruptedException: There was no connection, or it broke.
            DownloadTimeoutException: Nothing arrived for too long.
            HostNotAllowedException: It is at, or leads to, a host that is not allowed, or an address that is not public
                where only those are allowed.
            DownloadTooLargeException: The body is larger than allowed.
            SizeMismatchException: It has another size than `size`.
            ChecksumMismatchException: It has another digest than `sha256`, twice.
            UnexpectedEncodingException: It is compressed although that was declined.
            DownloadDiskException: It could not be written.
        """
        check_progress(progress)
        request = DownloadRequest(
            url=url,
            path=path,  # type: ignore[arg-type]  # what it is made of is checked there
            sha256=sha256,
            size=size,
            max_size=max_size,
            validators=validators,
        )
        return await self._owned(self._bring(request, progress=progress), url=redact_text(request.url))

    def start(
        self,
        url: str,
        path: str | os.PathLike[str],
        *,
        sha256: str | None = None,
        size: int | None = None,
        max_size: int | None = None,
        validators: Validators | None = None,
    ) -> Download:
        """Begin a download, and return at once what to follow, await or cancel it by.

        It runs until it is over, or until the context of this service is left. What `download` raises, awaiting it
        raises.

        Args:
            url: As for `download`.
            path: As for `download`.
            sha256: As for `download`.
            size: As for `download`.
            max_size: As for `download`.
            validators: As for `download`.

        Raises:
            InvalidInputException: An argument is of a wrong kind.
        """
        request = DownloadRequest(
            url=url,
            path=path,  # type: ignore[arg-type]  # what it is made of is checked there
            sha256=sha256,
            size=size,
            max_size=max_size,
            validators=validators,
        )
        shown = redact_text(request.url)

        async def bring(report: ProgressCallback, keep_partial: Callable[[], bool]) -> DownloadResult:
            return await self._owned(self._bring(request, progress=report, keep_partial=keep_partial), url=shown)

        return Download(bring, url=shown, path=request.path)

    async def download_many(
        self,
        requests: Iterable[DownloadRequest],
        *,
        all_or_nothing: bool = False,
        progress: bool | ProgressCallback = False,
    ) -> list[DownloadOutcome]:
        """Download many files, `DownloadConfig.max_concurrency` at once, the largest first.

        Files of unknown size come before the others, as they may be large. All go through one session. Files of up to
        1 MiB are written many at a time, and all names are durable when this returns. Two processes that ask for the
        same small file at the same time may both transfer it.

        Args:
            requests: The files. No two may have the same path.
            all_or_nothing: Raise the first error and end the others. No file gets its name before all are here and
                verified. (They get their names one after the other: a crash in that moment leaves some without. Who
                cancels in that moment waits until all have theirs.)
            progress: `True` for a bar of all and one of each large file, or a function to be called with the
                `DownloadProgress` of each file. What it raises ends them all.

        Returns:
            What became of each, in the order of `requests`: errors too, unless it is all or nothing.

        Raises:
            InvalidInputException: Two requests have the same path.
            ConfigurationException: As by `download`.
            MissingDependencyException: Bars were asked for and tqdm is not installed.
            DownloadException: One failed, and it was to be all or nothing.
        """
        asked = _checked(requests)
        check_progress(progress)
        bringing = self._bring_many(asked, all_or_nothing=all_or_nothing, progress=progress)
        return await self._owned(bringing, url=_first(asked))

    async def _bring_many(
        self, asked: list[DownloadRequest], *, all_or_nothing: bool, progress: bool | ProgressCallback
    ) -> list[DownloadOutcome]:
        config = await self._ready()
        from kamiwaza_sdk.services.download.transfer.many import Many, refuse_twice
        from kamiwaza_sdk.services.download.transfer.small import SmallFiles

        asked = await _placed(asked)
        await asyncio.to_thread(refuse_twice, asked)
        async with reporting_all(progress, asked) as progress_of, self._resources() as resources:

            def bring(request: DownloadRequest, into: Path) -> Awaitable[DownloadResult]:
                return self._transfer(request, into, resources, progress=progress_of(request))

            def bring_small(request: DownloadRequest) -> "Awaitable[BodyInMemory | DownloadResult]":
                report = progress_of(request)
                return self._small_or(request, progress=report, larger=lambda begun: begun(request.path), to=resources)

            many = Many(asked, bring, concurrency=config.max_concurrency)
            if all_or_nothing:
                return await many.all_or_nothing()
            return await many.one_by_one(bring_small, SmallFiles(resources))

    async def read(self, url: str, *, sha256: str | None = None, max_size: int) -> bytes:
        """Return a small body, held in memory.

        Args:
            url: An http or https URL, as for `download`.
            sha256: The digest it must have, in hexadecimal.
            max_size: The largest number of bytes accepted.

        Returns:
            The body.

        Raises:
            InvalidInputException: An argument is not acceptable.
            ConfigurationException: A setting is not acceptable, or the session handed in is closed or does not fit it.
            DownloadStatusException: The server answered with something else.
            DownloadInterruptedException: There was no connection, or it broke.
            DownloadTimeoutException: Nothing arrived for too long.
            HostNotAllowedException: It is at, or leads to, a host that is not allowed, or an address that is not public
                where only those are allowed.
            DownloadTooLargeException: The body is larger than allowed.
            ChecksumMismatchException: It has another digest than `sha256`, twice.
            UnexpectedEncodingException: It is compressed although that was declined.
        """
        return (await self._small(url, expectations(limit=max_size, sha256=sha256), any_status=False)).body

    async def get(self, url: str, *, max_size: int) -> ResponseSchema:
        """Return a small answer whatever its status, held in memory with its headers: for asking an API.

        What can succeed later is tried again as for `download`; once the budget is used up, its status is raised.

        Args:
            url: An http or https URL, as for `download`.
            max_size: The largest body accepted, in bytes.

        Returns:
            The answer that no redirect leads on from.

        Raises:
            InvalidInputException: An argument is not acceptable.
            ConfigurationException: A setting is not acceptable, or the session handed in is closed or does not fit it.
            DownloadStatusException: The server answered with 408, 425, 429 or from 500 on, or redirects too often or
                to where it must not.
            DownloadInterruptedException: There was no connection, or it broke.
            DownloadTimeoutException: Nothing arrived for too long.
            HostNotAllowedException: It is at, or leads to, a host that is not allowed, or an address that is not public
                where only those are allowed.
            DownloadTooLargeException: The body is larger than allowed.
            UnexpectedEncodingException: It is compressed although that was declined.
        """
        return await self._small(url, expectations(limit=max_size), any_status=True)

    async def read_range(self, url: str, *, offset: int, length: int) -> RangeSchema:
        """Return a part of a file, held in memory: for looking into it before it is downloaded.

        Of a server that knows no ranges the first bytes can still be had: reading stops after them.

        Args:
            url: An http or https URL, as for `download`.
            offset: Where the part begins, in bytes.
            length: How many bytes it has, 1 or more. Where the file ends before, fewer are returned.

        Returns:
            The bytes, how many the file has, and what the server calls it. Behind the end of the file there are none.

        Raises:
            InvalidInputException: An argument is not acceptable.
            ConfigurationException: A setting is not acceptable, or the session handed in is closed or does not fit it.
            RangeNotSupportedException: The server sends something else than this part.
            DownloadStatusException: The server answered with something else.
            DownloadInterruptedException: There was no connection, or it broke.
            DownloadTimeoutException: Nothing arrived for too long.
            HostNotAllowedException: It is at, or leads to, a host that is not allowed, or an address that is not public
                where only those are allowed.
            UnexpectedEncodingException: It is compressed although that was declined.

        Example:
            >>> part = asyncio.run(DownloadService().read_range(url, offset=0, length=4))
            >>> part.body, part.size
            (b'weig', 7)
        """
        check_count(offset, field="offset")
        check_count(length, field="length", least=1)
        config = await self._ready()
        target = check_url(url)
        attempts = Attempts(config, url=redact(target), on_attempt=self._on_attempt)
        return await self._owned(attempts.run(lambda: self._part(target, offset, length)), url=redact(target))

    async def _part(self, target: "URL", offset: int, length: int) -> RangeSchema:
        from kamiwaza_sdk.services.download.http.requests import Exchange, Rest, answer, filename_of
        from kamiwaza_sdk.services.download.transfer.receive import read_part

        config = await self._ready()
        exchange = Exchange(redact(target), config.connect_timeout, config.stall_timeout)
        rest = Rest(offset, None, offset + length)
        async with (
            self._resources() as resources,
            self._limiter(config.max_concurrency),
            await answer(await resources.network(), target, exchange=exchange, rest=rest) as response,
        ):
            part = await read_part(response, exchange=exchange, offset=offset, length=length)
            return part.model_copy(update={"filename": filename_of(response)})

    async def _small(self, url: str, wanted: Expectations, *, any_status: bool) -> ResponseSchema:
        await self._ready()
        target = check_url(url)
        return await self._owned(self._ask(target, wanted, any_status=any_status), url=redact(target))

    async def _ask(self, target: "URL", wanted: Expectations, *, any_status: bool) -> ResponseSchema:
        config = await self._ready()
        attempts = Attempts(config, url=redact(target), on_attempt=self._on_attempt)
        return await attempts.run(lambda: self._read(target, wanted, any_status=any_status))

    async def _bring(
        self,
        request: DownloadRequest,
        *,
        progress: bool | ProgressCallback,
        keep_partial: Callable[[], bool] = lambda: True,
    ) -> DownloadResult:
        await self._ready()
        (request,) = await _placed([request])
        async with self._resources() as resources:
            return await self._transfer(request, request.path, resources, progress=progress, keep_partial=keep_partial)

    async def _transfer(
        self,
        request: DownloadRequest,
        into: Path,
        resources: "Resources",
        *,
        progress: bool | ProgressCallback,
        keep_partial: Callable[[], bool] = lambda: True,
        attempts: Attempts | None = None,
        begun: "Begun | None" = None,
    ) -> DownloadResult:
        from kamiwaza_sdk.services.download.transfer.transfer import Transfer

        config = await self._ready()
        resolved = resolve_request(request, into, max_size=config.max_size)
        async with reporting(progress, resolved.shown, resolved.path) as reporter:
            transfer = Transfer(
                resolved,
                config=config,
                resources=resources,
                limiter=self._limiter(config.max_concurrency),
                reporter=reporter,
                attempts=attempts or Attempts(config, url=resolved.shown, on_attempt=self._on_attempt),
                keep_partial=keep_partial,
                begun=begun,
            )
            result = await transfer.run()
        _log(result)
        return result

    async def _small_or(
        self,
        request: DownloadRequest,
        *,
        progress: bool | ProgressCallback,
        larger: "Callable[[Callable[[Path], Awaitable[DownloadResult]]], Awaitable[_T]]",
        to: "Resources | None" = None,
    ) -> "BodyInMemory | _T":
        """Return a body of at most 1 MiB, verified in memory, or what `larger` makes of one that is not.

        What is larger, or is coded, is a matter of `larger`, which is given what brings it to a path: the answer that
        is here already is gone on with. A digest that is wrong is asked for once more, as by `download`. Who calls this
        does so within a call of ours (`_owned`), one for however many bodies.

        Args:
            request: What is asked for.
            progress: As `download` takes it.
            larger: What to do with a larger one.
            to: The session and the threads. Default: as for any call.
        """
        from kamiwaza_sdk.services.download.transfer.small import BodyInMemory, SmallTransfer

        config = await self._ready()
        resolved = resolve_request(request, request.path, max_size=config.max_size)
        attempts = Attempts(config, url=resolved.shown, on_attempt=self._on_attempt)
        async with nullcontext(to) if to is not None else self._resources() as resources:
            async with reporting(progress, resolved.shown, request.path) as reporter:
                small = await SmallTransfer(
                    resolved,
                    config=config,
                    resources=resources,
                    limiter=self._limiter(config.max_concurrency),
                    reporter=reporter,
                    attempts=attempts,
                ).run()
            if isinstance(small, BodyInMemory):
                _log_small(resolved.shown, small)
                return small

            def bring(into: Path) -> Awaitable[DownloadResult]:
                placed = request.model_copy(update={"path": into})
                return self._transfer(placed, into, resources, progress=progress, attempts=attempts, begun=small)

            try:
                return await larger(bring)
            finally:
                await small.connection.aclose()  # unless the transfer has it

    async def _read(self, target: "URL", wanted: Expectations, *, any_status: bool) -> ResponseSchema:
        from kamiwaza_sdk.services.download.http.coding import decoded_body
        from kamiwaza_sdk.services.download.http.requests import Exchange, answer, content_codings, response_of
        from kamiwaza_sdk.services.download.transfer.receive import MemorySink, receive

        config = await self._ready()
        sink, shown = MemorySink(), redact(target)
        exchange = Exchange(shown, config.connect_timeout, config.stall_timeout)
        async with (
            self._resources() as resources,
            self._limiter(config.max_concurrency),
            await answer(
                await resources.network(),
                target,
                exchange=exchange,
                any_status=any_status,
                coded=wanted.sha256 is not None,
            ) as response,
        ):
            codings = content_codings(response)
            expectations = wanted.of_coded_body if codings else wanted
            exchange.begin(0, response.content_length)
            expectations.check_announced(exchange.announced, url=shown)
            await receive(
                response,
                sink,
                exchange=exchange,
                expectations=expectations,
                reporter=Reporter(None, url=shown, path=Path()),
            )
            body = sink.body()
            if codings:
                body = await asyncio.to_thread(decoded_body, body, codings, wanted, url=shown)
            return response_of(response, body)

    async def _ready(self) -> DownloadConfig:
        """Return the settings. What reads files, once, does so off the event loop: them, and importing aiohttp."""
        running_loop()
        if not DownloadService._imported:  # sys.modules has what another thread is still importing, too
            await asyncio.to_thread(load)
            DownloadService._imported = True
        if self._config is None:
            self._config = await asyncio.to_thread(DownloadConfig)
        return self._config

    async def _owned(self, work: Coroutine[Any, Any, _T], *, url: str) -> _T:
        """Run a call as a task of ours, which leaving the context ends."""
        try:
            task = running_loop().create_task(work)
        except AsyncioRequiredException:
            work.close()
            raise
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise DownloadInterruptedException(url=url, reason="the service was closed") from None

    @asynccontextmanager
    async def _resources(self) -> "AsyncGenerator[Resources]":
        """Yield what the context shares, or outside one what this call has to itself."""
        config = await self._ready()
        from kamiwaza_sdk.services.download.http.client import Resources

        if self._entered:
            self._shared = self._shared or Resources(config, self._given)
            yield self._shared
        else:
            async with Resources(config, self._given) as resources:
                yield resources

    def _limiter(self, concurrency: int) -> "ConnectionLimiter":
        """Return what bounds the number of requests on the way; it belongs to one event loop."""
        from kamiwaza_sdk.services.download.http.client import ConnectionLimiter

        loop = asyncio.get_running_loop()
        if self._shared_limiter is None or self._shared_limiter[0] is not loop:
            self._shared_limiter = loop, ConnectionLimiter(concurrency)
        return self._shared_limiter[1]


def _checked(requests: object) -> list[DownloadRequest]:
    way_out = "give a list of DownloadRequest(url=…, path=…)"
    if isinstance(requests, DownloadRequest | str) or not isinstance(requests, Iterable):
        raise InvalidInputException("requests", f"is {shown(requests)}; {way_out}")
    asked = list(requests)
    for request in asked:
        if not isinstance(request, DownloadRequest):
            raise InvalidInputException("requests", f"holds {shown(request)}; {way_out}")
    return [revalidated_quickly(request, DownloadRequest, "requests") for request in asked]


def load() -> None:
    """Import what the first call needs. Reads files."""
    for name in _LATER:
        importlib.import_module(f"kamiwaza_sdk.services.download.{name}")


async def _placed(requests: list[DownloadRequest]) -> list[DownloadRequest]:
    """Return them with paths that stay what they are if the process goes to another directory meanwhile."""
    if all(request.path.is_absolute() for request in requests):
        return requests
    here = await asyncio.to_thread(Path.cwd)
    return [request.model_copy(update={"path": here / request.path}) for request in requests]


def _first(requests: list[DownloadRequest]) -> str:
    return redact_text(requests[0].url) if requests else ""


def _log(result: DownloadResult) -> None:
    if result.not_modified:
        _LOG.info("%s is not modified", result.url)
    else:
        _LOG.info(
            "Downloaded %s: %d bytes in %.3f s, %d of them were here",
            result.url,
            result.size,
            result.seconds,
            result.bytes_reused,
        )


def _log_small(url: str, body: "BodyInMemory") -> None:
    if body.content is None:
        _LOG.info("%s is not modified", url)
    else:
        _LOG.info("Downloaded %s: %d bytes in %.3f s", url, len(body.content), body.seconds)
