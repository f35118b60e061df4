"""`HubService` and `fetch`: from a source to verified files in the store, without a database."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kamiwaza_sdk._tasks import running_loop
from kamiwaza_sdk._validation import check_given
from kamiwaza_sdk.exceptions import ConfigurationException, InvalidInputException
from kamiwaza_sdk.formats.schemas import Runtime
from kamiwaza_sdk.services.download.exceptions import DownloadStatusException
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.details import with_details
from kamiwaza_sdk.services.hub.exceptions import VersionUnavailableException
from kamiwaza_sdk.services.hub.fetch import Fetching, check_fetch, check_max_size, refuse_over_limit
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema, RepositorySchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
from kamiwaza_sdk.services.hub.schemas.policy import Policy
from kamiwaza_sdk.services.hub.schemas.results import Adopted, Fetched
from kamiwaza_sdk.services.hub.sources import Source, Wanted
from kamiwaza_sdk.services.hub.sources.local import in_thread
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext
from kamiwaza_sdk.services.hub.sources.versions import is_registered, name_of
from kamiwaza_sdk.services.storage.exceptions import StorageException
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from concurrent.futures import Executor

    from kamiwaza_sdk.services.download.config import DownloadConfig
    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.mirror import MirrorCallback
    from kamiwaza_sdk.services.hub.schemas.mirror import MirrorSchema
    from kamiwaza_sdk.services.hub.search import RepositorySort
    from kamiwaza_sdk.services.hub.variants import Question

__all__ = ["HubService", "Source", "adopt", "fetch", "search"]


async def adopt(
    source: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    variant: str | None = None,
    allow: str | Iterable[str] | None = None,
    ignore: str | Iterable[str] | None = None,
) -> Adopted:
    """Take over the files of another tool on this machine, without the network, and without a copy where possible.

    No space is taken twice where the file system can share blocks (btrfs, XFS), or where a file belongs to this user
    and is on the store's file system, so that it gets a second name (a hard link). Other files are copied. Each file is
    hashed and compared with the digest in its name: the SHA-256 or git blob id in a Hugging Face cache, the SHA-256 in
    Ollama's store. LM Studio has no digests. `StorageService.adopt` says what a hard link means for the other tool.
    Files that are not a part of the model are left out, as by `fetch`.

    Args:
        source: ``hf://org/repo@revision``, of the cache of ``huggingface_hub`` (``datasets/`` and ``spaces/`` too);
            ``ollama://name:tag``, of Ollama's store; or ``lmstudio://publisher/repo``, of LM Studio's directory.
        cache: The directory of that cache; for ``huggingface_hub`` also its home, in which the cache is ``hub``.
            Default: the tool's usual directory: ``HF_HUB_CACHE``, ``HF_HOME/hub`` or ``~/.cache/huggingface/hub``;
            ``OLLAMA_MODELS``, or ``~/.ollama/models`` and that of its service; the home that LM Studio has noted, or
            ``~/.lmstudio``.
        variant: As `fetch` takes it.
        allow: As `fetch` takes it.
        ignore: As `fetch` takes it.

    Returns:
        The same as `fetch`, and how each file was taken over. Revision, repository and hub are set as far as the cache
        tells them. Give it to `ModelService.register`.

    Raises:
        NotInCacheException: The cache does not have it, or not all of the wanted files. With `variant`, only the files
            that are needed to load it must be there.
        InvalidSourceException: `source` is not such an address; or its files in the cache are damaged or lead out of
            the cache; or no file is wanted.
        DigestMismatchException: A file is not what the cache names it.
        GitBlobMismatchException: A file is not what the cache names it.
        UnknownVariantException: There is no variant of that name, or not all of its files are there.
        InvalidPathException: A file has a path that is not allowed in a model.
        InvalidInputException: An argument is of a wrong kind, or a file is being written to.
        StorageException: A file could not be stored.
        ConfigurationException: A setting is unknown, or its value cannot be used.

    Example:
        >>> adopted = asyncio.run(adopt("lmstudio://org/minilm", cache=lm_studio))
        >>> [(file.path, file.size) for file in adopted.files], adopted.bytes_fetched
        ([('minilm-Q8_0.gguf', 7)], 0)
    """
    return await HubService().adopt(source, cache=cache, variant=variant, allow=allow, ignore=ignore)


async def fetch(
    source: Source,
    *,
    sha256: str | Mapping[str, str] | None = None,
    variant: str | None = None,
    allow: str | Iterable[str] | None = None,
    ignore: str | Iterable[str] | None = None,
    max_size: int | None = None,
    progress: "bool | ProgressCallback" = False,
) -> Fetched:
    """Bring a source's files into the store, verified. Uses no database: give the result to `ModelService.register`.

    A file with a known digest that is in the store is not requested again. A file that was fetched before from a server
    with validators (``ETag``, ``Last-Modified``) costs one conditional request. Any other file is transferred again,
    and stored once. An interrupted transfer of over 1 MiB continues where it stopped, as `DownloadService.download`
    says; the part that has arrived stays in the store for a week. If several fetch the same file at once, one of them
    transfers it; a smaller file may be transferred by each.

    Secrets, and files that tools, file managers and editors leave beside a model, are left out (`Fetched.left_out`)
    unless a pattern of `allow` names them. The files of version control (``.git``) are always left out.

    Args:
        source: An address, such as ``https://…``, ``hf://org/repo@revision`` or ``file://…``; several of http or https;
            a file or directory on this machine, without unfinished downloads in it; a `ManifestSchema` or a
            `PlanSchema`, of which exactly its files are fetched; or a version of a registry, whose files come from the
            store, and the missing ones from their origin, verified by the version's digests. The paths of files of
            several URLs are relative to the directory that all URLs have in common; if the URLs have several hosts,
            each path is the last segment.
        sha256: The digest that the file must have; for several files a mapping from path to digest.
        variant: Fetch only this variant, by the name that `HubService.plan` gives it, such as ``Q4_K_M``, with its
            companions and all files that are not weights. Default: all files.
        allow: Fetch only files whose path matches a pattern, or one of several: ``*.safetensors``. ``*`` matches ``/``,
            too, and a pattern that ends with ``/`` matches everything below it, as in ``huggingface_hub``.
        ignore: Leave out files whose path matches a pattern, or one of several.
        max_size: The most bytes to accept, all files together; 0 accepts empty files only. If the source tells sizes,
            larger sources are refused before the first byte. Default: only ``DOWNLOAD_SERVICE_MAX_SIZE`` for each
            transferred file, if it is set, or if the source does not tell the file's size.
        progress: `True` for a progress bar for each file (extra ``notebook``), or a function that is called with
            `DownloadProgress`: for a file on this machine at its beginning and end, for a file in the store at its end.

    Returns:
        The files, the number of transferred bytes, a name that the source suggests, the facts that the files tell about
        the model, and the files that are not what their names say (``faults``).

    Raises:
        InvalidSourceException: The source is empty or missing, or leads out of itself; a download into it is
            unfinished; no file is wanted; or it is one URL, without a digest, that leads to an HTML page:
            ``suggestion`` is the address to try instead, such as ``hf://org/name``, if one is known.
        SourceEntryPointException: The package that declares such sources cannot be used.
        VersionUnavailableException: It is a version with files that are not in the store, and that cannot be fetched
            from their origin.
        HubException: The hub does not send it: see the subclasses.
        InvalidInputException: It is a URL that cannot be fetched; or an argument has a wrong type, or `sha256` does not
            match the files.
        InvalidPathException: A file has a path that is not allowed in a model.
        UnknownVariantException: There is no variant of that name, or not all of its files are there.
        ModelTooLargeException: The files have over `max_size` bytes together.
        PolicyViolationException: It is a plan that violates its policy.
        DownloadTooLargeException: A transferred file has more bytes than `max_size` leaves for it.
        DownloadException: A file did not arrive completely.
        StorageFullException: There is not enough space for the files to transfer or copy. This is checked first.
        StorageException: A file could not be stored.
        ConfigurationException: A setting is unknown, or its value cannot be used.
        MissingDependencyException: A progress bar is wanted, and tqdm is not installed.

    Example:
        >>> fetched = asyncio.run(fetch(directory / "model.onnx"))
        >>> [(file.path, file.size) for file in fetched.files]
        [('model.onnx', 7)]
    """
    return await HubService().fetch(
        source, sha256=sha256, variant=variant, allow=allow, ignore=ignore, max_size=max_size, progress=progress
    )


def search(
    query: str | None = None,
    *,
    hub: str | None = None,
    task: str | None = None,
    author: str | None = None,
    sort: "RepositorySort | None" = None,
    limit: int | None = None,
) -> AsyncIterator[RepositorySchema]:
    """Iterate over the models that a Hugging-Face-compatible hub finds. Each page is requested when it is needed.

    The same as `HubService.search`.

    Args:
        query: Words of the name.
        hub: The hub's address. Default: ``HUB_SERVICE_HF_ENDPOINT``. Another one gets no token.
        task: Such as ``text-generation``.
        author: The organisation or user that they belong to.
        sort: The field to sort by, the greatest value first. Default: the hub's own order.
        limit: How many to yield at most. Default: all.

    Returns:
        An asynchronous iterator.

    Raises:
        ServiceException: Whatever the method raises, when the first model is requested.

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
        storage: The store of the files. Default: the one that ``STORAGE_SERVICE_ROOT`` names.
        downloads: The service that sends requests. Default: a new one for each call, with the settings at the first
            call (``DOWNLOAD_SERVICE_…``), which sends the configured token to the configured hub. A service of yours
            sends what it was configured with.
        config: Default: read from the environment (``HUB_SERVICE_…``) with the first call.

    Raises:
        InvalidInputException: `storage` or `config` has a wrong type, or, at the first call, `downloads`.

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
        way_out = "write StorageService(StorageConfig(root=…))"
        self.storage: StorageService = (
            check_given(storage, StorageService, field="storage", way_out=way_out) or StorageService()
        )
        self._downloads = downloads
        self._config = check_given(config, HubConfig, field="config", way_out="write HubConfig(…)")
        self._download_config: DownloadConfig | None = None

    async def resolve(
        self,
        source: Source,
        *,
        sha256: str | Mapping[str, str] | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> ManifestSchema:
        """Return the files of a source, without fetching them. `fetch` takes the result, and fetches exactly them.

        Args:
            source: As `fetch` takes it.
            sha256: As `fetch` takes it.
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.

        Returns:
            The wanted files, with everything that is known beforehand, pinned to a revision if the source has
            revisions.

        Raises:
            InvalidSourceException: The source is empty or missing, or leads out of itself; a download into it is
                unfinished; or no file is wanted.
            InvalidInputException: An argument has a wrong type, or `sha256` does not match the files.
            InvalidPathException: A file has a path that is not allowed in a model, or that conflicts with another one.
            SourceEntryPointException: The package that declares such sources cannot be used.
            HubException: The hub does not tell: see the subclasses.
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
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        policy: Policy | None = None,
        context_length: int | None = None,
        cache_dtype: str = "F16",
        runtime: Runtime | None = None,
        max_size: int | None = None,
    ) -> PlanSchema:
        """Return what would be fetched from a source, without fetching it. `fetch` takes the plan as a source.

        Files on this machine are read. Of other files, only ``config.json`` and the headers of weights are read, by
        ranges, in at most 32 requests, for a source of over 100 files in at most 2. Facts that these do not tell are
        unknown until the files are fetched: ``problem`` of the file says why.

        Args:
            source: As `fetch` takes it.
            fits: The available memory, in bytes or as ``8 GiB``. The largest variant that fits, with its companions and
                the cache of its context, is chosen: first among safetensors and GGUF, then ONNX, then pickles, then
                others. Only this variant is fetched, with configurations, tokenizers and other files that are not
                weights. Default: nothing is chosen, and all files are fetched.
            variant: The name of the variant to fetch, as in `PlanSchema.variants`; together with `fits`, only if it
                fits.
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.
            policy: The policy to check. The plan's ``violations`` are what it refuses.
            context_length: The length of the context, in tokens, for the estimate of memory. Default: 8,192, or the
                length that the model was trained for, if that is shorter.
            cache_dtype: The type of its cache, as `estimate_memory` takes it.
            runtime: The program that will load it, as `estimate_memory` takes it: `fits` chooses only variants that it
                can load. Default: ``llama.cpp`` for GGUF, else ``transformers``.
            max_size: The most bytes to plan for, all files together. Larger sources are refused before a header is
                read, if their sizes are known. Default: no limit.

        Raises:
            NothingFitsException: No variant of the source fits.
            UnknownVariantException: It has no variant of that name, or not all of its files.
            ModelTooLargeException: The files have over `max_size` bytes together.
            InvalidInputException: An argument is of a wrong kind.
            ServiceException: Whatever `resolve` raises.

        Example:
            >>> plan = asyncio.run(hub.plan("hf://org/minilm"))
            >>> plan.license, plan.bytes_to_fetch, plan.formats
            ('apache-2.0', 23, ('onnx', 'safetensors'))
        """
        from kamiwaza_sdk.services.hub.plan import make_plan
        from kamiwaza_sdk.services.hub.variants import Question

        check_max_size(max_size)
        question = Question.of(
            fits=fits,
            variant=variant,
            context_length=context_length,
            cache_dtype=cache_dtype,
            runtime=runtime,
            policy=policy,
        )
        wanted = Wanted(sha256=None, allow=allow, ignore=ignore)
        async with self._opened() as opened:
            manifest = await wanted.resolve(source, opened.context)
            chooses = fits is not None or variant is not None
            refuse_over_limit(manifest, None if chooses else max_size)  # else what it leaves out is not known yet
            plan = await make_plan(manifest, question, opened.context, self.storage)
        refuse_over_limit(plan.manifest, max_size)
        return plan

    async def search(
        self,
        query: str | None = None,
        *,
        hub: str | None = None,
        task: str | None = None,
        author: str | None = None,
        sort: "RepositorySort | None" = None,
        limit: int | None = None,
    ) -> AsyncIterator[RepositorySchema]:
        """Iterate over the models that a Hugging-Face-compatible hub finds. Each page is requested when it is needed.

        You can leave the loop early: nothing stays open.

        Args:
            query: Words of the name.
            hub: The hub's address. Default: ``HUB_SERVICE_HF_ENDPOINT``. Another one gets no token.
            task: Such as ``text-generation``.
            author: The organisation or user that they belong to.
            sort: The field to sort by, the greatest value first. Default: the hub's own order.
            limit: How many to yield at most. Default: all.

        Raises:
            InvalidInputException: An argument has a wrong type, or `sort` is unknown.
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
        from kamiwaza_sdk.services.hub.search import check_search, find

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
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        max_size: int | None = None,
        progress: "bool | ProgressCallback" = False,
    ) -> Fetched:
        """Bring a source's files into the store, verified. The same as the function `fetch`.

        Args:
            source: As the function takes it.
            sha256: As the function takes it.
            variant: As the function takes it.
            allow: As the function takes it.
            ignore: As the function takes it.
            max_size: As the function takes it.
            progress: As the function takes it.

        Raises:
            ServiceException: Whatever the function raises.
        """
        check_fetch(source, max_size=max_size, progress=progress)
        wanted, question = Wanted(sha256=sha256, allow=allow, ignore=ignore), _question(variant)
        async with self._opened() as opened:
            manifest = await wanted.resolve(source, opened.context)
            if question is not None:
                from kamiwaza_sdk.services.hub.plan import make_plan

                manifest = (await make_plan(manifest, question, opened.context, self.storage)).manifest
            fetching = Fetching(
                manifest,
                self.storage,
                opened.downloads,
                context=opened.context,
                max_size=max_size,
                progress=progress,
            )
            fetched = await _brought(source, fetching)
        return await in_thread(lambda: _leased(with_details(fetched, self.storage), self.storage))

    async def mirror(
        self,
        sources: "Iterable[Source | RepositorySchema] | AsyncIterable[Source | RepositorySchema]",
        *,
        executor: "Executor | None" = None,
        at_once: int = 4,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        progress: "MirrorCallback | None" = None,
    ) -> "MirrorSchema":
        """Bring many sources into the store, each for itself: that one fails ends none of the others.

        Called again with the same sources, it brings what is missing. With an executor, its workers fetch: threads or
        processes of this machine, or of others that share the store (``STORAGE_SERVICE_REMOTE``). They get the settings
        that this service was given, tokens included, and read those that it was not from their own environment; a
        download service that it was given stays here. Cancelled, what a worker has begun may go on.

        Args:
            sources: As `fetch` takes each: a list, what `search` yields, versions.
            executor: Any of ``concurrent.futures``, or ``client.get_executor(pure=False)`` of Dask. Default: this
                process.
            at_once: How many sources are under way at once where there is no executor.
            variant: As `fetch` takes it, for each.
            allow: As `fetch` takes it, for each.
            ignore: As `fetch` takes it, for each.
            progress: Called with `MirrorProgressSchema` in the event loop's thread; what workers receive is noted in
                the store, and read there every second.

        Returns:
            What came of each, in the order of the sources.

        Raises:
            InvalidInputException: An argument is of a wrong kind.

        Example:
            >>> mirrored = asyncio.run(hub.mirror(["hf://org/minilm", "hf://org/missing"]))
            >>> [(item.source, item.error) for item in mirrored.items]
            [('hf://org/minilm', None), ('hf://org/missing', 'RepositoryAccessException')]
        """
        from kamiwaza_sdk.services.hub.mirror import mirror

        options = {"variant": variant, "allow": allow, "ignore": ignore}
        return await mirror(self, sources, options=options, executor=executor, at_once=at_once, progress=progress)

    async def adopt(
        self,
        source: str,
        *,
        cache: str | os.PathLike[str] | None = None,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> Adopted:
        """Take over the files of another tool on this machine. The same as the function `adopt`.

        Args:
            source: As the function takes it.
            cache: As the function takes it.
            variant: As the function takes it.
            allow: As the function takes it.
            ignore: As the function takes it.

        Raises:
            ServiceException: Whatever the function raises.
        """
        from kamiwaza_sdk.services.hub.adopters import adopt_all, resolve_cached
        from kamiwaza_sdk.services.hub.plan import of_variant

        wanted, question = Wanted(sha256=None, allow=allow, ignore=ignore), _question(variant)
        running_loop()
        if self._config is None:
            self._config = await asyncio.to_thread(HubConfig)
        selection = replace(wanted.selection, in_part=question is not None)
        found = await in_thread(partial(resolve_cached, source, cache, self._config, selection))
        manifest = await asyncio.to_thread(wanted.select, found.manifest)
        if question is not None:
            manifest = await in_thread(lambda: of_variant(manifest, variant, missing=found.missing))
        adopted = await adopt_all(manifest, self.storage)
        return await in_thread(lambda: _leased(with_details(adopted, self.storage), self.storage))

    @asynccontextmanager
    async def _opened(self) -> "AsyncIterator[_Opened]":
        """Yield the settings and services of one call."""
        config, downloads = await self._settings()
        async with nullcontext() if downloads is self._downloads else downloads:
            context = SourceContext(config=config, downloads=downloads, storage=self.storage)
            try:
                yield _Opened(downloads, context)
            finally:
                await context._settle()

    async def _settings(self) -> "tuple[HubConfig, DownloadService]":
        """Return the settings, which the first call reads in a thread, and the service that sends requests."""
        from kamiwaza_sdk.services.download.services import DownloadService

        running_loop()
        if self._config is None:
            self._config = await asyncio.to_thread(HubConfig)
        if self._downloads is not None:
            way_out = "write DownloadService(DownloadConfig(…))"
            return self._config, check_given(self._downloads, DownloadService, field="downloads", way_out=way_out)
        if self._download_config is None:
            self._download_config = await asyncio.to_thread(_download_config, self._config)
        return self._config, DownloadService(self._download_config)


def _question(variant: object) -> "Question | None":
    """Return the checked choice of a variant. The code that answers it is imported only if there is one."""
    if variant is None:
        return None
    from kamiwaza_sdk.services.hub.variants import Question

    return Question.of(variant=variant)


@dataclass(frozen=True, slots=True)
class _Opened:
    """The settings and services of one call."""

    downloads: "DownloadService"
    context: SourceContext


_Result = TypeVar("_Result", bound=Fetched)


def _leased(fetched: _Result, storage: StorageService) -> _Result:
    """Return the result with the id of the store, and with a lease that protects it from a clean-up. Blocks."""
    lease: str | None = None
    with suppress(StorageException, ConfigurationException, InvalidInputException):
        # It may be wanted for no time, or nothing can be written there: it is a convenience.
        lease = storage.lease(file.sha256 for file in fetched.files)
    return fetched.model_copy(update={"store": storage.id, "lease": lease})


async def _brought(source: Source, fetching: Fetching) -> Fetched:
    """Return the result; for a registered version, with the addresses of the version."""
    if not is_registered(source):
        return await fetching.run()
    try:
        fetched = await fetching.run()
    except DownloadStatusException as error:
        refused = error
    else:
        urls = {file.path: file.url for file in source.files}
        files = tuple(file.model_copy(update={"url": urls.get(file.path)}) for file in fetched.files)
        return fetched.model_copy(update={"files": files})
    reason = (
        f"{refused.url} answers {refused.status}, and addresses are kept without what signs them: a signed one is lost"
    )
    raise VersionUnavailableException(version=name_of(source), reason=reason) from refused


def _download_config(config: HubConfig) -> "DownloadConfig":
    """Return the settings of downloads, and the hub's token for the hub's host. Blocks."""
    from kamiwaza_sdk.services.download.config import DownloadConfig

    downloads = DownloadConfig()
    if config.hf_token is None:
        return downloads
    return downloads.model_copy(update={"tokens": {config.hf_host: config.hf_token, **downloads.tokens}})
