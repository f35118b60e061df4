"""Bytes that a source brings itself: written, hashed and counted on their way, like those of a download."""

import hashlib
import time
from asyncio import to_thread
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadTooLargeException,
    SizeMismatchException,
)
from kamiwaza_sdk.services.download.schemas import DownloadResult, Validators
from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.sources.context import SourceContext
from kamiwaza_sdk.services.hub.sources.protocol import StreamingSource
from kamiwaza_sdk.services.hub.sources.registry import source_for
from kamiwaza_sdk.services.storage.exceptions import raise_as_storage_error

if TYPE_CHECKING:
    from io import BufferedWriter

    from kamiwaza_sdk.services.download.progress import Reporter

__all__ = ["open_stream", "written"]


def open_stream(file: ManifestFileSchema, context: SourceContext) -> AsyncIterator[bytes]:
    """Return the bytes of a file as its source brings them. Blocks, as finding the source does.

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
    reporter: "Reporter",
) -> DownloadResult:
    """Write a file piece by piece, off the event loop, tell how far it is, and return what it turned out to be.

    Every piece to its end: cancelled, nothing writes any more where the caller clears.

    Raises:
        DownloadTooLargeException: It has over `max_size` bytes (default: ``DOWNLOAD_SERVICE_MAX_SIZE``).
        SizeMismatchException: It has another size than the manifest says.
        ChecksumMismatchException: It has another digest.
        StorageFullException: There is no room for it.
    """
    started = time.monotonic()
    limit = (await to_thread(DownloadConfig)).max_size if max_size is None else max_size
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
    """A file on its way in. `open`, `write` and `close` block.

    Attributes:
        size: Bytes that have come so far.
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
        """Take a piece, unless it is one too many."""
        self.size += len(piece)
        if self.size > self._limit:
            raise DownloadTooLargeException(url=self._url, limit=self._limit, announced=None, received=self.size)
        if self._wanted.size is not None and self.size > self._wanted.size:
            raise SizeMismatchException(url=self._url, expected=self._wanted.size, actual=self.size)
        self._digest.update(piece)
        assert self._file is not None
        self._file.write(piece)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._file is not None:
            self._file.close()

    def result(self, seconds: float) -> DownloadResult:
        """Return what is there, once it is what was wanted."""
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
