"""Sources: their interface, the registry of their schemes, and the context of their calls.

A source turns an address into a manifest. The library's own schemes come first, then those of installed packages. A
source gets the library's HTTP client, the configuration, and a cache that is kept on disk.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from functools import cache
from http import HTTPStatus
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from urllib.parse import unquote, urljoin, urlsplit

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._tasks import settled, thread_to_its_end
from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.cache import KnownManifests
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import (
    HubException,
    InvalidAnswerException,
    InvalidSourceException,
    OfflineException,
    SourceEntryPointException,
)
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kamiwaza_sdk.services.download.schemas import RangeSchema, ResponseSchema
    from kamiwaza_sdk.services.download.services import DownloadService


#: The largest answer that is held in memory: some ten times the listing of 1,000 files.
_MAX_ANSWER: Final = 16 * 1024**2
#: How many pages a listing may have.
MAX_PAGES: Final = 200
#: A link and its parameters, of which ``rel`` is one or several words.
_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_REL: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s\";,]*))", re.IGNORECASE)


class SourceContext:
    """What `HubService` passes to a source for one call.

    Args:
        config: The hub's settings.
        downloads: The service that sends requests.
        storage: The store; `remember` keeps manifests beside its files.

    Attributes:
        config: The hub's settings.
        storage: The store of the files.
    """

    def __init__(self, *, config: HubConfig, downloads: "DownloadService", storage: StorageService) -> None:
        self.config: HubConfig = config
        self._downloads = downloads
        self.storage: StorageService = storage
        self._manifests = KnownManifests(storage)
        self._pending = list[asyncio.Task[None]]()

    @property
    def offline(self) -> bool:
        """Whether no connection may be opened. `get` and `pages` refuse then; a source's own connections must, too."""
        return self.config.offline

    async def get(self, url: str, *, max_size: int = _MAX_ANSWER) -> "ResponseSchema":
        """Send a request, with retries and redirects, and return the answer, whatever its status is.

        Errors that may go away (429, 5xx, a broken connection) are retried as `DownloadConfig` says, after the time in
        ``Retry-After``.

        Args:
            url: http or https. The token of its host is sent, to that host only.
            max_size: The most bytes to hold in memory.

        Returns:
            Status, headers and body.

        Raises:
            OfflineException: No connection may be opened.
            DownloadException: There was no valid answer in time.
            InvalidInputException: `url` is not a URL.
        """
        if self.offline:
            raise OfflineException(source=redact_text(url))
        return await self._downloads.get(url, max_size=max_size)

    async def read_range(self, url: str, *, offset: int, length: int) -> "RangeSchema":
        """Return a part of a file, as `DownloadService.read_range` does, unless no connection may be opened.

        Args:
            url: http or https. The token of its host is sent, to that host only.
            offset: Where the part begins, in bytes.
            length: How many bytes it has, 1 or more.

        Raises:
            OfflineException: No connection may be opened.
            DownloadException: It did not arrive.
            InvalidInputException: `url` is not a URL.
        """
        if self.offline:
            raise OfflineException(source=redact_text(url))
        return await self._downloads.read_range(url, offset=offset, length=length)

    async def pages(self, url: str, *, max_pages: int = MAX_PAGES) -> "AsyncIterator[ResponseSchema]":
        """Yield a listing page by page, on demand. ``Link: <…>; rel="next"`` leads to the next page (RFC 8288).

        A page whose status is not 200 is yielded, too, as the last one. If a mirror links to the same listing on
        another host, the page is requested from the host of the first page.

        Args:
            url: The first page.
            max_pages: The largest number of pages.

        Raises:
            InvalidAnswerException: The next page belongs to another listing on another origin, or was read already, or
                exceeds `max_pages`.
            OfflineException: No connection may be opened.
            DownloadException: There was no valid answer in time.
        """
        seen: set[str] = set()
        following: str | None = url
        while following is not None:
            if len(seen) == max_pages:
                raise InvalidAnswerException(url=redact_text(url), reason=f"has over {max_pages} pages")
            seen.add(following)
            page = await self.get(following)
            yield page
            following = _next(page, first=url) if page.status == HTTPStatus.OK else None
            if following in seen:
                raise InvalidAnswerException(url=redact_text(url), reason="leads from page to page in a circle")

    async def remember(self, reference: "str | Iterable[str]", manifest: ManifestSchema) -> None:
        """Keep a manifest beside the store, for `recall`. It replaces the one that was kept for this reference.

        It is written in the background, and is on disk when the call ends.

        Args:
            reference: A text that identifies it, including its hub; or several.
            manifest: It is kept unchanged, so it must not contain secrets.
        """
        references = (reference,) if isinstance(reference, str) else (*reference,)
        put = thread_to_its_end(lambda: self._manifests.put(references, manifest))
        self._pending.append(asyncio.ensure_future(put))

    async def _settle(self) -> None:
        """Wait until the manifests are written, also after an error."""
        while self._pending:
            task = self._pending.pop()
            cancelled = await settled(task)
            if cancelled is not None:
                raise cancelled
            task.result()

    async def recall(self, reference: str) -> ManifestSchema:
        """Return the manifest that was remembered last for this reference.

        Args:
            reference: As it was given to `remember`.

        Raises:
            OfflineException: There is none.
        """
        await self._settle()
        manifest = await asyncio.to_thread(self._manifests.get, reference)
        if manifest is None:
            raise OfflineException(source=redact_text(reference))
        return manifest


def _next(page: "ResponseSchema", *, first: str) -> str | None:
    """Return the address of the next page, on the origin of the first."""
    for match in _LINK.finditer(page.headers.get("link", "")):
        relation = _REL.search(match[2])
        if relation is not None and "next" in (relation[1] or relation[2] or "").lower().split():
            try:
                url: str = urljoin(page.url, match[1])
                return _at_origin_of(first, url)
            except ValueError:  # brackets that hold no address
                reason = "leads to what is no URL for its next page"
                raise InvalidAnswerException(url=redact_text(first), reason=reason) from None
    return None


def _at_origin_of(first: str, url: str) -> str:
    """Return the address of a page on the server of the first page.

    Mirrors do not rewrite the links of the hub behind them: these have the same path on another host.
    """
    asked, named = urlsplit(first), urlsplit(url)
    if asked[:2] == named[:2]:
        return url
    same = unquote(named.path).rstrip("/")  # olah adds a slash
    if not same or not unquote(asked.path).endswith(same):  # the endpoint may have a path, too
        reason = "leads to another origin for its next page, and to another listing"
        raise InvalidAnswerException(url=redact_text(first), reason=reason)
    return asked._replace(query=named.query, fragment="").geturl()


@runtime_checkable
class ModelSource(Protocol):
    """Lists the files of an address of its scheme.

    It is created once in a process, without arguments, and all tasks use it.

    A package adds its own by an entry point of the group ``kamiwaza_sdk.sources``, whose name is the scheme. It is
    loaded only when an address has that scheme. The sources of the library cannot be replaced.

    Example:
        >>> class MirrorSource:
        ...     async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        ...         name = reference.removeprefix("mirror://")
        ...         file = ManifestFileSchema(path="model.onnx", url=f"https://example.org/{name}/model.onnx")
        ...         return ManifestSchema(source=reference, name=name, files=(file,))
        >>> isinstance(MirrorSource(), ModelSource)
        True
    """

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return all files of an address. Patterns are applied afterwards.

        Args:
            reference: The address, with its scheme in lower case.
            context: Sends HTTP requests, and has the configuration and remembered manifests. A source that uses only
                this for the network keeps to offline mode, and sends tokens to their hosts only.

        Raises:
            ServiceException: The files of the address cannot be listed.
        """
        ...


@runtime_checkable
class StreamingSource(ModelSource, Protocol):
    """A source that transfers the bytes itself, for files whose URL has its own scheme instead of ``https``.

    The bytes are hashed, verified and counted like those of any other source. An interrupted transfer starts again.
    """

    def stream(self, file: ManifestFileSchema, context: SourceContext) -> AsyncIterator[bytes]:
        """Yield the bytes of a file, in pieces of any size, from the first to the last.

        Args:
            file: One of a manifest of this source.
            context: As `ModelSource.resolve` gets it.

        Raises:
            ServiceException: The file does not arrive completely.
        """
        ...


#: Of the entry points by which packages bring sources, each named by its scheme.
GROUP: Final = "kamiwaza_sdk.sources"
#: Loaded when first needed, and first in line: what is installed cannot take their place.
_OWN: Final = {
    "az": ("kamiwaza_sdk.services.hub.sources.object_storage", "ObjectStorageSource"),
    "gs": ("kamiwaza_sdk.services.hub.sources.object_storage", "ObjectStorageSource"),
    "hf": ("kamiwaza_sdk.services.hub.sources.hugging_face", "HuggingFaceSource"),
    "http": ("kamiwaza_sdk.services.hub.sources.web", "WebSource"),
    "https": ("kamiwaza_sdk.services.hub.sources.web", "WebSource"),
    "ollama": ("kamiwaza_sdk.services.hub.sources.ollama", "OllamaSource"),
    "s3": ("kamiwaza_sdk.services.hub.sources.object_storage", "ObjectStorageSource"),
}


def loaded_source(scheme: str) -> ModelSource | None:
    """Return the source of a scheme if it is one of the library's and is loaded. This does not block."""
    own = _OWN.get(scheme)
    return _own(*own) if own is not None and own[0] in sys.modules else None


def source_for(scheme: str, *, address: str) -> ModelSource:
    """Return the source of a scheme. Blocks: it may import, and read which packages are installed.

    Raises:
        InvalidSourceException: There is none.
        SourceEntryPointException: The package that declares it cannot be used.
    """
    if scheme in _OWN:
        return _own(*_OWN[scheme])
    found = tuple(entry_points(group=GROUP, name=scheme))
    if not found:
        others = sorted({*_OWN, "file", *entry_points(group=GROUP).names})
        known = ", ".join(others)
        way_out = f"write http://… or https://…, or install what brings {scheme}:// ({known} are known)"
        reason = f"is no http or https URL; {way_out}"
        raise InvalidSourceException(redacted(address), reason)
    return _foreign(scheme, found)


@cache
def _own(module: str, name: str) -> ModelSource:
    made: ModelSource = getattr(import_module(module), name)()
    return made


@cache
def _foreign(scheme: str, found: tuple[EntryPoint, ...]) -> ModelSource:
    values = sorted({f"{point.name} = {point.value}" for point in found})  # a path listed twice finds each twice
    if len(values) > 1:
        raise SourceEntryPointException(scheme=scheme, entry_points=values, reason="is one of several for that scheme")
    try:
        made: object = found[0].load()()
    except Exception as error:  # whatever a foreign module does when it is imported
        reason = f"cannot be loaded ({type(error).__name__}: {error})"
        raise SourceEntryPointException(scheme=scheme, entry_points=values, reason=reason) from error
    if not isinstance(made, ModelSource):
        reason = "is no ModelSource: it has no method resolve()"
        raise SourceEntryPointException(scheme=scheme, entry_points=values, reason=reason)
    return made


_KIB: Final = 1024
#: What is read first, of a large file more: most headers of safetensors files are in it.
_LEAST: Final = 256 * _KIB
_MOST: Final = (1024 + 64) * _KIB
_SHARE: Final = 2000
#: What is read on of a GGUF file, whose tokenizer can take so much.
_FURTHER: Final = 8 * _KIB * _KIB


class SpentException(HubException):
    """A plan has used up its requests. This exception never leaves the planning."""


class Allowance:
    """The number of requests that may still be sent: `left`."""

    def __init__(self, requests: int) -> None:
        self.left: int = requests

    def spend(self) -> None:
        """Count a request, or raise `SpentException`."""
        if not self.left:
            raise SpentException("has not been looked into, to keep the requests few")
        self.left -= 1


class RangeReader:
    """Reads one file by ranges, and reads ahead to save requests.

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
        """Read the first bytes, and find out the size of the file.

        Raises:
            InvalidAnswerException: The server does not tell the size, or has another file than the listing.
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
    """Return how many bytes of a file of that size to read first: few, but often all of its header."""
    if size is None:
        return _LEAST
    return max(1, min(size, max(_LEAST, min(_MOST, size // _SHARE))))
