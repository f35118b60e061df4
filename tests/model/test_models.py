"""What the registry does with models, in every colour on every database."""

from uuid import uuid4

import pytest
from sqlalchemy import select

from kamiwaza_sdk import (
    CreateModel,
    InvalidInputException,
    ModelAlreadyExistsException,
    ModelNotFoundException,
    ModelSchema,
    UpdateModel,
)
from tests.backends import Backend, Order, add

EVERYTHING = CreateModel(
    name="meta-llama/Llama-3.1-8B-Instruct",
    family="llama",
    task="text-generation",
    author="Meta",
    hub="huggingface",
    source_repository="https://example.org/meta-llama/Llama-3.1-8B-Instruct",
    description="Ein Modell für alle: モデル 🦙",
    license="llama3.1",
    model_card="# Card\n\n| a | b |\n",
    private=True,
)


async def test_a_model_is_read_as_it_was_created(backend: Backend) -> None:
    async with backend.begin() as models:
        created = await models.create_model(EVERYTHING)
    async with backend.begin() as models:
        assert await models.get_model(created.id) == created
        assert await models.get_model_by_name(created.name) == created
        assert await models.list_models() == [created]
    assert created.model_dump(include=set(CreateModel.model_fields)) == EVERYTHING.model_dump()
    assert created.revision == 1
    assert created.created_at == created.updated_at
    assert created.created_at.utcoffset().total_seconds() == 0  # type: ignore[union-attr]  # it is aware


async def test_ids_sort_by_creation(backend: Backend) -> None:
    async with backend.begin() as models:
        ids = [(await models.create_model(CreateModel(name=f"m{number}"))).id for number in range(20)]
    assert ids == sorted(ids)
    assert {created.version for created in ids} == {7}


async def test_an_unknown_id_or_name_is_not_found_and_says_where(backend: Backend) -> None:
    unknown = uuid4()
    async with backend.begin("team-a") as models:
        with pytest.raises(ModelNotFoundException) as by_id:
            await models.get_model(unknown)
        with pytest.raises(ModelNotFoundException) as by_name:
            await models.get_model_by_name("nowhere")
    assert (by_id.value.model, by_id.value.namespace, by_id.value.deleted) == (unknown, "team-a", None)
    assert str(by_id.value) == f"Model {unknown} not found in namespace 'team-a'; list_models() tells which there are"
    assert by_name.value.model == "nowhere"
    assert isinstance(by_id.value, LookupError)


async def test_what_is_no_id_is_refused_before_the_database_is_asked(backend: Backend) -> None:
    async with backend.begin() as models:
        with pytest.raises(InvalidInputException, match="model_id must be a UUID, not 'minilm'; names are for"):
            await models.get_model("minilm")  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(InvalidInputException, match="version_id must be a UUID"):
            await models.get_version("minilm:1")  # type: ignore[arg-type]  # the mistake under test
        assert await models.list_models() == []


async def test_a_duplicate_name_is_refused_and_the_host_commits_its_own_row(backend: Backend) -> None:
    async with backend.begin() as models:
        first = await models.create_model(CreateModel(name="taken"))
    async with backend.session() as db:
        add(db, Order(text="the host's"))
        with pytest.raises(ModelAlreadyExistsException) as refused:
            await backend.service(db).create_model(CreateModel(name="taken"))
        await db.commit()
    assert (refused.value.name, refused.value.model_id, refused.value.deleted) == ("taken", first.id, False)
    assert await _orders(backend) == ["the host's"]


async def test_after_the_hosts_rollback_nothing_of_either_is_left(backend: Backend) -> None:
    async with backend.begin() as models:
        await models.create_model(CreateModel(name="taken"))
    async with backend.session() as db:
        models = backend.service(db)
        add(db, Order(text="the host's"))
        await models.create_model(CreateModel(name="ours"))
        with pytest.raises(ModelAlreadyExistsException):
            await models.create_model(CreateModel(name="taken"))
        with pytest.raises(ModelAlreadyExistsException):
            await models.update_model((await models.get_model_by_name("ours")).id, UpdateModel(name="taken"))
        await db.rollback()
    assert await _orders(backend) == []
    async with backend.begin() as models:
        assert [model.name for model in await models.list_models()] == ["taken"]


async def test_the_hosts_rows_and_ours_commit_together(backend: Backend) -> None:
    async with backend.session() as db:
        model = await backend.service(db).create_model(CreateModel(name="ours"))
        add(db, Order(text="the host's", model_id=model.id))
        await db.commit()
    assert await _orders(backend) == ["the host's"]
    async with backend.begin() as models:
        assert await models.get_model(model.id) == model


async def test_only_the_fields_that_are_given_change_and_none_clears(backend: Backend) -> None:
    async with backend.begin() as models:
        created = await models.create_model(EVERYTHING)
        updated = await models.update_model(created.id, UpdateModel(description=None, task="chat"))
        assert await models.get_model(created.id) == updated
    changed = {"description": None, "task": "chat", "revision": 2, "updated_at": updated.updated_at}
    assert updated == created.model_copy(update=changed)
    assert updated.updated_at > created.updated_at


async def test_an_update_of_nothing_still_counts_as_one(backend: Backend) -> None:
    async with backend.begin() as models:
        created = await models.create_model(CreateModel(name="m"))
        assert (await models.update_model(created.id, UpdateModel())).revision == 2


async def test_a_model_is_renamed_but_not_onto_a_name_that_is_taken(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        other = await models.create_model(CreateModel(name="other"))
        model = await models.create_model(CreateModel(name="before"))
        with pytest.raises(ModelAlreadyExistsException) as refused:
            await models.update_model(model.id, UpdateModel(name="other"))
        assert refused.value.model_id == other.id
        assert (await models.update_model(model.id, UpdateModel(name="after"))).name == "after"
        await db.commit()
    async with backend.begin() as models:
        assert [model.name for model in await models.list_models()] == ["after", "other"]


async def test_a_deleted_model_is_told_from_a_missing_one_and_keeps_its_name(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="gone"))
        await models.delete_model(model.id)
    async with backend.begin() as models:
        for attempt in (models.get_model(model.id), models.delete_model(model.id), models.get_model_by_name("gone")):
            with pytest.raises(ModelNotFoundException, match="is deleted") as refused:
                await attempt
            assert refused.value.deleted == model.id
        with pytest.raises(ModelNotFoundException, match="is deleted"):
            await models.update_model(model.id, UpdateModel(task="chat"))
        with pytest.raises(ModelAlreadyExistsException, match="it is deleted: restore_model") as taken:
            await models.create_model(CreateModel(name="gone"))
        assert (taken.value.deleted, taken.value.model_id) == (True, model.id)
        assert await models.list_models() == []


async def test_a_restored_model_is_back_and_restoring_again_changes_nothing(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="back"))
        await models.delete_model(model.id)
        restored = await models.restore_model(model.id)
        assert await models.restore_model(model.id) == restored
        assert await models.list_models() == [restored]
        with pytest.raises(ModelNotFoundException):
            await models.restore_model(uuid4())
    assert (restored.revision, restored.deleted_at) == (3, None)


async def test_pages_follow_each_other_by_name_in_code_point_order(backend: Backend) -> None:
    names = ["B", "a", "b", "ä", "モデル", "org/x", "org-x"]
    async with backend.begin() as models:
        for name in names:
            await models.create_model(CreateModel(name=name))
    listed: list[ModelSchema] = []
    async with backend.begin() as models:
        while page := await models.list_models(after=listed[-1].name if listed else "", limit=2):
            listed += page
    assert [model.name for model in listed] == sorted(names)


@pytest.mark.parametrize("limit", [0, -1, 1001, 2**70, True, 1.5, "1"])
async def test_a_page_has_from_1_to_1000_models(backend: Backend, limit: int) -> None:
    async with backend.begin() as models:
        with pytest.raises(
            InvalidInputException, match="limit must be a whole number from 1 to 1000; page on with after="
        ):
            await models.list_models(limit=limit)


async def test_namespaces_do_not_see_each_other(backend: Backend) -> None:
    async with backend.begin("a") as models:
        model = await models.create_model(CreateModel(name="same"))
    async with backend.begin("b") as models:
        assert await models.list_models() == []
        for attempt in (
            models.get_model(model.id),
            models.get_model_by_name("same"),
            models.update_model(model.id, UpdateModel(task="chat")),
            models.delete_model(model.id),
            models.restore_model(model.id),
        ):
            with pytest.raises(ModelNotFoundException):
                await attempt
        other = await models.create_model(CreateModel(name="same"))
        assert await models.list_models() == [other]
    async with backend.begin("a") as models:
        assert await models.list_models() == [model]


@pytest.mark.parametrize(
    "name",
    ["", "a\0b", "a\nb", "a\x7fb", "\ud800", "..", "a/../b", "/a", "a/", "a//b", "x" * 10_000, " a", "a:b", "a@b"],
    ids=lambda name: ascii(name)[:20],
)
async def test_a_name_that_cannot_be_kept_is_refused_by_every_door(backend: Backend, name: str) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="fine"))
        with pytest.raises(InvalidInputException) as created:
            CreateModel(name=name)
        with pytest.raises(InvalidInputException) as updated:
            UpdateModel(name=name)
        with pytest.raises(InvalidInputException) as asked:
            await models.get_model_by_name(name)
        assert await models.list_models() == [model]
    async with backend.session() as db:
        with pytest.raises(InvalidInputException) as bound:
            backend.service(db, namespace=name)
    refused = [caught.value for caught in (created, updated, asked, bound)]
    assert [(type(error), error.field, error.value) for error in refused] == [
        (InvalidInputException, field, name) for field in ("name", "name", "name", "namespace")
    ]
    assert len(str(created.value)) < 400


async def test_a_name_is_kept_in_one_normal_form(backend: Backend) -> None:
    async with backend.begin() as models:
        created = await models.create_model(CreateModel(name="cafe\u0301"))
        assert created.name == "café"
        assert await models.get_model_by_name("cafe\u0301") == created


@pytest.mark.parametrize("text", ["a\0b", "\udc80"], ids=ascii)
async def test_a_text_that_databases_cannot_hold_is_refused(backend: Backend, text: str) -> None:
    with pytest.raises(InvalidInputException, match="^description (contains NUL|is not acceptable: .* unicode string)"):
        CreateModel(name="m", description=text)
    async with backend.begin() as models:
        with pytest.raises(InvalidInputException, match="^after contains"):
            await models.list_models(after=text)
        assert await models.list_models() == []


async def _orders(backend: Backend) -> list[str]:

    async with backend.session() as db:
        return list((await db.execute(select(Order.text))).scalars())
