"""After a rollback to a savepoint of the host's, no loaded copy shows what the service had changed since."""

from contextlib import closing

import pytest
from sqlalchemy import Engine, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.orm.exc import ObjectDeletedError

from kamiwaza_sdk import AsyncModelService, CreateModel, DBModel, ModelService, UpdateModel
from kamiwaza_sdk.orm import DBModelTag
from tests.backends import ASYNCPG, Backend

each_database = pytest.mark.parametrize(
    "backend", ["sync-sqlite", "sync-sqlite-stock", "sync-postgresql"], indirect=True
)
coroutines = pytest.mark.parametrize("backend", ["async-sqlite", "async-postgresql", ASYNCPG], indirect=True)

CHANGE = UpdateModel(task="new")


def engine_of(backend: Backend) -> Engine:
    """The engine, which is a synchronous one."""
    assert isinstance(backend.engine, Engine)
    return backend.engine


@each_database
@pytest.mark.parametrize("scoped", [False, True])
async def test_rows_loaded_after_the_change_are_read_anew_or_gone(backend: Backend, scoped: bool) -> None:
    made = sessionmaker(engine_of(backend))
    db: Session = scoped_session(made) if scoped else made()  # type: ignore[assignment]  # its own stand-in
    with closing(db):
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        db.commit()
        with db.begin_nested() as savepoint:
            models.update_model(model.id, CHANGE)
            models.set_model_tag(model.id, "k", "v")
            other = models.create_model(CreateModel(name="ghost"))
            row, ghost = db.get_one(DBModel, model.id), db.get_one(DBModel, other.id)
            tag = db.scalars(select(DBModelTag)).one()
            assert (row.task, ghost.name, tag.value) == ("new", "ghost", "v")
            savepoint.rollback()
        assert (row.task, row.tags, db.get(DBModel, other.id)) == (None, [], None)
        for gone in (ghost, tag):
            with pytest.raises(ObjectDeletedError):
                str(gone.namespace)


@each_database
async def test_rows_are_read_anew_after_the_rollback_of_a_savepoint_around(backend: Backend) -> None:
    with Session(engine_of(backend)) as db:
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        outer = db.begin_nested()
        with db.begin_nested():
            models.update_model(model.id, CHANGE)
        row = db.get_one(DBModel, model.id)
        assert row.task == "new"
        outer.rollback()
        assert row.task is None


@each_database
async def test_the_rollback_of_a_savepoint_that_the_service_wrote_nothing_in_leaves_loaded_rows(
    backend: Backend,
) -> None:
    with Session(engine_of(backend)) as db:
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        with db.begin_nested():
            models.update_model(model.id, CHANGE)
        row = db.get_one(DBModel, model.id)
        with db.begin_nested() as savepoint:
            models.list_models()
            savepoint.rollback()
        assert "task" not in inspect(row).unloaded


@coroutines
async def test_coroutines_read_anew_what_they_loaded_too(backend: Backend) -> None:
    assert isinstance(backend.engine, AsyncEngine)
    async with AsyncSession(backend.engine) as db:
        models = AsyncModelService(db)
        model = await models.create_model(CreateModel(name="m"))
        savepoint = await db.begin_nested()
        await models.update_model(model.id, CHANGE)
        other = await models.create_model(CreateModel(name="ghost"))
        row, ghost = await db.get_one(DBModel, model.id), await db.get_one(DBModel, other.id)
        assert (row.task, ghost.name) == ("new", "ghost")
        await savepoint.rollback()
        await db.refresh(row)
        assert row.task is None
        assert await db.get(DBModel, other.id) is None
