"""What of a file is to be asked for next, where several connections bring it."""

import heapq
from typing import Final

__all__ = ["PART", "Parts"]

#: Bytes of a part.
PART: Final = 8 * 1024**2


class Parts:
    """The parts of a file that nobody brings yet, in order.

    Args:
        start: Where the first begins.
        total: Where the last ends.
    """

    def __init__(self, start: int, total: int) -> None:
        self._next = start
        self._total = total
        self._rests: list[tuple[int, int]] = []

    @property
    def taken(self) -> bool:
        """Whether there is none."""
        return not self._rests and self._next == self._total

    def take(self, *, within: int) -> tuple[int, int] | None:
        """Return where the next one begins and ends, unless it would end beyond `within`."""
        if self._rests:
            return heapq.heappop(self._rests)
        begin, end = self._next, min(self._next + PART, self._total)
        if begin == end or end > within:
            return None
        self._next = end
        return begin, end

    def give_back(self, begin: int, end: int) -> None:
        """Have the rest of a part brought by somebody else."""
        if begin < end:
            heapq.heappush(self._rests, (begin, end))
