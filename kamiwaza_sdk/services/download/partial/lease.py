"""The lock where the file system has no locks: a lease, which ends if its holder does not renew it in time.

Two holders can overlap, if one was only slow. So each writes to files with names of its own, and a successor copies the
bytes of its predecessor while it verifies them.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from filelock import SoftFileLease, Timeout

from kamiwaza_sdk._files import PRIVATE, close, sync_data
from kamiwaza_sdk.services.download.partial.journal import Journal, read_journal, read_journal_at
from kamiwaza_sdk.services.download.partial.lock import LockState, PartialNames

_NONE: Final = -1
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class LeaseLock:
    """A lock by a lease beside the destination; see `Lock`.

    Args:
        place: The names.

    Raises:
        OSError: By every method.
    """

    def __init__(self, place: PartialNames) -> None:
        token = secrets.token_hex(8)
        self.partial: str = place.beside(f"-{token}.partial")
        self.journal: Path = Path(place.beside(f"-{token}.journal"))
        self.outcome: Journal | None = None
        self._place = place
        self._lease = SoftFileLease(place.beside(".lease"), thread_local=False)
        self._old: Path | None = None
        self._own = self._followed = self._left = self._file = _NONE

    def acquire(self, *, follow: bool = True) -> LockState:
        if self.outcome is not None:
            self.release()
            self.outcome = None
        try:
            self._lease.acquire(blocking=False)
        except Timeout:
            if follow:
                self._follow()
            return LockState.HELD_BY_ANOTHER
        last = Journal() if self._followed == _NONE else read_journal(self._followed)
        self._close()
        if last.published or last.refused:
            self.outcome = last
            return LockState.FINISHED
        self._own = os.open(self.journal, _NEW | os.O_APPEND, 0o666)
        return LockState.ACQUIRED

    def read(self) -> Journal:
        found = {journal: read_journal_at(journal) for journal in self._journals()}
        self._old = max(found, key=lambda journal: found[journal].offset, default=None)
        return Journal() if self._old is None else found[self._old]

    def progress(self) -> tuple[int, int | None]:
        if self._followed == _NONE:
            return 0, None
        journal = read_journal(self._followed)
        return journal.offset, journal.size

    def left(self) -> int | None:
        if self._old is None:
            return None
        try:
            self._left = os.open(self._old.with_suffix(".partial"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        return self._left

    def open(self, *, empty: bool) -> int:
        if self._file == _NONE:
            self._file = os.open(self.partial, _NEW, PRIVATE)
        return self._file

    def begin(self, text: bytes) -> None:
        os.ftruncate(self._own, 0)
        os.write(self._own, text)
        self._remove_others()

    def append(self, text: bytes) -> None:
        os.write(self._own, text)

    def sync(self) -> None:
        sync_data(self._own)

    def seal(self) -> None:
        pass  # no other holder uses these names

    def is_followed(self) -> bool:
        return True

    def finish(self, last_word: Callable[[], bytes], *, published: bool) -> None:
        with ExitStack() as steps:  # each step runs, even if another fails
            steps.callback(self.release)
            steps.callback(self._remove_others)
            steps.callback(self.journal.unlink, missing_ok=True)
            if not published:
                steps.callback(Path(self.partial).unlink, missing_ok=True)
            os.ftruncate(self._own, 0)
            os.write(self._own, last_word())

    def release(self) -> None:
        with suppress(OSError):  # whatever cannot be removed, others must not wait for the lease
            if self._own != _NONE and not os.fstat(self._own).st_size:  # nothing was received
                self.journal.unlink(missing_ok=True)
                Path(self.partial).unlink(missing_ok=True)
        self._close()
        self._lease.release()

    def _journals(self) -> list[Path]:
        # Also the journal of a `FileLock`, from a machine or a disk with locks.
        found = Path(self._place.directory).glob(f"{self._place.stem}*.journal")
        return [journal for journal in found if journal != self.journal]

    def _follow(self) -> None:
        """Open the journal of the holder, which is unlinked with the outcome in it."""
        if self._followed != _NONE and os.fstat(self._followed).st_nlink:
            return
        for journal in self._journals():
            with suppress(FileNotFoundError):
                descriptor = os.open(journal, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._close()
                self._followed = descriptor

    def _remove_others(self) -> None:
        for journal in self._journals():
            journal.with_suffix(".partial").unlink(missing_ok=True)
            journal.unlink(missing_ok=True)

    def _close(self) -> None:
        for descriptor in {self._own, self._followed, self._left, self._file} - {_NONE}:
            close(descriptor)
        self._own = self._followed = self._left = self._file = _NONE
