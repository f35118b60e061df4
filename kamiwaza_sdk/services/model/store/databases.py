"""A registry's database, as a clean-up asks it: which it is, what it refers to, and whether old transactions ended.

Everything happens on short connections of its own, each with a transaction of its own that is rolled back.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Connection, Engine, Select, SingletonThreadPool, StaticPool, String, bindparam, select, text
from sqlalchemy.exc import DBAPIError

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import DatabaseBusyException, DatabaseNotAskedException
from kamiwaza_sdk.services.model.registry.tables import FILE, MODEL, REGISTRY, VERSION, json_texts
from kamiwaza_sdk.services.model.session import FAILURES, begin_writing, raise_service_error
from kamiwaza_sdk.services.model.setup import check_database
from kamiwaza_sdk.services.storage.schemas import StoreDatabaseSchema

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from kamiwaza_sdk.services.storage.services import StorageService

_T = TypeVar("_T")

#: What is referred to, of the digests in a range; the index alone tells.
_DIGESTS: Final = select(FILE.c.sha256).where(FILE.c.sha256 >= bindparam("_low"), FILE.c.sha256 < bindparam("_high"))
#: Which of some digests are referred to.
_AMONG: Final = (
    select(FILE.c.sha256)
    .where(FILE.c.sha256.op("IN", is_comparison=True)(json_texts(bindparam("_digests", type_=String()))))
    .distinct()
)
#: What is referred to in a range, with all that is said of it.
_REFERENCES: Final = select(FILE.c.sha256, FILE.c.size, FILE.c.namespace).where(
    FILE.c.sha256 >= bindparam("_low"), FILE.c.sha256 < bindparam("_high")
)
#: What the versions are called that refer to a digest.
_HOLDERS: Final = (
    select(VERSION.c.namespace, MODEL.c.name, VERSION.c.number, VERSION.c.id, FILE.c.sha256)
    .join_from(FILE, VERSION, VERSION.c.id == FILE.c.version_id)
    .join(MODEL, MODEL.c.id == VERSION.c.model_id)
    .where(FILE.c.sha256.op("IN", is_comparison=True)(json_texts(bindparam("_digests", type_=String()))))
    .order_by(FILE.c.sha256, VERSION.c.namespace, MODEL.c.name, VERSION.c.number)
)
#: Which of some digests are versions'.
_VERSIONS: Final = select(VERSION.c.digest).where(
    VERSION.c.digest.op("IN", is_comparison=True)(json_texts(bindparam("_digests", type_=String())))
)
_CLUSTER: Final = text(
    "SELECT (SELECT system_identifier FROM pg_control_system())::text, "
    "(SELECT oid FROM pg_database WHERE datname = current_database())::text, "
    "(SELECT relnamespace FROM pg_class WHERE oid = CAST(:table AS regclass))::text, current_database()"
)
_WRITERS: Final = text(
    "SELECT virtualtransaction, bool_or(pid IS NULL) FROM pg_locks WHERE locktype = 'relation' AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND relation = CAST(CAST(:table AS regclass) AS oid) AND mode NOT IN ('AccessShareLock', 'RowShareLock') "
    "AND pid IS DISTINCT FROM pg_backend_pid() GROUP BY virtualtransaction"
)
#: How long SQLite's lock is tried for, in milliseconds: nobody's transaction is waited for.
_PATIENCE: Final = 50
#: How many digests are asked for in one statement.
BATCH: Final = 500


def identity_of(connection: Connection) -> StoreDatabaseSchema | None:
    """Return what tells a registry's database from all others; `None` for one in memory, which ends with its process.

    A dump that is restored beside its original is another one. So no id that a dump carries along is enough.
    """
    schema = connection.schema_for_object(FILE)
    if connection.dialect.name == "sqlite":
        return _sqlite_identity(connection, schema or "main")
    cluster, database, namespace, title = connection.execute(_CLUSTER, {"table": _name_in(connection)}).one()
    url = connection.engine.url
    where = f"{url.host or 'localhost'}{f':{url.port}' if url.port else ''}/{title}{f' ({schema})' if schema else ''}"
    return StoreDatabaseSchema(id=f"postgresql-{cluster}-{database}-{namespace}", name=f"postgresql://{where}")


def _name_in(connection: Connection) -> str:
    """Return what PostgreSQL finds the table of files by: in its schema, or by the search path."""
    preparer, schema = connection.dialect.identifier_preparer, connection.schema_for_object(FILE)
    return ".".join(preparer.quote(part) for part in (schema, FILE.name) if part)


def _sqlite_identity(connection: Connection, schema: str) -> StoreDatabaseSchema | None:
    files = {row[1]: row[2] for row in connection.exec_driver_sql("PRAGMA database_list")}
    if not files.get(schema):
        return None
    path = os.path.realpath(files[schema])
    known: UUID | None = connection.execute(select(REGISTRY.c.id)).scalars().first()
    digest = hashlib.sha256(f"{known}\n{path}".encode()).hexdigest()
    return StoreDatabaseSchema(id=f"sqlite-{digest[:32]}", name=path)


def _in_memory() -> InvalidInputException:
    reason = "hold a database in memory, which a store cannot know, and whose one connection is the host's; use a file"
    return InvalidInputException("databases", reason)


def _refuse_one_connection(engine: object) -> None:
    """Refuse an engine whose connection others are using: to end our transaction on it would be to end theirs.

    Raises:
        InvalidInputException: It is one; or it is no engine.
    """
    own = getattr(engine, "sync_engine", engine)
    if not isinstance(own, Engine):
        raise InvalidInputException("databases", f"must hold engines, not {shown(engine)}; create_engine() makes one")
    if isinstance(own.pool, StaticPool | SingletonThreadPool):
        raise _in_memory()


class Database:
    """A database that is asked, while the block lasts. Every method blocks, in an event loop's thread too.

    Attributes:
        known: Which it is.
    """

    known: StoreDatabaseSchema

    def __init__(self, engine: "Engine | AsyncEngine") -> None:
        self._engine = engine
        self._asynchronous: _Asynchronous | None = None

    def __enter__(self) -> Self:
        _refuse_one_connection(self._engine)
        if not isinstance(self._engine, Engine):
            self._asynchronous = _Asynchronous(self._engine)
        try:
            self.call(check_database)
            self.known = self._identity()
        except BaseException:
            self.close()
            raise
        return self

    def _identity(self) -> StoreDatabaseSchema:
        found = self.call(identity_of)
        if found is None:
            raise _in_memory()
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections of its own."""
        if self._asynchronous is not None:
            self._asynchronous.close()
            self._asynchronous = None

    def call(self, work: Callable[[Connection], _T]) -> _T:
        """Return what `work` returns with a connection, whose transaction is then rolled back.

        Raises:
            DatabaseException: The database could not do it.
        """
        try:
            if self._asynchronous is not None:
                return self._asynchronous.call(work)
            assert isinstance(self._engine, Engine)
            with self._engine.connect() as connection:
                return work(connection)
        except FAILURES as error:
            raise_service_error(error)

    def digests(self, low: str, high: str) -> set[str]:
        """Return what is referred to in a range of digests."""
        return self.call(lambda connection: set(_fetched(connection, low, high)))

    def among(self, digests: Sequence[str]) -> set[str]:
        """Return which of some digests are referred to."""
        found = set[str]()
        for start in range(0, len(digests), BATCH):
            asked = to_json(digests[start : start + BATCH]).decode()
            found.update(self.call(lambda connection, asked=asked: _scalars(connection, asked)))  # type: ignore[misc]  # mypy: cannot infer a lambda with a default
        return found

    def versions_among(self, digests: Sequence[str]) -> set[str]:
        """Return which of some digests are versions'."""
        asked = to_json(list(digests)).decode()
        return self.call(lambda connection: {row[0] for row in _rows(connection, _VERSIONS, {"_digests": asked})})

    def references(self, low: str, high: str) -> list[tuple[str, int, str]]:
        """Return what is referred to in a range of digests: digest, size and namespace, once for each file."""
        return self.call(lambda connection: _rows(connection, _REFERENCES, {"_low": low, "_high": high}))

    def holders(self, digests: Sequence[str]) -> list[tuple[str, str, int, UUID, str]]:
        """Return which versions refer to some digests: namespace, name, number, id and digest."""
        asked = to_json(list(digests)).decode()
        return self.call(lambda connection: _rows(connection, _HOLDERS, {"_digests": asked}))

    def mark(self) -> str:
        """Return a mark: all transactions that have written by now are on this side of it."""
        return self.call(_mark)

    def is_past(self, mark: str) -> bool:
        """Tell whether all transactions on this side of a mark have ended. Waits for none."""
        return self.call(lambda connection: _is_past(connection, mark))


def _fetched(connection: Connection, low: str, high: str) -> Iterable[str]:
    return connection.execute(_DIGESTS, {"_low": low, "_high": high}).scalars().all()


def _rows(connection: Connection, statement: Select[Any], parameters: dict[str, str]) -> list[Any]:  # Any: of columns
    return list(connection.execute(statement, parameters).all())  # one call for all rows takes a third of the time


def _scalars(connection: Connection, asked: str) -> list[str]:
    return list(connection.execute(_AMONG, {"_digests": asked}).scalars())


def _mark(connection: Connection) -> str:
    """On SQLite, there is none to note: who gets the lock for writing is past all who had written."""
    if connection.dialect.name == "sqlite":
        return ""
    return json.dumps(sorted(_writers(connection).keys()))


def _is_past(connection: Connection, mark: str) -> bool:
    if connection.dialect.name == "sqlite":
        return _has_lock(connection)
    now = _writers(connection)
    # One that is prepared for a two-phase commit has another name than it had before.
    return not any(now.values()) and now.keys().isdisjoint(json.loads(mark))


def _writers(connection: Connection) -> dict[str, bool]:
    """Return which transactions have written to the table of files, and not ended, and which of them are prepared.

    Each holds a lock on the table until it has ended, and its rows are there to be read before it lets go of that.
    Nobody waits for it, and what others write in the same cluster does not matter.
    """
    rows = connection.execute(_WRITERS, {"table": _name_in(connection)})
    return {str(transaction): bool(is_prepared) for transaction, is_prepared in rows}


def _has_lock(connection: Connection) -> bool:
    """Tell whether SQLite gives the lock for writing to us now."""
    before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_PATIENCE}")
    try:
        begin_writing(connection)
    except DBAPIError as error:
        try:
            raise_service_error(error)
        except DatabaseBusyException:
            return False
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {before}")
        connection.rollback()
    return True


class _Asynchronous:
    """An asynchronous engine's connections, for who blocks: in an event loop of their own, in a thread of its own.

    The host's pool is left alone, as its connections belong to the host's event loop.
    """

    def __init__(self, engine: "AsyncEngine") -> None:
        from sqlalchemy.ext.asyncio import AsyncEngine

        own = copy(engine.sync_engine)
        own.pool = engine.sync_engine.pool.recreate()
        self._engine = AsyncEngine(own)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kamiwaza-database")
        self._runner = asyncio.Runner()

    def call(self, work: Callable[[Connection], _T]) -> _T:
        """Return what `work` returns with a connection."""

        async def called() -> _T:
            async with self._engine.connect() as connection:
                return await connection.run_sync(work)

        return self._thread.submit(lambda: self._runner.run(called())).result()

    def close(self) -> None:
        """End the connections, the event loop and the thread."""
        self._thread.submit(lambda: self._runner.run(self._engine.dispose())).result()
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()


@contextmanager
def asked(databases: "Iterable[Engine | AsyncEngine]", storage: "StorageService") -> Iterator[list[Database]]:
    """Yield the databases that are given, having seen that all are that the store knows.

    Raises:
        DatabaseNotAskedException: One is not among them.
        InvalidInputException: One is no engine, or in memory.
    """
    from contextlib import ExitStack

    if isinstance(databases, str) or not isinstance(databases, Iterable):
        raise InvalidInputException("databases", f"must be engines, not {shown(databases)}; write [engine]")
    with ExitStack() as stack:
        found = dict[str, Database]()
        for engine in databases:
            database = stack.enter_context(Database(engine))
            found.setdefault(database.known.id, database)
        refuse_unasked(list(found.values()), storage)
        yield list(found.values())


def refuse_unasked(databases: Sequence[Database], storage: "StorageService") -> None:
    """Raise where the store knows a database that is not asked.

    Raises:
        DatabaseNotAskedException: It does.
    """
    missing = unasked(databases, storage)
    if missing:
        raise DatabaseNotAskedException(path=storage.root, databases=missing)


def unasked(databases: Sequence[Database], storage: "StorageService") -> list[StoreDatabaseSchema]:
    """Return those that the store knows, and that are not asked."""
    known = {database.known.id for database in databases}
    return [database for database in storage.list_databases() if database.id not in known]
