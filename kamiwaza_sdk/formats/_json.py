"""JSON from strangers: bounded in depth, in size, and in what it unfolds to."""

from typing import Final

from pydantic_core import from_json

from kamiwaza_sdk.formats._source import ByteSource

__all__ = ["MAX_MEMBERS", "MAX_MEMORY", "parse_object", "read_json", "text_memory"]

#: How many values a document may hold, near enough: what each of them takes in memory is some 100 bytes.
MAX_MEMBERS: Final = 400_000
#: What a document may take in memory, itself included.
MAX_MEMORY: Final = 96 * 1024**2
#: What a text takes for each byte of JSON where it is not plain ASCII.
_WIDEST: Final = 4


def text_memory(text: bytes) -> int:
    """Return what a document and the texts in it take in memory at most."""
    return len(text) * (2 if text.isascii() and b"\\u" not in text else 1 + _WIDEST)


def read_json(
    source: ByteSource, text: bytes, *, at: int = 0, most: int = MAX_MEMBERS, infinite: bool = False
) -> dict[str, object]:
    """Return the object that a document holds.

    Args:
        source: What it is of.
        text: The document.
        at: Where in the file it begins.
        most: How many values it may hold.
        infinite: Whether ``Infinity`` and ``NaN`` are numbers, which JSON has not, and Python's ``json`` writes.

    Raises:
        MalformedFileException: It is no JSON object, is nested over 200 deep, or is not text in UTF-8.
        FormatLimitException: It has more than `most` values, or its texts take too much memory.
    """
    if len(text) > most and sum(map(text.count, (b",", b"[", b"{"))) > most:
        source.exceed(f"the JSON has more than {most} values; that is no ordinary file", most, at)
    if text_memory(text) > MAX_MEMORY:
        source.exceed(f"the JSON takes more than {MAX_MEMORY} bytes; that is no ordinary file", MAX_MEMORY, at)
    return parse_object(source, text, at=at, infinite=infinite)


def parse_object(source: ByteSource, text: bytes, *, at: int = 0, infinite: bool = False) -> dict[str, object]:
    """Return the object that a document holds, however large it is.

    Raises:
        MalformedFileException: It is no JSON object, is nested over 200 deep, or is not text in UTF-8.
    """
    try:
        value = from_json(text, allow_inf_nan=infinite)
    except ValueError as error:
        source.refuse(f"the JSON cannot be read: {error}", at)
    if not isinstance(value, dict):
        source.refuse("the JSON holds no object", at)
    return value
