"""What a condition must be, wherever it comes from."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from kamiwaza_sdk._validation import check_text, shown, suggestion
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import InvalidFilterException
from kamiwaza_sdk.services.model.schemas.fields import check_alias, check_tag_key
from kamiwaza_sdk.services.model.schemas.filters.kinds import (
    ATTRIBUTE,
    FIELDS,
    FORMER_NAMES,
    TAG,
    WITHOUT_VALUE,
    FieldInfo,
)
from kamiwaza_sdk.services.model.schemas.filters.nodes import (
    MAX_IN_VALUES,
    AliasCondition,
    AttributeCondition,
    Condition,
    Scalar,
    TagCondition,
    Value,
)

__all__ = ["MISSING", "checked_alias", "checked_attribute", "checked_condition", "checked_tag", "inner"]

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
