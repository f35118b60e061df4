"""Reads the members of zip archives, bounded in what they unfold to.

The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import struct
import zlib
from typing import Final, NamedTuple

from kamiwaza_sdk.formats._packed import Allowance, Unpacker
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading

__all__ = ["Member", "find_members", "open_member"]

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
#: What a member costs, in steps, when it is listed, and when it is opened.
_LISTED: Final = 3
_OPENED: Final = 20


class Member(NamedTuple):
    """A file in an archive, as the central directory has it."""

    name: str
    flags: int
    method: int
    packed: int
    size: int
    offset: int


def find_members(source: ByteSource) -> Reading[list[Member] | None]:
    """Return what the central directory lists; `None` where there is none, so that it is no archive."""
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
    """Return where the directory ends, and what is said of it: in long numbers, wherever there are any.

    Some programs look for these only where the short ones are unset, some always; and some where they are said to be,
    some just before the end. So all have to come to the same directory.
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
    """Return size, packed size and offset, those that did not fit taken from the extra field for long numbers."""
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
    """Return what reads a member's contents, or raise: it is damaged, encrypted, or packed in another way."""
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
