"""Reading headers of files that have not arrived, in few requests."""

from typing import Final

from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import HubException, InvalidAnswerException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.sources.context import SourceContext

__all__ = ["Allowance", "RangeReader", "SpentException"]

_KIB: Final = 1024
#: What is read first, of a large file more: most headers of safetensors files are in it.
_LEAST: Final = 256 * _KIB
_MOST: Final = (1024 + 64) * _KIB
_SHARE: Final = 2000
#: What is read on of a GGUF file, whose tokenizer can take so much.
_FURTHER: Final = 8 * _KIB * _KIB


class SpentException(HubException):
    """Planning has made as many requests as it may. It never leaves the planning."""


class Allowance:
    """How many requests may still be made: `left`."""

    def __init__(self, requests: int) -> None:
        self.left = requests

    def spend(self) -> None:
        """Count a request, or raise `SpentException`."""
        if not self.left:
            raise SpentException("has not been looked into, to keep the requests few")
        self.left -= 1


class RangeReader:
    """Reads one file by ranges, ahead, so that what is asked for next is here already.

    Attributes:
        size: Of the file, in bytes, once `open` has returned.
    """

    def __init__(self, file: ManifestFileSchema, context: SourceContext, allowance: Allowance) -> None:
        self._file = file
        self._context = context
        self._allowance = allowance
        self._offset = 0
        self._known = b""
        self.size = 0

    async def open(self) -> None:
        """Read the first bytes, and find out how many there are.

        Raises:
            InvalidAnswerException: The server does not tell, or has another file than the one that is listed.
            DownloadException: They did not arrive.
        """
        size = await self._read(0, _first(self._file.size))
        self.size = self._file.size if self._file.size is not None else size if size is not None else -1
        if self.size < 0:
            raise InvalidAnswerException(url=redacted(self._file.url), reason="does not tell how large the file is")

    async def __call__(self, offset: int, length: int) -> bytes:
        """Return a range."""
        end = offset + length
        if not self._offset <= offset <= end <= self._offset + len(self._known):
            ahead = _FURTHER if self._file.path.lower().endswith(".gguf") else length
            await self._read(offset, min(max(length, ahead), self.size - offset))
        start = offset - self._offset
        return self._known[start : start + length]

    async def _read(self, offset: int, length: int) -> int | None:
        self._allowance.spend()
        part = await self._context.read_range(self._file.url, offset=offset, length=length)
        if part.size is not None and self._file.size not in {None, part.size}:
            reason = f"is of a file of {part.size} bytes, not of the one of {self._file.size} that is listed"
            raise InvalidAnswerException(url=redacted(self._file.url), reason=reason)
        self._offset, self._known = offset, part.body
        return part.size


def _first(size: int | None) -> int:
    """Return how many bytes to read first of a file of that size: little of it, and often all of its header."""
    if size is None:
        return _LEAST
    return max(1, min(size, max(_LEAST, min(_MOST, size // _SHARE))))
