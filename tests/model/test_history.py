"""The history: every change tells of itself once, in order, and what is refused does not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from kamiwaza_sdk import (
    AsyncModelService,
    CreateModel,
    CreateParent,
    CreateVersion,
    DBModel,
    InUseException,
    InvalidCursorException,
    ModelEventSchema,
    ModelNotFoundException,
    UpdateModel,
)
from kamiwaza_sdk.services.model.registry import changes
from tests.backends import Backend, Order, add
from tests.model.dumps import dump
from tests.model.mutations import MUTATIONS, NOTHING_TO_DO, PURGE
from tests.model.refusals import REFUSED_TO_MODELS, REFUSED_TO_VERSIONS
from tests.model.world import World, files, populate


async def events_of(models: AsyncModelService, model_id: UUID) -> list[ModelEventSchema]:
    """The whole history of a model."""
    return list((await models.list_events(model_id, limit=1000)).items)


def told(events: list[ModelEventSchema]) -> list[tuple[object, ...]]:
    """What events tell of a change."""
    return [(event.kind, event.before, event.after, event.version_id, event.alias) for event in events]


async def populated(backend: Backend) -> World:
    """A registry with some of everything, committed."""
    async with backend.begin() as models:
        return await populate(models)


async def test_every_change_appends_just_the_events_that_tell_of_it(backend: Backend) -> None:
    world = await populated(backend)
    seen, expected = {}, {}
    for name, mutation in MUTATIONS.items():
        async with backend.session() as db:
            models = backend.service(db, actor="ada")
            result = await mutation.call(models, world)
            events = await events_of(models, mutation.model(world, result))
            await db.rollback()
        new = [event for event in events if event.actor == "ada"]
        seen[name], expected[name] = told(new), mutation.events(world, result)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1)), name
        assert events[len(events) - len(new) :] == new, name
        assert {event.namespace for event in events} == {"default"}, name
    assert seen == expected


async def test_the_events_vanish_with_the_hosts_rollback(backend: Backend) -> None:
    world = await populated(backend)
    before = await dump(backend)
    calls = {name: mutation.call for name, mutation in MUTATIONS.items()} | {"purge_model": PURGE}
    for name, call in calls.items():
        async with backend.session() as db:
            await call(backend.service(db), world)
            await db.rollback()
        assert await dump(backend) == before, name


async def test_a_call_that_finds_everything_as_it_is_to_be_appends_nothing(backend: Backend) -> None:
    world = await populated(backend)
    before = await dump(backend)
    for name, call in NOTHING_TO_DO.items():
        async with backend.begin() as models:
            await call(models, world)
        assert await dump(backend) == before, name


@pytest.mark.parametrize("refusals", [REFUSED_TO_MODELS, REFUSED_TO_VERSIONS], ids=["models", "versions"])
async def test_a_call_that_is_refused_changes_nothing_and_the_transaction_goes_on(
    backend: Backend, refusals: dict[str, Any]
) -> None:
    world = await populated(backend)
    before = await dump(backend)
    for name, (kind, call) in refusals.items():
        async with backend.session() as db:
            models = backend.service(db)
            add(db, Order(text=name))
            with pytest.raises(kind) as refused:
                await call(models, world)
            assert refused.value.transaction_usable, name
            await db.commit()
        assert await dump(backend) == before, name
    async with backend.session() as db:
        assert sorted((await db.execute(Order.__table__.select())).scalars("text")) == sorted(refusals)


async def test_whoever_looks_into_another_namespace_is_told_of_nothing(backend: Backend) -> None:
    world = await populated(backend)
    before = await dump(backend)
    async with backend.begin("elsewhere") as models:
        assert (await models.list_events(world.model.id)).items == ()
        assert (await models.list_events()).items == ()
        for name in ("update_model", "set_alias", "set_model_tag", "set_version_tag", "update_config", "delete_parent"):
            with pytest.raises(LookupError):
                await MUTATIONS[name].call(models, world)
        with pytest.raises(ModelNotFoundException):
            await PURGE(models, world)
    assert await dump(backend) == before


async def test_moments_never_run_backwards_even_if_the_clock_does(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(datetime):
        """A clock that was put back a day."""

        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # Any: as declared there
            return datetime.now(tz) - timedelta(days=1)

    world = await populated(backend)
    monkeypatch.setattr(changes, "datetime", Slow)
    async with backend.begin() as models:
        for name in ("update_model", "set_alias", "set_model_tag", "update_config", "delete_alias", "delete_parent"):
            await MUTATIONS[name].call(models, world)
        moments = [event.at for event in await events_of(models, world.model.id)]
        assert moments == sorted(moments)
        assert (await models.resolve("renamed@production", at=moments[-1])).id == world.spare.id


async def test_a_change_after_one_from_the_future_is_not_before_it(backend: Backend) -> None:
    world = await populated(backend)
    future = datetime.now(UTC) + timedelta(days=1)
    async with backend.session() as db:
        await db.execute(update(DBModel).where(DBModel.id == world.model.id).values(last_event_at=future))
        models = backend.service(db)
        await models.set_alias(world.spare.id, "production")
        await models.delete_alias(world.model.id, "production")
        model = await models.update_model(world.model.id, UpdateModel(task="new"))
        events = await events_of(models, world.model.id)
        await db.commit()
    assert [event.at for event in events[-3:]] == [future] * 3
    assert model.updated_at == future


async def test_events_are_paged_both_ways(backend: Backend) -> None:
    world = await populated(backend)
    async with backend.begin() as models:
        for model_id in (world.model.id, None):
            everything = (await models.list_events(model_id, limit=1000)).items
            assert len(everything) > 10
            for descending in (False, True):
                pages = [await models.list_events(model_id, descending=descending, limit=4)]
                while pages[-1].next_cursor is not None:
                    pages.append(
                        await models.list_events(model_id, descending=descending, limit=4, cursor=pages[-1].next_cursor)
                    )
                found = [event for page in pages for event in page.items]
                assert found == list(everything)[:: -1 if descending else 1]
                back = await models.list_events(
                    model_id, descending=descending, limit=4, cursor=pages[1].previous_cursor
                )
                assert back.items == pages[0].items
                with pytest.raises(InvalidCursorException):
                    await models.list_events(model_id, descending=not descending, cursor=pages[0].next_cursor)


async def test_the_history_of_a_namespace_goes_by_moments(backend: Backend) -> None:
    world = await populated(backend)
    async with backend.begin() as models:
        events = (await models.list_events(limit=1000)).items
    keys = [(event.at, event.model_id, event.sequence) for event in events]
    assert keys == sorted(keys)
    assert {event.model_id for event in events} == {world.model.id, world.other.id, world.gone.id}


async def test_a_purge_leaves_one_event_and_the_name_is_free(backend: Backend) -> None:
    world = await populated(backend)
    async with backend.session() as db:
        models = backend.service(db, actor="eve")
        last = (await events_of(models, world.gone.id))[-1]
        await PURGE(models, world)
        (event,) = await events_of(models, world.gone.id)
        assert told([event]) == [("model.purged", {"name": "gone"}, {}, None, None)]
        assert (event.actor, event.sequence) == ("eve", last.sequence + 1)
        assert event.at >= last.at
        assert (await models.search_models(text="buried", deleted=True)).items == ()
        with pytest.raises(ModelNotFoundException):
            await models.restore_model(world.gone.id)
        again = await models.create_model(CreateModel(name="gone"))
        await db.commit()
    tables = await dump(backend)
    ids = {str(world.gone.id), world.gone.id.hex, str(world.buried.id), world.buried.id.hex}
    left = {name for name, rows in tables.items() for row in rows if ids & {str(value) for value in row}}
    assert left == {"kamiwaza_model_event"}
    assert again.id != world.gone.id


async def test_a_model_that_others_derive_from_is_not_purged(backend: Backend) -> None:
    world = await populated(backend)
    async with backend.begin() as models:
        await models.restore_model(world.gone.id)
        parents = (CreateParent(version_id=world.buried.id, relation="merged"),)
        child = await models.create_version(world.model.id, CreateVersion(files=files("c"), derived_from=parents))
        await models.delete_model(world.gone.id)
    before = await dump(backend)
    async with backend.begin() as models:
        with pytest.raises(InUseException, match="1 version of other models made from its own must be deleted first"):
            await PURGE(models, world)
    assert await dump(backend) == before
    async with backend.begin() as models:
        await models.delete_version(child.id)
        await PURGE(models, world)


@pytest.mark.parametrize(
    "backend", ["sync-sqlite", "sync-postgresql", "async-sqlite", "async-postgresql"], indirect=True
)
async def test_a_model_that_the_hosts_rows_refer_to_is_not_purged(backend: Backend) -> None:
    """A stock SQLite engine is left out: it does not enforce foreign keys."""
    world = await populated(backend)
    async with backend.session() as db:
        add(db, Order(text="theirs", model_id=world.gone.id))
        await db.commit()
    before = await dump(backend)
    async with backend.session() as db:
        models = backend.service(db)
        add(db, Order(text="pending"))
        with pytest.raises(InUseException, match="rows of the application's own refer to it") as refused:
            await PURGE(models, world)
        assert (refused.value.model, refused.value.transaction_usable) == (world.gone.id, True)
        await db.commit()
    assert await dump(backend) == before
    async with backend.session() as db:
        assert len((await db.execute(Order.__table__.select())).all()) == 2
        await db.execute(delete(Order))
        await PURGE(backend.service(db), world)
        await db.commit()
