"""Who brings a file, and who waits for it: one at a time, whoever else asks, on this machine or beside it.

The journal is the lock: who leads holds it, by ``flock``, and with it ends, whether it says so or dies. Those who wait
have the same file open: they read in it how far the leader is, and, after it was unlinked, its last word.
"""

import errno
import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from kamiwaza_sdk.services.download._disk import sync_data
from kamiwaza_sdk.services.download._journal import Journal, parse, parse_tail

__all__ = ["Claim", "FileClaim", "Locks", "Place"]

#: How a file system says that it knows no locks.
NO_LOCKS: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
_HELD: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})
_TAIL: Final = 256
_HEAD: Final = 16 * 1024
_NONE: Final = -1


class Locks(Exception):
    """The file system knows no locks."""


class Place:
    """The names beside a destination. Not its own, which may be as long as the file system allows, but its digest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stem: Final = f".kamiwaza-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}"

    def beside(self, suffix: str) -> Path:
        """Return the name with that suffix."""
        return self.path.parent / f"{self.stem}{suffix}"


class Claim(Protocol):
    """The right to bring one file. Every method blocks, though never for long.

    Attributes:
        partial: Where its bytes gather.
        journal: The journal beside it.
        outcome: What became of it, where somebody else had it first, and came to an end.
    """

    partial: Path
    journal: Path
    outcome: Journal | None

    def attempt(self) -> bool:
        """Take it, unless somebody else has it."""
        ...

    def read(self) -> Journal:
        """Return what the journal says: after taking the claim, what was left."""
        ...

    def glance(self) -> tuple[int, int | None]:
        """Return how far the leader is, and of how much."""
        ...

    def leftover(self) -> Path:
        """Return the partial file that the journal is about."""
        ...

    def begin(self, text: bytes) -> None:
        """Put `text` in place of the journal."""

    def append(self, text: bytes) -> None:
        """Add to the journal."""

    def sync(self) -> None:
        """Make the journal durable."""

    def renew(self) -> None:
        """Let go of what was unlinked, to ask again."""

    def retire(self, last_word: bytes) -> None:
        """Tell those who wait, leave nothing, and let go."""

    def release(self) -> None:
        """Let go; what is there stays."""


class FileClaim:
    """By ``flock`` on the journal.

    Args:
        place: The names.

    Raises:
        Locks: By `attempt`: there are none here.
        OSError: By every method.
    """

    def __init__(self, place: Place) -> None:
        self.partial = place.beside(".partial")
        self.journal = place.beside(".journal")
        self.outcome: Journal | None = None
        self._waited = False
        self._descriptor = _NONE
        self._size: int | None = None

    def attempt(self) -> bool:
        while True:
            if self._descriptor == _NONE:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_APPEND
                self._descriptor = os.open(self.journal, flags, 0o666)
            if not self._lock():
                self._waited = True
                return False
            if self._stands():
                return True
            # Unlinked, it guards nothing any more; but who waited has its last word to read.
            last = self.read()
            if self._waited and (last.published or last.refused):
                self.outcome = last
                return True
            self.renew()

    def read(self) -> Journal:
        if not os.fstat(self._descriptor).st_size:
            return Journal()
        with open(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return parse(file.read())

    def glance(self) -> tuple[int, int | None]:
        if self._size is None:
            self._size = parse(os.pread(self._descriptor, _HEAD, 0)).size
        end = os.fstat(self._descriptor).st_size
        return parse_tail(os.pread(self._descriptor, _TAIL, max(0, end - _TAIL))) or 0, self._size

    def leftover(self) -> Path:
        return self.partial

    def begin(self, text: bytes) -> None:
        # What is there and right stays there all the time: a crash in between is to cost nothing.
        known = os.pread(self._descriptor, len(text), 0) == text
        os.ftruncate(self._descriptor, len(text) if known else 0)
        if not known:
            os.write(self._descriptor, text)

    def append(self, text: bytes) -> None:
        os.write(self._descriptor, text)

    def sync(self) -> None:
        sync_data(self._descriptor)

    def renew(self) -> None:
        self.release()
        self.outcome = self._size = None
        self._waited = False

    def retire(self, last_word: bytes) -> None:
        try:
            if last_word:
                os.write(self._descriptor, last_word)
        finally:
            with suppress(FileNotFoundError):
                self.journal.unlink()
            self.release()

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, _NONE
        if descriptor != _NONE:
            with suppress(OSError):  # a child forked meanwhile has the lock, too, and closing here would leave it that
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _stands(self) -> bool:
        """Whether this is the file of that name. Its links do not tell: NFS renames what is unlinked while open."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.journal.lstat())
        except FileNotFoundError:
            return False

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                return False
            if error.errno in NO_LOCKS:
                self._unmake()
                raise Locks from error
            raise
        return True

    def _unmake(self) -> None:
        if not os.fstat(self._descriptor).st_size:
            self.journal.unlink(missing_ok=True)
        self.release()
