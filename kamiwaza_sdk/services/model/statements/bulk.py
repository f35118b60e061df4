"""Statements that write many models at once.

PostgreSQL is sent each batch as one JSON text, SQLite a row at a time: measured, each is the quicker one there.
"""

from functools import cache
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Insert,
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

from kamiwaza_sdk.services.model.statements.constructs import DOCUMENT, EVENT, MODEL, TAG, bound, words_of
from kamiwaza_sdk.services.model.statements.documents import SEARCH
from kamiwaza_sdk.services.model.statements.models import HELD, MODEL_COLUMNS

__all__ = [
    "HOLD_BY_NAMES",
    "IDS_AMONG",
    "LAST_DOCUMENT",
    "MODELS_BY_NAMES",
    "SEARCH_INSERT_AFTER",
    "insert_batch",
    "insert_rows",
]

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
