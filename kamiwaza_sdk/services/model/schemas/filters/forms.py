"""The JSON form of a filter, as data and as a JSON Schema."""

from typing import Any, Final, TypeAlias

from kamiwaza_sdk._validation import MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.schemas.filters.kinds import (
    ATTRIBUTE,
    BOOLEAN,
    FIELDS,
    INTEGER,
    MOMENT,
    TAG,
    TEXT,
    WITHOUT_VALUE,
    Kind,
)
from kamiwaza_sdk.services.model.schemas.filters.nodes import (
    MAX_FILTER_CONDITIONS,
    MAX_IN_VALUES,
    AliasCondition,
    AttributeCondition,
    Condition,
    Group,
    Negation,
    Node,
    Scalar,
    TagCondition,
    Value,
)

__all__ = ["form", "schema_of_form"]

_JSON: TypeAlias = dict[str, Any]  # Any: a JSON object, of which each key has its own type

_PATH: Final[_JSON] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NAME: Final[_JSON] = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}


def form(node: Node) -> _JSON:
    """Return a node as what JSON has, but for moments, which whoever writes JSON writes in ISO 8601."""
    match node:
        case Group(word, parts):
            return {word: [form(part) for part in parts]}
        case Negation(part):
            return {"not": form(part)}
        case AliasCondition(alias):
            return {"alias": alias}
        case AttributeCondition(path, op, value):
            return {"attribute": _path(path), "op": op} | _value(value)
        case TagCondition(tag, op, value):
            return {"tag": tag, "op": op} | _value(value)
        case Condition(field, op, value):
            return {"field": field, "op": op} | _value(value)


def _path(keys: tuple[str, ...]) -> str | list[str]:
    return list(keys) if any("." in key for key in keys) else ".".join(keys)


def _value(value: Value) -> dict[str, Scalar | list[Scalar]]:
    if value is None:
        return {}
    return {"value": list(value) if isinstance(value, tuple) else value}


def schema_of_form(this: _JSON) -> _JSON:
    """Return the JSON Schema of a filter. How deep one may nest is more than it can say.

    Args:
        this: What refers to the schema itself: ``{"$ref": …}``.
    """
    parts = {"type": "array", "items": this, "minItems": 1, "maxItems": MAX_FILTER_CONDITIONS}
    groups = [_object(**{"and": parts}), _object(**{"or": parts}), _object(**{"not": this})]
    fields = [schema for kind in (TEXT, INTEGER, MOMENT, BOOLEAN) for schema in _fields_of(kind)]
    tags = _conditions({"tag": _NAME}, TAG)
    attributes = _conditions({"attribute": _PATH}, ATTRIBUTE)
    return {"title": "Filter", "oneOf": [*groups, *fields, *tags, *attributes, _object(alias=_NAME)]}


def _fields_of(kind: Kind) -> list[_JSON]:
    names = [name for name, info in FIELDS.items() if info.kind is kind]
    optional = [name for name in names if FIELDS[name].optional]
    conditions = _conditions({"field": {"enum": names}}, kind)
    return [*conditions, *([_object(field={"enum": optional}, op={"const": "is_none"})] if optional else [])]


def _conditions(subject: _JSON, kind: Kind) -> list[_JSON]:
    """Return one schema for the comparisons that take a value, one for ``in``, and one for those that take none."""
    value = dict(kind.schema)
    values = {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_IN_VALUES}
    single = [op for op in kind.operators if op not in WITHOUT_VALUE and op != "in"]
    schemas = [_object(**subject, op={"enum": single}, value=value)]
    if "in" in kind.operators:
        schemas.append(_object(**subject, op={"const": "in"}, value=values))
    return schemas + [_object(**subject, op={"const": op}) for op in kind.operators if op in WITHOUT_VALUE]


def _object(**properties: _JSON) -> _JSON:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
