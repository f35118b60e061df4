"""Reads the members of zip archives, within limits, and files inside of others: in place, packed, or in memory.

The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import struct
import zlib
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.containers.packed import Allowance, Unpacker, refuse_twice
from kamiwaza_sdk.formats.exceptions import FormatLimitException
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading

MAX_MEMBERS: Final = 250_000
MAX_DIRECTORY: Final = 32 * 1024**2
_END: Final = struct.Struct("<4s4H2IH")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64: Final = struct.Struct("<4sIQI")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_EXTRA: Final = struct.Struct("<2H")
_LONGEST_COMMENT: Final = 65_535
_UNSET: Final = 0xFFFFFFFF
_UNSET_COUNT: Final = 0xFFFF
_ENCRYPTED: Final = 1
_STORED: Final = 0
_DEFLATED: Final = 8
_ZIP64: Final = 1
#: The steps to list a member, and to open one.
_LISTED: Final = 3
_OPENED: Final = 20


class Member(NamedTuple):
    """A file in an archive, by the central directory."""

    name: str
    flags: int
    method: int
    packed: int
    size: int
    offset: int


def find_members(source: ByteSource) -> Reading[list[Member] | None]:
    """Return the members in the central directory; `None` where there is none, so that this is no archive."""
    start = max(0, source.size - _END.size - _LONGEST_COMMENT - _LOCATOR64.size - _END64.size)
    tail = yield from source.read(start, source.size - start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return None
    _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end, count, size, offset = _read_end64(source, tail[:at], start, (count, size, offset))
    if count > MAX_MEMBERS:
        source.exceed(f"the archive claims {count} members, over the limit of {MAX_MEMBERS}", MAX_MEMBERS, start + at)
    if size > MAX_DIRECTORY:
        what = f"the archive's directory claims {size} bytes, over the limit of {MAX_DIRECTORY}"
        source.exceed(what, MAX_DIRECTORY, start + at)
    # Offsets count from where the archive begins, and something may stand before it.
    before = end - size - offset
    if before < 0:
        source.refuse("the archive's directory is not in the file", start + at)
    return _members(source, (yield from source.read(before + offset, size)), before)


def _read_end64(source: ByteSource, tail: bytes, start: int, plain: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the end of the directory, and its count, size and offset: in long numbers, where there are any.

    Some programs read these only where the short ones are unset, others always; some at the offset that the locator
    tells, others before the end. So all have to lead to the same directory.
    """
    at = len(tail) - _LOCATOR64.size
    if at < 0 or not tail.startswith(b"PK\x06\x07", at):
        return start + len(tail), *plain
    place = start + at - _END64.size
    if at < _END64.size or _LOCATOR64.unpack_from(tail, at)[2] != place:
        source.refuse("the archive's end is not where it is said to be", start + at)
    mark, *_, count, size, offset = _END64.unpack_from(tail, at - _END64.size)
    if mark != b"PK\x06\x06":
        source.refuse("the archive's end is not where it is said to be", place)
    unset = (_UNSET_COUNT, _UNSET, _UNSET)
    if any(short not in {none, long} for short, none, long in zip(plain, unset, (count, size, offset), strict=True)):
        source.refuse("the archive's end tells of two directories", place)
    return place, count, size, offset


def _members(source: ByteSource, directory: bytes, before: int) -> list[Member]:
    members = list[Member]()
    at = 0
    while at + _CENTRAL.size <= len(directory) and len(members) <= MAX_MEMBERS:
        fields = _CENTRAL.unpack_from(directory, at)
        if fields[0] != b"PK\x01\x02":
            break
        source.step(before + at, _LISTED)
        name, extra = at + _CENTRAL.size, at + _CENTRAL.size + fields[10]
        at = extra + fields[11] + fields[12]
        text = directory[name:extra].decode("utf-8" if fields[3] & 0x800 else "cp437", errors="replace")
        text = text.partition("\0")[0]  # where the standard library ends a name, and its ending with it
        numbers = _long_numbers(source, directory, extra, fields[11], [fields[9], fields[8], fields[16]])
        members.append(Member(text, fields[3], fields[4], numbers[1], numbers[0], before + numbers[2]))
    if at != len(directory):
        source.refuse("the archive's directory is not a list of members")
    return members


def _long_numbers(source: ByteSource, directory: bytes, at: int, length: int, numbers: list[int]) -> list[int]:
    """Return size, packed size and offset, with those that do not fit from the extra field."""
    end = min(at + length, len(directory))
    while end - at >= _EXTRA.size:
        source.step(at)
        kind, length = _EXTRA.unpack_from(directory, at)
        at += _EXTRA.size
        if kind == _ZIP64:
            body = directory[at : min(at + length, end)]
            longs = iter(struct.iter_unpack("<Q", body[: len(body) // 8 * 8][: 8 * len(numbers)]))
            return [next(longs, (number,))[0] if number == _UNSET else number for number in numbers]
        at += length
    return numbers


def open_member(source: ByteSource, member: Member, allowance: Allowance) -> Reading[Cursor]:
    """Return a cursor over the contents of a member; raise if it is damaged, encrypted, or packed in another way."""
    source.step(member.offset, _OPENED)
    local = _LOCAL.unpack((yield from source.read(member.offset, _LOCAL.size)))
    if local[0] != b"PK\x03\x04":
        source.refuse(f"member {member.name[:80]!r} is not where the directory says", member.offset)
    if (member.flags | local[2]) & _ENCRYPTED or local[3] != member.method:
        source.refuse(f"member {member.name[:80]!r} is encrypted, or packed in two ways", member.offset)
    begin = member.offset + _LOCAL.size + local[9] + local[10]
    if begin + member.packed > source.size:
        source.refuse(f"member {member.name[:80]!r} is not in the file", member.offset)
    packed = Cursor(source, begin, begin + member.packed)
    if member.method == _STORED:
        return packed
    if member.method == _DEFLATED:
        return Unpacker(packed, lambda: zlib.decompressobj(-zlib.MAX_WBITS), allowance, size=member.size)
    source.refuse(f"member {member.name[:80]!r} is packed in a way that is not read ({member.method})", member.offset)


#: The largest packed archive that is unpacked in memory, for an archive is read from its end.
MAX_IN_MEMORY: Final = 32 * 1024**2
_PIECE: Final = 65_536


class Part(Cursor):
    """Reads some of the next bytes of another cursor."""

    data: bytes
    position: int

    def __init__(self, outer: Cursor, length: int) -> None:
        super().__init__(outer.source, outer.offset, outer.offset + length)
        self._outer = outer

    def _read_on(self, length: int) -> Reading[None]:
        rest = self.data[self.position :]
        wanted = min(max(length, _PIECE), self.end - self.offset) - len(rest)
        more = yield from self._outer.take(wanted)
        self._base, self.position, self.data = self.offset, 0, rest + more

    def skip(self, length: int) -> Reading[None]:
        self.check_follow(length)
        known = min(length, len(self.data) - self.position)
        self.position += known
        if known < length:
            yield from self._outer.skip(length - known)
            self._base, self.position, self.data = self.offset + length - known, 0, b""

    def fork(self) -> Reading[Cursor]:
        yield from ()
        refuse_twice(self)


def part_of(cursor: Cursor, length: int) -> Cursor:
    """Return a cursor over the next bytes. `cursor` may be used again when they are read or skipped."""
    cursor.check_follow(length)
    return (
        Cursor(cursor.source, cursor.offset, cursor.offset + length) if type(cursor) is Cursor else Part(cursor, length)
    )


class _Inner(ByteSource):
    """A file inside of another, in place or in memory, whose budget it spends."""

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
    """Return the rest of a cursor as a file, which can be read from its end, too.

    Raises:
        FormatLimitException: It is packed, and has more than `MAX_IN_MEMORY` bytes.
    """
    path = f"{cursor.source.path}/{name}"
    if type(cursor) is Cursor:
        return _Window(cursor.source, offset=cursor.offset, size=cursor.end - cursor.offset, path=path)
    content = yield from cursor.peek(MAX_IN_MEMORY + 1)
    if len(content) > MAX_IN_MEMORY:
        reason = f"an archive in what is packed has more than {MAX_IN_MEMORY} bytes, and is not looked into"
        raise FormatLimitException(path=path, reason=reason, limit=MAX_IN_MEMORY)
    return _Memory(cursor.source, content=content, path=path)
