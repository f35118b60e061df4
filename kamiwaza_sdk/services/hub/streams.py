"""Streams: ranges of remote files in few requests, and bytes that a source brings itself, verified on their way."""

import hashlib
import time
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadTooLargeException,
    SizeMismatchException,
)
from kamiwaza_sdk.services.download.schemas import DownloadResult, Validators
from kamiwaza_sdk.services.download.transfer.resources import CancelFlag
from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import HubException, InvalidAnswerException, InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext, StreamingSource, source_for
from kamiwaza_sdk.services.storage.exceptions import raise_as_storage_error
from kamiwaza_sdk.services.storage.files import go_on, stopped_when

if TYPE_CHECKING:
    from io import BufferedWriter

    from kamiwaza_sdk.services.download.progress import Reporter


_KIB: Final = 1024
#: What is read first, of a large file more: most headers of safetensors files are in it.
_LEAST: Final = 256 * _KIB
_MOST: Final = (1024 + 64) * _KIB
_SHARE: Final = 2000
#: What is read on of a GGUF file, whose tokenizer can take so much.
_FURTHER: Final = 8 * _KIB * _KIB


class SpentException(HubException):
    """Planning has made as many requests as it may. It never leaves the planning."""


class Allowance:
    """How many requests may still be made: `left`."""

    def __init__(self, requests: int) -> None:
        self.left: int = requests

    def spend(self) -> None:
        """Count a request, or raise `SpentException`."""
        if not self.left:
            raise SpentException("has not been looked into, to keep the requests few")
        self.left -= 1


class RangeReader:
    """Reads one file by ranges, ahead, so that what is asked for next is here already.

    Attributes:
        size: Of the file, in bytes, once `open` has returned.
    """

    def __init__(self, file: ManifestFileSchema, context: SourceContext, allowance: Allowance) -> None:
        self._file = file
        self._context = context
        self._allowance = allowance
        self._offset = 0
        self._known = b""
        self.size: int = 0

    async def open(self) -> None:
        """Read the first bytes, and find out how many there are.

        Raises:
            InvalidAnswerException: The server does not tell, or has another file than the one that is listed.
            DownloadException: They did not arrive.
        """
        size = await self._read(0, _first(self._file.size))
        self.size = self._file.size if self._file.size is not None else size if size is not None else -1
        if self.size < 0:
            raise InvalidAnswerException(url=redacted(self._file.url), reason="does not tell how large the file is")

    async def __call__(self, offset: int, length: int) -> bytes:
        """Return a range."""
        end = offset + length
        if not self._offset <= offset <= end <= self._offset + len(self._known):
            ahead = _FURTHER if self._file.path.lower().endswith(".gguf") else length
            await self._read(offset, min(max(length, ahead), self.size - offset))
        start = offset - self._offset
        return self._known[start : start + length]

    async def _read(self, offset: int, length: int) -> int | None:
        self._allowance.spend()
        part = await self._context.read_range(self._file.url, offset=offset, length=length)
        if part.size is not None and self._file.size not in {None, part.size}:
            reason = f"is of a file of {part.size} bytes, not of the one of {self._file.size} that is listed"
            raise InvalidAnswerException(url=redacted(self._file.url), reason=reason)
        self._offset, self._known = offset, part.body
        return part.size


def _first(size: int | None) -> int:
    """Return how many bytes to read first of a file of that size: little of it, and often all of its header."""
    if size is None:
        return _LEAST
    return max(1, min(size, max(_LEAST, min(_MOST, size // _SHARE))))


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


_T = TypeVar("_T")


async def in_thread(function: Callable[[], _T]) -> _T:
    """Return what `function` returns in a thread. Cancelled, it is told to stop (`go_on`), and waited for."""
    stop = CancelFlag()

    def run() -> _T:
        with stopped_when(stop.is_set):
            go_on()  # it may have waited for a thread until after the cancellation
            return function()

    return await thread_to_its_end(run, stop.set)
