"""What the statements are made of: the tables, raw columns, and what the two databases spell differently."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Final, cast

from sqlalchemy import (
    JSON,
    BindParameter,
    Column,
    ColumnElement,
    Executable,
    Label,
    Row,
    StatementLambdaElement,
    String,
    Table,
    TableValuedAlias,
    bindparam,
    func,
    lambda_stmt,
    literal_column,
    type_coerce,
)
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
    DBModelPin,
    DBModelTag,
    DBModelVersion,
    DBModelVersionTag,
    DBRegistry,
)
from kamiwaza_sdk.services.model.models.model import JSONObject

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
PIN: Final = cast("Table", DBModelPin.__table__)
REGISTRY: Final = cast("Table", DBRegistry.__table__)
DOCUMENT: Final = cast("Table", DBModelDocument.__table__)


def bound(table: Table, key: str) -> BindParameter[Any]:  # Any: of the column's type
    """Return a parameter that cannot be taken for a value to set: an UPDATE names those like its columns."""
    return bindparam(f"_{key}", type_=table.c[key].type)


def given(table: Table, prefix: str, *keys: str) -> dict[str, BindParameter[Any]]:  # Any: of the columns' types
    """Return parameters for values of columns, all unless some are named: ``prefix_column``."""
    return {key: bindparam(f"{prefix}_{key}", type_=table.c[key].type) for key in keys or table.c.keys()}


def named(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:  # Any: values of several columns
    """Return values under the names of these parameters."""
    return {f"{prefix}_{key}": value for key, value in values.items()}


def quick(statement: Executable) -> StatementLambdaElement:
    """Return a statement whose SQL SQLAlchemy finds by its number, not by a hash over all of its parts."""
    return lambda_stmt(
        lambda: statement, track_on=(next(_NUMBERS),), track_closure_variables=False, track_bound_values=False
    )


_NUMBERS: Final = count()


def json_rows(table: Table, *keys: str, batch: str) -> TableValuedAlias:
    """Return PostgreSQL's rows of columns out of JSON text, which is given as ``batch``."""
    columns = [Column(key, table.c[key].type) for key in keys]
    rows = func.json_to_recordset(cast_type(bindparam(batch, type_=String()), JSON)).table_valued(*columns, name=batch)
    return rows.render_derived(with_types=True)


class _Spelled(FunctionElement[Any]):  # Any: what the database makes of it
    """A function that the two databases spell differently, each around the same arguments."""

    inherit_cache: bool | None = True
    sqlite: str
    postgresql: str


@compiles(_Spelled, "sqlite")
def _on_sqlite(element: _Spelled, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as SQLAlchemy has it
    return element.sqlite % compiler.process(element.clauses, **kwargs)


@compiles(_Spelled, "postgresql")
def _on_postgresql(element: _Spelled, compiler: SQLCompiler, **kwargs: Any) -> str:  # Any: as above
    return element.postgresql % compiler.process(element.clauses, **kwargs)


class json_object(_Spelled):  # noqa: N801 - called like a function of SQL's
    """A JSON object of alternating keys and values."""

    inherit_cache: bool | None = True
    sqlite: str = "json_object(%s)"
    postgresql: str = "json_build_object(%s)"

    @classmethod
    def of(cls, **columns: ColumnElement[Any]) -> "json_object":  # Any: columns of several types
        """Return the object that has these columns under their names."""
        return cls(*(part for key, column in columns.items() for part in (literal_column(f"'{key}'"), column)))


class json_map(_Spelled):  # noqa: N801 - as above
    """Aggregates keys and values into the text of one JSON object."""

    inherit_cache: bool | None = True
    sqlite: str = "json_group_object(%s)"
    postgresql: str = "coalesce(json_object_agg(%s)::text, '{}')"


class json_array(_Spelled):  # noqa: N801 - as above
    """Aggregates values into the text of one JSON array."""

    inherit_cache: bool | None = True
    sqlite: str = "json_group_array(%s)"
    postgresql: str = "coalesce(json_agg(%s)::text, '[]')"


class json_of(_Spelled):  # noqa: N801 - as above
    """The JSON that a text or a JSON column holds, to be put into other JSON."""

    inherit_cache: bool | None = True
    sqlite: str = "json(%s)"
    postgresql: str = "CAST(%s AS json)"


class json_texts(_Spelled):  # noqa: N801 - as above
    """The texts in a JSON array, as rows: of any number, in one parameter, so that the statement is always the same."""

    inherit_cache: bool | None = True
    sqlite: str = "(SELECT value FROM json_each(%s))"
    postgresql: str = "(SELECT json_array_elements_text(CAST(%s AS json)))"


class words_of(_Spelled):  # noqa: N801 - as above
    """What words with spaces between them are kept as: text, or lexemes that no parser of PostgreSQL's has touched."""

    inherit_cache: bool | None = True
    sqlite: str = "%s"
    postgresql: str = "array_to_tsvector(string_to_array(%s, ' '))"


class _json_as_text(_Spelled):  # noqa: N801 - as above
    """The text of a JSON column. PostgreSQL's drivers would read it as the host has told them to, not as we do."""

    inherit_cache: bool | None = True
    sqlite: str = "%s"
    postgresql: str = "%s::text"


def raw(table: Table, keys: tuple[str, ...]) -> list[Label[Any]]:  # Any: columns of several types
    """Return columns without result processing."""
    return [_raw(table.c[key]).label(key) for key in keys]


def _raw(column: ColumnElement[Any]) -> ColumnElement[Any]:  # Any: of the column's type
    return _json_as_text(column) if isinstance(column.type, JSONObject) else type_coerce(column, NullType())


def json_text(**columns: ColumnElement[Any]) -> ColumnElement[Any]:  # Any: columns of several types
    """Return the text of a JSON object of these columns."""
    return cast_type(json_object.of(**columns), String)


def as_dicts(keys: tuple[str, ...], rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:  # Any: values of several columns
    """Return rows under the keys of their columns. The statement selects as many: to check that costs 2 % of a page."""
    return [dict(zip(keys, row, strict=False)) for row in rows]
