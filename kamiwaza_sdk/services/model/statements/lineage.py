"""Statements about what was made from what."""

from typing import Any, Final

from sqlalchemy import CTE, Integer, Select, bindparam, delete, func, insert, literal, or_, select, text, update

from kamiwaza_sdk.services.model.schemas.lineage import RelativeSchema
from kamiwaza_sdk.services.model.statements.constructs import LINEAGE, MODEL, VERSION, bound

__all__ = [
    "ANCESTORS",
    "CHILDREN_OF_VERSION",
    "DELETE_PARENT",
    "DESCENDANTS",
    "HOLD_PARENT",
    "INSERT_PARENTS",
    "IS_ANCESTOR",
    "LOCK_LINEAGE",
    "MODELS_ABOVE",
    "PARENT",
    "PARENTS_OF_VERSION",
    "RELATIVE_KEYS",
    "TRY",
    "TRY_UNDONE",
    "UPDATE_PARENT",
]

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
