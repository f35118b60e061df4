"""Pages: statements that list rows in one order from a cursor on, and the cursors.

A cursor is opaque text that fits one query and one order.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    Select,
    String,
    UnaryExpression,
    Uuid,
    and_,
    bindparam,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)

from kamiwaza_sdk._validation import check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import InvalidCursorException
from kamiwaza_sdk.services.model.models.model import UTCDateTime
from kamiwaza_sdk.services.model.registry.changes import EVENTS, MODEL_COLUMNS
from kamiwaza_sdk.services.model.registry.documents import SEARCH
from kamiwaza_sdk.services.model.registry.files import VERSION_SELECT
from kamiwaza_sdk.services.model.registry.tables import DOCUMENT, EVENT, MODEL, VERSION, bound

#: How many models that a text finds are looked at.
MAX_HITS: Final = 10_000

#: Part of an order: the rows that have a value to sort by, or, after them, those that have none.
Segment = Literal["values", "nulls"]


@dataclass(frozen=True, eq=False)
class Listing:
    """What can be listed: what is selected, what it can be sorted by, and what tells rows of the same value apart."""

    select: Select[Any]  # Any: values of several columns
    sorts: Mapping[str, Column[Any]]  # Any: as above
    ids: tuple[Column[Any], ...]  # Any: as above
    unique: str | None = None

    def keys(self, sort: str) -> tuple[Column[Any], ...]:  # Any: as above
        """Return what an order goes by: ids, too, unless no two rows have the same value."""
        return (self.sorts[sort],) if sort == self.unique else (self.sorts[sort], *self.ids)


_MODELS: Final = select(*MODEL_COLUMNS).where(MODEL.c.namespace == bound(MODEL, "namespace"))
MODELS: Final = Listing(
    _MODELS,
    {key: MODEL.c[key] for key in ("name", "created_at", "updated_at", "task", "author", "family")},
    (MODEL.c.id,),
    unique="name",
)
VERSIONS: Final = Listing(
    VERSION_SELECT, {key: VERSION.c[key] for key in ("created_at", "updated_at", "size")}, (VERSION.c.id,)
)
EVENTS_OF_NAMESPACE: Final = Listing(EVENTS, {"at": EVENT.c.at}, (EVENT.c.model_id, EVENT.c.sequence))
EVENTS_OF_MODEL: Final = Listing(
    EVENTS.where(EVENT.c.model_id == bound(EVENT, "model_id")), {"sequence": EVENT.c.sequence}, ()
)


def kind_of(column: Column[Any]) -> type[str | int | datetime | UUID]:  # Any: as above
    """Return what the values of a key's column are in Python."""
    kinds = {UTCDateTime: datetime, Uuid: UUID, Integer: int, BigInteger: int}
    return kinds.get(type(column.type), str)


@cache
def page_statement(
    listing: Listing, *, sort: str, descending: bool, segment: Segment, has_position: bool, deleted: bool | None = None
) -> Select[Any]:  # Any: values of several columns
    """Return the statement for a page, or for that part of one that lies in a segment. A filter may be added.

    Its parameters are the namespace, ``_limit`` and, where it has a position, ``_key_0``, ``_key_1`` and so on.

    Args:
        listing: What is listed.
        sort: One of its sorts.
        descending: Which way.
        segment: Which part of the order.
        has_position: Whether it begins after a row, which is in this segment.
        deleted: Whether deleted models are listed, or the others; `None` where that is not asked.
    """
    column = listing.sorts[sort]
    statement = _of_state(listing.select, deleted)
    keys = listing.ids if segment == "nulls" else listing.keys(sort)
    if column.nullable:
        statement = statement.where(column.is_(None) if segment == "nulls" else column.is_not(None))
    if has_position:
        statement = statement.where(_beyond(keys, descending=descending))
    return statement.order_by(*_order(keys, descending=descending)).limit(bindparam("_limit", type_=Integer()))


def within(
    page: Select[Any],  # Any: as above
    keys: Sequence[Column[Any]],  # Any: as above
    end: Sequence[Any],  # Any: as above
    *,
    descending: bool,
) -> Select[Any]:  # Any: as above
    """Return the statement for those rows of a page that are not beyond a key."""
    values = tuple_(*(literal(value, key.type) for key, value in zip(keys, end, strict=True)))
    return page.where(tuple_(*keys) >= values if descending else tuple_(*keys) <= values)


@cache
def search_statement(
    dialect: str, *, sort: str, descending: bool, position: Segment | None, nulls_last: bool, deleted: bool
) -> Select[Any]:  # Any: as above
    """Return the statement for a page of the models that have some words. A filter may be added.

    They are found first, and sorted then, so that no index has to serve the order. The last column counts them. Its
    parameters are those of `page_statement`, and ``_query``.

    Args:
        dialect: Whose index to ask.
        sort: As of `page_statement`.
        descending: As of `page_statement`.
        position: In which segment the row is that it begins after.
        nulls_last: Whether the segment of nulls is met after that of values.
        deleted: As of `page_statement`.
    """
    column, keys = MODELS.sorts[sort], MODELS.keys(sort)
    count = select(func.count()).select_from(_hits(dialect)).scalar_subquery().label("hits")
    statement = _among_hits(select(*MODEL_COLUMNS, count), dialect, deleted=deleted)
    if position is not None:
        here = _beyond(MODELS.ids if position == "nulls" else keys, descending=descending)
        if column.nullable:
            here = and_(here, column.is_(None)) if position == "nulls" else here
            beyond = column.is_not(None) if position == "nulls" else column.is_(None)
            here = here if (position == "nulls") == nulls_last else or_(here, beyond)
        statement = statement.where(here)
    order = _order(keys, descending=descending)
    if column.nullable:
        order.insert(0, column.is_(None).asc() if nulls_last else column.is_(None).desc())
    return statement.order_by(*order).limit(bindparam("_limit", type_=Integer()))


@cache
def count_statement(
    listing: Listing, *, deleted: bool | None = None, dialect: str | None = None
) -> Select[Any]:  # Any: as above
    """Return the statement that counts what is listed, and, where a dialect's index is asked, what has the words."""
    if dialect is None:
        return _of_state(listing.select.with_only_columns(func.count(), maintain_column_froms=True), deleted)
    hits = select(func.count()).select_from(_hits(dialect)).scalar_subquery()
    return _among_hits(select(func.count(), hits), dialect, deleted=bool(deleted))


def _of_state(statement: Select[Any], deleted: bool | None) -> Select[Any]:
    if deleted is None:
        return statement
    return statement.where(MODEL.c.deleted_at.is_not(None) if deleted else MODEL.c.deleted_at.is_(None))


def _order(
    keys: tuple[Column[Any], ...], *, descending: bool
) -> list[UnaryExpression[Any]]:  # Any: columns of several types
    return [key.desc() if descending else key.asc() for key in keys]


def _beyond(keys: tuple[Column[Any], ...], *, descending: bool) -> ColumnElement[bool]:  # Any: as above
    values = [bindparam(f"_key_{place}", type_=key.type) for place, key in enumerate(keys)]
    left, right = tuple_(*keys), tuple_(*values)
    return left < right if descending else left > right


def _among_hits(statement: Select[Any], dialect: str, *, deleted: bool) -> Select[Any]:  # Any: as above
    """Look up what is found, one by one.

    Namespace and state are asked for in forms that suit no index: until its statistics are there, PostgreSQL would take
    one that begins with the namespace instead of the primary key, and read all of the namespace for each.
    """
    hits = _hits(dialect)
    same_namespace = MODEL.c.namespace.concat(literal_column("''")) == bound(MODEL, "namespace")
    same_state = MODEL.c.deleted_at.is_not(None).is_(true() if deleted else false())
    return statement.join_from(hits, MODEL, MODEL.c.id == hits.c.model_id).where(same_namespace, same_state)


@cache
def _hits(dialect: str) -> CTE:
    """Return the models that have the words of ``_query``: found before anything else, or a miss would take a scan."""
    own = DOCUMENT.c.namespace == bound(DOCUMENT, "namespace")
    query = bindparam("_query", type_=String())
    if dialect == "sqlite":
        found = select(DOCUMENT.c.model_id).join_from(SEARCH, DOCUMENT, DOCUMENT.c.id == SEARCH.c.rowid)
        found = found.where(SEARCH.c.kamiwaza_model_search.op("MATCH")(query), own)
    else:
        from sqlalchemy.dialects.postgresql import TSQUERY

        found = select(DOCUMENT.c.model_id).where(DOCUMENT.c.words.op("@@")(cast(query, TSQUERY)), own)
    return found.limit(MAX_HITS).cte("hits").prefix_with("MATERIALIZED")


#: What a row is found again by: the value it is sorted by, then its id.
Key = tuple[str | int | datetime | UUID | None, ...]

_MAX_LENGTH: Final = 8192
_CHECK_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class Position:
    """A row that a page begins after; or, backwards, ends before."""

    key: Key
    backwards: bool


def fingerprint(*query: object) -> str:
    """Return what is different for queries that are: a cursor is good for one."""
    return blake2b(repr(query).encode(errors="surrogatepass"), digest_size=_CHECK_LENGTH).hexdigest()


def encode(position: Position, query: str) -> str:
    """Return a position in a query as text."""
    body = json.dumps([position.backwards, *map(_encoded, position.key)], separators=(",", ":")).encode()
    return _as_text(_checksum(body, query) + body)


def _as_text(packed: bytes) -> str:
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _checksum(body: bytes, query: str) -> bytes:
    return blake2b(body, digest_size=_CHECK_LENGTH, key=query.encode()).digest()


def _encoded(value: str | int | datetime | UUID | None) -> str | int | None:
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value


def decode(cursor: str, query: str, kinds: tuple[type, ...]) -> Position:
    """Return the position that a cursor of a query stands for, its key of these kinds.

    Raises:
        InvalidCursorException: It is not a cursor, or belongs to another query.
    """
    if not isinstance(cursor, str) or len(cursor) > _MAX_LENGTH:
        raise InvalidCursorException(cursor[:80] if isinstance(cursor, str) else shown(cursor), "is no cursor")
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, body = packed[:_CHECK_LENGTH], packed[_CHECK_LENGTH:]
        # The text too: Base64 has several for the same bytes, one of which is ours.
        if check != _checksum(body, query) or cursor != _as_text(packed):
            raise InvalidCursorException(cursor, "was altered, or belongs to another query or order")
        backwards, *values = json.loads(body)
        return Position(tuple(_decoded(value, kind) for value, kind in zip(values, kinds, strict=True)), backwards)
    except (binascii.Error, ValueError, TypeError) as error:
        if isinstance(error, InvalidCursorException):
            raise
        raise InvalidCursorException(cursor, "is no cursor") from error


def _decoded(value: object, kind: type) -> str | int | datetime | UUID | None:
    if value is None:
        return None
    if kind is int and type(value) is int and abs(value) < 2**63:
        return value
    if not isinstance(value, str):
        raise InvalidInputException("cursor", "has a value of the wrong type")
    if kind is str:
        return check_text(value, field="cursor")
    return datetime.fromisoformat(value) if kind is datetime else UUID(value)
