"""What a condition on an attribute is in SQL. It is true or false, of what is not there too, and never NULL.

SQLite keeps JSON as text and is asked by ``json_each``, key by key: the paths of its other functions do not find a key
that was written with an escape. PostgreSQL compares JSONB, as casts of what is no number would be errors.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    String,
    TableValuedAlias,
    and_,
    case,
    cast,
    collate,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.types import BigInteger, NullType

from kamiwaza_sdk.services.model.models.base import JSONObject
from kamiwaza_sdk.services.model.schemas.filters.nodes import AttributeCondition, Scalar, Value

__all__ = ["attribute_condition"]

_Clause: TypeAlias = ColumnElement[bool]
_Column: TypeAlias = ColumnElement[Any]  # Any: JSON of any kind

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], _Clause]]] = {  # Any: what operators take
    "eq": operator.eq,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def attribute_condition(owner: FromClause, leaf: AttributeCondition, dialect: str) -> _Clause:
    """Return the condition on an attribute of a row of `owner`."""
    if dialect == "sqlite":
        return _on_sqlite(owner, leaf)
    attribute: _Column = owner.c.attributes
    for key in leaf.attribute:
        attribute = attribute.op("->", return_type=NullType())(literal(key, String()))
    return _compared(
        leaf.op, leaf.value, lambda op, value: _on_postgresql(attribute, op, value), attribute.is_not(None)
    )


def _compared(op: str, value: Value, compare: Callable[[str, Scalar], _Clause], exists: _Clause) -> _Clause:
    match op, value:
        case "exists", _:
            return exists
        case "in", tuple():
            return or_(*(compare("eq", each) for each in value))
        case _, str() | int() | float():
            return compare(op, value)
    raise AssertionError(op)  # what a filter has was checked


def _on_postgresql(attribute: _Column, op: str, value: Scalar) -> _Clause:
    kind = func.jsonb_typeof(attribute)
    if op == "eq":
        return attribute.op("=", is_comparison=True)(_json(value)).is_(true())
    if not isinstance(value, str):
        compared = attribute.op({"lt": "<", "le": "<=", "gt": ">", "ge": ">="}[op], is_comparison=True)(_json(value))
        return and_(kind == "number", compared).is_(true())
    text = attribute.op("#>>", return_type=String())(literal_column("'{}'"))
    return and_(kind == "string", _of_text(collate(text, "C"), op, value, func.strpos)).is_(true())


def _json(value: Scalar) -> _Column:
    return cast(literal(to_json(value).decode(), String()), JSONObject())


def _of_text(text: _Column, op: str, value: str, position: Callable[[_Column, _Column], ColumnElement[int]]) -> _Clause:
    given = literal(value, String())
    match op:
        case "contains":
            return position(text, given) > 0
        case "startswith":
            return func.substr(text, 1, len(value)) == given
    return _COMPARISONS[op](text, given)


def _on_sqlite(owner: FromClause, leaf: AttributeCondition) -> _Clause:
    """Go from key to key: each is a row of the object that the one before leads to."""
    found, *deeper = leaf.attribute
    row = _members(owner.c.attributes)
    rows, keys = [row], [row.c.key == literal(found, String())]
    for key in deeper:
        row = _members(case((row.c.type == "object", row.c.value), else_="{}"))
        rows.append(row)
        keys.append(row.c.key == literal(key, String()))
    compared = _compared(leaf.op, leaf.value, lambda op, value: _of_row(row, op, value), true())
    return select(literal_column("1")).select_from(*rows).where(*keys, compared).correlate(owner).exists()


def _members(json: _Column) -> TableValuedAlias:
    columns = (column("key", String()), column("value", NullType()), column("type", String()))
    return func.json_each(json).table_valued(*columns, joins_implicitly=True).alias()


def _of_row(row: TableValuedAlias, op: str, value: Scalar) -> _Clause:
    if isinstance(value, bool):
        return row.c.type == ("true" if value else "false")
    if isinstance(value, str):
        return and_(row.c.type == "text", _of_text(row.c.value, op, value, func.instr))
    given = literal(value, BigInteger() if isinstance(value, int) else Float())
    return and_(row.c.type.in_(("integer", "real")), _COMPARISONS[op](row.c.value, given))
