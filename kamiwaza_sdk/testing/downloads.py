"""`FakeDownloads`: downloads without a network, for tests of code that downloads."""

import hashlib
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kamiwaza_sdk._tasks import thread_to_its_end
from kamiwaza_sdk._validation import check_count
from kamiwaza_sdk.services.download.exceptions import DownloadStatusException
from kamiwaza_sdk.services.download.http.hosts import check_url, redact
from kamiwaza_sdk.services.download.partial.file import disk_errors, refuse_all_but_files
from kamiwaza_sdk.services.download.partial.lock import PartialNames
from kamiwaza_sdk.services.download.progress import reporting
from kamiwaza_sdk.services.download.schemas import (
    DownloadRequest,
    DownloadResult,
    ProgressCallback,
    RangeSchema,
    ResponseSchema,
    Validators,
)
from kamiwaza_sdk.services.download.services import DownloadService
from kamiwaza_sdk.services.download.transfer.acquire import ResolvedRequest, expectations, resolve_request

if TYPE_CHECKING:
    from kamiwaza_sdk.exceptions import ServiceException
    from kamiwaza_sdk.services.download.http.client import Resources
    from kamiwaza_sdk.services.download.retries import Attempts
    from kamiwaza_sdk.services.download.transfer.small import Begun, BodyInMemory

__all__ = ["DownloadCall", "FakeDownloads"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class DownloadCall:
    """One call of `FakeDownloads`.

    Attributes:
        url: As it was given.
        path: The absolute path of the file to write; `None` for ``read``, ``get`` and ``read_range``.
        sha256: As it was given.
        size: As it was given.
        max_size: As it was given. `kamiwaza_sdk.ModelService.download_model` gives the registry's limit.
        offset: As it was given to ``read_range``.
        length: As it was given to ``read_range``.
    """

    url: str
    path: Path | None = None
    sha256: str | None = None
    size: int | None = None
    max_size: int | None = None
    offset: int | None = None
    length: int | None = None


class FakeDownloads(DownloadService):
    """Returns the files that it was given, without a network, and records the calls.

    It works like the real service: it writes files, checks digests, sizes and limits, compares validators, and reports
    progress; ``start`` returns a handle to follow and cancel the download. It does not retry or resume.

    Args:
        files: The content of each file, by its URL or by the last segment of that. For any other, the answer is 404.

    Attributes:
        files: The files that it returns. You may change them.
        error: The exception that it raises instead, if it is not `None`.
        calls: Its calls, oldest first; of many files, one for each.

    Example:
        >>> from kamiwaza_sdk.testing import FakeDownloads
        >>> downloads = FakeDownloads({"tiny.onnx": b"weights"})
        >>> asyncio.run(downloads.read("https://example.org/tiny.onnx", max_size=10))
        b'weights'
        >>> [call.max_size for call in downloads.calls]
        [10]
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        super().__init__()
        self.files: dict[str, bytes] = dict(files or {})
        self.error: ServiceException | None = None
        self.calls: list[DownloadCall] = []

    async def read(self, url: str, *, sha256: str | None = None, max_size: int) -> bytes:
        """Return a body, and record the call.

        Args:
            url: The URL of the file.
            sha256: The digest it must have.
            max_size: The largest number of bytes accepted.

        Raises:
            ServiceException: The exception in `error`.
            InvalidInputException: An argument is not valid.
            DownloadStatusException: There is no such file.
            DownloadTooLargeException: It is larger than `max_size`.
            ChecksumMismatchException: It has another digest.
        """
        self._note(DownloadCall(url, sha256=sha256, max_size=max_size))
        shown, wanted = redact(check_url(url)), expectations(limit=max_size, sha256=sha256)
        body = self._body(url, shown)
        wanted.check_announced(len(body), url=shown)
        wanted.check_whole(len(body), hashlib.sha256(body).hexdigest(), url=shown)
        return body

    async def get(self, url: str, *, max_size: int) -> ResponseSchema:
        """Return an answer, 200 with a file or else 404, and record the call.

        Args:
            url: The URL of the file.
            max_size: The largest number of bytes accepted.

        Returns:
            The answer; its headers are ``content-length`` and, with a file, ``etag``.

        Raises:
            ServiceException: The exception in `error`.
            InvalidInputException: An argument is not valid.
            DownloadTooLargeException: The file is larger than allowed.

        Example:
            >>> from kamiwaza_sdk.testing import FakeDownloads
            >>> downloads = FakeDownloads({"tiny.onnx": b"weights"})
            >>> asyncio.run(downloads.get("https://example.org/tiny.onnx", max_size=10)).body
            b'weights'
            >>> asyncio.run(downloads.get("https://example.org/other.onnx", max_size=10)).status
            404
        """
        self._note(DownloadCall(url, max_size=max_size))
        wanted, target = expectations(limit=max_size), check_url(url)
        body = self._find(url, redact(target))
        wanted.check_announced(len(body or b""), url=redact(target))
        return _response(str(target.with_user(None)), body)

    async def read_range(self, url: str, *, offset: int, length: int) -> RangeSchema:
        """Return a part of a file, and record the call.

        Args:
            url: The URL of the file.
            offset: Where the part begins, in bytes.
            length: The number of bytes, 1 or more. If the file ends earlier, fewer are returned.

        Returns:
            The bytes, and the size of the file.

        Raises:
            ServiceException: The exception in `error`.
            InvalidInputException: An argument is not valid.
            DownloadStatusException: There is no such file.

        Example:
            >>> from kamiwaza_sdk.testing import FakeDownloads
            >>> downloads = FakeDownloads({"tiny.onnx": b"weights"})
            >>> part = asyncio.run(downloads.read_range("https://example.org/tiny.onnx", offset=2, length=3))
            >>> part.body, part.size
            (b'igh', 7)
        """
        self._note(DownloadCall(url, offset=offset, length=length))
        check_count(offset, field="offset")
        check_count(length, field="length", least=1)
        body = self._body(url, redact(check_url(url)))
        return RangeSchema(offset=offset, size=len(body), body=body[offset : offset + length])

    async def _small_or(
        self,
        request: DownloadRequest,
        *,
        progress: bool | ProgressCallback,
        larger: "Callable[[Callable[[Path], Awaitable[DownloadResult]]], Awaitable[_T]]",
        to: "Resources | None" = None,
    ) -> "BodyInMemory | _T":
        return await larger(lambda into: self._bring(request.model_copy(update={"path": into}), progress=progress))

    async def _transfer(
        self,
        request: DownloadRequest,
        into: Path,
        resources: "Resources",
        *,
        progress: bool | ProgressCallback,
        keep_partial: Callable[[], bool] = lambda: True,
        attempts: "Attempts | None" = None,
        begun: "Begun | None" = None,
    ) -> DownloadResult:
        self._note(DownloadCall(request.url, request.path, request.sha256, request.size, request.max_size))
        order = resolve_request(request, into, max_size=(await self._ready()).max_size)
        async with reporting(progress, order.shown, order.path) as reporter:
            if (standing := await thread_to_its_end(lambda: _standing(order))) is not None:
                reporter.reused = standing.bytes_reused
                reporter.finish(standing.bytes_reused, standing.bytes_reused)
                return standing
            body = self._body(request.url, order.shown)
            result = _result(order, body)
            if not result.not_modified:
                order.expectations.check_announced(len(body), url=order.shown)
                reporter.advance(0, len(body))
                order.expectations.check_whole(len(body), str(result.sha256), url=order.shown)
                await thread_to_its_end(lambda: _write(order, body))
            reporter.finish(result.size or 0, result.size)
        return result

    def _note(self, call: DownloadCall) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    def _body(self, url: str, shown: str) -> bytes:
        body = self._find(url, shown)
        if body is None:
            raise DownloadStatusException(url=shown, status=HTTPStatus.NOT_FOUND, reason="Not Found")
        return body

    def _find(self, url: str, shown: str) -> bytes | None:
        return self.files.get(url, self.files.get(shown.rpartition("/")[2]))


def _etag(digest: str) -> str:
    return f'"{digest}"'


def _response(url: str, body: bytes | None) -> ResponseSchema:
    if body is None:
        return ResponseSchema(url=url, status=HTTPStatus.NOT_FOUND, headers={"content-length": "0"}, body=b"")
    headers = {"content-length": str(len(body)), "etag": _etag(hashlib.sha256(body).hexdigest())}
    return ResponseSchema(url=url, status=HTTPStatus.OK, headers=headers, body=body)


def _result(order: ResolvedRequest, body: bytes) -> DownloadResult:
    digest = hashlib.sha256(body).hexdigest()
    current = Validators(etag=_etag(digest))
    same = order.validators is not None and order.validators.etag == current.etag
    return DownloadResult(
        url=order.shown,
        final_url=order.shown,
        path=order.path if same else order.into,
        size=None if same else len(body),
        sha256=None if same else digest,
        bytes_fetched=0 if same else len(body),
        validators=current,
        not_modified=same,
        seconds=0.0,
    )


def _standing(order: ResolvedRequest) -> DownloadResult | None:
    """Return the file at the path, if it has the wanted digest, as the real service does. Blocks."""
    sha256 = order.expectations.sha256
    with disk_errors(order.path, url=order.shown):
        size = None if sha256 is None else _size_of(order.path, sha256)
    if size is None or not order.expectations.admit(size):
        return None
    return DownloadResult(
        url=order.shown,
        final_url=order.shown,
        path=order.path,
        size=size,
        sha256=sha256,
        bytes_fetched=0,
        bytes_reused=size,
        validators=Validators(),
        seconds=0.0,
    )


def _size_of(path: Path, sha256: str) -> int | None:
    """Return the size of the file if it has this digest; `None` if it does not, or cannot be read."""
    if path.is_symlink() or not path.is_file():
        return None
    with suppress(FileNotFoundError, PermissionError), path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
            return file.tell()
    return None


def _write(order: ResolvedRequest, body: bytes) -> None:
    """Write to a temporary file, and rename it when it is complete. Blocks."""
    # Of a name of its own: two calls for one path may write at once.
    aside = Path(PartialNames(order.into).beside(f"-{secrets.token_hex(8)}.fake"))
    with disk_errors(order.into, url=order.shown):
        refuse_all_but_files(order.into)
        aside.write_bytes(body)
        os.replace(aside, order.into)  # noqa: PTH105 - as the real one does
