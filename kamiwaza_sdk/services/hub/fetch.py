"""Fetch: copies, downloads or streams the files of one manifest into the store, and verifies each."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk._tasks import for_each, thread_to_its_end
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadDiskException,
    DownloadStatusException,
    DownloadTooLargeException,
    SizeMismatchException,
)
from kamiwaza_sdk.services.download.progress import (
    ProgressOfName,
    Reporter,
    check_progress,
    ignoring,
    reporting,
    showing,
)
from kamiwaza_sdk.services.download.schemas import DownloadRequest, DownloadResult, Validators
from kamiwaza_sdk.services.download.transfer.write import SLOT_SIZE
from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.arrivals import Arrivals
from kamiwaza_sdk.services.hub.cache import Kept, KeptFiles, result_of
from kamiwaza_sdk.services.hub.details import first_bytes, refuse_page
from kamiwaza_sdk.services.hub.exceptions import (
    InvalidSourceException,
    ModelTooLargeException,
    OfflineException,
    PolicyViolationException,
    RepositoryAccessException,
)
from kamiwaza_sdk.services.hub.fleet import one_of_all
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
from kamiwaza_sdk.services.hub.schemas.results import Fetched, FetchedFile
from kamiwaza_sdk.services.hub.sources import by_content
from kamiwaza_sdk.services.hub.sources.local import check_git_blob, check_git_blob_of, check_inside, in_thread
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext, StreamingSource, source_for
from kamiwaza_sdk.services.storage.exceptions import raise_as_storage_error
from kamiwaza_sdk.services.storage.files import check_room
from kamiwaza_sdk.services.storage.schemas import BlobSchema, WantedBlob
from kamiwaza_sdk.services.storage.services import StorageService
from kamiwaza_sdk.services.storage.small import SmallBody
from kamiwaza_sdk.services.storage.staging import StagedKeys, prepared_once

if TYPE_CHECKING:
    from io import BufferedWriter

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService


#: How many files are staged at once; how many of them travel is the download service's to say.
_MAX_STAGED: Final = 32
#: Brings a file to a path.
_Bring = Callable[[Path], Awaitable[DownloadResult]]
_REFUSED: Final = frozenset({401, 403})


def check_fetch(source: object, *, max_size: object, progress: object) -> None:
    """Check the arguments of a fetch before anything is read.

    Raises:
        InvalidInputException: `max_size` is no number of bytes, or `progress` can be told nothing.
        PolicyViolationException: The source is a plan that a policy speaks against.
    """
    check_max_size(max_size)
    check_progress(progress)
    if isinstance(source, PlanSchema) and source.violations:
        way_out = "fetch(plan.manifest) brings it all the same"
        raise PolicyViolationException(subject=source.source, violations=source.violations, way_out=way_out)


def refuse_over_limit(manifest: ManifestSchema, max_size: int | None) -> None:
    """Raise if the files of a source have too many bytes together, as far as sizes are known.

    Raises:
        ModelTooLargeException: They have.
    """
    size = 0 if max_size is None else sum(file.size or 0 for file in manifest.files)
    if max_size is not None and size > max_size:
        raise ModelTooLargeException(source=manifest.source, size=size, limit=max_size)


def check_max_size(value: object) -> None:
    """Refuse a value that is not a number of bytes.

    Raises:
        InvalidInputException: It is none.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return
    problem = value if type(value) is int else f"a {type(value).__name__}"
    raise InvalidInputException("max_size", f"is {problem}; give a whole number of bytes, 0 or more, or None")


def _digested(files: Iterable[ManifestFileSchema]) -> Iterator[WantedBlob]:
    """Yield the files that can be found in other stores, because their digests are known."""
    for file in files:
        if file.sha256 is not None and file.scheme != "file":
            yield WantedBlob(file.sha256, file.size)


class Fetching:
    """One fetch: its manifest, its limits, and its progress."""

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
        self._arrivals = Arrivals(storage, self._kept)
        self._had = dict[str, Kept]()  # what the store had when the fetch began, by path
        self._file_limit: int | None = None  # what downloads are set to accept
        self._usual_limit = 0  # what they accept where nobody has set it
        self._told: ProgressOfName = ignoring
        self._size = 0
        self._fetched = 0
        self._reused = 0

    async def run(self) -> Fetched:
        """Bring each content once, and return the blobs of the store."""
        contents = await in_thread(lambda: by_content(self._manifest.files))
        firsts = [names[0] for names in contents]
        refuse_over_limit(self._manifest, self._max_size)  # what counts is what was copied, as files grow
        await in_thread(lambda: self._storage._bring_all(_digested(firsts)))
        self._had = await in_thread(lambda: self._kept.find_all(self._away_or_pinned(firsts)))
        if self._context.offline:
            self._refuse_missing(firsts)
        await self._refuse_large_files()
        sizes = [file.size for file in firsts]
        is_wanted, alone = self._progress is True, len(firsts) == 1
        async with showing(is_wanted, self._manifest.name, sizes=sizes, alone=alone) as self._told:
            blobs = await self._bring_all(firsts)
        return await in_thread(lambda: self._result(contents, blobs))

    async def _bring_all(self, firsts: list[ManifestFileSchema]) -> list[BlobSchema]:
        pinned, missing = self._pinned(firsts), self._missing(firsts)
        async with one_of_all(pinned, missing, self._storage, self._kept) as is_brought:
            if is_brought:
                self._had |= await in_thread(lambda: self._kept.find_all(missing))
            self._staged_keys = await in_thread(lambda: self._refuse_without_room(firsts))
            with prepared_once():
                async with self._arrivals.open():
                    taking = for_each(self._take, firsts, at_once=_MAX_STAGED)
                    return await self._downloads._owned(taking, url=self._manifest.source)

    def _progress_of(self, file: ManifestFileSchema) -> "bool | ProgressCallback":
        """Return the reporter of a file's progress."""
        return self._told(file.path) if self._progress is True else self._progress

    @staticmethod
    def _away_or_pinned(files: Iterable[ManifestFileSchema]) -> list[ManifestFileSchema]:
        return [file for file in files if file.is_pinned or file.scheme != "file"]

    @staticmethod
    def _pinned(files: Iterable[ManifestFileSchema]) -> list[ManifestFileSchema]:
        """Return the files elsewhere that can be recognised again."""
        return [file for file in files if file.local is None and file.is_pinned]

    def _missing(self, files: Iterable[ManifestFileSchema]) -> list[ManifestFileSchema]:
        """Return the files that are not here and may be fetched."""
        return [] if self._context.offline else [file for file in self._pinned(files) if file.path not in self._had]

    def _result(self, contents: list[list[ManifestFileSchema]], blobs: list[BlobSchema]) -> Fetched:
        self._refuse_over_limit(sum(len(names) * blob.size for names, blob in zip(contents, blobs, strict=True)))
        files = [
            FetchedFile(path=file.path, size=blob.size, sha256=blob.sha256)
            for names, blob in zip(contents, blobs, strict=True)
            for file in names
        ]
        manifest, changed = self._manifest, tuple[str, ...]()
        if manifest.files[0].inside is not None:  # of a directory
            from kamiwaza_sdk.services.hub.adopters.hugging_face import origin_of

            origin = origin_of(manifest, files, self._storage)
            manifest = manifest if origin.commit is None else manifest.model_copy(update={"revision": origin.commit})
            changed = origin.changed
        return result_of(
            manifest, Fetched, files, bytes_fetched=self._fetched, bytes_reused=self._reused, changed=changed
        )

    async def _take(self, file: ManifestFileSchema) -> BlobSchema:
        return await (self._copy(file) if file.local is not None else self._bring(file))

    async def _copy(self, file: ManifestFileSchema) -> BlobSchema:
        async with self._reporting(file) as reporter:
            reporter.advance(0, file.size)
            return self._here(await in_thread(lambda: self._add(file)), reporter)

    def _add(self, file: ManifestFileSchema) -> BlobSchema:
        """Copy a file into the store, unless its path leads elsewhere now. Blocks."""
        blob = self._storage.add(check_inside(file), sha256=file.sha256)
        check_git_blob(file, blob.path)  # not the source, which may change meanwhile
        self._arrivals.learn(file, blob, Validators())
        return blob

    async def _bring(self, file: ManifestFileSchema) -> BlobSchema:
        """Bring a file that is not on this machine: from the store, over HTTP, or by its own source."""
        if self._context.offline:
            return await self._reused_whole(file, self._had[file.path].blob)
        if file.scheme not in {"http", "https"}:
            return await self._stream(file)
        try:
            return await self._transfer(file)
        except DownloadStatusException as error:
            if self._manifest.gated and error.status in _REFUSED:
                raise self._gated() from error
            raise

    def _gated(self) -> RepositoryAccessException:
        manifest = self._manifest
        return RepositoryAccessException(
            repository=manifest.repository or manifest.source,
            url=manifest.page or manifest.source,
            authenticated=self._context.config.hf_token is not None,
            gated=True,
        )

    async def _refuse_large_files(self) -> None:
        """Raise if a file is larger than the limit of downloads, if one is set."""
        if self._max_size is not None or all(file.local is not None for file in self._manifest.files):
            return
        config = await self._downloads._ready()
        if "max_size" not in config.model_fields_set:
            self._usual_limit = config.max_size
            return
        self._file_limit = config.max_size
        for file in self._manifest.files:
            if file.local is None and (file.size or 0) > config.max_size:
                url = redacted(file.url)
                raise DownloadTooLargeException(url=url, limit=config.max_size, announced=file.size, received=0)

    def _refuse_without_room(self, files: Iterable[ManifestFileSchema]) -> StagedKeys:
        """Raise if there is no space for the files to transfer or copy, as far as sizes are known. Blocks.

        Returns:
            The number of bytes that are staged already.
        """
        root = self._storage.root
        staged = StagedKeys(root)
        coming = [file for file in files if file.size and not (file.is_pinned and file.path in self._had)]
        needed = sum(max((file.size or 0) - staged.size(_key_of(file)), 0) for file in coming)
        self._storage.check_quota(needed)
        check_room(root, needed)
        return staged

    def _refuse_missing(self, files: Iterable[ManifestFileSchema]) -> None:
        """Raise unless all files are in the store."""
        missing = [file.path for file in files if file.local is None and file.path not in self._had]
        if missing:
            raise OfflineException(source=self._manifest.source, missing=missing)

    async def _stream(self, file: ManifestFileSchema) -> BlobSchema:
        kept = self._had.get(file.path)
        if kept is not None and file.is_pinned:
            return await self._reused_whole(file, kept.blob)
        pieces = await asyncio.to_thread(open_stream, file, self._context)
        async with self._staged(None) as path, self._reporting(file) as reporter:
            limit = None if self._max_size is None else self._max_size - self._size
            result = await written(pieces, path, file=file, max_size=limit, reporter=reporter)
            self._fetched += result.bytes_fetched
            self._count(result.bytes_fetched, reused=0)
            blob = await in_thread(lambda: self._publish(file, path, result))
            reporter.finish(blob.size, blob.size)
            return blob

    async def _transfer(self, file: ManifestFileSchema) -> BlobSchema:
        kept = self._had.get(file.path)
        if kept is not None and file.has_digest:
            return await self._reused_whole(file, kept.blob)
        # What another has brought meanwhile need not travel; a small file is here before that is known.
        if self._is_large(file):
            return await self._transfer_large(file, await in_thread(lambda: self._kept.find(file)))
        request = DownloadRequest.model_construct(  # of a manifest, which is validated
            url=file.url,
            path=Path(file.path),
            sha256=file.sha256,
            size=file.size,
            max_size=self._limit(file),
            validators=None if kept is None else kept.validators,
        )
        brought = await self._downloads._small_or(
            request,
            progress=self._progress_of(file),
            larger=lambda bring: self._staged_transfer(file, kept, bring),
        )
        if isinstance(brought, BlobSchema):
            return brought
        self._fetched += brought.fetched
        if brought.content is None:
            assert kept is not None, "only what is kept can be unchanged"
            self._count(kept.blob.size, reused=kept.blob.size)
            return kept.blob
        self._count(len(brought.content), reused=0)
        check_git_blob_of(file, brought.content)
        self._refuse_page(file, brought.content)
        await self._arrivals.keep(file, SmallBody(brought.sha256, brought.content), brought.validators)
        path = self._storage.path(brought.sha256)
        return BlobSchema(sha256=brought.sha256, size=len(brought.content), path=path)

    def _is_large(self, file: ManifestFileSchema) -> bool:
        """Return whether a file is transferred to a path: it is not small, or an earlier fetch may have begun it."""
        return _key_of(file) in self._staged_keys if file.size is None else file.size > SLOT_SIZE

    async def _transfer_large(self, file: ManifestFileSchema, kept: Kept | None) -> BlobSchema:
        if kept is not None and file.has_digest:
            return await self._reused_whole(file, kept.blob)
        validators = None if kept is None else kept.validators
        return await self._staged_transfer(file, kept, lambda path: self._download(file, path, validators))

    async def _staged_transfer(self, file: ManifestFileSchema, kept: Kept | None, bring: _Bring) -> BlobSchema:
        async with self._staged(_key_of(file)) as place:
            path = place.with_name(PurePosixPath(file.path).name)  # what a progress bar shows
            try:
                return await self._brought(file, path, kept, bring)
            finally:
                if file.sha256 is None:  # whole or not, by nothing could the next fetch tell that it is right
                    await thread_to_its_end(lambda: _unlink(path))

    async def _brought(self, file: ManifestFileSchema, path: Path, kept: Kept | None, bring: _Bring) -> BlobSchema:
        try:
            result = await bring(path)
        except DownloadDiskException as error:  # the disk is the store's
            raise_as_storage_error(error, path)
        if kept is not None and result.not_modified:
            self._count(kept.blob.size, reused=kept.blob.size)
            return kept.blob
        assert result.size is not None
        self._fetched += result.bytes_fetched
        self._count(result.size, reused=result.bytes_reused)
        return await in_thread(lambda: self._publish(file, path, result))

    async def _download(self, file: ManifestFileSchema, path: Path, validators: Validators | None) -> DownloadResult:
        return await self._downloads.download(
            file.url,
            path,
            sha256=file.sha256,
            size=file.size,
            max_size=self._limit(file),
            validators=validators,
            progress=self._progress_of(file),
        )

    def _limit(self, file: ManifestFileSchema) -> int | None:
        """Return the most bytes to accept for a file, `None` for the limit of downloads.

        The default limit protects against endless bodies; a size that is known beforehand does so, too.
        """
        if self._max_size is not None:
            return self._max_size - self._size
        return self._file_limit or (None if file.size is None else max(file.size, self._usual_limit))

    def _publish(self, file: ManifestFileSchema, path: Path, result: DownloadResult) -> BlobSchema:
        """Move a downloaded file into the store, and remember the content of its URL. Blocks."""
        assert result.sha256 is not None
        assert result.size is not None
        blob = self._take_over(file, path, result.sha256, result.size)
        self._arrivals.learn(file, blob, result.validators)
        return blob

    def _take_over(self, file: ManifestFileSchema, path: Path, sha256: str, size: int) -> BlobSchema:
        try:
            self._check(file, path)
            return self._storage.publish(path, sha256=sha256, size=size)
        except InvalidSourceException:  # an InvalidInputException as well
            raise
        except (FileNotFoundError, InvalidInputException):  # gone: who brought it for us both has taken it there
            blob = self._storage.get(sha256, size=size)
            self._check(file, blob.path)
            return blob

    def _check(self, file: ManifestFileSchema, path: Path) -> None:
        """Refuse bytes that differ from the listing, or an HTML page if the source is a single URL. Blocks."""
        check_git_blob(file, path)
        self._refuse_page(file, path)

    def _refuse_page(self, file: ManifestFileSchema, body: bytes | Path) -> None:
        if self._manifest.hub is None and len(self._manifest.files) == 1 and file.sha256 is None:
            head = first_bytes(body) if isinstance(body, Path) else body
            refuse_page(file, head, endpoint=self._context.config.hf_endpoint)

    def _reporting(self, file: ManifestFileSchema) -> reporting:
        """Return the reporter of a file that the download service does not transfer."""
        return reporting(self._progress_of(file), redacted(file.url), Path(file.path))

    async def _reused_whole(self, file: ManifestFileSchema, blob: BlobSchema) -> BlobSchema:
        async with self._reporting(file) as reporter:
            return self._here(blob, reporter)

    def _here(self, blob: BlobSchema, reporter: Reporter) -> BlobSchema:
        self._count(blob.size, reused=blob.size)
        reporter.reused = blob.size
        reporter.finish(blob.size, blob.size)
        return blob

    def _count(self, size: int, *, reused: int) -> None:
        self._size += size
        self._reused += reused
        self._refuse_over_limit(self._size)

    def _refuse_over_limit(self, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            raise ModelTooLargeException(source=self._manifest.source, size=size, limit=self._max_size)

    @asynccontextmanager
    async def _staged(self, key: str | None) -> AsyncIterator[Path]:
        """Stage in a thread, because creating and removing the place blocks.

        Both are completed, also when cancelled, so that no stage is left behind.
        """
        with_stage = ExitStack()
        try:
            yield await thread_to_its_end(lambda: with_stage.enter_context(self._storage.stage(key)))
        finally:
            await thread_to_its_end(with_stage.close)


def _key_of(file: ManifestFileSchema) -> str:
    """Return the key under which a file is staged."""
    return file.sha256 or file.url


def _unlink(path: Path) -> None:
    with suppress(OSError):  # what is raised, or was brought, matters more
        path.unlink(missing_ok=True)


def open_stream(file: ManifestFileSchema, context: SourceContext) -> AsyncIterator[bytes]:
    """Return the stream of a file from its source. Blocks, because it may load the source.

    Raises:
        InvalidSourceException: Nothing brings files of its scheme.
        SourceEntryPointException: What should does not.
    """
    source = source_for(file.scheme, address=file.url)
    if not isinstance(source, StreamingSource):
        reason = f"is no http or https URL, and the source of {file.scheme}:// brings no bytes: it has no stream()"
        raise InvalidSourceException(redacted(file.url), reason)
    return source.stream(file, context)


async def written(
    pieces: AsyncIterator[bytes],
    path: Path,
    *,
    file: ManifestFileSchema,
    max_size: int | None,
    reporter: Reporter,
) -> DownloadResult:
    """Write a file piece by piece in a thread, report progress, and return the checked result.

    Each write is completed: after a cancellation, nothing is written while the caller cleans up.

    Raises:
        DownloadTooLargeException: It has over `max_size` bytes (default: ``DOWNLOAD_SERVICE_MAX_SIZE``).
        SizeMismatchException: It has another size than the manifest says.
        ChecksumMismatchException: It has another digest.
        StorageFullException: There is no room for it.
    """
    started = time.monotonic()
    limit = (await asyncio.to_thread(DownloadConfig)).max_size if max_size is None else max_size
    try:
        writer = _Writer(path, file, limit)
        try:
            await thread_to_its_end(writer.open)
            async for piece in pieces:
                await thread_to_its_end(partial(writer.write, piece))
                reporter.advance(writer.size, file.size)
        finally:
            await thread_to_its_end(writer.close)
    except OSError as error:
        raise_as_storage_error(error, path)
    return writer.result(time.monotonic() - started)


class _Writer:
    """A file that is being received. `open`, `write` and `close` block.

    Attributes:
        size: The number of received bytes.
    """

    def __init__(self, path: Path, file: ManifestFileSchema, limit: int) -> None:
        self._path = path
        self._wanted = file
        self._limit = limit
        self._url = redacted(file.url)
        self._digest = hashlib.sha256()
        self.size = 0
        self._file: BufferedWriter | None = None

    def open(self) -> None:
        """Make the file."""
        self._file = self._path.open("xb")

    def write(self, piece: bytes) -> None:
        """Write a piece, unless it exceeds the limit."""
        self.size += len(piece)
        if self.size > self._limit:
            raise DownloadTooLargeException(url=self._url, limit=self._limit, announced=None, received=self.size)
        if self._wanted.size is not None and self.size > self._wanted.size:
            raise SizeMismatchException(url=self._url, expected=self._wanted.size, actual=self.size)
        self._digest.update(piece)
        assert self._file is not None
        self._file.write(piece)

    def close(self) -> None:
        """Write the rest in memory."""
        if self._file is not None:
            self._file.close()

    def result(self, seconds: float) -> DownloadResult:
        """Return the result after its checks."""
        sha256, wanted = self._digest.hexdigest(), self._wanted
        if wanted.size is not None and self.size != wanted.size:
            raise SizeMismatchException(url=self._url, expected=wanted.size, actual=self.size)
        if wanted.sha256 is not None and sha256 != wanted.sha256:
            raise ChecksumMismatchException(url=self._url, expected=wanted.sha256, actual=sha256)
        return DownloadResult(
            url=self._url,
            final_url=self._url,
            path=self._path,
            size=self.size,
            sha256=sha256,
            bytes_fetched=self.size,
            validators=Validators(),
            seconds=seconds,
        )
