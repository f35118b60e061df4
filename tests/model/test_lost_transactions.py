"""A whole transaction is undone, as by SQLite at some errors: the host is told, and cannot go on by mistake."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, Literal

import pytest
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.exc import InvalidRequestError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    AsyncModelService,
    BulkException,
    CreateModel,
    DatabaseRefusedException,
    DBModel,
    ModelService,
    UpdateModel,
    setup_database,
)
from tests.backends import Backend, Order, add
from tests.limits import no_file_larger_than

JoinMode = Literal["conditional_savepoint", "rollback_only", "control_fully", "create_savepoint"]

every_sqlite = pytest.mark.parametrize("backend", ["sync-sqlite", "sync-sqlite-stock", "async-sqlite"], indirect=True)
sync_sqlite = pytest.mark.parametrize("backend", ["sync-sqlite", "sync-sqlite-stock"], indirect=True)

#: More than fits into the pages that `fill_up` leaves.
MANY: Final = [CreateModel(name=f"m{number}", description="x y z " * 2000) for number in range(900)]
CHANGE: Final = UpdateModel(task="t")


def fill_up(connection: Connection) -> None:
    """Leave the database as little room as on a disk that is full."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 30}")


def make_room(connection: Connection) -> None:
    """Take that back."""
    connection.exec_driver_sql("PRAGMA max_page_count = 1000000")


@contextmanager
def interrupting(engine: Engine, *starts: str) -> Iterator[None]:
    """Have SQLite interrupt what begins with certain words, as a limit on time of the host's own does."""
    armed = False

    def before(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        nonlocal armed
        armed = statement.startswith(starts)
        driver_connection: Any = connection.connection.driver_connection  # Any: of the driver in use
        # aiosqlite's own method is a coroutine
        getattr(driver_connection, "_conn", driver_connection).set_progress_handler(lambda: armed, 1)

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        armed = False
        event.remove(engine, "before_cursor_execute", before)


def engine_of(backend: Backend) -> Engine:
    """The engine, or the synchronous one inside it."""
    return backend.engine.sync_engine if isinstance(backend.engine, AsyncEngine) else backend.engine


async def on_connection(db: AsyncSession, act: Callable[[Connection], None]) -> None:
    """Do something with the connection of a session of either colour."""
    connection: Any = await db.connection()  # Any: of either colour
    await connection.run_sync(act) if hasattr(connection, "run_sync") else act(connection)


async def names(backend: Backend) -> list[str]:
    """Return what is there for others."""
    async with backend.session() as db:
        return [model.name for model in await backend.service(db).list_models()]


async def refused(db: AsyncSession, models: AsyncModelService) -> None:
    """Nothing of the session works, least of all its commit, until it is rolled back."""
    with pytest.raises(PendingRollbackError):
        await models.create_model(CreateModel(name="later"))
    with pytest.raises(PendingRollbackError):
        await models.list_models()
    with pytest.raises(PendingRollbackError):
        await db.execute(select(Order))
    for _ in range(2):
        with pytest.raises(PendingRollbackError):
            await db.commit()
    await db.rollback()


@every_sqlite
async def test_a_disk_that_is_full_undoes_the_transaction_and_the_host_cannot_commit_the_rest(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        add(db, Order(text="the host's"))
        await models.create_model(CreateModel(name="earlier"))
        await on_connection(db, fill_up)
        with pytest.raises(BulkException, match="SQLITE_FULL.*roll back") as error:
            await models.create_models(MANY)
        await refused(db, models)
        await on_connection(db, make_room)
        await models.create_model(CreateModel(name="again"))
        await db.commit()
        assert (await db.execute(select(Order))).all() == []
    assert error.value.transaction_usable is False
    assert isinstance(error.value.__cause__, DatabaseRefusedException)
    assert (error.value.__cause__.code, error.value.__cause__.transaction_usable) == ("SQLITE_FULL", False)
    assert await names(backend) == ["again"]


@every_sqlite
async def test_a_disk_that_fails_is_typed_and_nothing_of_the_transaction_is_committed(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        await models.create_model(CreateModel(name="earlier"))
        with no_file_larger_than(2**20), pytest.raises(BulkException, match="SQLITE_IOERR.*look at its disk") as error:
            await models.create_models(MANY)
        assert isinstance(error.value.__cause__, DatabaseRefusedException)
        assert error.value.transaction_usable is False
        await refused(db, models)
        await models.create_model(CreateModel(name="again"))
        await db.commit()
    assert await names(backend) == ["again"]


@every_sqlite
@pytest.mark.parametrize("creates", [False, True])
async def test_a_write_that_is_interrupted_undoes_the_transaction_and_the_host_cannot_commit_the_rest(
    backend: Backend, creates: bool
) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        model = await models.create_model(CreateModel(name="earlier"))
        call = models.create_model(CreateModel(name="m")) if creates else models.update_model(model.id, CHANGE)
        start = "INSERT INTO kamiwaza_model_document" if creates else "UPDATE kamiwaza_model SET"
        with interrupting(engine_of(backend), start), pytest.raises(DatabaseRefusedException) as error:
            await call
        await refused(db, models)
        await models.create_model(CreateModel(name="again"))
        await db.commit()
    assert (error.value.code, error.value.transaction_usable) == ("SQLITE_INTERRUPT", False)
    assert str(error.value).endswith("; the whole transaction is undone, so roll back")
    assert await names(backend) == ["again"]


@every_sqlite
async def test_a_read_that_is_interrupted_leaves_the_transaction_usable(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        await models.create_model(CreateModel(name="earlier"))
        with interrupting(engine_of(backend), "SELECT"):
            with pytest.raises(DatabaseRefusedException) as read:
                await models.list_models()
            with pytest.raises(BulkException) as written:
                await models.create_models([CreateModel(name="new")], returning=True)
        await db.commit()
    for error in (read.value, written.value):
        assert error.transaction_usable is True
        assert "SQLITE_INTERRUPT" in str(error)
        assert "roll back" not in str(error)
    assert await names(backend) == ["earlier"]


@every_sqlite
async def test_a_call_that_cannot_be_undone_undoes_the_transaction(backend: Backend) -> None:
    """The way back is interrupted too, so SQLite holds what the call has written."""
    async with backend.session() as db:
        models = backend.service(db)
        await models.create_model(CreateModel(name="earlier"))
        with interrupting(engine_of(backend), "SELECT", "ROLLBACK TO"), pytest.raises(BulkException) as error:
            await models.create_models([CreateModel(name="half")], returning=True)
        await refused(db, models)
        await models.create_model(CreateModel(name="again"))
        await db.commit()
    assert error.value.transaction_usable is False
    assert await names(backend) == ["again"]


class TimeIsUpError(Exception):
    """What a host raises that gives its requests so much time, and no more."""


@pytest.mark.parametrize("place", ["write", "end"])
async def test_a_call_whose_way_back_a_listener_interrupts_undoes_the_transaction(backend: Backend, place: str) -> None:
    # On PostgreSQL the third statement writes all, and the fourth is the last.
    number = 3 if place == "write" else 4 if backend.is_postgresql else 6
    sent = count(1)

    def before(*_: object) -> None:
        if next(sent) >= number:
            raise TimeIsUpError

    async with backend.session() as db:
        models = backend.service(db)
        model = await models.create_model(CreateModel(name="earlier", tags={"a": "b"}))
        await db.commit()
        add(db, Order(text="the host's"))
        await db.flush()
        event.listen(engine_of(backend), "before_cursor_execute", before)
        try:
            with pytest.raises(TimeIsUpError):
                await models.set_model_tag(model.id, "a", "c")
        finally:
            event.remove(engine_of(backend), "before_cursor_execute", before)
        await refused(db, models)
        assert (await models.get_model(model.id)).tags == {"a": "b"}
        assert len((await models.list_events(model.id)).items) == 1
        assert (await db.execute(select(Order))).all() == []


@every_sqlite
async def test_within_a_savepoint_the_transaction_outside_is_refused_too(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        add(db, Order(text="the host's"))
        nested: Any = await db.begin_nested()  # Any: of either colour
        with interrupting(engine_of(backend), "INSERT INTO"), pytest.raises(DatabaseRefusedException) as error:
            await models.create_model(CreateModel(name="m"))
        if isinstance(db, AsyncSession):
            await nested.rollback()
        else:
            nested.rollback()
        await refused(db, models)
    assert error.value.transaction_usable is False
    async with backend.session() as db:
        assert (await db.execute(select(Order))).all() == []


@sync_sqlite
@pytest.mark.parametrize("mode", ["conditional_savepoint", "rollback_only", "control_fully", "create_savepoint"])
def test_a_session_on_a_connection_refuses_and_so_does_the_transaction_outside(
    backend: Backend, mode: JoinMode
) -> None:
    with engine_of(backend).connect() as connection:
        connection.exec_driver_sql("INSERT INTO host_order (id, text) VALUES ('00', 'the host''s')")
        outside = connection.get_transaction()
        assert outside is not None
        db = Session(connection, join_transaction_mode=mode)
        models = ModelService(db)
        model = models.create_model(CreateModel(name="earlier"))
        with interrupting(engine_of(backend), "UPDATE kamiwaza_model"), pytest.raises(DatabaseRefusedException):
            models.update_model(model.id, CHANGE)
        with pytest.raises(PendingRollbackError):
            connection.exec_driver_sql("SELECT 1")
        with pytest.raises(PendingRollbackError):
            connection.commit()
        with pytest.raises(PendingRollbackError):
            db.commit()
        db.rollback()
        with pytest.raises(InvalidRequestError):
            outside.commit()
        connection.rollback()
        models.create_model(CreateModel(name="again"))
        db.commit()
        connection.commit()
        assert connection.exec_driver_sql("SELECT text FROM host_order").all() == []
        assert connection.exec_driver_sql("SELECT name FROM kamiwaza_model").scalars().all() == ["again"]


@sync_sqlite
def test_loaded_rows_are_read_anew_after_the_transaction_was_undone(backend: Backend) -> None:
    with Session(engine_of(backend)) as db:
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m", task="committed"))
        db.commit()
        models.update_model(model.id, UpdateModel(task="lost"))
        row = db.get_one(DBModel, model.id)
        with interrupting(engine_of(backend), "INSERT INTO"), pytest.raises(DatabaseRefusedException):
            models.create_model(CreateModel(name="other"))
        with pytest.raises(PendingRollbackError):
            str(row.task)
        db.rollback()
        assert row.task == "committed"


def test_a_database_in_memory_outlives_the_transaction_that_was_undone() -> None:
    """As its connection does, with which it would be gone."""
    engine = kamiwaza_sdk.create_engine("sqlite://")
    setup_database(engine)
    with Session(engine) as db:
        models = ModelService(db)
        models.create_model(CreateModel(name="committed"))
        db.commit()
        with interrupting(engine, "INSERT INTO"), pytest.raises(DatabaseRefusedException):
            models.create_model(CreateModel(name="lost"))
        db.rollback()
        assert [model.name for model in models.list_models()] == ["committed"]
    engine.dispose()
