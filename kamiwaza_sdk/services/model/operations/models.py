"""What `ModelService` does with models, as functions over a `Scope`."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from kamiwaza_sdk._ids import uuid7
from kamiwaza_sdk._validation import check_name, check_text, revalidated
from kamiwaza_sdk.services.model import statements
from kamiwaza_sdk.services.model.exceptions import ModelAlreadyExistsException, ModelNotFoundException
from kamiwaza_sdk.services.model.schemas.model import CreateModel, ModelSchema, UpdateModel
from kamiwaza_sdk.services.model.scope import Scope, check_id, check_limit
from kamiwaza_sdk.services.model.session import dialect_name, flush, refresh, savepoint

__all__ = ["create", "delete", "find_by_name", "get", "get_by_name", "insert", "page", "restore", "taken", "update"]

_PAGE: Final = TypeAdapter(list[ModelSchema], config=ConfigDict(defer_build=True))


def create(scope: Scope, model: CreateModel) -> ModelSchema:
    """Create a model, or raise `ModelAlreadyExistsException`."""
    model = revalidated(model, CreateModel, "model")
    created = insert(scope, model)
    if created is None:
        raise taken(scope, model.name, find_by_name(scope, model.name))
    return created


def insert(scope: Scope, model: CreateModel) -> ModelSchema | None:
    """Create a model, or return `None` where the name is taken."""
    now = datetime.now(UTC)
    row = scope.execute(
        statements.insert_model(dialect_name(scope.db)),
        **model.model_dump(),
        id=uuid7(),
        namespace=scope.namespace,
        revision=1,
        last_number=0,
        created_at=now,
        updated_at=now,
    ).one_or_none()
    return None if row is None else _schema(row)


def get(scope: Scope, model_id: UUID) -> ModelSchema:
    """Return a model that is not deleted."""
    row = scope.execute(statements.MODEL_BY_ID, _id=check_id(model_id, "model_id")).one_or_none()
    return _living(scope, None if row is None else _schema(row), model_id)


def get_by_name(scope: Scope, name: str) -> ModelSchema:
    """Return a model that is not deleted, by its name."""
    name = check_name(name)
    return _living(scope, find_by_name(scope, name), name)


def find_by_name(scope: Scope, name: str) -> ModelSchema | None:
    """Return the model that has the name, deleted or not."""
    row = scope.execute(statements.MODEL_BY_NAME, _name=name).one_or_none()
    return None if row is None else _schema(row)


def page(scope: Scope, *, after: str, limit: int) -> list[ModelSchema]:
    """Return models by name, from the one after `after` on."""
    rows = scope.execute(statements.MODEL_PAGE, _name=check_text(after, field="after"), _limit=check_limit(limit))
    return _PAGE.validate_python([dict(zip(statements.MODEL_KEYS, row, strict=True)) for row in rows])


def update(scope: Scope, model_id: UUID, changes: UpdateModel) -> ModelSchema:
    """Change the fields that are given."""
    values = revalidated(changes, UpdateModel, "changes", only_given=True).changes()
    values.update(_id=check_id(model_id, "model_id"), updated_at=datetime.now(UTC))
    row = _rename(scope, values) if "name" in values else _update(scope, values)
    return _changed(scope, row, model_id)


def _update(scope: Scope, values: dict[str, Any]) -> Row[Any] | None:  # Any: values of several columns
    return scope.execute(statements.UPDATE_MODEL, **values).one_or_none()


def _rename(scope: Scope, values: dict[str, Any]) -> Row[Any] | None:  # Any: values of several columns
    """Update where a constraint, the only one that an update can meet, may refuse."""
    flush(scope.db)  # outside of the guard: what fails here is the host's own row
    try:
        with savepoint(scope.db):
            return _update(scope, values)
    except IntegrityError as error:
        raise taken(scope, values["name"], find_by_name(scope, values["name"])) from error


def delete(scope: Scope, model_id: UUID) -> None:
    """Mark a model as deleted."""
    now = datetime.now(UTC)
    row = scope.execute(
        statements.MODEL_STATE, _id=check_id(model_id, "model_id"), _living=True, deleted_at=now, updated_at=now
    ).one_or_none()
    _changed(scope, row, model_id)


def restore(scope: Scope, model_id: UUID) -> ModelSchema:
    """Take the mark away; do nothing where there is none."""
    row = scope.execute(
        statements.MODEL_STATE,
        _id=check_id(model_id, "model_id"),
        _living=False,
        deleted_at=None,
        updated_at=datetime.now(UTC),
    ).one_or_none()
    return _changed(scope, row, model_id)


def _schema(row: Row[Any]) -> ModelSchema:  # Any: values of several columns
    return ModelSchema.model_validate(dict(zip(statements.MODEL_KEYS, row, strict=True)))


def _living(scope: Scope, model: ModelSchema | None, asked_for: UUID | str) -> ModelSchema:
    if model is None:
        raise ModelNotFoundException(model=asked_for, namespace=scope.namespace)
    if model.deleted_at is not None:
        raise ModelNotFoundException(model=asked_for, namespace=scope.namespace, deleted=model.id)
    return model


def _changed(scope: Scope, row: Row[Any] | None, model_id: UUID) -> ModelSchema:  # Any: as above
    if row is None:
        return get(scope, model_id)  # raises, but where a restore found nothing to do
    changed = _schema(row)
    refresh(scope.db, model_id, changed.model_dump(), stale=())
    return changed


def taken(scope: Scope, name: str, holder: ModelSchema | None) -> ModelAlreadyExistsException:
    """Return the error that says who has the name; `None` where that is gone by now, or not yet to be seen."""
    return ModelAlreadyExistsException(
        name=name,
        namespace=scope.namespace,
        model_id=None if holder is None else holder.id,
        deleted=holder is not None and holder.deleted_at is not None,
    )
