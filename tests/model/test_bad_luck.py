"""Interruptions, lost connections, deadlocks: a call has happened whole, or not at all."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Barrier
from typing import Any, Final, cast
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    AsyncModelService,
    BulkException,
    CreateModel,
    DatabaseBusyException,
    DatabaseConnectionException,
    DatabaseRefusedException,
    ModelService,
    UpdateModel,
)
from tests.backends import ASYNCPG, Backend, Order
from tests.model.dumps import dump, dump_of
from tests.model.mutations import MUTATIONS, PURGE
from tests.model.world import Call, World, populate

#: Calls of every kind of shape.
CALLS: Final[dict[str, Call]] = {
    name: MUTATIONS[name].call
    for name in (
        "create_model",
        "create_models",
        "create_models, updating",
        "register, a new model",
        "update_model",
        "update_version, its files",
        "copy_version",
        "delete_version",
        "set_alias",
        "replace_model_tags",
        "update_config",
    )
} | {"purge_model": PURGE}

sync_backends = pytest.mark.parametrize(
    "backend", ["sync-sqlite", "sync-sqlite-stock", "sync-postgresql"], indirect=True
)


async def populated(backend: Backend) -> World:
    """A registry with some of everything, committed."""
    async with backend.begin() as models:
        return await populate(models)


def engine_of(backend: Backend) -> Engine:
    """The engine, or the synchronous one inside it."""
    return backend.engine.sync_engine if isinstance(backend.engine, AsyncEngine) else backend.engine


@contextmanager
def at_statement(engine: Engine, number: int, act: Callable[[Connection], None]) -> Iterator[list[str]]:
    """Act before the n-th statement of the block, and yield what is sent."""
    sent: list[str] = []

    def before(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)
        if len(sent) == number:
            act(connection)

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", before)


def interrupted(db: Session, call: Call, world: World, number: int) -> bool:
    """Tell whether a call was interrupted, as by Ctrl-C, before its n-th statement: it may have fewer."""
    reached = count(1)

    def interrupting(execute: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            if next(reached) == number:
                raise KeyboardInterrupt
            return execute(*args, **kwargs)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "exec_driver_sql"):
            patch.setattr(Connection, name, interrupting(getattr(Connection, name)))
        try:
            call(ModelService(db), world)
        except KeyboardInterrupt:
            return True
    return False


@sync_backends
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_interrupted_before_any_of_its_statements_leaves_nothing(
    backend: Backend, name: str
) -> None:
    """Even if the transaction is committed, as in a notebook; what the host wrote is kept."""
    world, engine, call = await populated(backend), engine_of(backend), CALLS[name]
    before = dump_of(engine)
    number = 0
    for has_row in (False, True):
        for number in count(1):
            with Session(engine) as db:
                if has_row:
                    db.add(Order(text=f"{number}"))
                    db.flush()
                if not interrupted(db, call, world, number):
                    break
                db.commit()
            assert dump_of(engine) == before, number
        assert number > 3
    with Session(engine) as db:
        assert len(db.scalars(select(Order)).all()) == number - 1
        assert interrupted(db, call, world, 3)
        call(ModelService(db), world)
        db.commit()
    assert dump_of(engine) != before


@sync_backends
async def test_a_call_that_is_interrupted_in_the_middle_of_a_statement_leaves_nothing(backend: Backend) -> None:
    """SQLAlchemy gives the connection up then, and with it the transaction."""
    world, engine = await populated(backend), engine_of(backend)
    before = dump_of(engine)
    for number in (1, 2, 3, 5, 7):
        reached = count(1)

        def execute(*_: object, reached: Iterator[int] = reached, number: int = number) -> None:
            if next(reached) == number:
                raise KeyboardInterrupt

        with Session(engine) as db:
            event.listen(engine, "do_execute", execute)
            with pytest.raises(KeyboardInterrupt):
                MUTATIONS["register, a new model"].call(ModelService(db), world)
            event.remove(engine, "do_execute", execute)
            with pytest.raises(PendingRollbackError):
                db.commit()
            db.rollback()
            assert ModelService(db).get_model(world.model.id) == world.model
        assert dump_of(engine) == before


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        ("sync-postgresql", "register, a new model"),
        ("sync-postgresql", "set_alias"),
        ("async-postgresql", "update_model"),
        ("async-postgresql", "create_models, updating"),
        (ASYNCPG, "update_model"),
    ],
    indirect=["backend"],
)
async def test_a_connection_that_is_lost_before_any_statement_is_typed_and_leaves_nothing(
    backend: Backend, name: str
) -> None:
    world, engine, call = await populated(backend), engine_of(backend), CALLS[name]
    before = await dump(backend)
    admin = create_engine(engine.url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

    def kill(connection: Connection) -> None:
        driver_connection: Any = connection.connection.driver_connection  # Any: asyncpg's, or psycopg's
        is_asyncpg = connection.dialect.driver == "asyncpg"
        with admin.connect() as other:
            pid = driver_connection.get_server_pid() if is_asyncpg else driver_connection.info.backend_pid
            assert other.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    for number in count(1):
        async with backend.session() as db:
            models = backend.service(db)
            with at_statement(engine, number, kill) as sent:
                error = await _database_error(call, models, world)
            if error is None:
                assert len(sent) < number
                break
            assert isinstance(error, DatabaseConnectionException), sent[-1]
            assert (error.retryable, error.transaction_usable) == (True, False)
            assert error.__cause__ is not None
            await db.rollback()
            assert await models.get_model(world.model.id) == world.model
            await db.commit()
        assert await dump(backend) == before, sent[-1]
    assert number > 4
    admin.dispose()


async def _database_error(call: Call, models: AsyncModelService, world: World) -> Exception | None:
    """Return why the database could not do a call, be it of many models or not."""
    try:
        await call(models, world)
    except (BulkException, DatabaseConnectionException) as error:
        if isinstance(error, BulkException) and (error.retryable, error.transaction_usable) == (True, False):
            return cast("Exception", error.__cause__)
        return error
    return None


def _cross(engine: Engine, barrier: Barrier, mine: UUID, theirs: UUID) -> DatabaseBusyException | None:
    """Change a model, and once the other one is held, want that too."""
    with Session(engine) as db:
        models = ModelService(db)
        models.update_model(mine, UpdateModel(task=f"mine is {mine}"))
        barrier.wait(30)
        try:
            models.update_model(theirs, UpdateModel(task=f"mine is {mine}"))
        except DatabaseBusyException as error:
            db.rollback()
            return error
        db.commit()
    return None


@pytest.mark.parametrize("backend", ["sync-postgresql"], indirect=True)
async def test_of_two_that_wait_for_each_other_one_is_told_and_the_other_finishes(backend: Backend) -> None:
    world, barrier = await populated(backend), Barrier(2)
    engine = create_engine(engine_of(backend).url, connect_args={"options": "-c deadlock_timeout=50ms"})
    ids = (world.model.id, world.other.id)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(_cross, engine, barrier, mine, theirs) for mine, theirs in (ids, ids[::-1])]
        results = [future.result(60) for future in futures]
    (error,) = [result for result in results if result is not None]
    assert (error.code, error.retryable, error.transaction_usable) == ("40P01", True, False)
    assert "roll back and try the whole transaction again" in str(error)
    winner = ids[results.index(None)]
    with Session(engine) as db:
        models = [ModelService(db).get_model(model_id) for model_id in ids]
    engine.dispose()
    assert [(model.task, model.revision) for model in models] == [(f"mine is {winner}", 2)] * 2


@pytest.mark.parametrize("backend", ["sync-postgresql"], indirect=True)
async def test_a_lock_that_is_not_given_in_time_leaves_the_transaction_usable(backend: Backend) -> None:
    world, engine = await populated(backend), engine_of(backend)
    with Session(engine) as first, Session(engine) as second:
        ModelService(first).update_model(world.model.id, UpdateModel(task="first"))
        second.add(Order(text="the host's"))
        second.execute(text("SET LOCAL lock_timeout = '20ms'"))
        models = ModelService(second)
        with pytest.raises(DatabaseBusyException, match=r"\(55P03\); try again$") as busy:
            models.set_alias(world.first.id, "new")
        assert (busy.value.code, busy.value.retryable, busy.value.transaction_usable) == ("55P03", True, True)
        with pytest.raises(BulkException, match="55P03") as batch:
            models.create_models([CreateModel(name="m", task="second")], on_conflict="update")
        assert (batch.value.retryable, batch.value.transaction_usable) == (True, True)
        first.rollback()
        assert models.set_alias(world.first.id, "new").aliases == ("new", "staging")
        second.commit()
    with Session(engine) as db:
        assert ModelService(db).resolve("m@new").id == world.first.id
        assert db.scalars(select(Order.text)).all() == ["the host's"]


@pytest.mark.parametrize("backend", ["sync-postgresql"], indirect=True)
async def test_a_lock_that_a_read_is_not_given_in_time_asks_for_a_rollback(backend: Backend) -> None:
    """No savepoint is set for a read."""
    world, engine = await populated(backend), engine_of(backend)
    with Session(engine) as first, Session(engine) as second:
        first.execute(text("LOCK TABLE kamiwaza_model"))
        second.execute(text("SET LOCAL lock_timeout = '20ms'"))
        with pytest.raises(DatabaseBusyException, match=r"\(55P03\); roll back") as busy:
            ModelService(second).get_model(world.model.id)
        assert (busy.value.retryable, busy.value.transaction_usable) == (True, False)
        with pytest.raises(DatabaseRefusedException, match="25P02"):
            ModelService(second).get_model(world.model.id)
