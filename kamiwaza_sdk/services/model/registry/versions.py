"""Versions: create, read, change, delete, register, copy."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError
from pydantic_core import to_json
from sqlalchemy import Insert, Row, Select, select
from sqlalchemy.exc import IntegrityError

from kamiwaza_sdk._validation import revalidated, shown, translated
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.exceptions import ModelTooLargeException
from kamiwaza_sdk.services.model.exceptions import (
    InUseException,
    RevisionConflictException,
    VersionAlreadyExistsException,
    VersionStatusException,
)
from kamiwaza_sdk.services.model.ids import uuid7
from kamiwaza_sdk.services.model.loaded import forget, refresh
from kamiwaza_sdk.services.model.models import DBModelVersion
from kamiwaza_sdk.services.model.registry import models
from kamiwaza_sdk.services.model.registry.changes import (
    ModelChange,
    Step,
    hold,
    hold_named,
    hold_owner,
    insert_or_nothing,
    missing_version,
    of_created,
    same,
)
from kamiwaza_sdk.services.model.registry.files import (
    ALIASES_OF_VERSION,
    DELETE_VERSION,
    DELETE_VERSION_BELONGINGS,
    PIN_NAMES,
    POLICY,
    UPDATE_VERSION,
    VERSION_BY_ID,
    VERSION_BY_LABEL,
    VERSION_KEYS,
    VERSION_PAGE,
    VERSIONS_BY_DIGEST,
    earlier_failure,
    facts,
    insert_files,
    refusal,
    replace_files,
    verdict,
    violations_of,
)
from kamiwaza_sdk.services.model.registry.lineage import check_childless, insert_parents
from kamiwaza_sdk.services.model.registry.tables import FILE, VERSION, VERSION_TAG, as_dicts, given, named
from kamiwaza_sdk.services.model.registry.tags import VERSION_TAGS, tag_rows
from kamiwaza_sdk.services.model.schemas.model import CreateModel
from kamiwaza_sdk.services.model.schemas.version import (
    CreateFile,
    CreateParent,
    CreateVersion,
    ModelFileSchema,
    ModelVersionSchema,
    UpdateVersion,
    check_version_label,
)
from kamiwaza_sdk.services.model.session import (
    MAX_NUMBER,
    Scope,
    check_id,
    check_limit,
    check_number,
    check_revision,
    flush,
)
from kamiwaza_sdk.services.model.store.registration import kept_by

if TYPE_CHECKING:
    from kamiwaza_sdk.services.hub.schemas.policy import ViolationSchema
    from kamiwaza_sdk.services.hub.schemas.results import Fetched
    from kamiwaza_sdk.services.storage.services import StorageService


_PAGE: Final = TypeAdapter(list[ModelVersionSchema], config=ConfigDict(defer_build=True))
#: What is told of a version, apart from its files: where it came from, and what it is.
_TOLD: Final = {"source", "hub", "source_repository", "source_revision", "description"}
#: What a version may become, by what it is.
_NEXT: Final = {
    "draft": {"ready", "failed"},
    "ready": {"archived", "failed"},
    "archived": {"ready"},
    "failed": set[str](),
}


def create_version(scope: Scope, model_id: UUID, version: CreateVersion, *, force: bool) -> ModelVersionSchema:
    """Create a version with the next number, or raise `VersionAlreadyExistsException`."""
    version = revalidated(version, CreateVersion, "version")
    with scope.writing() as writing:
        change = hold(writing, model_id)
        said = _overruled(change, version.files, force=force) if version.status == "ready" else None
        return _insert(change, version, said=said)


def _overruled(
    change: ModelChange,
    files: Sequence[CreateFile] | Sequence[ModelFileSchema],
    *,
    force: bool,
    since: datetime | None = None,
) -> dict[str, JsonValue] | None:
    """Return the verdict that is overruled where files become ready that failed (since then), `None` where none did.

    Raises:
        PolicyViolationException: They did, and nobody has forced it.
    """
    failure = earlier_failure(change.scope, files, since=since)
    if failure is None:
        return None
    if not force:
        raise failure.refusal("register these files with a policy that they pass, or pass force=True")
    return verdict(failure.violations, forced=True)


def get(scope: Scope, version_id: UUID) -> ModelVersionSchema:
    """Return a version by its id."""
    row = scope.execute(VERSION_BY_ID, _id=check_id(version_id, "version_id")).one_or_none()
    if row is None:
        raise missing_version(scope, version_id)
    return schema(row)


def page(scope: Scope, model_id: UUID, *, after: int, limit: int) -> list[ModelVersionSchema]:
    """Return a model's versions by number, from the one after `after` on."""
    check_number(after, "after", low=0, high=MAX_NUMBER, way_out="it is the last version's number; begin with 0")
    rows = scope.execute(
        VERSION_PAGE, _model_id=check_id(model_id, "model_id"), _number=after, _limit=check_limit(limit)
    ).all()
    if not rows:
        models.get(scope, model_id)  # raises where it is the model that is missing
    return schemas(rows)


def register(
    scope: Scope,
    fetched: "Fetched",
    *,
    name: str | None,
    version: str | None,
    max_size: int,
    violations: "Sequence[ViolationSchema] | None" = None,
    storage: "StorageService | None" = None,
    force: bool = False,
) -> ModelVersionSchema:
    """Return the version made of the fetched files, having created it and its model where they were missing."""
    create_model = CreateModel(
        name=fetched.name if name is None else name,
        source_repository=fetched.source_repository or fetched.source,
        hub=fetched.hub,
        author=fetched.author,
        license=fetched.license,
        task=fetched.task,
        description=fetched.description,
        model_card=fetched.model_card,
    )
    files = tuple(
        CreateFile(path=file.path, size=file.size, sha256=file.sha256, url=file.url, format=file.format)
        for file in fetched.files
    )
    create_version = CreateVersion(
        files=files,
        version=version,
        source=fetched.source,
        hub=fetched.hub,
        source_repository=fetched.source_repository,
        source_revision=fetched.source_revision,
        details=fetched.details,
    )
    said = None if violations is None else verdict(violations, forced=force)
    if fetched.size > max_size:
        raise ModelTooLargeException(name=create_model.name, size=fetched.size, limit=max_size)
    with scope.writing() as writing, kept_by(storage, writing, files):
        change = hold_named(writing, create_model.name)  # by its name: another may give it to something else meanwhile
        if change is None:
            models.insert_new(writing, create_model)
            change = hold_named(writing, create_model.name)
        if change is None or change.row["deleted_at"] is not None:
            raise models.taken(writing, create_model.name)
        if said is not None and violations and not force:
            return _insert_failed(change, create_version, said, violations)
        return _insert_or_find(change, create_version, said=said, force=force)


def check_fetched(fetched: "Fetched") -> "Fetched":
    """Return what was fetched, validated once more, or refuse what is something else."""
    from kamiwaza_sdk.services.hub.schemas.results import Fetched

    if not isinstance(fetched, Fetched):
        reason = f"must be a Fetched, not {shown(fetched)}; Fetched.model_validate() makes one of JSON"
        raise InvalidInputException("fetched", reason)
    try:
        return Fetched.model_validate(fetched.model_dump(warnings=False))
    except ValidationError as error:
        raise translated(error) from None


def _insert_failed(
    change: ModelChange,
    version: CreateVersion,
    said: dict[str, JsonValue],
    violations: "Sequence[ViolationSchema]",
) -> ModelVersionSchema:
    """Return a failed version of files that a policy objects to; the one that there is, where it says the same."""
    for found in _of_these_files(change, version, "ready"):
        if _is_overruled(found, violations) and version.version in {None, found.version}:
            return found
        refused = found.model_copy(update={"details": {POLICY: said}})
        raise refusal(refused, "it is ready already, and stays as it is: archive it, or register with force=True")
    for found in _of_these_files(change, version, "failed"):
        if same(found.details.get(POLICY), said) and version.version in {None, found.version}:
            return found
    return _insert(change, version, status="failed", said=said)


def _is_overruled(version: ModelVersionSchema, violations: "Sequence[ViolationSchema]") -> bool:
    """Tell whether a ready version was forced although its files are not the model, and nothing else is said now."""
    from kamiwaza_sdk.services.hub.schemas.policy import CONTENT

    said = version.details.get(POLICY)
    is_forced = isinstance(said, dict) and said.get("forced") is True
    return is_forced and all(violation.rule == CONTENT for violation in violations)


def _of_these_files(change: ModelChange, version: CreateVersion, status: str) -> list[ModelVersionSchema]:
    if not change.row["last_number"]:
        return []  # it never had a version
    from kamiwaza_sdk.services.hub.schemas.results import manifest_digest

    digest = manifest_digest(version.files)
    rows = change.scope.execute(VERSIONS_BY_DIGEST, _model_id=change.id, _digest=digest, _status=status).all()
    return schemas(rows)


def copy(scope: Scope, version_id: UUID, model_id: UUID, *, version: str | None, force: bool) -> ModelVersionSchema:
    """Return the version of another model that has the same files, having created it where it was missing."""
    check_id(model_id, "model_id")
    if version is not None:
        check_version_label(version)
    with scope.writing() as writing:
        source = get(writing, version_id)
        if source.status != "ready":
            raise VersionStatusException(version=version_id, status=source.status, reason="only a ready one is copied")
        files = tuple(CreateFile(**file.model_dump()) for file in source.files)
        parents = (CreateParent(version_id=version_id, relation="copied"),)
        kept = source.model_dump(include={*_TOLD, "details", "attributes", "tags"})
        said = kept["details"].pop(POLICY, None)
        create_version = CreateVersion(files=files, version=version, derived_from=parents, **kept)
        change = hold(writing, model_id)
        since = None if said is None else source.created_at
        return _insert_or_find(change, create_version, said=said, force=force, since=since)


def _insert_or_find(
    change: ModelChange,
    version: CreateVersion,
    *,
    said: dict[str, JsonValue] | None,
    force: bool,
    since: datetime | None = None,
) -> ModelVersionSchema:
    """Return the ready version of the same files, or a new one. The row is held: nobody registers them meanwhile.

    What was said of it is the verdict of today, or that of `since`: where its files failed later, that counts.
    """
    found = next(iter(_of_these_files(change, version, "ready")), None)
    if found is None:
        if said is None or since is not None:
            said = _overruled(change, version.files, force=force, since=since) or said
        return _insert(change, version, said=said)
    if version.version not in {None, found.version}:
        raise VersionAlreadyExistsException(
            model=found.model_name, version=found.version, namespace=found.namespace, same_files=True
        )
    return found


def _insert(
    change: ModelChange,
    version: CreateVersion,
    *,
    status: str | None = None,
    said: dict[str, JsonValue] | None = None,
) -> ModelVersionSchema:
    scope = change.scope
    number = change.row["last_number"] + 1
    values = _values(change, number, version) | ({} if status is None else {"status": status})
    if said is not None:
        values["details"] = {**version.details, POLICY: said}
    known = {key: values[key] for key in ("number", "version", "status", "digest", "size")}
    told = {"details": values["details"]} if values["details"] else {}
    change.record("version.created", after=known | _rest(version) | told, version_id=values["id"])
    insert_all = _insert_at_once if scope.dialect == "postgresql" else _insert_one_by_one
    if not insert_all(change, values, version):
        raise _label_taken(change, values["version"])
    insert_parents(scope, values["id"], version.derived_from)
    return _created(change, values, version)


def _insert_one_by_one(change: ModelChange, values: dict[str, Any], version: CreateVersion) -> bool:  # Any: of columns
    scope = change.scope
    if not scope.execute(insert_or_nothing(scope.dialect, "kamiwaza_model_version", "id"), **values).all():
        return False
    insert_files(scope, values["id"], version.files)
    scope.execute_many(VERSION_TAGS.insert, tag_rows(scope, "version_id", values["id"], version.tags))
    change.write(last_number=values["number"], stale=("versions",))
    return True


def _insert_at_once(change: ModelChange, values: dict[str, Any], version: CreateVersion) -> bool:  # Any: as above
    files = to_json([file.__dict__ for file in version.files]).decode()
    tags = to_json(tag_rows(change.scope, "version_id", values["id"], version.tags)).decode()
    of_files, of_tags, created = _insertions()
    steps = (Step(of_files, {"_files": files}), Step(of_tags, {"_tags": tags}))
    returning = Step(created, named("version", values))
    return bool(change.write(*steps, last_number=values["number"], stale=("versions",), returning=returning))


@cache
def _insertions() -> tuple[Insert, Insert, Select[Any]]:  # Any: an id
    """Return PostgreSQL's statements for a version and what belongs to it, which are parts of one."""
    insertion = insert_or_nothing("postgresql", "kamiwaza_model_version", "id", "namespace")
    created = insertion.values(given(VERSION, "version")).cte("created")
    return (
        of_created(FILE, created, "version_id", batch="_files"),
        of_created(VERSION_TAG, created, "version_id", batch="_tags"),
        select(created.c.id),
    )


def _created(
    change: ModelChange, values: dict[str, Any], version: CreateVersion
) -> ModelVersionSchema:  # Any: of several columns
    """Return a new version as it is read from now on."""
    parents = {parent.version_id: parent for parent in version.derived_from}
    return ModelVersionSchema.model_validate(
        {
            **values,
            "model_name": change.row["name"],
            "files": tuple(file.__dict__ for file in version.files),
            "tags": version.tags,
            "derived_from": tuple(parent.__dict__ for parent in parents.values()),
        }
    )


def _values(change: ModelChange, number: int, version: CreateVersion) -> dict[str, Any]:  # Any: of several columns
    return {
        "id": uuid7(),
        "namespace": change.scope.namespace,
        "model_id": change.id,
        "number": number,
        "version": version.version or str(number),
        **version.model_dump(include=_TOLD),
        "status": version.status,
        "details": version.details,
        "attributes": version.attributes,
        "revision": 1,
        **facts(version.files, version.details),
        "created_at": change.at,
        "updated_at": change.at,
    }


def _rest(version: CreateVersion) -> dict[str, JsonValue]:
    """Return what history tells of a new version besides its columns. Of files, the digest has to do: they are many."""
    rest: dict[str, JsonValue] = version.model_dump(mode="json", include={*_TOLD, "attributes", "tags", "derived_from"})
    return {key: value for key, value in rest.items() if value}


def _label_taken(change: ModelChange, label: str) -> VersionAlreadyExistsException:
    return VersionAlreadyExistsException(model=change.row["name"], version=label, namespace=change.scope.namespace)


def update_version(
    scope: Scope, version_id: UUID, changes: UpdateVersion, *, expected_revision: int | None, force: bool
) -> ModelVersionSchema:
    """Change the fields that are given, where the version's status allows."""
    changes = revalidated(changes, UpdateVersion, "changes", only_given=True)
    check_revision(expected_revision, "ModelVersionSchema.revision")
    label = changes.version
    change: ModelChange | None = None
    flush(scope.db)  # outside of the guard: what fails here is the host's own row
    try:
        with scope.writing() as writing:
            change = hold_owner(writing, version_id)
            current = get(writing, version_id)
            if expected_revision not in {None, current.revision}:
                raise RevisionConflictException(
                    model=change.id,
                    version=version_id,
                    expected=expected_revision or 0,
                    actual=current.revision,
                )
            _update(change, current, changes, force=force)
            return get(writing, version_id)
    except IntegrityError as error:
        if change is None:
            raise
        raise _refusal(change, version_id, label) from error


def _refusal(
    change: ModelChange, version_id: UUID, label: str | None
) -> VersionAlreadyExistsException | InUseException:
    """Return what an update was refused for: its label, or rows of the application's own."""
    scope = replace(change.scope, connection=None)
    if label is not None:
        holder = scope.execute(VERSION_BY_LABEL, _name=change.row["name"], _version=label).one_or_none()
        if holder is not None and UUID(str(holder.id)) != version_id:
            return _label_taken(change, label)
    reason = "rows of the application's own refer to its files; remove those first"
    return InUseException(version=version_id, reason=reason)


def _update(change: ModelChange, current: ModelVersionSchema, changes: UpdateVersion, *, force: bool) -> None:
    forced = _is_refused(current, changes)
    if forced and not force:
        raise refusal(current, "update_version(…, force=True) makes it ready all the same, and the history tells")
    _check_update(change, current, changes, forced=forced)
    values = changes.changes()
    said = _verdict_after(change, current, changes, forced=forced, force=force)
    if said is not None:
        values["details"] = {**current.details, POLICY: said}
    values.pop("files", None)
    has_other_files = changes.files is not None and _rows(changes.files) != _rows(current.files)
    if has_other_files:
        replace_files(change.scope, current.id, current.files, changes.files or ())
    known: Sequence[Any] = current.files if changes.files is None else changes.files  # Any: either kind of file
    values |= facts(known, current.details)
    new = {key: value for key, value in values.items() if not same(getattr(current, key), value)}
    if not (new or has_other_files):
        return
    before = {key: getattr(current, key) for key in new}
    after = dict(new)
    if has_other_files and "digest" not in new:  # which says it where the files' bytes or names are others
        for kind in ("format", "url"):
            was, is_now = _by_path(current.files, kind), _by_path(changes.files or (), kind)
            if was != is_now:
                before[f"{kind}s"], after[f"{kind}s"] = was, is_now
    change.record("version.updated", before=before, after=after, version_id=current.id)
    columns = {**new, "revision": current.revision + 1, "updated_at": change.at}
    change.scope.execute(UPDATE_VERSION, _id=current.id, **columns)
    change.write()
    refresh(change.scope.db, DBModelVersion, current.id, columns, stale=("files",) if has_other_files else ())


def _by_path(files: Sequence[CreateFile] | Sequence[ModelFileSchema], key: str) -> dict[str, JsonValue]:
    return {file.path: getattr(file, key) for file in files}


def _rows(files: Sequence[CreateFile] | Sequence[ModelFileSchema]) -> dict[str, dict[str, Any]]:  # Any: as above
    return {file.path: file.model_dump() for file in files}


def _is_refused(current: ModelVersionSchema, changes: UpdateVersion) -> bool:
    """Tell whether a version is to become ready that a policy objects to."""
    return changes.status == "ready" and current.status == "failed" and bool(violations_of(current))


def _verdict_after(
    change: ModelChange, current: ModelVersionSchema, changes: UpdateVersion, *, forced: bool, force: bool
) -> dict[str, JsonValue] | None:
    """Return the verdict that becoming ready overrules: its own, or one of a version that failed after its own."""
    said = current.details.get(POLICY)
    if forced and isinstance(said, dict):
        return {**said, "forced": True}
    if changes.status != "ready" or current.status == "ready":
        return None
    files = current.files if changes.files is None else changes.files
    return _overruled(change, files, force=force, since=current.created_at if isinstance(said, dict) else None)


def _check_update(change: ModelChange, current: ModelVersionSchema, changes: UpdateVersion, *, forced: bool) -> None:
    if changes.files is not None and current.status != "draft":
        reason = "its files never change any more; create another version"
        raise VersionStatusException(version=current.id, status=current.status, reason=reason)
    if changes.status in {None, current.status}:
        return
    if changes.status not in _NEXT[current.status] and not forced:
        allowed = " or ".join(sorted(_NEXT[current.status])) or "nothing else"
        reason = f"it can become {allowed}, not {changes.status}"
        raise VersionStatusException(version=current.id, status=current.status, reason=reason)
    if changes.status == "ready" and not (current.files if changes.files is None else changes.files):
        reason = "it has no files, which a ready one must have; give it some"
        raise VersionStatusException(version=current.id, status=current.status, reason=reason)
    if current.status == "ready":
        _check_unaliased(change, current)


def _check_unaliased(change: ModelChange, current: ModelVersionSchema) -> None:
    aliases = change.scope.execute(ALIASES_OF_VERSION, _version_id=current.id).scalars().all()
    if aliases:
        reason = f"{', '.join(aliases)} of {change.row['name']!r} leads to it; move or delete that first"
        raise InUseException(version=current.id, name=f"{current.model_name}:{current.number}", reason=reason)


def _check_unpinned(scope: Scope, version_id: UUID, name: str | None = None) -> None:
    names = scope.execute(PIN_NAMES, _version_id=version_id).scalars().all()
    if names:
        reason = f"it is pinned as {', '.join(names)}; unpin_version() takes that away"
        raise InUseException(version=version_id, name=name, reason=reason)


def fail(change: ModelChange, version_id: UUID, details: dict[str, JsonValue]) -> None:
    """Let a version be one that failed, as it did elsewhere, with what was said of it there."""
    current = get(change.scope, version_id)
    if current.status == "ready":
        _check_unaliased(change, current)
    said = {POLICY: details[POLICY]} if POLICY in details else {}
    columns: dict[str, Any] = {
        "status": "failed",
        "details": {**current.details, **said},
        "revision": current.revision + 1,
    }
    before = {"status": current.status, "details": current.details}
    after = {key: columns[key] for key in before}
    change.record("version.updated", before=before, after=after, version_id=version_id)
    change.scope.execute(UPDATE_VERSION, _id=version_id, **columns, updated_at=change.at)
    change.write()
    refresh(change.scope.db, DBModelVersion, version_id, {**columns, "updated_at": change.at})


def delete_version(scope: Scope, version_id: UUID) -> None:
    """Delete a version for good. Its number is not given out again."""
    flush(scope.db)  # as above
    try:
        with scope.writing() as writing:
            change = hold_owner(writing, version_id)
            current = get(writing, version_id)
            name = f"{current.model_name}:{current.number}"
            _check_unaliased(change, current)
            check_childless(writing, version_id, name)
            _check_unpinned(writing, version_id, name)
            for statement in (*DELETE_VERSION_BELONGINGS, DELETE_VERSION):
                writing.execute(statement, _id=version_id)
            before = current.model_dump(mode="json", include={"number", "version", "status", "digest", "size"})
            if violations_of(current):  # others of its files are held to it no more: what it was stays known
                before["details"] = {POLICY: current.details[POLICY]}
            change.record("version.deleted", before=before, version_id=version_id)
            change.write(stale=("versions", "configs"))
    except IntegrityError as error:
        check_childless(scope, version_id)  # another transaction may have added one before this one could look
        _check_unpinned(scope, version_id)
        reason = "rows of the application's own refer to it; remove those first"
        raise InUseException(version=version_id, reason=reason) from error
    forget(scope.db, id={version_id}, version_id={version_id})


def schemas(rows: Iterable[Row[Any]]) -> list[ModelVersionSchema]:  # Any: values of several columns
    """Return rows as versions, each with its files, all at once."""
    return _PAGE.validate_python(as_dicts(VERSION_KEYS, rows))


def schema(row: Row[Any]) -> ModelVersionSchema:  # Any: as above
    """Return a row as a version with its files."""
    return ModelVersionSchema.model_validate(dict(zip(VERSION_KEYS, row, strict=True)))
