"""Statements about models."""

from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Insert, Integer, bindparam, delete, func, lambda_stmt, select, update

from kamiwaza_sdk.services.model.exceptions import DatabaseUnsupportedException
from kamiwaza_sdk.services.model.schemas.model import ModelSchema
from kamiwaza_sdk.services.model.statements.constructs import (
    ALIAS,
    CONFIG,
    DOCUMENT,
    EVENT,
    FILE,
    LINEAGE,
    MODEL,
    TAG,
    VERSION,
    VERSION_TAG,
    bound,
    json_map,
    json_text,
    raw,
)

__all__ = [
    "COUNT_CHILDREN",
    "DELETE_BELONGINGS",
    "DELETE_MODEL",
    "HELD",
    "LARGE_KEYS",
    "LOCK_MODEL",
    "LOCK_MODEL_BY_NAME",
    "MODEL_BY_ID",
    "MODEL_BY_NAME",
    "MODEL_COLUMNS",
    "MODEL_KEYS",
    "MODEL_LARGE",
    "MODEL_PAGE",
    "OWN_KEYS",
    "UPDATE_MODEL",
    "VERSIONS_OF_MODEL",
    "insert_model",
    "insert_or_nothing",
]

#: What a row's values are called in the schema, in their order: a model's own, then what belongs to it.
MODEL_KEYS: Final = tuple(ModelSchema.model_fields)
OWN_KEYS: Final = tuple(key for key in MODEL_KEYS if key in MODEL.c)

_TAGS: Final = (
    select(json_map(TAG.c.key, TAG.c.value))
    .where(TAG.c.namespace == MODEL.c.namespace, TAG.c.model_id == MODEL.c.id)
    .correlate(MODEL)
    .scalar_subquery()
)
_ALIASES: Final = (
    select(json_map(ALIAS.c.alias, ALIAS.c.number))
    .where(ALIAS.c.namespace == MODEL.c.namespace, ALIAS.c.model_id == MODEL.c.id)
    .correlate(MODEL)
    .scalar_subquery()
)
_LATEST: Final = (
    select(json_text(id=VERSION.c.id, number=VERSION.c.number, version=VERSION.c.version))
    .where(VERSION.c.namespace == MODEL.c.namespace, VERSION.c.model_id == MODEL.c.id, VERSION.c.status == "ready")
    .order_by(VERSION.c.number.desc())
    .limit(1)
    .correlate(MODEL)
    .scalar_subquery()
)
MODEL_COLUMNS: Final[list[ColumnElement[Any]]] = [  # Any: columns of several types
    *raw(MODEL, OWN_KEYS),
    _TAGS.label("tags"),
    _ALIASES.label("aliases"),
    _LATEST.label("latest_version"),
]
_IN_NAMESPACE: Final = MODEL.c.namespace == bound(MODEL, "namespace")
_WITH_ID: Final = MODEL.c.id == bound(MODEL, "id")
_WITH_NAME: Final = MODEL.c.name == bound(MODEL, "name")

_BY_ID: Final = select(*MODEL_COLUMNS).where(_IN_NAMESPACE, _WITH_ID)
_BY_NAME: Final = select(*MODEL_COLUMNS).where(_IN_NAMESPACE, _WITH_NAME)
# What finds one row is a lambda, each its own: SQLAlchemy finds its SQL by that, not by a hash over all of its parts.
MODEL_BY_ID: Final = lambda_stmt(lambda: _BY_ID)
MODEL_BY_NAME: Final = lambda_stmt(lambda: _BY_NAME)
MODEL_PAGE: Final = (
    select(*MODEL_COLUMNS)
    .where(_IN_NAMESPACE, MODEL.c.deleted_at.is_(None), MODEL.c.name > bound(MODEL, "name"))
    .order_by(MODEL.c.name)
    .limit(bindparam("_limit"))
)
#: What few changes are about, and may be large.
LARGE_KEYS: Final = ("model_card", "attributes")
#: What is read of a model whose row is held.
HELD: Final = [column for column in MODEL.c if column.key not in LARGE_KEYS]
#: The rest of it.
MODEL_LARGE: Final = select(*raw(MODEL, LARGE_KEYS)).where(_IN_NAMESPACE, _WITH_ID)
#: Every change of a model, or of anything that belongs to it, begins by holding its row until the transaction ends.
#: SQLite, which locks no rows, has only one writer at a time.
LOCK_MODEL: Final = select(*HELD).where(_IN_NAMESPACE, _WITH_ID).with_for_update(key_share=True)
LOCK_MODEL_BY_NAME: Final = select(*HELD).where(_IN_NAMESPACE, _WITH_NAME).with_for_update(key_share=True)
#: The values to set are named by the parameters that it is executed with.
UPDATE_MODEL: Final = update(MODEL).where(_IN_NAMESPACE, _WITH_ID)
DELETE_MODEL: Final = delete(MODEL).where(_IN_NAMESPACE, _WITH_ID)

_ITS_VERSIONS: Final = select(VERSION.c.id).where(
    VERSION.c.namespace == bound(MODEL, "namespace"), VERSION.c.model_id == bound(MODEL, "id")
)
VERSIONS_OF_MODEL: Final = _ITS_VERSIONS
#: What goes before a model that is purged, in an order that no foreign key of ours minds.
DELETE_BELONGINGS: Final = (
    delete(LINEAGE).where(LINEAGE.c.namespace == bound(MODEL, "namespace"), LINEAGE.c.version_id.in_(_ITS_VERSIONS)),
    *(
        delete(table).where(table.c.namespace == bound(MODEL, "namespace"), table.c.version_id.in_(_ITS_VERSIONS))
        for table in (VERSION_TAG, FILE)
    ),
    *(
        delete(table).where(table.c.namespace == bound(MODEL, "namespace"), table.c.model_id == bound(MODEL, "id"))
        for table in (CONFIG, ALIAS, TAG, VERSION, DOCUMENT, EVENT)
    ),
)
#: How many versions of other models were made from those of a model.
COUNT_CHILDREN: Final = (
    select(func.count(type_=Integer))
    .select_from(LINEAGE)
    .where(
        LINEAGE.c.namespace == bound(MODEL, "namespace"),
        LINEAGE.c.parent_id.in_(_ITS_VERSIONS),
        LINEAGE.c.version_id.not_in(_ITS_VERSIONS),
    )
)


def insert_model(dialect: str) -> Insert:
    """Return the statement that creates a model and returns its id, or nothing where the name is taken."""
    return insert_or_nothing(dialect, "kamiwaza_model", "id")


@cache
def insert_or_nothing(dialect: str, table_name: str, *returning: str) -> Insert:
    """Build the one kind of statement that SQLAlchemy spells differently for each database."""
    table = MODEL.metadata.tables[table_name]
    columns = [table.c[key] for key in returning]
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing().returning(*columns)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing().returning(*columns)
    raise DatabaseUnsupportedException(dialect=dialect)
