"""The lock that lets one transfer at a time bring a file, and the journal that tells the others of it.

The partial file is the lock, held by ``flock``: it ends with its holder, also where that dies. Followers have the same
file open, and its journal, which they create if the holder does not need one for a small file. There they read the
progress, and at the end the outcome.

As soon as the partial file is renamed, another transfer can acquire the lock. So the journal is moved aside before.
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

from kamiwaza_sdk._files import PRIVATE, close, sync_data
from kamiwaza_sdk.services.download.partial.journal import Journal, parse, parse_tail, read_journal, read_journal_at

#: The names that `PartialNames` gives. Those of the group ``bytes`` hold the bytes of files.
BESIDE: Final = re.compile(
    r"\.kamiwaza-[0-9a-f]{32}(?:(?P<bytes>(?:-[0-9a-f]{16})?\.(?:partial|whole))|(?:-[0-9a-z]+)?\.journal|\.lease.*)"
)


class LockState(Enum):
    """The outcome of `Lock.acquire`."""

    ACQUIRED = auto()
    HELD_BY_ANOTHER = auto()
    #: Another held it, and has published or refused the file since.
    FINISHED = auto()


class PartialNames:
    """The names beside a destination. Not its own, which may be as long as the file system allows, but its digest."""

    def __init__(self, path: Path) -> None:
        self.directory: str
        self.directory, name = os.path.split(path)
        self.stem: Final = f".kamiwaza-{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"
        self._start: Final = os.path.join(self.directory, self.stem)  # noqa: PTH118 - a tenth of what a Path costs

    def beside(self, suffix: str) -> str:
        """Return the name with that suffix."""
        return self._start + suffix


class Lock(Protocol):
    """The lock of one file. Every method blocks, though never for long.

    The order of calls::

        acquire ── HELD_BY_ANOTHER ──> progress ──> acquire
         │ └────── FINISHED ─────────> (read `outcome`) ──> acquire, or release
         │
         └ ACQUIRED ──> read, left ──> open ──> begin, append, sync ──> seal ──> finish, or release

    Attributes:
        partial: The name of the partial file.
        outcome: The journal of the holder before, after `FINISHED`.
    """

    partial: str
    outcome: Journal | None

    def acquire(self, *, follow: bool = True) -> LockState:
        """Acquire the lock, unless another holds it.

        Args:
            follow: Whether to open the journal of the other, for `progress` and `outcome`.
        """
        ...

    def progress(self) -> tuple[int, int | None]:
        """Return how many bytes the holder has, and the size of the whole file."""
        ...

    def read(self) -> Journal:
        """Return the journal that an earlier transfer left."""
        ...

    def left(self) -> int | None:
        """Return the descriptor of the partial file that an earlier transfer left, if there is one."""
        ...

    def open(self, *, empty: bool) -> int:
        """Return the descriptor of the partial file to write to; `empty` drops what an earlier transfer left."""
        ...

    def begin(self, text: bytes) -> None:
        """Replace the content of the journal."""

    def append(self, text: bytes) -> None:
        """Append to the journal."""

    def sync(self) -> None:
        """Make the journal durable."""

    def seal(self) -> None:
        """Move the journal aside, for the next holder's: the partial file is about to be renamed."""

    def is_followed(self) -> bool:
        """Return whether another transfer may read the outcome. Call it after `seal`."""
        ...

    def finish(self, last_word: Callable[[], bytes], *, published: bool) -> None:
        """Tell the followers the outcome, remove the journal, and release the lock.

        Args:
            last_word: Makes the last content of the journal. Called only where a follower may read it.
            published: Whether the partial file has its new name. Otherwise it is removed.
        """

    def release(self) -> None:
        """Release the lock. The partial file and its journal stay."""


#: The errors by which a file system says that it has no locks.
_NO_LOCKS: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
_HELD: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})
_TAIL: Final = 256
_HEAD: Final = 16 * 1024
_NONE: Final = -1
_DESCRIPTORS: Final = "/proc/self/fd"
_OPEN: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


class LocksUnsupported(Exception):
    """The file system has no locks."""


class FileLock:
    """A lock by ``flock`` on the partial file; see `Lock`.

    Args:
        place: The names.

    Attributes:
        journal: The name of the journal.

    Raises:
        Locks: By `attempt`: there are none here.
        OSError: By every method.
    """

    def __init__(self, place: PartialNames) -> None:
        self.partial: str = place.beside(".partial")
        self.journal: str = place.beside(".journal")
        self.outcome: Journal | None = None
        self._sealed = place.beside("-sealed.journal")
        self._file = _NONE
        self._journal = _NONE
        self._was_left = False
        self._size: int | None = None
        _LOCKS.add(self)

    def acquire(self, *, follow: bool = True) -> LockState:
        if self.outcome is not None:
            self._start_over()
        while True:
            if self._file == _NONE:
                self._file = _opened(self.partial, os.O_CREAT, mode=PRIVATE)
            if not self._try_lock():
                if follow:
                    self._open_journal()
                return LockState.HELD_BY_ANOTHER
            if self._has_its_name():
                return LockState.ACQUIRED
            # It was renamed or removed, and locks nothing any more. Its journal tells the outcome.
            last = self._read()
            if last.published or last.refused:
                self.outcome = last
                return LockState.FINISHED
            self._start_over()

    def read(self) -> Journal:
        if not self._was_left:
            return Journal()
        left = self._read() if self._has_journal() else Journal()
        return left if left.header else read_journal_at(self._sealed)

    def progress(self) -> tuple[int, int | None]:
        if self._size is None:
            self._size = parse(os.pread(self._journal, _HEAD, 0)).size
        end = os.fstat(self._journal).st_size
        return parse_tail(os.pread(self._journal, _TAIL, max(0, end - _TAIL))) or 0, self._size

    def left(self) -> int | None:
        return self._file if self._was_left else None

    def open(self, *, empty: bool) -> int:
        if empty and self._was_left:
            os.ftruncate(self._file, 0)
            self._was_left = False
        return self._file

    def begin(self, text: bytes) -> None:
        self._own_journal()
        # Right content is never removed, so that a crash in between costs nothing.
        known = os.pread(self._journal, len(text), 0) == text
        os.ftruncate(self._journal, len(text) if known else 0)
        if not known:
            os.write(self._journal, text)

    def append(self, text: bytes) -> None:
        os.write(self._journal, text)

    def sync(self) -> None:
        sync_data(self._journal)

    def _start_over(self) -> None:
        self.release()
        self.outcome = self._size = None

    def seal(self) -> None:
        if self._has_journal():
            with suppress(FileNotFoundError):
                os.rename(self.journal, self._sealed)  # noqa: PTH104 - a Path would be made for it

    def is_followed(self) -> bool:
        return self._journal != _NONE

    def finish(self, last_word: Callable[[], bytes], *, published: bool) -> None:
        with ExitStack() as steps:  # each step runs, even if another fails
            steps.callback(self.release)
            if not published:
                steps.callback(_unlink, self.partial)
            if self.is_followed() if published else self._has_journal():
                steps.callback(_unlink, self._sealed)
                if not published:
                    steps.callback(_unlink, self.journal)
                self._write_outcome(last_word)

    def release(self) -> None:
        descriptor, self._file = self._file, _NONE
        if descriptor != _NONE:
            with suppress(OSError):  # a child forked by C code shares the lock: closing alone would not release it
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            close(descriptor)
        descriptor, self._journal = self._journal, _NONE
        if descriptor != _NONE:
            close(descriptor)

    def forget(self) -> None:
        """Close the descriptors in a forked child. The lock of its parent stays."""
        for descriptor in (self._file, self._journal):
            if descriptor != _NONE:
                os.close(descriptor)
        self._file = self._journal = _NONE

    def _open_journal(self, *, make: bool = True) -> None:
        if self._journal == _NONE:
            self._journal = _opened(self.journal, os.O_APPEND | (os.O_CREAT if make else 0))

    def _own_journal(self, *, make: bool = True) -> None:
        """Open the journal for writing, but never through a link to another file."""
        is_new = self._journal == _NONE
        self._open_journal(make=make)
        if is_new and not _is_single(os.fstat(self._journal)):
            os.close(self._journal)
            self._journal = _NONE
            _unlink(self.journal)
            self._open_journal(make=make)

    def _has_journal(self) -> bool:
        """Return whether there is a journal, of ours or created by a follower."""
        try:
            self._own_journal(make=False)
        except FileNotFoundError:
            return False
        return True

    def _write_outcome(self, last_word: Callable[[], bytes]) -> None:
        os.ftruncate(self._journal, 0)
        os.write(self._journal, last_word())

    def _has_its_name(self) -> bool:
        """Return whether the open file still has its name. NFS renames an unlinked open file, so links do not tell."""
        ours = os.fstat(self._file)
        try:
            if not os.path.samestat(ours, os.lstat(self.partial)):
                return False
        except FileNotFoundError:
            return False
        if not _is_single(ours):  # a hard link to another file
            _unlink(self.partial)
            return False
        self._was_left = ours.st_size > 0
        return True

    def _read(self) -> Journal:
        return Journal() if self._journal == _NONE else read_journal(self._journal)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                return False
            if error.errno in _NO_LOCKS:
                self._undo()
                raise LocksUnsupported from error
            raise
        return True

    def _undo(self) -> None:
        if not os.fstat(self._file).st_size:
            _unlink(self.partial)
        self.release()


#: The locks of this process.
_LOCKS: Final[WeakSet[FileLock]] = WeakSet()


def _forget_all() -> None:
    for lock in _LOCKS:
        lock.forget()
    _close({os.path.basename(lock.partial) for lock in _LOCKS})  # noqa: PTH119 - as above


def _close(names: set[str]) -> None:
    """Close descriptors that another thread opened during the fork, where the system lists them."""
    with suppress(OSError):
        for number in os.listdir(_DESCRIPTORS) if names else ():  # noqa: PTH208 - as above
            with suppress(OSError):
                if os.path.basename(os.readlink(f"{_DESCRIPTORS}/{number}")) in names:  # noqa: PTH115, PTH119 - as above
                    os.close(int(number))


# Otherwise a child would hold the lock as long as it lives, even after its parent is killed.
os.register_at_fork(after_in_child=_forget_all)


def _opened(name: str, flags: int, *, mode: int = 0o666) -> int:  # less the umask, as for any new file
    """Return a descriptor of a file. A symbolic link of that name is removed."""
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
