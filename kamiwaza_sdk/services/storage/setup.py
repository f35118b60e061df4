"""What must exist before the store's first use, made when it is first written to.

::

    <root>/
      blobs/sha256/ab/abcdef…   read-only, named by content, never edited
      staging/<32 hex digits>/  one directory per writer, removed by it
      quarantine/               what lay under a blob's name and was not that blob; delete at will

Directories get the mode the user's umask allows (0755 or 0700 as a rule), so that a group can share a store.
"""

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
def staged(root: Path) -> Generator[Path]:
    """Give a path that no one else has, in a directory of its own that is removed on exit, whatever it then holds."""
    prepare(root)
    place = root / "staging" / secrets.token_hex(16)
    with translated(place):
        sweep(root)
        place.mkdir()
    try:
        yield place / "blob"
    finally:
        shutil.rmtree(place, ignore_errors=True)  # what resists is swept later; the writer's own error matters more


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
