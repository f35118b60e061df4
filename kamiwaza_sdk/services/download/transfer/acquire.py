"""What comes before the first request: whether the file is there, who else brings it, and what is left of it."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kamiwaza_sdk.services.download.exceptions import ChecksumMismatchException
from kamiwaza_sdk.services.download.partial.disk import NewFileMode, disk_errors
from kamiwaza_sdk.services.download.partial.file import Partial
from kamiwaza_sdk.services.download.partial.journal import Header, Journal
from kamiwaza_sdk.services.download.partial.lock import Claim, FileClaim, Locks, Place, Turn
from kamiwaza_sdk.services.download.transfer.expectations import Demands
from kamiwaza_sdk.services.download.transfer.resources import Stop

_CHUNK: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Standing:
    """A file that is here already, verified."""

    path: Path
    header: Header
    size: int
    sha256: str


class Approach:
    """Takes the right to bring one file, unless that has become superfluous, and gives it back.

    Every method blocks.

    Args:
        into: Where the file is to be brought.
        demands: What it must be.
        url: Where it comes from, redacted.
        key: The same, in the words of a journal.
        path: Where it is to stand in the end, and may stand already.
        mode: What it gets then.

    Attributes:
        partial: What to add to, once the right is taken.
        stopped: Lets whatever runs come to its end soon. From any thread.
    """

    def __init__(self, into: Path, demands: Demands, *, url: str, key: str, path: Path, mode: NewFileMode) -> None:
        self.partial: Partial | None = None
        self.stopped: Stop = Stop()
        self._into = into
        self._path = path
        self._places = dict.fromkeys((path, into))
        self._demands = demands
        self._url = url
        self._key = key
        self._mode = mode
        self._waited = False
        self._claim: Claim = FileClaim(Place(into))

    @property
    def left(self) -> bool:
        """Whether nothing is held any more."""
        return self.partial is not None and self.partial.left

    def attempt(self) -> Standing | Partial | None:
        """Return what is there already, or what to add to, or `None` while somebody else brings it.

        Raises:
            ChecksumMismatchException: Somebody else just brought it, and it is not what is demanded here and was there.
            DownloadDiskException: The file system refused.
        """
        with disk_errors(self._path, url=self._url):
            if not self._waited and (standing := self._standing()):
                return standing
            turn = self._turn()
            if turn is Turn.OVER:
                if adopted := self._adopted(self._claim.outcome):
                    return adopted
                self._claim.renew()  # it was something else
                turn = self._turn()
            if turn is Turn.OURS:
                return self._begun()
            self._waited = True
            return None

    def glance(self) -> tuple[int, int | None]:
        """Return how far whoever brings it is, and of how much."""
        with disk_errors(self._path, url=self._url):
            return self._claim.glance()

    def leave(self, *, keep: bool) -> None:
        """Give back what is held. What is unfinished stays where that is worth it, unless it is not to be kept."""
        if self.partial is None:
            self._stop_waiting()
        elif keep:
            self.partial.keep()
        else:
            self.partial.discard()

    def _stop_waiting(self) -> None:
        """Let go, and leave no journal that was made to follow somebody by who had just come to an end."""
        try:
            with suppress(OSError):
                if self._waited and self._claim.outcome is None and self._claim.attempt(follow=False) is Turn.OURS:
                    self._claim.read()
                    if self._claim.left() is None:
                        self._claim.abandon(bytes)
        finally:
            self._claim.release()

    def _turn(self) -> Turn:
        try:
            return self._claim.attempt()
        except Locks:
            from kamiwaza_sdk.services.download.partial.lease import LeaseClaim

            self._claim = LeaseClaim(Place(self._into))
            return self._claim.attempt()

    def _standing(self) -> Standing | None:
        """Return the file that is here, if its digest is the one demanded."""
        sha256 = self._demands.sha256
        if sha256 is None:
            return None
        return next((found for path in self._places if (found := self._standing_at(path, sha256))), None)

    def _standing_at(self, path: Path, sha256: str) -> Standing | None:
        if path.is_symlink() or not path.is_file():
            return None
        try:
            size = path.stat().st_size
            is_right = self._demands.admit(size) and self._digest(path) == sha256
        except (FileNotFoundError, PermissionError):  # moved on, into the store for one; or not ours to read
            return None
        return Standing(path, self._unsaid(), size, sha256) if is_right else None

    def _unsaid(self) -> Header:
        """Return what is known of a content that this URL was not asked for."""
        return Header(url=self._key, final_url=self._url)

    def _digest(self, path: Path) -> str | None:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                if self.stopped.is_set():
                    return None
                digest.update(buffer[:count])
        return digest.hexdigest()

    def _adopted(self, outcome: Journal | None) -> Standing | None:
        """Return what another brought, if that is what was asked for here too."""
        if outcome is None or outcome.header is None:
            return None
        sha256 = self._demands.sha256
        same = outcome.header.url == self._key
        if same and outcome.refused is not None and outcome.header.sha256 == sha256 is not None:
            raise ChecksumMismatchException(url=self._url, expected=sha256, actual=outcome.refused)
        if outcome.published is None or not (same or sha256) or not self._demands.admit(outcome.published[0]):
            return None
        size, actual = outcome.published
        if sha256 not in {actual, None}:
            return None
        return Standing(self._into, outcome.header if same else self._unsaid(), size, actual)

    def _begun(self) -> Standing | Partial:
        self.partial = Partial(
            self._claim, self._into, path=self._path, url=self._url, stopped=self.stopped, mode=self._mode
        )
        if self._waited and (standing := self._standing()):
            self.partial.discard()
            return standing
        journal = self._claim.read()
        if journal.header is not None and journal.header.leads_to(url=self._key, sha256=self._demands.sha256):
            self.partial.recover(journal)
        elif journal.offset:
            self.partial.spare()
        return self.partial
