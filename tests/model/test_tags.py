"""Tags of models and of versions: set, replaced, deleted, limited, and found."""

from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from kamiwaza_sdk import (
    AsyncModelService,
    CreateModel,
    CreateVersion,
    Field,
    InvalidInputException,
    ModelNotFoundException,
    TagNotFoundException,
    UpdateModel,
    VersionNotFoundException,
)
from tests.backends import Backend
from tests.model.dumps import dump
from tests.model.world import files

#: Keys and values, one of which cannot be: too long, NUL, controls, surrogates, no text.
BAD_TAGS: list[tuple[Any, Any]] = [
    ("", "v"),
    ("k" * 256, "v"),
    ("k" * 10_000, "v"),
    ("k\0", "v"),
    ("a\nb", "v"),
    ("a\x07", "v"),
    ("\ud800", "v"),
    (7, "v"),
    ("k", "v" * 5_001),
    ("k", "a\0b"),
    ("k", "\udfff"),
    ("k", 7),
    ("k", None),
]


async def new_model(models: AsyncModelService, name: str = "m", **tags: str) -> UUID:
    """A model with tags."""
    return (await models.create_model(CreateModel(name=name, tags=tags))).id


async def new_version(models: AsyncModelService, model_id: UUID, **tags: str) -> UUID:
    """A version with tags."""
    return (await models.create_version(model_id, CreateVersion(files=files("a"), tags=tags))).id


async def found(models: AsyncModelService, text: str) -> list[str]:
    """The names of the models that a text finds."""
    return [model.name for model in (await models.search_models(text=text)).items]


async def test_a_model_is_created_with_tags_and_every_listing_tells_them(backend: Backend) -> None:
    tags = {"lang": "en", "stufe ü": "é 🦙\n\t'\"", "empty": ""}
    async with backend.begin() as models:
        created = await models.create_model(CreateModel(name="m", tags=tags))
        assert created.tags == tags
        bulk = await models.create_models([CreateModel(name="n", tags=tags)], returning=True)
        assert bulk.models[0].tags == tags
    async with backend.begin() as models:
        assert [model.tags for model in await models.list_models()] == [tags, tags]
        assert [model.tags for model in (await models.search_models(text="llama")).items] == []
        assert [model.tags for model in (await models.search_models(text="stufe")).items] == [tags, tags]
        assert await models.get_model(created.id) == created
        assert (await models.get_model_by_name("m")).tags == tags
        assert (await models.search_models(Field.tag("stufe ü").exists())).items[0] == created


async def test_a_version_is_created_with_tags_and_every_listing_tells_them(backend: Backend) -> None:
    tags = {"stage": "raw", "e": "é\n"}
    async with backend.begin() as models:
        model_id = await new_model(models, lang="en")
        created = await models.create_version(model_id, CreateVersion(files=files("a"), tags=tags))
        assert created.tags == tags
    async with backend.begin() as models:
        for version in (
            await models.get_version(created.id),
            *await models.list_versions(model_id),
            *(await models.search_versions(Field.tag("stage") == "raw")).items,
            await models.resolve("m"),
        ):
            assert version == created
        assert (await models.get_model(model_id)).tags == {"lang": "en"}
        assert (await models.search_versions(Field.tag("lang") == "en")).items == ()


async def test_tags_are_set_replaced_and_deleted(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models, lang="en")
        version_id = await new_version(models, model_id, lang="en")
        for kind, owner in (("model", model_id), ("version", version_id)):
            get, set_tag = getattr(models, f"get_{kind}"), getattr(models, f"set_{kind}_tag")
            replace_tags, delete_tag = getattr(models, f"replace_{kind}_tags"), getattr(models, f"delete_{kind}_tag")
            await set_tag(owner, "tier", "1")
            await set_tag(owner, "lang", "ja")
            assert (await get(owner)).tags == {"lang": "ja", "tier": "1"}
            await replace_tags(owner, {"tier": "2", "new": "x" * 5_000, "k" * 255: ""})
            assert (await get(owner)).tags == {"tier": "2", "new": "x" * 5_000, "k" * 255: ""}
            await delete_tag(owner, "new")
            await delete_tag(owner, "k" * 255)
            assert (await get(owner)).tags == {"tier": "2"}
            with pytest.raises(TagNotFoundException, match="Tag 'new' not found") as gone:
                await delete_tag(owner, "new")
            assert (gone.value.key, gone.value.owner, gone.value.namespace) == ("new", owner, "default")
            await replace_tags(owner, {})
            assert (await get(owner)).tags == {}
        assert (await models.get_model(model_id)).revision == 1


@pytest.mark.parametrize("backend", ["sync-sqlite", "async-postgresql"], indirect=True)
async def test_what_no_tag_can_be_is_refused(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models, lang="en")
        version_id = await new_version(models, model_id)
    before = await dump(backend)
    async with backend.begin() as models:
        for key, value in BAD_TAGS:
            for attempt in (
                models.set_model_tag(model_id, key, value),
                models.set_version_tag(version_id, key, value),
                models.replace_model_tags(model_id, {"good": "1", key: value}),
                models.replace_version_tags(version_id, {"good": "1", key: value}),
            ):
                with pytest.raises(InvalidInputException, match="^(key|value) ") as refused:
                    await attempt
                assert len(str(refused.value)) < 300
            for create in (partial(CreateModel, name="n"), partial(CreateVersion, status="draft")):
                with pytest.raises(InvalidInputException, match="^tags"):
                    create(tags={"good": "1", key: value})
        for key in (key for key, value in BAD_TAGS if value == "v"):
            for attempt in (models.delete_model_tag(model_id, key), models.delete_version_tag(version_id, key)):
                with pytest.raises(InvalidInputException, match="^key "):
                    await attempt
    assert await dump(backend) == before


async def test_a_model_or_version_has_at_most_a_thousand_tags(backend: Backend) -> None:
    thousand = {f"k{number}": "" for number in range(1_000)}
    async with backend.begin() as models:
        model_id = await new_model(models)
        version_id = await new_version(models, model_id)
        await models.replace_model_tags(model_id, thousand)
        await models.replace_version_tags(version_id, thousand)
    before = await dump(backend)
    async with backend.begin() as models:
        for attempt in (
            models.set_model_tag(model_id, "more", ""),
            models.set_version_tag(version_id, "more", ""),
            models.replace_model_tags(model_id, {**thousand, "more": ""}),
            models.replace_version_tags(version_id, {**thousand, "more": ""}),
        ):
            with pytest.raises(InvalidInputException, match="tags .*1001, over the limit of 1000; drop some"):
                await attempt
        with pytest.raises(InvalidInputException, match="over the limit of 1000"):
            CreateModel(name="n", tags={**thousand, "more": ""})
    assert await dump(backend) == before
    async with backend.begin() as models:
        await models.set_model_tag(model_id, "k1", "other")
        await models.delete_model_tag(model_id, "k0")
        await models.set_model_tag(model_id, "more", "")
        assert len((await models.get_model(model_id)).tags) == 1_000


@pytest.mark.parametrize("tags", [None, ["lang"], "lang", [("lang", "en")]], ids=repr)
@pytest.mark.parametrize("backend", ["sync-sqlite", "async-postgresql"], indirect=True)
async def test_what_is_no_mapping_is_refused(backend: Backend, tags: Any) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models, lang="en")
        with pytest.raises(InvalidInputException, match="^tags must be a mapping of texts, not "):
            await models.replace_model_tags(model_id, tags)
        assert (await models.get_model(model_id)).tags == {"lang": "en"}


async def test_a_model_is_found_by_the_words_of_its_tags_and_by_stale_ones_no_more(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models, "m", language="German-English")
        await new_model(models, "n", language="Klingon")
        assert [await found(models, text) for text in ("language", "english", "germ", "klingon")] == [
            ["m", "n"],
            ["m"],
            ["m"],
            ["n"],
        ]
        await models.set_model_tag(model_id, "language", "Français")
        assert [await found(models, text) for text in ("german", "english", "francais")] == [[], [], ["m"]]
        await models.set_model_tag(model_id, "Größe", "8B")
        assert [await found(models, text) for text in ("grosse", "8b language m", "8b")] == [["m"], ["m"], ["m"]]
        await models.delete_model_tag(model_id, "language")
        assert [await found(models, text) for text in ("francais", "language", "8b")] == [[], ["n"], ["m"]]
        await models.replace_model_tags(model_id, {"tier": "gold"})
        assert [await found(models, text) for text in ("grosse", "8b", "gold tier")] == [[], [], ["m"]]
        await models.update_model(model_id, UpdateModel(name="renamed", description="of silver"))
        assert [await found(models, text) for text in ("gold", "silver", "m")] == [["renamed"], ["renamed"], []]
        await models.create_models([CreateModel(name="renamed", tags={"tier": "bronze"})], on_conflict="update")
        assert [await found(models, text) for text in ("gold", "silver", "bronze")] == [[], ["renamed"], ["renamed"]]
        await models.delete_model(model_id)
        assert await found(models, "bronze") == []
        await models.purge_model(model_id)
    await dump(backend)  # which finds SQLite's index sound


async def test_the_words_of_a_versions_tags_find_no_model(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        version_id = await new_version(models, model_id, stage="raw")
        await models.set_version_tag(version_id, "stage", "polished")
        assert await found(models, "polished") == await found(models, "raw") == []


async def test_only_a_text_with_letters_or_digits_is_looked_for(backend: Backend) -> None:
    async with backend.begin() as models:
        await new_model(models, lang='" OR *')
        for text in ('"', "*", "", "\0", "' '", "()", 7):
            with pytest.raises(InvalidInputException, match="^text"):
                await models.search_models(text=text)  # type: ignore[arg-type]  # also the mistake of a number
        for text in ('" or "', "lang:*", "NEAR(or lang)", "lang & or", "or | lang", "!lang or", "\\lang\\"):
            assert await found(models, text) == ([] if "NEAR" in text else ["m"]), text


async def test_tags_of_what_is_missing_deleted_or_in_another_namespace_are_not_found(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models, lang="en")
        version_id = await new_version(models, model_id, lang="en")
        with pytest.raises(ModelNotFoundException):
            await models.set_model_tag(uuid4(), "k", "v")
        with pytest.raises(VersionNotFoundException):
            await models.set_version_tag(uuid4(), "k", "v")
    async with backend.begin("elsewhere") as models:
        with pytest.raises(ModelNotFoundException):
            await models.replace_model_tags(model_id, {})
        with pytest.raises(VersionNotFoundException):
            await models.delete_version_tag(version_id, "lang")
    async with backend.begin() as models:
        await models.delete_model(model_id)
        with pytest.raises(ModelNotFoundException) as gone:
            await models.delete_model_tag(model_id, "lang")
        assert gone.value.deleted == model_id
        with pytest.raises(VersionNotFoundException):
            await models.set_version_tag(version_id, "k", "v")
        assert (await models.restore_model(model_id)).tags == {"lang": "en"}
        assert (await models.get_version(version_id)).tags == {"lang": "en"}
