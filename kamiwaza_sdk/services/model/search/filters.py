"""Filters as SQL conditions for WHERE. Each row satisfies a filter or its negation.

A plain comparison with NULL is NULL, which WHERE takes for false; it stays plain so that an index can serve it. A
negation is applied to the innermost conditions, which handle NULL themselves: a NOT around the whole filter would leave
such rows out on both sides.

A condition on an attribute is true or false, never NULL, also where the attribute is missing. SQLite keeps JSON as text
and is asked by ``json_each``, key by key: the paths of its other functions do not find a key that was written with an
escape. PostgreSQL compares JSONB, as casts of values that are not numbers would be errors.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    Select,
    String,
    TableValuedAlias,
    and_,
    bindparam,
    case,
    cast,
    collate,
    column,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.types import BigInteger, NullType, TypeEngine

from kamiwaza_sdk.services.model.exceptions import DatabaseUnsupportedException
from kamiwaza_sdk.services.model.models.model import JSONObject
from kamiwaza_sdk.services.model.models.version import VALUE_START
from kamiwaza_sdk.services.model.registry.tables import ALIAS, MODEL, TAG, VERSION, VERSION_TAG, bound
from kamiwaza_sdk.services.model.schemas.filters import Filter
from kamiwaza_sdk.services.model.schemas.filters.checks import (
    FIELDS,
    AliasCondition,
    AttributeCondition,
    Condition,
    Group,
    Leaf,
    Negation,
    Node,
    Scalar,
    TagCondition,
    Value,
)

_AttributeClause: TypeAlias = ColumnElement[bool]
_AttributeColumn: TypeAlias = ColumnElement[Any]  # Any: JSON of any kind

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], _AttributeClause]]] = {  # Any: what operators take
    "eq": operator.eq,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def attribute_condition(owner: FromClause, leaf: AttributeCondition, dialect: str) -> _AttributeClause:
    """Return the condition on an attribute of a row of `owner`."""
    if dialect == "sqlite":
        return _on_sqlite(owner, leaf)
    attribute: _AttributeColumn = owner.c.attributes
    for key in leaf.attribute:
        attribute = attribute.op("->", return_type=NullType())(literal(key, String()))
    return _compared(
        leaf.op, leaf.value, lambda op, value: _on_postgresql(attribute, op, value), attribute.is_not(None)
    )


def _compared(
    op: str, value: Value, compare: Callable[[str, Scalar], _AttributeClause], exists: _AttributeClause
) -> _AttributeClause:
    match op, value:
        case "exists", _:
            return exists
        case "in", tuple():
            return or_(*(compare("eq", each) for each in value))
        case _, str() | int() | float():
            return compare(op, value)
    raise AssertionError(op)  # what a filter has was checked


def _on_postgresql(attribute: _AttributeColumn, op: str, value: Scalar) -> _AttributeClause:
    kind = func.jsonb_typeof(attribute)
    if op == "eq":
        return attribute.op("=", is_comparison=True)(_json(value)).is_(true())
    if not isinstance(value, str):
        compared = attribute.op({"lt": "<", "le": "<=", "gt": ">", "ge": ">="}[op], is_comparison=True)(_json(value))
        return and_(kind == "number", compared).is_(true())
    text = attribute.op("#>>", return_type=String())(literal_column("'{}'"))
    return and_(kind == "string", _of_text(collate(text, "C"), op, value, func.strpos)).is_(true())


def _json(value: Scalar) -> _AttributeColumn:
    return cast(literal(to_json(value).decode(), String()), JSONObject())


def _of_text(
    text: _AttributeColumn,
    op: str,
    value: str,
    position: Callable[[_AttributeColumn, _AttributeColumn], ColumnElement[int]],
) -> _AttributeClause:
    given = literal(value, String())
    match op:
        case "contains":
            return position(text, given) > 0
        case "startswith":
            return func.substr(text, 1, len(value)) == given
    return _COMPARISONS[op](text, given)


def _on_sqlite(owner: FromClause, leaf: AttributeCondition) -> _AttributeClause:
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


def _members(json: _AttributeColumn) -> TableValuedAlias:
    columns = (column("key", String()), column("value", NullType()), column("type", String()))
    return func.json_each(json).table_valued(*columns, joins_implicitly=True).alias()


def _of_row(row: TableValuedAlias, op: str, value: Scalar) -> _AttributeClause:
    if isinstance(value, bool):
        return row.c.type == ("true" if value else "false")
    if isinstance(value, str):
        return and_(row.c.type == "text", _of_text(row.c.value, op, value, func.instr))
    given = literal(value, BigInteger() if isinstance(value, int) else Float())
    return and_(row.c.type.in_(("integer", "real")), _COMPARISONS[op](row.c.value, given))


_Clause: TypeAlias = ColumnElement[bool]
_Column: TypeAlias = ColumnElement[Any]  # Any: columns of several types

#: The texts that PostgreSQL does not keep in the order of code points.
PLAIN_TEXTS: Final = frozenset(
    {"description", "source", "source_repository", "source_revision", "digest", "status", "value"}
)

_ORDER: Final[Mapping[str, Callable[[Any, Any], _Clause]]] = {  # Any: what operators take and SQLAlchemy overloads
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
#: What is said as the opposite of a comparison that is false of NULL.
_OPPOSITES: Final = {"ne": "eq", "is_none": "exists"}
_LAST_CHARACTER: Final = "\U0010ffff"

_ALIAS: Final = ALIAS.alias("filter_alias")
_LATEST: Final = VERSION.alias("filter_latest")
_READY: Final = VERSION.alias("filter_ready")
_LATEST_ID: Final = (
    select(_READY.c.id)
    .where(_READY.c.namespace == MODEL.c.namespace, _READY.c.model_id == MODEL.c.id, _READY.c.status == "ready")
    .order_by(_READY.c.number.desc())
    .limit(1)
    .correlate(MODEL)
    .scalar_subquery()
)


def model_condition(chosen: Filter, dialect: str, *, tags_first: bool = False) -> ColumnElement[bool]:
    """Return the condition that chooses rows of a SELECT over the table of models.

    Args:
        chosen: What the models are to be like. A version is spoken of as the latest that is ready.
        dialect: "sqlite" or "postgresql".
        tags_first: Find all that have a tag first, and do not look for it row by row.

    Raises:
        DatabaseUnsupportedException: The dialect is another one.
    """
    return _ModelQuery(_spelling(dialect), tags_first=tags_first).condition(chosen.root)


def version_condition(chosen: Filter, dialect: str, *, tags_first: bool = False) -> ColumnElement[bool]:
    """Return the condition that chooses rows of a SELECT over the table of versions, joined with that of models.

    Args:
        chosen: What the versions are to be like. A model is spoken of as the version's.
        dialect: "sqlite" or "postgresql".
        tags_first: As of `model_condition`.

    Raises:
        DatabaseUnsupportedException: The dialect is another one.
    """
    return _Query(_spelling(dialect), tags_first=tags_first).condition(chosen.root)


def tag_counts(chosen: Filter, *, of_models: bool, at_most: int) -> list[ColumnElement[int]]:
    """Return SQLite's columns that tell how many rows may have each tag of a filter, counted so far."""
    query = (_ModelQuery if of_models else _Query)(_spelling("sqlite"), tags_first=True)
    found = [query.with_tag(leaf, roughly=True).limit(at_most).subquery() for leaf in _tags(chosen.root)]
    return [select(func.count()).select_from(each).scalar_subquery() for each in found]


def _tags(node: Node) -> Iterator[TagCondition]:
    match node:
        case TagCondition():
            yield node
        case Negation(part):
            yield from _tags(part)
        case Group(_, parts):
            for part in parts:
                yield from _tags(part)


@dataclass(frozen=True)
class _Spelling:
    """What the two databases write differently."""

    dialect: str
    position: Callable[[_Column, _Column], ColumnElement[int]]
    collation: str | None

    def compared(self, column: _Column, op: str, value: Value) -> _Clause:
        """Return a comparison, which is NULL of NULL, but for ``exists``."""
        match op, value:
            case "exists", _:
                return column.is_not(None)
            case "eq", _:
                return column == _bound(column, value)
            case "in", tuple():
                return column.in_(bindparam(None, value, type_=_type(column, value[0]), expanding=True, unique=True))
            case "contains", _:
                return self.position(column, _bound(column, value)) > 0
            case "startswith", str():
                return self._begins(column, value)
            case _:
                return _ORDER[op](self._ordered(column), _bound(column, value))

    def _begins(self, column: _Column, prefix: str) -> _Clause:
        if column.key in PLAIN_TEXTS:
            return func.substr(column, 1, len(prefix)) == _bound(column, prefix)
        begun = column >= _bound(column, prefix)
        after = _successor(prefix)
        return begun if after is None else and_(begun, column < _bound(column, after))

    def _ordered(self, column: _Column) -> _Column:
        return collate(column, self.collation) if self.collation and column.key in PLAIN_TEXTS else column

    def tag_is(self, tag: FromClause, op: str, value: Value, *, roughly: bool) -> Iterator[_Clause]:
        """Yield what holds of the row of a tag: its index has the beginnings of values."""
        start, whole = tag.c.value_start, tag.c.value
        match op, value:
            case "eq", str():
                yield self.compared(start, "eq", value[:VALUE_START])
            case "in", tuple():
                yield self.compared(start, "in", tuple(dict.fromkeys(str(each)[:VALUE_START] for each in value)))
            case "startswith", str():
                yield self.compared(start, "startswith", value[:VALUE_START])
        whole_tells_more = op not in {"exists", "startswith"} or (isinstance(value, str) and len(value) > VALUE_START)
        if whole_tells_more and not roughly:
            yield self.compared(whole, op, value)


_SPELLINGS: Final = {
    "sqlite": _Spelling(dialect="sqlite", position=func.instr, collation=None),
    "postgresql": _Spelling(dialect="postgresql", position=func.strpos, collation="C"),
}


def _spelling(dialect: str) -> _Spelling:
    if dialect not in _SPELLINGS:
        raise DatabaseUnsupportedException(dialect=dialect)
    return _SPELLINGS[dialect]


def _type(column: _Column, value: object) -> TypeEngine[Any]:  # Any: of the column's type
    """Return the type to bind a value with: an integer may be larger than the column can hold."""
    return BigInteger() if isinstance(value, int) and not isinstance(value, bool) else column.type


def _bound(column: _Column, value: Value) -> _Column:
    return literal(value, _type(column, value))


def _successor(prefix: str) -> str | None:
    """Return the first text after all that begin with `prefix`; `None` where nothing comes after them."""
    kept = prefix.rstrip(_LAST_CHARACTER)
    if not kept:
        return None
    # What comes between is no text, but the halves of what UTF-16 writes others with.
    following = "\ue000" if kept[-1] == "\ud7ff" else chr(ord(kept[-1]) + 1)
    return kept[:-1] + following


def _without_negation(node: Node, *, negated: bool) -> tuple[Leaf | Group, bool]:
    """Return what is left of a node without what negates it, and whether that is an odd number of times."""
    while isinstance(node, Negation):
        node, negated = node.part, not negated
    if isinstance(node, Condition | TagCondition | AttributeCondition) and node.op in _OPPOSITES:
        return replace(node, op=_OPPOSITES[node.op]), not negated
    return node, negated


def _exists(owner: FromClause, *conditions: _Clause) -> _Clause:
    return select(literal_column("1")).where(*conditions).correlate(owner).exists()


def _joined(clauses: Iterable[_Clause], *, every: bool) -> _Clause:
    return (and_ if every else or_)(*clauses)


def _unless(negated: bool, clause: _Clause) -> _Clause:
    return not_(clause) if negated else clause


def _column(leaf: Condition) -> str:
    """Return what the column of a field is called: a version's moments bear the names of a model's."""
    return leaf.field.removeprefix("version_")


class _Query:
    """Turns nodes into conditions on versions, with their models beside them."""

    owner: FromClause = VERSION
    tag: FromClause = VERSION_TAG.alias("filter_tag")
    tag_owner: str = "version_id"

    def __init__(self, spelling: _Spelling, *, tags_first: bool) -> None:
        self._spelling = spelling
        self._tags_first = tags_first

    def condition(self, node: Node, *, negated: bool = False) -> _Clause:
        """Return the condition that a node holds, or does not."""
        simplified, negated = _without_negation(node, negated=negated)
        match simplified:
            case Condition():
                return self.compared(simplified, negated=negated)
            case Group(word, parts):
                every = (word == "and") != negated
                return _joined(self.parts(parts, every=every, negated=negated), every=every)
            case AttributeCondition():
                return _unless(negated, attribute_condition(self.owner, simplified, self._spelling.dialect))
            case TagCondition():
                return _unless(negated, self.tagged(simplified))
            case AliasCondition():
                return _unless(negated, self.aliased(simplified))

    def parts(self, nodes: tuple[Node, ...], *, every: bool, negated: bool) -> Iterator[_Clause]:
        """Yield the conditions of a group's parts, of which every one is to hold, or any."""
        for node in nodes:
            yield self.condition(node, negated=negated)

    def compared(self, leaf: Condition, *, negated: bool) -> _Clause:
        """Return the condition on a field."""
        table = VERSION if FIELDS[leaf.field].of_version else MODEL
        column = table.c[_column(leaf)]
        compared = self._spelling.compared(column, leaf.op, leaf.value)
        if negated and column.nullable and leaf.op != "exists":
            return or_(column.is_(None), not_(compared))
        return _unless(negated, compared)

    def tagged(self, leaf: TagCondition) -> _Clause:
        """Return the condition on a tag of the row's."""
        tag, owner = self.tag, self.owner
        if self._tags_first:
            return owner.c.id.in_(self.with_tag(leaf))
        own = (tag.c.namespace == owner.c.namespace, tag.c[self.tag_owner] == owner.c.id)
        return _exists(owner, *own, *self._tag_is(leaf))

    def with_tag(self, leaf: TagCondition, *, roughly: bool = False) -> Select[Any]:  # Any: ids
        """Return the statement for the ids of all rows that have a tag; roughly, as far as an index alone tells."""
        in_namespace = self.tag.c.namespace == bound(TAG, "namespace")
        column = self.tag.c.key if roughly else self.tag.c[self.tag_owner]
        return select(column).where(in_namespace, *self._tag_is(leaf, roughly=roughly))

    def _tag_is(self, leaf: TagCondition, *, roughly: bool = False) -> Iterator[_Clause]:
        op = _OPPOSITES.get(leaf.op, leaf.op)
        yield self.tag.c.key == _bound(self.tag.c.key, leaf.tag)
        yield from self._spelling.tag_is(self.tag, op, leaf.value, roughly=roughly)

    def aliased(self, leaf: AliasCondition) -> _Clause:
        """Return the condition on an alias, whose key is the model and the name."""
        alias, is_model = _ALIAS, self.owner is MODEL
        return _exists(
            self.owner,
            alias.c.namespace == self.owner.c.namespace,
            alias.c.model_id == (MODEL.c.id if is_model else VERSION.c.model_id),
            alias.c.alias == _bound(alias.c.alias, leaf.alias),
            *(() if is_model else (alias.c.version_id == VERSION.c.id,)),
        )


class _ModelQuery(_Query):
    """Turns nodes into conditions on models, each with its latest version, if there is one."""

    owner: FromClause = MODEL
    tag: FromClause = TAG.alias("filter_tag")
    tag_owner: str = "model_id"

    def compared(self, leaf: Condition, *, negated: bool) -> _Clause:
        """Return the condition on a field."""
        if not FIELDS[leaf.field].of_version:
            return super().compared(leaf, negated=negated)
        return _unless(negated, self._of_latest([leaf], every=True))

    def parts(self, nodes: tuple[Node, ...], *, every: bool, negated: bool) -> Iterator[_Clause]:
        """Yield the conditions of a group's parts: the latest version is looked up once for all it is to be."""
        simplified = [_without_negation(node, negated=negated) for node in nodes]
        of_version = {True: list[Condition](), False: list[Condition]()}
        for node, is_negated in simplified:
            if isinstance(node, Condition) and FIELDS[node.field].of_version:
                of_version[is_negated].append(node)
            else:
                yield self.condition(node, negated=is_negated)
        if of_version[False]:
            yield self._of_latest(of_version[False], every=every)
        if of_version[True]:
            yield not_(self._of_latest(of_version[True], every=not every))

    def _of_latest(self, leaves: list[Condition], *, every: bool) -> _Clause:
        """Return the condition that there is a latest version, and that every leaf holds for it, or any."""
        compared = [self._spelling.compared(_LATEST.c[_column(leaf)], leaf.op, leaf.value) for leaf in leaves]
        of_model = (_LATEST.c.namespace == MODEL.c.namespace, _LATEST.c.id == _LATEST_ID)
        return _exists(MODEL, *of_model, _joined(compared, every=every))
