"""Where versions came from, what is known of them and what users note: each belongs to its version, and stays."""

import pytest
from pydantic import JsonValue

from kamiwaza_sdk import (
    CreateModel,
    CreateVersion,
    Fetched,
    FetchedFile,
    Field,
    Filter,
    InvalidFilterException,
    InvalidInputException,
    RevisionConflictException,
    UpdateModel,
    UpdateVersion,
)
from kamiwaza_sdk.types import ModelFileSchema
from tests.addresses import ADDRESSES
from tests.backends import Backend
from tests.model.dumps import dump
from tests.model.world import digest, files

FACTS: dict[str, JsonValue] = {
    "format": "gguf",
    "architecture": "llama",
    "parameters": {"Q4_K": 7},
    "quantization": "Q4_K",
    "context_length": 4096,
}


def fetched_from(name: str, letter: str, **more: object) -> Fetched:
    """What a fetch of a repository of one file would return."""
    url = f"https://me:secret@hub.example/{name}/resolve/c{letter}/m.gguf?X-Amz-Signature=secret#part"
    file = FetchedFile(path="m.gguf", size=3, sha256=digest(letter), url=url)
    known = {"source": f"hf://{name}@c{letter}", "source_repository": name, "source_revision": f"c{letter}"}
    return Fetched.model_validate(
        {"name": "m", "files": (file,), "bytes_fetched": 3, "bytes_reused": 0, "hub": "hub.example", **known, **more}
    )


async def test_each_version_names_its_own_source_and_the_model_its_first(backend: Backend) -> None:
    async with backend.begin() as models:
        first = await models.register(fetched_from("org/one", "a"), name="p")
        second = await models.register(fetched_from("org/two", "b"), name="p")
        for version, name, letter in ((first, "org/one", "a"), (second, "org/two", "b")):
            assert (version.source, version.hub) == (f"hf://{name}@c{letter}", "hub.example")
            assert (version.source_repository, version.source_revision) == (name, f"c{letter}")
            assert [file.url for file in version.files] == [f"https://hub.example/{name}/resolve/c{letter}/m.gguf"]
            assert await models.get_version(version.id) == version
        model = await models.get_model(second.model_id)
        assert (model.source_repository, model.hub) == ("org/one", "hub.example")
        found = await models.search_versions(Field.version_source_repository == "org/two")
        assert [version.id for version in found.items] == [second.id]


async def test_a_copy_came_from_where_the_original_came_from(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await models.register(fetched_from("org/one", "a", details=FACTS), name="p")
        await models.update_version(version.id, UpdateVersion(attributes={"by": "Ada"}, description="small"))
        copy = await models.copy_version(version.id, (await models.create_model(CreateModel(name="q"))).id)
        same = {
            "source",
            "hub",
            "source_repository",
            "source_revision",
            "description",
            "files",
            "details",
            "attributes",
        }
        assert copy.model_dump(include=same) == (await models.get_version(version.id)).model_dump(include=same)
        assert copy.revision == 1


async def test_no_update_loses_a_fact(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await models.register(fetched_from("org/one", "a", details=FACTS))
        known = ("llama", "Q4_K", 4096, 7, "gguf")
        for changes in (UpdateVersion(attributes={"x": 1}), UpdateVersion(description="d"), UpdateVersion(version="v")):
            version = await models.update_version(version.id, changes)
            assert version.details == FACTS
            assert (
                version.architecture,
                version.quantization,
                version.context_length,
                version.parameters,
                version.format,
            ) == known
        assert (version.attributes, version.description, version.revision) == ({"x": 1}, "d", 4)
        assert (await models.update_version(version.id, UpdateVersion(description=None))).description is None


def test_what_was_noted_as_details_is_read_as_attributes() -> None:
    with pytest.warns(DeprecationWarning, match="write attributes="):
        changes = UpdateVersion.model_validate({"details": {"note": "checked"}})
    assert changes.changes() == {"attributes": {"note": "checked"}}


async def test_a_lost_update_of_a_version_is_refused(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await models.register(fetched_from("org/one", "a"))
        changed = await models.update_version(version.id, UpdateVersion(attributes={"a": 1}), expected_revision=1)
        with pytest.raises(
            RevisionConflictException, match=f"^Version {version.id} is at revision 2, not 1"
        ) as refused:
            await models.update_version(version.id, UpdateVersion(attributes={"b": 2}), expected_revision=1)
        assert (refused.value.model, refused.value.version) == (version.model_id, version.id)
        assert await models.get_version(version.id) == changed
        same = await models.update_version(version.id, UpdateVersion(attributes={"a": 1}), expected_revision=2)
        assert same == changed  # nothing is other than it was, so that nothing counts


async def test_a_version_is_chosen_by_what_its_files_say_and_users_note(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await models.register(fetched_from("org/one", "a", details=FACTS))
        await models.create_version(
            version.model_id, CreateVersion(files=files("z"), attributes={"eval": {"score": 0.5}})
        )
        await models.update_version(version.id, UpdateVersion(attributes={"eval": {"score": 0.9, "by": "Ada"}}))
        for chosen in (
            Field.architecture == "llama",
            Field.quantization.startswith("Q4"),
            Field.context_length >= 4096,
            Field.attributes["eval.score"] > 0.5,
            Field.attributes["eval", "by"] == "Ada",
            Filter.parse({"field": "details.quantisation", "op": "eq", "value": "Q4_K"}),
            Filter.parse({"field": "quantised", "op": "in", "value": ["Q4_K", "Q8_0"]}),
        ):
            assert [found.id for found in (await models.search_versions(chosen)).items] == [version.id]
            assert await models.count_versions(~chosen) == 1


async def test_a_model_is_chosen_by_its_attributes_and_its_latest_versions_facts(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await models.register(fetched_from("org/one", "a", details=FACTS))
        await models.create_model(CreateModel(name="other", attributes={"team": "blue"}))
        changed = await models.update_model(version.model_id, UpdateModel(attributes={"team": "red"}))
        assert changed.attributes == {"team": "red"}
        for chosen in (Field.quantization == "Q4_K", Field.attributes["team"] == "red"):
            assert [found.name for found in (await models.search_models(chosen)).items] == ["m"]
            assert [found.name for found in (await models.search_models(~chosen)).items] == ["other"]


async def test_the_words_of_a_card_are_found_as_they_change(backend: Backend) -> None:
    async with backend.begin() as models:
        card = "# M\n\nDistilled from a Größeres model.\n"
        version = await models.register(fetched_from("org/one", "a", model_card=card, description="Distilled."))
        model = await models.get_model(version.model_id)
        assert (model.model_card, model.description) == (card, "Distilled.")
        assert await models.count_models(text="grosseres model") == 1
        await models.set_model_tag(model.id, "lang", "de")
        assert await models.count_models(text="grosseres") == 1
        await models.update_model(model.id, UpdateModel(model_card="# Nothing"))
        assert (await models.count_models(text="grosseres"), await models.count_models(text="nothing")) == (0, 1)
        await models.create_models([CreateModel(name="bulk", model_card="giraffe")])
        await models.create_models([CreateModel(name="bulk", model_card="zebra")], on_conflict="update")
        assert (await models.count_models(text="giraffe"), await models.count_models(text="zebra")) == (0, 1)


async def test_no_secret_of_an_address_is_kept(backend: Backend) -> None:
    """Nor told in an event, a `repr` or JSON."""
    async with backend.begin() as models:
        for number, (given, kept) in enumerate(ADDRESSES.items()):
            named = "://" in given.strip()
            url = given if named else f"https://h.example/{number}"
            file = FetchedFile(path="m.gguf", size=3, sha256=digest(chr(ord("a") + number % 26)), url=url)
            fetched = Fetched(source=given, name=f"m{number}", files=(file,), bytes_fetched=3, bytes_reused=0)
            version = await models.register(fetched)
            assert (version.source, (await models.get_model(version.model_id)).source_repository) == (kept, kept)
            assert version.files[0].url == (kept if named else url)
            model = await models.create_model(CreateModel(name=f"other{number}", source_repository=given))
            model = await models.update_model(model.id, UpdateModel(source_repository=f"{given} "))
            draft = CreateVersion(status="draft", source=given, source_repository=given)
            created = await models.create_version(model.id, draft)
            assert (created.source, created.source_repository) == (kept, kept)
            changes = UpdateVersion(source=given, source_repository=given)
            updated = await models.update_version(created.id, changes)
            for told in (version, model, created, updated, changes, draft):
                assert "SECRET" not in f"{told!r} {told.model_dump_json()}"
        events = await models.list_events(limit=1000)
        assert "SECRET" not in "".join(event.model_dump_json() for event in events.items)
    rows = await dump(backend)
    assert len(rows["kamiwaza_model_version"]) == 2 * len(ADDRESSES)
    assert "SECRET" not in str(rows)


def test_a_file_from_before_has_no_address() -> None:
    given = {"path": "m", "size": 1, "sha256": digest("a"), "format": None}
    assert ModelFileSchema.model_validate(given).url is None


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"attribute": [], "op": "exists"}, "give 1 to 16 keys"),
        ({"attribute": ["a"] * 17, "op": "exists"}, "give 1 to 16 keys"),
        ({"attribute": 7, "op": "exists"}, "give 1 to 16 keys"),
        ({"attribute": "a", "op": "like", "value": "x"}, "does not fit an attribute"),
        ({"attribute": "a", "op": "contains", "value": 1}, "must be text"),
        ({"attribute": "a", "op": "lt", "value": True}, "neither comes first"),
        ({"attribute": "a", "op": "eq", "value": None}, "is None, which nothing compares with"),
        ({"attribute": "a", "op": "eq", "value": {"b": 1}}, "must be text, a number, true or false"),
        ({"attribute": "a", "op": "eq", "value": float("nan")}, "JSON cannot express"),
        ({"attribute": "a", "op": "in", "value": []}, "lists no values"),
    ],
)
def test_a_condition_on_an_attribute_that_cannot_be_is_refused(form: object, reason: str) -> None:
    with pytest.raises(InvalidFilterException, match=reason):
        Filter(form)


def test_attributes_are_bounded() -> None:
    with pytest.raises(InvalidInputException, match="over the limit of 100000"):
        CreateModel(name="m", attributes={"long": "x" * 100_000})
