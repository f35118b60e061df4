"""`HubService` and `fetch`: from a source to verified files in the store, without a database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TypeVar

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.exceptions import SourceTooLargeException
from kamiwaza_sdk.services.hub.schemas.fetched import Fetched, FetchedFile
from kamiwaza_sdk.services.hub.sources import LocalFile, Manifest, RemoteFile, Source, resolve_source
from kamiwaza_sdk.services.hub.validators import KnownFile, KnownFiles
from kamiwaza_sdk.services.storage.exceptions import raise_as_storage_error
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import DownloadResult, ProgressCallback, Validators
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.storage.schemas import BlobSchema

__all__ = ["HubService", "Source", "fetch"]

#: How many files are staged at once; how many of them travel is the download service's to say.
_MAX_STAGED: Final = 32

_T = TypeVar("_T")


async def fetch(
    source: Source,
    *,
    sha256: str | Mapping[str, str] | None = None,
    max_size: int | None = None,
    progress: "bool | ProgressCallback" = False,
) -> Fetched:
    """Bring a source's files into the store, verified. Uses no database: give the result to `ModelService.register`.

    A file whose digest is known and kept is not requested again. One that was fetched before from a server that names
    its content (``ETag``, ``Last-Modified``) costs one conditional request. Any other travels again, and is kept once.
    One that broke off goes on where it stopped, as `DownloadService.download` says; what there is of it stays in the
    store for a week. Of several fetches of the same at once, one brings it.

    Args:
        source: One http or https URL, several, or a file or directory on this machine. Files of several URLs are named
            from the directory that all URLs lie in, or, from several hosts, each by its last segment.
        sha256: The digest that the file must have; for several files a mapping from path to digest.
        max_size: The most bytes to accept, all files together; 0 accepts empty files only. Default: no limit for local
            files, and ``DOWNLOAD_SERVICE_MAX_SIZE`` for each file that travels.
        progress: `True` for a progress bar a file (extra ``notebook``), or what to call with `DownloadProgress`.

    Returns:
        The files, the bytes that travelled, and a name that the source suggests.

    Raises:
        InvalidSourceException: The source is empty, missing, or leads out of itself.
        InvalidUrlException: It is a URL, but none that can be fetched.
        InvalidPathException: A file has a path that cannot stand in a model.
        InvalidInputException: An argument is of a wrong kind, or `sha256` does not fit the files.
        SourceTooLargeException: The files have over `max_size` bytes together.
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
    return await HubService().fetch(source, sha256=sha256, max_size=max_size, progress=progress)


class HubService:
    """Turns sources into verified files in the store.

    Args:
        storage: Where files are kept. Default: the store that ``STORAGE_SERVICE_ROOT`` names.
        downloads: What files travel by. Default: one of its own for each fetch.

    Example:
        >>> hub = HubService(storage=StorageService(StorageConfig(root=directory / "store")))
        >>> asyncio.run(hub.fetch(directory / "model.onnx")).size
        7
    """

    def __init__(self, *, storage: StorageService | None = None, downloads: "DownloadService | None" = None) -> None:
        self.storage: StorageService = storage or StorageService()
        self._downloads = downloads

    async def fetch(
        self,
        source: Source,
        *,
        sha256: str | Mapping[str, str] | None = None,
        max_size: int | None = None,
        progress: "bool | ProgressCallback" = False,
    ) -> Fetched:
        """Bring a source's files into the store, verified. Everything said of the function `fetch` holds.

        Args:
            source: As the function takes it.
            sha256: As the function takes it.
            max_size: As the function takes it.
            progress: As the function takes it.

        Raises:
            ServiceException: Whatever the function raises.
        """
        _check_max_size(max_size)
        manifest = await asyncio.to_thread(resolve_source, source, sha256=sha256)
        async with self._opened_downloads() as downloads:
            fetching = _Fetching(manifest, self.storage, downloads, max_size=max_size, progress=progress)
            return await fetching.run()

    @asynccontextmanager
    async def _opened_downloads(self) -> "AsyncIterator[DownloadService]":
        from kamiwaza_sdk.services.download.services import DownloadService

        if self._downloads is not None:
            yield self._downloads
            return
        async with DownloadService() as downloads:
            yield downloads


def _check_max_size(value: object) -> None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return
    problem = value if type(value) is int else f"a {type(value).__name__}"
    raise InvalidInputException("max_size", f"is {problem}; give a whole number of bytes, 0 or more, or None")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the store has of a file, and what its server can be asked to compare."""

    blob: "BlobSchema"
    validators: "Validators | None"


class _Fetching:
    """One fetch: its manifest, what it may cost, and what it came to so far."""

    def __init__(
        self,
        manifest: Manifest,
        storage: StorageService,
        downloads: "DownloadService",
        *,
        max_size: int | None,
        progress: "bool | ProgressCallback",
    ) -> None:
        self._manifest = manifest
        self._storage = storage
        self._downloads = downloads
        self._max_size = max_size
        self._progress = progress
        self._size = 0
        self._fetched = 0
        self._reused = 0

    async def run(self) -> Fetched:
        # A cheap early word: what counts is what was copied, as files grow.
        self._refuse_over_limit(sum(file.size for file in self._manifest.files if isinstance(file, LocalFile)))
        slots = asyncio.Semaphore(_MAX_STAGED)
        files = await _all_or_first_error(self._take(file, slots) for file in self._manifest.files)
        return Fetched(
            source=self._manifest.source,
            name=self._manifest.name,
            files=tuple(sorted(files, key=lambda file: file.path)),
            bytes_fetched=self._fetched,
            bytes_reused=self._reused,
        )

    async def _take(self, file: RemoteFile | LocalFile, slots: asyncio.Semaphore) -> FetchedFile:
        async with slots:
            blob = await (self._copy(file) if isinstance(file, LocalFile) else self._transfer(file))
        return FetchedFile(path=file.path, size=blob.size, sha256=blob.sha256)

    async def _copy(self, file: LocalFile) -> "BlobSchema":
        return self._reused_whole(await asyncio.to_thread(self._add, file))

    def _add(self, file: LocalFile) -> "BlobSchema":
        """Copy a file into the store, unless it leads elsewhere by now. Blocks."""
        file.check()
        return self._storage.add(file.file, sha256=file.sha256)

    async def _transfer(self, file: RemoteFile) -> "BlobSchema":
        kept = await asyncio.to_thread(self._find, file)
        if kept is not None and file.sha256 is not None:
            return self._reused_whole(kept.blob)
        async with self._staged(file.sha256 or file.url) as place:
            path = place.with_name(PurePosixPath(file.path).name)  # what a progress bar shows
            try:
                return await self._brought(file, path, kept)
            finally:
                if file.sha256 is None:  # whole or not, by nothing could the next fetch tell that it is right
                    await _to_its_end(lambda: path.unlink(missing_ok=True))

    async def _brought(self, file: RemoteFile, path: Path, kept: "_Kept | None") -> "BlobSchema":
        result = await self._download(file, path, None if kept is None else kept.validators)
        if kept is not None and result.not_modified:
            return self._reused_whole(kept.blob)
        assert result.size is not None
        self._fetched += result.bytes_fetched
        self._count(result.size, reused=result.bytes_reused)
        return await asyncio.to_thread(self._publish, file, path, result)

    async def _download(self, file: RemoteFile, path: Path, validators: "Validators | None") -> "DownloadResult":
        from kamiwaza_sdk.services.download.exceptions import DownloadDiskException

        try:
            return await self._downloads.download(
                file.url,
                path,
                sha256=file.sha256,
                max_size=None if self._max_size is None else self._max_size - self._size,
                validators=validators,
                progress=self._progress,
            )
        except DownloadDiskException as error:  # the disk is the store's
            raise_as_storage_error(error, path)

    def _find(self, file: RemoteFile) -> "_Kept | None":
        """Return what the store has of a file: by its digest, or else by what its URL led to before. Blocks."""
        if file.sha256 is not None:
            blob = self._storage.find(file.sha256)
            return None if blob is None else _Kept(blob, None)
        known = self._known.get(file.url)
        blob = None if known is None else self._storage.find(known.sha256, size=known.size)
        return None if blob is None or known is None else _Kept(blob, known.validators)

    def _publish(self, file: RemoteFile, path: Path, result: "DownloadResult") -> "BlobSchema":
        """Take a downloaded file into the store, and remember what its URL led to. Blocks."""
        assert result.sha256 is not None
        assert result.size is not None
        blob = self._take_over(path, result.sha256, result.size)
        if result.validators.etag or result.validators.last_modified:
            known = KnownFile(sha256=blob.sha256, size=blob.size, validators=result.validators)
            self._known.put(file.url, known)
        return blob

    def _take_over(self, path: Path, sha256: str, size: int) -> "BlobSchema":
        try:
            return self._storage.publish(path, sha256=sha256, size=size)
        except InvalidInputException:  # gone: who brought it for us both has taken it there
            return self._storage.get(sha256, size=size)

    @cached_property
    def _known(self) -> KnownFiles:
        return KnownFiles(self._storage.root)

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
    async def _staged(self, key: str) -> AsyncIterator[Path]:
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
