"""Every call that changes a registry filled by `populate`, and the events that tell of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from kamiwaza_sdk import (
    CreateModel,
    CreateModelConfig,
    CreateParent,
    CreateVersion,
    ModelVersionSchema,
    UpdateModel,
    UpdateModelConfig,
    UpdateVersion,
)
from kamiwaza_sdk.sources import manifest_digest
from tests.model.world import Call, World, fetched, files

#: Kind, before, after, version and alias of an event.
Event = tuple[str, dict[str, Any], dict[str, Any], UUID | None, str | None]  # Any: JSON


@dataclass(frozen=True)
class Mutation:
    """A call that changes the registry, and the events it appends to the history of one model.

    Attributes:
        call: The call.
        events: What it appends, by the world and what the call returned.
        model: Whose history that is, likewise. Default: the model ``m``.
    """

    call: Call
    events: Callable[[World, Any], list[Event]]  # Any: whatever the call returned
    model: Callable[[World, Any], UUID] = lambda world, _: world.model.id  # Any: as above


def _target(version: ModelVersionSchema) -> dict[str, object]:
    return {"version_id": str(version.id), "number": version.number}


def _parent(version: ModelVersionSchema, relation: str) -> dict[str, object]:
    return {"version_id": str(version.id), "relation": relation}


def _created(result: ModelVersionSchema, **rest: object) -> Event:
    known = {
        "number": result.number,
        "version": result.version,
        "status": result.status,
        "digest": result.digest,
        "size": result.size,
    }
    return ("version.created", {}, known | rest, result.id, None)


def _moved(world: World) -> list[Event]:
    first = ("config.updated", {"name": "usual", "is_default": True}, {"name": "usual", "is_default": False})
    second = ("config.updated", {"name": "fast", "is_default": False}, {"name": "fast", "is_default": True})
    return [(*first, None, None), (*second, None, None)]


def _filled(world: World, _: object) -> list[Event]:
    before = {"status": "draft", "digest": world.draft.digest, "size": 0, "attributes": {}, "description": None}
    after: dict[str, Any] = {"status": "ready", "digest": manifest_digest(files("d")), "size": 3}  # Any: JSON
    after |= {"attributes": {"checked": {"by": "Ada"}}, "description": "d"}
    return [("version.updated", before, after, world.draft.id, None)]


_CONFIG = {"is_default": False, "config": {}, "system_config": {}}

MUTATIONS: dict[str, Mutation] = {
    "create_model": Mutation(
        lambda models, _: models.create_model(CreateModel(name="new", tags={"a": "b"})),
        lambda _, result: [("model.created", {}, {"name": "new", "tags": {"a": "b"}}, None, None)],
        lambda _, result: cast("UUID", result.id),
    ),
    "create_models": Mutation(
        lambda models, _: models.create_models([CreateModel(name="new", task="t", tags={"a": "b"})], returning=True),
        lambda _, result: [("model.created", {}, {"name": "new", "task": "t", "tags": {"a": "b"}}, None, None)],
        lambda _, result: cast("UUID", result.models[0].id),
    ),
    "create_models, updating": Mutation(
        lambda models, _: models.create_models(
            [CreateModel(name="new"), CreateModel(name="m", task="new", tags={"lang": "de"})], on_conflict="update"
        ),
        lambda _, result: [
            ("model.updated", {"task": "old"}, {"task": "new"}, None, None),
            ("tag.set", {"lang": "en"}, {"lang": "de"}, None, None),
        ],
    ),
    "update_model": Mutation(
        lambda models, world: models.update_model(world.model.id, UpdateModel(name="renamed", task=None, author="Ada")),
        lambda _, result: [
            ("model.updated", {"name": "m", "task": "old"}, {"name": "renamed", "task": None}, None, None)
        ],
    ),
    "update_model, its card and attributes": Mutation(
        lambda models, world: models.update_model(
            world.model.id, UpdateModel(model_card="# M", attributes={"team": {"name": "red"}})
        ),
        lambda _, result: [
            (
                "model.updated",
                {"model_card": None, "attributes": {}},
                {"model_card": "# M", "attributes": {"team": {"name": "red"}}},
                None,
                None,
            )
        ],
    ),
    "delete_model": Mutation(
        lambda models, world: models.delete_model(world.model.id),
        lambda world, _: [("model.deleted", {}, {}, None, None)],
    ),
    "restore_model": Mutation(
        lambda models, world: models.restore_model(world.gone.id),
        lambda world, _: [("model.restored", {}, {}, None, None)],
        lambda world, _: world.gone.id,
    ),
    "create_version": Mutation(
        lambda models, world: models.create_version(
            world.model.id,
            CreateVersion(
                files=files("n"),
                version="v5",
                source_revision="abc",
                source="hf://org/m",
                hub="huggingface",
                source_repository="org/m",
                description="d",
                details={"x": 1},
                attributes={"y": [2]},
                tags={"k": "v"},
                derived_from=(CreateParent(version_id=world.first.id, relation="merged"),),
            ),
        ),
        lambda world, result: [
            _created(
                result,
                source_revision="abc",
                source="hf://org/m",
                hub="huggingface",
                source_repository="org/m",
                description="d",
                details={"x": 1},
                attributes={"y": [2]},
                tags={"k": "v"},
                derived_from=[_parent(world.first, "merged")],
            )
        ],
    ),
    "register": Mutation(
        lambda models, _: models.register(fetched("n")),
        lambda _, result: [_created(result, source="test://m")],
    ),
    "register, a new model": Mutation(
        lambda models, _: models.register(fetched("n", name="new"), version="v1"),
        lambda _, result: [
            ("model.created", {}, {"name": "new", "source_repository": "test://new"}, None, None),
            _created(result, source="test://new"),
        ],
        lambda _, result: cast("UUID", result.model_id),
    ),
    "copy_version": Mutation(
        lambda models, world: models.copy_version(world.first.id, world.other.id, version="copy"),
        lambda world, result: [
            _created(result, tags={"stage": "raw"}, derived_from=[_parent(world.first, "copied")]),
        ],
        lambda world, _: world.other.id,
    ),
    "update_version": Mutation(
        lambda models, world: models.update_version(world.spare.id, UpdateVersion(status="archived", version="old")),
        lambda world, _: [
            (
                "version.updated",
                {"status": "ready", "version": "4"},
                {"status": "archived", "version": "old"},
                world.spare.id,
                None,
            )
        ],
    ),
    "update_version, its files": Mutation(
        lambda models, world: models.update_version(
            world.draft.id,
            UpdateVersion(status="ready", files=files("d"), attributes={"checked": {"by": "Ada"}}, description="d"),
        ),
        _filled,
    ),
    "delete_version": Mutation(
        lambda models, world: models.delete_version(world.spare.id),
        lambda world, _: [
            (
                "version.deleted",
                {"number": 4, "version": "4", "status": "ready", "digest": world.spare.digest, "size": 3},
                {},
                world.spare.id,
                None,
            )
        ],
    ),
    "create_alias": Mutation(
        lambda models, world: models.create_alias(world.spare.id, "new"),
        lambda world, _: [("alias.set", {}, _target(world.spare), world.spare.id, "new")],
    ),
    "set_alias": Mutation(
        lambda models, world: models.set_alias(world.spare.id, "production"),
        lambda world, _: [("alias.set", _target(world.second), _target(world.spare), world.spare.id, "production")],
    ),
    "rollback_alias": Mutation(
        lambda models, world: models.rollback_alias(world.model.id, "production"),
        lambda world, _: [
            ("alias.rolled_back", _target(world.second), _target(world.first), world.first.id, "production")
        ],
    ),
    "delete_alias": Mutation(
        lambda models, world: models.delete_alias(world.model.id, "staging"),
        lambda world, _: [("alias.deleted", _target(world.first), {}, world.first.id, "staging")],
    ),
    "set_model_tag": Mutation(
        lambda models, world: models.set_model_tag(world.model.id, "tier", "1"),
        lambda world, _: [("tag.set", {}, {"tier": "1"}, None, None)],
    ),
    "set_model_tag, another value": Mutation(
        lambda models, world: models.set_model_tag(world.model.id, "lang", "ja"),
        lambda world, _: [("tag.set", {"lang": "en"}, {"lang": "ja"}, None, None)],
    ),
    "replace_model_tags": Mutation(
        lambda models, world: models.replace_model_tags(world.model.id, {"tier": "1"}),
        lambda world, _: [("tag.set", {"lang": "en"}, {"tier": "1"}, None, None)],
    ),
    "replace_model_tags, by none": Mutation(
        lambda models, world: models.replace_model_tags(world.model.id, {}),
        lambda world, _: [("tag.deleted", {"lang": "en"}, {}, None, None)],
    ),
    "delete_model_tag": Mutation(
        lambda models, world: models.delete_model_tag(world.model.id, "lang"),
        lambda world, _: [("tag.deleted", {"lang": "en"}, {}, None, None)],
    ),
    "set_version_tag": Mutation(
        lambda models, world: models.set_version_tag(world.first.id, "stage", "done"),
        lambda world, _: [("tag.set", {"stage": "raw"}, {"stage": "done"}, world.first.id, None)],
    ),
    "replace_version_tags": Mutation(
        lambda models, world: models.replace_version_tags(world.first.id, {"stage": "raw", "k": "v"}),
        lambda world, _: [("tag.set", {}, {"k": "v"}, world.first.id, None)],
    ),
    "delete_version_tag": Mutation(
        lambda models, world: models.delete_version_tag(world.first.id, "stage"),
        lambda world, _: [("tag.deleted", {"stage": "raw"}, {}, world.first.id, None)],
    ),
    "create_config": Mutation(
        lambda models, world: models.create_config(CreateModelConfig(name="new"), model_id=world.model.id),
        lambda world, _: [("config.created", {}, {"name": "new", **_CONFIG}, None, None)],
    ),
    "create_config, of a version": Mutation(
        lambda models, world: models.create_config(CreateModelConfig(name="new"), version_id=world.first.id),
        lambda world, _: [("config.created", {}, {"name": "new", **_CONFIG}, world.first.id, None)],
    ),
    "update_config": Mutation(
        lambda models, world: models.update_config(world.fast.id, UpdateModelConfig(is_default=True, config={})),
        lambda world, _: _moved(world),
    ),
    "delete_config": Mutation(
        lambda models, world: models.delete_config(world.fast.id),
        lambda world, _: [("config.deleted", {"name": "fast", **_CONFIG}, {}, None, None)],
    ),
    "set_parent": Mutation(
        lambda models, world: models.set_parent(
            world.spare.id, CreateParent(version_id=world.second.id, relation="quantized")
        ),
        lambda world, _: [("parent.set", {}, _parent(world.second, "quantized"), world.spare.id, None)],
    ),
    "set_parent, anew": Mutation(
        lambda models, world: models.set_parent(
            world.second.id, CreateParent(version_id=world.first.id, relation="merged")
        ),
        lambda world, _: [
            ("parent.set", _parent(world.first, "fine-tuned"), _parent(world.first, "merged"), world.second.id, None)
        ],
    ),
    "delete_parent": Mutation(
        lambda models, world: models.delete_parent(world.second.id, world.first.id),
        lambda world, _: [("parent.deleted", _parent(world.first, "fine-tuned"), {}, world.second.id, None)],
    ),
}

#: The one change whose event is all that stays.
PURGE: Call = lambda models, world: models.purge_model(world.gone.id)  # noqa: E731 - one of a kind with those above

#: Calls that find everything as they want it.
NOTHING_TO_DO: dict[str, Call] = {
    "create_models, skipping": lambda models, _: models.create_models([CreateModel(name="m")], on_conflict="skip"),
    "create_models, updating": lambda models, _: models.create_models(
        [CreateModel(name="m", task="old", tags={"lang": "en"})], on_conflict="update"
    ),
    "create_models, none": lambda models, _: models.create_models([]),
    "restore_model": lambda models, world: models.restore_model(world.model.id),
    "register": lambda models, _: models.register(fetched("a"), version="one"),
    "copy_version": lambda models, world: models.copy_version(world.first.id, world.model.id),
    "update_version": lambda models, world: models.update_version(world.first.id, UpdateVersion(status="ready")),
    "update_version, its files": lambda models, world: models.update_version(world.draft.id, UpdateVersion(files=())),
    "update_version, its attributes": lambda models, world: models.update_version(
        world.first.id, UpdateVersion(attributes={}, description=None), expected_revision=1
    ),
    "create_alias": lambda models, world: models.set_alias(world.first.id, "staging"),
    "set_model_tag": lambda models, world: models.set_model_tag(world.model.id, "lang", "en"),
    "replace_model_tags": lambda models, world: models.replace_model_tags(world.model.id, {"lang": "en"}),
    "replace_version_tags": lambda models, world: models.replace_version_tags(world.first.id, {"stage": "raw"}),
    "update_config": lambda models, world: models.update_config(
        world.usual.id, UpdateModelConfig(name="usual", is_default=True)
    ),
    "set_parent": lambda models, world: models.set_parent(
        world.second.id, CreateParent(version_id=world.first.id, relation="fine-tuned")
    ),
}
