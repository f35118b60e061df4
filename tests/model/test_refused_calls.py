"""A call that is refused leaves the host's loaded copies as they were, also where a coroutine could not read them."""

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import ObjectDeletedError

from kamiwaza_sdk import (
    AsyncModelService,
    BulkException,
    CreateModel,
    CreateVersion,
    DBModel,
    ModelService,
    UpdateModel,
    UpdateVersion,
    VersionAlreadyExistsException,
)
from kamiwaza_sdk.orm import DBModelFile, DBModelTag, DBModelVersion
from tests.backends import Backend
from tests.model.world import files

coroutines = pytest.mark.parametrize("backend", ["async-sqlite", "async-postgresql"], indirect=True)


def session_of(backend: Backend) -> AsyncSession:
    """A session whose rows cannot be read by looking at them."""
    assert isinstance(backend.engine, AsyncEngine)
    return AsyncSession(backend.engine)


@coroutines
async def test_what_a_batch_had_updated_before_it_was_refused_can_be_looked_at(backend: Backend) -> None:
    async with session_of(backend) as db:
        models = AsyncModelService(db)
        model = await models.create_model(CreateModel(name="m", tags={"lang": "en", "tier": "1"}))
        await models.delete_model((await models.create_model(CreateModel(name="gone"))).id)
        rows = (await db.scalars(select(DBModel).options(selectinload(DBModel.tags)))).all()
        row = next(row for row in rows if row.name == "m")
        tag = await db.get_one(DBModelTag, (model.id, "lang"))
        update = CreateModel(name="m", task="new", tags={"lang": "ja", "more": "v"})
        with pytest.raises(BulkException) as refused:
            await models.create_models([update, CreateModel(name="gone")], on_conflict="update")
        assert refused.value.transaction_usable
        assert (row.name, row.task, row.revision, row.last_event) == ("m", None, 1, 1)
        assert [(each.key, each.value) for each in row.tags] == [("lang", "en"), ("tier", "1")]
        assert row.tags[0] is tag
        await models.create_models([update], on_conflict="update")
        assert (row.name, row.task, row.revision, tag.value) == ("m", "new", 2, "ja")


@coroutines
async def test_files_that_a_refused_call_had_replaced_or_removed_can_be_looked_at(backend: Backend) -> None:
    async with session_of(backend) as db:
        models = AsyncModelService(db)
        model = await models.create_model(CreateModel(name="m"))
        await models.create_version(model.id, CreateVersion(files=files("a"), version="taken"))
        draft = await models.create_version(model.id, CreateVersion(status="draft", files=files("b")))
        (file,) = await db.scalars(select(DBModelFile).where(DBModelFile.version_id == draft.id))
        version = await db.get_one(DBModelVersion, draft.id, options=[selectinload(DBModelVersion.files)])
        before = (file.path, file.size, file.sha256, version.files, version.version)
        for other in (files("c"), ()):
            with pytest.raises(VersionAlreadyExistsException):
                await models.update_version(draft.id, UpdateVersion(version="taken", files=other))
            assert (file.path, file.size, file.sha256, version.files, version.version) == before
            assert version.files == [file]


@pytest.mark.parametrize("backend", ["sync-sqlite", "sync-postgresql"], indirect=True)
async def test_what_the_host_had_changed_and_not_flushed_is_read_anew_where_the_call_had_changed_it_too(
    backend: Backend,
) -> None:
    with Session(backend.engine, autoflush=False) as db:  # type: ignore[arg-type]  # the fixture's is a synchronous one
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        models.delete_model(models.create_model(CreateModel(name="gone")).id)
        row = db.get_one(DBModel, model.id)
        row.task, row.license = "the host's", "the host's too"
        given = [CreateModel(name="m", task="new"), CreateModel(name="gone")]
        with pytest.raises(BulkException):
            models.create_models(given, on_conflict="update")
        assert row.revision == 1
        read: str | None = row.task
        assert read is None
        assert row.license == "the host's too"


@pytest.mark.parametrize("backend", ["sync-sqlite", "sync-postgresql"], indirect=True)
async def test_what_a_call_that_is_not_refused_has_changed_stays(backend: Backend) -> None:
    with Session(backend.engine) as db:  # type: ignore[arg-type]  # as above
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m", tags={"k": "v"}))
        row, tag = db.get_one(DBModel, model.id), db.get_one(DBModelTag, (model.id, "k"))
        models.update_model(model.id, UpdateModel(task="t"))
        models.delete_model_tag(model.id, "k")
        with pytest.raises(BulkException):
            models.create_models([CreateModel(name="m")])
        assert row.task == "t"
        with pytest.raises(ObjectDeletedError):
            str(tag.value)
