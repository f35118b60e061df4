"""Aliases: set, move, delete, roll back, and what they led to once."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column, ColumnElement, Integer, RowMapping, delete, func, insert, select, update

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
from kamiwaza_sdk.services.model.registry import versions
from kamiwaza_sdk.services.model.registry.changes import (
    ModelChange,
    Step,
    hold,
    hold_owner,
    locking,
    locking_owner,
    missing_version,
    remove,
)
from kamiwaza_sdk.services.model.registry.files import SUMMARY_COLUMNS, SUMMARY_KEYS, refusal, violations_of
from kamiwaza_sdk.services.model.registry.tables import ALIAS, EVENT, MODEL, VERSION, bound, given, quick, raw
from kamiwaza_sdk.services.model.schemas.config import EventKind
from kamiwaza_sdk.services.model.schemas.fields import MAX_ALIASES, check_alias
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema, VersionSummarySchema
from kamiwaza_sdk.services.model.session import Scope

_ALIASES_OF_MODEL: Final = (
    ALIAS.c.namespace == bound(ALIAS, "namespace"),
    ALIAS.c.model_id == bound(ALIAS, "model_id"),
    ALIAS.c.alias == bound(ALIAS, "alias"),
)
INSERT_ALIAS: Final = insert(ALIAS).values(given(ALIAS, "alias"))
MOVE_ALIAS: Final = (
    update(ALIAS).where(*_ALIASES_OF_MODEL).values(given(ALIAS, "alias", "version_id", "number", "updated_at"))
)
DELETE_ALIAS: Final = delete(ALIAS).where(*_ALIASES_OF_MODEL)
_OF_HELD: Final = (ALIAS.c.namespace == MODEL.c.namespace, ALIAS.c.model_id == MODEL.c.id)


def _target(column: Column[Any]) -> ColumnElement[Any]:  # Any: an id or a number
    found = select(column).where(*_OF_HELD, ALIAS.c.alias == bound(ALIAS, "alias")).correlate(MODEL).scalar_subquery()
    return found.label(f"target_{column.key}")


#: The version that an alias leads to, and how many aliases there are.
_TARGET: Final = (
    _target(ALIAS.c.version_id),
    _target(ALIAS.c.number),
    select(func.count(type_=Integer)).where(*_OF_HELD).correlate(MODEL).scalar_subquery().label("aliases"),
)
LOCK_MODEL: Final = locking(*_TARGET)
LOCK_OWNER: Final = locking_owner(*_TARGET, *SUMMARY_COLUMNS)
SUMMARY: Final = quick(
    select(*SUMMARY_COLUMNS)
    .join_from(VERSION, MODEL, (VERSION.c.namespace == MODEL.c.namespace) & (VERSION.c.model_id == MODEL.c.id))
    .where(
        VERSION.c.namespace == bound(VERSION, "namespace"),
        VERSION.c.id == bound(VERSION, "id"),
        MODEL.c.deleted_at.is_(None),
    )
)
_EVENTS: Final = select(*raw(EVENT, ("kind", "version_id"))).where(
    EVENT.c.namespace == bound(EVENT, "namespace"),
    EVENT.c.model_id == bound(EVENT, "model_id"),
    EVENT.c.alias == bound(EVENT, "alias"),
)
#: What an alias went through, from the first on.
ALIAS_HISTORY: Final = _EVENTS.order_by(EVENT.c.sequence)
#: The last that it had gone through at a moment.
ALIAS_AT: Final = _EVENTS.where(EVENT.c.at <= bound(EVENT, "at")).order_by(EVENT.c.sequence.desc()).limit(1)


def create_alias(scope: Scope, version_id: UUID, alias: str) -> VersionSummarySchema:
    """Let a new alias lead to a version."""
    return _lead(scope, version_id, alias, may_move=False)


def set_alias(scope: Scope, version_id: UUID, alias: str) -> VersionSummarySchema:
    """Let an alias lead to a version, wherever it led before."""
    return _lead(scope, version_id, alias, may_move=True)


def _lead(scope: Scope, version_id: UUID, alias: str, *, may_move: bool) -> VersionSummarySchema:
    alias = check_alias(alias)
    with scope.writing() as writing:
        change = hold_owner(writing, version_id, LOCK_OWNER, _alias=alias)
        before, version = _before(change), _summary(change.row)
        if before is not None and not may_move:
            raise AliasAlreadyExistsException(
                alias=alias, model=change.row["name"], number=before[1], namespace=scope.namespace
            )
        if before is not None and before[0] == version_id:
            return version
        return _move(change, alias, before, version, kind="alias.set")


def _before(change: ModelChange) -> tuple[UUID, int] | None:
    version_id = change.row["target_version_id"]
    return None if version_id is None else (version_id, change.row["target_number"])


def _summary(row: RowMapping) -> VersionSummarySchema:
    return VersionSummarySchema.model_validate({key: row[f"version_{key}"] for key in SUMMARY_KEYS})


def lead_new(scope: Scope, model_id: UUID, version_id: UUID, alias: str) -> UUID | None:
    """Let an alias lead to a version where the model has none of that name; else return where it leads."""
    change = hold_owner(scope, version_id, LOCK_OWNER, _alias=alias)
    if change.id != model_id:
        raise missing_version(scope, version_id)
    before = _before(change)
    if before is not None:
        return before[0]
    _move(change, alias, None, _summary(change.row), kind="alias.set")
    return None


def _move(
    change: ModelChange, alias: str, before: tuple[UUID, int] | None, version: VersionSummarySchema, *, kind: EventKind
) -> VersionSummarySchema:
    if version.status == "failed" and violations_of(version):
        raise refusal(version, "update_version(…, status='ready', force=True) lets it have aliases all the same")
    if version.status != "ready":
        reason = "an alias leads to a ready version only; update_version() makes it ready"
        raise VersionStatusException(version=version.id, status=version.status, reason=reason)
    if before is None and change.row["aliases"] >= MAX_ALIASES:
        raise InvalidInputException("alias", f"would be one more than the limit of {MAX_ALIASES}; delete_alias() some")
    values = {"version_id": version.id, "number": version.number, "updated_at": change.at}
    after: dict[str, JsonValue] = {"version_id": str(version.id), "number": version.number}
    change.record(kind, before=_shown(before), after=after, version_id=version.id, alias=alias)
    change.write(_step(change, alias, values, is_new=before is None), stale=("aliases",))
    refresh(change.scope.db, DBModelAlias, (change.id, alias), values, stale=("model_version",))
    _forget(change, version.id, *([] if before is None else [before[0]]))
    return version.model_copy(update={"aliases": tuple(sorted({*version.aliases, alias}))})


def _step(change: ModelChange, alias: str, values: dict[str, object], *, is_new: bool) -> Step:
    own = {"namespace": change.scope.namespace, "model_id": change.id, "alias": alias}
    given_ = {f"alias_{key}": value for key, value in (values | own if is_new else values).items()}
    return (
        Step(INSERT_ALIAS, given_) if is_new else Step(MOVE_ALIAS, given_ | {"_model_id": change.id, "_alias": alias})
    )


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
        change = hold(writing, model_id, LOCK_MODEL, _alias=alias)
        before = _existing(change, alias)
        keys = {"_model_id": model_id, "_alias": alias}
        remove(change, DELETE_ALIAS, f"alias {shown(alias)}", version_id=None, **keys)
        change.record("alias.deleted", before=_shown(before), version_id=before[0], alias=alias)
        change.write(stale=("aliases",))
        refresh(scope.db, DBModelAlias, (model_id, alias))
        _forget(change, before[0])


def _existing(change: ModelChange, alias: str) -> tuple[UUID, int]:
    target = _before(change)
    if target is None:
        raise AliasNotFoundException(alias=alias, model=change.row["name"], namespace=change.scope.namespace)
    return target


def roll_back_alias(scope: Scope, model_id: UUID, alias: str) -> VersionSummarySchema:
    """Let an alias lead to where it led before; once more, to where it led before that."""
    alias = check_alias(alias)
    with scope.writing() as writing:
        change = hold(writing, model_id, LOCK_MODEL, _alias=alias)
        before, previous = _existing(change, alias), _previous(change, alias)
        row = writing.execute(SUMMARY, _id=previous).mappings().one_or_none()
        if row is None:
            raise missing_version(writing, previous)
        return _move(change, alias, before, _summary(row), kind="alias.rolled_back")


def _previous(change: ModelChange, alias: str) -> UUID:
    """Return where an alias led before: what was rolled back counts as if it had never been set."""
    trail: list[UUID] = []
    for event in change.scope.execute(ALIAS_HISTORY, _model_id=change.id, _alias=alias):
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
    event = scope.execute(ALIAS_AT, _model_id=model_id, _alias=alias, _at=at).one_or_none()
    if event is None or event.kind == "alias.deleted":
        reason = f"there was none at {at.isoformat()}; list_events() tells what it went through"
        raise AliasNotFoundException(alias=alias, model=name, namespace=scope.namespace, reason=reason)
    try:
        return versions.get(scope, UUID(str(event.version_id)))
    except VersionNotFoundException as error:
        way_out = "the alias led to it, and it has been deleted since"
        raise VersionNotFoundException(version=error.version, namespace=scope.namespace, way_out=way_out) from error
