"""What versions were made from: noted, walked both ways, never in a circle."""

from collections.abc import Sequence
from uuid import UUID

from kamiwaza_sdk._validation import revalidated
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import (
    LineageCycleException,
    VersionInUseException,
    VersionNotFoundException,
)
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelLineage
from kamiwaza_sdk.services.model.operations.changes import hold_owner, missing_version, remove
from kamiwaza_sdk.services.model.schemas.lineage import RelativeSchema
from kamiwaza_sdk.services.model.schemas.version import MAX_PARENTS, CreateParent
from kamiwaza_sdk.services.model.scope import Scope, check_id, check_limit
from kamiwaza_sdk.services.model.statements import lineage as statements
from kamiwaza_sdk.services.model.statements.versions import VERSION_BY_ID

__all__ = ["check_childless", "delete_parent", "insert_parents", "relatives", "set_parent"]

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
    scope.execute_many(statements.INSERT_PARENTS, list(rows.values()))


def _check_parent(scope: Scope, version_id: UUID) -> None:
    """Hold the row of a version that others will refer to, or raise."""
    if scope.execute(statements.HOLD_PARENT, _id=version_id).one_or_none() is None:
        raise missing_version(scope, version_id)


def set_parent(scope: Scope, version_id: UUID, parent: CreateParent) -> None:
    """Note that a version was made from another; say so anew where that is noted already."""
    parent = revalidated(parent, CreateParent, "parent")
    edge = {"_version_id": version_id, "_parent_id": parent.version_id}
    with scope.writing() as writing:
        change = hold_owner(writing, version_id)
        hides = writing.dialect == "postgresql" and writing.execute(statements.LOCK_LINEAGE).scalar_one()
        _check_parent(writing, parent.version_id)
        _check_circle(writing, version_id, parent.version_id)
        if hides:
            _check_unchanged_above(writing, parent.version_id)
        before = writing.execute(statements.PARENT, **edge).scalar_one_or_none()
        if before == parent.relation:
            return
        if before is None:
            _check_room(writing, version_id)
            insert_parents(writing, version_id, [parent])
        else:
            writing.execute(statements.UPDATE_PARENT, **edge, relation=parent.relation)
        was = {} if before is None else {"version_id": str(parent.version_id), "relation": before}
        refresh(scope.db, DBModelLineage, tuple(edge.values()), {"relation": parent.relation})
        change.record("parent.set", before=was, after=parent.model_dump(mode="json"), version_id=version_id)
        change.write()


def _check_room(scope: Scope, version_id: UUID) -> None:
    if scope.execute(statements.PARENTS_OF_VERSION, _version_id=version_id).scalar_one() >= MAX_PARENTS:
        raise InvalidInputException(
            "parent", f"would be one more than the limit of {MAX_PARENTS}; delete_parent() some"
        )


def _check_circle(scope: Scope, version_id: UUID, parent_id: UUID) -> None:
    """Refuse where what is to be the parent was made from the version."""
    circle = (
        version_id == parent_id
        or scope.execute(statements.IS_ANCESTOR, _version_id=parent_id, _parent_id=version_id).first()
    )
    if circle:
        raise LineageCycleException(version=version_id, parent=parent_id)


def _check_unchanged_above(scope: Scope, version_id: UUID) -> None:
    """Fail where the snapshot may hide that something above a version has been given a parent since.

    That changes the row of its model, as every change does. A circle that is closed by several transactions at once has
    one such row above the last one's parent, however many versions it goes over. Whatever else changed such a row makes
    this fail too, for nothing: trying again is what transactions of that isolation level are ready for.
    """
    scope.execute(statements.TRY)
    scope.execute(statements.MODELS_ABOVE, _version_id=version_id)
    scope.execute(statements.TRY_UNDONE)  # held on, those rows would keep others from writing


def delete_parent(scope: Scope, version_id: UUID, parent_id: UUID) -> None:
    """Take back that a version was made from another."""
    edge = {"_version_id": version_id, "_parent_id": check_id(parent_id, "parent_id")}
    with scope.writing() as writing:
        change = hold_owner(writing, version_id)
        before = writing.execute(statements.PARENT, **edge).scalar_one_or_none()
        if before is None:
            way_out = f"nothing says that {version_id} derives from it; its derived_from tells what it does"
            raise VersionNotFoundException(version=parent_id, namespace=scope.namespace, way_out=way_out)
        remove(change, statements.DELETE_PARENT, f"parent {parent_id}", version_id=version_id, **edge)
        refresh(scope.db, DBModelLineage, tuple(edge.values()))
        change.record(
            "parent.deleted", before={"version_id": str(parent_id), "relation": before}, version_id=version_id
        )
        change.write()


def check_childless(scope: Scope, version_id: UUID) -> None:
    """Refuse where others were made from a version."""
    children = scope.execute(statements.CHILDREN_OF_VERSION, _parent_id=version_id).scalar_one()
    if children:
        reason = (
            f"{children} versions derive from it; delete those first "
            "(list_descendants() tells which, but for those of deleted models)"
        )
        raise VersionInUseException(version=version_id, reason=reason)


def relatives(scope: Scope, version_id: UUID, *, up: bool, limit: int) -> list[RelativeSchema]:
    """Return what a version was made from, or what was made from it, nearest first."""
    statement = statements.ANCESTORS if up else statements.DESCENDANTS
    found = scope.execute(
        statement,
        _version_id=check_id(version_id, "version_id"),
        _depth=_MAX_DISTANCE,
        _limit=check_limit(limit, "ask about the farthest ones"),
    ).all()
    if not found and scope.execute(VERSION_BY_ID, _id=version_id).one_or_none() is None:
        raise missing_version(scope, version_id)
    return [RelativeSchema.model_validate(dict(zip(statements.RELATIVE_KEYS, row, strict=True))) for row in found]
