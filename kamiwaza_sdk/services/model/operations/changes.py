"""How a change is made: the model's row is held, the change is written, and an event tells of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Delete, RowMapping
from sqlalchemy.exc import IntegrityError

from kamiwaza_sdk.services.model.exceptions import (
    ModelInUseException,
    ModelNotFoundException,
    VersionInUseException,
    VersionNotFoundException,
)
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModel
from kamiwaza_sdk.services.model.schemas.event import EventKind
from kamiwaza_sdk.services.model.scope import Scope, check_id
from kamiwaza_sdk.services.model.statements.events import INSERT_EVENTS
from kamiwaza_sdk.services.model.statements.models import LOCK_MODEL, LOCK_MODEL_BY_NAME, UPDATE_MODEL
from kamiwaza_sdk.services.model.statements.versions import VERSION_OWNER

__all__ = [
    "ModelChange",
    "event_row",
    "hold",
    "hold_any",
    "hold_named",
    "hold_owner",
    "missing",
    "missing_version",
    "remove",
    "same",
]


class ModelChange:
    """What one call changes about a model, or about something that belongs to it.

    The model's row is held, so that its events have the order of their commits, and each a later moment.

    Attributes:
        scope: Where to write.
        row: The model, as it was.
        id: Its id.
        at: The moment of the change. Taken once the row is held, and never before an earlier change.
    """

    def __init__(self, scope: Scope, row: RowMapping) -> None:
        self.scope = scope
        self.row = row
        self.id: UUID = row["id"]
        self.at: datetime = max(datetime.now(UTC), row["last_event_at"] or row["created_at"])
        self._last: int = row["last_event"]
        self._events: list[dict[str, object]] = []

    def record(
        self,
        kind: EventKind,
        *,
        before: Mapping[str, JsonValue] | None = None,
        after: Mapping[str, JsonValue] | None = None,
        version_id: UUID | None = None,
        alias: str | None = None,
    ) -> None:
        """Note an event, which `write` appends to the history."""
        self._last += 1
        event = event_row(self.scope, self.id, self._last, kind, self.at, before=before, after=after)
        self._events.append(event | {"version_id": version_id, "alias": alias})

    def write(self, *, stale: tuple[str, ...] = (), **values: Any) -> None:  # Any: values of several columns
        """Write values of the model's own, and the events."""
        state = {"last_event": self._last, "last_event_at": self.at}
        self.scope.execute(UPDATE_MODEL, _id=self.id, **values, **state)
        self.scope.execute_many(INSERT_EVENTS, self._events)
        self._events = []
        refresh(self.scope.db, DBModel, self.id, {**values, **state}, stale=stale)


def event_row(
    scope: Scope,
    model_id: UUID,
    sequence: int,
    kind: EventKind,
    at: datetime,
    *,
    before: Mapping[str, JsonValue] | None = None,
    after: Mapping[str, JsonValue] | None = None,
) -> dict[str, object]:
    """Return the row of an event."""
    return {
        "model_id": model_id,
        "sequence": sequence,
        "namespace": scope.namespace,
        "at": at,
        "kind": kind,
        "actor": scope.actor,
        "version_id": None,
        "alias": None,
        "before": dict(before or {}),
        "after": dict(after or {}),
    }


def same(one: object, other: object) -> bool:
    """Tell whether two values are the same in JSON too, where a truth value is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def hold(scope: Scope, model_id: UUID) -> ModelChange:
    """Hold the row of a model that is not deleted until the transaction ends."""
    change = hold_any(scope, model_id)
    if change.row["deleted_at"] is not None:
        raise ModelNotFoundException(model=model_id, namespace=scope.namespace, deleted=model_id)
    return change


def hold_any(scope: Scope, model_id: UUID) -> ModelChange:
    """Hold the row of a model, deleted or not, until the transaction ends."""
    row = scope.execute(LOCK_MODEL, _id=check_id(model_id, "model_id")).mappings().one_or_none()
    if row is None:
        raise missing(scope, model_id)
    return ModelChange(scope, row)


def hold_named(scope: Scope, name: str) -> ModelChange | None:
    """Hold the row of the model that has a name, deleted or not, until the transaction ends; `None` where none has."""
    row = scope.execute(LOCK_MODEL_BY_NAME, _name=name).mappings().one_or_none()
    return None if row is None else ModelChange(scope, row)


def hold_owner(scope: Scope, version_id: UUID) -> ModelChange:
    """Hold the row of the model that a version is of. Whoever holds it can change the version, or delete it."""
    model_id = _owner(scope, version_id)
    if model_id is not None:
        change = hold_any(scope, model_id)
        # Once more: whoever held the row before may have deleted the version.
        if change.row["deleted_at"] is None and _owner(scope, version_id) is not None:
            return change
    raise missing_version(scope, version_id)


def remove(
    change: ModelChange,
    statement: Delete,
    what: str,
    *,
    version_id: UUID | None,
    **keys: Any,  # Any: values of several columns
) -> None:
    """Delete what belongs to a model, or to a version of it; refuse where rows of the application's own refer to it."""
    try:
        change.scope.execute(statement, **keys)
    except IntegrityError as error:
        reason = f"rows of the application's own refer to its {what}; remove those first"
        if version_id is not None:
            raise VersionInUseException(version=version_id, reason=reason) from error
        raise ModelInUseException(model=change.id, reason=reason, what="changed") from error


def _owner(scope: Scope, version_id: UUID) -> UUID | None:
    owner: UUID | None = scope.execute(VERSION_OWNER, _id=check_id(version_id, "version_id")).scalar_one_or_none()
    return owner


def missing_version(scope: Scope, version_id: UUID) -> VersionNotFoundException:
    """Return the error that says that there is no such version, or that its model is deleted."""
    return VersionNotFoundException(version=version_id, namespace=scope.namespace, deleted=_owner(scope, version_id))


def missing(scope: Scope, model: UUID | str) -> ModelNotFoundException:
    """Return the error that says that there is no such model."""
    return ModelNotFoundException(model=model, namespace=scope.namespace)
