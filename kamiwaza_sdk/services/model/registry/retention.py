"""Which versions are kept: pins, which somebody sets, and rules, by which the others go in a host's transaction."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, exists, select, update

from kamiwaza_sdk._validation import check_name, check_text, revalidated, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import InUseException, VersionNotFoundException
from kamiwaza_sdk.services.model.registry import versions
from kamiwaza_sdk.services.model.registry.changes import hold_owner, insert_or_nothing
from kamiwaza_sdk.services.model.registry.tables import ALIAS, LINEAGE, MODEL, PIN, VERSION, bound
from kamiwaza_sdk.services.model.schemas.retention import (
    PinSchema,
    RetentionPlanSchema,
    RetentionResultSchema,
    RetentionRulesSchema,
    RetentionVersionSchema,
    StaysReason,
)
from kamiwaza_sdk.services.model.session import Scope, check_id

_ONE_PIN: Final = (
    PIN.c.namespace == bound(PIN, "namespace"),
    PIN.c.version_id == bound(PIN, "version_id"),
    PIN.c.name == bound(PIN, "name"),
)
_UPDATE_PIN: Final = update(PIN).where(*_ONE_PIN)
_DELETE_PIN: Final = delete(PIN).where(*_ONE_PIN)
_PIN_KEYS: Final = tuple(PinSchema.model_fields)
PINS_OF_VERSION: Final = (
    select(*(PIN.c[key] for key in _PIN_KEYS))
    .where(PIN.c.namespace == bound(PIN, "namespace"), PIN.c.version_id == bound(PIN, "version_id"))
    .order_by(PIN.c.name)
)
#: Every version of a model that is not deleted, the newest of each first, with what keeps it.
_CANDIDATES: Final = (
    select(
        VERSION.c.id,
        VERSION.c.model_id,
        MODEL.c.name,
        *(VERSION.c[key] for key in ("number", "status", "revision", "size", "created_at")),
        exists().where(ALIAS.c.version_id == VERSION.c.id).label("is_aliased"),
        exists().where(PIN.c.version_id == VERSION.c.id).label("is_pinned"),
        exists().where(LINEAGE.c.parent_id == VERSION.c.id).label("has_children"),
    )
    .join_from(VERSION, MODEL, (VERSION.c.namespace == MODEL.c.namespace) & (VERSION.c.model_id == MODEL.c.id))
    .where(VERSION.c.namespace == bound(VERSION, "namespace"), MODEL.c.deleted_at.is_(None))
    .order_by(MODEL.c.name, VERSION.c.number.desc())
)
_UNFINISHED: Final = frozenset({"draft", "failed"})


def pin(scope: Scope, version_id: UUID, *, name: str, reason: str | None) -> PinSchema:
    """Pin a version under a name, or say anew why."""
    name = check_name(name)
    if reason is not None:
        check_text(reason, field="reason")
    with scope.writing() as writing:
        change = hold_owner(writing, version_id)
        values: dict[str, Any] = {  # Any: of several columns
            "version_id": version_id,
            "name": name,
            "namespace": scope.namespace,
            "reason": reason,
            "actor": scope.actor,
            "created_at": change.at,
        }
        insertion = insert_or_nothing(writing.dialect, PIN.name, "name")
        if not writing.execute(insertion, **values).all():
            writing.execute(_UPDATE_PIN, _version_id=version_id, _name=name, reason=reason, actor=scope.actor)
    return next(pin for pin in pins(scope, version_id) if pin.name == name)


def unpin(scope: Scope, version_id: UUID, *, name: str) -> bool:
    """Take a pin away; tell whether there was one."""
    name = check_name(name)
    with scope.writing() as writing:
        hold_owner(writing, version_id)
        return bool(writing.execute(_DELETE_PIN, _version_id=version_id, _name=name).rowcount)


def pins(scope: Scope, version_id: UUID) -> list[PinSchema]:
    """Return the pins of a version by name."""
    versions.get(scope, check_id(version_id, "version_id"))
    found = scope.execute(PINS_OF_VERSION, _version_id=version_id).mappings()
    return [PinSchema.model_validate(dict(row)) for row in found]


def plan(
    scope: Scope, *, keep_last: int, younger_than: timedelta, unfinished_younger_than: timedelta
) -> RetentionPlanSchema:
    """Return which versions may go by some rules, and how many stay for what."""
    rules = RetentionRulesSchema(
        keep_last=keep_last, younger_than=younger_than, unfinished_younger_than=unfinished_younger_than
    )
    return _plan(scope, rules)


def _plan(scope: Scope, rules: RetentionRulesSchema) -> RetentionPlanSchema:
    chosen, kept = list[RetentionVersionSchema](), dict[StaysReason, int]()
    for row, reason in _judged(scope, rules):
        if reason is None:
            chosen.append(_chosen(row))
        else:
            kept[reason] = kept.get(reason, 0) + 1
    return RetentionPlanSchema(namespace=scope.namespace, rules=rules, versions=tuple(chosen), kept=kept)


def _judged(
    scope: Scope, rules: RetentionRulesSchema
) -> Iterator[tuple[Mapping[str, Any], StaysReason | None]]:  # Any: of several columns
    now = datetime.now(UTC)
    model: UUID | None = None
    ready = 0
    for row in scope.execute(_CANDIDATES).mappings():
        if row["model_id"] != model:
            model, ready = row["model_id"], 0
        ready += row["status"] == "ready"
        yield dict(row), _why_it_stays(dict(row), rules, now - row["created_at"], place=ready)


def _why_it_stays(
    row: Mapping[str, Any],  # Any: as above
    rules: RetentionRulesSchema,
    age: timedelta,
    *,
    place: int,
) -> StaysReason | None:
    if row["is_aliased"]:
        return "aliased"
    if row["is_pinned"]:
        return "pinned"
    if row["has_children"]:
        return "derived from"
    if row["status"] == "ready" and place <= rules.keep_last:
        return "among the last"
    limit = rules.unfinished_younger_than if row["status"] in _UNFINISHED else rules.younger_than
    return "young" if age < limit else None


def _chosen(row: Mapping[str, Any]) -> RetentionVersionSchema:  # Any: as above
    return RetentionVersionSchema(
        version_id=row["id"],
        model=row["name"],
        number=row["number"],
        status=row["status"],
        revision=row["revision"],
        size=row["size"],
        created_at=row["created_at"],
    )


def apply(scope: Scope, given: RetentionPlanSchema) -> RetentionResultSchema:
    """Delete what a plan names, unless it has changed or stays by the same rules today."""
    given = revalidated(given, RetentionPlanSchema, "plan")
    if given.namespace != scope.namespace:
        reason = f"is of the namespace {shown(given.namespace)}, not of {shown(scope.namespace)}"
        raise InvalidInputException("plan", f"{reason}; use a service of that one")
    today = {(one.version_id, one.revision) for one in _plan(scope, given.rules).versions}
    deleted, left = list[UUID](), list[UUID]()
    for one in given.versions:
        if (one.version_id, one.revision) in today and _is_deleted(scope, one.version_id):
            deleted.append(one.version_id)
        else:
            left.append(one.version_id)
    return RetentionResultSchema(deleted=tuple(deleted), left=tuple(left))


def _is_deleted(scope: Scope, version_id: UUID) -> bool:
    """Delete a version, unless somebody uses it by now or has deleted it."""
    try:
        versions.delete_version(scope, version_id)
    except (InUseException, VersionNotFoundException):
        return False
    return True
