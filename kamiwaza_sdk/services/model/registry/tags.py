"""Tags of models and of versions: set, replace and delete them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Delete, Executable, Insert, Select, Table, Update, delete, insert, select, update

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import TagNotFoundException
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModel, DBModelTag, DBModelVersion, DBModelVersionTag
from kamiwaza_sdk.services.model.models.version import VALUE_START
from kamiwaza_sdk.services.model.registry.changes import (
    TAGS_OF_MODEL,
    ModelChange,
    Step,
    hold,
    hold_owner,
    locking,
    locking_owner,
    remove,
)
from kamiwaza_sdk.services.model.registry.documents import write_words
from kamiwaza_sdk.services.model.registry.files import TAGS_OF_VERSION
from kamiwaza_sdk.services.model.registry.tables import MODEL, TAG, VERSION_TAG, bound, given, named
from kamiwaza_sdk.services.model.schemas.fields import MAX_TAGS, check_tag_key, check_tag_value, check_tags
from kamiwaza_sdk.services.model.session import Scope


@dataclass(frozen=True)
class TagStatements:
    """What can be done with the tags in a table, whose owner is given as ``_owner``."""

    owner: str
    lock: Executable
    select_all: Select[tuple[str, str]]
    insert: Insert
    insert_one: Insert
    update: Update
    delete: Delete


def _statements(table: Table, owner: str, lock: Executable) -> TagStatements:
    own = (table.c.namespace == bound(table, "namespace"), table.c[owner] == bound(table, owner))
    one = (*own, table.c.key == bound(table, "key"))
    return TagStatements(
        owner=owner,
        lock=lock,
        select_all=select(table.c.key, table.c.value).where(*own),
        insert=insert(table),
        insert_one=insert(table).values(given(table, "tag")),
        update=update(table).where(*one).values(given(table, "tag", "value", "value_start")),
        delete=delete(table).where(*one),
    )


#: With what else a model's words are made of.
MODEL_TAGS: Final = _statements(TAG, "model_id", locking(MODEL.c.model_card, TAGS_OF_MODEL.label("tags")))
VERSION_TAGS: Final = _statements(VERSION_TAG, "version_id", locking_owner(TAGS_OF_VERSION.label("tags")))
_FROM_JSON: Final = TypeAdapter(dict[str, str])


def tag_rows(scope: Scope, owner: str, owner_id: UUID, tags: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the rows of tags."""
    own = {"namespace": scope.namespace, owner: owner_id}
    return [{**own, "key": key, **_value(value)} for key, value in tags.items()]


def _value(value: str) -> dict[str, str]:
    return {"value": value, "value_start": value[:VALUE_START]}


def set_model_tag(scope: Scope, model_id: UUID, key: str, value: str) -> None:
    """Set a tag of a model."""
    _change(scope, MODEL_TAGS, model_id, {check_tag_key(key): check_tag_value(value)}, replaces=False)


def set_version_tag(scope: Scope, version_id: UUID, key: str, value: str) -> None:
    """Set a tag of a version."""
    _change(scope, VERSION_TAGS, version_id, {check_tag_key(key): check_tag_value(value)}, replaces=False)


def replace_model_tags(scope: Scope, model_id: UUID, tags: Mapping[str, str]) -> None:
    """Give a model these tags, and no others."""
    _change(scope, MODEL_TAGS, model_id, _checked(tags), replaces=True)


def replace_version_tags(scope: Scope, version_id: UUID, tags: Mapping[str, str]) -> None:
    """Give a version these tags, and no others."""
    _change(scope, VERSION_TAGS, version_id, _checked(tags), replaces=True)


def _checked(tags: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        raise InvalidInputException("tags", f"must be a mapping of texts, not {type(tags).__name__}")
    return check_tags(dict(tags))


def delete_model_tag(scope: Scope, model_id: UUID, key: str) -> None:
    """Delete a tag of a model."""
    _change(scope, MODEL_TAGS, model_id, {}, replaces=False, key=check_tag_key(key))


def delete_version_tag(scope: Scope, version_id: UUID, key: str) -> None:
    """Delete a tag of a version."""
    _change(scope, VERSION_TAGS, version_id, {}, replaces=False, key=check_tag_key(key))


def _change(
    scope: Scope,
    statements: TagStatements,
    owner_id: UUID,
    tags: Mapping[str, str],
    *,
    replaces: bool,
    key: str | None = None,
) -> None:
    with scope.writing() as writing:
        change = (hold if statements is MODEL_TAGS else hold_owner)(writing, owner_id, statements.lock)
        before = _FROM_JSON.validate_json(change.row["tags"])
        if key is not None and key not in before:
            raise TagNotFoundException(key=key, owner=owner_id, namespace=scope.namespace)
        after = dict(tags) if replaces else {**before, **tags}
        if key is not None:
            del after[key]
        _write(change, statements, owner_id, before, after)


def _tags(scope: Scope, statements: TagStatements, owner_id: UUID) -> dict[str, str]:
    rows = scope.execute(statements.select_all, **{f"_{statements.owner}": owner_id})
    return {row.key: row.value for row in rows}


def merge_tags(change: ModelChange, tags: Mapping[str, str]) -> bool:
    """Set tags of a model whose row is held, leave its others, and tell whether that made a difference."""
    if not tags:
        return False
    before = _tags(change.scope, MODEL_TAGS, change.id)
    return _write(change, MODEL_TAGS, change.id, before, {**before, **tags})


def _write(
    change: ModelChange,
    statements: TagStatements,
    owner_id: UUID,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> bool:
    if len(after) > MAX_TAGS:
        raise InvalidInputException("tags", f"would be {len(after)}, over the limit of {MAX_TAGS}; drop some")
    gone = [key for key in before if key not in after]
    new = {key: value for key, value in after.items() if key not in before}
    other = {key: value for key, value in after.items() if before.get(key, value) != value}
    if not (gone or new or other):
        return False
    keys = {f"_{statements.owner}": owner_id}
    for key in gone:
        what, version_id = f"tag {shown(key)}", _version_id(statements, owner_id)
        remove(change, statements.delete, what, version_id=version_id, _key=key, **keys)
    steps = [
        Step(statements.update, {**keys, "_key": key, **named("tag", _value(value))}) for key, value in other.items()
    ]
    rows = tag_rows(change.scope, statements.owner, owner_id, new)
    if len(rows) == 1 and not steps:
        steps.append(Step(statements.insert_one, named("tag", rows.pop())))
    change.scope.execute_many(statements.insert, rows)
    for step in steps[1:]:
        change.scope.execute(step.statement, **step.parameters)
    _record(change, statements, owner_id, gone=gone, new=new, other=other, before=before, steps=steps[:1])
    return True


def _version_id(statements: TagStatements, owner_id: UUID) -> UUID | None:
    return None if statements is MODEL_TAGS else owner_id


def _record(
    change: ModelChange,
    statements: TagStatements,
    owner_id: UUID,
    *,
    gone: list[str],
    new: Mapping[str, str],
    other: Mapping[str, str],
    before: Mapping[str, str],
    steps: list[Step],
) -> None:
    of_model = statements is MODEL_TAGS
    kind, owner_kind = (DBModelTag, DBModel) if of_model else (DBModelVersionTag, DBModelVersion)
    was = {key: before[key] for key in (*gone, *other)}
    change.record(
        "tag.set" if new or other else "tag.deleted",
        before=was,
        after={**new, **other},
        version_id=_version_id(statements, owner_id),
    )
    if of_model:
        after = {key: value for key, value in {**before, **new, **other}.items() if key not in gone}
        write_words(change, after, *steps)
    else:
        change.write(*steps)
    db = change.scope.db
    refresh(db, owner_kind, owner_id, {}, stale=("tags",))
    for key in was:
        refresh(db, kind, (owner_id, key), _value(other[key]) if key in other else None)
