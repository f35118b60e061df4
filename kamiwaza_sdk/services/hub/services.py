"""`HubService` and `fetch`: from a source to verified files in the store, without a database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TypeVar

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download.schemas import Validators
from kamiwaza_sdk.services.hub._details import with_details
from kamiwaza_sdk.services.hub._git import check_git_blob
from kamiwaza_sdk.services.hub._kept import Kept, KeptFiles
from kamiwaza_sdk.services.hub._planning import Question, make_plan
from kamiwaza_sdk.services.hub._search import RepositorySort, check_search, find
from kamiwaza_sdk.services.hub._streaming import open_stream, written
from kamiwaza_sdk.services.hub._wanted import Wanted
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import (
    OfflineException,
    PolicyViolationException,
    RepositoryGatedException,
    SourceTooLargeException,
)
from kamiwaza_sdk.services.hub.schemas.fetched import Fetched, FetchedFile
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
from kamiwaza_sdk.services.hub.schemas.policy import Policy
from kamiwaza_sdk.services.hub.schemas.repository import RepositorySchema
from kamiwaza_sdk.services.hub.sources import Source
from kamiwaza_sdk.services.hub.sources.context import SourceContext
from kamiwaza_sdk.services.hub.sources.local import check_inside
from kamiwaza_sdk.services.storage.exceptions import raise_as_storage_error
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.config import DownloadConfig
    from kamiwaza_sdk.services.download.schemas import DownloadResult, ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.storage.schemas import BlobSchema

__all__ = ["HubService", "RepositorySort", "Source", "fetch", "search"]

#: How many files are staged at once; how many of them travel is the download service's to say.
_MAX_STAGED: Final = 32
_REFUSED: Final = frozenset({401, 403})

_T = TypeVar("_T")


async def fetch(
    source: Source,
    *,
    sha256: str | Mapping[str, str] | None = None,
    allow: str | Iterable[str] | None = None,
    ignore: str | Iterable[str] | None = None,
    max_size: int | None = None,
    progress: "bool | ProgressCallback" = False,
) -> Fetched:
    """Bring a source's files into the store, verified. Uses no database: give the result to `ModelService.register`.

    A file whose digest is known and kept is not requested again. One that was fetched before from a server that names
    its content (``ETag``, ``Last-Modified``) costs one conditional request. Any other travels again, and is kept once.

    Args:
        source: An address, such as ``https://…``, ``hf://org/repo@revision`` or ``file://…``; several of http or https;
            a file or directory on this machine; or a `ManifestSchema` or a `PlanSchema`, of which just the files are
            fetched that it names. Files of several URLs are named from the directory that all URLs lie in, or, from
            several hosts, each by its last segment.
        sha256: The digest that the file must have; for several files a mapping from path to digest.
        allow: Fetch only files whose path matches a pattern, or one of several: ``*.safetensors``. ``*`` matches ``/``
            too, and what ends with ``/`` names all below it, as in ``huggingface_hub``.
        ignore: Leave out files whose path matches a pattern, or one of several.
        max_size: The most bytes to accept, all files together; 0 accepts empty files only. Default: no limit for local
            files, and ``DOWNLOAD_SERVICE_MAX_SIZE`` for each file that travels.
        progress: `True` for a progress bar a file (extra ``notebook``), or what to call with `DownloadProgress`.

    Returns:
        The files, the bytes that travelled, a name that the source suggests, and what the files say of the model.

    Raises:
        InvalidSourceException: The source is empty, missing, or leads out of itself, or nothing of it is wanted.
        SourceEntryPointException: The package that is to bring such sources does not.
        HubException: The hub does not bring it: see its leaves.
        InvalidUrlException: It is a URL, but none that can be fetched.
        InvalidPathException: A file has a path that cannot stand in a model.
        InvalidInputException: An argument is of a wrong kind, or `sha256` does not fit the files.
        SourceTooLargeException: The files have over `max_size` bytes together.
        PolicyViolationException: It is a plan that a policy has something against.
        DownloadTooLargeException: One file that travels has more bytes than `max_size` leaves for it.
        DownloadException: A file did not arrive whole.
        StorageException: A file could not be kept.
        ConfigurationException: A setting is unknown, or its value cannot be used.
        MissingDependencyException: A progress bar was asked for, and tqdm is not installed.

    Example:
        >>> fetched = asyncio.run(fetch(directory / "model.onnx"))
        >>> [(file.path, file.size) for file in fetched.files]
        [('model.onnx', 7)]
    """
    return await HubService().fetch(
        source, sha256=sha256, allow=allow, ignore=ignore, max_size=max_size, progress=progress
    )


def search(
    query: str | None = None,
    *,
    hub: str | None = None,
    task: str | None = None,
    author: str | None = None,
    sort: RepositorySort | None = None,
    limit: int | None = None,
) -> AsyncIterator[RepositorySchema]:
    """Yield the models of a Hugging-Face-compatible hub that are found, page by page, each when it is needed.

    Everything said of `HubService.search` holds.

    Args:
        query: Words of the name.
        hub: The hub's address. Default: ``HUB_SERVICE_HF_ENDPOINT``. Another one gets no token.
        task: Such as ``text-generation``.
        author: The organisation or user that they belong to.
        sort: By what, the greatest first. Default: the hub's own order.
        limit: How many to yield at most. Default: all.

    Returns:
        What ``async for`` goes through.

    Raises:
        ServiceException: Whatever the method raises, when the first one is asked for.

    Example:
        >>> async def names():
        ...     found = search("minilm", hub=hub_server.endpoint, sort="downloads", limit=3)
        ...     return [repository.name async for repository in found]
        >>> asyncio.run(names())
        ['org/minilm']
    """
    return HubService().search(query, hub=hub, task=task, author=author, sort=sort, limit=limit)


class HubService:
    """Turns sources into verified files in the store.

    Args:
        storage: Where files are kept. Default: the store that ``STORAGE_SERVICE_ROOT`` names.
        downloads: What requests go through. Default: one of its own for each call, which sends the configured token to
            the configured hub. One that is handed in sends what it was configured with.
        config: Default: read from the environment (``HUB_SERVICE_…``) with the first call.

    Example:
        >>> hub = HubService(storage=StorageService(StorageConfig(root=directory / "store")))
        >>> asyncio.run(hub.fetch(directory / "model.onnx")).size
        7
    """

    def __init__(
        self,
        *,
        storage: StorageService | None = None,
        downloads: "DownloadService | None" = None,
        config: HubConfig | None = None,
    ) -> None:
        self.storage: StorageService = storage or StorageService()
        self._downloads = downloads
        self._config = config

    async def resolve(
        self,
        source: Source,
        *,
        sha256: str | Mapping[str, str] | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> ManifestSchema:
        """Return what a source consists of, without fetching it. `fetch` takes the result and brings just that.

        Args:
            source: As `fetch` takes it.
            sha256: As `fetch` takes it.
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.

        Returns:
            The wanted files, with what is known of them beforehand, pinned to a revision where the source has any.

        Raises:
            InvalidSourceException: The source is empty, missing, or leads out of itself, or nothing of it is wanted.
            InvalidInputException: An argument is of a wrong kind, or `sha256` does not fit the files.
            InvalidPathException: A file has a path that cannot stand in a model, or beside another one.
            SourceEntryPointException: The package that is to bring such sources does not.
            HubException: The hub does not tell: see its leaves.
            DownloadException: The hub does not answer.
            ConfigurationException: A setting is unknown, or its value cannot be used.

        Example:
            >>> hub = HubService(storage=StorageService(StorageConfig(root=directory / "store")))
            >>> [file.path for file in asyncio.run(hub.resolve(directory / "model.onnx")).files]
            ['model.onnx']
        """
        wanted = Wanted(sha256=sha256, allow=allow, ignore=ignore)
        async with self._opened() as opened:
            return await wanted.resolve(source, opened.context)

    async def plan(
        self,
        source: Source,
        *,
        fits: int | str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        policy: Policy | None = None,
        context_length: int | None = None,
        cache_dtype: str = "F16",
    ) -> PlanSchema:
        """Return what fetching a source would come to, without fetching it. `fetch` takes the plan and brings just it.

        What is on this machine is looked into here. Of what is not, headers are read by ranges: ``config.json`` and the
        files of weights, in at most 32 requests, and of a source of over 100 files in at most 2. What they do not tell
        is unknown until it is fetched: ``problem`` of its file says why.

        Args:
            source: As `fetch` takes it.
            fits: The memory there is, in bytes or as ``8 GiB``: of the models that the source offers, the largest is
                chosen that fits with the cache of its context. Default: nothing is chosen.
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.
            policy: What to check the plan against. What speaks against it is in its ``objections``.
            context_length: The tokens of the context that memory is estimated for. Default: 8,192, or as many as the
                model was trained for where those are fewer.
            cache_dtype: Of its cache, as `estimate_memory` takes it.

        Raises:
            NothingFitsException: No model that the source offers fits.
            InvalidInputException: An argument is of a wrong kind.
            ServiceException: Whatever `resolve` raises.

        Example:
            >>> plan = asyncio.run(hub.plan("hf://org/minilm"))
            >>> plan.license, plan.bytes_to_fetch, plan.formats
            ('apache-2.0', 23, ('onnx', 'safetensors'))
        """
        question = Question.of(fits=fits, context_length=context_length, cache_dtype=cache_dtype, policy=policy)
        wanted = Wanted(sha256=None, allow=allow, ignore=ignore)
        async with self._opened() as opened:
            manifest = await wanted.resolve(source, opened.context)
            return await make_plan(manifest, question, opened.context, self.storage)

    async def search(
        self,
        query: str | None = None,
        *,
        hub: str | None = None,
        task: str | None = None,
        author: str | None = None,
        sort: RepositorySort | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[RepositorySchema]:
        """Yield the models of a Hugging-Face-compatible hub that are found, page by page, each when it is needed.

        Leaving the loop early leaves nothing open.

        Args:
            query: Words of the name.
            hub: The hub's address. Default: ``HUB_SERVICE_HF_ENDPOINT``. Another one gets no token.
            task: Such as ``text-generation``.
            author: The organisation or user that they belong to.
            sort: By what, the greatest first. Default: the hub's own order.
            limit: How many to yield at most. Default: all.

        Raises:
            InvalidInputException: An argument is of a wrong kind, or `sort` unknown.
            InvalidAnswerException: The hub's answer cannot be used.
            OfflineException: No connection may be opened.
            DownloadException: The hub does not answer.
            ConfigurationException: A setting is unknown, or its value cannot be used.

        Example:
            >>> async def names():
            ...     found = hub.search("minilm", task="feature-extraction", sort="downloads", limit=3)
            ...     return [repository.name async for repository in found]
            >>> asyncio.run(names())
            ['org/minilm']
        """
        check_search(hub=hub, sort=sort, limit=limit, query=query, task=task, author=author)
        config, downloads = await self._settings()
        context = SourceContext(config=config, downloads=downloads, storage=self.storage)
        async for repository in find(context, query, hub=hub, task=task, author=author, sort=sort, limit=limit):
            yield repository

    async def fetch(
        self,
        source: Source,
        *,
        sha256: str | Mapping[str, str] | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        max_size: int | None = None,
        progress: "bool | ProgressCallback" = False,
    ) -> Fetched:
        """Bring a source's files into the store, verified. Everything said of the function `fetch` holds.

        Args:
            source: As the function takes it.
            sha256: As the function takes it.
            allow: As the function takes it.
            ignore: As the function takes it.
            max_size: As the function takes it.
            progress: As the function takes it.

        Raises:
            ServiceException: Whatever the function raises.
        """
        _check_max_size(max_size)
        if isinstance(source, PlanSchema) and source.objections:
            way_out = "fetch(plan.manifest) brings it all the same"
            raise PolicyViolationException(subject=source.source, objections=source.objections, way_out=way_out)
        wanted = Wanted(sha256=sha256, allow=allow, ignore=ignore)
        async with self._opened() as opened:
            manifest = await wanted.resolve(source, opened.context)
            fetching = _Fetching(
                manifest,
                self.storage,
                opened.downloads,
                context=opened.context,
                max_size=max_size,
                progress=progress,
            )
            fetched = await fetching.run()
        return await asyncio.to_thread(with_details, fetched, self.storage)

    @asynccontextmanager
    async def _opened(self) -> "AsyncIterator[_Opened]":
        """Yield what one call works with."""
        config, downloads = await self._settings()
        async with nullcontext() if downloads is self._downloads else downloads:
            context = SourceContext(config=config, downloads=downloads, storage=self.storage)
            yield _Opened(downloads, context)

    async def _settings(self) -> "tuple[HubConfig, DownloadService]":
        """Return the settings, read off the event loop with the first call, and what requests go through."""
        from kamiwaza_sdk.services.download.services import DownloadService

        if self._config is None:
            self._config = await asyncio.to_thread(HubConfig)
        if self._downloads is not None:
            return self._config, self._downloads
        return self._config, DownloadService(await asyncio.to_thread(_download_config, self._config))


@dataclass(frozen=True, slots=True)
class _Opened:
    """What one call to the hub works with."""

    downloads: "DownloadService"
    context: SourceContext


def _download_config(config: HubConfig) -> "DownloadConfig":
    """Return the settings of downloads, and the hub's token for the hub's host. Blocks."""
    from kamiwaza_sdk.services.download.config import DownloadConfig

    downloads = DownloadConfig()
    if config.hf_token is None:
        return downloads
    return downloads.model_copy(update={"tokens": {config.hf_host: config.hf_token, **downloads.tokens}})


def _check_max_size(value: object) -> None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return
    problem = value if type(value) is int else f"a {type(value).__name__}"
    raise InvalidInputException("max_size", f"is {problem}; give a whole number of bytes, 0 or more, or None")


class _Fetching:
    """One fetch: its manifest, what it may cost, and what it came to so far."""

    def __init__(
        self,
        manifest: ManifestSchema,
        storage: StorageService,
        downloads: "DownloadService",
        *,
        context: SourceContext,
        max_size: int | None,
        progress: "bool | ProgressCallback",
    ) -> None:
        self._manifest = manifest
        self._storage = storage
        self._downloads = downloads
        self._context = context
        self._max_size = max_size
        self._progress = progress
        self._kept = KeptFiles(storage)
        self._size = 0
        self._fetched = 0
        self._reused = 0

    async def run(self) -> Fetched:
        # A cheap early word: what counts is what was copied, as files grow.
        self._refuse_over_limit(sum(file.size or 0 for file in self._manifest.files))
        if self._context.offline:
            await asyncio.to_thread(self._refuse_missing)
        slots = asyncio.Semaphore(_MAX_STAGED)
        files = await _all_or_first_error(self._take(file, slots) for file in self._manifest.files)
        return Fetched(
            source=self._manifest.source,
            name=self._manifest.name,
            source_revision=self._manifest.revision,
            source_repository=self._manifest.repository,
            hub=self._manifest.hub,
            author=self._manifest.author,
            license=self._manifest.license,
            task=self._manifest.task,
            files=tuple(sorted(files, key=lambda file: file.path)),
            bytes_fetched=self._fetched,
            bytes_reused=self._reused,
            digests_known=all(file.has_digest for file in self._manifest.files),
        )

    async def _take(self, file: ManifestFileSchema, slots: asyncio.Semaphore) -> FetchedFile:
        async with slots:
            blob = await (self._copy(file) if file.local is not None else self._bring(file))
        return FetchedFile(path=file.path, size=blob.size, sha256=blob.sha256)

    async def _copy(self, file: ManifestFileSchema) -> "BlobSchema":
        return self._reused_whole(await asyncio.to_thread(self._add, file))

    def _add(self, file: ManifestFileSchema) -> "BlobSchema":
        """Copy a file into the store, unless it leads elsewhere by now. Blocks."""
        blob = self._storage.add(check_inside(file), sha256=file.sha256)
        check_git_blob(file, blob.path)  # not the source, which may change meanwhile
        if file.git_blob_id is not None:
            self._kept.remember(file, blob, Validators())
        return blob

    async def _bring(self, file: ManifestFileSchema) -> "BlobSchema":
        """Bring what is not on this machine: from the store where it must be, over HTTP, or by its own source."""
        if self._context.offline:
            return self._reused_whole((await asyncio.to_thread(self._found, file)).blob)
        if file.scheme not in {"http", "https"}:
            return await self._stream(file)
        from kamiwaza_sdk.services.download.exceptions import DownloadStatusException

        try:
            return await self._transfer(file)
        except DownloadStatusException as error:
            if self._manifest.gated and error.status in _REFUSED:
                raise self._gated() from error
            raise

    def _gated(self) -> RepositoryGatedException:
        manifest = self._manifest
        return RepositoryGatedException(
            repository=manifest.repository or manifest.source,
            url=manifest.page or manifest.source,
            authenticated=self._context.config.hf_token is not None,
        )

    def _refuse_missing(self) -> None:
        """Raise unless everything is here. Blocks."""
        missing = [file.path for file in self._manifest.files if file.local is None and self._kept.find(file) is None]
        if missing:
            raise OfflineException(source=self._manifest.source, missing=missing)

    def _found(self, file: ManifestFileSchema) -> Kept:
        """Return what the store has of a file, or raise that it has it no more. Blocks."""
        kept = self._kept.find(file)
        if kept is None:
            raise OfflineException(source=self._manifest.source, missing=[file.path])
        return kept

    async def _stream(self, file: ManifestFileSchema) -> "BlobSchema":
        kept = await asyncio.to_thread(self._kept.find, file)
        if kept is not None and file.has_digest:
            return self._reused_whole(kept.blob)
        pieces = await asyncio.to_thread(open_stream, file, self._context)
        async with self._staged(None) as path:
            limit = None if self._max_size is None else self._max_size - self._size
            result = await written(pieces, path, file=file, max_size=limit)
            self._fetched += result.bytes_fetched
            self._count(result.bytes_fetched, reused=0)
            return await asyncio.to_thread(self._publish, file, path, result)

    async def _transfer(self, file: ManifestFileSchema) -> "BlobSchema":
        kept = await asyncio.to_thread(self._kept.find, file)
        if kept is not None and file.has_digest:
            return self._reused_whole(kept.blob)
        async with self._staged(file.sha256 or file.url) as place:
            path = place.with_name(PurePosixPath(file.path).name)  # what a progress bar shows
            try:
                return await self._brought(file, path, kept)
            finally:
                if file.sha256 is None:  # whole or not, by nothing could the next fetch tell that it is right
                    await _to_its_end(lambda: path.unlink(missing_ok=True))

    async def _brought(self, file: ManifestFileSchema, path: Path, kept: Kept | None) -> "BlobSchema":
        result = await self._download(file, path, None if kept is None else kept.validators)
        if kept is not None and result.not_modified:
            return self._reused_whole(kept.blob)
        assert result.size is not None
        self._fetched += result.bytes_fetched
        self._count(result.size, reused=result.bytes_reused)
        return await asyncio.to_thread(self._publish, file, path, result)

    async def _download(
        self, file: ManifestFileSchema, path: Path, validators: "Validators | None"
    ) -> "DownloadResult":
        from kamiwaza_sdk.services.download.exceptions import DownloadDiskException

        try:
            return await self._downloads.download(
                file.url,
                path,
                sha256=file.sha256,
                size=file.size,
                max_size=None if self._max_size is None else self._max_size - self._size,
                validators=validators,
                progress=self._progress,
            )
        except DownloadDiskException as error:  # the disk is the store's
            raise_as_storage_error(error, path)

    def _publish(self, file: ManifestFileSchema, path: Path, result: "DownloadResult") -> "BlobSchema":
        """Take a downloaded file into the store, and remember what its URL led to. Blocks."""
        assert result.sha256 is not None
        assert result.size is not None
        blob = self._take_over(file, path, result.sha256, result.size)
        if file.git_blob_id or result.validators.etag or result.validators.last_modified:
            self._kept.remember(file, blob, result.validators)
        return blob

    def _take_over(self, file: ManifestFileSchema, path: Path, sha256: str, size: int) -> "BlobSchema":
        try:
            check_git_blob(file, path)
            return self._storage.publish(path, sha256=sha256, size=size)
        except (FileNotFoundError, InvalidInputException):  # gone: who brought it for us both has taken it there
            blob = self._storage.get(sha256, size=size)
            check_git_blob(file, blob.path)
            return blob

    def _reused_whole(self, blob: "BlobSchema") -> "BlobSchema":
        self._count(blob.size, reused=blob.size)
        return blob

    def _count(self, size: int, *, reused: int) -> None:
        self._size += size
        self._reused += reused
        self._refuse_over_limit(self._size)

    def _refuse_over_limit(self, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            raise SourceTooLargeException(source=self._manifest.source, size=size, limit=self._max_size)

    @asynccontextmanager
    async def _staged(self, key: str | None) -> AsyncIterator[Path]:
        """Stage off the event loop: making the place and clearing it are file operations."""
        with_stage = ExitStack()
        try:
            yield await _to_its_end(lambda: with_stage.enter_context(self._storage.stage(key)))
        finally:
            await _to_its_end(with_stage.close)


async def _to_its_end(function: Callable[[], _T]) -> _T:
    """Run in a thread, and be cancelled only once it is done: a stage that was made must be known to be cleared."""
    running = asyncio.ensure_future(asyncio.to_thread(function))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from running.exception()
    return running.result()


async def _all_or_first_error(coroutines: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """Run all at once; at the first error cancel the others, wait for them, and raise it bare."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]
