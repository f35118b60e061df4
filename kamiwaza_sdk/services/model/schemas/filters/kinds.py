"""Which fields there are, which comparisons fit them, and which values fit those."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kamiwaza_sdk._validation import check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.schemas.filters.nodes import Scalar

__all__ = [
    "ATTRIBUTE",
    "BOOLEAN",
    "FIELDS",
    "FORMER_NAMES",
    "INTEGER",
    "MOMENT",
    "TAG",
    "TEXT",
    "WITHOUT_VALUE",
    "FieldInfo",
    "Kind",
]

#: The comparisons that take no value.
WITHOUT_VALUE: Final = frozenset({"is_none", "exists"})

_EQUAL: Final = ("eq", "ne")
_ORDERED: Final = (*_EQUAL, "in", "lt", "le", "gt", "ge")


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInputException("value", f"must be text, not {shown(value)}")
    return str.__str__(check_text(value, field="value"))  # drivers take a member of an Enum for its name


def _read_integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInputException("value", f"must be an integer, not {shown(value)}")
    if not -(2**63) <= value < 2**63:
        raise InvalidInputException("value", "is over 64 bits, which none is; compare with a smaller integer")
    return int(value)  # as above


def _read_boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputException("value", f"must be true or false, not {shown(value)}")
    return value


def _read_moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # said below
    given = "one without" if isinstance(value, datetime) else shown(value)
    raise InvalidInputException("value", f"must be a moment with a time zone, as '2026-01-31T12:00:00Z', not {given}")


def _read_json(value: object) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputException("value", f"is {value}, which JSON cannot express; compare with a number")
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int):
        return _read_text(value) if isinstance(value, str) else _read_integer(value)
    raise InvalidInputException("value", f"must be text, a number, true or false, not {shown(value)}")


@dataclass(frozen=True, eq=False)
class Kind:
    """What kind of values a field has.

    Attributes:
        operators: The comparisons that fit.
        read: Returns a value as a filter keeps it, or raises `InvalidInputException`.
        schema: The JSON Schema of a value.
    """

    operators: tuple[str, ...]
    read: Callable[[object], Scalar]
    schema: Mapping[str, str | int | list[str]]


TEXT: Final = Kind((*_ORDERED, "startswith", "contains"), _read_text, {"type": "string"})
INTEGER: Final = Kind(_ORDERED, _read_integer, {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1})
MOMENT: Final = Kind(_ORDERED, _read_moment, {"type": "string", "format": "date-time"})
BOOLEAN: Final = Kind(_EQUAL, _read_boolean, {"type": "boolean"})
TAG: Final = Kind((*_EQUAL, "in", "startswith", "contains", "exists"), _read_text, {"type": "string"})

ATTRIBUTE: Final = Kind((*TEXT.operators, "exists"), _read_json, {"type": ["string", "number", "boolean"]})


@dataclass(frozen=True)
class FieldInfo:
    """What is known of a field.

    Attributes:
        kind: What kind of values it has.
        of_version: Whether versions have it, rather than models.
        optional: Whether there may be none: a field is empty, or a model has no version.
        is_name: Whether it is kept in Unicode normal form C.
    """

    kind: Kind
    of_version: bool = False
    optional: bool = False
    is_name: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        """The comparisons that fit."""
        return (*self.kind.operators, "is_none") if self.optional else self.kind.operators


_ALWAYS: Final = {
    "name": FieldInfo(TEXT, is_name=True),
    "private": FieldInfo(BOOLEAN),
    "revision": FieldInfo(INTEGER),
    "created_at": FieldInfo(MOMENT),
    "updated_at": FieldInfo(MOMENT),
}
_OPTIONAL_TEXTS: Final = ("family", "task", "author", "hub", "source_repository", "description", "license")
_OF_VERSIONS: Final = {
    "number": INTEGER,
    "version": TEXT,
    "source_revision": TEXT,
    "digest": TEXT,
    "size": INTEGER,
    "status": TEXT,
    "format": TEXT,
    "parameters": INTEGER,
    "architecture": TEXT,
    "quantization": TEXT,
    "context_length": INTEGER,
    "source": TEXT,
    "version_hub": TEXT,
    "version_source_repository": TEXT,
    "version_description": TEXT,
    "version_revision": INTEGER,
    "version_created_at": MOMENT,
    "version_updated_at": MOMENT,
}

#: What a field was called, in filters that hosts have stored as JSON.
FORMER_NAMES: Final[Mapping[str, str]] = dict.fromkeys(
    ("quantisation", "quantised", "quantized", "details.quantisation", "details.quantization"), "quantization"
)
#: Every field by its name.
FIELDS: Final[Mapping[str, FieldInfo]] = (
    _ALWAYS
    | {name: FieldInfo(TEXT, optional=True) for name in _OPTIONAL_TEXTS}
    | {
        name: FieldInfo(kind, of_version=True, optional=True, is_name=name == "version")
        for name, kind in _OF_VERSIONS.items()
    }
)
