"""The engine of a registry: made or handed in, set up once, its connections made anew after a fork."""

import asyncio
import ctypes
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, SingletonThreadPool, StaticPool, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session

from kamiwaza_sdk.database import check_database, create_async_engine, create_engine, setup_database
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import DatabaseBusyException, DatabaseNotReadyException
from kamiwaza_sdk.services.model.session import FAILURES, raise_service_error

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from kamiwaza_sdk.services.model.config import ServiceConfig

#: Where a connection keeps which process made it.
_PROCESS: Final = "kamiwaza_sdk.process"
#: Seconds to wait for the one connection of a database in memory.
_PATIENCE: Final = 30.0
#: Engines whose connections are looked at when they are lent.
_watched: "WeakKeyDictionary[Engine, bool]" = WeakKeyDictionary()
#: Of engines with one connection for all threads, or for all tasks of a loop: who may use it. By process.
_turns: "WeakKeyDictionary[Engine, dict[int, threading.Lock]]" = WeakKeyDictionary()
_async_turns: "WeakKeyDictionary[Engine, tuple[asyncio.AbstractEventLoop, asyncio.Lock]]" = WeakKeyDictionary()


def engine_of(given: Engine | URL | str | None, config: "ServiceConfig | None") -> tuple[Engine, bool]:
    """Return the engine that a registry works with, and whether the registry is to dispose of it.

    Raises:
        InvalidInputException: It is something else, or an engine that gives each thread another database.
    """
    if given is None or isinstance(given, str | URL):
        engine, is_own = create_engine(given, config=config), True
    elif isinstance(given, Engine):
        engine, is_own = given, False
    else:
        way_out = "AsyncRegistry takes that" if _is_async_engine(given) else _way_out(given)
        raise InvalidInputException("engine", f"must be an Engine or a URL, not {type(given).__name__}; {way_out}")
    if isinstance(engine.pool, SingletonThreadPool):
        reason = "gives each thread another database in memory; write Registry('sqlite://'), which gives them the same"
        raise InvalidInputException("engine", reason)
    _watch(engine)
    return engine, is_own


def async_engine_of(
    given: "AsyncEngine | URL | str | None", config: "ServiceConfig | None"
) -> "tuple[AsyncEngine, bool]":
    """Return the asynchronous engine that a registry works with, and whether the registry is to dispose of it.

    Raises:
        InvalidInputException: It is something else.
    """
    if given is None or isinstance(given, str | URL):
        engine, is_own = create_async_engine(given, config=config), True
    elif _is_async_engine(given):
        engine, is_own = given, False
    else:
        way_out = "Registry takes that" if isinstance(given, Engine) else _way_out(given)
        raise InvalidInputException("engine", f"must be an AsyncEngine or a URL, not {type(given).__name__}; {way_out}")
    _watch(engine.sync_engine)
    return engine, is_own


def _is_async_engine(given: object) -> bool:
    return isinstance(getattr(given, "sync_engine", None), Engine) and not hasattr(given, "get_bind")


def _way_out(given: object) -> str:
    if hasattr(given, "get_bind"):
        return "for a session of yours there are ModelService and AsyncModelService"
    return "write 'postgresql://…', or leave it out for SQLite in your data directory"


def _watch(engine: Engine) -> None:
    """Have a connection that another process made replaced when it is lent, as after a fork."""
    if engine in _watched:
        return
    _watched[engine] = True
    before = os.getpid()

    def note(_connection: object, record: Any) -> None:  # Any: SQLAlchemy's record has no public type
        record.info[_PROCESS] = os.getpid()

    def compare(_connection: object, record: Any, lent: Any) -> None:  # Any: as above
        if record.info.get(_PROCESS, before) != os.getpid():
            _leave_open(record.dbapi_connection)
            record.dbapi_connection = lent.dbapi_connection = None
            raise DisconnectionError("the connection is another process's")

    event.listen(engine, "connect", note)
    event.listen(engine, "checkout", compare)


def _leave_open(connection: object) -> None:
    """Never close what a parent process has open: SQLite's locks and a server's session are the parent's."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def set_up(bind: Engine | Connection) -> None:
    """Create or upgrade the tables, unless they are there: who may only read needs no more then."""
    try:
        check_database(bind)
    except DatabaseNotReadyException:
        setup_database(bind)


@contextmanager
def session(engine: Engine) -> Iterator[Session]:
    """Yield a session whose transaction is committed at the end, and rolled back where that raises."""
    with turn(engine), Session(engine) as db:
        yield db
        try:
            db.commit()
        except FAILURES as error:
            raise_service_error(error)


@contextmanager
def turn(engine: Engine) -> Iterator[None]:
    """Wait until no other thread is in a transaction, where all share one connection."""
    if not isinstance(engine.pool, StaticPool):
        yield
        return
    lock = _turns.setdefault(engine, {}).setdefault(os.getpid(), threading.Lock())
    if not lock.acquire(timeout=_PATIENCE):
        raise DatabaseBusyException(code="SQLITE_BUSY", transaction_usable=True)
    try:
        yield
    finally:
        lock.release()


async def async_set_up(engine: "AsyncEngine") -> None:
    """Create or upgrade the tables, unless they are there."""
    level = "READ COMMITTED" if engine.dialect.name == "postgresql" else "SERIALIZABLE"
    try:
        async with async_turn(engine), engine.connect() as opened:
            connection = await opened.execution_options(isolation_level=level)
            async with connection.begin():
                await connection.run_sync(set_up)
    except FAILURES as error:
        raise_service_error(error)


@asynccontextmanager
async def async_session(engine: "AsyncEngine") -> "AsyncIterator[AsyncSession]":
    """Yield an asynchronous session whose transaction is committed at the end, and rolled back where that raises."""
    from sqlalchemy.ext.asyncio import AsyncSession

    async with async_turn(engine), AsyncSession(engine) as db:
        yield db
        try:
            await db.commit()
        except FAILURES as error:
            raise_service_error(error)


@asynccontextmanager
async def async_turn(engine: "AsyncEngine") -> AsyncIterator[None]:
    """Wait until no other task is in a transaction, where all share one connection."""
    if not isinstance(engine.sync_engine.pool, StaticPool):
        yield
        return
    loop = asyncio.get_running_loop()
    known = _async_turns.get(engine.sync_engine)
    if known is None or known[0] is not loop:
        known = _async_turns[engine.sync_engine] = (loop, asyncio.Lock())
    async with known[1]:
        yield
