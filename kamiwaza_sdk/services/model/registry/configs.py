"""Configurations of models and of versions."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, insert, select, update

from kamiwaza_sdk._validation import revalidated, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import ModelConfigAlreadyExistsException, ModelConfigNotFoundException
from kamiwaza_sdk.services.model.ids import uuid7
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelConfig, DBModelVersion
from kamiwaza_sdk.services.model.registry import models, versions
from kamiwaza_sdk.services.model.registry.changes import ModelChange, hold, hold_owner, remove, same
from kamiwaza_sdk.services.model.registry.tables import CONFIG, MODEL, bound, raw
from kamiwaza_sdk.services.model.schemas.config import CreateModelConfig, ModelConfigSchema, UpdateModelConfig
from kamiwaza_sdk.services.model.session import MAX_LIMIT, Scope, check_id

CONFIG_KEYS: Final = tuple(ModelConfigSchema.model_fields)

_SELECT: Final = (
    select(*raw(CONFIG, CONFIG_KEYS))
    .join_from(CONFIG, MODEL, (CONFIG.c.namespace == MODEL.c.namespace) & (CONFIG.c.model_id == MODEL.c.id))
    .where(CONFIG.c.namespace == bound(CONFIG, "namespace"), MODEL.c.deleted_at.is_(None))
)
_WITH_ID: Final = (CONFIG.c.namespace == bound(CONFIG, "namespace"), CONFIG.c.id == bound(CONFIG, "id"))

CONFIG_BY_ID: Final = _SELECT.where(CONFIG.c.id == bound(CONFIG, "id"))
#: Which model a configuration is of, deleted or not.
CONFIG_OWNER: Final = select(CONFIG.c.model_id).where(*_WITH_ID)
CONFIGS_OF_MODEL: Final = (
    _SELECT.where(
        CONFIG.c.model_id == bindparam("_owner_id", type_=CONFIG.c.model_id.type), CONFIG.c.version_id.is_(None)
    )
    .order_by(CONFIG.c.name)
    .limit(bindparam("_limit"))
)
CONFIGS_OF_VERSION: Final = (
    _SELECT.where(CONFIG.c.version_id == bindparam("_owner_id", type_=CONFIG.c.model_id.type))
    .order_by(CONFIG.c.name)
    .limit(bindparam("_limit"))
)
INSERT_CONFIG: Final = insert(CONFIG)
UPDATE_CONFIG: Final = update(CONFIG).where(*_WITH_ID)
DELETE_CONFIG: Final = delete(CONFIG).where(*_WITH_ID)


def create_config(
    scope: Scope, model_id: UUID | None, version_id: UUID | None, config: CreateModelConfig
) -> ModelConfigSchema:
    """Create a configuration of a model or of a version; refuse a name that is taken, or a second default."""
    config = revalidated(config, CreateModelConfig, "config")
    with scope.writing() as writing:
        change = _hold(writing, model_id, version_id)
        others = _all(writing, change.id, version_id)
        if len(others) >= MAX_LIMIT:
            raise InvalidInputException("config", f"would be one more than the limit of {MAX_LIMIT}; delete some")
        _check_taken(change, others, config.name, is_default=config.is_default)
        own = {"namespace": scope.namespace, "model_id": change.id, "version_id": version_id}
        moments = {"created_at": change.at, "updated_at": change.at}
        config_id = uuid7()
        writing.execute_many(INSERT_CONFIG, [{"id": config_id, **own, **config.model_dump(), **moments}])
        change.record("config.created", after=config.model_dump(), version_id=version_id)
        change.write(stale=("configs",))
        _forget(change, version_id)
        return get_config(writing, config_id)


def add(change: ModelChange, version_id: UUID | None, values: dict[str, Any]) -> bool:  # Any: of several columns
    """Add a configuration that was made elsewhere, unless its name is taken here, and tell whether it was.

    The default one stays the default one.
    """
    others = _all(change.scope, change.id, version_id)
    if any(values["name"] == other.name or values["id"] == other.id for other in others):
        return False
    is_default = values["is_default"] and not any(other.is_default for other in others)
    own = {"namespace": change.scope.namespace, "model_id": change.id, "is_default": is_default}
    change.scope.execute_many(INSERT_CONFIG, [{**values, **own}])
    told = {key: values[key] for key in CreateModelConfig.model_fields}
    change.record("config.created", after={**told, "is_default": is_default}, version_id=version_id)
    change.write(stale=("configs",))
    _forget(change, version_id)
    return True


def _hold(scope: Scope, model_id: UUID | None, version_id: UUID | None) -> ModelChange:
    _check_owner(model_id, version_id)
    return hold_owner(scope, version_id) if version_id is not None else hold(scope, check_id(model_id, "model_id"))


def _check_owner(model_id: UUID | None, version_id: UUID | None) -> None:
    if (model_id is None) == (version_id is None):
        raise InvalidInputException("version_id", "and model_id: give one of them, for whose configurations it is")


def _check_taken(change: ModelChange, others: Sequence[ModelConfigSchema], name: str, *, is_default: bool) -> None:
    for other in others:
        if other.name == name or (is_default and other.is_default):
            raise _taken(change, other, is_default=other.name != name)


def _taken(change: ModelChange, other: ModelConfigSchema, *, is_default: bool) -> ModelConfigAlreadyExistsException:
    owner = other.version_id or other.model_id
    return ModelConfigAlreadyExistsException(
        name=other.name, owner=owner, namespace=change.scope.namespace, is_default=is_default
    )


def get_config(scope: Scope, config_id: UUID) -> ModelConfigSchema:
    """Return a configuration by its id."""
    row = scope.execute(CONFIG_BY_ID, _id=check_id(config_id, "config_id")).one_or_none()
    if row is None:
        owner = scope.execute(CONFIG_OWNER, _id=config_id).scalar_one_or_none()
        raise ModelConfigNotFoundException(config=config_id, namespace=scope.namespace, deleted=owner)
    return _schema(row)


def list_configs(scope: Scope, model_id: UUID | None, version_id: UUID | None) -> list[ModelConfigSchema]:
    """Return the configurations of a model or of a version, by name."""
    _check_owner(model_id, version_id)
    found = _all(scope, model_id, version_id)
    if not found and model_id is not None:
        models.get(scope, model_id)  # raises where it is the owner that is missing
    elif not found and version_id is not None:
        versions.get(scope, version_id)  # as above
    return found


def default_config(scope: Scope, model_id: UUID | None, version_id: UUID | None) -> ModelConfigSchema:
    """Return the default configuration of a model, or of a version: its own, or else that of its model."""
    found = [config for config in list_configs(scope, model_id, version_id) if config.is_default]
    if not found and version_id is not None:
        return default_config(scope, versions.get(scope, version_id).model_id, None)
    if not found:
        raise ModelConfigNotFoundException(config=None, namespace=scope.namespace)
    return found[0]


def _all(scope: Scope, model_id: UUID | None, version_id: UUID | None) -> list[ModelConfigSchema]:
    statement = CONFIGS_OF_MODEL if version_id is None else CONFIGS_OF_VERSION
    owner_id = check_id(version_id or model_id, "model_id" if version_id is None else "version_id")
    return [_schema(row) for row in scope.execute(statement, _owner_id=owner_id, _limit=MAX_LIMIT)]


def update_config(scope: Scope, config_id: UUID, changes: UpdateModelConfig) -> ModelConfigSchema:
    """Change the fields that are given. Where it becomes the default, the one that was is so no longer."""
    values = revalidated(changes, UpdateModelConfig, "changes", only_given=True).changes()
    with scope.writing() as writing:
        change = hold(writing, get_config(writing, config_id).model_id)
        current = get_config(writing, config_id)  # once more, now that the row is held
        if "name" in values and values["name"] != current.name:
            others = _all(writing, current.model_id, current.version_id)
            _check_taken(change, others, values["name"], is_default=False)
        if values.get("is_default"):
            _take_default(change, current)
        new = {key: value for key, value in values.items() if not same(getattr(current, key), value)}
        if new:
            _write(change, current, new)
        return get_config(writing, config_id)


def _take_default(change: ModelChange, current: ModelConfigSchema) -> None:
    for other in _all(change.scope, current.model_id, current.version_id):
        if other.is_default and other.id != current.id:
            _write(change, other, {"is_default": False}, last=False)


def _write(
    change: ModelChange,
    current: ModelConfigSchema,
    new: dict[str, Any],  # Any: values of several columns
    *,
    last: bool = True,
) -> None:
    before = {"name": current.name, **{key: getattr(current, key) for key in new}}
    change.record("config.updated", before=before, after={"name": current.name, **new}, version_id=current.version_id)
    values = {**new, "updated_at": change.at}
    change.scope.execute(UPDATE_CONFIG, _id=current.id, **values)
    refresh(change.scope.db, DBModelConfig, current.id, values)
    if last:
        change.write()


def delete_config(scope: Scope, config_id: UUID) -> None:
    """Delete a configuration."""
    with scope.writing() as writing:
        change = hold(writing, get_config(writing, config_id).model_id)
        current = get_config(writing, config_id)
        what = f"configuration {shown(current.name)}"
        remove(change, DELETE_CONFIG, what, version_id=current.version_id, _id=config_id)
        before = current.model_dump(mode="json", include=set(CreateModelConfig.model_fields))
        change.record("config.deleted", before=before, version_id=current.version_id)
        change.write(stale=("configs",))
        refresh(scope.db, DBModelConfig, config_id)
        _forget(change, current.version_id)


def _forget(change: ModelChange, version_id: UUID | None) -> None:
    """Let the host's loaded version find out anew which configurations it has."""
    if version_id is not None:
        refresh(change.scope.db, DBModelVersion, version_id, {}, stale=("configs",))


def _schema(row: Row[Any]) -> ModelConfigSchema:  # Any: values of several columns
    return ModelConfigSchema.model_validate(dict(zip(CONFIG_KEYS, row, strict=True)))
