"""Configurations of models and of versions: named, one default at most, laid over, and none that JSON cannot hold."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import JsonValue
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from kamiwaza_sdk import (
    AsyncModelService,
    CreateModel,
    CreateModelConfig,
    CreateVersion,
    InvalidInputException,
    ModelConfigAlreadyExistsException,
    ModelConfigNotFoundException,
    ModelNotFoundException,
    ModelVersionSchema,
    UpdateModelConfig,
    VersionNotFoundException,
)
from kamiwaza_sdk.orm import DBModelConfig
from kamiwaza_sdk.services.model.registry import configs as configs_module
from tests.backends import Backend, Order, add
from tests.model.world import files


async def new_version(models: AsyncModelService) -> ModelVersionSchema:
    """A version of a new model."""
    model = await models.create_model(CreateModel(name="m"))
    return await models.create_version(model.id, CreateVersion(files=files("a")))


def named(name: str, *, is_default: bool = False, **config: JsonValue) -> CreateModelConfig:
    """A configuration to create."""
    return CreateModelConfig(name=name, is_default=is_default, config=config)


async def test_a_model_and_each_of_its_versions_have_configurations_of_their_own(backend: Backend) -> None:
    everything: dict[str, JsonValue] = {
        "モ": [None, True, 2**63 - 1, -(2**63), 1.5e300, "🦙", {"": {}}],
        "b": {"c": []},
    }
    async with backend.begin() as models:
        version = await new_version(models)
        create = CreateModelConfig(name="b/c d", config=everything, system_config={"gpus": 8})
        of_model = await models.create_config(create, model_id=version.model_id)
        of_version = await models.create_config(create, version_id=version.id)
        await models.create_config(named("a"), model_id=version.model_id)
    async with backend.begin() as models:
        assert await models.get_config(of_model.id) == of_model
        assert [config.name for config in await models.list_configs(model_id=version.model_id)] == ["a", "b/c d"]
        assert await models.list_configs(version_id=version.id) == [of_version]
    for config, version_id in ((of_model, None), (of_version, version.id)):
        assert (config.model_id, config.version_id) == (version.model_id, version_id)
        assert config.model_dump(include=set(CreateModelConfig.model_fields)) == create.model_dump()
        assert config.created_at == config.updated_at


async def test_a_name_is_taken_once_a_model_and_once_a_version(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        for owner in ({"model_id": version.model_id}, {"version_id": version.id}):
            await models.create_config(named("taken"), **owner)
            other = await models.create_config(named("other"), **owner)
            for attempt in (
                models.create_config(named("taken"), **owner),
                models.update_config(other.id, UpdateModelConfig(name="taken", config={"x": 1})),
            ):
                with pytest.raises(ModelConfigAlreadyExistsException, match="'taken' exists by that name") as taken:
                    await attempt
                error = taken.value
                assert (error.name, error.owner, error.is_default) == ("taken", *owner.values(), False)
            assert await models.get_config(other.id) == other
            assert (await models.update_config(other.id, UpdateModelConfig(name="free"))).name == "free"
            assert (await models.update_config(other.id, UpdateModelConfig(name="free"))).name == "free"


async def test_one_is_the_default_at_most_until_it_is_moved(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        for owner in ({"model_id": version.model_id}, {"version_id": version.id}):
            first = await models.create_config(named("first", is_default=True), **owner)
            second = await models.create_config(named("second"), **owner)
            with pytest.raises(ModelConfigAlreadyExistsException, match="'first' exists as the default") as taken:
                await models.create_config(named("third", is_default=True), **owner)
            assert (taken.value.name, taken.value.is_default) == ("first", True)
            moved = await models.update_config(second.id, UpdateModelConfig(is_default=True))
            assert (moved.is_default, (await models.get_config(first.id)).is_default) == (True, False)
            assert await models.get_default_config(**owner) == moved
            await models.update_config(second.id, UpdateModelConfig(is_default=False))
            assert [config.is_default for config in await models.list_configs(**owner)] == [False, False]
            await models.create_config(named("third", is_default=True), **owner)


async def test_a_versions_default_is_its_own_or_else_its_models(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        for owner in ({"model_id": version.model_id}, {"version_id": version.id}):
            with pytest.raises(ModelConfigNotFoundException, match="Default configuration not found") as none:
                await models.get_default_config(**owner)
            assert none.value.config is None
        of_model = await models.create_config(named("usual", is_default=True, a=1), model_id=version.model_id)
        await models.create_config(named("not it"), version_id=version.id)
        assert await models.get_default_config(version_id=version.id) == of_model
        of_version = await models.create_config(named("own", is_default=True, a=2), version_id=version.id)
        assert await models.get_default_config(version_id=version.id) == of_version
        assert await models.get_default_config(model_id=version.model_id) == of_model
        await models.delete_config(of_version.id)
        assert await models.get_default_config(version_id=version.id) == of_model


async def test_settings_are_replaced_as_a_whole_and_the_rest_is_kept(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        created = await models.create_config(named("c", a=1, b={"c": 2}), model_id=version.model_id)
        changed = await models.update_config(created.id, UpdateModelConfig(config={"b": {"d": 3}}))
        assert (changed.config, changed.system_config, changed.name) == ({"b": {"d": 3}}, {}, "c")
        assert changed.updated_at >= created.updated_at
        assert await models.update_config(created.id, UpdateModelConfig()) == changed
    for field in ("name", "is_default", "config", "system_config"):
        with pytest.raises(InvalidInputException, match=f"^{field} cannot be cleared"):
            UpdateModelConfig(**{field: None})


async def test_a_truth_value_is_no_number_and_a_large_float_none_either(backend: Backend) -> None:
    """Python holds `True` and 1 to be equal, and PostgreSQL hands 1e300 out as an integer."""
    async with backend.begin() as models:
        version = await new_version(models)
        created = await models.create_config(named("c", a=1, b=[{"c": False}]), model_id=version.model_id)
        changed = await models.update_config(created.id, UpdateModelConfig(config={"a": True, "b": [{"c": 0}]}))
        assert repr(sorted(changed.config.items())) == "[('a', True), ('b', [{'c': 0}])]"
        large: dict[str, JsonValue] = {"a": 1e300, "b": [-1e22, {"c": 2**63 - 1}]}
        changed = await models.update_config(created.id, UpdateModelConfig(config=large))
        assert repr(sorted(changed.config.items())) == repr(sorted(large.items()))
        assert await models.update_config(created.id, UpdateModelConfig(config=changed.config)) == changed
        assert (await models.list_events(version.model_id)).items[-1].after["config"] == large


async def test_the_limit_counts_what_is_created_not_what_is_renamed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configs_module, "MAX_LIMIT", 3)
    async with backend.begin() as models:
        version = await new_version(models)
        configs = [await models.create_config(named(name), model_id=version.model_id) for name in "abc"]
        with pytest.raises(InvalidInputException, match="one more than the limit of 3; delete some"):
            await models.create_config(named("d"), model_id=version.model_id)
        assert (await models.update_config(configs[0].id, UpdateModelConfig(name="d"))).name == "d"
        await models.delete_config(configs[1].id)
        assert (await models.create_config(named("e"), model_id=version.model_id)).name == "e"


async def test_what_is_missing_deleted_or_in_another_namespace_is_not_found(backend: Backend) -> None:
    unknown = uuid4()
    async with backend.begin() as models:
        version = await new_version(models)
        config = await models.create_config(named("c", is_default=True), version_id=version.id)
        other = await models.create_config(named("other"), model_id=version.model_id)
        await models.delete_config(other.id)
        for gone in (unknown, other.id):
            for attempt in (
                models.get_config(gone),
                models.update_config(gone, UpdateModelConfig(name="d")),
                models.delete_config(gone),
            ):
                with pytest.raises(ModelConfigNotFoundException, match=str(gone)) as missing:
                    await attempt
                assert missing.value.config == gone
        for listing in (models.list_configs, models.get_default_config):
            with pytest.raises(ModelNotFoundException):
                await listing(model_id=unknown)
            with pytest.raises(VersionNotFoundException):
                await listing(version_id=unknown)
    async with backend.begin("elsewhere") as models:
        with pytest.raises(ModelConfigNotFoundException):
            await models.update_config(config.id, UpdateModelConfig(name="theirs"))
        with pytest.raises(VersionNotFoundException):
            await models.list_configs(version_id=version.id)
    async with backend.begin() as models:
        await models.delete_model(version.model_id)
        with pytest.raises(ModelConfigNotFoundException, match="its model is deleted") as deleted:
            await models.get_config(config.id)
        assert deleted.value.deleted == version.model_id
        with pytest.raises(ModelNotFoundException):
            await models.list_configs(model_id=version.model_id)
        with pytest.raises(VersionNotFoundException):
            await models.get_default_config(version_id=version.id)
        await models.restore_model(version.model_id)
        assert await models.get_config(config.id) == config


async def test_a_configuration_is_of_a_model_or_of_a_version(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        both = {"model_id": version.model_id, "version_id": version.id}
        for owner in ({}, both, {"model_id": "m"}, {"version_id": 7}):
            wrong: dict[str, Any] = owner
            for attempt in (
                models.create_config(named("c"), **wrong),
                models.list_configs(**wrong),
                models.get_default_config(**wrong),
            ):
                with pytest.raises(InvalidInputException, match="^(version_id and model_id|model_id|version_id)"):
                    await attempt
        assert await models.list_configs(model_id=version.model_id) == []


BAD_CONFIGS: dict[str, tuple[Any, str]] = {
    "not a number": ({"a": {"b": [1.0, float("nan")]}}, "contains nan, which JSON cannot express"),
    "infinity": ({"a": {"b": float("-inf")}}, "contains -inf"),
    "65 bits": ({"a": {"b": [2**63]}}, "an integer over 64 bits; write it as a string"),
    "65 bits below": ({"a": {"b": -(2**63) - 1}}, "an integer over 64 bits"),
    "NUL": ({"a": {"b": "x\0"}}, "contains NUL"),
    "NUL in a key": ({"a": {"b\0": 1}}, "contains NUL"),
    "surrogate": ({"a": ["\ud800"]}, "contains a lone surrogate"),
    "no JSON": ({"a": object()}, "is not acceptable"),
    "no object": ([], "is not acceptable"),
}


@pytest.mark.parametrize("bad", BAD_CONFIGS)
@pytest.mark.parametrize("field", ["config", "system_config"])
def test_what_json_or_a_database_cannot_hold_is_refused_with_its_place(field: str, bad: str) -> None:
    value, reason = BAD_CONFIGS[bad]
    with pytest.raises(InvalidInputException, match=f"^{field}.*{reason}") as refused:
        CreateModelConfig(name="c", **{field: value})
    assert refused.value.field.split(".")[0] == field
    with pytest.raises(InvalidInputException, match=f"^{field}.*{reason}"):
        UpdateModelConfig(**{field: value})


@pytest.mark.parametrize("name", ["", "a\0", "x" * 256, " a", "a//b", "a:b"], ids=ascii)
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    for kind in (CreateModelConfig, UpdateModelConfig):
        with pytest.raises(InvalidInputException, match="^name"):
            kind(name=name)


async def test_what_was_spoilt_after_its_validation_is_refused_too(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        spoilt = named("c", a=1)
        spoilt.config["b"] = float("nan")
        with pytest.raises(InvalidInputException, match="^config"):
            await models.create_config(spoilt, model_id=version.model_id)
        assert await models.list_configs(model_id=version.model_id) == []


async def test_the_database_itself_holds_one_default_and_one_of_a_name(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        for owner in ({"model_id": version.model_id}, {"version_id": version.id}):
            await models.create_config(named("c", is_default=True), **owner)
        (config,) = await models.list_configs(model_id=version.model_id)
    row = {**config.model_dump(), "id": uuid4()}
    for values in (
        {"name": "other"},
        {"is_default": False},
        {"name": "other", "version_id": version.id},
        {"is_default": False, "version_id": version.id},
    ):
        async with backend.session() as db:
            with pytest.raises(IntegrityError):
                await db.execute(insert(DBModelConfig).values(**{**row, **values}))
            await db.rollback()
    async with backend.session() as db:
        await db.execute(insert(DBModelConfig).values(**{**row, "name": "other", "is_default": False}))
        await db.commit()


async def test_a_refusal_leaves_the_hosts_own_row_to_commit(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await new_version(models)
        await models.create_config(named("c", is_default=True), model_id=version.model_id)
    async with backend.session() as db:
        add(db, Order(text="the host's"))
        with pytest.raises(ModelConfigAlreadyExistsException):
            await backend.service(db).create_config(named("d", is_default=True), model_id=version.model_id)
        await db.commit()
    async with backend.session() as db:
        assert len((await db.execute(Order.__table__.select())).all()) == 1
