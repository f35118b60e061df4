"""What must exist before the store's first use, made when it is first written to.

::

    <root>/
      blobs/sha256/ab/abcdef…   read-only, named by content, never edited
      staging/<32 hex digits>/  one directory per writer, removed by it; or one that all writers of the same share
      quarantine/               what lay under a blob's name and was not that blob; delete at will

Directories get the mode the user's umask allows (0755 or 0700 as a rule), so that a group can share a store.
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Final

from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.storage._errors import translated
from kamiwaza_sdk.services.storage._files import sync_directory

__all__ = ["STALE_AFTER", "make_directory", "prepare", "staged", "sweep"]

#: Seconds after which what a dead writer left behind is removed. No writer is silent for a week.
STALE_AFTER: Final = 7 * 24 * 3600.0
#: How often others can leave a directory in the moment between its making and our entering.
_PATIENCE: Final = 1000
_STAGED: Final = re.compile(r"[0-9a-f]{32}")


def prepare(root: Path) -> None:
    """Create the store's directories where they are missing. Any number of processes may do so at once.

    Raises:
        ConfigurationException: `root`, or something above it, is no directory.
        StorageFullException: There is no room for a directory.
        StoragePermissionException: This user may not create it.
    """
    with translated(root):
        for name in ("blobs/sha256", "staging", "quarantine"):
            try:
                make_directory(root / name)
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
                reason = f"{error.filename} is no directory, and cannot be made one; choose another root"
                raise ConfigurationException("STORAGE_SERVICE_ROOT", reason) from error


def make_directory(path: Path) -> None:
    """Create a directory and those above it, each durably."""
    try:
        _make_one(path)
    except FileNotFoundError:
        make_directory(path.parent)
        _make_one(path)  # refused again, it cannot be made: as below /proc


def _make_one(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        sync_directory(path.parent)


@contextmanager
def staged(root: Path, *, key: str | None = None) -> Generator[Path]:
    """Give a path in a directory of the staging area: one that no one else has, or the one of all who give this key.

    The directory of one writer is removed on exit, whatever it then holds. A shared one is removed by the last who
    leaves it, and only if it is empty.
    """
    prepare(root)
    place = root / "staging" / (secrets.token_hex(16) if key is None else hashlib.sha256(key.encode()).hexdigest()[:32])
    with translated(place):
        sweep(root)
        sign = None if key is None else _entered(place)
        if sign is None:
            place.mkdir()
    try:
        yield place / "blob"
    finally:
        if sign is None:
            shutil.rmtree(place, ignore_errors=True)  # what resists is swept later; the writer's own error matters more
        else:
            _leave(place, sign)


def _entered(place: Path) -> Path:
    """Make sure that the directory is there, and stays while a file of ours is in it."""
    sign = place / f"in-use-{secrets.token_hex(8)}"
    for _ in range(_PATIENCE):
        with suppress(FileNotFoundError, FileExistsError):  # removed again, or just now, by one who left
            place.mkdir(exist_ok=True)
            sign.touch(exist_ok=False)
            return sign
    raise FileNotFoundError(errno.ENOENT, "others keep removing it", str(place))


def _leave(place: Path, sign: Path) -> None:
    with suppress(OSError):  # as above; and it is not empty as long as anything is worth keeping, or others are in it
        sign.unlink(missing_ok=True)
        place.rmdir()


def sweep(root: Path, *, now: float | None = None) -> None:
    """Remove what writers that died left in the staging area.

    Promised: nothing that changed in the last seven days is touched, and nothing that does not have a staging name.
    The change time decides, which no one can set back, so a writer at work is safe however old its file claims to be.

    Args:
        root: The store.
        now: Seconds since 1970, instead of the clock.
    """
    oldest = (time.time() if now is None else now) - STALE_AFTER
    with suppress(FileNotFoundError), os.scandir(root / "staging") as entries:
        for entry in entries:
            if _STAGED.fullmatch(entry.name) and _is_stale(Path(entry.path), oldest=oldest):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_stale(place: Path, *, oldest: float) -> bool:
    try:
        return all(path.lstat().st_ctime < oldest for path in chain([place], place.rglob("*")))
    except FileNotFoundError:  # its writer is alive, and faster
        return False
