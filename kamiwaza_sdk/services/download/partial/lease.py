"""The claim where the file system knows no locks: a lease, which ends when its holder is silent for too long.

Two holders can overlap, where one was only slow. So none ever writes into a file that another may hold: each has names
of its own, and a successor copies what it finds while it hashes it.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import SoftFileLease, Timeout

from kamiwaza_sdk.services.download.partial.disk import PRIVATE, close, sync_data
from kamiwaza_sdk.services.download.partial.journal import Journal, read_journal, read_journal_at
from kamiwaza_sdk.services.download.partial.lock import Place, Turn

_NONE: Final = -1
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class LeaseClaim:
    """By a lease beside the destination; see `Claim`.

    Args:
        place: The names.

    Raises:
        OSError: By every method.
    """

    def __init__(self, place: Place) -> None:
        token = secrets.token_hex(8)
        self.partial: str = place.beside(f"-{token}.partial")
        self.journal: Path = Path(place.beside(f"-{token}.journal"))
        self.outcome: Journal | None = None
        self._place = place
        self._lease = SoftFileLease(place.beside(".lease"), thread_local=False)
        self._old: Path | None = None
        self._own = self._followed = self._left = self._file = _NONE

    def attempt(self, *, follow: bool = True) -> Turn:
        try:
            self._lease.acquire(blocking=False)
        except Timeout:
            if follow:
                self._follow()
            return Turn.THEIRS
        last = Journal() if self._followed == _NONE else read_journal(self._followed)
        self._close()
        if last.published or last.refused:
            self.outcome = last
            return Turn.OVER
        self._own = os.open(self.journal, _NEW | os.O_APPEND, 0o666)
        return Turn.OURS

    def read(self) -> Journal:
        found = {journal: read_journal_at(journal) for journal in self._journals()}
        self._old = max(found, key=lambda journal: found[journal].offset, default=None)
        return Journal() if self._old is None else found[self._old]

    def glance(self) -> tuple[int, int | None]:
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

    def fresh(self) -> int:
        return self.file()

    def file(self) -> int:
        if self._file == _NONE:
            self._file = os.open(self.partial, _NEW, PRIVATE)
        return self._file

    def begin(self, text: bytes) -> None:
        os.ftruncate(self._own, 0)
        os.write(self._own, text)
        self._forget_others()

    def append(self, text: bytes) -> None:
        os.write(self._own, text)

    def sync(self) -> None:
        sync_data(self._own)

    def renew(self) -> None:
        self.release()
        self.outcome = None

    def seal(self) -> None:
        pass  # nobody else ever uses these names

    def abandon(self, last_word: Callable[[], bytes]) -> None:
        try:
            Path(self.partial).unlink(missing_ok=True)
        finally:
            self.retire(last_word)

    def retire(self, last_word: Callable[[], bytes]) -> None:
        try:
            os.ftruncate(self._own, 0)
            os.write(self._own, last_word())
        finally:
            self.journal.unlink(missing_ok=True)
            self._forget_others()
            self.release()

    def release(self) -> None:
        with suppress(OSError):  # whatever cannot be removed: others are not to wait for it
            if self._own != _NONE and not os.fstat(self._own).st_size:  # nothing came of it
                self.journal.unlink(missing_ok=True)
                Path(self.partial).unlink(missing_ok=True)
        self._close()
        self._lease.release()

    def _journals(self) -> list[Path]:
        # That of a `FileClaim` too, from a machine or a disk with locks.
        found = Path(self._place.directory).glob(f"{self._place.stem}*.journal")
        return [journal for journal in found if journal != self.journal]

    def _follow(self) -> None:
        """Keep open the journal of whoever leads: it is unlinked with the last word in it."""
        if self._followed != _NONE and os.fstat(self._followed).st_nlink:
            return
        for journal in self._journals():
            with suppress(FileNotFoundError):
                descriptor = os.open(journal, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._close()
                self._followed = descriptor

    def _forget_others(self) -> None:
        for journal in self._journals():
            journal.with_suffix(".partial").unlink(missing_ok=True)
            journal.unlink(missing_ok=True)

    def _close(self) -> None:
        for descriptor in {self._own, self._followed, self._left, self._file} - {_NONE}:
            close(descriptor)
        self._own = self._followed = self._left = self._file = _NONE
