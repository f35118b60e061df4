"""Files of versions, the statements that read versions, and the verdicts of policies on files."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from kamiwaza_sdk._validation import MAX_SIZE
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelFile
from kamiwaza_sdk.services.model.registry.tables import (
    ALIAS,
    CONFIG,
    FILE,
    LINEAGE,
    MODEL,
    PIN,
    VERSION,
    VERSION_TAG,
    bound,
    json_array,
    json_map,
    json_object,
    json_texts,
    quick,
    raw,
)
from kamiwaza_sdk.services.model.schemas.version import (
    POLICY,
    CreateFile,
    ModelFileSchema,
    ModelVersionSchema,
    VersionSummarySchema,
)
from kamiwaza_sdk.services.model.session import Scope

if TYPE_CHECKING:
    from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException
    from kamiwaza_sdk.services.hub.schemas.policy import ViolationSchema

__all__ = ["Failure", "POLICY", "earlier_failure", "violations_of", "refusal", "verdict"]


#: What a row's values are called in the schema, in their order.
VERSION_KEYS: Final = tuple(ModelVersionSchema.model_fields)
SUMMARY_KEYS: Final = tuple(VersionSummarySchema.model_fields)

TAGS_OF_VERSION: Final = (
    select(json_map(VERSION_TAG.c.key, VERSION_TAG.c.value))
    .where(VERSION_TAG.c.namespace == VERSION.c.namespace, VERSION_TAG.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery()
)
#: What a version has in other tables, each as one value.
AGGREGATED: Final[dict[str, ColumnElement[Any]]] = {  # Any: JSON, and a name
    "model_name": MODEL.c.name,
    # With the row, not after it: another transaction may replace the files of a draft, or delete it, in between.
    "files": select(json_array(json_object.of(**{key: FILE.c[key] for key in ModelFileSchema.model_fields})))
    .where(FILE.c.namespace == VERSION.c.namespace, FILE.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery(),
    "tags": TAGS_OF_VERSION,
    "aliases": select(json_array(ALIAS.c.alias))
    .where(ALIAS.c.namespace == VERSION.c.namespace, ALIAS.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery(),
    "derived_from": select(json_array(json_object.of(version_id=LINEAGE.c.parent_id, relation=LINEAGE.c.relation)))
    .where(LINEAGE.c.namespace == VERSION.c.namespace, LINEAGE.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery(),
}


def _columns(keys: tuple[str, ...], prefix: str = "") -> list[ColumnElement[Any]]:  # Any: columns of several types
    known = AGGREGATED | {label.key: label.element for label in raw(VERSION, tuple(VERSION.c.keys()))}
    return [known[key].label(prefix + key) for key in keys]


#: A version without its files, beside columns of its model.
SUMMARY_COLUMNS: Final = _columns(SUMMARY_KEYS, "version_")
VERSION_SELECT: Final[Select[Any]] = (  # Any: as above
    select(*_columns(VERSION_KEYS))
    .join_from(VERSION, MODEL, (VERSION.c.namespace == MODEL.c.namespace) & (VERSION.c.model_id == MODEL.c.id))
    .where(VERSION.c.namespace == bound(VERSION, "namespace"), MODEL.c.deleted_at.is_(None))
)
_OF_MODEL: Final = VERSION.c.model_id == bound(VERSION, "model_id")
_WITH_ID: Final = VERSION.c.id == bound(VERSION, "id")
_IN_NAMESPACE: Final = VERSION.c.namespace == bound(VERSION, "namespace")

#: The id of the model that has a name.
_NAMED: Final = (
    select(MODEL.c.id)
    .where(MODEL.c.namespace == bound(MODEL, "namespace"), MODEL.c.name == bound(MODEL, "name"))
    .scalar_subquery()
)
_OWN: Final = VERSION.alias("own")
_OF_NAMED: Final = select(_OWN.c.id).where(_OWN.c.namespace == bound(VERSION, "namespace"), _OWN.c.model_id == _NAMED)


def _found(version_id: Select[Any]) -> Select[Any]:  # Any: as above
    """Return the statement for the version with an id that is looked up before.

    From the model's name to its id, and from there to the version's, so that there is but one plan: until there are
    statistics, PostgreSQL would look through all versions of a model, and SQLite through all aliases of a name.
    """
    return VERSION_SELECT.where(VERSION.c.id == version_id.scalar_subquery())


VERSION_BY_ID: Final = quick(VERSION_SELECT.where(_WITH_ID))
VERSION_BY_NUMBER: Final = quick(_found(_OF_NAMED.where(_OWN.c.number == bound(VERSION, "number"))))
VERSION_BY_LABEL: Final = quick(_found(_OF_NAMED.where(_OWN.c.version == bound(VERSION, "version"))))
VERSION_BY_ALIAS: Final = quick(
    _found(
        select(ALIAS.c.version_id).where(
            ALIAS.c.namespace == bound(ALIAS, "namespace"),
            ALIAS.c.model_id == _NAMED,
            ALIAS.c.alias == bound(ALIAS, "alias"),
        )
    )
)
LATEST_VERSION: Final = quick(_found(_OF_NAMED.where(_OWN.c.status == "ready").order_by(_OWN.c.number.desc()).limit(1)))
#: The first versions of a status that have just these files.
VERSIONS_BY_DIGEST: Final = (
    VERSION_SELECT.where(
        _OF_MODEL, VERSION.c.digest == bound(VERSION, "digest"), VERSION.c.status == bound(VERSION, "status")
    )
    .order_by(VERSION.c.number)
    .limit(10)
)
#: Which of these contents are those of files of failed versions, deleted models' too, with what was said of those.
FAILED_FILES: Final = (
    select(
        *(VERSION.c.id.label("version_id"), MODEL.c.name, VERSION.c.number, VERSION.c.details, VERSION.c.created_at),
        VERSION.c.size.label("version_size"),
        *(FILE.c.path, FILE.c.size, FILE.c.sha256),
    )
    .join_from(FILE, VERSION, (VERSION.c.id == FILE.c.version_id) & (VERSION.c.namespace == FILE.c.namespace))
    .join(MODEL, (MODEL.c.id == VERSION.c.model_id) & (MODEL.c.namespace == VERSION.c.namespace))
    .where(
        FILE.c.namespace == bound(FILE, "namespace"),
        FILE.c.sha256.op("IN", is_comparison=True)(json_texts(bindparam("_digests", type_=String()))),
        VERSION.c.status == "failed",
    )
    .order_by(VERSION.c.id)
)
VERSION_PAGE: Final = (
    VERSION_SELECT.where(_OF_MODEL, VERSION.c.number > bound(VERSION, "number"))
    .order_by(VERSION.c.number)
    .limit(bindparam("_limit"))
)
#: Which model a version is of, which never changes.
VERSION_OWNER: Final = select(VERSION.c.model_id).where(_IN_NAMESPACE, _WITH_ID)

#: The values to set are named by the parameters that it is executed with.
UPDATE_VERSION: Final = update(VERSION).where(_IN_NAMESPACE, _WITH_ID)
DELETE_VERSION: Final = delete(VERSION).where(_IN_NAMESPACE, _WITH_ID)
DELETE_VERSION_BELONGINGS: Final = tuple(
    delete(table).where(table.c.namespace == bound(VERSION, "namespace"), table.c.version_id == bound(VERSION, "id"))
    for table in (LINEAGE, VERSION_TAG, CONFIG, FILE)
)

INSERT_FILES: Final = insert(FILE)
_ONE_FILE: Final = (
    FILE.c.namespace == bound(FILE, "namespace"),
    FILE.c.version_id == bound(FILE, "version_id"),
    FILE.c.path == bound(FILE, "path"),
)
UPDATE_FILE: Final = update(FILE).where(*_ONE_FILE)
DELETE_FILE: Final = delete(FILE).where(*_ONE_FILE)


_MAX_FORMAT_LENGTH = 64
_MAX_WORD_LENGTH = 255


class _File(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def format(self) -> str | None: ...


def insert_files(scope: Scope, version_id: UUID, files: Sequence[CreateFile]) -> None:
    """Insert the files of a version."""
    own = {"namespace": scope.namespace, "version_id": version_id}
    scope.execute_many(INSERT_FILES, [{**own, **file.__dict__} for file in files])


def replace_files(
    scope: Scope, version_id: UUID, before: Sequence[ModelFileSchema], after: Sequence[CreateFile]
) -> None:
    """Give a version these files, and no others. Rows that stay are left alone: the application's may refer to them."""
    old = {file.path: file.model_dump() for file in before}
    new = {file.path: file.model_dump() for file in after}
    for path in old.keys() - new.keys():
        scope.execute(DELETE_FILE, _version_id=version_id, _path=path)
        refresh(scope.db, DBModelFile, (version_id, path))
    for path in sorted(old.keys() & new.keys()):
        if old[path] != new[path]:
            scope.execute(UPDATE_FILE, _version_id=version_id, _path=path, **new[path])
            refresh(scope.db, DBModelFile, (version_id, path), new[path])
    insert_files(scope, version_id, [file for file in after if file.path not in old])


def facts(files: Sequence[_File], details: Mapping[str, JsonValue]) -> dict[str, str | int | None]:
    """Return what a version's columns say of its files and its inside."""
    from kamiwaza_sdk.services.hub.schemas.results import manifest_digest

    return {
        "digest": manifest_digest(files),
        "size": sum(file.size for file in files),
        "format": _format(files, details.get("format")),
        "parameters": _parameters(details.get("parameters")),
        "architecture": _word(details.get("architecture")),
        "quantization": _word(details.get("quantization")),
        "context_length": _length(details.get("context_length")),
    }


def _format(files: Sequence[_File], declared: JsonValue) -> str | None:
    """Return what the details name, or else what all files are that say what they are."""
    if isinstance(declared, str) and 0 < len(declared) <= _MAX_FORMAT_LENGTH:
        return declared
    formats = {file.format for file in files if file.format is not None}
    return formats.pop() if len(formats) == 1 else None


def _word(declared: JsonValue) -> str | None:
    return declared if isinstance(declared, str) and 0 < len(declared) <= _MAX_WORD_LENGTH else None


def _length(declared: JsonValue) -> int | None:
    return declared if type(declared) is int and declared > 0 else None


def _parameters(declared: JsonValue) -> int | None:
    """Return how many there are: as a number, or the sum over data types."""
    counts = list(declared.values()) if isinstance(declared, dict) else [declared]
    if not counts or not all(type(count) is int and count >= 0 for count in counts):
        return None
    total = sum(count for count in counts if isinstance(count, int))
    return total if total <= MAX_SIZE else None


ALIASES_OF_VERSION: Final = (
    select(ALIAS.c.alias)
    .where(ALIAS.c.namespace == bound(ALIAS, "namespace"), ALIAS.c.version_id == bound(ALIAS, "version_id"))
    .order_by(ALIAS.c.alias)
)
#: By which names a version is pinned.
PIN_NAMES: Final = (
    select(PIN.c.name)
    .where(PIN.c.namespace == bound(PIN, "namespace"), PIN.c.version_id == bound(PIN, "version_id"))
    .order_by(PIN.c.name)
)


#: How many violations are kept; that there are more is noted.
_MOST_KEPT: Final = 100
_LONGEST_REASON: Final = 500


def verdict(violations: "Sequence[ViolationSchema]", *, forced: bool = False) -> dict[str, JsonValue]:
    """Return a verdict as JSON: nothing against the version, or what."""
    kept: list[JsonValue] = [
        {"rule": one.rule, "path": one.path, "reason": _plain(one.reason), "kind": one.kind}
        for one in violations[:_MOST_KEPT]
    ]
    said: dict[str, JsonValue] = {"passed": not violations, "violations": kept}
    if len(violations) > len(kept):
        said["more"] = len(violations) - len(kept)
    return said | {"forced": True} if forced and violations else said


def _plain(text: str) -> str:
    """Return a text that every database can hold."""
    return "".join(character if character.isprintable() else "?" for character in text)[:_LONGEST_REASON]


class Failure(NamedTuple):
    """A version that failed, and what was said of it.

    Attributes:
        subject: The version, as a reference.
        violations: Everything against it.
    """

    subject: str
    violations: "tuple[ViolationSchema, ...]"

    def refusal(self, way_out: str) -> "PolicyViolationException":
        """Return the error that says so."""
        from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException

        return PolicyViolationException(subject=self.subject, violations=self.violations, way_out=way_out)


def earlier_failure(
    scope: Scope,
    files: Sequence[CreateFile] | Sequence[ModelFileSchema],
    *,
    since: datetime | None = None,
    ignored: Collection[UUID] = (),
) -> Failure | None:
    """Return a failed version of this namespace whose verdict holds for these files too, under whatever names.

    One that is about a file holds for every version with that content; one that is about the whole holds for all that
    have all its files. Failures before `since` do not count, nor do those of the versions that are `ignored`.
    """
    paths = {file.path for file in files}
    rows = scope.execute(FAILED_FILES, _digests=to_json(sorted({file.sha256 for file in files})).decode()).all()
    for version_id, group in groupby(rows, key=attrgetter("version_id")):
        shared = list(group)
        if version_id in ignored:
            continue
        if since is not None and shared[0].created_at < since:
            continue
        violations = _violations_in(shared[0].details)
        if violations and _holds(shared, violations, paths):
            return Failure(f"{shared[0].name}:{shared[0].number}", violations)
    return None


def _holds(shared: Sequence[Row[Any]], violations: "Sequence[ViolationSchema]", paths: set[str]) -> bool:
    # An empty file is at fault for what it is called.
    same = {row.path for row in shared if row.size or row.path in paths}
    has_all = sum(row.size for row in shared) == shared[0].version_size and any(row.path in same for row in shared)
    return has_all or any(violation.path in same for violation in violations)


def violations_of(version: VersionSummarySchema) -> "tuple[ViolationSchema, ...]":
    """Return what a policy has against a version, as it is kept with it."""
    return _violations_in(version.details)


def _violations_in(details: Mapping[str, JsonValue]) -> "tuple[ViolationSchema, ...]":
    said = details.get(POLICY)
    kept = said.get("violations", said.get("objections")) if isinstance(said, dict) else None
    return tuple(filter(None, map(_violation, kept))) if isinstance(kept, list) else ()


def _violation(value: JsonValue) -> "ViolationSchema | None":
    """Return a violation, or `None` if the value is not one: callers write details freely."""
    if not isinstance(value, dict) or not isinstance(value.get("rule"), str):
        return None
    from kamiwaza_sdk.services.hub.schemas.policy import ViolationSchema

    path = value.get("path")
    return ViolationSchema(
        rule=str(value["rule"]),
        reason=str(value.get("reason")),
        path=path if isinstance(path, str) else None,
        kind="unreadable" if value.get("kind") == "unreadable" else "bad",
    )


def refusal(version: VersionSummarySchema, way_out: str) -> "PolicyViolationException":
    """Return the error that says what a policy has against a version."""
    return Failure(f"{version.model_name}:{version.number}", violations_of(version)).refusal(way_out)
