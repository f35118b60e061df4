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
    """Take over what another tool on this machine has, without the network, and without copying where that can be.

    Files that share blocks (btrfs, XFS), or are files of this user's on the store's file system, which get a second
    name there, take no room again; others are copied. Each is hashed. What its cache names it by is compared: the
    SHA-256 or git blob id of a Hugging Face cache, the SHA-256 of Ollama. LM Studio names none. `StorageService.adopt`
    says what a second name means for the other tool. What is no part of a model is left out, as `fetch` does.

    Args:
        source: ``hf://org/repo@revision``, of the cache of ``huggingface_hub`` (``datasets/`` and ``spaces/`` too);
            ``ollama://name:tag``, of Ollama's store; or ``lmstudio://publisher/repo``, of LM Studio's directory.
        cache: Where that cache lies; of ``huggingface_hub`` also its home, which has it as ``hub``. Default: where its
            tool keeps it: ``HF_HUB_CACHE``, ``HF_HOME/hub`` or ``~/.cache/huggingface/hub``; ``OLLAMA_MODELS``, or
            ``~/.ollama/models`` and that of its service; the home of LM Studio, as it names it, or ``~/.lmstudio``.
        variant: As `fetch` takes it.
        allow: As `fetch` takes it.
        ignore: As `fetch` takes it.

    Returns:
        What `fetch` returns, with how each file came. A revision, a repository and a hub are told as far as the cache
        tells them. Give it to `ModelService.register`.

    Raises:
        NotInCacheException: The cache has it not, or not all that is wanted of it. With `variant`, only what loading
            that one takes need be there.
        InvalidSourceException: `source` is no such address, or what the cache has of it leads out of the cache, or is
            damaged, or nothing of it is wanted.
        DigestMismatchException: A file is not what the cache names it.
        GitBlobMismatchException: A file is not what the cache names it.
        UnknownVariantException: There is no variant of that name, or not all of its files are there.
        InvalidPathException: A file has a path that cannot stand in a model.
        InvalidInputException: An argument is of a wrong kind, or a file is being written to.
        StorageException: A file could not be kept.
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

    A file whose digest is known and kept is not requested again. One that was fetched before from a server that names
    its content (``ETag``, ``Last-Modified``) costs one conditional request. Any other travels again, and is kept once.
    One of over 1 MiB that broke off goes on where it stopped, as `DownloadService.download` says; what there is of it
    stays in the store for a week. Of several fetches of the same at once, one brings it; a smaller one each may bring.

    What tools, file managers and editors leave among a model's files, and secrets, are left out (`Fetched.left_out`)
    unless a pattern of `allow` names them; version control's own files (``.git``) always are.

    Args:
        source: An address, such as ``https://…``, ``hf://org/repo@revision`` or ``file://…``; several of http or https;
            a file or directory on this machine, in which no download is unfinished; a `ManifestSchema` or a
            `PlanSchema`, of which just the files are fetched that it names; or a version of a registry, whose files
            come from the store, and those that it lacks from where they came from, by the version's digests. Files of
            several URLs are named from the directory that all URLs lie in, or, from several hosts, each by its last
            segment.
        sha256: The digest that the file must have; for several files a mapping from path to digest.
        variant: Fetch only this variant, by the name that `HubService.plan` gives it, such as ``Q4_K_M``, with the
            companions that it needs and what is no weights. Default: all files.
        allow: Fetch only files whose path matches a pattern, or one of several: ``*.safetensors``. ``*`` matches ``/``
            too, and what ends with ``/`` names all below it, as in ``huggingface_hub``.
        ignore: Leave out files whose path matches a pattern, or one of several.
        max_size: The most bytes to accept, all files together; 0 accepts empty files only. Where the source tells
            sizes, more are refused before the first byte. Default: no limit but ``DOWNLOAD_SERVICE_MAX_SIZE`` for each
            file that travels, where that is set, or where the source does not tell the file's size.
        progress: `True` for a progress bar a file (extra ``notebook``), or what to call with `DownloadProgress`: of a
            file on this machine at its beginning and end, of one that is kept at its end.

    Returns:
        The files, the bytes that travelled, a name that the source suggests, what the files say of the model, and
        which of them are something else than their names promise (``faults``).

    Raises:
        InvalidSourceException: The source is empty, missing, or leads out of itself, a download into it is
            unfinished, nothing of it is wanted, or it is one URL, without a digest, that leads to an HTML page: its
            ``suggestion`` is the address to try, such as ``hf://org/name``, where one is known.
        SourceEntryPointException: The package that is to bring such sources does not.
        VersionUnavailableException: It is a version with files that are not kept, and not to be had where they came
            from.
        HubException: The hub does not bring it: see its leaves.
        InvalidInputException: It is a URL, but none that can be fetched; or an argument is of a wrong kind, or `sha256`
            does not fit the files.
        InvalidPathException: A file has a path that cannot stand in a model.
        UnknownVariantException: There is no variant of that name, or not all of its files are there.
        ModelTooLargeException: The files have over `max_size` bytes together.
        PolicyViolationException: It is a plan that a policy has something against.
        DownloadTooLargeException: One file that travels has more bytes than `max_size` leaves for it.
        DownloadException: A file did not arrive whole.
        StorageFullException: There is no room for what is to travel or be copied, which is looked at before that.
        StorageException: A file could not be kept.
        ConfigurationException: A setting is unknown, or its value cannot be used.
        MissingDependencyException: A progress bar was asked for, and tqdm is not installed.

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
        downloads: What requests go through. Default: one of its own for each call, with the settings that the first
            call finds (``DOWNLOAD_SERVICE_…``), which sends the configured token to the configured hub. One that is
            handed in sends what it was configured with.
        config: Default: read from the environment (``HUB_SERVICE_…``) with the first call.

    Raises:
        InvalidInputException: `storage` or `config` is of another kind, or, with the first call, `downloads`.

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
        """Return what a source consists of, without fetching it. `fetch` takes the result and brings just that.

        Args:
            source: As `fetch` takes it.
            sha256: As `fetch` takes it.
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.

        Returns:
            The wanted files, with what is known of them beforehand, pinned to a revision where the source has any.

        Raises:
            InvalidSourceException: The source is empty, missing, or leads out of itself, a download into it is
                unfinished, or nothing of it is wanted.
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
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        policy: Policy | None = None,
        context_length: int | None = None,
        cache_dtype: str = "F16",
        runtime: Runtime | None = None,
        max_size: int | None = None,
    ) -> PlanSchema:
        """Return what fetching a source would come to, without fetching it. `fetch` takes the plan and brings just it.

        What is on this machine is looked into here. Of what is not, headers are read by ranges: ``config.json`` and the
        files of weights, in at most 32 requests, and of a source of over 100 files in at most 2. What they do not tell
        is unknown until it is fetched: ``problem`` of its file says why.

        Args:
            source: As `fetch` takes it.
            fits: The memory there is, in bytes or as ``8 GiB``: of the source's variants, the largest is chosen that
                fits with the companions that it needs and the cache of its context: of safetensors and GGUF, then of
                ONNX, then of pickles, then of others. Only that one is brought, with configurations, tokenizers and
                what is no weights. Default: nothing is chosen, and all files are brought.
            variant: The name of the variant to bring, as `PlanSchema.variants` has it: with `fits`, only if it does.
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.
            policy: What to check the plan against. What speaks against it is in its ``violations``.
            context_length: The tokens of the context that memory is estimated for. Default: 8,192, or as many as the
                model was trained for where those are fewer.
            cache_dtype: Of its cache, as `estimate_memory` takes it.
            runtime: The program that is to load it, as `estimate_memory` takes it: `fits` chooses only what that loads.
                Default: ``llama.cpp`` for GGUF, else ``transformers``.
            max_size: The most bytes to plan for, all files together: more are refused before a header is read, where
                their sizes are known by then. Default: no limit.

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
        """Bring a source's files into the store, verified. Everything said of the function `fetch` holds.

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
        """Take over what another tool on this machine has. Everything said of the function `adopt` holds.

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
        """Yield what one call works with."""
        config, downloads = await self._settings()
        async with nullcontext() if downloads is self._downloads else downloads:
            context = SourceContext(config=config, downloads=downloads, storage=self.storage)
            try:
                yield _Opened(downloads, context)
            finally:
                await context._settle()

    async def _settings(self) -> "tuple[HubConfig, DownloadService]":
        """Return the settings, read off the event loop with the first call, and what requests go through."""
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
    """Return the question for a variant, checked; what answers it is not imported where none is asked."""
    if variant is None:
        return None
    from kamiwaza_sdk.services.hub.variants import Question

    return Question.of(variant=variant)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What one call to the hub works with."""

    downloads: "DownloadService"
    context: SourceContext


_Result = TypeVar("_Result", bound=Fetched)


def _leased(fetched: _Result, storage: StorageService) -> _Result:
    """Return what was fetched, with the store that has it and what keeps it from a clean-up for a while. Blocks."""
    lease: str | None = None
    with suppress(StorageException, ConfigurationException, InvalidInputException):
        # It may be wanted for no time, or nothing can be written there: it is a convenience.
        lease = storage.lease(file.sha256 for file in fetched.files)
    return fetched.model_copy(update={"store": storage.id, "lease": lease})


async def _brought(source: Source, fetching: Fetching) -> Fetched:
    """Return what was fetched; of a registered version, with the addresses that it has."""
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
