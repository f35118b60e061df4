"""Lineage of versions: recorded, followed in both directions, never with a cycle."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CTE, Integer, Select, bindparam, delete, func, insert, literal, or_, select, text, update

from kamiwaza_sdk._display import counted
from kamiwaza_sdk._validation import revalidated
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import (
    InUseException,
    LineageCycleException,
    VersionNotFoundException,
)
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelLineage
from kamiwaza_sdk.services.model.registry.changes import hold_owner, missing_version, remove
from kamiwaza_sdk.services.model.registry.files import VERSION_BY_ID
from kamiwaza_sdk.services.model.registry.tables import LINEAGE, MODEL, VERSION, bound
from kamiwaza_sdk.services.model.schemas.version import MAX_PARENTS, CreateParent, RelativeSchema
from kamiwaza_sdk.services.model.session import Scope, check_id, check_limit

RELATIVE_KEYS: Final = tuple(RelativeSchema.model_fields)

_IN_NAMESPACE: Final = LINEAGE.c.namespace == bound(LINEAGE, "namespace")
_EDGE: Final = (
    _IN_NAMESPACE,
    LINEAGE.c.version_id == bound(LINEAGE, "version_id"),
    LINEAGE.c.parent_id == bound(LINEAGE, "parent_id"),
)
INSERT_PARENTS: Final = insert(LINEAGE)
UPDATE_PARENT: Final = update(LINEAGE).where(*_EDGE)
DELETE_PARENT: Final = delete(LINEAGE).where(*_EDGE)
PARENT: Final = select(LINEAGE.c.relation).where(*_EDGE)
CHILDREN_OF_VERSION: Final = (
    select(func.count(type_=Integer))
    .select_from(LINEAGE)
    .where(_IN_NAMESPACE, LINEAGE.c.parent_id == bound(LINEAGE, "parent_id"))
)
PARENTS_OF_VERSION: Final = (
    select(func.count(type_=Integer))
    .select_from(LINEAGE)
    .where(_IN_NAMESPACE, LINEAGE.c.version_id == bound(LINEAGE, "version_id"))
)
#: A version that others are to refer to must not go before they do.
HOLD_PARENT: Final = (
    select(VERSION.c.id)
    .join_from(VERSION, MODEL, (VERSION.c.namespace == MODEL.c.namespace) & (VERSION.c.model_id == MODEL.c.id))
    .where(
        VERSION.c.namespace == bound(VERSION, "namespace"),
        VERSION.c.id == bound(VERSION, "id"),
        MODEL.c.deleted_at.is_(None),
    )
    .with_for_update(read=True, key_share=True, of=VERSION)
)
#: PostgreSQL: who adds a parent to a version that may have children waits for others who do, in the same namespace.
#: Tells whether what they committed meanwhile is hidden, as all statements of the transaction see one snapshot.
LOCK_LINEAGE: Final = text(
    "SELECT current_setting('transaction_isolation') IN ('repeatable read', 'serializable'), "
    "pg_advisory_xact_lock(hashtextextended('kamiwaza_model_lineage ' || :_namespace, 0))"
)
#: PostgreSQL: around what takes locks only to see whether it can.
TRY: Final = text("SAVEPOINT kamiwaza_lineage")
TRY_UNDONE: Final = text("ROLLBACK TO SAVEPOINT kamiwaza_lineage")


def _walk(near: str, far: str) -> CTE:
    """Go from a version along edges, each version and relation at the least distance at which it is met."""
    start = select(LINEAGE.c[far].label("id"), LINEAGE.c.relation, literal(1).label("distance")).where(
        _IN_NAMESPACE, LINEAGE.c[near] == bound(LINEAGE, "version_id")
    )
    walk = start.cte(f"walk_{far}", recursive=True)
    step = select(LINEAGE.c[far], LINEAGE.c.relation, walk.c.distance + 1).where(
        _IN_NAMESPACE, LINEAGE.c[near] == walk.c.id, walk.c.distance < bindparam("_depth", type_=Integer())
    )
    return walk.union(step)


def _relatives(walk: CTE) -> Select[Any]:  # Any: values of several columns
    nearest = select(walk.c.id, walk.c.relation, func.min(walk.c.distance).label("distance")).group_by(
        walk.c.id, walk.c.relation
    )
    found = nearest.subquery()
    return (
        select(VERSION.c.id, VERSION.c.model_id, MODEL.c.name, VERSION.c.number, found.c.relation, found.c.distance)
        .join_from(found, VERSION, VERSION.c.id == found.c.id)
        .join(MODEL, (VERSION.c.namespace == MODEL.c.namespace) & (VERSION.c.model_id == MODEL.c.id))
        .where(VERSION.c.namespace == bound(VERSION, "namespace"), MODEL.c.deleted_at.is_(None))
        .order_by(found.c.distance, VERSION.c.id, found.c.relation)
        .limit(bindparam("_limit"))
    )


ANCESTORS: Final = _relatives(_walk("version_id", "parent_id"))
DESCENDANTS: Final = _relatives(_walk("parent_id", "version_id"))


def _above() -> CTE:
    """Go to all that a version was made from: only who is there, so that a diamond is walked once."""
    start = select(LINEAGE.c.parent_id.label("id")).where(
        _IN_NAMESPACE, LINEAGE.c.version_id == bound(LINEAGE, "version_id")
    )
    walk = start.cte("above", recursive=True)
    return walk.union(select(LINEAGE.c.parent_id).where(_IN_NAMESPACE, LINEAGE.c.version_id == walk.c.id))


_ABOVE: Final = _above()
#: Tells whether a version is above another.
IS_ANCESTOR: Final = select(literal(1)).select_from(_ABOVE).where(_ABOVE.c.id == bound(LINEAGE, "parent_id")).limit(1)
_ITSELF: Final = VERSION.c.id == bound(LINEAGE, "version_id")
_MODELS_ABOVE: Final = select(VERSION.c.model_id).where(
    VERSION.c.namespace == bound(LINEAGE, "namespace"), or_(_ITSELF, VERSION.c.id.in_(select(_ABOVE.c.id)))
)
#: PostgreSQL: the models of a version and of all above it. The lock fails with 40001 where one was changed since the
#: snapshot. It waits for nobody: whoever else has set a parent has committed by then.
MODELS_ABOVE: Final = (
    select(MODEL.c.id)
    .where(MODEL.c.namespace == bound(LINEAGE, "namespace"), MODEL.c.id.in_(_MODELS_ABOVE))
    .with_for_update(read=True, skip_locked=True)
)


#: How far a walk goes.
_MAX_DISTANCE = 100


def insert_parents(scope: Scope, version_id: UUID, parents: Sequence[CreateParent]) -> None:
    """Note what a new version was made from. It has no children yet, so that there can be no circle."""
    if not parents:
        return
    for parent in parents:
        _check_parent(scope, parent.version_id)
    own = {"namespace": scope.namespace, "version_id": version_id}
    rows = {
        parent.version_id: {**own, "parent_id": parent.version_id, "relation": parent.relation} for parent in parents
    }
    scope.execute_many(INSERT_PARENTS, list(rows.values()))


def _check_parent(scope: Scope, version_id: UUID) -> None:
    """Hold the row of a version that others will refer to, or raise."""
    if scope.execute(HOLD_PARENT, _id=version_id).one_or_none() is None:
        raise missing_version(scope, version_id)


def set_parent(scope: Scope, version_id: UUID, parent: CreateParent) -> None:
    """Note that a version was made from another; say so anew where that is noted already."""
    parent = revalidated(parent, CreateParent, "parent")
    edge = {"_version_id": version_id, "_parent_id": parent.version_id}
    with scope.writing() as writing:
        change = hold_owner(writing, version_id)
        hides = writing.dialect == "postgresql" and writing.execute(LOCK_LINEAGE).scalar_one()
        _check_parent(writing, parent.version_id)
        check_circle(writing, version_id, parent.version_id)
        if hides:
            _check_unchanged_above(writing, parent.version_id)
        before = writing.execute(PARENT, **edge).scalar_one_or_none()
        if before == parent.relation:
            return
        if before is None:
            _check_room(writing, version_id)
            insert_parents(writing, version_id, [parent])
        else:
            writing.execute(UPDATE_PARENT, **edge, relation=parent.relation)
        was = {} if before is None else {"version_id": str(parent.version_id), "relation": before}
        refresh(scope.db, DBModelLineage, tuple(edge.values()), {"relation": parent.relation})
        change.record("parent.set", before=was, after=parent.model_dump(mode="json"), version_id=version_id)
        change.write()


def _check_room(scope: Scope, version_id: UUID) -> None:
    if scope.execute(PARENTS_OF_VERSION, _version_id=version_id).scalar_one() >= MAX_PARENTS:
        raise InvalidInputException(
            "parent", f"would be one more than the limit of {MAX_PARENTS}; delete_parent() some"
        )


def check_circle(scope: Scope, version_id: UUID, parent_id: UUID) -> None:
    """Refuse where what is to be the parent was made from the version."""
    circle = version_id == parent_id or scope.execute(IS_ANCESTOR, _version_id=parent_id, _parent_id=version_id).first()
    if circle:
        raise LineageCycleException(version=version_id, parent=parent_id)


def _check_unchanged_above(scope: Scope, version_id: UUID) -> None:
    """Fail where the snapshot may hide that something above a version has been given a parent since.

    That changes the row of its model, as every change does. A circle that is closed by several transactions at once has
    one such row above the last one's parent, however many versions it goes over. Whatever else changed such a row makes
    this fail too, for nothing: trying again is what transactions of that isolation level are ready for.
    """
    scope.execute(TRY)
    scope.execute(MODELS_ABOVE, _version_id=version_id)
    scope.execute(TRY_UNDONE)  # held on, those rows would keep others from writing


def delete_parent(scope: Scope, version_id: UUID, parent_id: UUID) -> None:
    """Take back that a version was made from another."""
    edge = {"_version_id": version_id, "_parent_id": check_id(parent_id, "parent_id")}
    with scope.writing() as writing:
        change = hold_owner(writing, version_id)
        before = writing.execute(PARENT, **edge).scalar_one_or_none()
        if before is None:
            way_out = f"nothing says that {version_id} derives from it; its derived_from tells what it does"
            raise VersionNotFoundException(version=parent_id, namespace=scope.namespace, way_out=way_out)
        remove(change, DELETE_PARENT, f"parent {parent_id}", version_id=version_id, **edge)
        refresh(scope.db, DBModelLineage, tuple(edge.values()))
        change.record(
            "parent.deleted", before={"version_id": str(parent_id), "relation": before}, version_id=version_id
        )
        change.write()


def check_childless(scope: Scope, version_id: UUID, name: str | None = None) -> None:
    """Refuse where others were made from a version."""
    children = scope.execute(CHILDREN_OF_VERSION, _parent_id=version_id).scalar_one()
    if children:
        reason = (
            f"{counted(children, 'version')} made from it must be deleted first "
            "(list_descendants() tells which, but for those of deleted models)"
        )
        raise InUseException(version=version_id, name=name, reason=reason)


def relatives(scope: Scope, version_id: UUID, *, up: bool, limit: int) -> list[RelativeSchema]:
    """Return what a version was made from, or what was made from it, nearest first."""
    statement = ANCESTORS if up else DESCENDANTS
    found = scope.execute(
        statement,
        _version_id=check_id(version_id, "version_id"),
        _depth=_MAX_DISTANCE,
        _limit=check_limit(limit, "ask about the farthest ones"),
    ).all()
    if not found and scope.execute(VERSION_BY_ID, _id=version_id).one_or_none() is None:
        raise missing_version(scope, version_id)
    return [RelativeSchema.model_validate(dict(zip(RELATIVE_KEYS, row, strict=True))) for row in found]
