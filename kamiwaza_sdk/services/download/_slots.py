"""How many requests are under way at once: whoever asks waits for a turn, and what nobody asks for can be borrowed."""

import asyncio
from collections import deque
from typing import Self

__all__ = ["Slots"]


class Slots:
    """A semaphore that says whether somebody waits: who holds more than one slot then gives back what was borrowed.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def wanted(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def borrow(self) -> bool:
        """Take one if it is free, to be given back by `release`."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Give one back, to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                turn.set_result(None)
                return
        self._free += 1

    async def __aenter__(self) -> Self:
        if not self.borrow():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._forget(turn)
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def _forget(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():  # its turn came in the same moment
            self.release()
