"""Bulk creation of models: read lazily, written in batches, each batch whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Insert,
    RowMapping,
    String,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.engine.interfaces import SchemaTranslateMapType
from sqlalchemy.types import TypeEngine

from kamiwaza_sdk._validation import revalidated_quickly, shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.model.exceptions import BulkException
from kamiwaza_sdk.services.model.ids import uuid7_numbers
from kamiwaza_sdk.services.model.models.version import VALUE_START
from kamiwaza_sdk.services.model.registry import models
from kamiwaza_sdk.services.model.registry.changes import HELD, MODEL_COLUMNS, ModelChange
from kamiwaza_sdk.services.model.registry.documents import SEARCH, new_words
from kamiwaza_sdk.services.model.registry.tables import DOCUMENT, EVENT, MODEL, TAG, bound, words_of
from kamiwaza_sdk.services.model.registry.tags import merge_tags
from kamiwaza_sdk.services.model.schemas.model import BulkResult, CreateModel, ModelSchema, OnConflict
from kamiwaza_sdk.services.model.session import Scope, execute_driver_sql

_BY_NAMES: Final = (
    MODEL.c.namespace == bound(MODEL, "namespace"),
    MODEL.c.name.in_(bindparam("_names", type_=MODEL.c.name.type, expanding=True)),
)
#: Whole models, by their names.
MODELS_BY_NAMES: Final = select(*MODEL_COLUMNS).where(*_BY_NAMES)
#: Holds the rows of those that exist, always in the same order: two that want the same ones wait, and do not deadlock.
HOLD_BY_NAMES: Final = select(*HELD).where(*_BY_NAMES).order_by(MODEL.c.id).with_for_update(key_share=True)
#: Which of some models are there.
IDS_AMONG: Final = select(MODEL.c.id).where(
    MODEL.c.namespace == bound(MODEL, "namespace"),
    MODEL.c.id.in_(bindparam("_ids", type_=MODEL.c.id.type, expanding=True)),
)
LAST_DOCUMENT: Final = select(func.coalesce(func.max(DOCUMENT.c.id), 0))
#: SQLite gives documents ascending numbers, and has one writer: what is above the last one is the batch's.
SEARCH_INSERT_AFTER: Final = insert(SEARCH).from_select(
    ["rowid", "words"], select(DOCUMENT.c.id, DOCUMENT.c.words).where(DOCUMENT.c.id > bindparam("_last"))
)

#: What a batch has as the text of JSON.
_JSON_TEXTS: Final = frozenset({"before", "after", "attributes"})
#: What is given of a row, by table; the rest is null.
_GIVEN: Final = {
    MODEL.name: tuple(column.name for column in MODEL.c),
    TAG.name: tuple(column.name for column in TAG.c),
    DOCUMENT.name: ("model_id", "namespace", "words"),
    EVENT.name: ("model_id", "sequence", "namespace", "at", "kind", "actor", "before", "after"),
}


def insert_rows(table: Table, connection: Connection) -> tuple[str, tuple[str, ...]]:
    """Return SQLite's statement for one row, and the names of its values. A model whose name is taken is left.

    For the driver itself, with values as they are kept: what SQLAlchemy does for each costs more than the insertion.
    """
    schemas = connection.get_execution_options().get("schema_translate_map")
    return _plain_rows(table) if schemas is None else _compiled_rows(table, schemas)


@cache
def _plain_rows(table: Table) -> tuple[str, tuple[str, ...]]:
    return _compiled_rows(table, None)


def _compiled_rows(table: Table, schemas: SchemaTranslateMapType | None) -> tuple[str, tuple[str, ...]]:
    from sqlalchemy.dialects import sqlite

    insertion = sqlite.insert(table).values({key: bindparam(key) for key in _GIVEN[table.name]})
    compiled = insertion.on_conflict_do_nothing().compile(
        dialect=sqlite.dialect(), schema_translate_map=schemas, render_schema_translate=schemas is not None
    )
    return str(compiled), tuple(compiled.positiontup or ())


@cache
def insert_batch(table: Table) -> Insert:
    """Return PostgreSQL's statement for the rows in ``_batch``, JSON text.

    A model whose name is taken is left: of models, it returns the ids of those that are not.
    """
    from sqlalchemy.dialects import postgresql

    columns = [Column(key, _type_in_json(table, key)) for key in _GIVEN[table.name]]
    rows = func.json_to_recordset(cast(bindparam("_batch", type_=String()), JSON)).table_valued(*columns, name="given")
    rows = rows.render_derived(with_types=True)
    values = [_value(table, rows.c[column.name]) for column in columns]
    insertion = postgresql.insert(table).from_select([column.name for column in columns], select(*values))
    insertion = insertion.on_conflict_do_nothing()
    return insertion.returning(MODEL.c.id) if table is MODEL else insertion


def _type_in_json(table: Table, key: str) -> TypeEngine[Any]:  # Any: of the column
    return Text() if key == "words" or key in _JSON_TEXTS else table.c[key].type


def _value(table: Table, given: ColumnElement[Any]) -> ColumnElement[Any]:  # Any: as above
    if given.key == "words":
        return words_of(given)
    return cast(given, table.c[str(given.key)].type) if given.key in _JSON_TEXTS else given


#: How many models are written at once.
BATCH_SIZE: Final = 1000


class BulkCreation:
    """One call's progress: what is counted, and what is returned. It holds one batch at a time.

    Args:
        on_conflict: What becomes of a model whose name is taken.
        returning: Whether the models are asked for.
    """

    def __init__(self, *, on_conflict: OnConflict, returning: bool) -> None:
        if not isinstance(on_conflict, str) or on_conflict not in {"raise", "skip", "update"}:
            raise InvalidInputException("on_conflict", f"cannot be {shown(on_conflict)}; it can be raise, skip, update")
        self._on_conflict = on_conflict
        self._returning = returning
        self._counts = {"created": 0, "updated": 0, "skipped": 0}
        self._models: list[ModelSchema] = []

    def result(self) -> BulkResult:
        """Return what became of the batches that are written."""
        return BulkResult(**self._counts, models=tuple(self._models))

    def batches(self, given: Iterable[CreateModel]) -> Iterator[list[CreateModel]]:
        """Yield the models in batches in which no name occurs twice."""
        if not isinstance(given, Iterable):
            raise InvalidInputException("models", f"must be an iterable of CreateModel, not {shown(given)}")
        batch: dict[str, CreateModel] = {}
        for model in given:
            try:
                checked = revalidated_quickly(model, CreateModel, "models")
            except InvalidInputException as error:
                raise self._failed(error, len(batch)) from error
            if len(batch) == BATCH_SIZE or checked.name in batch:
                yield list(batch.values())
                batch = {}
            batch[checked.name] = checked
        if batch:
            yield list(batch.values())

    def _failed(self, cause: Exception, place: int | None) -> BulkException:
        index = None if place is None else sum(self._counts.values()) + place
        return BulkException(index=index, result=self.result(), cause=cause)

    def write(self, scope: Scope, batch: list[CreateModel]) -> None:
        """Write a batch.

        Raises:
            BulkException: One of it was refused, or the database could not do it. Nothing of it is written.
        """
        place: int | None = None
        counts = {"created": 0, "updated": 0, "skipped": 0}
        try:
            with scope.writing() as writing:
                rows = _rows(writing, batch)
                created = _insert(writing, batch, rows)
                counts["created"] = len(created)
                left = [number for number, row in enumerate(rows) if row["id"] not in created]
                if left and self._on_conflict == "raise":
                    place = left[0]
                    raise models.taken(writing, batch[place].name)
                if left and self._on_conflict == "update":
                    held = _hold(writing, [batch[number] for number in left])
                    for place in left:
                        counts["updated"] += _update(writing, held, batch[place])
                    place = None
                counts["skipped"] = len(left) - counts["updated"]
                returned = _returned(writing, batch) if self._returning else []
        except ServiceException as error:
            raise self._failed(error, place) from error
        self._models += returned
        for key, count in counts.items():
            self._counts[key] += count


def _rows(scope: Scope, batch: Sequence[CreateModel]) -> list[dict[str, Any]]:  # Any: values of several columns
    """Return rows as both databases take them from JSON."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    state = {"revision": 1, "last_number": 0, "last_event": 1}
    moments = {"created_at": now, "updated_at": now, "deleted_at": None, "last_event_at": now}
    own = {"namespace": scope.namespace, **state, **moments}
    ids = uuid7_numbers(len(batch))
    rows = [{**model.__dict__, **own, "id": f"{id_:032x}"} for model, id_ in zip(batch, ids, strict=True)]
    for row in rows:
        del row["tags"]  # they have a table of their own
        row["attributes"] = to_json(row["attributes"]).decode() if row["attributes"] else "{}"
    return rows


def _insert(scope: Scope, batch: Sequence[CreateModel], rows: list[dict[str, Any]]) -> set[str]:  # Any: as above
    """Insert what has no name that is taken, with all that belongs to it, and return the ids."""
    last = scope.execute(LAST_DOCUMENT).scalar_one() if scope.dialect == "sqlite" else 0
    # By name: two that want the same ones wait for each other then, and do not deadlock.
    result = _insert_many(scope, MODEL, sorted(rows, key=itemgetter("name")))
    if scope.dialect == "sqlite":
        created = {row["id"] for row in rows} if result.rowcount == len(rows) else _present(scope, rows)
    else:
        created = {value.hex for value in result.scalars()}
    new = [(model, row) for model, row in zip(batch, rows, strict=True) if row["id"] in created]
    if new:
        _insert_rest(scope, new, last)
    return created


def _present(scope: Scope, rows: list[dict[str, Any]]) -> set[str]:  # Any: as above
    found = scope.execute(IDS_AMONG, _ids=[UUID(row["id"]) for row in rows])
    return {value.hex for value in found.scalars()}


def _insert_rest(
    scope: Scope,
    new: list[tuple[CreateModel, dict[str, Any]]],  # Any: as above
    last: int,
) -> None:
    own = {"namespace": scope.namespace}
    tags = [
        {"model_id": row["id"], **own, "key": key, "value": value, "value_start": value[:VALUE_START]}
        for model, row in new
        for key, value in model.tags.items()
    ]
    if tags:
        _insert_many(scope, TAG, tags)
    documents = [{"model_id": row["id"], **own, "words": new_words(scope.namespace, model)} for model, row in new]
    _insert_many(scope, DOCUMENT, documents)
    if scope.dialect == "sqlite":
        scope.execute(SEARCH_INSERT_AFTER, _last=last)
    event = {**own, "sequence": 1, "kind": "model.created", "actor": scope.actor, "before": "{}"}
    _insert_many(scope, EVENT, [{**event, **_created(model, row)} for model, row in new])


def _created(model: CreateModel, row: dict[str, Any]) -> dict[str, str]:  # Any: as above
    return {
        "model_id": row["id"],
        "at": row["created_at"],
        "after": model.model_dump_json(exclude_defaults=True),
    }


def _insert_many(
    scope: Scope,
    table: Table,
    rows: list[dict[str, Any]],  # Any: as above
) -> CursorResult[Any]:  # Any: as above
    if scope.dialect == "sqlite" and scope.connection is not None:
        statement, keys = insert_rows(table, scope.connection)
        return execute_driver_sql(scope.connection, statement, list(map(itemgetter(*keys), rows)))
    return scope.execute(insert_batch(table), _batch=to_json(rows).decode())


def _hold(scope: Scope, left: Sequence[CreateModel]) -> dict[str, RowMapping]:
    """Hold the rows of those that are there, and return them by name."""
    held = scope.execute(HOLD_BY_NAMES, _names=[model.name for model in left]).mappings()
    return {row["name"]: row for row in held}


def _update(scope: Scope, held: Mapping[str, RowMapping], model: CreateModel) -> bool:
    """Change what is there to what is given, and tell whether that made it different."""
    row = held.get(model.name)
    if row is None or row["deleted_at"] is not None:
        raise models.taken(scope, model.name)
    change = ModelChange(scope, row)
    given = model.model_dump(include=model.model_fields_set - {"name", "tags"})
    changed = models.change_fields(change, given)
    return merge_tags(change, model.tags) or changed


def _returned(scope: Scope, batch: Sequence[CreateModel]) -> list[ModelSchema]:
    rows = scope.execute(MODELS_BY_NAMES, _names=[model.name for model in batch]).all()
    by_name = {model.name: model for model in models.schemas(rows)}
    return [by_name[model.name] for model in batch if model.name in by_name]  # another may have purged one meanwhile
