"""Engines set up the way the registry likes them, and the tables it needs in any database.

A host's own engine serves as well: a service asks for nothing but a session. What `create_engine` adds is the
configuration, and on SQLite a write-ahead log, foreign keys, a busy timeout, and savepoints that can be trusted.
"""

import errno
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy import URL, AsyncAdaptedQueuePool, Connection, Engine, QueuePool, StaticPool, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._validation import check_given
from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.model.config import ServiceConfig, parse_database_url
from kamiwaza_sdk.services.model.exceptions import DatabaseUnsupportedException
from kamiwaza_sdk.services.model.setup import check_database, setup_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["check_database", "create_async_engine", "create_engine", "setup_database"]

_BUSY_TIMEOUT: Final = 30.0
_DRIVERS: Final = {
    **dict.fromkeys(("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"), "sqlite"),
    **dict.fromkeys(("postgres", "postgresql", "postgresql+psycopg_async"), "postgresql+psycopg"),
}
_ASYNC_DRIVERS: Final = {
    name: "sqlite+aiosqlite" if driver == "sqlite" else driver for name, driver in _DRIVERS.items()
}
#: The module each driver is imported as, and the extra that installs it.
_PACKAGES: Final = {
    "aiosqlite": ("aiosqlite", "async"),
    "asyncpg": ("asyncpg", "asyncpg"),
    "psycopg": ("psycopg", "postgres"),
}
#: What has a driver keep no statement prepared on the server's side. The unnamed one lives no longer than a call.
_UNPREPARED: Final[dict[str, dict[str, Any]]] = {  # Any: keyword arguments of several types
    "psycopg": {"prepare_threshold": None},
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    },
}
#: Arguments of drivers that are no text, which is all that a URL can give: they would fail, or mean something else.
_NOT_IN_URLS: Final = {
    "psycopg": {"autocommit", "context", "cursor_factory", "prepare_threshold", "row_factory"},
    "asyncpg": {
        *("command_timeout", "max_cacheable_statement_size", "max_cached_statement_lifetime"),
        *("prepared_statement_name_func", "statement_cache_size", "timeout"),
    },
}


def create_engine(url: str | URL | None = None, *, config: ServiceConfig | None = None) -> Engine:
    """Return an engine for the registry's database. Connects to nothing yet.

    Args:
        url: SQLAlchemy's URL. ``postgresql://…`` means psycopg 3. Default: the configuration's, which is an SQLite file
            in the user's data directory, made when first connected to. ``sqlite://`` is a database in memory: one
            connection, and so one transaction at a time, which all threads share.
        config: Default: read from ``MODEL_SERVICE_…``. Its ``database_prepared_statements`` says whether PgBouncer in
            transaction mode may stand between.

    Returns:
        A plain SQLAlchemy `Engine`, whose pool keeps ``database_pool_size`` connections.

    Raises:
        ConfigurationException: A setting is unknown, its value cannot be used, or no driver takes `url`.
        DatabaseUnsupportedException: It is neither SQLite nor PostgreSQL.
        InvalidInputException: `config` is no `ServiceConfig`.
        MissingDependencyException: The driver is not installed; the error names the extra.

    Example:
        >>> create_engine("sqlite:///registry.db").dialect.name
        'sqlite'
    """
    config = check_given(config, ServiceConfig, field="config", way_out="write ServiceConfig(…)") or ServiceConfig()
    resolved = _resolve(url, config, is_async=False)
    engine = sqlalchemy.create_engine(resolved, **_pool_options(resolved, config, QueuePool))
    return _prepared(engine, makes_directory=_is_default(url, config))


def create_async_engine(url: str | URL | None = None, *, config: ServiceConfig | None = None) -> "AsyncEngine":
    """Return an asynchronous engine for the registry's database. Connects to nothing yet.

    Args:
        url: As `create_engine` takes it; the same URL serves both. ``sqlite://…`` means aiosqlite, and
            ``postgresql+asyncpg://…`` asyncpg.
        config: As `create_engine` takes it.

    Returns:
        A plain SQLAlchemy `AsyncEngine`, whose pool keeps ``database_pool_size`` connections.

    Raises:
        ConfigurationException: A setting is unknown, its value cannot be used, or no driver takes `url`.
        DatabaseUnsupportedException: It is neither SQLite nor PostgreSQL.
        InvalidInputException: `config` is no `ServiceConfig`.
        MissingDependencyException: greenlet or the driver is not installed; the error names the extra.

    Example:
        >>> create_async_engine("sqlite:///registry.db").dialect.driver
        'aiosqlite'
    """
    require("greenlet", extra="async")
    from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

    config = check_given(config, ServiceConfig, field="config", way_out="write ServiceConfig(…)") or ServiceConfig()
    resolved = _resolve(url, config, is_async=True)
    options = _pool_options(resolved, config, AsyncAdaptedQueuePool)
    engine = sqlalchemy_asyncio.create_async_engine(resolved, **options)
    _prepared(engine.sync_engine, makes_directory=_is_default(url, config))
    return engine


def _resolve(url: str | URL | None, config: ServiceConfig, *, is_async: bool) -> URL:
    """Return the URL with its driver named, having made sure that the driver is there and takes the URL."""
    parsed = make_url(config.database_url.get_secret_value()) if url is None else parse_database_url(url)
    if parsed.get_backend_name() not in {"postgres", "postgresql", "sqlite"}:
        raise DatabaseUnsupportedException(dialect=parsed.get_backend_name())
    drivers = _ASYNC_DRIVERS if is_async else _DRIVERS
    resolved = parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername))
    driver = _driver(resolved)
    if driver in _PACKAGES:
        package, extra = _PACKAGES[driver]
        require(package, extra=extra)
    if problem := _driver_problem(resolved, is_async=is_async):
        raise ConfigurationException("MODEL_SERVICE_DATABASE_URL" if url is None else "url", problem)
    return resolved


def _driver(url: URL) -> str:
    return url.drivername.partition("+")[2]


def _driver_problem(url: URL, *, is_async: bool) -> str | None:
    """Say what keeps a driver from taking a URL: SQLAlchemy would, in many ways, some only when it connects."""
    way_out = f"write {url.get_backend_name()}://…, which serves both kinds of engines"
    if wrong := _NOT_IN_URLS.get(_driver(url), set()).intersection(url.query):
        return (
            f"has the parameter {min(wrong)}, which {_driver(url)} takes from Python only; leave it out "
            "(MODEL_SERVICE_DATABASE_PREPARED_STATEMENTS=false is the setting that PgBouncer needs)"
        )
    try:
        dialect = url.get_dialect(_is_async=is_async)
        dialect.import_dbapi()
        dialect().create_connect_args(url)
    except NoSuchModuleError:
        return f"names the driver {url.drivername}, which SQLAlchemy does not know; {way_out}"
    except ImportError as error:
        return f"names the driver {url.drivername}, which cannot be imported ({error}); install it, or {way_out}"
    except (ArgumentError, ValueError, TypeError):  # not chained: some repeat the URL, password included
        return (
            "has a host (SQLite knows none), or a parameter of the wrong type; timeout, for one, is a number of seconds"
        )
    if dialect.is_async != is_async:
        return f"names the driver {url.drivername}, which is for the other kind of engine; {way_out}"
    return None


def _is_default(url: str | URL | None, config: ServiceConfig) -> bool:
    """Tell whether nobody chose the database: only then is a missing directory ours to make, not a slip to report."""
    return url is None and "database_url" not in config.model_fields_set


def _is_in_memory(url: URL) -> bool:
    database = url.database or ":memory:"
    return database == ":memory:" or database.startswith("file::memory:") or url.query.get("mode") == "memory"


def _pool_options(
    url: URL, config: ServiceConfig, pool: type[QueuePool]
) -> dict[str, Any]:  # Any: keyword arguments of several types
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite and _is_in_memory(url):
        # One connection is the database. SQLAlchemy's own choice would give each thread another one, empty.
        return {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    options: dict[str, Any] = {"poolclass": pool, "pool_size": config.database_pool_size}  # Any: as above
    if is_sqlite and "timeout" not in url.query:
        options["connect_args"] = {"timeout": _BUSY_TIMEOUT}
    if not config.database_prepared_statements:
        options["connect_args"] = options.get("connect_args", {}) | _UNPREPARED.get(_driver(url), {})
    return options


def _prepared(engine: Engine, *, makes_directory: bool) -> Engine:
    if engine.dialect.name != "sqlite":
        return engine
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "savepoint", _begin_before_savepoint)
    file = engine.url.database or ""
    if not _is_in_memory(engine.url) and not file.startswith("file:"):
        event.listen(engine, "do_connect", lambda *_: _have_directory(Path(file), make=makes_directory))
    return engine


def _have_directory(file: Path, *, make: bool) -> None:
    """Say as SQLite would that a file cannot be opened, and what SQLite does not say: which, and why."""
    try:
        if make:
            file.parent.mkdir(parents=True, exist_ok=True)
        elif not file.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{file.parent} is no directory; make it first")
    except OSError as error:
        refusal = sqlite3.OperationalError(f"unable to open {file}: {error.strerror}")
        refusal.sqlite_errorname = "SQLITE_CANTOPEN"
        raise refusal from error


def _set_pragmas(connection: Any, _record: object) -> None:  # Any: sqlite3's connection, or SQLAlchemy's adapter of it
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    _switch_to_write_ahead_log(cursor)
    cursor.close()


def _switch_to_write_ahead_log(cursor: Any) -> None:  # Any: as above
    """Switch, waiting for others who do: SQLite answers "locked" here at once, whatever the busy timeout."""
    deadline = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_READONLY"):
                return  # what cannot be written needs no log
            if error.sqlite_errorname not in {"SQLITE_BUSY", "SQLITE_LOCKED"} or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_before_savepoint(connection: Connection, _name: str | None) -> None:
    """Open the transaction that a savepoint is to be part of: the driver does not, and would commit at its release."""
    driver_connection = connection.connection.driver_connection
    if driver_connection is not None and not driver_connection.in_transaction:
        connection.exec_driver_sql("BEGIN")
