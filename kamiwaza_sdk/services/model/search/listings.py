"""Pages of models, versions and events: found by filter and text, in one order, from a cursor on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter
from sqlalchemy import Column, ColumnElement, Row, Select

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.registry import models, versions
from kamiwaza_sdk.services.model.registry.changes import EVENT_KEYS
from kamiwaza_sdk.services.model.registry.documents import query_words
from kamiwaza_sdk.services.model.schemas.config import ModelEventSchema
from kamiwaza_sdk.services.model.schemas.filters import Filter
from kamiwaza_sdk.services.model.schemas.model import ModelSchema, ModelSort, Page
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema, VersionSort
from kamiwaza_sdk.services.model.search import pages
from kamiwaza_sdk.services.model.search.filters import model_condition, tag_counts, version_condition
from kamiwaza_sdk.services.model.search.pages import (
    MAX_HITS,
    Key,
    Listing,
    Position,
    Segment,
    decode,
    encode,
    fingerprint,
)
from kamiwaza_sdk.services.model.session import Scope, check_id, check_limit

_Item = TypeVar("_Item", bound=BaseModel)
_EVENTS: Final = TypeAdapter(list[ModelEventSchema], config=ConfigDict(defer_build=True))


@dataclass(slots=True)
class _Query(Generic[_Item]):
    """What one page is asked for. Whatever makes another query of it is in its fingerprint."""

    scope: Scope
    listing: Listing
    sort: str
    descending: bool
    limit: int
    convert: Callable[[Sequence[Row[Any]]], list[_Item]]  # Any: rows of several columns
    page: type[Page[_Item]]
    where: Filter | None = None
    deleted: bool | None = None
    words: tuple[str, ...] = ()
    parameters: tuple[tuple[str, object], ...] = ()
    identity: tuple[object, ...] = ()

    def condition(self, *, tags_first: bool) -> ColumnElement[bool] | None:
        """What the filter says of a row."""
        return _condition(self.scope, self.listing, self.where, tags_first=tags_first)

    @property
    def fingerprint(self) -> str:
        """What a cursor of this query carries."""
        return fingerprint(*self.identity)

    def execute(self, statement: Select[Any], **parameters: Any) -> Sequence[Row[Any]]:  # Any: values of any column
        """Execute a statement with what all of this query need."""
        words = _index_query(self.words, self.scope.dialect)
        return self.scope.execute(statement, **words, **dict(self.parameters), **parameters).all()


def _index_query(words: tuple[str, ...], dialect: str) -> dict[str, str]:
    """Return a query of the database's own: all of the words, the last one as a beginning."""
    if not words:
        return {}
    if dialect == "sqlite":
        return {"_query": " AND ".join(f'"{word}"' for word in words) + "*"}
    return {"_query": " & ".join(f"'{word}'" for word in words) + ":*"}


def search_models(
    scope: Scope,
    where: Filter | None,
    *,
    text: str | None,
    sort: ModelSort,
    descending: bool,
    cursor: str | None,
    limit: int,
    with_total: bool,
    deleted: bool,
) -> Page[ModelSchema]:
    """Return a page of models."""
    descending, deleted = bool(descending), bool(deleted)  # whatever is true: 2 is, and yet is not equal to True
    where = _checked(where)
    query = _Query(
        scope=scope,
        listing=pages.MODELS,
        sort=_checked_sort(sort, pages.MODELS),
        descending=descending,
        limit=check_limit(limit, "page on with cursor="),
        convert=models.schemas,
        page=Page[ModelSchema],
        where=where,
        deleted=deleted,
        words=() if text is None else tuple(query_words(scope.namespace, text, deleted=deleted)),
        identity=("models", scope.namespace, where, text, sort, descending, deleted),
    )
    return _page(query, cursor, with_total=with_total)


def search_versions(
    scope: Scope,
    where: Filter | None,
    *,
    sort: VersionSort,
    descending: bool,
    cursor: str | None,
    limit: int,
    with_total: bool,
) -> Page[ModelVersionSchema]:
    """Return a page of the versions of all models."""
    descending = bool(descending)  # as above
    where = _checked(where)
    query = _Query(
        scope=scope,
        listing=pages.VERSIONS,
        sort=_checked_sort(sort, pages.VERSIONS),
        descending=descending,
        limit=check_limit(limit, "page on with cursor="),
        convert=versions.schemas,
        page=Page[ModelVersionSchema],
        where=where,
        identity=("versions", scope.namespace, where, sort, descending),
    )
    return _page(query, cursor, with_total=with_total)


def list_events(
    scope: Scope, model_id: UUID | None, *, descending: bool, cursor: str | None, limit: int
) -> Page[ModelEventSchema]:
    """Return a page of the history of a model, or of the namespace."""
    descending = bool(descending)  # as above
    of_model = model_id is not None
    query = _Query(
        scope=scope,
        listing=pages.EVENTS_OF_MODEL if of_model else pages.EVENTS_OF_NAMESPACE,
        sort="sequence" if of_model else "at",
        descending=descending,
        limit=check_limit(limit, "page on with cursor="),
        convert=_events,
        page=Page[ModelEventSchema],
        parameters=(("_model_id", check_id(model_id, "model_id")),) if model_id is not None else (),
        identity=("events", scope.namespace, model_id, descending),
    )
    return _page(query, cursor, with_total=False)


def _events(rows: Sequence[Row[Any]]) -> list[ModelEventSchema]:  # Any: values of several columns
    return _EVENTS.validate_python([dict(zip(EVENT_KEYS, row, strict=True)) for row in rows])


def count_models(scope: Scope, where: Filter | None, *, text: str | None, deleted: bool) -> int:
    """Count models."""
    words = () if text is None else tuple(query_words(scope.namespace, text, deleted=bool(deleted)))
    return _count(scope, pages.MODELS, _checked(where), words, deleted=bool(deleted))[0]


def count_versions(scope: Scope, where: Filter | None) -> int:
    """Count versions."""
    return _count(scope, pages.VERSIONS, _checked(where), (), deleted=None)[0]


def _condition(scope: Scope, listing: Listing, where: Filter | None, *, tags_first: bool) -> ColumnElement[bool] | None:
    if where is None:
        return None
    make = version_condition if listing is pages.VERSIONS else model_condition
    return make(where, scope.dialect, tags_first=tags_first and scope.dialect == "sqlite")


def _count(
    scope: Scope,
    listing: Listing,
    where: Filter | None,
    words: tuple[str, ...],
    *,
    deleted: bool | None,
) -> tuple[int, int]:
    """Return how many there are, and how many have the words."""
    dialect = scope.dialect if words else None
    statement = pages.count_statement(listing, deleted=deleted, dialect=dialect)
    condition = _condition(scope, listing, where, tags_first=not words)
    statement = statement if condition is None else statement.where(condition)
    row: Sequence[int] = tuple(scope.execute(statement, **_index_query(words, scope.dialect)).one())
    return row[0], row[1] if words else 0


def _checked(where: Filter | None) -> Filter | None:
    if where is not None and not isinstance(where, Filter):
        reason = f"must be a Filter, not {shown(where)}; Field.task == 'chat' is one"
        raise InvalidInputException("where", reason)
    return where if where is None else Filter.parse(where)  # once more, as of all input: a copy may skip validation


def _checked_sort(sort: str, listing: Listing) -> str:
    if not isinstance(sort, str) or sort not in listing.sorts:
        raise InvalidInputException("sort", f"cannot be {shown(sort)}; it can be {', '.join(listing.sorts)}")
    return sort


def _page(query: _Query[_Item], cursor: str | None, *, with_total: bool) -> Page[_Item]:
    position = _position(query, cursor)
    backwards = position is not None and position.backwards
    rows, hits = _found(query, position) if query.words else (_listed(query, position), 0)
    has_more = len(rows) > query.limit
    rows = rows[: query.limit][:: -1 if backwards else 1]
    items = query.convert(rows)
    total: int | None = None
    # Where nothing is on the page, nothing has told how many have the words; without filter or cursor, none have.
    if with_total or (query.words and not rows and (query.where is not None or position is not None)):
        count, hits = _count(query.scope, query.listing, query.where, query.words, deleted=query.deleted)
        total = count if with_total else None
    after, before = (True, has_more) if backwards else (has_more, position is not None)
    return query.page(
        items=tuple(items),
        next_cursor=_cursor(query, items[-1], backwards=False) if items and after else None,
        previous_cursor=_cursor(query, items[0], backwards=True) if items and before else None,
        total=total,
        truncated=hits >= MAX_HITS,
    )


def _position(query: _Query[_Item], cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    kinds = tuple(pages.kind_of(key) for key in query.listing.keys(query.sort))
    return decode(cursor, query.fingerprint, kinds)


def _cursor(query: _Query[_Item], item: _Item, *, backwards: bool) -> str:
    key: Key = tuple(getattr(item, column.name) for column in query.listing.keys(query.sort))
    return encode(Position(key, backwards), query.fingerprint)


def _segments(query: _Query[_Item], position: Position | None) -> list[Segment]:
    """Return the parts of the order that lie ahead: those without a value come last, either way."""
    if not query.listing.sorts[query.sort].nullable:
        return ["values"]
    ahead: list[Segment] = ["values", "nulls"]
    if position is not None and position.backwards:
        ahead.reverse()
    return ahead if position is None or _segment(position) == ahead[0] else ahead[1:]


def _segment(position: Position) -> Segment:
    return "nulls" if position.key[0] is None else "values"


def _key(position: Position) -> dict[str, object]:
    key = position.key[1:] if _segment(position) == "nulls" else position.key
    return {f"_key_{place}": value for place, value in enumerate(key)}


def _listed(query: _Query[_Item], position: Position | None) -> list[Row[Any]]:  # Any: values of several columns
    """Return the rows of a page and one more, in one statement a segment: an OR of both would use no index."""
    rows: list[Row[Any]] = []  # Any: as above
    for segment in _segments(query, position):
        here = position if position is not None and _segment(position) == segment else None
        descending = query.descending != (position is not None and position.backwards)
        order = partial(
            pages.page_statement,
            query.listing,
            sort=query.sort,
            descending=descending,
            segment=segment,
            has_position=here is not None,
        )
        statement = order(deleted=query.deleted)
        # By name, an index alone tells where so many rows end, deleted ones included.
        scan = order(deleted=None if query.sort == query.listing.unique else query.deleted)
        keys = query.listing.ids if segment == "nulls" else query.listing.keys(query.sort)
        key, limit = {} if here is None else _key(here), query.limit + 1 - len(rows)
        part = _Part(statement, scan, keys, descending=descending, key=key, limit=limit)
        rows += _rows_of(query, part)
        if len(rows) > query.limit:
            break
    return rows


@dataclass(frozen=True, slots=True)
class _Part:
    """A page, or what of it lies in one segment."""

    statement: Select[Any]  # Any: as above
    scan: Select[Any]  # Any: as above
    keys: tuple[Column[Any], ...]  # Any: as above
    descending: bool
    key: dict[str, object]
    limit: int


#: SQLite: how many rows that have a tag are found as quickly as it is looked for in those of a page.
_FEW: Final = 2000
#: SQLite: in how many rows, for each of a page, a tag is looked for row by row before all that have it are found.
_WINDOW: Final = 40


def _rows_of(query: _Query[_Item], part: _Part) -> Sequence[Row[Any]]:  # Any: as above
    """Return rows that have what tags they should: looked for row by row as long as that may fill the page.

    SQLite does what it is told: row by row, it reads all models where few or none have the tags; with all that have a
    tag found first, it finds half of all models where a page has a hundred.
    """
    if query.where is None or query.scope.dialect != "sqlite":
        return _filtered(query, part.statement, part, tags_first=False)
    counts = tag_counts(query.where, of_models=query.listing is not pages.VERSIONS, at_most=_FEW)
    window = part.scan.with_only_columns(*part.keys, *counts).limit(1).offset(part.limit * _WINDOW)
    ends = query.execute(window, **part.key) if counts else []
    if not ends:
        return _filtered(query, part.statement, part, tags_first=False)
    end, found = ends[0][: len(part.keys)], ends[0][len(part.keys) :]
    if any(count == _FEW for count in found):
        statement = pages.within(part.statement, part.keys, end, descending=part.descending)
        rows = _filtered(query, statement, part, tags_first=False)
        if len(rows) == part.limit:
            return rows
    return _filtered(query, part.statement, part, tags_first=True)


def _filtered(
    query: _Query[_Item], statement: Select[Any], part: _Part, *, tags_first: bool
) -> Sequence[Row[Any]]:  # Any: as above
    condition = query.condition(tags_first=tags_first)
    statement = statement if condition is None else statement.where(condition)
    return query.execute(statement, _limit=part.limit, **part.key)


def _found(query: _Query[_Item], position: Position | None) -> tuple[list[Row[Any]], int]:  # Any: as above
    """Return the rows of a page and one more, of those that have the words, and how many have them."""
    backwards = position is not None and position.backwards
    statement = pages.search_statement(
        query.scope.dialect,
        sort=query.sort,
        descending=query.descending != backwards,
        position=None if position is None else _segment(position),
        nulls_last=not backwards,
        deleted=bool(query.deleted),
    )
    condition = query.condition(tags_first=False)
    statement = statement if condition is None else statement.where(condition)
    key = {} if position is None else _key(position)
    rows = query.execute(statement, _limit=query.limit + 1, **key)
    return [row[:-1] for row in rows], rows[0][-1] if rows else 0  # type: ignore[misc]  # a Row slices to a tuple
