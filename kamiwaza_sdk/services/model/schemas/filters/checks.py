"""Checks of the values in filters, and the kinds of fields they belong to."""

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Literal, TypeAlias

from kamiwaza_sdk._validation import check_text, shown, suggestion
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import InvalidFilterException
from kamiwaza_sdk.services.model.schemas.fields import check_alias, check_tag_key

#: How deep a filter may nest; a condition alone is 1.
MAX_FILTER_DEPTH: Final = 16
#: How many conditions a filter may have.
MAX_FILTER_CONDITIONS: Final = 100
#: How many values one ``in`` may list.
MAX_IN_VALUES: Final = 1000
#: How many values the conditions of a filter may name together: tags take two parameters for each, SQLite has 32,766.
MAX_FILTER_VALUES: Final = 10_000

Scalar: TypeAlias = str | int | float | datetime
#: `None` where the comparison takes no value, and a tuple for ``in``.
Value: TypeAlias = Scalar | tuple[Scalar, ...] | None
#: What joins the parts of a group.
Word: TypeAlias = Literal["and", "or"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field is to be."""

    field: str
    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class TagCondition:
    """What a tag is to be."""

    tag: str
    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """What one of the attributes is to be. The path has the keys that lead to it, outermost first."""

    attribute: tuple[str, ...]
    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class AliasCondition:
    """Which alias there is to be."""

    alias: str


@dataclass(frozen=True, slots=True)
class Group:
    """Parts, of which all hold (``and``) or any one (``or``). There is one at least."""

    word: Word
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """What is not to hold."""

    part: "Node"


Leaf: TypeAlias = Condition | TagCondition | AttributeCondition | AliasCondition
Node: TypeAlias = Leaf | Group | Negation


#: The comparisons that take no value.
WITHOUT_VALUE: Final = frozenset({"is_none", "exists"})

_EQUAL: Final = ("eq", "ne")
_ORDERED_KINDS: Final = (*_EQUAL, "in", "lt", "le", "gt", "ge")


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


TEXT: Final = Kind((*_ORDERED_KINDS, "startswith", "contains"), _read_text, {"type": "string"})
INTEGER: Final = Kind(_ORDERED_KINDS, _read_integer, {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1})
MOMENT: Final = Kind(_ORDERED_KINDS, _read_moment, {"type": "string", "format": "date-time"})
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


#: Stands for a value that was not given, as `None` may have been.
MISSING: Final = object()

#: How many keys may lead to an attribute.
_MAX_PATH: Final = 16
_TAG: Final = FieldInfo(TAG)
_ATTRIBUTE: Final = FieldInfo(ATTRIBUTE)
#: The comparisons of texts alone, and those that true and false do not fit.
_OF_TEXTS: Final = frozenset({"startswith", "contains"})
_ORDERED: Final = frozenset({"lt", "le", "gt", "ge"})


def inner(place: str, *keys: str | int) -> str:
    """Return the place of what stands in another."""
    return ".".join([*([place] if place else []), *map(str, keys)])


def checked_condition(field: object, op: object, value: object = MISSING, *, place: str = "") -> Condition:
    """Return a condition on a field, or raise `InvalidFilterException`."""
    field = FORMER_NAMES.get(field, field) if isinstance(field, str) else field
    if not isinstance(field, str) or field not in FIELDS:
        reason = f"is {shown(field)}, which is no field; {suggestion(field, FIELDS)}"
        raise InvalidFilterException(inner(place, "field"), reason)
    check = _Check(f"field {field!r}", FIELDS[field], place)
    operator = check.operator(op)
    return Condition(str.__str__(field), operator, check.value(operator, value))


def checked_tag(tag: object, op: object, value: object = MISSING, *, place: str = "") -> TagCondition:
    """Return a condition on a tag, or raise `InvalidFilterException`."""
    key = _checked_name(check_tag_key, tag, inner(place, "tag"))
    check = _Check("a tag", _TAG, place)
    operator = check.operator(op)
    return TagCondition(key, operator, check.value(operator, value))


def checked_attribute(attribute: object, op: object, value: object = MISSING, *, place: str = "") -> AttributeCondition:
    """Return a condition on an attribute, or raise `InvalidFilterException`."""
    path = _checked_path(attribute, inner(place, "attribute"))
    check = _Check("an attribute", _ATTRIBUTE, place)
    operator = check.operator(op)
    return AttributeCondition(path, operator, check.comparable(operator, check.value(operator, value)))


def _checked_path(attribute: object, place: str) -> tuple[str, ...]:
    """Return the keys that lead to an attribute: dots are between them, or they are listed, as keys may have dots."""
    keys = attribute.split(".") if isinstance(attribute, str) else attribute
    if not isinstance(keys, list | tuple) or not 0 < len(keys) <= _MAX_PATH:
        reason = f"is {shown(attribute)}; give 1 to {_MAX_PATH} keys with dots between them, or a list of keys"
        raise InvalidFilterException(place, reason)
    return tuple(_checked_name(check_text, key, place) for key in keys)


def checked_alias(alias: object, *, place: str = "") -> AliasCondition:
    """Return a condition on an alias, or raise `InvalidFilterException`."""
    return AliasCondition(_checked_name(check_alias, alias, inner(place, "alias")))


def _checked_name(check: Callable[[str], str], value: object, place: str) -> str:
    try:
        return check(str.__str__(check_text(value)))  # type: ignore[arg-type]  # what is no text is refused there
    except InvalidInputException as error:
        raise InvalidFilterException(place, error.reason) from error


@dataclass(frozen=True)
class _Check:
    """Checks one condition on what `what` names."""

    what: str
    info: FieldInfo
    place: str

    def operator(self, op: object) -> str:
        fitting = self.info.operators
        if isinstance(op, str) and op in fitting:
            return str.__str__(op)
        given = "is missing" if op is MISSING else f"is {shown(op)}, which does not fit {self.what}"
        raise InvalidFilterException(inner(self.place, "op"), f"{given}; what fits: {', '.join(fitting)}")

    def value(self, operator: str, value: object) -> Value:
        if operator in WITHOUT_VALUE:
            if value is not MISSING:
                raise self._refusal(f"does not belong to {operator!r}, which takes none; leave it out")
            return None
        if value is MISSING:
            raise self._refusal(f"is missing, which {operator!r} takes; give one")
        return self._values(value) if operator == "in" else self._scalar(value)

    def comparable(self, operator: str, value: Value) -> Value:
        """Return what an attribute is compared with, or refuse what its comparison does not fit."""
        if operator in _OF_TEXTS and not isinstance(value, str):
            raise self._refusal(f"must be text, which {operator!r} is for, not {shown(value)}")
        if operator in _ORDERED and isinstance(value, bool):
            raise self._refusal("is true or false, of which neither comes first; compare with '==' or '!='")
        return value

    def _values(self, value: object) -> tuple[Scalar, ...]:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise self._refusal(f"must be a list of values, not {shown(value)}; write [...] around it")
        values = tuple(islice(value, MAX_IN_VALUES + 1))
        if not 0 < len(values) <= MAX_IN_VALUES:
            given = f"over {MAX_IN_VALUES}" if values else "no"
            raise self._refusal(f"lists {given} values; list 1 to {MAX_IN_VALUES}")
        return tuple(self._scalar(each, index) for index, each in enumerate(values))

    def _scalar(self, value: object, *index: int) -> Scalar:
        if value is None:
            way_out = "is_none asks for that" if self.info.optional else "there always is one; give one"
            raise self._refusal(f"is None, which nothing compares with; {way_out}", *index)
        try:
            scalar = self.info.kind.read(value)
        except InvalidInputException as error:
            raise self._refusal(error.reason, *index) from error
        return unicodedata.normalize("NFC", scalar) if self.info.is_name and isinstance(scalar, str) else scalar

    def _refusal(self, reason: str, *index: int) -> InvalidFilterException:
        return InvalidFilterException(inner(self.place, "value", *index), f"for {self.what} {reason}")
