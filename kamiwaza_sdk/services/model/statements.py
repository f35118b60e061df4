"""All SQL of the registry: Core statements, built once. Every one names the namespace.

What is read keeps the form in which the driver delivers it, and Pydantic turns it into the types of the schemas: a
column type of SQLAlchemy's would do the same work before, value by value, in Python.
"""

from functools import cache
from typing import Any, Final, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Insert,
    Table,
    bindparam,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import NullType

from kamiwaza_sdk.services.model.exceptions import DatabaseUnsupportedException
from kamiwaza_sdk.services.model.models import DBModel, DBModelFile, DBModelVersion
from kamiwaza_sdk.services.model.schemas.model import ModelSchema
from kamiwaza_sdk.services.model.schemas.version import ModelFileSchema, ModelVersionSchema

__all__ = [
    "FILES_OF_MODEL",
    "FILES_OF_VERSION",
    "FILE_KEYS",
    "FINISH_VERSION",
    "INSERT_FILES",
    "LATEST_VERSION",
    "MODEL_BY_ID",
    "MODEL_BY_NAME",
    "MODEL_KEYS",
    "MODEL_PAGE",
    "MODEL_STATE",
    "TAKE_NUMBER",
    "UPDATE_MODEL",
    "VERSION_BY_DIGEST",
    "VERSION_BY_ID",
    "VERSION_BY_LABEL",
    "VERSION_BY_NUMBER",
    "VERSION_KEYS",
    "VERSION_PAGE",
    "insert_model",
    "insert_version",
]

# cast: declared as a FromClause by SQLAlchemy, as a class may be mapped to something else; ours are tables
_MODEL: Final = cast("Table", DBModel.__table__)
_VERSION: Final = cast("Table", DBModelVersion.__table__)
_FILE: Final = cast("Table", DBModelFile.__table__)

#: What the rows' values are called in the schemas, in their order.
MODEL_KEYS: Final = tuple(ModelSchema.model_fields)
VERSION_KEYS: Final = tuple(key for key in ModelVersionSchema.model_fields if key not in {"model_name", "files"})
FILE_KEYS: Final = tuple(ModelFileSchema.model_fields)


def _raw(table: Table, keys: tuple[str, ...]) -> list[ColumnElement[Any]]:  # Any: columns of several types
    """Return columns without result processing, but for JSON, which one driver parses and the other leaves a text."""
    columns = [table.c[key] for key in keys]
    return [column if column.name == "details" else type_coerce(column, NullType()) for column in columns]


def _bound(table: Table, key: str) -> BindParameter[Any]:  # Any: of the column's type
    """Return a parameter that cannot be taken for a value to set: an UPDATE names those like its columns."""
    return bindparam(f"_{key}", type_=table.c[key].type)


_MODEL_COLUMNS: Final = _raw(_MODEL, MODEL_KEYS)
_MODEL_IN_NAMESPACE: Final = _MODEL.c.namespace == _bound(_MODEL, "namespace")
_MODEL_WITH_ID: Final = _MODEL.c.id == _bound(_MODEL, "id")

MODEL_BY_ID: Final = select(*_MODEL_COLUMNS).where(_MODEL_IN_NAMESPACE, _MODEL_WITH_ID)
MODEL_BY_NAME: Final = select(*_MODEL_COLUMNS).where(_MODEL_IN_NAMESPACE, _MODEL.c.name == _bound(_MODEL, "name"))
MODEL_PAGE: Final = (
    select(*_MODEL_COLUMNS)
    .where(_MODEL_IN_NAMESPACE, _MODEL.c.deleted_at.is_(None), _MODEL.c.name > _bound(_MODEL, "name"))
    .order_by(_MODEL.c.name)
    .limit(bindparam("_limit"))
)
#: The values to set are named by the parameters that it is executed with.
UPDATE_MODEL: Final = (
    update(_MODEL)
    .where(_MODEL_IN_NAMESPACE, _MODEL_WITH_ID, _MODEL.c.deleted_at.is_(None))
    .values(revision=_MODEL.c.revision + 1)
    .returning(*_MODEL_COLUMNS)
)
#: Sets `deleted_at`, either way: a deleted model is found by nothing that only finds living ones.
MODEL_STATE: Final = (
    update(_MODEL)
    .where(_MODEL_IN_NAMESPACE, _MODEL_WITH_ID, _MODEL.c.deleted_at.is_(None) == bindparam("_living"))
    .values(revision=_MODEL.c.revision + 1)
    .returning(*_MODEL_COLUMNS)
)
#: Takes the next number (`_step` 1) or gives it back (-1), and holds the row until the transaction ends: numbers are
#: given out one transaction at a time.
TAKE_NUMBER: Final = (
    update(_MODEL)
    .where(_MODEL_IN_NAMESPACE, _MODEL_WITH_ID, _MODEL.c.deleted_at.is_(None))
    .values(last_number=_MODEL.c.last_number + bindparam("_step", type_=_MODEL.c.last_number.type))
    .returning(_MODEL.c.last_number)
)

_VERSION_SELECT: Final = (
    select(*_raw(_VERSION, VERSION_KEYS), _MODEL.c.name)
    .join_from(_VERSION, _MODEL)
    .where(_VERSION.c.namespace == _bound(_VERSION, "namespace"), _MODEL.c.deleted_at.is_(None))
)
_OF_MODEL: Final = _VERSION.c.model_id == _bound(_VERSION, "model_id")
_OF_NAMED_MODEL: Final = _MODEL.c.name == _bound(_MODEL, "name")

VERSION_BY_ID: Final = _VERSION_SELECT.where(_VERSION.c.id == _bound(_VERSION, "id"))
VERSION_BY_DIGEST: Final = (
    _VERSION_SELECT.where(_OF_MODEL, _VERSION.c.digest == _bound(_VERSION, "digest"), _VERSION.c.status == "ready")
    .order_by(_VERSION.c.number)
    .limit(1)
)
VERSION_BY_NUMBER: Final = _VERSION_SELECT.where(_OF_NAMED_MODEL, _VERSION.c.number == _bound(_VERSION, "number"))
VERSION_BY_LABEL: Final = _VERSION_SELECT.where(_OF_NAMED_MODEL, _VERSION.c.version == _bound(_VERSION, "version"))
LATEST_VERSION: Final = (
    _VERSION_SELECT.where(_OF_NAMED_MODEL, _VERSION.c.status == "ready").order_by(_VERSION.c.number.desc()).limit(1)
)
VERSION_PAGE: Final = (
    _VERSION_SELECT.where(_OF_MODEL, _VERSION.c.number > _bound(_VERSION, "number"))
    .order_by(_VERSION.c.number)
    .limit(bindparam("_limit"))
)

_FILE_COLUMNS: Final = _raw(_FILE, FILE_KEYS)
_FILE_IN_NAMESPACE: Final = _FILE.c.namespace == _bound(_FILE, "namespace")

FILES_OF_VERSION: Final = (
    select(*_FILE_COLUMNS)
    .where(_FILE_IN_NAMESPACE, _FILE.c.version_id == _bound(_FILE, "version_id"))
    .order_by(_FILE.c.path)
)
#: The files of a page of versions, each row led by its version's number.
FILES_OF_MODEL: Final = (
    select(_VERSION.c.number, *_FILE_COLUMNS)
    .join_from(_FILE, _VERSION)
    .where(_FILE_IN_NAMESPACE, _OF_MODEL, _VERSION.c.number.between(bindparam("_first"), bindparam("_last")))
    .order_by(_VERSION.c.number, _FILE.c.path)
)
INSERT_FILES: Final = insert(_FILE)
FINISH_VERSION: Final = (
    update(_VERSION)
    .where(_VERSION.c.namespace == _bound(_VERSION, "namespace"), _VERSION.c.id == _bound(_VERSION, "id"))
    .values(status="ready")
)


def insert_model(dialect: str) -> Insert:
    """Return the statement that creates a model and returns its row, or none where the name is taken."""
    return _insert_or_nothing(dialect, "kamiwaza_model", "namespace", "name")


def insert_version(dialect: str) -> Insert:
    """Return the statement that creates a version and returns its id, or nothing where the label is taken."""
    return _insert_or_nothing(dialect, "kamiwaza_model_version", "namespace", "model_id", "version")


@cache
def _insert_or_nothing(dialect: str, table_name: str, *unique: str) -> Insert:
    """Build the one kind of statement that SQLAlchemy spells differently for each database."""
    table = {"kamiwaza_model": _MODEL, "kamiwaza_model_version": _VERSION}[table_name]
    columns = _MODEL_COLUMNS if table is _MODEL else [_VERSION.c.id]
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing(index_elements=unique).returning(*columns)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing(index_elements=unique).returning(*columns)
    raise DatabaseUnsupportedException(dialect=dialect)
