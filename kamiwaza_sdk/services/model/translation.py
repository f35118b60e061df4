"""Errors of our own for those of drivers."""

import re
from typing import Final, NoReturn

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from kamiwaza_sdk.services.model.exceptions import (
    DatabaseBusyException,
    DatabaseConnectionException,
    DatabaseException,
    DatabaseNotReadyException,
    DatabaseRefusedException,
)

#: What connecting and executing raise.
FAILURES: Final = (DBAPIError, PoolTimeoutError)


def raise_translated(error: DBAPIError | PoolTimeoutError) -> NoReturn:
    """Raise our error for a driver's, by its code, or for the pool's; their own where it is none that we know."""
    if isinstance(error, PoolTimeoutError):
        raise DatabaseConnectionException(f"the engine's pool has none to give: {error}") from error
    code = code_of(error)
    if code.startswith("SQLITE_"):
        translated = _from_sqlite(code, str(error.orig))
    else:
        # psycopg gives no code where it never came to speak with the server.
        unreachable = not code and isinstance(error, OperationalError | InterfaceError)
        translated = _from_postgresql(code, lost=error.connection_invalidated or unreachable)
    if translated is None:
        raise error
    raise translated from error


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
