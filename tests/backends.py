"""The ways a host can hold the registry: a colour, and a database. One behaviour suite runs over them all.

Tests are coroutines and speak to an `AsyncModelService`; for the synchronous colour they get `ModelService` behind
methods that are awaited, so that what is tested is the one as much as the other.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable, isgeneratorfunction
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, ForeignKey, NullPool, String, create_engine, inspect, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.asyncio import create_async_engine as create_stock_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import kamiwaza_sdk
from kamiwaza_sdk import AsyncModelService, DBModel, HubService, ModelService, ServiceConfig, setup_database
from kamiwaza_sdk.orm import DBBase

BACKENDS: Final = ("sync-sqlite", "sync-sqlite-stock", "sync-postgresql", "async-sqlite", "async-postgresql")
#: Another driver of PostgreSQL's. Statements and rules are the same: it runs where a driver can make a difference.
ASYNCPG: Final = "async-postgresql-asyncpg"
#: Those tests: values of all types in and out, batches, savepoints, errors, lost connections, cancellation.
ASYNCPG_MODULES: Final = frozenset(
    f"tests.model.test_{part}"
    for part in (
        *("boundaries", "bulk", "guests", "history", "lost_transactions", "pages", "sessions", "text_search"),
        *("cancellation", "savepoints"),
    )
)


class HostBase(DeclarativeBase):
    """The host's own tables."""


class Order(HostBase):
    """A row of the host's, which may relate to one of ours."""

    __tablename__ = "host_order"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    text: Mapped[str] = mapped_column(String(100), unique=True)
    model_id: Mapped[UUID | None] = mapped_column(ForeignKey(DBModel.__table__.c.id))


class Awaited:
    """Any object, its methods as coroutines."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:  # Any: whatever the target has
        value = getattr(self._target, name)
        if isgeneratorfunction(value):
            return _as_async_generator(value)
        return _as_coroutine(value) if callable(value) else value


def _as_async_generator(function: Callable[..., Iterator[object]]) -> Callable[..., AsyncIterator[object]]:
    async def iterate(*args: object, **kwargs: object) -> AsyncIterator[object]:
        for item in function(*args, **kwargs):
            yield item

    return iterate


def _as_coroutine(function: Callable[..., object]) -> Callable[..., Awaitable[object]]:
    async def call(*args: object, **kwargs: object) -> object:
        result = function(*args, **kwargs)
        return await result if isawaitable(result) else result

    return call


@dataclass
class Backend:
    """A database that is set up, reached in one colour."""

    name: str
    engine: Engine | AsyncEngine

    @property
    def is_postgresql(self) -> bool:
        """Whether it is PostgreSQL."""
        return "postgresql" in self.name

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a session of the host's, or what looks like one."""
        if isinstance(self.engine, AsyncEngine):
            async with AsyncSession(self.engine) as db:
                yield db
            return
        with Session(self.engine) as session:
            yield cast("AsyncSession", Awaited(session))  # cast: it has the same methods, awaited likewise

    @asynccontextmanager
    async def begin(self, namespace: str = "default") -> AsyncIterator[AsyncModelService]:
        """Open a session, and commit it at the end of the block unless that raises."""
        async with self.session() as db:
            yield self.service(db, namespace=namespace)
            await db.commit()

    def service(
        self,
        db: AsyncSession,
        *,
        namespace: str = "default",
        actor: str | None = None,
        config: ServiceConfig | None = None,
        hub: HubService | None = None,
    ) -> AsyncModelService:
        """Return the registry of the colour, bound to a session."""
        if isinstance(db, Awaited):
            models = ModelService(db._target, namespace=namespace, actor=actor, config=config, hub=hub)  # type: ignore[arg-type]  # the Session that session() put there
            return cast("AsyncModelService", Awaited(models))  # cast: as above
        return AsyncModelService(db, namespace=namespace, actor=actor, config=config, hub=hub)


def add(db: AsyncSession, row: Order) -> None:
    """Add a row of the host's to a session of either colour, which flushes it when it likes."""
    target = db._target if isinstance(db, Awaited) else db
    target.add(row)  # type: ignore[attr-defined]  # the Session that session() put there


def create_tables(connection: Connection) -> None:
    """Set up our tables, and the host's beside them."""
    setup_database(connection)
    HostBase.metadata.create_all(connection)


def clear_tables(connection: Connection) -> None:
    """Empty every table but the one that holds the schema's version."""
    there = _filled_tables(connection)
    ours = [table.name for metadata in (DBBase.metadata, HostBase.metadata) for table in metadata.sorted_tables]
    # TRUNCATE costs thirty times as much: it makes new files for tables, indexes and TOAST.
    for name in [*there.difference(ours), *(name for name in reversed(ours) if name in there)]:
        connection.exec_driver_sql(f"DELETE FROM {name}")


def renew_tables(connection: Connection) -> None:
    """Empty PostgreSQL's tables so that no dead rows are left, which widen the locks of serializable transactions."""
    connection.exec_driver_sql(f"TRUNCATE {', '.join(_filled_tables(connection))}")


def _filled_tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"kamiwaza_alembic_version"}


def sqlite_engine(name: str, file: Path) -> Engine | AsyncEngine:
    """Return an engine of ours for a file, or a stock one."""
    if name == "sync-sqlite-stock":
        return create_engine(f"sqlite:///{file}")
    return (kamiwaza_sdk.create_engine if name.startswith("sync") else kamiwaza_sdk.create_async_engine)(
        f"sqlite:///{file}"
    )


def postgresql_engine(name: str, url: str) -> Engine | AsyncEngine:
    """Return an engine that keeps no connection: each test has an event loop of its own."""
    create = create_engine if name.startswith("sync") else create_stock_async_engine
    place = make_url(url)
    return create(place.set(drivername="postgresql+asyncpg") if "asyncpg" in name else place, poolclass=NullPool)
