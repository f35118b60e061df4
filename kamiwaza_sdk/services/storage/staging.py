"""The staging area: a directory for one writer, or for all writers of one key, and what dead writers left there.

Beside each directory lies a lock file, on which its writers hold a shared ``flock`` while they use it. The kernel
releases the lock of a process however it ends, so the lock tells whether a directory is in use, and no clock does. What
nobody uses is kept for a week, so that a later writer can go on with it; that week is measured by the clock of the file
system, which set the times that it is compared with.

Where a file system has no locks, only the week decides: a writer that changes nothing for so long loses its place.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Final

from kamiwaza_sdk.services.storage.files import translated
from kamiwaza_sdk.services.storage.setup import prepare

#: Seconds for which what a dead writer left is kept after its last change.
STALE_AFTER: Final = 7 * 24 * 3600.0
#: How often a place can be removed by others in the moment between its making and our entering.
_ATTEMPTS: Final = 1000
_STAGED: Final = re.compile(r"[0-9a-f]{32}")
_LOCK_SUFFIX: Final = ".lock"
#: Also for a shared lock opened to write: NFS wants that for the exclusive one.
_OPEN: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT
_NO_LOCKS: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})


class _Preparation:
    """What many uses of the staging area need once: a store that is prepared, and swept."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._done = set[Path]()

    def is_mine(self, root: Path) -> bool:
        """Prepare the store unless that was done, and return whether it was done just now. Blocks."""
        with self._lock:
            if root in self._done:
                return False
            prepare(root)
            self._done.add(root)
            return True


_PREPARATION: Final[ContextVar[_Preparation | None]] = ContextVar("kamiwaza_sdk_prepared", default=None)


@contextmanager
def prepared_once() -> Generator[None]:
    """Let the store be prepared and swept by the first only of all who stage something herein, in whatever thread."""
    before = _PREPARATION.set(_Preparation())
    try:
        yield
    finally:
        _PREPARATION.reset(before)


@contextmanager
def staged(root: Path, *, key: str | None = None) -> Generator[Path]:
    """Give a path in a directory of the staging area: one that no one else has, or the one of all who give this key.

    The directory of one writer is removed on exit, whatever it then holds. A shared one is removed by the last who
    leaves it, and only if it is empty. No error while clearing up is raised: the writer's own result matters more.
    """
    is_first = (_PREPARATION.get() or _Preparation()).is_mine(root)
    name = secrets.token_hex(16) if key is None else _name_of(key)
    with translated(root / "staging" / name):
        use = _Use(root / "staging" / name, is_shared=key is not None)
        use.enter()
    try:
        if is_first:
            sweep(root, now=use.entered_at)
        yield use.place / "blob"
    finally:
        use.leave()


def _name_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


class StagedKeys:
    """Which keys have something in the staging area, as it was when this was made: many are asked for. Blocks."""

    def __init__(self, root: Path) -> None:
        self._area = root / "staging"
        self._names = set[str]()
        with suppress(OSError):  # there is none: nothing is staged
            self._names = set(os.listdir(self._area))  # noqa: PTH208 - names are all that is wanted

    def __contains__(self, key: str) -> bool:
        return bool(self._names) and _name_of(key) in self._names

    def size(self, key: str) -> int:
        """Return how many bytes on disk what stands there under a key takes already. Blocks."""
        size = 0
        if key in self:
            with suppress(OSError):  # others are clearing it up: then it is no help
                for place in (self._area / _name_of(key)).iterdir():
                    size += place.lstat().st_blocks * 512
        return size


class _Use:
    """One writer's use of a place, from `enter` to `leave`.

    Attributes:
        place: The directory.
        entered_at: By the clock of the file system, in seconds since 1970.
    """

    def __init__(self, place: Path, *, is_shared: bool) -> None:
        self.place = place
        self.entered_at = 0.0
        self._is_shared = is_shared
        self._lock: int | None = None
        self._sign: Path | None = None

    def enter(self) -> None:
        self._lock = locked(self.place, fcntl.LOCK_SH)
        try:
            if self._lock is not None:
                self.place.mkdir(exist_ok=self._is_shared)
                os.utime(self._lock)  # what an earlier writer left is of use for another week
                self.entered_at = os.fstat(self._lock).st_ctime
            else:
                self._make_without_lock()
                self.entered_at = self.place.stat().st_ctime
        except BaseException:
            self.leave()
            raise

    def _make_without_lock(self) -> None:
        """Make the place; a shared one with a file of ours in it, so that it is not empty, and stays."""
        if not self._is_shared:
            self.place.mkdir()
            return
        sign = self.place / f"in-use-{secrets.token_hex(8)}"
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError, FileExistsError):  # removed again, or just now, by one who left
                self.place.mkdir(exist_ok=True)
                sign.touch(exist_ok=False)
                self._sign = sign
                return
        raise FileNotFoundError(errno.ENOENT, "others keep removing it", str(self.place))

    def leave(self) -> None:
        """Remove what is of no use to anyone. What resists is swept later."""
        if not self._is_shared:
            shutil.rmtree(self.place, ignore_errors=True)
        if self._sign is not None:
            with suppress(OSError):
                self._sign.unlink(missing_ok=True)
        if self._lock is None:
            with suppress(OSError):  # it is not empty as long as anything is worth keeping, or others are in it
                self.place.rmdir()
            return
        with suppress(OSError):  # others hold it, too, or something is worth keeping
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_shared:
                self.place.rmdir()
            _forget(self.place)
        release(self._lock)


def sweep(root: Path, *, now: float) -> None:
    """Remove what writers that died left in the staging area. An error leaves things as they are, for another time.

    Promised: nothing that a writer uses is touched, nothing that changed in the last seven days, and nothing that does
    not have a staging name. The change time decides, which no one can set back.

    Args:
        root: The store.
        now: By the clock of the file system, in seconds since 1970.
    """
    names: set[str] = set()
    with suppress(OSError), os.scandir(root / "staging") as entries:
        names = {entry.name.removesuffix(_LOCK_SUFFIX) for entry in entries}
    for name in names:
        if _STAGED.fullmatch(name):
            with suppress(OSError):
                _sweep_one(root / "staging" / name, oldest=now - STALE_AFTER)


def _sweep_one(place: Path, *, oldest: float) -> None:
    left = [path for path in (place, _lock_of(place)) if os.path.lexists(path)]
    if not _are_stale(left, oldest=oldest):
        return
    lock = locked(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        if lock is None or _are_stale(left, oldest=oldest):  # again: somebody may have come before it was locked
            shutil.rmtree(place, ignore_errors=True)
        _forget(place)
    finally:
        if lock is not None:
            release(lock)


def _are_stale(left: list[Path], *, oldest: float) -> bool:
    try:
        return all(path.lstat().st_ctime < oldest for one in left for path in chain([one], one.rglob("*")))
    except FileNotFoundError:  # its writer is alive, and faster
        return False


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}{_LOCK_SUFFIX}")


def locked(place: Path, how: int) -> int | None:
    """Return a descriptor that holds the lock of a place; `None` where the file system has no locks.

    Raises:
        BlockingIOError: Somebody else holds it, and `how` does not wait.
    """
    path = _lock_of(place)
    for _ in range(_ATTEMPTS):
        lock = os.open(path, _OPEN, 0o666)  # the umask decides, as for any new file
        try:
            fcntl.flock(lock, how)
            if _stands(lock, path):
                return lock
        except OSError as error:
            release(lock)
            if error.errno not in _NO_LOCKS:
                raise
            path.unlink(missing_ok=True)
            return None
        release(lock)  # whoever had it before has removed it: what has the name now is another lock
    raise FileNotFoundError(errno.ENOENT, "others keep removing it", str(path))


def _stands(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.lstat())
    except FileNotFoundError:
        return False


def _forget(place: Path) -> None:
    """Remove the lock, which is held alone, of a place that is no more."""
    if not os.path.lexists(place):
        _lock_of(place).unlink(missing_ok=True)


def release(lock: int) -> None:
    """Let go of a lock that `locked` returned."""
    with suppress(OSError):  # first: a child that was forked meanwhile has the descriptor, too, and the lock with it
        fcntl.flock(lock, fcntl.LOCK_UN)
    with suppress(OSError):
        os.close(lock)
