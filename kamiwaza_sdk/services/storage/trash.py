"""The trash: blobs that a clean-up has set aside, each in the directory of its run, until nobody can refer to them.

A run is filled under one name, ``filling-…``, and closed by getting another, ``run-…``: whoever still fills it then
finds it gone. So all that is in a closed run was set aside before it was closed. No name is used twice: whoever slept
for an hour finds nothing under the one that it remembers.

Nothing is promised about the names of runs but these: they are random, and end with the last blob in them.
"""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kamiwaza_sdk.services.storage.files import sync_directory
from kamiwaza_sdk.services.storage.setup import make_directory, write_whole

_FILLING: Final = "filling-"
_CLOSED: Final = "run-"
_MARK: Final = "mark.json"
#: How many looks a blob can evade that runs are renamed around.
_LOOKS: Final = 100
_DIGEST_LENGTH: Final = 64


def _place(root: Path, sha256: str) -> str:
    return f"{root}/blobs/sha256/{sha256[:2]}/{sha256}"


def runs(root: Path) -> list[str]:
    """Return the names of all runs, in no order; none where this user may not look. Blocks."""
    try:
        return os.listdir(root / "trash")  # noqa: PTH208 - names are all that is wanted, and this is in every miss
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def take_back(root: Path, sha256: str) -> bool:
    """Tell whether a blob stands in its place, having brought it back from the trash where it was there. Blocks.

    It looks among the blobs, in the trash, and among the blobs again; and once more where runs came or went meanwhile.
    """
    for _ in range(_LOOKS):
        known = runs(root)
        if any(restore(root, run, sha256) for run in known) or os.path.lexists(_place(root, sha256)):
            return True
        if not known or runs(root) == known:
            return False
    return False


def restore(root: Path, run: str, sha256: str) -> bool:
    """Bring a blob back from a run; tell whether it was there. Where it was fetched anew, that one stays. Blocks."""
    source, target = f"{root}/trash/{run}/{sha256}", _place(root, sha256)
    try:
        status = os.lstat(source)
        with suppress(FileNotFoundError, NotADirectoryError):
            standing = os.lstat(target)
            if (standing.st_size, standing.st_mtime_ns) == (status.st_size, status.st_mtime_ns):
                os.unlink(source)  # noqa: PTH108 - as text, here and below: a Path for each takes as long as the call
                return True
        make_directory(Path(target).parent)
        os.rename(source, target)  # noqa: PTH104 - as above
    except (FileNotFoundError, NotADirectoryError):  # another was faster
        return False
    return True


class Filling:
    """A new run, which blobs are put into until it is closed. Every method blocks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._name = f"{_FILLING}{secrets.token_hex(16)}"
        make_directory(root / "trash" / self._name)

    def set_aside(self, sha256: str) -> bool | None:
        """Put a blob there. `False`: there is no such blob; `None`: another clean-up has taken the run over."""
        try:
            os.rename(_place(self._root, sha256), f"{self._root}/trash/{self._name}/{sha256}")  # noqa: PTH104
        except FileNotFoundError:
            return False if os.path.isdir(f"{self._root}/trash/{self._name}") else None  # noqa: PTH112 - as above
        return True

    def close(self) -> str | None:
        """Return the name of the run as nothing can be put into it any more; `None` where it is another's."""
        return close(self._root, self._name)


def close(root: Path, run: str) -> str | None:
    """Close a run, another's too, and return its new name; `None` where another was faster. Blocks."""
    if not run.startswith(_FILLING):
        return run
    closed = f"{_CLOSED}{secrets.token_hex(16)}"
    try:
        (root / "trash" / run).rename(root / "trash" / closed)
    except FileNotFoundError:
        return None
    sync_directory(root / "trash")
    return closed


def contents(root: Path, run: str) -> list[str]:
    """Return the digests of the blobs in a run, in order. Blocks."""
    try:
        return sorted(name for name in os.listdir(root / "trash" / run) if len(name) == _DIGEST_LENGTH)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def size_in(root: Path, run: str, sha256: str) -> tuple[int, int]:
    """Return the size of a blob in a run and how many names it has; nothing where it is gone. Blocks."""
    try:
        status = os.lstat(f"{root}/trash/{run}/{sha256}")
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_nlink


def remove(root: Path, run: str, sha256: str) -> bool:
    """Remove a blob for good, by its name in the trash; tell whether it was there. Blocks."""
    try:
        os.unlink(f"{root}/trash/{run}/{sha256}")  # noqa: PTH108 - as above
    except FileNotFoundError:
        return False
    with suppress(OSError):
        os.unlink(f"{root}/uses/{sha256[:2]}/{sha256}")  # noqa: PTH108 - as above
    return True


def read_mark(root: Path, run: str) -> dict[str, Any] | None:  # Any: JSON
    """Return what was noted of a closed run, `None` where nothing was. Blocks."""
    with suppress(FileNotFoundError, NotADirectoryError, ValueError):
        mark = json.loads((root / "trash" / run / _MARK).read_bytes())
        return mark if isinstance(mark, dict) else None
    return None


def write_mark(root: Path, run: str, mark: dict[str, Any]) -> None:  # Any: as above
    """Note something of a closed run, durably. Blocks."""
    with suppress(FileNotFoundError):  # another has finished it
        write_whole(root / "trash" / run / _MARK, json.dumps(mark).encode())


def closed_at(root: Path, run: str) -> float:
    """Return when a run was filled or closed last, in seconds by the clock of the file system. Blocks."""
    try:
        return (root / "trash" / run).stat().st_ctime
    except FileNotFoundError:
        return 0.0


def end(root: Path, run: str) -> None:
    """Remove a run that is empty; one that is not stays. Blocks."""
    place = root / "trash" / run
    if not contents(root, run):
        with suppress(OSError):
            for leftover in place.iterdir():
                leftover.unlink()
            place.rmdir()
