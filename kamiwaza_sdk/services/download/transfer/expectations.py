"""A validated request, and the checks of a body: when it is announced, while it arrives, and when it is whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kamiwaza_sdk._validation import check_count, check_sha256, revalidated
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadTooLargeException,
    SizeMismatchException,
)
from kamiwaza_sdk.services.download.http.hosts import check_url, redact
from kamiwaza_sdk.services.download.schemas import DownloadRequest, Validators

if TYPE_CHECKING:
    from yarl import URL


@dataclass(frozen=True, slots=True)
class Expectations:
    """The largest size allowed, and if known the exact size and the digest."""

    limit: int
    size: int | None
    sha256: str | None

    @property
    def of_coded_body(self) -> "Expectations":
        """The expectations of a body with a content coding: only that it is not too large."""
        return Expectations(self.limit, None, None)

    def admit(self, size: int) -> bool:
        """Return whether a file may have that many bytes."""
        return size <= self.limit and self.size in {size, None}

    def check_announced(self, announced: int | None, *, url: str) -> None:
        """Raise if the announced size is wrong, before the body is read."""
        if announced is None:
            return
        if announced > self.limit:
            raise DownloadTooLargeException(url=url, limit=self.limit, announced=announced, received=0)
        if self.size is not None and announced != self.size:
            raise SizeMismatchException(url=url, expected=self.size, actual=announced)

    def check_arriving(self, received: int, *, url: str) -> None:
        """Raise if the body is already too long."""
        if received > self.limit:
            raise DownloadTooLargeException(url=url, limit=self.limit, announced=None, received=received)
        if self.size is not None and received > self.size:
            raise SizeMismatchException(url=url, expected=self.size, actual=received)

    def check_whole(self, received: int, sha256: str, *, url: str) -> None:
        """Raise if the whole body has another size or digest."""
        if self.size is not None and received != self.size:
            raise SizeMismatchException(url=url, expected=self.size, actual=received)
        if self.sha256 is not None and sha256 != self.sha256:
            raise ChecksumMismatchException(url=url, expected=self.sha256, actual=sha256)


def expectations(*, limit: int, size: int | None = None, sha256: str | None = None) -> Expectations:
    """Validate the arguments, and return the expectations.

    Raises:
        InvalidInputException: A size is negative, or the digest is not valid.
    """
    check_count(limit, field="max_size")
    if size is not None:
        check_count(size, field="size")
    return Expectations(limit=limit, size=size, sha256=None if sha256 is None else check_sha256(sha256))


@dataclass(frozen=True, slots=True)
class ResolvedRequest:
    """A validated request. `shown` is the redacted URL. `into` is where the file is written: `path`, or beside it."""

    url: "URL"
    shown: str
    path: Path
    into: Path
    expectations: Expectations
    validators: Validators | None = None


def resolve_request(request: DownloadRequest, into: Path, *, max_size: int) -> ResolvedRequest:
    """Validate a request whose file is written to `into`.

    Raises:
        InvalidInputException: An argument is not valid.
    """
    validators = request.validators
    if validators is not None:
        validators = revalidated(validators, Validators, "validators")  # they become headers
    limit = max_size if request.max_size is None else request.max_size
    url = check_url(request.url)
    return ResolvedRequest(
        url,
        redact(url),
        request.path,
        into,
        expectations(limit=limit, size=request.size, sha256=request.sha256),
        validators,
    )
