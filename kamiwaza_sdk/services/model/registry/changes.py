"""Changes of a model: its row is locked, the change is written, and an event records it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    CTE,
    ColumnElement,
    CursorResult,
    Delete,
    Executable,
    Insert,
    Integer,
    Row,
    RowMapping,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from kamiwaza_sdk.services.model.exceptions import (
    DatabaseUnsupportedException,
    InUseException,
    ModelNotFoundException,
    VersionNotFoundException,
)
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModel
from kamiwaza_sdk.services.model.registry.files import VERSION_OWNER
from kamiwaza_sdk.services.model.registry.tables import (
    ALIAS,
    CONFIG,
    DOCUMENT,
    EVENT,
    FILE,
    LINEAGE,
    MODEL,
    PIN,
    TAG,
    VERSION,
    VERSION_TAG,
    bound,
    given,
    json_map,
    json_rows,
    json_text,
    named,
    quick,
    raw,
)
from kamiwaza_sdk.services.model.schemas.config import EventKind, ModelEventSchema
from kamiwaza_sdk.services.model.schemas.model import ModelSchema
from kamiwaza_sdk.services.model.session import Scope, check_id

EVENT_KEYS: Final = tuple(ModelEventSchema.model_fields)
EVENTS: Final = select(*raw(EVENT, EVENT_KEYS)).where(EVENT.c.namespace == bound(EVENT, "namespace"))
INSERT_EVENTS: Final = insert(EVENT)
INSERT_EVENT: Final = insert(EVENT).values(given(EVENT, "event"))


#: What a row's values are called in the schema, in their order: a model's own, then what belongs to it.
MODEL_KEYS: Final = tuple(ModelSchema.model_fields)
OWN_KEYS: Final = tuple(key for key in MODEL_KEYS if key in MODEL.c)

#: The tags of a model, as one value.
TAGS_OF_MODEL: Final = (
    select(json_map(TAG.c.key, TAG.c.value))
    .where(TAG.c.namespace == MODEL.c.namespace, TAG.c.model_id == MODEL.c.id)
    .correlate(MODEL)
    .scalar_subquery()
)
_ALIASES: Final = (
    select(json_map(ALIAS.c.alias, ALIAS.c.number))
    .where(ALIAS.c.namespace == MODEL.c.namespace, ALIAS.c.model_id == MODEL.c.id)
    .correlate(MODEL)
    .scalar_subquery()
)
_LATEST: Final = (
    select(json_text(id=VERSION.c.id, number=VERSION.c.number, version=VERSION.c.version))
    .where(VERSION.c.namespace == MODEL.c.namespace, VERSION.c.model_id == MODEL.c.id, VERSION.c.status == "ready")
    .order_by(VERSION.c.number.desc())
    .limit(1)
    .correlate(MODEL)
    .scalar_subquery()
)
MODEL_COLUMNS: Final[list[ColumnElement[Any]]] = [  # Any: columns of several types
    *raw(MODEL, OWN_KEYS),
    TAGS_OF_MODEL.label("tags"),
    _ALIASES.label("aliases"),
    _LATEST.label("latest_version"),
]
_IN_NAMESPACE: Final = MODEL.c.namespace == bound(MODEL, "namespace")
_WITH_ID: Final = MODEL.c.id == bound(MODEL, "id")
_WITH_NAME: Final = MODEL.c.name == bound(MODEL, "name")

MODEL_BY_ID: Final = quick(select(*MODEL_COLUMNS).where(_IN_NAMESPACE, _WITH_ID))
MODEL_BY_NAME: Final = quick(select(*MODEL_COLUMNS).where(_IN_NAMESPACE, _WITH_NAME))
MODEL_PAGE: Final = (
    select(*MODEL_COLUMNS)
    .where(_IN_NAMESPACE, MODEL.c.deleted_at.is_(None), MODEL.c.name > bound(MODEL, "name"))
    .order_by(MODEL.c.name)
    .limit(bindparam("_limit"))
)
#: What few changes are about, and may be large.
LARGE_KEYS: Final = ("model_card", "attributes")
#: What is read of a model whose row is held.
HELD: Final = [column for column in MODEL.c if column.key not in LARGE_KEYS]
#: The rest of it.
MODEL_LARGE: Final = select(*raw(MODEL, LARGE_KEYS)).where(_IN_NAMESPACE, _WITH_ID)
#: Every change of a model, or of anything that belongs to it, begins by holding its row until the transaction ends.
#: SQLite, which locks no rows, has only one writer at a time.
LOCK_MODEL: Final = quick(select(*HELD).where(_IN_NAMESPACE, _WITH_ID).with_for_update(key_share=True))
LOCK_MODEL_BY_NAME: Final = quick(select(*HELD).where(_IN_NAMESPACE, _WITH_NAME).with_for_update(key_share=True))
_SNAPSHOT: Final = MODEL.alias("snapshot")
#: The row's last event, seen as all else in the statement is. PostgreSQL reads the row itself anew once it has waited
#: for it: where the two differ, what belongs to the row is from before.
SEEN: Final = select(_SNAPSHOT.c.last_event).where(_SNAPSHOT.c.id == MODEL.c.id).scalar_subquery().label("seen")


def locking(*columns: ColumnElement[Any]) -> Executable:  # Any: columns of several types
    """Return the statement that holds a model's row, and reads it and what belongs to it."""
    return quick(select(*HELD, SEEN, *columns).where(_IN_NAMESPACE, _WITH_ID).with_for_update(key_share=True, of=MODEL))


def locking_owner(*columns: ColumnElement[Any]) -> Executable:  # Any: as above
    """Return the statement that holds the row of the model that a version is of, and reads what belongs to them."""
    return quick(
        select(*HELD, SEEN, *columns)
        .join_from(VERSION, MODEL, (VERSION.c.namespace == MODEL.c.namespace) & (VERSION.c.model_id == MODEL.c.id))
        .where(VERSION.c.namespace == bound(VERSION, "namespace"), VERSION.c.id == bound(VERSION, "id"))
        .with_for_update(key_share=True, of=MODEL)
    )


LOCK_OWNER: Final = locking_owner()
DELETE_MODEL: Final = delete(MODEL).where(_IN_NAMESPACE, _WITH_ID)

_ITS_VERSIONS: Final = select(VERSION.c.id).where(
    VERSION.c.namespace == bound(MODEL, "namespace"), VERSION.c.model_id == bound(MODEL, "id")
)
VERSIONS_OF_MODEL: Final = _ITS_VERSIONS
#: What goes before a model that is purged, in an order that no foreign key of ours minds.
DELETE_BELONGINGS: Final = (
    delete(LINEAGE).where(LINEAGE.c.namespace == bound(MODEL, "namespace"), LINEAGE.c.version_id.in_(_ITS_VERSIONS)),
    *(
        delete(table).where(table.c.namespace == bound(MODEL, "namespace"), table.c.version_id.in_(_ITS_VERSIONS))
        for table in (VERSION_TAG, FILE)
    ),
    *(
        delete(table).where(table.c.namespace == bound(MODEL, "namespace"), table.c.model_id == bound(MODEL, "id"))
        for table in (CONFIG, ALIAS, TAG, VERSION, DOCUMENT, EVENT)
    ),
)
#: How many pins the versions of a model have.
COUNT_PINS: Final = (
    select(func.count(type_=Integer))
    .select_from(PIN)
    .where(PIN.c.namespace == bound(MODEL, "namespace"), PIN.c.version_id.in_(_ITS_VERSIONS))
)
#: How many versions of other models were made from those of a model.
COUNT_CHILDREN: Final = (
    select(func.count(type_=Integer))
    .select_from(LINEAGE)
    .where(
        LINEAGE.c.namespace == bound(MODEL, "namespace"),
        LINEAGE.c.parent_id.in_(_ITS_VERSIONS),
        LINEAGE.c.version_id.not_in(_ITS_VERSIONS),
    )
)


def insert_model(dialect: str, *returning: str) -> Insert:
    """Return the statement that creates a model and returns its id, or nothing where the name is taken."""
    return insert_or_nothing(dialect, "kamiwaza_model", *(returning or ("id",)))


@cache
def insert_or_nothing(dialect: str, table_name: str, *returning: str) -> Insert:
    """Build the one kind of statement that SQLAlchemy spells differently for each database."""
    table = MODEL.metadata.tables[table_name]
    columns = [table.c[key] for key in returning]
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing().returning(*columns)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing().returning(*columns)
    raise DatabaseUnsupportedException(dialect=dialect)


class Step(NamedTuple):
    """A statement with its parameters, whose names no other step of the same call has for something else."""

    statement: Insert | Update | Select[Any]  # Any: columns of several types
    parameters: Mapping[str, Any]  # Any: values of several columns


def execute_steps(scope: Scope, steps: Sequence[Step]) -> Sequence[Row[Any]]:  # Any: as above
    """Execute statements, on PostgreSQL all as one, and return the rows of the last. None sees what another changes."""
    if scope.dialect == "postgresql":
        merged = {name: value for step in steps for name, value in step.parameters.items()}
        return _rows(scope.execute(_at_once(*(step.statement for step in steps)), **merged))
    results = [scope.execute(step.statement, **step.parameters) for step in steps]
    return _rows(results[-1])


def _rows(result: CursorResult[Any]) -> Sequence[Row[Any]]:  # Any: as above
    return result.all() if result.returns_rows else ()


@cache
def _at_once(*statements: Insert | Update | Select[Any]) -> Executable:
    *others, last = statements
    joined = last.add_cte(*(each.cte(f"step_{place}") for place, each in enumerate(others)))
    return quick(joined)


def of_created(table: Table, created: CTE, owner: str, *, batch: str) -> Insert:
    """Return PostgreSQL's statement for what belongs to a row that the same statement creates; nothing without it."""
    keys = [column.key for column in table.c if column.key not in {"namespace", owner}]
    rows = json_rows(table, *keys, batch=batch)
    values = select(created.c.id, created.c.namespace, *(rows.c[key] for key in keys)).join_from(created, rows, true())
    return insert(table).from_select([owner, "namespace", *keys], values)


@cache
def update_model(keys: tuple[str, ...]) -> Update:
    """Return the statement that sets these columns of a model."""
    return update(MODEL).where(_IN_NAMESPACE, _WITH_ID).values(given(MODEL, "model", *keys))


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

    def write(
        self,
        *steps: Step,
        stale: tuple[str, ...] = (),
        returning: Step | None = None,
        **values: Any,  # Any: values of several columns
    ) -> Sequence[Row[Any]]:  # Any: as above
        """Write steps, values of the model's own, and the events; last what returns rows, which are returned."""
        values |= {"last_event": self._last, "last_event_at": self.at}
        *earlier, last = self._events
        self.scope.execute_many(INSERT_EVENTS, earlier)
        own = {"_id": self.id, **named("model", values)}
        ours = (Step(update_model(tuple(values)), own), Step(INSERT_EVENT, named("event", last)))
        self._events = []
        refresh(self.scope.db, DBModel, self.id, values, stale=stale)
        return execute_steps(self.scope, (*steps, *ours, *([] if returning is None else [returning])))


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


def hold(scope: Scope, model_id: UUID, statement: Executable = LOCK_MODEL, **keys: object) -> ModelChange:
    """Hold the row of a model that is not deleted until the transaction ends."""
    change = hold_any(scope, model_id, statement, **keys)
    if change.row["deleted_at"] is not None:
        raise ModelNotFoundException(model=model_id, namespace=scope.namespace, deleted=model_id)
    return change


def hold_any(scope: Scope, model_id: UUID, statement: Executable = LOCK_MODEL, **keys: object) -> ModelChange:
    """Hold the row of a model, deleted or not, until the transaction ends."""
    row = _held(scope, statement, _id=check_id(model_id, "model_id"), **keys)
    if row is None:
        raise missing(scope, model_id)
    return ModelChange(scope, row)


def _held(scope: Scope, statement: Executable, **keys: object) -> RowMapping | None:
    """Return a row that is held from now on, and what belongs to it: once more where that was of before."""
    row = scope.execute(statement, **keys).mappings().one_or_none()
    if row is not None and row.get("seen", row["last_event"]) != row["last_event"]:
        row = scope.execute(statement, **keys).mappings().one_or_none()
    return row


def hold_named(scope: Scope, name: str) -> ModelChange | None:
    """Hold the row of the model that has a name, deleted or not, until the transaction ends; `None` where none has."""
    row = scope.execute(LOCK_MODEL_BY_NAME, _name=name).mappings().one_or_none()
    return None if row is None else ModelChange(scope, row)


def hold_owner(scope: Scope, version_id: UUID, statement: Executable = LOCK_OWNER, **keys: object) -> ModelChange:
    """Hold the row of the model that a version is of. Whoever holds it can change the version, or delete it."""
    row = _held(scope, statement, _id=check_id(version_id, "version_id"), **keys)
    if row is None or row["deleted_at"] is not None:
        raise missing_version(scope, version_id)
    return ModelChange(scope, row)


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
            raise InUseException(version=version_id, reason=reason) from error
        raise InUseException(model=change.id, reason=reason, what="changed") from error


def _owner(scope: Scope, version_id: UUID) -> UUID | None:
    owner: UUID | None = scope.execute(VERSION_OWNER, _id=check_id(version_id, "version_id")).scalar_one_or_none()
    return owner


def missing_version(scope: Scope, version_id: UUID) -> VersionNotFoundException:
    """Return the error that says that there is no such version, or that its model is deleted."""
    return VersionNotFoundException(version=version_id, namespace=scope.namespace, deleted=_owner(scope, version_id))


def missing(scope: Scope, model: UUID | str) -> ModelNotFoundException:
    """Return the error that says that there is no such model."""
    return ModelNotFoundException(model=model, namespace=scope.namespace)
