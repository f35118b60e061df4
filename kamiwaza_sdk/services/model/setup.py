"""What must exist before the registry's first use: its tables, in their current version."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from kamiwaza_sdk import migrations
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import (
    DatabaseBusyException,
    DatabaseNotReadyException,
    DatabaseUnsupportedException,
)
from kamiwaza_sdk.services.model.session import FAILURES, code_of, raise_service_error, refuse_autocommit

#: Seconds to wait for others who set up the same database.
_PATIENCE: Final = 30.0
#: "kamiwaza" in ASCII, as the 64-bit key of PostgreSQL's advisory lock.
_LOCK_KEY: Final = int.from_bytes(b"kamiwaza")
_LOCK: Final = text(
    "SELECT current_setting('transaction_isolation') IN ('repeatable read', 'serializable'), "
    "pg_advisory_xact_lock(:key)"
)
#: What a database calls UTF-8, without hyphens.
_UTF_8: Final = frozenset({"UTF8", "UNICODE"})
#: What tells how text is encoded, and what to do where that is not as UTF-8.
_ENCODINGS: Final = {
    "postgresql": {
        "SHOW server_encoding": "give it a database that was made with ENCODING 'UTF8' TEMPLATE template0",
        "SHOW client_encoding": "connect with client_encoding=utf8, and look at the variable PGCLIENTENCODING",
    },
    "sqlite": {"PRAGMA encoding": "give it a file of its own, made with PRAGMA encoding = 'UTF-8', as is the default"},
}
#: What PostgreSQL says of a table, a column or an index that is there already.
_THERE_ALREADY: Final = frozenset({"42P07", "42701", "42710"})


def setup_database(bind: Engine | Connection) -> None:
    """Create the registry's tables, or upgrade them to this version of the library.

    Idempotent, and safe from many processes at once: whoever comes second waits, then finds the work done. With an
    engine it commits; with a connection the work is part of the caller's transaction, and commits or vanishes with it.

    Args:
        bind: An engine or a connection, the host's or one of `create_engine`. From an asynchronous engine:
            ``async with engine.begin() as connection: await connection.run_sync(setup_database)``.

    Raises:
        DatabaseTooNewException: A newer version of the library has upgraded the database. Nothing was touched.
        DatabaseUnsupportedException: The database is neither SQLite nor PostgreSQL, or its text, or the connection's,
            is not UTF-8.
        DatabaseConnectionException: It cannot be reached.
        DatabaseBusyException: Another transaction is in the way for too long.
        InvalidInputException: `bind` is no engine and no connection.
        TransactionRequiredException: It is a connection that commits every statement by itself.

    Example:
        >>> engine = create_engine("sqlite://")
        >>> setup_database(engine)
        >>> setup_database(engine)  # does nothing
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _upgrade(bind)
        except DatabaseBusyException:
            # A host's transaction is the host's to begin again; one of our own is not.
            if isinstance(bind, Connection) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _upgrade(bind: Engine | Connection) -> None:
    try:
        with _begun(bind) as connection:
            refuse_autocommit(connection)
            _refuse_encoding(connection)
            hides = _lock(connection)
            try:
                migrations.upgrade(connection)
            except ProgrammingError as error:
                if hides:
                    _refuse_hidden(error)
                raise
    except FAILURES as error:
        raise_service_error(error)


def _refuse_hidden(error: ProgrammingError) -> None:
    """Raise `DatabaseBusyException` where another has set up what the snapshot did not show."""
    if (code := code_of(error)) in _THERE_ALREADY:
        raise DatabaseBusyException(code=code, transaction_usable=False) from error


def check_database(bind: Engine | Connection) -> None:
    """Raise an error that names what to do unless the registry's tables are there in their current version.

    Args:
        bind: An engine or a connection.

    Raises:
        DatabaseNotReadyException: The tables are missing or older; call `setup_database`.
        DatabaseTooNewException: They are newer than this library; upgrade it.
        DatabaseUnsupportedException: The database is neither SQLite nor PostgreSQL.
        DatabaseConnectionException: It cannot be reached.
        DatabaseBusyException: Another transaction is in the way for too long.
        InvalidInputException: `bind` is no engine and no connection.

    Example:
        >>> check_database(engine)
    """
    try:
        with _begun(bind) as connection:
            revision = migrations.current_revision(connection)
    except FAILURES as error:
        raise_service_error(error)
    if revision != migrations.REVISIONS[-1]:
        raise DatabaseNotReadyException(revision=revision)


@contextmanager
def _begun(bind: Engine | Connection) -> Iterator[Connection]:
    """Yield a connection in a transaction: the host's, or one of an engine's, which then ends with the block."""
    _refuse_unsupported(bind)
    if isinstance(bind, Connection):
        yield bind
        return
    # Also where the engine is one whose connections commit every statement by themselves.
    level = "READ COMMITTED" if bind.dialect.name == "postgresql" else "SERIALIZABLE"
    with bind.connect().execution_options(isolation_level=level) as connection, connection.begin():
        yield connection


def _refuse_unsupported(bind: Engine | Connection) -> None:
    if not isinstance(bind, Engine | Connection):
        reason = f"must be an Engine or a Connection, not {type(bind).__name__}"
        raise InvalidInputException("bind", f"{reason}; from an AsyncConnection, await it with run_sync()")
    if bind.dialect.name not in {"sqlite", "postgresql"}:
        raise DatabaseUnsupportedException(dialect=bind.dialect.name)


def _refuse_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold every text, or does not sort it by code points, which pages rely on."""
    for setting, way_out in _ENCODINGS[connection.dialect.name].items():
        encoding = str(connection.exec_driver_sql(setting).scalar_one())
        if encoding.upper().replace("-", "") not in _UTF_8:
            reason = f"{setting} says {encoding}, and texts of models need UTF-8; {way_out}"
            raise DatabaseUnsupportedException(dialect=connection.dialect.name, reason=reason)


def _lock(connection: Connection) -> bool:
    """Let one process at a time look and upgrade, until the transaction ends.

    Tells whether what others have committed meanwhile is hidden, as all statements of the transaction see one snapshot.
    """
    if connection.dialect.name == "postgresql":
        return bool(connection.execute(_LOCK, {"key": _LOCK_KEY}).scalar_one())
    if not _in_transaction(connection):
        # The driver begins only before a row is written: two processes could both find no tables.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    return False


def _in_transaction(connection: Connection) -> bool:
    """Tell whether SQLite itself, not only SQLAlchemy, has a transaction open."""
    driver_connection = connection.connection.driver_connection
    return driver_connection is not None and bool(driver_connection.in_transaction)
