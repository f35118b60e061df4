"""What `ModelService` does with versions, as functions over a `Scope`."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kamiwaza_sdk._ids import uuid7
from kamiwaza_sdk._validation import revalidated, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.schemas.fetched import Fetched, manifest_digest
from kamiwaza_sdk.services.model import model_operations, statements
from kamiwaza_sdk.services.model.exceptions import (
    ModelNotFoundException,
    ModelTooLargeException,
    VersionAlreadyExistsException,
    VersionNotFoundException,
)
from kamiwaza_sdk.services.model.references import Reference, parse_reference
from kamiwaza_sdk.services.model.schemas.model import CreateModel, ModelSchema
from kamiwaza_sdk.services.model.schemas.version import CreateFile, CreateVersion, ModelVersionSchema
from kamiwaza_sdk.services.model.scope import Scope, check_id, check_limit, check_number
from kamiwaza_sdk.services.model.session import dialect_name, refresh, require_transaction

__all__ = ["create", "get", "page", "register", "resolve"]

_MAX_NUMBER = 2**31 - 1


def create(scope: Scope, model_id: UUID, version: CreateVersion) -> ModelVersionSchema:
    """Create a version with the next number, or raise `VersionAlreadyExistsException`."""
    version = revalidated(version, CreateVersion, "version")
    require_transaction(scope.db)
    return _insert(scope, model_id, _next(scope, model_id), version)


def get(scope: Scope, version_id: UUID) -> ModelVersionSchema:
    """Return a version by its id."""
    row = scope.execute(statements.VERSION_BY_ID, _id=check_id(version_id, "version_id")).one_or_none()
    if row is None:
        raise VersionNotFoundException(version=version_id, namespace=scope.namespace)
    return _with_files(scope, row)


def page(scope: Scope, model_id: UUID, *, after: int, limit: int) -> list[ModelVersionSchema]:
    """Return a model's versions by number, from the one after `after` on, in two statements."""
    check_number(after, "after", low=0, high=_MAX_NUMBER, way_out="it is the last version's number; begin with 0")
    rows = scope.execute(
        statements.VERSION_PAGE, _model_id=check_id(model_id, "model_id"), _number=after, _limit=check_limit(limit)
    ).all()
    if not rows:
        model_operations.get(scope, model_id)  # raises where it is the model that is missing
        return []
    numbers = [row.number for row in rows]
    files = scope.execute(statements.FILES_OF_MODEL, _model_id=model_id, _first=numbers[0], _last=numbers[-1])
    by_number = {number: [row[1:] for row in group] for number, group in groupby(files, key=lambda row: row[0])}
    return [_schema(row, by_number.get(row.number, [])) for row in rows]


def resolve(scope: Scope, reference: str) -> ModelVersionSchema:
    """Return the version that a reference string names."""
    parsed = parse_reference(reference)
    row = _find(scope, parsed)
    if row is None:
        model_operations.get_by_name(scope, parsed.name)  # raises where it is the model that is missing
        raise VersionNotFoundException(version=reference, namespace=scope.namespace, way_out=_way_out(parsed))
    return _with_files(scope, row)


def _way_out(reference: Reference) -> str:
    if reference.alias is not None:
        return "the model has no alias of that name; name a version by number or label, as in 'name:3'"
    if reference.version is None:
        return "the model has no version that is ready; create_version() or register() adds one"
    return "list_versions() tells which there are"


def register(
    scope: Scope, fetched: Fetched, *, name: str | None, version: str | None, max_size: int
) -> ModelVersionSchema:
    """Return the version made of the fetched files, having created it and its model where they were missing."""
    if not isinstance(fetched, Fetched):
        reason = f"must be a Fetched, not {shown(fetched)}; Fetched.model_validate() makes one of JSON"
        raise InvalidInputException("fetched", reason)
    create_model = CreateModel(name=fetched.name if name is None else name, source_repository=fetched.source)
    files = tuple(CreateFile(path=file.path, size=file.size, sha256=file.sha256) for file in fetched.files)
    create_version = CreateVersion(files=files, version=version)
    if fetched.size > max_size:
        raise ModelTooLargeException(name=create_model.name, size=fetched.size, limit=max_size)
    require_transaction(scope.db)
    model = model_operations.insert(scope, create_model) or _existing(scope, create_model.name)
    return _create_or_find(scope, model, create_version)


def _existing(scope: Scope, name: str) -> ModelSchema:
    model = model_operations.find_by_name(scope, name)
    if model is None or model.deleted_at is not None:
        raise model_operations.taken(scope, name, model)
    return model


def _create_or_find(scope: Scope, model: ModelSchema, version: CreateVersion) -> ModelVersionSchema:
    number = _next(scope, model.id)
    digest = manifest_digest(version.files)
    # Only now: whoever held the row before may have registered the same files.
    row = scope.execute(statements.VERSION_BY_DIGEST, _model_id=model.id, _digest=digest).one_or_none()
    if row is None:
        return _insert(scope, model.id, number, version)
    _give_back(scope, model.id)
    found = _with_files(scope, row)
    if version.version not in {None, found.version}:
        raise VersionAlreadyExistsException(
            model=found.model_name, version=found.version, namespace=scope.namespace, same_files=True
        )
    return found


def _next(scope: Scope, model_id: UUID) -> int:
    """Take the next number of a model, and hold its row until the transaction ends."""
    number: int | None = scope.execute(
        statements.TAKE_NUMBER, _id=check_id(model_id, "model_id"), _step=1
    ).scalar_one_or_none()
    if number is None:
        model_operations.get(scope, model_id)  # raises: it is missing or deleted
        raise ModelNotFoundException(model=model_id, namespace=scope.namespace)  # it was, a moment ago
    return number


def _give_back(scope: Scope, model_id: UUID) -> None:
    """Return a number that was not used, so that there is no gap. The row is held: nobody has taken the next one."""
    scope.execute(statements.TAKE_NUMBER, _id=model_id, _step=-1)


def _insert(scope: Scope, model_id: UUID, number: int, version: CreateVersion) -> ModelVersionSchema:
    """Insert a version that becomes ready with the last statement: interrupted before, it stays a draft."""
    label = version.version or str(number)
    now = datetime.now(UTC)  # after the row is held, so that moments follow numbers
    version_id = uuid7()
    rows = list(_file_rows(scope, version_id, version.files))
    inserted = scope.execute(
        statements.insert_version(dialect_name(scope.db)),
        id=version_id,
        namespace=scope.namespace,
        model_id=model_id,
        number=number,
        version=label,
        source_revision=version.source_revision,
        digest=manifest_digest(version.files),
        size=sum(file.size for file in version.files),
        status="draft",
        details=version.details,
        created_at=now,
        updated_at=now,
    ).one_or_none()
    if inserted is None:
        _give_back(scope, model_id)
        model = model_operations.get(scope, model_id).name
        raise VersionAlreadyExistsException(model=model, version=label, namespace=scope.namespace)
    scope.execute_many(statements.INSERT_FILES, rows)
    scope.execute(statements.FINISH_VERSION, _id=version_id)
    refresh(scope.db, model_id, {}, stale=("last_number", "versions"))
    return get(scope, version_id)


def _file_rows(scope: Scope, version_id: UUID, files: Iterable[CreateFile]) -> Iterator[dict[str, object]]:
    for file in files:
        yield {"namespace": scope.namespace, "version_id": version_id, **file.model_dump()}


def _find(scope: Scope, reference: Reference) -> Row[Any] | None:  # Any: values of several columns
    if reference.alias is not None:
        return None  # nothing sets an alias yet, so that none leads anywhere
    if reference.version is None:
        return scope.execute(statements.LATEST_VERSION, _name=reference.name).one_or_none()
    if not (reference.version.isascii() and reference.version.isdecimal()):
        return scope.execute(
            statements.VERSION_BY_LABEL, _name=reference.name, _version=reference.version
        ).one_or_none()
    digits = reference.version.lstrip("0")
    number = int(digits or 0) if len(digits) <= len(str(_MAX_NUMBER)) else _MAX_NUMBER + 1
    if number > _MAX_NUMBER:
        return None
    return scope.execute(statements.VERSION_BY_NUMBER, _name=reference.name, _number=number).one_or_none()


def _with_files(scope: Scope, row: Row[Any]) -> ModelVersionSchema:  # Any: values of several columns
    return _schema(row, scope.execute(statements.FILES_OF_VERSION, _version_id=UUID(str(row.id))))


def _schema(row: Row[Any], files: Iterable[Any]) -> ModelVersionSchema:  # Any: values of several columns
    values = dict(zip((*statements.VERSION_KEYS, "model_name"), row, strict=True))
    values["files"] = [dict(zip(statements.FILE_KEYS, file, strict=True)) for file in files]
    return ModelVersionSchema.model_validate(values)
