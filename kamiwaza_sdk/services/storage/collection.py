"""What a clean-up does to a store, whatever it is: look at all of it, set aside, bring back, and remove for good.

Times are seconds since 1970 by the clock of the store, be that a file system's or a service's.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from kamiwaza_sdk.services.storage import inventory, trash
from kamiwaza_sdk.services.storage.blobs import PUBLISHED_NS
from kamiwaza_sdk.services.storage.files import digest, open_file
from kamiwaza_sdk.services.storage.schemas import LeftoverSchema


class FoundBlob(NamedTuple):
    """A blob that lies there: its digest, its size in bytes, how many names it has, and when it was used last."""

    sha256: str
    size: int
    names: int
    used: float


class ExaminedBlob(NamedTuple):
    """A blob that was looked at: ``damaged``, ``suspect`` as it was written to since it was published, or right."""

    sha256: str
    size: int
    problem: Literal["damaged", "suspect"] | None


class Collection(Protocol):
    """A store as a clean-up sees it. Every method blocks."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def now(self) -> float:
        """Return the time."""

    def leased(self, *, at: float, remove: bool = False) -> frozenset[str]:
        """Return which blobs leases keep at a moment; those that have ended may be removed."""

    def blobs(self, prefix: str, *, unless: "frozenset[str] | set[str]") -> Iterator[FoundBlob]:
        """Yield the blobs whose digests have a prefix, in no order; of those in `unless` it is not told when."""

    def examine(self, prefix: str, *, read: bool) -> Iterator["ExaminedBlob"]:
        """Yield the blobs whose digests have a prefix, with what is wrong with them; every byte is read where asked."""

    def is_pending(self, sha256: str) -> bool:
        """Tell whether a blob that was not found is set aside, from where every use brings it back, or is back."""

    def used(self, sha256: str) -> float | None:
        """Return when a blob was used last; `None` where there is none."""

    def shares_blocks(self) -> bool:
        """Tell whether files share their blocks, so that to remove one may free nothing."""

    def set_aside(self, digests: Sequence[str]) -> list[bool]:
        """Set blobs aside, in a run that is closed then, and tell of each whether it was."""

    def runs(self) -> list[str]:
        """Close the runs that others left open or are filling, and return the names of all."""

    def pending(self) -> Iterator[tuple[str, int]]:
        """Yield the digests and sizes of all that is set aside."""

    def contents(self, run: str) -> list[str]:
        """Return the digests of what a run has set aside and has not been brought back."""

    def size_in(self, run: str, sha256: str) -> tuple[int, int]:
        """Return the size of a blob in a run, and how many names it has; nothing where it is gone."""

    def restore(self, run: str, sha256: str) -> bool:
        """Bring a blob back from a run; tell whether it was there."""

    def remove(self, run: str, sha256: str) -> bool:
        """Remove a blob of a run for good; tell whether it was there."""

    def read_mark(self, run: str) -> dict[str, Any] | None:  # Any: JSON
        """Return what was noted of a run, `None` where nothing was."""

    def write_mark(self, run: str, mark: dict[str, Any]) -> None:  # Any: JSON
        """Note something of a run, durably."""

    def is_settled(self, run: str) -> bool:
        """Tell whether all machines see by now that a run was closed."""

    def end(self, run: str) -> None:
        """Forget a run that is empty; one that is not stays."""

    def leftovers(self) -> dict[str, LeftoverSchema]:
        """Return what is on its way in or out, or was found to be wrong: staging, trash and quarantine."""

    def sweep(self) -> None:
        """Remove what interrupted uploads left."""


class DirectoryCollection:
    """A store in a directory.

    Args:
        root: The directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self._root)

    def now(self) -> float:
        """Return the time by the clock of the file system."""
        return inventory.now(self._root)

    def leased(self, *, at: float, remove: bool = False) -> frozenset[str]:
        """Return which blobs leases keep at a moment; those that have ended may be removed."""
        return inventory.leased(self._root, at=at, remove=remove)

    def blobs(self, prefix: str, *, unless: "frozenset[str] | set[str]") -> Iterator[FoundBlob]:
        """Yield the blobs whose digests have a prefix."""
        for name, status in inventory.statuses(self._root, prefix):
            used = 0.0 if name in unless else inventory.last_use(self._root, name, status)
            yield FoundBlob(name, status.st_size, status.st_nlink, used)

    def examine(self, prefix: str, *, read: bool) -> Iterator[ExaminedBlob]:
        """Yield the blobs whose digests have a prefix. Without reading, their status tells whether they were edited."""
        for name, status in inventory.statuses(self._root, prefix):
            if read or status.st_mtime_ns != PUBLISHED_NS or not stat.S_ISREG(status.st_mode):
                with suppress(FileNotFoundError):  # set aside meanwhile
                    path = Path(f"{self._root}/blobs/sha256/{prefix}/{name}")
                    yield ExaminedBlob(name, status.st_size, _problem(path, status, read=read))
            else:
                yield ExaminedBlob(name, status.st_size, None)

    def is_pending(self, sha256: str) -> bool:
        """Tell whether a blob is in the trash, or has come back since."""
        places = [f"{self._root}/trash/{run}/{sha256}" for run in trash.runs(self._root)]
        return any(map(os.path.lexists, (*places, f"{self._root}/blobs/sha256/{sha256[:2]}/{sha256}")))

    def used(self, sha256: str) -> float | None:
        """Return when a blob was used last; `None` where there is none."""
        try:
            status = Path(f"{self._root}/blobs/sha256/{sha256[:2]}/{sha256}").lstat()
        except FileNotFoundError:
            return None
        return inventory.last_use(self._root, sha256, status)

    def shares_blocks(self) -> bool:
        """Tell whether files share their blocks."""
        return inventory.shares_blocks(self._root)

    def set_aside(self, digests: Sequence[str]) -> list[bool]:
        """Rename blobs into a run of the trash, and close it."""
        moved, filling = list[bool](), trash.Filling(self._root) if digests else None
        for sha256 in digests:
            assert filling is not None
            done = filling.set_aside(sha256)
            if done is None:  # another clean-up goes on with that run
                filling = trash.Filling(self._root)
                done = filling.set_aside(sha256)
            moved.append(bool(done))
        if filling is not None:
            filling.close()
        return moved

    def runs(self) -> list[str]:
        """Return the names of all runs, each closed."""
        closed = (trash.close(self._root, run) for run in trash.runs(self._root))
        return [run for run in closed if run is not None]

    def pending(self) -> Iterator[tuple[str, int]]:
        """Yield the digests and sizes of all that is in the trash."""
        for run in trash.runs(self._root):
            for sha256 in trash.contents(self._root, run):
                yield sha256, trash.size_in(self._root, run, sha256)[0]

    def contents(self, run: str) -> list[str]:
        """Return the digests of the blobs in a run."""
        return trash.contents(self._root, run)

    def size_in(self, run: str, sha256: str) -> tuple[int, int]:
        """Return the size of a blob in a run, and how many names it has."""
        return trash.size_in(self._root, run, sha256)

    def restore(self, run: str, sha256: str) -> bool:
        """Bring a blob back from a run."""
        return trash.restore(self._root, run, sha256)

    def remove(self, run: str, sha256: str) -> bool:
        """Remove a blob of a run for good."""
        return trash.remove(self._root, run, sha256)

    def read_mark(self, run: str) -> dict[str, Any] | None:  # Any: JSON
        """Return what was noted of a run."""
        return trash.read_mark(self._root, run)

    def write_mark(self, run: str, mark: dict[str, Any]) -> None:  # Any: JSON
        """Note something of a run, durably."""
        trash.write_mark(self._root, run, mark)

    def is_settled(self, run: str) -> bool:
        """Tell whether all machines see by now that a run was closed: those of a network file system remember names."""
        return self.now() - trash.closed_at(self._root, run) >= inventory.settling_time(self._root)

    def end(self, run: str) -> None:
        """Forget a run that is empty."""
        trash.end(self._root, run)

    def leftovers(self) -> dict[str, LeftoverSchema]:
        """Return what lies in staging area, trash and quarantine."""
        return {name: inventory.leftover(self._root / name) for name in ("staging", "trash", "quarantine")}

    def sweep(self) -> None:
        """Do nothing: writers sweep the staging area."""


def _problem(path: Path, status: os.stat_result, *, read: bool) -> Literal["damaged", "suspect"] | None:
    if not stat.S_ISREG(status.st_mode):
        return "damaged"
    if not read:
        return None if status.st_mtime_ns == PUBLISHED_NS else "suspect"
    with open_file(path) as file:
        return None if digest(file) == path.name else "damaged"
