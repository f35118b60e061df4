"""Aliases: set, move, delete, roll back, and what they led to once."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import (
    AliasAlreadyExistsException,
    AliasNotFoundException,
    VersionNotFoundException,
    VersionStatusException,
)
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelAlias, DBModelVersion
from kamiwaza_sdk.services.model.registry import files, versions
from kamiwaza_sdk.services.model.registry.changes import ModelChange, hold, hold_owner, remove
from kamiwaza_sdk.services.model.registry.files import refusal, violations_of
from kamiwaza_sdk.services.model.schemas.config import EventKind
from kamiwaza_sdk.services.model.schemas.fields import MAX_ALIASES, check_alias
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema
from kamiwaza_sdk.services.model.session import Scope


def create_alias(scope: Scope, version_id: UUID, alias: str) -> ModelVersionSchema:
    """Let a new alias lead to a version."""
    return _lead(scope, version_id, alias, may_move=False)


def set_alias(scope: Scope, version_id: UUID, alias: str) -> ModelVersionSchema:
    """Let an alias lead to a version, wherever it led before."""
    return _lead(scope, version_id, alias, may_move=True)


def _lead(scope: Scope, version_id: UUID, alias: str, *, may_move: bool) -> ModelVersionSchema:
    alias = check_alias(alias)
    with scope.writing() as writing:
        change = hold_owner(writing, version_id)
        before = _target(change, alias)
        if before is not None and not may_move:
            raise AliasAlreadyExistsException(
                alias=alias, model=change.row["name"], number=before[1], namespace=scope.namespace
            )
        if before is None or before[0] != version_id:
            _move(change, alias, before, versions.get(writing, version_id), kind="alias.set")
        return versions.get(writing, version_id)


def _target(change: ModelChange, alias: str) -> tuple[UUID, int] | None:
    row = change.scope.execute(files.ALIAS_TARGET, _model_id=change.id, _alias=alias).one_or_none()
    return None if row is None else (row.version_id, row.number)


def _move(
    change: ModelChange, alias: str, before: tuple[UUID, int] | None, version: ModelVersionSchema, *, kind: EventKind
) -> None:
    if version.status == "failed" and violations_of(version):
        raise refusal(version, "update_version(…, status='ready', force=True) lets it have aliases all the same")
    if version.status != "ready":
        reason = "an alias leads to a ready version only; update_version() makes it ready"
        raise VersionStatusException(version=version.id, status=version.status, reason=reason)
    values = {"version_id": version.id, "number": version.number, "updated_at": change.at}
    if before is None:
        _check_room(change)
        own = {"namespace": version.namespace, "model_id": change.id, "alias": alias}
        change.scope.execute_many(files.INSERT_ALIAS, [{**own, **values}])
    else:
        change.scope.execute(files.MOVE_ALIAS, _model_id=change.id, _alias=alias, **values)
    after: dict[str, JsonValue] = {"version_id": str(version.id), "number": version.number}
    change.record(kind, before=_shown(before), after=after, version_id=version.id, alias=alias)
    change.write(stale=("aliases",))
    refresh(change.scope.db, DBModelAlias, (change.id, alias), values, stale=("model_version",))
    _forget(change, version.id, *([] if before is None else [before[0]]))


def _check_room(change: ModelChange) -> None:
    if change.scope.execute(files.COUNT_ALIASES, _model_id=change.id).scalar_one() >= MAX_ALIASES:
        raise InvalidInputException("alias", f"would be one more than the limit of {MAX_ALIASES}; delete_alias() some")


def _shown(target: tuple[UUID, int] | None) -> dict[str, JsonValue]:
    return {} if target is None else {"version_id": str(target[0]), "number": target[1]}


def _forget(change: ModelChange, *version_ids: UUID) -> None:
    """Let the host's loaded versions find out anew which aliases lead to them."""
    for version_id in version_ids:
        refresh(change.scope.db, DBModelVersion, version_id, {}, stale=("aliases",))


def delete_alias(scope: Scope, model_id: UUID, alias: str) -> None:
    """Delete an alias."""
    alias = check_alias(alias)
    with scope.writing() as writing:
        change = hold(writing, model_id)
        before = _existing(change, alias)
        keys = {"_model_id": model_id, "_alias": alias}
        remove(change, files.DELETE_ALIAS, f"alias {shown(alias)}", version_id=None, **keys)
        change.record("alias.deleted", before=_shown(before), version_id=before[0], alias=alias)
        change.write(stale=("aliases",))
        refresh(scope.db, DBModelAlias, (model_id, alias))
        _forget(change, before[0])


def _existing(change: ModelChange, alias: str) -> tuple[UUID, int]:
    target = _target(change, alias)
    if target is None:
        raise AliasNotFoundException(alias=alias, model=change.row["name"], namespace=change.scope.namespace)
    return target


def roll_back_alias(scope: Scope, model_id: UUID, alias: str) -> ModelVersionSchema:
    """Let an alias lead to where it led before; once more, to where it led before that."""
    alias = check_alias(alias)
    with scope.writing() as writing:
        change = hold(writing, model_id)
        before = _existing(change, alias)
        version = versions.get(writing, _previous(change, alias))
        _move(change, alias, before, version, kind="alias.rolled_back")
        return versions.get(writing, version.id)


def _previous(change: ModelChange, alias: str) -> UUID:
    """Return where an alias led before: what was rolled back counts as if it had never been set."""
    trail: list[UUID] = []
    for event in change.scope.execute(files.ALIAS_HISTORY, _model_id=change.id, _alias=alias):
        if event.kind == "alias.rolled_back":
            del trail[-1:]
        elif event.kind == "alias.set" and trail[-1:] != [UUID(str(event.version_id))]:  # set again as it was
            trail.append(UUID(str(event.version_id)))
    if len(trail) > 1:
        return trail[-2]
    reason = "it has led nowhere else before; set_alias() moves it"
    raise AliasNotFoundException(alias=alias, model=change.row["name"], namespace=change.scope.namespace, reason=reason)


def alias_at(scope: Scope, model_id: UUID, name: str, alias: str, at: datetime) -> ModelVersionSchema:
    """Return the version that an alias led to at a moment, as it is now."""
    event = scope.execute(files.ALIAS_AT, _model_id=model_id, _alias=alias, _at=at).one_or_none()
    if event is None or event.kind == "alias.deleted":
        reason = f"there was none at {at.isoformat()}; list_events() tells what it went through"
        raise AliasNotFoundException(alias=alias, model=name, namespace=scope.namespace, reason=reason)
    try:
        return versions.get(scope, UUID(str(event.version_id)))
    except VersionNotFoundException as error:
        way_out = "the alias led to it, and it has been deleted since"
        raise VersionNotFoundException(version=error.version, namespace=scope.namespace, way_out=way_out) from error
