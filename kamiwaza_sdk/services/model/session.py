"""The host's session: a scope in one namespace, guarded writes, and typed errors for those of drivers.

The registry flushes and executes. It never commits.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast
from uuid import UUID
from weakref import ref

from sqlalchemy import Connection, CursorResult, Executable, Select, Table, Transaction, Update, event, false, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Mapper, Session, scoped_session

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.model.exceptions import (
    DatabaseBusyException,
    DatabaseConnectionException,
    DatabaseException,
    DatabaseNotReadyException,
    DatabaseRefusedException,
    TransactionRequiredException,
)
from kamiwaza_sdk.services.model.loaded import expire, expire_on_rollback, restore, watching

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.models import DBModel

#: What connecting and executing raise.
FAILURES: Final = (DBAPIError, PoolTimeoutError)


def raise_service_error(error: DBAPIError | PoolTimeoutError) -> NoReturn:
    """Raise our error for a driver's, by its code, or for the pool's; unknown errors are raised as they are."""
    if isinstance(error, PoolTimeoutError):
        raise DatabaseConnectionException(f"the engine's pool has none to give: {error}") from error
    code = code_of(error)
    if code.startswith("SQLITE_"):
        service_error = _from_sqlite(code, str(error.orig))
    else:
        # psycopg gives no code where it never came to speak with the server.
        unreachable = not code and isinstance(error, OperationalError | InterfaceError)
        service_error = _from_postgresql(code, lost=error.connection_invalidated or unreachable)
    if service_error is None:
        raise error
    raise service_error from error


def is_reference(error: DBAPIError) -> bool:
    """Tell whether a statement was refused because other rows refer to what it was to change."""
    return code_of(error) in _REFERENCES


def code_of(error: DBAPIError) -> str:
    """Return what the database calls an error: an SQLSTATE, or SQLite's name for it; nothing where it does not say."""
    keys = ("sqlite_errorname", "sqlstate", "pgcode")  # the last of psycopg2
    return next(filter(None, (getattr(error.orig, key, None) for key in keys)), "")


def _from_sqlite(code: str, message: str) -> DatabaseException | None:
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        # A snapshot that others have written over stays so until the transaction ends.
        return DatabaseBusyException(code=code, transaction_usable=code != "SQLITE_BUSY_SNAPSHOT")
    if code == "SQLITE_ERROR" and _SHAPE.match(message):
        return DatabaseNotReadyException()
    if code.startswith("SQLITE_CANTOPEN"):
        return DatabaseConnectionException(message)
    refusal = _REFUSALS.get("_".join(code.split("_")[:2]))  # SQLITE_READONLY_DBMOVED is SQLITE_READONLY too
    return None if refusal is None else DatabaseRefusedException(code=code, reason=refusal, transaction_usable=True)


def _from_postgresql(code: str, *, lost: bool) -> DatabaseException | None:
    if code in {"40001", "40P01", "55P03"}:
        return DatabaseBusyException(code=code, transaction_usable=False)
    if code in {"42P01", "42703"}:
        return DatabaseNotReadyException(transaction_usable=False)
    if lost or code.startswith(("08", "28", "57P")) or code in {"3D000", "53300"}:
        return DatabaseConnectionException()
    refusal = _REFUSALS.get(code)
    return None if refusal is None else DatabaseRefusedException(code=code, reason=refusal, transaction_usable=False)


_REFERENCES: Final = {"SQLITE_CONSTRAINT_FOREIGNKEY", "23001", "23503"}
#: What SQLite says where a table or a column of ours is missing.
_SHAPE: Final = re.compile(r"no such (table|column)|table kamiwaza_\w+ has no column named")
_READ_ONLY: Final = "it is read-only; connect where it can be written"
_FULL: Final = "its disk is full; make room"
_MEMORY: Final = "it has no memory left for this; give it more, or ask for less at once"
_DISK: Final = "its files cannot be read or written as they should; look at its disk"
_DAMAGED: Final = "its files are damaged; restore them from a copy"
_STOPPED: Final = "the statement was stopped; raise the limit that stopped it, or try again"
#: Why a database refuses, and the way out, by the code it gives.
_REFUSALS: Final = {
    "25006": _READ_ONLY,
    "25P02": "an earlier statement has failed; roll back, and look at that one's error",
    "42501": "its user may not do this; grant it the rights to the registry's tables",
    "53100": _FULL,
    "53200": _MEMORY,
    "57014": _STOPPED,
    "58030": _DISK,
    "XX001": _DAMAGED,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_FULL": _FULL,
    "SQLITE_INTERRUPT": _STOPPED,
    "SQLITE_IOERR": _DISK,
    "SQLITE_NOMEM": _MEMORY,
    "SQLITE_NOTADB": "the file is no SQLite database; name another",
    "SQLITE_READONLY": _READ_ONLY,
}


_AnyAsyncSession = TypeVar("_AnyAsyncSession")
#: Where a connection keeps which transaction has that lock.
_WRITER: Final = "kamiwaza_sdk.writer"
_SAVEPOINT: Final = "kamiwaza"
#: Where a session keeps the transaction that the database has undone of its own accord.
_LOST: Final = "kamiwaza_sdk.lost"


def check_session(db: Session) -> Session:
    """Return a synchronous session, or raise `InvalidInputException` before a call fails halfway."""
    if _flushes(db) is not False:
        way_out = "AsyncModelService takes that" if _flushes(db) else "open one: Session(engine)"
        raise InvalidInputException("db", f"must be a Session, not {type(db).__name__}; {way_out}")
    return db


def check_async_session(db: _AnyAsyncSession) -> _AnyAsyncSession:
    """Return an asynchronous session, or raise `InvalidInputException`."""
    if _flushes(db) is not True:
        way_out = "open one: AsyncSession(engine)" if _flushes(db) is None else "ModelService takes that"
        raise InvalidInputException("db", f"must be an AsyncSession, not {type(db).__name__}; {way_out}")
    return db


def _flushes(db: object) -> bool | None:
    """Tell whether a session flushes as a coroutine; `None` where it is no session. Stand-ins for sessions count."""
    flush = getattr(db, "flush", None)
    return inspect.iscoroutinefunction(flush) if callable(flush) and not isinstance(db, type) else None


def flush(db: Session) -> None:
    """Flush what the host has pending, where the host would have it flushed. What fails here is its own row."""
    db = _own(db)  # a scoped one does not tell whether it flushes
    if db.autoflush and not getattr(db, "_flushing", False):  # as SQLAlchemy's own autoflush, which asks that too
        db.flush()


def execute(
    db: Session,
    statement: Executable,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],  # Any: values of several columns
) -> CursorResult[Any]:  # Any: rows of several columns
    """Execute a statement after what the host has pending, on the connection that the session has for our tables.

    Raises:
        DatabaseException: The database's own error, where it is one that a caller can act on.
    """
    flush(db)
    connection = _connection(db, statement)
    try:
        return execute_on(connection, statement, parameters)
    except BaseException as error:
        _notice_loss(db, connection, error)
        raise


def execute_on(
    connection: Connection,
    statement: Executable,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],  # Any: as above
) -> CursorResult[Any]:  # Any: as above
    """Execute a statement on a connection.

    Raises:
        DatabaseException: As above.
    """
    try:
        return connection.execute(statement, parameters)
    except DBAPIError as error:
        raise_service_error(error)


def stream(
    db: Session,
    statement: Select[Any],  # Any: as above
    parameters: Mapping[str, Any],  # Any: as above
    *,
    batch: int,
) -> CursorResult[Any]:  # Any: as above
    """Execute a query whose rows are fetched so many at a time. What is returned has to be closed.

    Raises:
        DatabaseException: As above.
        TransactionRequiredException: The connection is PostgreSQL's, and commits every statement by itself.
    """
    if dialect_name(db) == "postgresql":  # whose cursors live as long as their transaction
        refuse_autocommit(_connection(db, statement))
    return execute(db, statement.execution_options(stream_results=True, yield_per=batch), parameters)


def execute_driver_sql(
    connection: Connection,
    statement: str,
    rows: list[tuple[Any, ...]],  # Any: as above
) -> CursorResult[Any]:  # Any: as above
    """Execute a statement of the driver's own once a row.

    Raises:
        DatabaseException: As above.
    """
    try:
        return connection.exec_driver_sql(statement, rows)
    except DBAPIError as error:
        raise_service_error(error)


@cache
def _mapper() -> "Mapper[DBModel]":
    """Return what tells a session which database our tables are in. They are loaded with the first call."""
    from kamiwaza_sdk.services.model.models import DBModel

    return DBModel.__mapper__


@cache
def _writing() -> Update:
    """Return what a host that routes by statement is shown where a call is going to write."""
    from kamiwaza_sdk.services.model.models import DBModel

    return update(DBModel)


@cache
def _locking() -> Update:
    """Return what changes nothing; SQLite demands the lock for writing for it all the same."""
    table = cast("Table", _mapper().local_table)
    return update(table).values(id=table.c.id).where(false())


def dialect_name(db: Session) -> str:
    """Return SQLAlchemy's name of the database that our tables are in."""
    return db.get_bind(mapper=_mapper()).dialect.name


def in_transaction(db: Session) -> bool:
    """Tell whether a transaction is open in the database: the session's, or that of a connection it was given.

    One that was begun, as by ``db.begin()``, but in which nothing was executed yet, holds no connection, and no lock.
    """
    db = _own(db)  # a scoped one has no such method
    bind = db.get_bind(mapper=_mapper())
    if isinstance(bind, Connection) and bind.in_transaction():
        return True
    transaction = db.get_transaction()
    return transaction is not None and bool(getattr(transaction, "_connections", True))


@contextmanager
def atomic(db: Session) -> Iterator[Connection]:
    """Guard a call that writes: whatever goes wrong in it, an interruption too, nothing of it is left.

    The transaction stays usable then, also on PostgreSQL, which gives it up at any error outside of a savepoint. What
    the host has pending is flushed first, outside of the guard: what fails there is the host's own row.

    On SQLite the stock driver begins a transaction before a row is written, not before a savepoint, whose rows would
    then outlive the transaction's rollback. So here it is begun, for writing: one that has read before could not write
    any more once others have.

    Where the call cannot be undone, because SQLite has rolled the whole transaction back by itself, as it does at some
    errors, the error says so, and the session refuses all but a rollback.

    Yields:
        The session's connection for our tables.

    Raises:
        TransactionRequiredException: The connection commits every statement by itself.
    """
    flush(db)
    connection = _connection(db, _writing())
    try:
        _set_savepoint(connection)
    except BaseException as error:
        _notice_loss(db, connection, error)
        raise
    expire_on_rollback(_own(db))
    with watching(db) as touched:
        try:
            yield connection
            _release(connection)
        except BaseException as error:
            try:
                undone = _undo(connection)
            except BaseException:  # the way back was interrupted, as by a listener of the host's
                _give_up(db, connection, error)
                raise
            if undone:
                restore(db, touched)
                if isinstance(error, DatabaseException):
                    error._undone()
            else:
                _give_up(db, connection, error)
            raise


def _set_savepoint(connection: Connection) -> None:
    refuse_autocommit(connection)
    try:
        begin_writing(connection)
        connection.exec_driver_sql(f"SAVEPOINT {_SAVEPOINT}")
    except DBAPIError as error:
        raise_service_error(error)


def _release(connection: Connection) -> None:
    try:
        connection.exec_driver_sql(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    except DBAPIError as error:
        raise_service_error(error)


def _undo(connection: Connection) -> bool:
    """Go back to where a call began, and tell whether that was possible: a lost connection has nothing to undo."""
    try:
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        connection.exec_driver_sql(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    except SQLAlchemyError:
        return False
    return True


def _notice_loss(db: Session, connection: Connection, error: BaseException) -> None:
    """Give the transaction up where a statement that no savepoint guards has made SQLite roll it back.

    A read can do that too, where memory or the disk fails it.
    """
    if not connection.invalidated and _has_locked(connection) and not _is_open_sqlite(connection):
        _give_up(db, connection, error)


def _give_up(db: Session, connection: Connection, error: BaseException) -> None:
    """Let nothing but a rollback be done with a transaction that is undone, or cannot be undone in part.

    The driver would begin a new one at the next row that is written, and what is committed then would lack all that
    was there before. Nothing that SQLAlchemy documents keeps it from that: a transaction that is rolled back makes
    room for another at the next statement, and a connection that is invalidated is closed, with which a database in
    memory is gone. So its transaction is put into the state that SQLAlchemy leaves one in whose commit has failed: it
    is not active, but still the connection's. All that is executed then raises `PendingRollbackError`.
    """
    if isinstance(error, DatabaseException):
        error._lost()
    elif isinstance(error, ServiceException):
        error.transaction_usable = False
    transaction = connection.get_transaction()
    if transaction is not None:
        _roll_back_driver(connection)
        transaction.is_active = False
        _refuse_commits(_own(db), transaction)
    expire(db)


def _roll_back_driver(connection: Connection) -> None:
    """Undo what the driver may still hold, such as where going back to a savepoint was interrupted in its turn.

    A transaction that is not active is not rolled back again when the host does that.
    """
    if not connection.invalidated:
        with suppress(SQLAlchemyError, connection.dialect.loaded_dbapi.Error):
            connection.connection.rollback()


def _refuse_commits(db: Session, lost: Transaction) -> None:
    """Refuse a session's commit until a transaction is rolled back.

    The transaction itself refuses only where it is the session's to commit: not where the session was given a
    connection that had one, or has other databases too, which it might commit first.
    """
    if _LOST not in db.info:
        event.listen(db, "before_commit", _refuse_commit)
    db.info[_LOST] = lost


def _refuse_commit(db: Session) -> None:
    lost: Transaction | None = db.info[_LOST]
    if lost is not None and lost.connection.get_transaction() is lost:
        raise PendingRollbackError("The database has undone the whole transaction; roll back before going on")
    db.info[_LOST] = None


def begin_writing(connection: Connection) -> None:
    """Have SQLite's lock for writing, before anything is read: after that SQLite would not wait for it."""
    if connection.dialect.name != "sqlite":
        return
    if not _is_open_sqlite(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif not _has_locked(connection):
        connection.execute(_locking())
    transaction = connection.get_transaction()
    connection.info[_WRITER] = None if transaction is None else ref(transaction)


def _has_locked(connection: Connection) -> bool:
    """Tell whether the transaction, as SQLAlchemy sees it, is one that has taken SQLite's lock."""
    writer, transaction = connection.info.get(_WRITER), connection.get_transaction()
    return writer is not None and transaction is not None and writer() is transaction


def _is_open_sqlite(connection: Connection) -> bool:
    """Tell whether SQLite has a transaction open, whatever SQLAlchemy takes for one."""
    if connection.dialect.name != "sqlite" or connection.invalidated:
        return False
    driver_connection: Any = connection.connection.driver_connection  # Any: of the driver in use
    return bool(driver_connection.in_transaction)


def refuse_autocommit(connection: Connection) -> None:
    """Raise `TransactionRequiredException` where the driver commits every statement by itself."""
    if connection.dialect.name == "sqlite":
        driver_connection: Any = connection.connection.driver_connection  # Any: of the driver in use
        commits_by_itself = driver_connection.isolation_level is None and not driver_connection.in_transaction
    else:  # asyncpg itself does not know it, but SQLAlchemy's adapter of it does
        commits_by_itself = bool(getattr(connection.connection.dbapi_connection, "autocommit", False))
    if commits_by_itself:
        raise TransactionRequiredException


def _connection(db: Session, statement: Executable | None = None) -> Connection:
    """Return the session's connection for our tables; hosts may route by the statement too."""
    try:
        return db.connection(bind_arguments={"mapper": _mapper(), "clause": statement})
    except FAILURES as error:
        raise_service_error(error)


def _own(db: Session) -> Session:
    """Return the session that a scoped one stands for now."""
    return db() if isinstance(db, scoped_session) else db


#: The longest page that a listing returns.
MAX_LIMIT = 1000
#: The largest number that a version, a revision or an event can have.
MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """A session and the namespace that every statement in it is bound to; within a call that writes, its connection."""

    db: Session
    namespace: str
    actor: str | None = None
    connection: Connection | None = None

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of the database."""
        return dialect_name(self.db) if self.connection is None else self.connection.dialect.name

    @contextmanager
    def writing(self) -> Iterator["Scope"]:
        """Yield the scope to write in: all that is executed there happens, or nothing does."""
        with atomic(self.db) as connection:
            yield replace(self, connection=connection)

    def execute(
        self,
        statement: Executable,
        /,
        **parameters: Any,  # Any: values of several columns
    ) -> CursorResult[Any]:  # Any: rows of several columns
        """Execute a statement in this namespace."""
        parameters["_namespace"] = self.namespace
        if self.connection is None:
            return execute(self.db, statement, parameters)
        return execute_on(self.connection, statement, parameters)

    def stream(
        self,
        statement: Select[Any],  # Any: as above
        /,
        *,
        batch: int,
        **parameters: Any,  # Any: as above
    ) -> CursorResult[Any]:  # Any: as above
        """Execute a query in this namespace whose rows are fetched so many at a time. Outside of calls that write."""
        return stream(self.db, statement, {**parameters, "_namespace": self.namespace}, batch=batch)

    def execute_many(
        self,
        statement: Executable,
        rows: Sequence[Mapping[str, Any]],  # Any: values of several columns
    ) -> None:
        """Execute a statement once a row, each of which names its namespace. Within a call that writes only."""
        if rows and self.connection is not None:
            execute_on(self.connection, statement, rows)


def check_id(value: UUID | None, field: str) -> UUID:
    """Return an id, or raise `InvalidInputException` before the database is asked, as for a name."""
    if not isinstance(value, UUID):
        way_out = (
            "names are for get_model_by_name()" if field == "model_id" else "it is in the schema that was returned"
        )
        raise InvalidInputException(field, f"must be a UUID, not {shown(value)}; {way_out}")
    return value


def check_limit(value: int, way_out: str = "page on with after=") -> int:
    """Return the length of a page, or refuse one that is too long or too short."""
    return check_number(value, "limit", low=1, high=MAX_LIMIT, way_out=way_out)


def check_number(value: int, field: str, *, low: int, high: int, way_out: str) -> int:
    """Return a whole number within bounds; a truth value is not one."""
    if type(value) is not int or not low <= value <= high:
        raise InvalidInputException(field, f"must be a whole number from {low} to {high}; {way_out}")
    return value


def check_revision(value: int | None, place: str) -> None:
    """Refuse what can be no revision; `None` where none is expected."""
    if value is not None:
        check_number(value, "expected_revision", low=1, high=MAX_NUMBER, way_out=f"it is {place}")
