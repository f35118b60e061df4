"""What a version may become, what is derived from its files, how it is copied, and what it was made from."""

from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from pydantic import JsonValue

from kamiwaza_sdk import (
    AsyncModelService,
    CreateFile,
    CreateModel,
    CreateParent,
    CreateVersion,
    InUseException,
    InvalidInputException,
    LineageCycleException,
    ModelNotFoundException,
    ModelVersionSchema,
    UpdateVersion,
    VersionAlreadyExistsException,
    VersionNotFoundException,
    VersionStatusException,
)
from kamiwaza_sdk.sources import manifest_digest
from kamiwaza_sdk.types import Relation, VersionStatus
from tests.backends import Backend
from tests.model.dumps import dump
from tests.model.world import digest, files

STATES: tuple[VersionStatus, ...] = ("draft", "ready", "archived", "failed")
ALLOWED = {
    ("draft", "ready"),
    ("draft", "failed"),
    ("ready", "archived"),
    ("ready", "failed"),
    ("archived", "ready"),
    *zip(STATES, STATES, strict=True),
}


async def new_model(models: AsyncModelService, name: str = "m") -> UUID:
    """A model."""
    return (await models.create_model(CreateModel(name=name))).id


async def in_state(models: AsyncModelService, model_id: UUID, status: VersionStatus) -> ModelVersionSchema:
    """A version of some files that has come to a status."""
    create = CreateVersion(files=files("a"), status="draft" if status == "draft" else "ready")
    version = await models.create_version(model_id, create)
    return await models.update_version(version.id, UpdateVersion(status=status))


def parent(version: ModelVersionSchema | UUID, relation: Relation = "merged") -> CreateParent:
    """What a version was made from."""
    return CreateParent(version_id=version if isinstance(version, UUID) else version.id, relation=relation)


async def test_a_version_becomes_what_it_may_and_nothing_else(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        for status in STATES:
            for wanted in STATES:
                version = await in_state(models, model_id, status)
                if (status, wanted) in ALLOWED:
                    updated = await models.update_version(version.id, UpdateVersion(status=wanted))
                    assert (updated.status, updated.files) == (wanted, version.files)
                else:
                    with pytest.raises(VersionStatusException, match=f"is {status}: it can become .*not {wanted}"):
                        await models.update_version(version.id, UpdateVersion(status=wanted, source_revision="x"))
                    assert await models.get_version(version.id) == version


async def test_a_draft_is_filled_and_becomes_ready_once_it_has_files(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        draft = await models.create_version(model_id, CreateVersion(status="draft", version="v1"))
        assert (draft.number, draft.files, draft.size, draft.digest) == (1, (), 0, manifest_digest(()))
        with pytest.raises(VersionNotFoundException):
            await models.resolve("m")
        for changes in (UpdateVersion(status="ready"), UpdateVersion(status="ready", files=())):
            with pytest.raises(VersionStatusException, match="it has no files, which a ready one must have"):
                await models.update_version(draft.id, changes)
        filled = await models.update_version(draft.id, UpdateVersion(files=files("a", "b")))
        assert (filled.status, filled.size, filled.digest) == ("draft", 6, manifest_digest(files("a", "b")))
        other = await models.update_version(draft.id, UpdateVersion(files=files("b", "c", size=5)))
        assert [(file.path, file.size) for file in other.files] == [("b.bin", 5), ("c.bin", 5)]
        ready = await models.update_version(draft.id, UpdateVersion(status="ready"))
        assert await models.resolve("m") == await models.resolve("m:v1") == ready
        assert (await models.get_model(model_id)).latest_version is not None


async def test_files_never_change_once_a_version_is_ready(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        for status in STATES[1:]:
            version = await in_state(models, model_id, status)
            for given in (files("a"), files("b"), ()):
                with pytest.raises(VersionStatusException, match="its files never change any more"):
                    await models.update_version(version.id, UpdateVersion(files=given))
            assert await models.get_version(version.id) == version


async def test_what_only_the_formats_of_a_drafts_files_say_is_a_change_too(backend: Backend) -> None:
    def formatted(*formats: str) -> tuple[CreateFile, ...]:
        return tuple(
            CreateFile(**{**file.model_dump(), "format": kind})
            for file, kind in zip(files("a", "b"), formats, strict=True)
        )

    async with backend.begin() as models:
        model_id = await new_model(models)
        draft = await models.create_version(model_id, CreateVersion(status="draft", files=formatted("onnx", "pickle")))
        events = len((await models.list_events(model_id)).items)
        changed = await models.update_version(draft.id, UpdateVersion(files=formatted("pickle", "onnx")))
        assert [file.format for file in changed.files] == ["pickle", "onnx"]
        last = (await models.list_events(model_id)).items[-1]
        assert (last.sequence, last.kind, changed.updated_at) == (events + 1, "version.updated", last.at)
        again = await models.update_version(draft.id, UpdateVersion(files=formatted("pickle", "onnx")))
        assert (again, len((await models.list_events(model_id)).items)) == (changed, events + 1)


async def test_a_label_is_changed_unless_it_is_taken(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        one = await models.create_version(model_id, CreateVersion(files=files("a"), version="one"))
        two = await models.create_version(model_id, CreateVersion(files=files("b"), version="two"))
        other = await models.create_version(await new_model(models, "n"), CreateVersion(files=files("a")))
        with pytest.raises(VersionAlreadyExistsException, match="m:one exists .*choose another label") as taken:
            await models.update_version(two.id, UpdateVersion(version="one", source_revision="x"))
        assert (taken.value.model, taken.value.version, taken.value.namespace) == ("m", "one", "default")
        assert await models.get_version(two.id) == two
        assert (await models.update_version(one.id, UpdateVersion(version="one"))) == one
        assert (await models.update_version(one.id, UpdateVersion(version="uno"))).version == "uno"
        assert (await models.update_version(two.id, UpdateVersion(version="one"))).version == "one"
        assert (await models.update_version(other.id, UpdateVersion(version="one"))).version == "one"
        assert [(await models.resolve(f"m:{label}")).id for label in ("uno", "one")] == [one.id, two.id]


async def test_a_number_is_never_given_out_again(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        versions = [await models.create_version(model_id, CreateVersion(files=files(letter))) for letter in "abc"]
        await models.delete_version(versions[2].id)
        await models.delete_version(versions[0].id)
        assert (await models.create_version(model_id, CreateVersion(files=files("c")))).number == 4
        await models.delete_version((await models.resolve("m:4")).id)
    async with backend.begin() as models:
        assert (await models.create_version(model_id, CreateVersion(files=files("a")))).number == 5
        assert [version.number for version in await models.list_versions(model_id)] == [2, 5]
        with pytest.raises(VersionNotFoundException):
            await models.resolve("m:1")


async def test_a_deleted_version_leaves_nothing_but_history(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        base = await models.create_version(model_id, CreateVersion(files=files("a")))
    before = await dump(backend)
    async with backend.begin() as models:
        version = await models.create_version(
            model_id, CreateVersion(files=files("b"), tags={"k": "v"}, derived_from=(parent(base),))
        )
        await models.delete_version(version.id)
    after = await dump(backend)
    for table in after.keys() - {"kamiwaza_model", "kamiwaza_model_event"}:
        assert after[table] == before[table], table
    assert len(after["kamiwaza_model_event"]) == len(before["kamiwaza_model_event"]) + 2


FACTS: list[tuple[dict[str, JsonValue], tuple[str | None, ...], str | None, int | None]] = [
    ({"format": "gguf", "parameters": 7}, ("onnx", None), "gguf", 7),
    ({"parameters": {"F32": 3, "I8": 4}}, ("onnx", None), "onnx", 7),
    ({"format": 7, "parameters": {"F32": 2**62, "I8": 2**62}}, ("onnx", "onnx"), "onnx", None),
    ({"format": "x" * 65, "parameters": -1}, ("onnx", "pickle"), None, None),
    ({"format": "", "parameters": {}}, (None, None), None, None),
    ({"parameters": True}, (None, None), None, None),
    ({"parameters": {"F32": 1.5}}, (None, None), None, None),
    ({"parameters": 2**63 - 1}, (None, "pickle"), "pickle", 2**63 - 1),
]


@pytest.mark.parametrize("backend", ["sync-sqlite", "async-postgresql"], indirect=True)
async def test_format_and_parameters_are_derived_and_kept_in_step(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        for details, formats, kind, parameters in FACTS:
            given = tuple(
                CreateFile(path=f"{number}", size=1, sha256=digest("a"), format=each)
                for number, each in enumerate(formats)
            )
            created = await models.create_version(model_id, CreateVersion(files=given, details=details))
            assert (created.format, created.parameters) == (kind, parameters)
            draft = await models.create_version(model_id, CreateVersion(status="draft", details=details))
            updated = await models.update_version(draft.id, UpdateVersion(files=given))
            assert (updated.format, updated.parameters, updated.details) == (kind, parameters, details)


async def test_notes_and_source_of_a_ready_version_may_change_and_facts_may_not(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        version = await models.create_version(
            model_id, CreateVersion(files=files("a"), details={"a": 1}, source_revision="abc")
        )
        updated = await models.update_version(version.id, UpdateVersion(attributes={"b": 2}, source_revision=None))
        assert (updated.details, updated.attributes, updated.source_revision) == ({"a": 1}, {"b": 2}, None)
        assert (updated.revision, updated.files) == (version.revision + 1, version.files)
        assert updated.updated_at >= version.updated_at
        assert await models.update_version(version.id, UpdateVersion()) == updated
    for field in ("files", "version", "status", "attributes"):
        with pytest.raises(InvalidInputException, match=f"^{field} cannot be cleared"):
            UpdateVersion(**cast("dict[str, Any]", {field: None}))


async def test_a_version_is_promoted_once_and_derives_from_the_original(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id, released = await new_model(models), await new_model(models, "released")
        create = CreateVersion(
            files=files("a", "b"),
            version="v1",
            source_revision="abc",
            details={"format": "onnx", "n": 1e22},
            tags={"k": "v"},
        )
        original = await models.create_version(model_id, create)
        await models.set_alias(original.id, "candidate")
        copy = await models.copy_version(original.id, released, version="r1")
        assert await models.copy_version(original.id, released) == copy
        assert await models.copy_version(original.id, released, version="r1") == copy
        assert await models.copy_version(copy.id, model_id) == await models.get_version(original.id)
    kept = {"files", "digest", "size", "format", "source_revision", "details", "tags"}
    assert copy.model_dump(include=kept) == original.model_dump(include=kept)
    assert (copy.number, copy.version, copy.status, copy.aliases) == (1, "r1", "ready", ())
    assert [(each.version_id, each.relation) for each in copy.derived_from] == [(original.id, "copied")]


async def test_a_copy_is_refused_where_it_cannot_be_one(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id, other = await new_model(models), await new_model(models, "other")
        original = await models.create_version(model_id, CreateVersion(files=files("a"), version="v1"))
        await models.create_version(other, CreateVersion(files=files("b"), version="taken"))
        with pytest.raises(VersionAlreadyExistsException, match="choose another label"):
            await models.copy_version(original.id, other, version="taken")
        await models.copy_version(original.id, other)
        with pytest.raises(VersionAlreadyExistsException, match="with the same files; leave the label out"):
            await models.copy_version(original.id, other, version="new")
        for status in (STATES[0], *STATES[2:]):
            version = await in_state(models, model_id, status)
            with pytest.raises(VersionStatusException, match=f"is {status}: only a ready one is copied"):
                await models.copy_version(version.id, other)
        with pytest.raises(VersionNotFoundException):
            await models.copy_version(uuid4(), other)
        with pytest.raises(ModelNotFoundException):
            await models.copy_version(original.id, uuid4())
    async with backend.begin("elsewhere") as models:
        with pytest.raises(VersionNotFoundException):
            await models.copy_version(original.id, await new_model(models))


async def test_a_version_that_others_derive_from_is_not_deleted(backend: Backend) -> None:
    async with backend.begin() as models:
        model_id = await new_model(models)
        base = await models.create_version(model_id, CreateVersion(files=files("a")))
        child = await models.create_version(model_id, CreateVersion(files=files("b"), derived_from=(parent(base),)))
        with pytest.raises(InUseException, match="1 version made from it must be deleted first") as used:
            await models.delete_version(base.id)
        assert used.value.version == base.id
        with pytest.raises(LineageCycleException):
            await models.set_parent(base.id, parent(child))
        await models.delete_version(child.id)
        await models.delete_version(base.id)
