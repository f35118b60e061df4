"""What is asked for, and the first step of a transfer: find the file, or acquire its lock and recover the partial file.

Expectations are compared with a body when it is announced, while it arrives, and when it is whole.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk._files import NewFileMode
from kamiwaza_sdk._tasks import CancelFlag
from kamiwaza_sdk._validation import check_count, check_sha256, revalidated
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadTooLargeException,
    SizeMismatchException,
)
from kamiwaza_sdk.services.download.http.hosts import check_url, redact
from kamiwaza_sdk.services.download.partial.file import Partial, disk_errors
from kamiwaza_sdk.services.download.partial.journal import Header, Journal
from kamiwaza_sdk.services.download.partial.lock import FileLock, Lock, LockState, LocksUnsupported, PartialNames
from kamiwaza_sdk.services.download.schemas import DownloadRequest, Validators

if TYPE_CHECKING:
    from yarl import URL


_CHUNK: Final = 1024**2


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


@dataclass(frozen=True, slots=True)
class ExistingFile:
    """A file that exists already, verified."""

    path: Path
    header: Header
    size: int
    sha256: str


class Acquisition:
    """Acquires the lock of one file, unless the file exists already, and releases it.

    Every method blocks.

    Args:
        into: The path at which the file is published.
        expectations: The size and digest that it must have.
        url: The URL, redacted, for errors.
        key: The URL as journals name it.
        path: The path that the caller asked for, where the file may exist already.
        mode: The mode that the published file gets.

    Attributes:
        partial: The partial file, once the lock is acquired.
        stopped: Makes running jobs end soon. Can be set from any thread.
    """

    def __init__(
        self, into: Path, expectations: Expectations, *, url: str, key: str, path: Path, mode: NewFileMode
    ) -> None:
        self.partial: Partial | None = None
        self.stopped: CancelFlag = CancelFlag()
        self._into = into
        self._path = path
        self._places = dict.fromkeys((path, into))
        self._expectations = expectations
        self._url = url
        self._key = key
        self._mode = mode
        self._waited = False
        self._lock: Lock = FileLock(PartialNames(into))

    @property
    def left(self) -> bool:
        """Whether the lock is released."""
        return self.partial is not None and self.partial.left

    def attempt(self) -> ExistingFile | Partial | None:
        """Return the existing file, or the partial file to complete, or `None` while another transfer holds the lock.

        Raises:
            ChecksumMismatchException: Another transfer with the same expected digest just received another content.
            DownloadDiskException: The file system refused.
        """
        with disk_errors(self._path, url=self._url):
            if not self._waited and (existing := self._existing()):
                return existing
            state = self._acquire_lock()
            if state is LockState.FINISHED:
                if adopted := self._adopted(self._lock.outcome):
                    return adopted
                state = self._acquire_lock()
            if state is LockState.ACQUIRED:
                return self._recovered()
            self._waited = True
            return None

    def progress(self) -> tuple[int, int | None]:
        """Return how many bytes the holder of the lock has, and the size of the whole file."""
        with disk_errors(self._path, url=self._url):
            return self._lock.progress()

    def leave(self, *, keep: bool) -> None:
        """Release the lock. The partial file stays if `keep` is true and a later transfer can go on with it."""
        if self.partial is None:
            self._stop_waiting()
        elif keep:
            self.partial.keep()
        else:
            self.partial.discard()

    def _stop_waiting(self) -> None:
        """Release the lock, and remove a journal that was created only to follow a holder that has ended."""
        try:
            with suppress(OSError):
                if (
                    self._waited
                    and self._lock.outcome is None
                    and self._lock.acquire(follow=False) is LockState.ACQUIRED
                ):
                    self._lock.read()
                    if self._lock.left() is None:
                        self._lock.finish(bytes, published=False)
        finally:
            self._lock.release()

    def _acquire_lock(self) -> LockState:
        try:
            return self._lock.acquire()
        except LocksUnsupported:
            from kamiwaza_sdk.services.download.partial.lease import LeaseLock

            self._lock = LeaseLock(PartialNames(self._into))
            return self._lock.acquire()

    def _existing(self) -> ExistingFile | None:
        """Return the existing file if it has the expected digest."""
        sha256 = self._expectations.sha256
        if sha256 is None:
            return None
        return next((found for path in self._places if (found := self._existing_at(path, sha256))), None)

    def _existing_at(self, path: Path, sha256: str) -> ExistingFile | None:
        if path.is_symlink() or not path.is_file():
            return None
        try:
            size = path.stat().st_size
            is_right = self._expectations.admit(size) and self._digest(path) == sha256
        except (FileNotFoundError, PermissionError):  # moved meanwhile, for example into the store; or not readable
            return None
        return ExistingFile(path, self._plain_header(), size, sha256) if is_right else None

    def _plain_header(self) -> Header:
        """Return the header of a content that was not requested from this URL."""
        return Header(url=self._key, final_url=self._url)

    def _digest(self, path: Path) -> str | None:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                if self.stopped.is_set():
                    return None
                digest.update(buffer[:count])
        return digest.hexdigest()

    def _adopted(self, outcome: Journal | None) -> ExistingFile | None:
        """Return the file that another transfer brought, if it is the expected content."""
        if outcome is None or outcome.header is None:
            return None
        sha256 = self._expectations.sha256
        same = outcome.header.url == self._key
        if same and outcome.refused is not None and outcome.header.sha256 == sha256 is not None:
            raise ChecksumMismatchException(url=self._url, expected=sha256, actual=outcome.refused)
        if outcome.published is None or not (same or sha256) or not self._expectations.admit(outcome.published[0]):
            return None
        size, actual = outcome.published
        if sha256 not in {actual, None}:
            return None
        return ExistingFile(self._into, outcome.header if same else self._plain_header(), size, actual)

    def _recovered(self) -> ExistingFile | Partial:
        self.partial = Partial(
            self._lock, self._into, path=self._path, url=self._url, stopped=self.stopped, mode=self._mode
        )
        if self._waited and (existing := self._existing()):
            self.partial.discard()
            return existing
        journal = self._lock.read()
        if journal.header is not None and journal.header.leads_to(url=self._key, sha256=self._expectations.sha256):
            self.partial.recover(journal)
        elif journal.offset:
            self.partial.spare()
        return self.partial
