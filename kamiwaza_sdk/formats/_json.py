"""JSON from strangers: bounded in depth, in size, and in what it unfolds to."""

from typing import Final

from pydantic_core import from_json

from kamiwaza_sdk.formats._source import ByteSource

__all__ = ["MAX_MEMBERS", "read_json"]

#: How many values a document may hold, near enough: what each of them takes in memory is some 100 bytes.
MAX_MEMBERS: Final = 3_000_000


def read_json(source: ByteSource, text: bytes, *, at: int = 0, most: int = MAX_MEMBERS) -> dict[str, object]:
    """Return the object that a document holds.

    Raises:
        MalformedFileException: It is no JSON object, is nested over 200 deep, or is not text in UTF-8.
        FormatLimitException: It has more than `most` values.
    """
    if len(text) > most and sum(map(text.count, (b",", b"[", b"{"))) > most:
        source.exceed(f"the JSON has more than {most} values; that is no ordinary file", most, at)
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        source.refuse(f"the JSON cannot be read: {error}", at)
    if not isinstance(value, dict):
        source.refuse("the JSON holds no object", at)
    return value
