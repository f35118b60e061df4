"""What the registry's tables hold, all of it, so that before can be compared with after."""

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.backends import Backend

Dump = dict[str, list[tuple[object, ...]]]

#: The shadow tables of SQLite's index are told apart by what they hold, not by how they hold it.
_INDEX = "kamiwaza_model_search"


def tables_of(connection: Connection) -> Dump:
    """Return every row of every table of ours, and on SQLite what the index of words holds, once it is found sound."""
    names = [name for name in inspect(connection).get_table_names() if name.startswith("kamiwaza_")]
    dump = {name: _rows(connection, name) for name in sorted(names) if not name.startswith(_INDEX)}
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"INSERT INTO {_INDEX}({_INDEX}, rank) VALUES('integrity-check', 1)")
        connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, {_INDEX}, 'instance')"
        )
        dump[_INDEX] = _rows(connection, "temp.vocabulary")
        connection.rollback()
    return dump


def _rows(connection: Connection, name: str) -> list[tuple[object, ...]]:
    return sorted((tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))), key=repr)


def dump_of(engine: Engine) -> Dump:
    """Return what the tables hold that is committed."""
    with engine.connect() as connection:
        return tables_of(connection)


async def dump(backend: Backend) -> Dump:
    """Return what the tables hold that is committed, in either colour."""
    if isinstance(backend.engine, AsyncEngine):
        async with backend.engine.connect() as connection:
            return await connection.run_sync(tables_of)
    return dump_of(backend.engine)
