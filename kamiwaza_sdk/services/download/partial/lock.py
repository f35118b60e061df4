"""The lock of a partial file: one transfer at a time, across tasks, threads, processes and machines.

The partial file is the lock: the leader holds it by ``flock``, which ends with its process. Followers have the same
file open, and the journal. In the journal they read how far the leader is, and at the end the result. Followers create
the journal where the leader needed none.

Once the partial file has its final name, the next leader may begin. So the journal is moved out of the way before.
"""

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol
from weakref import WeakSet

from kamiwaza_sdk.services.download.partial.disk import PRIVATE, close, sync_data
from kamiwaza_sdk.services.download.partial.journal import Journal, parse, parse_tail, read_journal, read_journal_at

#: The names that a `Place` gives; those of ``bytes`` are of what a file is to become of.
BESIDE: Final = re.compile(
    r"\.kamiwaza-[0-9a-f]{32}(?:(?P<bytes>(?:-[0-9a-f]{16})?\.(?:partial|whole))|(?:-[0-9a-z]+)?\.journal|\.lease.*)"
)


class Turn(Enum):
    """Whose turn it is."""

    OURS = auto()
    THEIRS = auto()
    #: They have come to an end.
    OVER = auto()


class Place:
    """The names beside a destination. Not its own, which may be as long as the file system allows, but its digest."""

    def __init__(self, path: Path) -> None:
        self.directory: str
        self.directory, name = os.path.split(path)
        self.stem: Final = f".kamiwaza-{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"
        self._start: Final = os.path.join(self.directory, self.stem)  # noqa: PTH118 - a tenth of what a Path costs

    def beside(self, suffix: str) -> str:
        """Return the name with that suffix."""
        return self._start + suffix


class Claim(Protocol):
    """The right to bring one file. Every method blocks, though never for long.

    Attributes:
        partial: Where its bytes gather.
        outcome: What became of it, where somebody else had it first, and came to an end.
    """

    partial: str
    outcome: Journal | None

    def attempt(self, *, follow: bool = True) -> Turn:
        """Take it, unless somebody else has it.

        Args:
            follow: Whether to be ready, then, to follow how far they are.
        """
        ...

    def read(self) -> Journal:
        """Return what the journal says: after taking the claim, what was left."""
        ...

    def glance(self) -> tuple[int, int | None]:
        """Return how far the leader is, and of how much."""
        ...

    def left(self) -> int | None:
        """Return the descriptor of the partial file that the journal is about; `None` where there is none."""
        ...

    def file(self) -> int:
        """Return the descriptor of the partial file to add to: what was left, where that can be gone on with."""
        ...

    def fresh(self) -> int:
        """Return the same, empty."""
        ...

    def begin(self, text: bytes) -> None:
        """Put `text` in place of the journal."""

    def append(self, text: bytes) -> None:
        """Add to the journal."""

    def sync(self) -> None:
        """Make the journal durable."""

    def renew(self) -> None:
        """Let go of what was unlinked, to ask again."""

    def seal(self) -> None:
        """Make room for the journal of whoever leads next: the partial file is about to get another name."""

    def retire(self, last_word: Callable[[], bytes]) -> None:
        """Tell those who wait, leave no journal, and let go. The partial file has its new name.

        Args:
            last_word: Makes it, with the header, where somebody may read it: all that the journal then says.
        """

    def abandon(self, last_word: Callable[[], bytes]) -> None:
        """Tell those who wait, leave nothing, and let go."""

    def release(self) -> None:
        """Let go; what is there stays."""


#: How a file system says that it knows no locks.
_NO_LOCKS: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
_HELD: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})
_TAIL: Final = 256
_HEAD: Final = 16 * 1024
_NONE: Final = -1
_DESCRIPTORS: Final = "/proc/self/fd"
_OPEN: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


class Locks(Exception):
    """The file system knows no locks."""


class FileClaim:
    """By ``flock`` on the partial file; see `Claim`.

    Args:
        place: The names.

    Attributes:
        journal: The name of the journal.

    Raises:
        Locks: By `attempt`: there are none here.
        OSError: By every method.
    """

    def __init__(self, place: Place) -> None:
        self.partial: str = place.beside(".partial")
        self.journal: str = place.beside(".journal")
        self.outcome: Journal | None = None
        self._sealed = place.beside("-sealed.journal")
        self._file = _NONE
        self._journal = _NONE
        self._was_left = False
        self._size: int | None = None
        _CLAIMS.add(self)

    def attempt(self, *, follow: bool = True) -> Turn:
        while True:
            if self._file == _NONE:
                self._file = _opened(self.partial, os.O_CREAT, mode=PRIVATE)
            if not self._lock():
                if follow:
                    self._have_journal()
                return Turn.THEIRS
            if self._stands():
                return Turn.OURS
            # It has another name, or none, and guards nothing any more; but who waited has its last word to read.
            last = self._read()
            if last.published or last.refused:
                self.outcome = last
                return Turn.OVER
            self.renew()

    def read(self) -> Journal:
        if not self._was_left:
            return Journal()
        left = self._read() if self._found() else Journal()
        return left if left.header else read_journal_at(self._sealed)

    def glance(self) -> tuple[int, int | None]:
        if self._size is None:
            self._size = parse(os.pread(self._journal, _HEAD, 0)).size
        end = os.fstat(self._journal).st_size
        return parse_tail(os.pread(self._journal, _TAIL, max(0, end - _TAIL))) or 0, self._size

    def left(self) -> int | None:
        return self._file if self._was_left else None

    def file(self) -> int:
        return self._file

    def fresh(self) -> int:
        if self._was_left:
            os.ftruncate(self._file, 0)
            self._was_left = False
        return self._file

    def begin(self, text: bytes) -> None:
        self._own_journal()
        # What is there and right stays there all the time: a crash in between is to cost nothing.
        known = os.pread(self._journal, len(text), 0) == text
        os.ftruncate(self._journal, len(text) if known else 0)
        if not known:
            os.write(self._journal, text)

    def append(self, text: bytes) -> None:
        os.write(self._journal, text)

    def sync(self) -> None:
        sync_data(self._journal)

    def renew(self) -> None:
        self.release()
        self.outcome = self._size = None

    def seal(self) -> None:
        if self._found():
            with suppress(FileNotFoundError):
                os.rename(self.journal, self._sealed)  # noqa: PTH104 - a Path would be made for it

    def retire(self, last_word: Callable[[], bytes]) -> None:
        with ExitStack() as ending:  # each step, even where another is refused
            ending.callback(self.release)
            if self._journal != _NONE:
                ending.callback(_unlink, self._sealed)
                self._say(last_word)

    def abandon(self, last_word: Callable[[], bytes]) -> None:
        with ExitStack() as ending:
            ending.callback(self.release)
            ending.callback(_unlink, self.partial)
            if self._found():
                ending.callback(_unlink, self._sealed)
                ending.callback(_unlink, self.journal)
                self._say(last_word)

    def release(self) -> None:
        descriptor, self._file = self._file, _NONE
        if descriptor != _NONE:
            with suppress(OSError):  # a child that C code forked has the lock, too: closing here would leave it that
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            close(descriptor)
        descriptor, self._journal = self._journal, _NONE
        if descriptor != _NONE:
            close(descriptor)

    def forget(self) -> None:
        """Have nothing to do with what the process has open that this one was forked from: its lock goes on."""
        for descriptor in (self._file, self._journal):
            if descriptor != _NONE:
                os.close(descriptor)
        self._file = self._journal = _NONE

    def _have_journal(self, *, make: bool = True) -> None:
        if self._journal == _NONE:
            self._journal = _opened(self.journal, os.O_APPEND | (os.O_CREAT if make else 0))

    def _own_journal(self, *, make: bool = True) -> None:
        """Have a journal to write to, which who leads does: not through a link of somebody else's."""
        is_new = self._journal == _NONE
        self._have_journal(make=make)
        if is_new and not _is_single(os.fstat(self._journal)):
            os.close(self._journal)
            self._journal = _NONE
            _unlink(self.journal)
            self._have_journal(make=make)

    def _found(self) -> bool:
        """Whether there is a journal: begun here, or made by who waits."""
        try:
            self._own_journal(make=False)
        except FileNotFoundError:
            return False
        return True

    def _say(self, last_word: Callable[[], bytes]) -> None:
        os.ftruncate(self._journal, 0)
        os.write(self._journal, last_word())

    def _stands(self) -> bool:
        """Whether this is the file of that name. Its links do not tell: NFS renames what is unlinked while open."""
        ours = os.fstat(self._file)
        try:
            if not os.path.samestat(ours, os.lstat(self.partial)):
                return False
        except FileNotFoundError:
            return False
        if not _is_single(ours):  # not to be written through: it is somebody else's
            _unlink(self.partial)
            return False
        self._was_left = ours.st_size > 0
        return True

    def _read(self) -> Journal:
        return Journal() if self._journal == _NONE else read_journal(self._journal)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                return False
            if error.errno in _NO_LOCKS:
                self._unmake()
                raise Locks from error
            raise
        return True

    def _unmake(self) -> None:
        if not os.fstat(self._file).st_size:
            _unlink(self.partial)
        self.release()


#: Those of this process.
_CLAIMS: Final[WeakSet[FileClaim]] = WeakSet()


def _forget_all() -> None:
    for claim in _CLAIMS:
        claim.forget()
    _close({os.path.basename(claim.partial) for claim in _CLAIMS})  # noqa: PTH119 - as above


def _close(names: set[str]) -> None:
    """Close what another thread was about to open when the process was forked, where the system tells of it."""
    with suppress(OSError):
        for number in os.listdir(_DESCRIPTORS) if names else ():  # noqa: PTH208 - as above
            with suppress(OSError):
                if os.path.basename(os.readlink(f"{_DESCRIPTORS}/{number}")) in names:  # noqa: PTH115, PTH119 - as above
                    os.close(int(number))


# Else a child would hold the lock for as long as it lives, also when its parent is killed.
os.register_at_fork(after_in_child=_forget_all)


def _opened(name: str, flags: int, *, mode: int = 0o666) -> int:  # of which the umask takes, as of any new file's
    """Return a descriptor of a file: a link that has its name is taken out of the way."""
    try:
        return os.open(name, _OPEN | flags, mode)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        _unlink(name)
        return os.open(name, _OPEN | flags, mode)


def _is_single(found: os.stat_result) -> bool:
    return found.st_nlink <= 1 and stat.S_ISREG(found.st_mode)


def _unlink(name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name)  # noqa: PTH108 - as above
