"""Where one connection puts what arrives: a ring of slots, which a thread writes to where they belong in the file.

The event loop receives into a free slot and hands it over when it is full; it waits only while none is free. Handing
over the pieces themselves would save a copy where there is one, and cost more: they are a tenth as large, so the two
threads would contend for the interpreter's lock ten times as often, each with new memory.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Filled", "Lane", "Writer"]


class Writer(Protocol):
    """Who writes what is handed over."""

    def check(self) -> None:
        """Raise what it failed with, if it did."""

    def put(self, filled: "Filled") -> None:
        """Write it, in a while, and give the slot back to its lane."""


class Lane:
    """A stretch of the file that is received in order.

    Args:
        writer: Who writes it.
        at: Where it begins.
        slot_size: Bytes of a slot.
        slots: How many there may be.

    Attributes:
        at: Where the next byte belongs.
        end: Where it ends, if that is known.
        waits: How often what arrives had to wait for something here: for room, or for the event loop.
    """

    def __init__(self, writer: Writer, at: int = 0, *, slot_size: int, slots: int) -> None:
        self.at = at
        self.end: int | None = None
        self.waits = 0
        self._writer = writer
        self._slot_size = slot_size
        self._unmade = slots
        self._free: list[bytearray] = []
        self._slot: bytearray | None = None
        self._filled = 0
        self._news = asyncio.Event()
        self._on_room: Callable[[], None] | None = None

    @property
    def left(self) -> int:
        """How many bytes are missing up to the end."""
        assert self.end is not None, "asked only where it is known"
        return self.end - self.at

    def move(self, at: int, end: int) -> None:
        """Be about another stretch."""
        self.flush()
        self.at, self.end = at, end

    async def write(self, piece: bytes) -> None:
        """Copy `piece` into the ring, waiting while it is full; what is behind the end of the lane is left out.

        Raises:
            DownloadDiskException: Something before it could not be written.
        """
        rest = memoryview(piece)
        while rest := rest if self.end is None else rest[: self.left]:
            while (room := self.room()) is None:
                self._news.clear()
                await self._news.wait()
            taken = min(len(rest), len(room))
            room[:taken] = rest[:taken]
            self.advance(taken)
            rest = rest[taken:]

    def room(self) -> memoryview | None:
        """Return where the next bytes go, or `None` while the ring is full.

        Raises:
            DownloadDiskException: Something before could not be written.
        """
        self._writer.check()
        if self._slot is None:
            if self._free:
                self._slot = self._free.pop()
            elif self._unmade:
                self._unmade -= 1
                self._slot = bytearray(self._slot_size)
            else:
                self.waits += 1
                return None
        return memoryview(self._slot)[self._filled :]

    def advance(self, count: int) -> None:
        """Take over that many bytes, written where `room` said."""
        self.at += count
        self._filled += count
        if self._filled == self._slot_size:
            self.flush()

    def notify(self, on_room: Callable[[], None] | None) -> None:
        """Have `on_room` called once, when there is room again, or never will be."""
        self._on_room = on_room

    def flush(self) -> None:
        """Hand over what is there."""
        if self._slot is not None and self._filled:
            self._writer.put(Filled(self, self._slot, self._filled, self.at - self._filled))
            self._slot, self._filled = None, 0

    def give_back(self, slot: bytearray) -> None:
        """Use a slot again."""
        self._free.append(slot)
        self.wake()

    def wake(self) -> None:
        """Have whoever waits for room look again."""
        self._news.set()
        on_room, self._on_room = self._on_room, None
        if on_room is not None:
            on_room()


@dataclass(frozen=True, slots=True)
class Filled:
    """A slot that is handed over: its first `count` bytes belong at `offset`."""

    lane: Lane
    slot: bytearray
    count: int
    offset: int
