"""Reads files that lie in other files, in their place, packed, or in memory."""

from typing import Final

from kamiwaza_sdk.formats._packed import refuse_twice
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.exceptions import FormatLimitException

__all__ = ["Part", "as_source", "part_of"]

#: The largest file in a packed one that is taken into memory, where it has to be read from its end.
MAX_IN_MEMORY: Final = 32 * 1024**2
_PIECE: Final = 65_536


class Part(Cursor):
    """Reads so many of the next bytes of another cursor."""

    def __init__(self, outer: Cursor, length: int) -> None:
        super().__init__(outer.source, outer.offset, outer.offset + length)
        self._outer = outer

    def _read_on(self, length: int) -> Reading[None]:
        rest = self.data[self.position :]
        wanted = min(max(length, _PIECE), self.end - self.offset) - len(rest)
        more = yield from self._outer.take(wanted)
        self._base, self.position, self.data = self.offset, 0, rest + more

    def skip(self, length: int) -> Reading[None]:
        if length > self.end - self.offset:
            self.source.refuse(f"{length} bytes should follow, but only {self.end - self.offset} do", self.offset)
        known = min(length, len(self.data) - self.position)
        self.position += known
        if known < length:
            yield from self._outer.skip(length - known)
            self._base, self.position, self.data = self.offset + length - known, 0, b""

    def fork(self) -> Reading[Cursor]:
        yield from ()
        refuse_twice(self)


def part_of(cursor: Cursor, length: int) -> Cursor:
    """Return what reads so many of the next bytes. The cursor may be used again once they are left behind."""
    if length > cursor.end - cursor.offset:
        cursor.source.refuse(f"{length} bytes should follow, but only {cursor.end - cursor.offset} do", cursor.offset)
    return (
        Cursor(cursor.source, cursor.offset, cursor.offset + length) if type(cursor) is Cursor else Part(cursor, length)
    )


class _Inner(ByteSource):
    """A file in another one, in its place or in memory. It costs what its file costs."""

    def __init__(self, outer: ByteSource, *, size: int, path: str) -> None:
        super().__init__(path=path, size=size, byte_budget=0, request_budget=0, remote=outer.remote)
        self.format = outer.format
        self._outer = outer

    def step(self, offset: int, steps: int = 1) -> None:
        self._outer.step(offset, steps)


class _Window(_Inner):
    def __init__(self, outer: ByteSource, *, offset: int, size: int, path: str) -> None:
        super().__init__(outer, size=size, path=path)
        self._offset = offset

    def read(self, offset: int, length: int) -> Reading[bytes]:
        if offset + length > self.size:
            self.refuse(f"{length} bytes should follow, but the file ends at byte {self.size}", offset)
        return (yield from self._outer.read(self._offset + offset, length))


class _Memory(_Inner):
    def __init__(self, outer: ByteSource, *, content: bytes, path: str) -> None:
        super().__init__(outer, size=len(content), path=path)
        self._content = content

    def read(self, offset: int, length: int) -> Reading[bytes]:
        yield from ()
        if offset + length > self.size:
            self.refuse(f"{length} bytes should follow, but the file ends at byte {self.size}", offset)
        return self._content[offset : offset + length]


def as_source(cursor: Cursor, name: str) -> Reading[ByteSource]:
    """Return the rest of a cursor as a file that can be read from its end too, or raise: it is too large for that.

    Raises:
        FormatLimitException: It is packed, and takes more than `MAX_IN_MEMORY`.
    """
    path = f"{cursor.source.path}/{name}"
    if type(cursor) is Cursor:
        return _Window(cursor.source, offset=cursor.offset, size=cursor.end - cursor.offset, path=path)
    content = yield from cursor.peek(MAX_IN_MEMORY + 1)
    if len(content) > MAX_IN_MEMORY:
        reason = f"an archive in what is packed has more than {MAX_IN_MEMORY} bytes, and is not looked into"
        raise FormatLimitException(path=path, reason=reason, limit=MAX_IN_MEMORY)
    return _Memory(cursor.source, content=content, path=path)
