"""Every call that a registry filled by `populate` refuses, and how."""

from collections.abc import Iterator
from typing import cast
from uuid import uuid4

from kamiwaza_sdk import (
    AliasAlreadyExistsException,
    AliasNotFoundException,
    BulkException,
    CreateModel,
    CreateModelConfig,
    CreateParent,
    CreateVersion,
    InUseException,
    InvalidInputException,
    LineageCycleException,
    ModelAlreadyExistsException,
    ModelConfigAlreadyExistsException,
    ModelConfigNotFoundException,
    ModelNotFoundException,
    ModelVersionSchema,
    RevisionConflictException,
    ServiceException,
    TagNotFoundException,
    UpdateModel,
    UpdateModelConfig,
    UpdateVersion,
    VersionAlreadyExistsException,
    VersionNotFoundException,
    VersionStatusException,
)
from tests.model.world import Call, fetched, files


def _breaking() -> Iterator[CreateModel]:
    yield CreateModel(name="new")
    yield cast("CreateModel", None)


UNKNOWN = uuid4()
_TAGS = {str(number): "" for number in range(1000)}
_CHILD = CreateParent(version_id=UNKNOWN, relation="merged")


def _draft(*parents: CreateParent) -> CreateVersion:
    return CreateVersion(status="draft", derived_from=parents)


def _of(version: ModelVersionSchema) -> CreateParent:
    return CreateParent(version_id=version.id, relation="merged")


Refusals = dict[str, tuple[type[ServiceException], Call]]

REFUSED_TO_MODELS: Refusals = {
    "create_model": (ModelAlreadyExistsException, lambda m, _: m.create_model(CreateModel(name="m"))),
    "create_model, deleted": (ModelAlreadyExistsException, lambda m, _: m.create_model(CreateModel(name="gone"))),
    "create_models": (BulkException, lambda m, _: m.create_models([CreateModel(name="new"), CreateModel(name="m")])),
    "create_models, updating": (
        BulkException,
        lambda m, _: m.create_models(
            [CreateModel(name="m", task="new"), CreateModel(name="gone")], on_conflict="update"
        ),
    ),
    "create_models, over the limit": (
        BulkException,
        lambda m, _: m.create_models([CreateModel(name="m", task="new", tags=_TAGS)], on_conflict="update"),
    ),
    "create_models, invalid": (BulkException, lambda m, _: m.create_models(_breaking())),
    "update_model": (
        ModelAlreadyExistsException,
        lambda m, w: m.update_model(w.model.id, UpdateModel(name="other", task="new")),
    ),
    "update_model, stale": (
        RevisionConflictException,
        lambda m, w: m.update_model(w.model.id, UpdateModel(task="new"), expected_revision=7),
    ),
    "update_model, missing": (ModelNotFoundException, lambda m, _: m.update_model(UNKNOWN, UpdateModel(task="new"))),
    "update_model, deleted": (
        ModelNotFoundException,
        lambda m, w: m.update_model(w.gone.id, UpdateModel(task="new")),
    ),
    "delete_model, missing": (ModelNotFoundException, lambda m, _: m.delete_model(UNKNOWN)),
    "delete_model, deleted": (ModelNotFoundException, lambda m, w: m.delete_model(w.gone.id)),
    "restore_model": (ModelNotFoundException, lambda m, _: m.restore_model(UNKNOWN)),
    "purge_model": (InUseException, lambda m, w: m.purge_model(w.model.id)),
    "purge_model, missing": (ModelNotFoundException, lambda m, _: m.purge_model(UNKNOWN)),
    "purge_model, no id": (InvalidInputException, lambda m, _: m.purge_model("m")),
    "set_model_tag": (InvalidInputException, lambda m, w: m.set_model_tag(w.model.id, "\0", "1")),
    "set_model_tag, missing": (ModelNotFoundException, lambda m, _: m.set_model_tag(UNKNOWN, "k", "v")),
    "set_model_tag, deleted": (ModelNotFoundException, lambda m, w: m.set_model_tag(w.gone.id, "k", "v")),
    "replace_model_tags": (
        InvalidInputException,
        lambda m, w: m.replace_model_tags(w.model.id, {**_TAGS, "one": "more"}),
    ),
    "delete_model_tag": (TagNotFoundException, lambda m, w: m.delete_model_tag(w.model.id, "none")),
    "set_version_tag": (InvalidInputException, lambda m, w: m.set_version_tag(w.first.id, "k", "x" * 5001)),
    "set_version_tag, deleted": (VersionNotFoundException, lambda m, w: m.set_version_tag(w.buried.id, "k", "v")),
    "replace_version_tags": (VersionNotFoundException, lambda m, _: m.replace_version_tags(UNKNOWN, {})),
    "delete_version_tag": (TagNotFoundException, lambda m, w: m.delete_version_tag(w.first.id, "none")),
    "create_config": (
        ModelConfigAlreadyExistsException,
        lambda m, w: m.create_config(CreateModelConfig(name="fast"), model_id=w.model.id),
    ),
    "create_config, default": (
        ModelConfigAlreadyExistsException,
        lambda m, w: m.create_config(CreateModelConfig(name="new", is_default=True), model_id=w.model.id),
    ),
    "create_config, default of a version": (
        ModelConfigAlreadyExistsException,
        lambda m, w: m.create_config(CreateModelConfig(name="new", is_default=True), version_id=w.first.id),
    ),
    "create_config, of both": (
        InvalidInputException,
        lambda m, w: m.create_config(CreateModelConfig(name="new"), model_id=w.model.id, version_id=w.first.id),
    ),
    "create_config, of none": (InvalidInputException, lambda m, _: m.create_config(CreateModelConfig(name="new"))),
    "create_config, missing": (
        ModelNotFoundException,
        lambda m, _: m.create_config(CreateModelConfig(name="new"), model_id=UNKNOWN),
    ),
    "create_config, deleted": (
        VersionNotFoundException,
        lambda m, w: m.create_config(CreateModelConfig(name="new"), version_id=w.buried.id),
    ),
    "update_config": (
        ModelConfigAlreadyExistsException,
        lambda m, w: m.update_config(w.fast.id, UpdateModelConfig(name="usual", is_default=True)),
    ),
    "update_config, missing": (
        ModelConfigNotFoundException,
        lambda m, _: m.update_config(UNKNOWN, UpdateModelConfig(name="new")),
    ),
    "delete_config": (ModelConfigNotFoundException, lambda m, _: m.delete_config(UNKNOWN)),
}

REFUSED_TO_VERSIONS: Refusals = {
    "create_version": (
        VersionAlreadyExistsException,
        lambda m, w: m.create_version(w.model.id, CreateVersion(files=files("n"), version="one")),
    ),
    "create_version, missing": (ModelNotFoundException, lambda m, _: m.create_version(UNKNOWN, _draft())),
    "create_version, deleted": (ModelNotFoundException, lambda m, w: m.create_version(w.gone.id, _draft())),
    "create_version, no parent": (
        VersionNotFoundException,
        lambda m, w: m.create_version(w.model.id, _draft(_of(w.first), _CHILD)),
    ),
    "create_version, parent deleted": (
        VersionNotFoundException,
        lambda m, w: m.create_version(w.model.id, _draft(_of(w.buried))),
    ),
    "register": (ModelAlreadyExistsException, lambda m, _: m.register(fetched("n", name="gone"))),
    "register, label": (VersionAlreadyExistsException, lambda m, _: m.register(fetched("n"), version="one")),
    "register, same files": (VersionAlreadyExistsException, lambda m, _: m.register(fetched("a"), version="two")),
    "register, a new model": (
        InvalidInputException,
        lambda m, _: m.register(fetched("n", name="new"), version="a/b"),
    ),
    "copy_version": (VersionStatusException, lambda m, w: m.copy_version(w.draft.id, w.other.id)),
    "copy_version, same files": (
        VersionAlreadyExistsException,
        lambda m, w: m.copy_version(w.first.id, w.model.id, version="two"),
    ),
    "copy_version, missing": (VersionNotFoundException, lambda m, w: m.copy_version(UNKNOWN, w.other.id)),
    "copy_version, to none": (ModelNotFoundException, lambda m, w: m.copy_version(w.first.id, UNKNOWN)),
    "copy_version, to a deleted one": (ModelNotFoundException, lambda m, w: m.copy_version(w.first.id, w.gone.id)),
    "update_version": (
        VersionAlreadyExistsException,
        lambda m, w: m.update_version(w.draft.id, UpdateVersion(version="one", files=files("d"))),
    ),
    "update_version, its files": (
        VersionStatusException,
        lambda m, w: m.update_version(w.spare.id, UpdateVersion(files=files("d"))),
    ),
    "update_version, without files": (
        VersionStatusException,
        lambda m, w: m.update_version(w.draft.id, UpdateVersion(status="ready")),
    ),
    "update_version, back": (
        VersionStatusException,
        lambda m, w: m.update_version(w.spare.id, UpdateVersion(status="draft")),
    ),
    "update_version, in use": (
        InUseException,
        lambda m, w: m.update_version(w.second.id, UpdateVersion(status="archived")),
    ),
    "update_version, stale": (
        RevisionConflictException,
        lambda m, w: m.update_version(w.spare.id, UpdateVersion(attributes={"a": 1}), expected_revision=7),
    ),
    "update_version, no revision": (
        InvalidInputException,
        lambda m, w: m.update_version(w.spare.id, UpdateVersion(attributes={"a": 1}), expected_revision=0),
    ),
    "update_version, deleted": (
        VersionNotFoundException,
        lambda m, w: m.update_version(w.buried.id, UpdateVersion(status="archived")),
    ),
    "delete_version": (InUseException, lambda m, w: m.delete_version(w.second.id)),
    "delete_version, missing": (VersionNotFoundException, lambda m, _: m.delete_version(UNKNOWN)),
    "create_alias": (AliasAlreadyExistsException, lambda m, w: m.create_alias(w.spare.id, "staging")),
    "create_alias, draft": (VersionStatusException, lambda m, w: m.create_alias(w.draft.id, "new")),
    "set_alias, draft": (VersionStatusException, lambda m, w: m.set_alias(w.draft.id, "staging")),
    "set_alias, deleted": (VersionNotFoundException, lambda m, w: m.set_alias(w.buried.id, "new")),
    "set_alias, missing": (VersionNotFoundException, lambda m, _: m.set_alias(UNKNOWN, "new")),
    "set_alias, name": (InvalidInputException, lambda m, w: m.set_alias(w.first.id, "latest")),
    "rollback_alias": (AliasNotFoundException, lambda m, w: m.rollback_alias(w.model.id, "staging")),
    "rollback_alias, missing": (AliasNotFoundException, lambda m, w: m.rollback_alias(w.model.id, "none")),
    "delete_alias": (AliasNotFoundException, lambda m, w: m.delete_alias(w.model.id, "none")),
    "delete_alias, deleted": (ModelNotFoundException, lambda m, w: m.delete_alias(w.gone.id, "production")),
    "set_parent, itself": (LineageCycleException, lambda m, w: m.set_parent(w.first.id, _of(w.first))),
    "set_parent, its child": (LineageCycleException, lambda m, w: m.set_parent(w.first.id, _of(w.second))),
    "set_parent, missing": (VersionNotFoundException, lambda m, w: m.set_parent(w.first.id, _CHILD)),
    "set_parent, deleted": (VersionNotFoundException, lambda m, w: m.set_parent(w.first.id, _of(w.buried))),
    "delete_parent": (VersionNotFoundException, lambda m, w: m.delete_parent(w.first.id, w.second.id)),
}
