"""A coroutine that is cancelled anywhere has happened whole, or not at all, and the session goes on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kamiwaza_sdk import AsyncModelService, CreateModel, CreateVersion, UpdateModel
from kamiwaza_sdk.services.model.registry import bulk
from tests.backends import ASYNCPG, Backend
from tests.model.dumps import dump
from tests.model.world import files

coroutines = pytest.mark.parametrize("backend", ["async-sqlite", "async-postgresql", ASYNCPG], indirect=True)


async def _cancel_after(call: Callable[[], Any], steps: int) -> bool:  # Any: a coroutine
    """Start a call, let the loop turn some times, cancel it more than once, and tell whether that came in time."""
    task: asyncio.Future[object] = asyncio.ensure_future(call())
    for _ in range(steps):
        await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({task})
    return task.cancelled()


STEPS = (0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 42)


@coroutines
@pytest.mark.parametrize("name", ["set_alias", "update_model", "replace_model_tags"])
async def test_a_call_that_is_cancelled_anywhere_happens_whole_or_not_at_all(backend: Backend, name: str) -> None:
    async with backend.begin() as models:
        made = [await models.create_model(CreateModel(name=f"m{steps}", tags={"a": "b"})) for steps in STEPS]
        versions = [await models.create_version(model.id, CreateVersion(files=files("a"))) for model in made]
    calls: dict[str, Callable[[AsyncModelService, int], Any]] = {  # Any: coroutines
        "set_alias": lambda models, place: models.set_alias(versions[place].id, "live"),
        "update_model": lambda models, place: models.update_model(made[place].id, UpdateModel(name=f"new{place}")),
        "replace_model_tags": lambda models, place: models.replace_model_tags(made[place].id, {"c": "d", "e": "f"}),
    }
    async with backend.session() as db:
        models = backend.service(db)
        in_time = [
            await _cancel_after(lambda place=place: calls[name](models, place), steps)  # type: ignore[misc]  # bound now
            for place, steps in enumerate(STEPS)
        ]
        await db.commit()
    happened = []
    async with backend.begin() as models:
        for place, model in enumerate(made):
            now = await models.get_model(model.id)
            changed = (now.aliases, now.tags, now.name, now.revision) != ({}, {"a": "b"}, model.name, 1)
            whole = [({"live": 1}, {"a": "b"}, model.name, 1), ({}, {"c": "d", "e": "f"}, model.name, 1)]
            whole.append(({}, {"a": "b"}, f"new{place}", 2))
            assert not changed or (now.aliases, now.tags, now.name, now.revision) in whole
            assert len((await models.list_events(model.id)).items) == 2 + changed
            word = {"set_alias": "live", "update_model": f"new{place}", "replace_model_tags": "d e f"}[name]
            found = {found.id for found in (await models.search_models(text=word)).items}
            assert (model.id in found) == (changed and name != "set_alias")
            happened.append(changed)
    assert in_time[:3] == [True] * 3
    assert happened[0] is False
    assert all(changed or cancelled for changed, cancelled in zip(happened, in_time, strict=True))
    assert any(happened)
    await dump(backend)


@coroutines
async def test_a_bulk_creation_that_is_cancelled_anywhere_leaves_whole_batches(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH_SIZE", 2)
    async with backend.session() as db:
        models = backend.service(db)
        for steps in STEPS:
            new = [CreateModel(name=f"{steps:02}-{number}", tags={"t": "u"}) for number in range(6)]
            await _cancel_after(lambda new=new: models.create_models(new), steps)  # type: ignore[misc]  # bound now
        assert len(await models.list_models()) < 6 * len(STEPS)
        await db.commit()
    async with backend.begin() as models:
        found = await models.list_models()
        for steps in STEPS:
            names = [model.name for model in found if model.name.startswith(f"{steps:02}-")]
            assert names == [f"{steps:02}-{number}" for number in range(len(names))]
            assert len(names) % 2 == 0
        assert {tuple(model.tags.items()) for model in found} == {(("t", "u"),)}
        assert len((await models.list_events(limit=1000)).items) == len(found)
        assert len((await models.search_models(text="u", limit=1000)).items) == len(found)
    await dump(backend)
