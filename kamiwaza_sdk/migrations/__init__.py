"""The registry's schema versions, for `kamiwaza_sdk.setup_database` and for a host's own Alembic revisions.

A host that keeps one lineage calls `upgrade` in a revision of its own::

    def upgrade() -> None:
        kamiwaza_sdk.migrations.upgrade(op.get_bind(), to="0004")

and tells ``--autogenerate`` in its ``env.py`` to leave our tables alone::

    context.configure(..., include_name=kamiwaza_sdk.migrations.include_name)
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, func, insert, inspect, select

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import DatabaseTooNewException, DataLossException

__all__ = ["REVISIONS", "TABLES", "current_revision", "downgrade", "include_name", "upgrade"]

#: Every schema version, oldest first.
REVISIONS: Final = ("0001", "0002", "0003", "0004")

#: Every table of ours, of whatever schema version and database. On SQLite, a virtual table keeps itself in others.
TABLES: Final = frozenset(
    {
        "kamiwaza_alembic_version",
        "kamiwaza_model",
        "kamiwaza_model_alias",
        "kamiwaza_model_config",
        "kamiwaza_model_document",
        "kamiwaza_model_event",
        "kamiwaza_model_file",
        "kamiwaza_model_lineage",
        "kamiwaza_model_pin",
        "kamiwaza_model_search",
        "kamiwaza_model_search_config",
        "kamiwaza_model_search_data",
        "kamiwaza_model_search_idx",
        "kamiwaza_model_tag",
        "kamiwaza_model_version",
        "kamiwaza_model_version_tag",
        "kamiwaza_registry",
    }
)

_TABLE: Final = Table(
    "kamiwaza_alembic_version", MetaData(), Column("version_num", String(32), primary_key=True, nullable=False)
)


def current_revision(connection: Connection) -> str | None:
    """Return the schema version of a database, or `None` where it was never set up.

    Args:
        connection: A connection to the database.

    Raises:
        DatabaseTooNewException: A newer version of the library has upgraded it.
        InvalidInputException: `connection` is none, as in Alembic's offline mode.

    Example:
        >>> with engine.connect() as connection:
        ...     current_revision(connection)
        '0004'
    """
    if not isinstance(connection, Connection):  # Alembic's offline mode has none
        reason = f"must be a connection, not {type(connection).__name__}; run without --sql: what is there is looked at"
        raise InvalidInputException("connection", reason)
    if not inspect(connection).has_table(_TABLE.name, schema=connection.schema_for_object(_TABLE)):
        return None
    revision = connection.scalar(select(_TABLE.c.version_num))
    if revision is not None and revision not in REVISIONS:
        raise DatabaseTooNewException(revision=revision, known=REVISIONS[-1])
    return revision


def upgrade(connection: Connection, *, to: str = REVISIONS[-1]) -> None:
    """Run the schema versions that are missing, up to and including `to`, in the connection's transaction.

    Commits nothing, and takes no lock: two at once is what `kamiwaza_sdk.setup_database` guards against.

    Args:
        connection: A connection to the database, in a revision of the host's: ``op.get_bind()``.
        to: The version to reach. Nothing happens where it is reached already.

    Raises:
        DatabaseTooNewException: A newer version of the library has upgraded the database.
        DatabaseUnsupportedException: SQLite was built without full-text search.
        InvalidInputException: There is no such schema version.

    Example:
        >>> with engine.begin() as connection:
        ...     upgrade(connection, to="0004")
    """
    done = _position(current_revision(connection))
    for revision in REVISIONS[done : _position(to)]:
        _run(connection, "upgrade", revision)
        _record(connection, revision)


def downgrade(connection: Connection, *, to: str | None, lose_data: bool = False) -> None:
    """Take back the schema versions after `to`, in the connection's transaction. Commits nothing.

    Args:
        connection: A connection to the database.
        to: The version to return to; `None` removes every table of ours.
        lose_data: Whether to go on where the tables that go have rows, or the columns that go values.

    Raises:
        DataLossException: They have some. Nothing was touched.
        DatabaseTooNewException: A newer version of the library has upgraded the database.
        InvalidInputException: There is no such schema version, or the database has not reached it.

    Example:
        >>> with engine.begin() as connection:
        ...     downgrade(connection, to="0001")
    """
    done = _position(current_revision(connection))
    if _position(to) > done:
        raise InvalidInputException("to", f"is {to!r}, which the database has not reached; upgrade() leads there")
    revisions = REVISIONS[_position(to) : done]
    if not lose_data and (losses := _losses(connection, revisions)):
        raise DataLossException(to=to, losses=losses)
    for revision in reversed(revisions):
        _run(connection, "downgrade", revision)
    if to is None:
        _TABLE.drop(connection, checkfirst=True)
    else:
        _record(connection, to)


def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
    """Tell Alembic's autogenerate to leave our tables alone: the ``include_name`` of a host's ``env.py``.

    Args:
        name: The name of what was found in the database.
        type_: What it is: "schema", "table", "column" and so on.
        parent_names: The names of what it is part of, by kinds that Alembic's types list; not needed here.

    Returns:
        `False` for a table of ours, `True` for everything else.

    Example:
        >>> include_name("kamiwaza_model", "table", {}), include_name("orders", "table", {})
        (False, True)
    """
    return not (type_ == "table" and name in TABLES)


def _position(revision: str | None) -> int:
    if revision is None:
        return 0
    if revision not in REVISIONS:
        raise InvalidInputException("to", f"is {revision!r}, which is no schema version; known are {REVISIONS}")
    return REVISIONS.index(revision) + 1


def _losses(connection: Connection, revisions: Sequence[str]) -> dict[str, int]:
    """Count the rows of the tables, and those with values in the columns, that go with these schema versions."""
    losses: dict[str, int] = {}
    for module in map(_module, reversed(revisions)):  # where a table goes with an earlier one, all of its rows count
        losses |= module.losses(connection) if hasattr(module, "losses") else {}
        tables = [Table(name, MetaData()) for name in module.TABLES]
        rows = {table.name: connection.scalars(select(func.count()).select_from(table)).one() for table in tables}
        losses |= {name: count for name, count in rows.items() if count}
    return losses


def _run(connection: Connection, direction: str, revision: str) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    step = getattr(_module(revision), direction)
    step(Operations(MigrationContext.configure(connection)))


def _module(revision: str) -> ModuleType:
    return import_module(f"kamiwaza_sdk.migrations.versions.v{revision}")


def _record(connection: Connection, revision: str) -> None:
    _TABLE.create(connection, checkfirst=True)
    connection.execute(delete(_TABLE))
    connection.execute(insert(_TABLE).values(version_num=revision))
