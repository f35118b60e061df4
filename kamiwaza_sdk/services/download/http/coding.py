"""Content codings (RFC 9110, section 8.4.1): those of a body, undone as it arrives."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk.services.download.exceptions import UnexpectedEncodingException

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.transfer.acquire import Expectations


_PIECE: Final = 1024**2
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_NAMES: Final = frozenset({"gzip", "x-gzip"})
_ZLIB_METHOD: Final = 8


class CodingException(Exception):
    """A body cannot be decoded: its coding is not known here, or it is not what its coding says."""


def decoded(pieces: Iterable[bytes], codings: tuple[str, ...]) -> Iterator[bytes]:
    """Yield what a body decodes to, in pieces of at most 1 MiB.

    Raises:
        CodingException: It cannot be decoded.
    """
    result = iter(pieces)
    for coding in reversed(codings):
        if coding not in {*_GZIP_NAMES, "deflate"}:
            raise CodingException
        result = _inflated(result, coding)
    return result


def decoded_body(body: bytes, codings: tuple[str, ...], expectations: "Expectations", *, url: str) -> bytes:
    """Return a small body as its digest wants it: as it came, or what it decodes to.

    Raises:
        UnexpectedEncodingException: It cannot be decoded here, and is something else.
        ChecksumMismatchException: What it decodes to is something else, too.
        DownloadTooLargeException: It decodes to more than is allowed.
    """
    if hashlib.sha256(body).hexdigest() == expectations.sha256:
        return body
    plain = bytearray()
    try:
        for piece in decoded([body], codings):
            plain += piece
            expectations.check_arriving(len(plain), url=url)
    except CodingException:
        raise UnexpectedEncodingException(url=url, encoding=", ".join(codings)) from None
    expectations.check_whole(len(plain), hashlib.sha256(plain).hexdigest(), url=url)
    return bytes(plain)


def _inflated(pieces: Iterator[bytes], coding: str) -> Iterator[bytes]:
    engine = None
    for piece in pieces:
        rest = piece
        while True:
            engine = engine or zlib.decompressobj(_window(rest, coding))
            try:
                plain = engine.decompress(rest, _PIECE)
            except zlib.error as error:
                raise CodingException from error
            if plain:
                yield plain
            rest = engine.unused_data if engine.eof else engine.unconsumed_tail
            if engine.eof:  # another member may follow
                engine = None
            if not rest and (engine is None or len(plain) < _PIECE):
                break
    if engine is not None:
        raise CodingException


def _window(start: bytes, coding: str) -> int:
    """Return what zlib is told: some servers send "deflate" without the header that it should have."""
    if coding in _GZIP_NAMES:
        return _GZIP
    return zlib.MAX_WBITS if start[:1] and start[0] & 0x0F == _ZLIB_METHOD else -zlib.MAX_WBITS
