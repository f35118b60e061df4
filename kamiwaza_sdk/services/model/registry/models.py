"""Models: create, read, change, delete, restore, purge."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

from pydantic import ConfigDict, JsonValue, TypeAdapter
from pydantic_core import to_json
from sqlalchemy import Executable, Row, insert, select
from sqlalchemy.exc import IntegrityError

from kamiwaza_sdk._display import counted
from kamiwaza_sdk._validation import check_name, check_text, revalidated
from kamiwaza_sdk.services.model.exceptions import (
    InUseException,
    ModelAlreadyExistsException,
    ModelNotFoundException,
    RevisionConflictException,
)
from kamiwaza_sdk.services.model.ids import uuid7
from kamiwaza_sdk.services.model.loaded import forget
from kamiwaza_sdk.services.model.registry.changes import (
    COUNT_CHILDREN,
    COUNT_PINS,
    DELETE_BELONGINGS,
    DELETE_MODEL,
    INSERT_EVENTS,
    MODEL_BY_ID,
    MODEL_BY_NAME,
    MODEL_KEYS,
    MODEL_LARGE,
    MODEL_PAGE,
    VERSIONS_OF_MODEL,
    ModelChange,
    event_row,
    hold,
    hold_any,
    insert_model,
    missing,
    of_created,
    same,
)
from kamiwaza_sdk.services.model.registry.documents import (
    WORDS,
    forget_document,
    insert_document,
    new_words,
    update_document,
)
from kamiwaza_sdk.services.model.registry.tables import DOCUMENT, EVENT, MODEL, TAG, as_dicts, given, named, quick
from kamiwaza_sdk.services.model.registry.tags import MODEL_TAGS, tag_rows
from kamiwaza_sdk.services.model.schemas.fields import ReadDetails
from kamiwaza_sdk.services.model.schemas.model import CreateModel, ModelSchema, UpdateModel
from kamiwaza_sdk.services.model.session import Scope, check_id, check_limit, check_revision, flush, is_reference

_Row: TypeAlias = dict[str, Any]  # Any: values of several columns
_PAGE: Final = TypeAdapter(list[ModelSchema], config=ConfigDict(defer_build=True))
_ATTRIBUTES: Final = TypeAdapter(ReadDetails, config=ConfigDict(defer_build=True))
#: What PostgreSQL names where a name is taken.
_UNIQUE_NAME: Final = "uq_kamiwaza_model_namespace_name"
#: What a model is found by, besides its tags.
_FOUND_BY: Final = {"name", "author", "description", "model_card"}


def create_model(scope: Scope, model: CreateModel) -> ModelSchema:
    """Create a model, or raise `ModelAlreadyExistsException`."""
    model = revalidated(model, CreateModel, "model")
    with scope.writing() as writing:
        created = insert_new(writing, model)
    if created is None:
        raise taken(scope, model.name)
    return created


def insert_new(scope: Scope, model: CreateModel) -> ModelSchema | None:
    """Create a model, or return `None`, having written nothing, where the name is taken."""
    now = datetime.now(UTC)
    given = model.model_dump()
    tags = given.pop("tags")
    values = {
        "id": uuid7(),
        "namespace": scope.namespace,
        "revision": 1,
        "created_at": now,
        "updated_at": now,
        "deleted_at": None,
        **given,
    }
    state = {"last_number": 0, "last_event": 1, "last_event_at": now}
    created = ModelSchema.model_validate({**values, "tags": tags})
    event = event_row(scope, created.id, 1, "model.created", now, after=model.model_dump(exclude_defaults=True))
    insert_all = _insert_at_once if scope.dialect == "postgresql" else _insert_one_by_one
    return created if insert_all(scope, created, values | state, event) else None


def _insert_at_once(
    scope: Scope, model: ModelSchema, row: dict[str, Any], event: dict[str, Any]
) -> bool:  # Any: values
    tags = to_json(tag_rows(scope, "model_id", model.id, model.tags)).decode()
    words = new_words(scope.namespace, model)
    given_ = {**named("model", row), **named("event", event), "_words": words, "_tags": tags}
    return bool(scope.execute(_insertion(), **given_).all())


@cache
def _insertion() -> Executable:
    """Return PostgreSQL's statement for a model and all of it, which returns its id unless its name is taken."""
    insertion = insert_model("postgresql", "id", "namespace").values(given(MODEL, "model"))
    created = insertion.cte("created")
    event = given(EVENT, "event")
    belongings = (
        of_created(TAG, created, "model_id", batch="_tags"),
        insert(DOCUMENT).from_select(
            ["model_id", "namespace", "words"], select(created.c.id, created.c.namespace, WORDS)
        ),
        insert(EVENT).from_select(list(event), select(*event.values()).select_from(created)),
    )
    ctes = (each.cte(f"step_{place}") for place, each in enumerate(belongings))
    return quick(select(created.c.id).add_cte(*ctes))


def _insert_one_by_one(
    scope: Scope, model: ModelSchema, row: dict[str, Any], event: dict[str, Any]
) -> bool:  # Any: values
    if not scope.execute(insert_model(scope.dialect), **row).all():
        return False
    scope.execute_many(MODEL_TAGS.insert, tag_rows(scope, "model_id", model.id, model.tags))
    insert_document(scope, model)
    scope.execute_many(INSERT_EVENTS, [event])
    return True


def get(scope: Scope, model_id: UUID) -> ModelSchema:
    """Return a model that is not deleted."""
    row = scope.execute(MODEL_BY_ID, _id=check_id(model_id, "model_id")).first()
    return _living(scope, None if row is None else _schema(row), model_id)


def get_by_name(scope: Scope, name: str) -> ModelSchema:
    """Return a model that is not deleted, by its name."""
    name = check_name(name)
    return _living(scope, find_by_name(scope, name), name)


def find_by_name(scope: Scope, name: str) -> ModelSchema | None:
    """Return the model that has the name, deleted or not."""
    row = scope.execute(MODEL_BY_NAME, _name=name).one_or_none()
    return None if row is None else _schema(row)


def page(scope: Scope, *, after: str, limit: int) -> list[ModelSchema]:
    """Return models by name, from the one after `after` on."""
    rows = scope.execute(MODEL_PAGE, _name=check_text(after, field="after"), _limit=check_limit(limit))
    return schemas(rows.all())


def update_model(scope: Scope, model_id: UUID, changes: UpdateModel, *, expected_revision: int | None) -> ModelSchema:
    """Change the fields that are given."""
    values = revalidated(changes, UpdateModel, "changes", only_given=True).changes()
    check_revision(expected_revision, "ModelSchema.revision")
    flush(scope.db)  # outside of the guard: what fails here is the host's own row
    try:
        with scope.writing() as writing:
            change = hold(writing, model_id)
            if expected_revision not in {None, change.row["revision"]}:
                raise RevisionConflictException(
                    model=model_id, expected=expected_revision or 0, actual=change.row["revision"]
                )
            _update(change, values, _known(change, values))
            return get(writing, model_id)
    except IntegrityError as error:
        if "name" in values:
            _check_rename(scope, model_id, values["name"], error)
        raise


def _check_rename(scope: Scope, model_id: UUID, name: str, error: IntegrityError) -> None:
    """Raise what a rename was refused for, where it is that: the name is taken, or rows of the application's own."""
    if is_reference(error):
        reason = "rows of the application's own refer to its name; change those first"
        raise InUseException(model=model_id, reason=reason, what="renamed") from error
    holder = find_by_name(scope, name)
    is_hidden = holder is None and _UNIQUE_NAME in str(error.orig)  # by the snapshot: PostgreSQL looks past it
    if is_hidden or (holder is not None and holder.id != model_id):
        raise taken(scope, name) from error


def change_fields(change: ModelChange, values: Mapping[str, Any]) -> bool:  # Any: values of several columns
    """Change those fields of a model that are other than given, and tell whether there are any."""
    before = _known(change, values)
    differs = any(not same(before[key], value) for key, value in values.items())
    if differs:
        _update(change, values, before)
    return differs


def _known(change: ModelChange, keys: Collection[str]) -> dict[str, Any]:  # Any: values of several columns
    """Return what a model has of some fields: what is large is read only where it is among them."""
    known = {key: change.row[key] for key in keys if key in change.row}
    if not known.keys() >= set(keys):
        row = change.scope.execute(MODEL_LARGE, _id=change.id).one()
        known |= {"model_card": row.model_card, "attributes": _ATTRIBUTES.validate_python(row.attributes)}
    return known


def _update(
    change: ModelChange,
    values: Mapping[str, Any],  # Any: values of several columns
    before: Mapping[str, Any],  # Any: as above
) -> None:
    new = {key: value for key, value in values.items() if not same(before[key], value)}
    change.record("model.updated", before={key: before[key] for key in new}, after=new)
    _touch(change, **new)
    if _FOUND_BY & new.keys():
        update_document(change.scope, change.id)


def _touch(change: ModelChange, **values: Any) -> None:  # Any: values of several columns
    change.write(revision=change.row["revision"] + 1, updated_at=change.at, **values)


def delete_model(scope: Scope, model_id: UUID) -> None:
    """Mark a model as deleted."""
    with scope.writing() as writing:
        change = hold(writing, model_id)
        change.record("model.deleted")
        _touch(change, deleted_at=change.at)
        update_document(writing, model_id)


def restore(scope: Scope, model_id: UUID) -> ModelSchema:
    """Remove the mark of deletion; do nothing to a model that has none."""
    with scope.writing() as writing:
        change = hold_any(writing, model_id)
        if change.row["deleted_at"] is not None:
            change.record("model.restored")
            _touch(change, deleted_at=None)
            update_document(writing, model_id)
        return get(writing, model_id)


def purge(scope: Scope, model_id: UUID) -> None:
    """Delete a deleted model for good, with all that belongs to it, and leave one event that says so."""
    flush(scope.db)  # as above
    try:
        with scope.writing() as writing:
            change = hold_any(writing, model_id)
            _check_purge(change)
            version_ids = set(writing.execute(VERSIONS_OF_MODEL, _id=model_id).scalars())
            forget_document(writing, model_id)
            for statement in (*DELETE_BELONGINGS, DELETE_MODEL):
                writing.execute(statement, _id=model_id)
            before: dict[str, JsonValue] = {"name": change.row["name"]}
            sequence = change.row["last_event"] + 1
            event = event_row(writing, model_id, sequence, "model.purged", change.at, before=before)
            writing.execute_many(INSERT_EVENTS, [event])
    except IntegrityError as error:
        _check_lineage(scope, model_id)  # another transaction may have added to it before this one could look
        reason = "rows of the application's own refer to it; remove those first"
        raise InUseException(model=model_id, reason=reason) from error
    forget(scope.db, id={model_id}, model_id={model_id}, version_id=version_ids)


def _check_purge(change: ModelChange) -> None:
    if change.row["deleted_at"] is None:
        raise InUseException(model=change.id, reason="it is not deleted; delete_model() does that first")
    _check_lineage(change.scope, change.id)


def _check_lineage(scope: Scope, model_id: UUID) -> None:
    children = scope.execute(COUNT_CHILDREN, _id=model_id).scalar_one()
    if children:
        reason = f"{counted(children, 'version')} of other models made from its own must be deleted first"
        raise InUseException(model=model_id, reason=reason)
    if scope.execute(COUNT_PINS, _id=model_id).scalar_one():
        reason = "versions of it are pinned; restore_model(), then unpin_version() takes that away"
        raise InUseException(model=model_id, reason=reason)


def schemas(rows: Iterable[Row[Any]]) -> list[ModelSchema]:  # Any: values of several columns
    """Return rows as models, all at once."""
    return _PAGE.validate_python(as_dicts(MODEL_KEYS, rows))


def _schema(row: Row[Any]) -> ModelSchema:  # Any: values of several columns
    return ModelSchema.model_validate(dict(zip(MODEL_KEYS, row, strict=True)))


def _living(scope: Scope, model: ModelSchema | None, asked_for: UUID | str) -> ModelSchema:
    if model is None:
        raise missing(scope, asked_for)
    if model.deleted_at is not None:
        raise ModelNotFoundException(model=asked_for, namespace=scope.namespace, deleted=model.id)
    return model


def taken(scope: Scope, name: str) -> ModelAlreadyExistsException:
    """Return the error that says who has a name; it may be gone by now, or not yet to be seen."""
    holder = find_by_name(scope, name)
    return ModelAlreadyExistsException(
        name=name,
        namespace=scope.namespace,
        model_id=None if holder is None else holder.id,
        deleted=holder is not None and holder.deleted_at is not None,
    )
