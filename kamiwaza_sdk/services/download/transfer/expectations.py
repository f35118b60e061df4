"""Expectations: the checked arguments of a download, and the size and digests that its body must have."""

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
class Demands:
    """The limit, and where known the size and the digest."""

    limit: int
    size: int | None
    sha256: str | None

    @property
    def of_coded_body(self) -> "Demands":
        """What can be demanded of a body before it is decoded: only that it is not too large."""
        return Demands(self.limit, None, None)

    def admit(self, size: int) -> bool:
        """Return whether a file may have that many bytes."""
        return size <= self.limit and self.size in {size, None}

    def check_announced(self, announced: int | None, *, url: str) -> None:
        """Refuse before a byte of the body is read."""
        if announced is None:
            return
        if announced > self.limit:
            raise DownloadTooLargeException(url=url, limit=self.limit, announced=announced, received=0)
        if self.size is not None and announced != self.size:
            raise SizeMismatchException(url=url, expected=self.size, actual=announced)

    def check_arriving(self, received: int, *, url: str) -> None:
        """Refuse what is too long already."""
        if received > self.limit:
            raise DownloadTooLargeException(url=url, limit=self.limit, announced=None, received=received)
        if self.size is not None and received > self.size:
            raise SizeMismatchException(url=url, expected=self.size, actual=received)

    def check_whole(self, received: int, sha256: str, *, url: str) -> None:
        """Refuse what ended too early, or is something else."""
        if self.size is not None and received != self.size:
            raise SizeMismatchException(url=url, expected=self.size, actual=received)
        if self.sha256 is not None and sha256 != self.sha256:
            raise ChecksumMismatchException(url=url, expected=self.sha256, actual=sha256)


def demands(*, limit: int, size: int | None = None, sha256: str | None = None) -> Demands:
    """Return checked demands.

    Raises:
        InvalidInputException: A size is negative, or the digest is none.
    """
    check_count(limit, field="max_size")
    if size is not None:
        check_count(size, field="size")
    return Demands(limit=limit, size=size, sha256=None if sha256 is None else check_sha256(sha256))


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; `shown` is the URL, redacted, and `into` where the file is brought: `path`, or beside it."""

    url: "URL"
    shown: str
    path: Path
    into: Path
    demands: Demands
    validators: Validators | None = None


def order_of(request: DownloadRequest, into: Path, *, max_size: int) -> Order:
    """Return the checked form of a request, to be brought to `into`.

    Raises:
        InvalidInputException: Something in it is not acceptable.
    """
    validators = request.validators
    if validators is not None:
        validators = revalidated(validators, Validators, "validators")  # they become headers
    limit = max_size if request.max_size is None else request.max_size
    url = check_url(request.url)
    return Order(
        url,
        redact(url),
        request.path,
        into,
        demands(limit=limit, size=request.size, sha256=request.sha256),
        validators,
    )
