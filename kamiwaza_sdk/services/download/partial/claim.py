"""Who brings a file, and who waits for it: one at a time, whoever else asks, on this machine or beside it.

The partial file is the lock: who leads holds it, by ``flock``, and with it ends, whether it says so or dies. Those who
wait have the same file open, and the journal, which they make where the leader had no use for one: in it they read how
far the leader is, and in the end its last word.

With the partial file's new name the next may lead already. So the journal has made room for theirs before.
"""

import hashlib
import os
import re
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol

from kamiwaza_sdk.services.download.partial.journal import Journal

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
