"""How a filter is read from its JSON form, and held to its limits."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from pydantic import RootModel

from kamiwaza_sdk._validation import shown, suggestion
from kamiwaza_sdk.services.model.exceptions import InvalidFilterException
from kamiwaza_sdk.services.model.schemas.filters.checks import (
    MISSING,
    checked_alias,
    checked_attribute,
    checked_condition,
    checked_tag,
    inner,
)
from kamiwaza_sdk.services.model.schemas.filters.nodes import (
    MAX_FILTER_CONDITIONS,
    MAX_FILTER_DEPTH,
    MAX_FILTER_VALUES,
    AliasCondition,
    AttributeCondition,
    Condition,
    Group,
    Leaf,
    Negation,
    Node,
    TagCondition,
    Word,
)

__all__ = ["read"]

_Object: TypeAlias = Mapping[object, object]
_Form: TypeAlias = Literal[Word, "not", "field", "tag", "attribute", "alias"]

#: Which keys go together: the first of each says what it is.
_FORMS: Final[Mapping[_Form, tuple[str, ...]]] = {
    "and": ("and",),
    "or": ("or",),
    "not": ("not",),
    "field": ("field", "op", "value"),
    "tag": ("tag", "op", "value"),
    "attribute": ("attribute", "op", "value"),
    "alias": ("alias",),
}
_EVERY_KEY: Final = ("and", "or", "not", "field", "tag", "attribute", "alias", "op", "value")


def read(given: object) -> Node:
    """Return the filter that an object of the JSON form, a filter or a node is, or raise `InvalidFilterException`.

    It never looks deeper, nor at more conditions, than a filter may have, whatever is given, one that holds itself too.
    """
    return _Reader().read(given, "", 1)


class _Reader:
    """Reads one filter, and counts what it has."""

    def __init__(self) -> None:
        self._conditions = 0
        self._values = 0

    def read(self, given: object, place: str, depth: int) -> Node:
        if depth > MAX_FILTER_DEPTH:
            raise InvalidFilterException(place, f"nests deeper than the limit of {MAX_FILTER_DEPTH}; flatten it")
        node = given.root if isinstance(given, RootModel) else given
        match node:
            case Condition() | TagCondition() | AttributeCondition() | AliasCondition():
                return self._counted(node, place)
            case Negation(part):
                return self._negation(part, place, depth)
            case Group(word, parts):
                return self._group(word, parts, place, depth)
            case Mapping():
                return self._object(node, place, depth)
        raise InvalidFilterException(place, f"must be an object such as {{'field': …}}, not {shown(node)}")

    def _object(self, given: _Object, place: str, depth: int) -> Node:
        match _form_of(given, place):
            case "and" | "or" as word:
                return self._group(word, given[word], place, depth)
            case "not":
                return self._negation(given["not"], place, depth)
            case form:
                return self._counted(_leaf(form, given, place), place)

    def _negation(self, part: object, place: str, depth: int) -> Negation:
        return Negation(self.read(part, inner(place, "not"), depth + 1))

    def _group(self, word: Word, parts: object, place: str, depth: int) -> Group:
        place = inner(place, word)
        if not isinstance(parts, Sequence) or isinstance(parts, str | bytes):
            raise InvalidFilterException(place, f"must be a list of filters, not {shown(parts)}")
        if not parts:
            raise InvalidFilterException(place, "is empty, which could mean everything or nothing; give one at least")
        return Group(word, tuple(self.read(part, inner(place, index), depth + 1) for index, part in enumerate(parts)))

    def _counted(self, leaf: Leaf, place: str) -> Leaf:
        self._conditions += 1
        if self._conditions > MAX_FILTER_CONDITIONS:
            reason = f"is one condition over the limit of {MAX_FILTER_CONDITIONS}; 'in' takes many values in one"
            raise InvalidFilterException(place, reason)
        self._values += _number_of_values(leaf)
        if self._values > MAX_FILTER_VALUES:
            reason = f"takes the filter's values over the limit of {MAX_FILTER_VALUES} in all; ask in several filters"
            raise InvalidFilterException(place, reason)
        return leaf


def _number_of_values(leaf: Leaf) -> int:
    if isinstance(leaf, AliasCondition):
        return 1
    return len(leaf.value) if isinstance(leaf.value, tuple) else int(leaf.value is not None)


def _leaf(form: Literal["field", "tag", "attribute", "alias"], given: _Object, place: str) -> Leaf:
    if form == "alias":
        return checked_alias(given["alias"], place=place)
    op, value = given.get("op", MISSING), given.get("value", MISSING)
    if form == "tag":
        return checked_tag(given["tag"], op, value, place=place)
    if form == "attribute":
        return checked_attribute(given["attribute"], op, value, place=place)
    return checked_condition(given["field"], op, value, place=place)


def _form_of(given: _Object, place: str) -> _Form:
    """Return the one key that says what an object is, or refuse one that has none, several, or others beside it."""
    forms = [form for form in _FORMS if form in given]
    if len(forms) == 1 and all(key in _FORMS[forms[0]] for key in given):
        return forms[0]
    for key in given:
        if key not in _EVERY_KEY:
            reason = f"has {shown(key)}, which is no key of a filter; {suggestion(key, _EVERY_KEY)}"
            raise InvalidFilterException(place, reason)
    found = ", ".join(map(str, given)) or "no keys"
    known = ", ".join("/".join(keys) for keys in _FORMS.values())
    raise InvalidFilterException(place, f"has {found}; it takes the keys of one of these: {known}")
