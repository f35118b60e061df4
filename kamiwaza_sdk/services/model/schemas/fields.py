"""Field types that schemas share, and the base of updates, which hold only the fields that were given."""

import math
import unicodedata
from collections.abc import Iterator
from datetime import UTC
from operator import methodcaller
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    GetCoreSchemaHandler,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)
from pydantic_core import CoreSchema, core_schema, to_json

from kamiwaza_sdk._validation import MAX_NAME_LENGTH, InputSchema, check_name, check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException

#: How deep a JSON object given to the registry may nest.
MAX_DEPTH: Final = 32
#: How much deeper the history's objects nest, which hold those.
_DEPTH_OF_EVENTS: Final = 4
#: How many bytes of JSON the attributes of a model or a version may have: every listing carries them.
MAX_ATTRIBUTES_LENGTH: Final = 100_000
#: How many aliases a model may have, for the same reason as tags.
MAX_ALIASES: Final = 1000
#: How many tags a model or a version may have: every listing carries them.
MAX_TAGS: Final = 1000
MAX_TAG_VALUE_LENGTH: Final = 5000


class FromJSON:
    """Lets a field be given as JSON text too, which is how the database delivers what it aggregates."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: a type
        """Try the text first: it is what rows hold, and rows are many."""
        inner = handler(source)
        either = core_schema.union_schema([core_schema.json_schema(inner), inner], mode="left_to_right")
        return core_schema.json_or_python_schema(json_schema=inner, python_schema=either)


def check_actor(value: str | None) -> str | None:
    """Return who is at work, or raise `InvalidInputException`: at most 255 characters."""
    if value is not None and len(check_text(value, field="actor")) > MAX_NAME_LENGTH:
        raise InvalidInputException("actor", f"has over {MAX_NAME_LENGTH} characters; shorten it")
    return value


def check_tag_key(value: str) -> str:
    """Return a tag's key, or raise `InvalidInputException`: 1 to 255 characters, none of them a control character."""
    check_text(value, field="key")
    if not 0 < len(value) <= MAX_NAME_LENGTH:
        raise InvalidInputException("key", f"{shown(value)} does not have 1 to {MAX_NAME_LENGTH} characters; change it")
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise InvalidInputException("key", f"{shown(value)} has a control character; remove it")
    return value


def check_tag_value(value: str) -> str:
    """Return a tag's value, or raise `InvalidInputException`: at most 5,000 characters."""
    check_text(value, field="value")
    if len(value) > MAX_TAG_VALUE_LENGTH:
        reason = f"has {len(value)} characters, over the limit of {MAX_TAG_VALUE_LENGTH}; shorten it"
        raise InvalidInputException("value", reason)
    return value


def check_tags(value: dict[str, str]) -> dict[str, str]:
    """Return tags, or raise `InvalidInputException`: at most 1,000, each with a key and a value that can be kept."""
    if len(value) > MAX_TAGS:
        raise InvalidInputException("tags", f"are {len(value)}, over the limit of {MAX_TAGS}; drop some")
    return {check_tag_key(key): check_tag_value(text) for key, text in value.items()}


def check_alias(value: str) -> str:
    """Return an alias, or raise `InvalidInputException`: a name in one segment, not all digits, and not ``latest``."""
    alias = check_name(value, field="alias")
    if "/" in alias:
        raise InvalidInputException("alias", f"{shown(alias)} contains '/'; use one segment", value=alias)
    if alias.isdigit() or alias == "latest":
        reason = f"{shown(alias)} would be taken for a version; choose another name"
        raise InvalidInputException("alias", reason, value=alias)
    return alias


def _check_json(value: JsonValue, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInputException("value", f"nests deeper than the limit of {MAX_DEPTH}; flatten it")
    if isinstance(value, str):
        check_text(value, field="value")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputException("value", f"contains {value}, which JSON cannot express; use null")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidInputException("value", "contains an integer over 64 bits; write it as a string")
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
    return {key: _exact(inner) for key, inner in value.items()}


def check_kept_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what a database has kept, or raise `InvalidInputException`: an event may hold objects in an object."""
    restored = _restored(value)
    _check_json(restored, depth=-_DEPTH_OF_EVENTS)
    return {key: _exact(inner) for key, inner in restored.items()}


def check_kept_object(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a JSON object that a database has kept, or raise `InvalidInputException`."""
    return _checked(_restored(value))


def _bounded(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if value and (length := len(to_json(value))) > MAX_ATTRIBUTES_LENGTH:
        raise InvalidInputException(
            "attributes", f"take {length} bytes as JSON, over the limit of {MAX_ATTRIBUTES_LENGTH}; keep less in them"
        )
    return value


def _exact(value: JsonValue) -> JsonValue:
    """Return a value as both databases give it back.

    A large float is written with an exponent, and PostgreSQL keeps the digits that are written. The integer that it is
    survives. A zero of PostgreSQL's has no sign.
    """
    if isinstance(value, dict):
        return {key: _exact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    if not isinstance(value, float):
        return value
    return int(value) if 2.0**53 <= abs(value) < 2.0**63 else value or 0.0


def _restored(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return an object as it was given: PostgreSQL makes large floats integers, and none over 64 bits is taken."""
    return {key: _as_given(inner) for key, inner in value.items()} if value and _has_long(value) else value


def _has_long(value: dict[str, JsonValue] | list[JsonValue]) -> bool:
    """Tell whether there is an integer over 64 bits. Almost nothing that is read has one, and rows are many."""
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, int):
            if not -(2**63) <= inner < 2**63:
                return True
        elif isinstance(inner, dict | list) and _has_long(inner):
            return True
    return False


def _as_given(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _as_given(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_given(inner) for inner in value]
    return float(value) if type(value) is int and not -(2**63) <= value < 2**63 else value


#: A text for one line: at most 255 characters.
ShortText = Annotated[str, StringConstraints(max_length=255), AfterValidator(check_text)]
#: A JSON object that both databases can hold.
Details = Annotated[dict[str, JsonValue], AfterValidator(_checked)]
#: What users note, as a JSON object that both databases can hold.
Attributes = Annotated[dict[str, JsonValue], AfterValidator(_checked), AfterValidator(_bounded)]
#: The same two as a database has kept them: as an export holds them.
KeptDetails = Annotated[dict[str, JsonValue], AfterValidator(check_kept_object)]
KeptAttributes = Annotated[dict[str, JsonValue], AfterValidator(check_kept_object), AfterValidator(_bounded)]
#: A JSON object as it is read.
ReadDetails = Annotated[dict[str, JsonValue], FromJSON(), AfterValidator(_restored)]
#: An aware moment in UTC, whatever time zone the database's connection is in.
Moment = Annotated[AwareDatetime, AfterValidator(methodcaller("astimezone", UTC))]
#: Keys and values, both text.
Tags = Annotated[dict[str, str], AfterValidator(check_tags)]


_Value = TypeVar("_Value")


class UpdateSchema(InputSchema):
    """Base of changes: a field that was not given is not dumped, or reading the dump back would clear it."""

    @model_serializer(mode="wrap")
    def _only_given(
        self, handler: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:  # Any: the values of several fields
        return {key: value for key, value in handler(self).items() if key in self.model_fields_set}

    def changes(self) -> dict[str, Any]:  # Any: as above
        """Return only the fields that were given, `None` included."""
        return self.model_dump()


def required(value: _Value) -> _Value:
    """Return a value, or refuse that there is none."""
    if value is None:
        raise InvalidInputException("value", "cannot be cleared; leave it out to keep what it is")
    return value
