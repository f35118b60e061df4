"""What the statements are made of: the tables, raw columns, and what the two databases spell differently."""

from typing import Any, Final, cast

from sqlalchemy import BindParameter, ColumnElement, String, Table, bindparam, literal_column, type_coerce
from sqlalchemy import cast as cast_type
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from kamiwaza_sdk.services.model.models import (
    DBModel,
    DBModelAlias,
    DBModelConfig,
    DBModelDocument,
    DBModelEvent,
    DBModelFile,
    DBModelLineage,
    DBModelTag,
    DBModelVersion,
    DBModelVersionTag,
)

__all__ = [
    "ALIAS",
    "CONFIG",
    "DOCUMENT",
    "EVENT",
    "FILE",
    "LINEAGE",
    "MODEL",
    "TAG",
    "VERSION",
    "VERSION_TAG",
    "bound",
    "json_array",
    "json_map",
    "json_object",
    "json_text",
    "raw",
    "words_of",
]

# cast: declared as a FromClause by SQLAlchemy, as a class may be mapped to something else; ours are tables
MODEL: Final = cast("Table", DBModel.__table__)
VERSION: Final = cast("Table", DBModelVersion.__table__)
FILE: Final = cast("Table", DBModelFile.__table__)
ALIAS: Final = cast("Table", DBModelAlias.__table__)
TAG: Final = cast("Table", DBModelTag.__table__)
VERSION_TAG: Final = cast("Table", DBModelVersionTag.__table__)
CONFIG: Final = cast("Table", DBModelConfig.__table__)
EVENT: Final = cast("Table", DBModelEvent.__table__)
LINEAGE: Final = cast("Table", DBModelLineage.__table__)
DOCUMENT: Final = cast("Table", DBModelDocument.__table__)


def raw(table: Table, keys: tuple[str, ...]) -> list[ColumnElement[Any]]:  # Any: columns of several types
    """Return columns without result processing."""
    return [type_coerce(table.c[key], NullType()).label(key) for key in keys]


def bound(table: Table, key: str) -> BindParameter[Any]:  # Any: of the column's type
    """Return a parameter that cannot be taken for a value to set: an UPDATE names those like its columns."""
    return bindparam(f"_{key}", type_=table.c[key].type)


class json_object(FunctionElement[Any]):  # noqa: N801 - called like a function of SQL's  # Any: the database's JSON
    """A JSON object of alternating keys and values."""

    inherit_cache: bool | None = True

    @classmethod
    def of(cls, **columns: ColumnElement[Any]) -> "json_object":  # Any: columns of several types
        """Return the object that has these columns under their names."""
        return cls(*(part for key, column in columns.items() for part in (literal_column(f"'{key}'"), column)))


class json_map(FunctionElement[Any]):  # noqa: N801 - as above  # Any: as above
    """Aggregates keys and values into the text of one JSON object."""

    inherit_cache: bool | None = True


class json_array(FunctionElement[Any]):  # noqa: N801 - as above  # Any: as above
    """Aggregates values into the text of one JSON array."""

    inherit_cache: bool | None = True


class words_of(FunctionElement[Any]):  # noqa: N801 - as above  # Any: as above
    """What words with spaces between them are kept as: text, or lexemes that no parser of PostgreSQL's has touched."""

    inherit_cache: bool | None = True


def _inner(element: FunctionElement[Any], compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as SQLAlchemy has it
    return compiler.process(element.clauses, **kwargs)


@compiles(json_object, "sqlite")
def _json_object_sqlite(element: json_object, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return f"json_object({_inner(element, compiler, **kwargs)})"


@compiles(json_object, "postgresql")
def _json_object_postgresql(element: json_object, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return f"json_build_object({_inner(element, compiler, **kwargs)})"


@compiles(json_map, "sqlite")
def _json_map_sqlite(element: json_map, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return f"json_group_object({_inner(element, compiler, **kwargs)})"


@compiles(json_map, "postgresql")
def _json_map_postgresql(element: json_map, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return f"coalesce(json_object_agg({_inner(element, compiler, **kwargs)})::text, '{{}}')"


@compiles(json_array, "sqlite")
def _json_array_sqlite(element: json_array, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return f"json_group_array({_inner(element, compiler, **kwargs)})"


@compiles(json_array, "postgresql")
def _json_array_postgresql(element: json_array, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return f"coalesce(json_agg({_inner(element, compiler, **kwargs)})::text, '[]')"


@compiles(words_of, "sqlite")
def _words_of_sqlite(element: words_of, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return _inner(element, compiler, **kwargs)


@compiles(words_of, "postgresql")
def _words_of_postgresql(element: words_of, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return f"array_to_tsvector(string_to_array({_inner(element, compiler, **kwargs)}, ' '))"


def json_text(**columns: ColumnElement[Any]) -> ColumnElement[Any]:  # Any: columns of several types
    """Return the text of a JSON object of these columns."""
    return cast_type(json_object.of(**columns), String)
