"""Content of a server: bytes, or content of any size that is generated while it is sent."""

import hashlib
import random
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final, Protocol, Self

from kamiwaza_sdk.exceptions import InvalidInputException

__all__ = ["Body", "BytesBody", "GeneratedBody", "body_of"]

#: Each begins with its number, hashed, so that no two places of a body look alike.
_TILE: Final = 64 * 1024
_NUMBER: Final = 8
_PIECE: Final = 1024**2
_BYTES: Final = 256


class Body(Protocol):
    """The content of a path."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def tag(self) -> str:
        """What identifies the content, for a strong ``ETag``."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        ...

    def sha256(self) -> str:
        """Return the digest of all of it."""
        ...

    def changed(self, times: int) -> "Body":
        """Return other content of the same size."""
        ...


@dataclass(frozen=True)
class GeneratedBody:
    """Content of any size that needs no memory: it is generated from a seed while it is sent, always the same.

    Attributes:
        size: In bytes.
        seed: Different seeds give different content.

    Raises:
        InvalidInputException: The size is negative.

    Example:
        >>> from kamiwaza_sdk.testing import GeneratedBody
        >>> body = GeneratedBody(10 * 1024**4)
        >>> len(body.read(5 * 1024**4, 5 * 1024**4 + 3))
        3
    """

    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 0:
            raise InvalidInputException("size", f"is {self.size}; give a number of bytes, 0 or more")

    @property
    def tag(self) -> str:
        """What identifies the content."""
        return f"{self.size:x}-{self.seed:x}"

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return some of the content.

        Args:
            start: The offset of the first byte.
            stop: The offset after the last one. Default: the end.
        """
        stop = self.size if stop is None else min(stop, self.size)
        if start >= stop:
            return b""
        first, last = start // _TILE, (stop - 1) // _TILE
        noise = _noise(self.seed)
        tiles = b"".join(part for number in range(first, last + 1) for part in (_marked(number), noise))
        return tiles[start - first * _TILE : stop - first * _TILE]

    def sha256(self) -> str:
        """Return the SHA-256 of all of it, in hexadecimal. Takes about a second a GiB."""
        digest = hashlib.sha256()
        for start in range(0, self.size, _PIECE):
            digest.update(self.read(start, start + _PIECE))
        return digest.hexdigest()

    def changed(self, times: int) -> Self:
        """Return other content of the same size.

        Args:
            times: How often it was changed: 1 or more.
        """
        return replace(self, seed=self.seed + times)


@dataclass(frozen=True)
class BytesBody:
    """Content that was given."""

    content: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)

    @cached_property
    def tag(self) -> str:
        """What identifies the content."""
        return hashlib.blake2b(self.content, digest_size=8).hexdigest()

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        return self.content[start:stop]

    def sha256(self) -> str:
        """Return the digest of all of it."""
        return hashlib.sha256(self.content).hexdigest()

    def changed(self, times: int) -> "BytesBody":
        """Return other content of the same size: each byte is another."""
        by = 1 + (times - 1) % (_BYTES - 1)
        return BytesBody(self.content.translate(bytes((byte + by) % _BYTES for byte in range(_BYTES))))


def body_of(content: bytes | GeneratedBody, *, field: str = "body") -> Body:
    """Return the body for `content`.

    Raises:
        InvalidInputException: It is neither bytes nor generated.
    """
    if isinstance(content, GeneratedBody):
        return content
    try:
        # Not of anything: of a number, bytes() makes as many zeros.
        return BytesBody(content if isinstance(content, bytes) else bytes(memoryview(content)))
    except TypeError:
        reason = f"is a {type(content).__name__}; give bytes (of a text, text.encode()), or a GeneratedBody"
        raise InvalidInputException(field, reason) from None


def _marked(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=_NUMBER).digest()


@lru_cache(maxsize=16)
def _noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(_TILE - _NUMBER)  # noqa: S311 - to be repeatable is the point
