"""`FakeHub`: a hub that fetches nothing, for tests of code that pulls models."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.formats.schemas import Runtime
from kamiwaza_sdk.services.download.exceptions import ChecksumMismatchException
from kamiwaza_sdk.services.download.schemas import DownloadProgress, ProgressCallback
from kamiwaza_sdk.services.hub.cache import result_of
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import ModelTooLargeException
from kamiwaza_sdk.services.hub.fetch import check_fetch, check_max_size, refuse_over_limit
from kamiwaza_sdk.services.hub.inspection import Findings
from kamiwaza_sdk.services.hub.plan import make_plan, of_variant
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema, RepositorySchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
from kamiwaza_sdk.services.hub.schemas.policy import Policy
from kamiwaza_sdk.services.hub.schemas.results import Adopted, AdoptedFile, Fetched, FetchedFile
from kamiwaza_sdk.services.hub.search import RepositorySort, check_search
from kamiwaza_sdk.services.hub.services import HubService, Source
from kamiwaza_sdk.services.hub.sources import Wanted, expected
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext
from kamiwaza_sdk.services.hub.sources.versions import RegisteredVersion, is_registered
from kamiwaza_sdk.services.hub.variants import Question
from kamiwaza_sdk.services.storage.config import StorageConfig
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from kamiwaza_sdk.services.hub.mirror import MirrorCallback
    from kamiwaza_sdk.services.hub.schemas.mirror import MirrorSchema

__all__ = ["FakeHub", "HubCall"]

#: Below what is no directory, so that nothing is ever kept there: the real default would be this user's own store.
_NOWHERE: Final = Path(os.devnull) / "store"


@dataclass(frozen=True)
class HubCall:
    """One call of `FakeHub.fetch`, `FakeHub.adopt` or `FakeHub.search`.

    Attributes:
        source: As it was given; empty for ``search``, which has none.
        sha256: As it was given.
        max_size: As it was given. `kamiwaza_sdk.ModelService.pull_model` gives the registry's limit.
        progress: As it was given.
        allow: As it was given.
        ignore: As it was given.
        method: The name of the method.
        cache: As it was given to ``adopt``.
        variant: As it was given to ``fetch`` or ``adopt``.
        query: As it was given to ``search``.
        hub: As it was given to ``search``.
        task: As it was given to ``search``.
        author: As it was given to ``search``.
        sort: As it was given to ``search``.
        limit: As it was given to ``search``.
    """

    source: str | os.PathLike[str] | Sequence[str] | ManifestSchema | PlanSchema | RegisteredVersion
    sha256: str | Mapping[str, str] | None = None
    max_size: int | None = None
    progress: bool | ProgressCallback = False
    allow: str | Iterable[str] | None = None
    ignore: str | Iterable[str] | None = None
    method: Literal["adopt", "fetch", "search"] = "fetch"
    cache: str | os.PathLike[str] | None = None
    variant: str | None = None
    query: str | None = None
    hub: str | None = None
    task: str | None = None
    author: str | None = None
    sort: "RepositorySort | None" = None
    limit: int | None = None


class FakeHub(HubService):
    """Returns the same files for every source, and records the calls.

    It opens no connection, and reads nothing of this user: no cache of another tool, no store but the given one.

    Patterns, digests and limits work as in the real hub. A ``progress`` function is called twice for each file, at its
    beginning and at its end; bars are not drawn.

    Args:
        files: The content of each file, by its path.
        name: The name that it suggests for the model.
        storage: A store for the files, so that they can be laid out. Default: none.

    Attributes:
        files: The files that it returns. You may change them.
        name: As it was given. You may change it.
        error: The exception that it raises instead, if it is not `None`.
        calls: The calls of `fetch`, `adopt` and `search`, oldest first.

    Example:
        >>> from kamiwaza_sdk.testing import FakeHub
        >>> hub = FakeHub({"model.onnx": b"weights"})
        >>> asyncio.run(hub.fetch("https://example.org/tiny.onnx")).size
        7
        >>> [call.source for call in hub.calls]
        ['https://example.org/tiny.onnx']
    """

    def __init__(
        self, files: Mapping[str, bytes] | None = None, *, name: str = "fake", storage: StorageService | None = None
    ) -> None:
        super().__init__(storage=storage or StorageService(StorageConfig(root=_NOWHERE)))
        self.files: dict[str, bytes] = {"model.bin": b"weights"} if files is None else dict(files)
        self.name: str = name
        self.error: ServiceException | None = None
        self.calls: list[HubCall] = []
        self._keeps = storage is not None

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
        """Return the files, and record the call.

        Args:
            source: Any source: it is recorded, and is in the result.
            sha256: The digest that the only file must have, or a mapping from path to digest.
            variant: The name of the variant to fetch, known from the names of the files.
            allow: Patterns of the files to bring.
            ignore: Patterns of those to leave out.
            max_size: The most bytes to accept, all files together.
            progress: It is recorded, and called if it is a function.

        Returns:
            The files, as if all of them had been transferred.

        Raises:
            ServiceException: The exception in `error`.
            InvalidInputException: An argument is of a wrong kind, or `sha256` does not fit the files.
            InvalidSourceException: There is no file, or the patterns leave none.
            ChecksumMismatchException: A file has another digest.
            PolicyViolationException: The source is a plan that violates its policy.
            UnknownVariantException: The files have no variant of that name.
            ModelTooLargeException: The files have over `max_size` bytes together.
        """
        self._note(HubCall(source, sha256, max_size, progress, allow, ignore, variant=variant))
        check_fetch(source, max_size=max_size, progress=progress)
        manifest = self._manifest(source, allow=allow, ignore=ignore, variant=variant)
        fetched = _fetched(manifest)
        if max_size is not None and fetched.size > max_size:
            raise ModelTooLargeException(source=fetched.source, size=fetched.size, limit=max_size)
        _check_digests(fetched, sha256)
        if self._keeps:
            await thread_to_its_end(lambda: self._keep(fetched))
        if callable(progress):
            _report(fetched, progress)
        return fetched

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
        """Bring many sources, each as `fetch` does; in this process, as no worker has this hub.

        Args:
            sources: As `HubService.mirror` takes them.
            executor: Not used.
            at_once: As `HubService.mirror` takes it.
            variant: As `fetch` takes it, for each.
            allow: As `fetch` takes it, for each.
            ignore: As `fetch` takes it, for each.
            progress: As `HubService.mirror` takes it.
        """
        del executor
        return await super().mirror(
            sources, at_once=at_once, variant=variant, allow=allow, ignore=ignore, progress=progress
        )

    async def adopt(
        self,
        source: str,
        *,
        cache: str | os.PathLike[str] | None = None,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> Adopted:
        """Return the files as if another tool had them, and record the call. No cache is read.

        They are the same files as those of `fetch`. To simulate an empty cache, set `error` to a
        `kamiwaza_sdk.NotInCacheException`.

        Args:
            source: Any source: it is recorded, and is in the result.
            cache: It is noted.
            variant: The name of the variant to take over, known from the names of the files.
            allow: Patterns of the files to take over.
            ignore: Patterns of those to leave out.

        Returns:
            The files, as if all of them had been copied.

        Raises:
            ServiceException: The exception in `error`.
            InvalidInputException: An argument is of a wrong kind.
            InvalidSourceException: There is no file, or the patterns leave none.
            UnknownVariantException: The files have no variant of that name.

        Example:
            >>> from kamiwaza_sdk.testing import FakeHub
            >>> adopted = asyncio.run(FakeHub({"model.onnx": b"weights"}).adopt("ollama://tiny"))
            >>> [(file.path, file.by) for file in adopted.files], adopted.bytes_fetched
            ([('model.onnx', 'copy')], 0)
        """
        self._note(HubCall(source, allow=allow, ignore=ignore, method="adopt", cache=cache, variant=variant))
        adopted = _adopted(self._manifest(source, allow=allow, ignore=ignore, variant=variant))
        if self._keeps:
            await thread_to_its_end(lambda: self._keep(adopted))
        return adopted

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
        """Yield the one model, if `name` contains the words, and record the call.

        Facts that the fake does not know, such as the task, do not exclude the model, and are not in the result.

        Args:
            query: Words that `name` must contain, in upper or lower case.
            hub: It is noted.
            task: It is noted.
            author: What `name` must have before its ``/``.
            sort: It is noted.
            limit: It is noted: there is only one.

        Raises:
            ServiceException: The exception in `error`.
            InvalidInputException: An argument is of a wrong kind, or `sort` unknown.

        Example:
            >>> from kamiwaza_sdk.testing import FakeHub
            >>> async def names(query: str) -> list[str]:
            ...     return [found.name async for found in FakeHub(name="org/minilm").search(query)]
            >>> asyncio.run(names("minilm")), asyncio.run(names("llama"))
            (['org/minilm'], [])
        """
        self._note(HubCall("", method="search", query=query, hub=hub, task=task, author=author, sort=sort, limit=limit))
        check_search(hub=hub, sort=sort, limit=limit, query=query, task=task, author=author)
        owner = self.name.rpartition("/")[0] or None
        has_words = all(word in self.name.lower() for word in (query or "").lower().split())
        if has_words and (not author or author == owner):
            yield RepositorySchema(name=self.name, source=f"hf://{self.name}", author=owner)

    async def resolve(
        self,
        source: Source,
        *,
        sha256: str | Mapping[str, str] | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> ManifestSchema:
        """Return what `fetch` would bring.

        Args:
            source: Any source: it is in the result.
            sha256: The digest that the only file must have, or a mapping from path to digest.
            allow: Patterns of the files to bring.
            ignore: Patterns of those to leave out.

        Returns:
            The files, with sizes and digests.

        Raises:
            ServiceException: The exception in `error`.
            InvalidInputException: `sha256` does not fit the files.
            InvalidSourceException: There is no file, or the patterns leave none.
        """
        if self.error is not None:
            raise self.error
        manifest = self._manifest(source, allow=allow, ignore=ignore, variant=None)
        _check_digests(_fetched(manifest), sha256)
        return manifest

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
        """Return a plan of the files that `fetch` would return. No file is read: only names and sizes are known.

        Args:
            source: Any source: it is in the result.
            fits: The memory there is.
            variant: The name of the variant to fetch, known from the names of the files.
            allow: Patterns of the files to bring.
            ignore: Patterns of those to leave out.
            policy: What to check the plan against.
            context_length: Of the context.
            cache_dtype: Of its cache.
            runtime: The program that is to load it.
            max_size: The most bytes to plan for.

        Raises:
            ServiceException: The exception in `error`.
            ModelTooLargeException: The files have over `max_size` bytes together.
            NothingFitsException: No variant fits.
            UnknownVariantException: The files have no variant of that name.
            InvalidInputException: An argument is of a wrong kind.
            InvalidSourceException: There is no file, or the patterns leave none.
        """
        from kamiwaza_sdk.services.download.services import DownloadService

        check_max_size(max_size)
        question = Question.of(
            fits=fits,
            variant=variant,
            context_length=context_length,
            cache_dtype=cache_dtype,
            runtime=runtime,
            policy=policy,
        )
        manifest = await self.resolve(source, allow=allow, ignore=ignore)
        config = await asyncio.to_thread(lambda: HubConfig(offline=True, hf_token=None))
        context = SourceContext(config=config, downloads=DownloadService(), storage=self.storage)
        plan = await make_plan(manifest, question, context, self.storage)
        refuse_over_limit(plan.manifest, max_size)
        return plan

    def _note(self, call: HubCall) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    def _manifest(
        self,
        source: Source,
        *,
        allow: str | Iterable[str] | None,
        ignore: str | Iterable[str] | None,
        variant: str | None,
    ) -> ManifestSchema:
        files = tuple(
            ManifestFileSchema(
                path=path,
                url=f"https://example.org/{path}",
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
            for path, content in sorted(self.files.items())
        )
        shown = source.source if isinstance(source, ManifestSchema | PlanSchema) else redact_text(str(source))
        if is_registered(source):
            shown = source.source or source.model_name
        manifest = ManifestSchema(source=shown, name=self.name, files=files)
        manifest = Wanted(sha256=None, allow=allow, ignore=ignore).select(manifest)
        sizes = {file.path: file.size for file in manifest.files}
        return manifest if variant is None else of_variant(manifest, variant, Findings(files=sizes))

    def _keep(self, fetched: Fetched) -> None:
        for content in (self.files[file.path] for file in fetched.files):
            with self.storage.stage() as place:
                place.write_bytes(content)
                self.storage.publish(place, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def _fetched(manifest: ManifestSchema) -> Fetched:
    files = tuple(FetchedFile(path=file.path, size=file.size or 0, sha256=file.sha256 or "") for file in manifest.files)
    return result_of(manifest, Fetched, files, bytes_fetched=sum(file.size for file in files), bytes_reused=0)


def _adopted(manifest: ManifestSchema) -> Adopted:
    files = tuple(
        AdoptedFile(path=file.path, size=file.size or 0, sha256=file.sha256 or "", by="copy") for file in manifest.files
    )
    return result_of(manifest, Adopted, files, bytes_fetched=0, bytes_reused=sum(file.size for file in files))


def _report(fetched: Fetched, progress: ProgressCallback) -> None:
    for file in fetched.files:
        begun = DownloadProgress(url=fetched.source, path=Path(file.path), received=0, total=file.size, finished=False)
        progress(begun)
        progress(begun.model_copy(update={"received": file.size, "finished": True}))


def _check_digests(fetched: Fetched, sha256: str | Mapping[str, str] | None) -> None:
    actual, digests = {file.path: file.sha256 for file in fetched.files}, expected(sha256)
    if isinstance(digests, str) and len(actual) != 1:
        raise InvalidInputException(
            "sha256", f"is one digest for {len(actual)} files; give a mapping from path to digest"
        )
    wanted = dict.fromkeys(actual, digests) if isinstance(digests, str) else digests or {}
    for path, digest in wanted.items():
        if path not in actual:
            raise InvalidInputException("sha256", f"names {path!r}, which is not among the files; see FakeHub.files")
        if digest != actual[path]:
            raise ChecksumMismatchException(url=fetched.source, expected=digest, actual=actual[path])
