"""Field types that the registry's schemas share."""

import math
from collections.abc import Iterator
from datetime import UTC
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, JsonValue, StringConstraints

from kamiwaza_sdk._validation import check_text
from kamiwaza_sdk.exceptions import InvalidInputException

__all__ = ["MAX_DEPTH", "Details", "Moment", "ShortText"]

#: How deep a JSON object given to the registry may nest.
MAX_DEPTH: Final = 32


def _check_json(value: JsonValue, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInputException("details", f"nests deeper than the limit of {MAX_DEPTH}; flatten it")
    if isinstance(value, str):
        check_text(value, field="details")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputException("details", f"contains {value}, which JSON cannot express; use null")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidInputException("details", "contains an integer over 64 bits; write it as a string")
    for inner in _children(value):
        _check_json(inner, depth + 1)


def _children(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _checked(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _check_json(value)
    return value


#: A text for one line: at most 255 characters.
ShortText = Annotated[str, StringConstraints(max_length=255), AfterValidator(check_text)]
#: A JSON object that both databases can hold.
Details = Annotated[dict[str, JsonValue], AfterValidator(_checked)]
#: An aware moment in UTC, whatever time zone the database's connection is in.
Moment = Annotated[AwareDatetime, AfterValidator(lambda value: value.astimezone(UTC))]
