"""How the registry uses the host's session: it flushes, executes, expires what it changed, and never commits."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from kamiwaza_sdk.services.model.exceptions import (
    DatabaseBusyException,
    DatabaseConnectionException,
    DatabaseException,
    DatabaseNotReadyException,
)
from kamiwaza_sdk.services.model.models import DBBase, DBModel

__all__ = ["dialect_name", "execute", "expire", "raise_translated", "savepoint"]

_BIND_ARGUMENTS: dict[str, Any] = {"mapper": DBModel.__mapper__}  # Any: as SQLAlchemy declares it


def execute(
    db: Session,
    statement: Executable,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],  # Any: values of several columns
) -> CursorResult[Any]:  # Any: rows of several columns
    """Execute a statement after what the host has pending, on the connection that the session has for our tables.

    Raises:
        DatabaseException: The database's own error, where it is one that a caller can act on.
    """
    if db.autoflush:
        db.flush()  # outside of the translation: what fails here is the host's own row
    try:
        return _connection(db).execute(statement, parameters)
    except DBAPIError as error:
        raise_translated(error)


def dialect_name(db: Session) -> str:
    """Return SQLAlchemy's name of the database that our tables are in."""
    return db.get_bind(**_BIND_ARGUMENTS).dialect.name


def expire(db: Session, kind: type[DBBase], identity: UUID) -> None:
    """Let the host's loaded copy of a row be read anew when it is next looked at."""
    loaded = db.identity_map.get(Session.identity_key(kind, identity))
    if loaded is not None:
        db.expire(loaded)


def savepoint(db: Session) -> AbstractContextManager[object]:
    """Guard a statement that a constraint may refuse, so that the refusal leaves the transaction usable.

    PostgreSQL gives up the whole transaction at any error. SQLite undoes only the statement that failed, and with its
    stock driver a savepoint's rows would outlive the transaction's rollback: there none is made.
    """
    return db.begin_nested() if dialect_name(db) == "postgresql" else nullcontext()


def _connection(db: Session) -> Connection:
    return db.connection(bind_arguments=_BIND_ARGUMENTS)


def raise_translated(error: DBAPIError) -> NoReturn:
    """Raise our error for a driver's, by its code; the driver's own where it is none that we know."""
    sqlite_code = getattr(error.orig, "sqlite_errorname", None)
    if sqlite_code is not None:
        translated = _from_sqlite(sqlite_code, str(error.orig))
    else:
        # psycopg gives no code where it never came to speak with the server.
        code = getattr(error.orig, "sqlstate", None)
        unreachable = code is None and isinstance(error, OperationalError | InterfaceError)
        translated = _from_postgresql(code or "", lost=error.connection_invalidated or unreachable)
    if translated is None:
        raise error
    raise translated from error


def _from_sqlite(code: str, message: str) -> DatabaseException | None:
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        # A snapshot that others have written over stays so until the transaction ends.
        return DatabaseBusyException(code=code, transaction_usable=code != "SQLITE_BUSY_SNAPSHOT")
    if code == "SQLITE_ERROR" and message.startswith(("no such table", "no such column", "table kamiwaza_")):
        return DatabaseNotReadyException()
    return DatabaseConnectionException() if code.startswith("SQLITE_CANTOPEN") else None


def _from_postgresql(code: str, *, lost: bool) -> DatabaseException | None:
    if code in {"40001", "40P01", "55P03"}:
        return DatabaseBusyException(code=code, transaction_usable=False)
    if code in {"42P01", "42703"}:
        return DatabaseNotReadyException(transaction_usable=False)
    return DatabaseConnectionException() if lost or code.startswith(("08", "57P")) else None
