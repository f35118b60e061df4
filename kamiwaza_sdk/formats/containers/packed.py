"""Unpacks streams as they are read: gzip, zlib, bzip2, xz, lzma, and lz4 if its package is installed.

Only the current piece of an unpacked stream is in memory. The formats: RFC 1950 and 1952,
https://sourceware.org/bzip2/manual/manual.html, https://tukaani.org/xz/xz-file-format.txt,
https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn, Protocol

from kamiwaza_sdk.formats.exceptions import MalformedFileException
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading

#: The bytes that may be unpacked of one file, weighted by the time that they take compared with `zlib`.
MAX_UNPACKED: Final = 256 * 1024**2
_PIECE: Final = 65_536
#: The first piece, which is enough to recognise the contents.
_FIRST: Final = 4096
#: The unpacked bytes that cost a step.
_BYTES_A_STEP: Final = 512
#: The packed bytes that cost a step.
_PACKED_A_STEP: Final = 2048
#: The steps to begin with another stream.
_STREAM: Final = 20
#: The largest dictionary of xz's own settings takes 64 MiB.
_MAX_DICTIONARY: Final = 80 * 1024**2
_ENDLESS: Final = 2**63


class Allowance:
    """The bytes that may still be unpacked."""

    def __init__(self) -> None:
        self.left: int = MAX_UNPACKED

    def spend(self, source: ByteSource, size: int, offset: int) -> None:
        """Spend unpacked bytes, or raise."""
        source.step(offset, 1 + size // _BYTES_A_STEP)
        self.left -= size
        if self.left < 0:
            what = f"the files packed in it unfold to more than {MAX_UNPACKED} bytes; that is no ordinary file"
            source.exceed(what, MAX_UNPACKED, offset)


class Decompressor(Protocol):
    """The interface of the decompressors in the standard library, for one stream."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""
        ...

    @property
    def unused_data(self) -> bytes:
        """The bytes behind that end."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return the next bytes, at most so many."""
        ...


class Packing(NamedTuple):
    """A format of packed streams.

    Attributes:
        name: Of the format.
        begins: The first bytes of every stream.
        start: Returns a decompressor, or raises `ImportError` if the package of this name is not installed; `None`
            where the format is not unpacked.
        cost: The time for a byte, compared with `zlib`.
        check: A further check of the first bytes.
    """

    name: str
    begins: bytes
    start: Callable[[], Decompressor] | None = None
    cost: int = 1
    check: Callable[[bytes], bool] = bool


def _unpacks(decompressor: Decompressor, head: bytes) -> bool:
    """Return whether the first bytes can be unpacked, which is a better proof than their mark."""
    try:
        return bool(decompressor.decompress(head, 1)) or decompressor.eof
    except (zlib.error, lzma.LZMAError, EOFError, ValueError):
        return False


def _is_zlib(head: bytes) -> bool:
    return _unpacks(zlib.decompressobj(), head)


def _is_bzip2(head: bytes) -> bool:
    return head[3:4] in b"123456789" and head[4:10] in {b"1AY&SY", b"\x17rE8P\x90"}


def _is_lzma(head: bytes) -> bool:
    return _unpacks(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MAX_DICTIONARY), head)


class _LZ4:
    """Adapts the package lz4 to `Decompressor`."""

    def __init__(self) -> None:
        from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]  # it has no types

        self._frame = LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data or b""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        try:
            return bytes(self._frame.decompress(data, max_length))
        except RuntimeError as error:  # all that its package raises
            raise ValueError(str(error)) from None


PACKINGS: Final = (
    Packing("gzip", b"\x1f\x8b\x08", lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    Packing("zlib", b"x", zlib.decompressobj, check=_is_zlib),
    Packing("bzip2", b"BZh", bz2.BZ2Decompressor, cost=8, check=_is_bzip2),
    Packing("xz", b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(memlimit=_MAX_DICTIONARY), cost=3),
    Packing("lzma", b"]\0\0", lambda: lzma.LZMADecompressor(memlimit=_MAX_DICTIONARY), cost=3, check=_is_lzma),
    Packing("lz4", b"\x04\x22M\x18", _LZ4),
    Packing("zstandard", b"\x28\xb5\x2f\xfd"),
    Packing("7z", b"7z\xbc\xaf\x27\x1c"),
    Packing("rar", b"Rar!\x1a\x07"),
)


def packing_of(head: bytes) -> Packing | None:
    """Return the format of a packed stream by its first bytes; `None` where this is no packed stream."""
    return next((one for one in PACKINGS if head.startswith(one.begins) and one.check(head)), None)


class Unpacker(Cursor):
    """Reads the contents of a packed stream, and of those that follow it, as unpackers join them.

    Args:
        packed: A cursor at its beginning.
        start: Returns a decompressor.
        allowance: The bytes that may be unpacked.
        size: Of the contents; `None` where it is not known.
        cost: The time for a byte, compared with `zlib`.

    Attributes:
        torn: Why the contents end before the packed stream does; `None` where they do not.
    """

    data: bytes
    position: int

    def __init__(
        self,
        packed: Cursor,
        start: Callable[[], Decompressor],
        allowance: Allowance,
        *,
        size: int | None = None,
        cost: int = 1,
    ) -> None:
        super().__init__(packed.source, 0, _ENDLESS if size is None else size)
        self._packed = packed
        self._start = start
        self._allowance = allowance
        self._size = size
        self._cost = cost
        self._begin = packed.offset
        self._decompressor = start()
        self._rest = b""
        self._most = _FIRST
        self.torn: str | None = None

    def has(self, length: int) -> Reading[bool]:
        known = len(self.data) - self.position
        if length <= known:
            return True
        pieces = [self.data[self.position :]]
        while known < length <= self.end - self.offset:
            pieces.append((yield from self._next_piece(self.offset + known)))
            known += len(pieces[-1])
        self._base, self.position, self.data = self.offset, 0, b"".join(pieces)
        return length <= known

    def need(self, length: int) -> Reading[None]:
        if not (yield from self.has(length)):
            self._refuse_short(length)

    def _refuse_short(self, length: int) -> NoReturn:
        left = len(self.data) - self.position
        self.source.refuse(f"{length} bytes should follow, but only {left} do, unpacked", self.offset)

    def skip(self, length: int) -> Reading[None]:
        while length > len(self.data) - self.position:
            if length > self.end - self.offset:
                self._refuse_short(length)
            length -= len(self.data) - self.position
            at = self._base + len(self.data)
            piece = yield from self._next_piece(at)
            self._base, self.position, self.data = at, 0, piece
        self.position += length

    def fork(self) -> Reading[Cursor]:
        if type(self._packed) is not Cursor:
            refuse_twice(self)
        again = Cursor(self._packed.source, self._begin, self._packed.end)
        other = Unpacker(again, self._start, self._allowance, size=self._size, cost=self._cost)
        yield from other.skip(self.offset)
        return other

    def _next_piece(self, at: int) -> Reading[bytes]:
        """Return the next unpacked bytes; none at the end, which then is known."""
        try:
            piece = yield from self._unpack()
        except MalformedFileException as error:
            if self._size is not None or not at:
                raise
            piece, self.torn = b"", error.reason
        if piece:
            self._allowance.spend(self.source, len(piece) * self._cost, at)
        elif self._size is not None:
            self.source.refuse("a member of the archive is shorter than it is said to be", at)
        else:
            self.end = at
        return piece[: self.end - at]

    def _unpack(self) -> Reading[bytes]:
        """Return the next bytes; none behind the last stream."""
        while True:
            if self._decompressor.eof and not (yield from self._next_stream()):
                return b""
            piece = self._decompressed(self._rest)
            self._rest = getattr(self._decompressor, "unconsumed_tail", b"")
            if piece or self._decompressor.eof:
                if piece:
                    return piece
                continue
            if not (yield from self._packed.more()):
                self.source.refuse("what is packed is cut short", self.offset)
            self._rest += yield from self._next_packed()

    def _next_packed(self) -> Reading[bytes]:
        """Return what has been read of the stream, which can unpack to nothing."""
        known = self._packed.data[self._packed.position : self._packed.position + _PIECE]
        self.source.step(self._packed.offset, 1 + len(known) // _PACKED_A_STEP)
        yield from self._packed.skip(len(known))
        return known

    def _decompressed(self, data: bytes) -> bytes:
        try:
            piece = self._decompressor.decompress(data, self._most)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            self.source.refuse(f"what is packed cannot be unpacked: {error}", self.offset)
        self._most = _PIECE
        return piece

    def _next_stream(self) -> Reading[bool]:
        """Begin with the stream that follows, if one does. Zeros pad a file."""
        if self._size is not None:  # a member of an archive is one stream
            return False
        left = self._decompressor.unused_data.lstrip(b"\0")
        while not left and (yield from self._packed.more()):
            left = (yield from self._next_packed()).lstrip(b"\0")
        if not left:
            return False
        self.source.step(self._packed.offset, _STREAM + len(left) // _BYTES_A_STEP)
        self._decompressor, self._rest = self._start(), left
        return True


def refuse_twice(cursor: Cursor) -> NoReturn:
    """Raise that a stream inside of another would have to be read again."""
    cursor.source.exceed("what is packed twice is not read twice, as it would have to be", 1, cursor.offset)
