"""Imports: the lines of an export become rows, all or none. Memory is for one batch, and the files of a version.

A model that is not here arrives as it was, with its history. To one that is here, ``update`` adds what it lacks, and
its own history tells of that: two histories cannot be one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import from_json, to_json
from sqlalchemy import RowMapping, bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError

from kamiwaza_sdk._validation import MAX_FILES, check_layout, shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.model.exceptions import (
    DatabaseException,
    ExportFileException,
    ImportException,
    ModelAlreadyExistsException,
    VersionAlreadyExistsException,
    VersionStatusException,
)
from kamiwaza_sdk.services.model.registry import aliases, configs, models, versions
from kamiwaza_sdk.services.model.registry.bulk import LAST_DOCUMENT, SEARCH_INSERT_AFTER
from kamiwaza_sdk.services.model.registry.changes import INSERT_EVENTS, ModelChange, hold_any
from kamiwaza_sdk.services.model.registry.documents import INSERT_DOCUMENT, document_words
from kamiwaza_sdk.services.model.registry.exports import Reader, opened, records
from kamiwaza_sdk.services.model.registry.files import INSERT_FILES, earlier_failure
from kamiwaza_sdk.services.model.registry.lineage import INSERT_PARENTS, LOCK_LINEAGE, check_circle
from kamiwaza_sdk.services.model.registry.tables import ALIAS, CONFIG, EVENT, MODEL, VERSION, bound
from kamiwaza_sdk.services.model.registry.tags import MODEL_TAGS, VERSION_TAGS, merge_tags, tag_rows
from kamiwaza_sdk.services.model.schemas.exchange import (
    AliasRecord,
    ConfigRecord,
    EventRecord,
    FileRecord,
    ImportSchema,
    ModelRecord,
    Record,
    VersionRecord,
)
from kamiwaza_sdk.services.model.schemas.fields import MAX_ALIASES
from kamiwaza_sdk.services.model.schemas.model import CreateModel, OnConflict
from kamiwaza_sdk.services.model.session import Scope, flush
from kamiwaza_sdk.services.model.store.registration import kept_by

if TYPE_CHECKING:
    import os

    from kamiwaza_sdk.services.storage.services import StorageService

#: How many rows wait to be written together.
_BATCH: Final = 1000
#: How many bytes of lineage wait in memory for their versions; more wait in a temporary file.
_WAITING: Final = 2**20
_FIELDS: Final = set(CreateModel.model_fields) - {"tags"}
_STATE: Final = {"revision", "last_number", "created_at", "updated_at", "deleted_at", "last_event", "last_event_at"}

_MODEL_HERE: Final = select(MODEL.c.id, MODEL.c.name, MODEL.c.deleted_at).where(
    MODEL.c.namespace == bound(MODEL, "namespace"),
    (MODEL.c.id == bound(MODEL, "id")) | (MODEL.c.name == bound(MODEL, "name")),
)
_VERSION_HERE: Final = select(
    VERSION.c.id, VERSION.c.model_id, VERSION.c.number, VERSION.c.digest, VERSION.c.status, VERSION.c.version
).where(
    VERSION.c.namespace == bound(VERSION, "namespace"),
    (VERSION.c.id == bound(VERSION, "id"))
    | (
        (VERSION.c.model_id == bound(VERSION, "model_id"))
        & ((VERSION.c.number == bound(VERSION, "number")) | (VERSION.c.version == bound(VERSION, "version")))
    ),
)
_IDS: Final = bindparam("_ids", type_=VERSION.c.id.type, expanding=True)
#: What aliases of a batch lead to.
_TARGETS: Final = select(VERSION.c.id, VERSION.c.model_id, VERSION.c.number, VERSION.c.status).where(
    VERSION.c.namespace == bound(VERSION, "namespace"), VERSION.c.id.in_(_IDS)
)
#: Ids are not given twice, whatever the namespace.
_TAKEN: Final = {
    "model": select(MODEL.c.id).where(MODEL.c.id.in_(_IDS)),
    "version": select(VERSION.c.id).where(VERSION.c.id.in_(_IDS)),
    "config": select(CONFIG.c.id).where(CONFIG.c.id.in_(_IDS)),
}
#: What was purged left an event.
_EVENTS_LEFT: Final = (
    select(EVENT.c.model_id, func.max(EVENT.c.sequence).label("last"))
    .where(EVENT.c.namespace == bound(EVENT, "namespace"), EVENT.c.model_id.in_(_IDS))
    .group_by(EVENT.c.model_id)
)
_HAS_FAILED: Final = (
    select(VERSION.c.id)
    .where(VERSION.c.namespace == bound(VERSION, "namespace"), VERSION.c.status == "failed")
    .limit(1)
)
#: In an order that no foreign key of ours minds.
_INSERTS: Final = {
    "model": insert(MODEL),
    "model_tag": MODEL_TAGS.insert,
    "document": INSERT_DOCUMENT,
    "version": insert(VERSION),
    "version_tag": VERSION_TAGS.insert,
    "file": INSERT_FILES,
    "alias": insert(ALIAS),
    "config": insert(CONFIG),
    "event": INSERT_EVENTS,
}


class _Line(NamedTuple):
    """Where something was said, and of which model."""

    number: int
    model: str

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say where it was said that cannot be here."""
        try:
            yield
        except (DatabaseException, ImportException, ExportFileException):
            raise
        except (ServiceException, IntegrityError) as error:
            raise ImportException(line=self.number, model=self.model, cause=error) from error


@dataclass
class _Work:
    """What one call has to do with: it is shared by all models that arrive.

    Attributes:
        scope: Where to write.
        storage: The store to look into; `None` where nobody looks.
        lineage: New versions with what they were made from, which may come later in the file.
        counts: What becomes of what is read.
        rows: What waits to be written, by kind.
        files: Those that are among it, to be looked at in the store.
        begin: Where what waits begins in the file.
        failed: New versions that failed where they come from: they are no reason to refuse others of the file.
        had_failed: Whether there were failed versions before.
    """

    scope: Scope
    storage: "StorageService | None"
    lineage: "SpooledTemporaryFile[bytes]"
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ImportSchema.model_fields, 0))
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))  # Any: of several columns
    files: list[FileRecord] = field(default_factory=list)
    begin: _Line | None = None
    failed: set[UUID] = field(default_factory=set)
    had_failed: bool = False

    def add(self, line: _Line, kind: str, rows: Sequence[dict[str, Any]]) -> None:  # Any: as above
        """Let rows wait to be written."""
        self.begin = self.begin or line
        self.rows[kind] += rows

    def flush(self, *, least: int = 1) -> None:
        """Write what waits, where it is so much."""
        if self.begin is None or sum(map(len, self.rows.values())) < least:
            return
        rows, files, begin = self.rows, self.files, self.begin
        self.rows, self.files, self.begin = defaultdict(list), [], None
        with begin.told():
            self._check_ids(rows)
            self._reserve_events(rows)
            last = self.scope.execute(LAST_DOCUMENT).scalar_one() if self.scope.dialect == "sqlite" else 0
            with kept_by(self.storage, self.scope, files):
                for kind, statement in _INSERTS.items():
                    if kind == "alias":
                        self._check_targets(rows["alias"])
                    self.scope.execute_many(statement, rows[kind])
            if rows["document"] and self.scope.dialect == "sqlite":
                self.scope.execute(SEARCH_INSERT_AFTER, _last=last)

    def _check_ids(self, rows: dict[str, list[dict[str, Any]]]) -> None:  # Any: as above
        for kind, statement in _TAKEN.items():
            ids = [row["id"] for row in rows[kind]]
            if ids and (taken := self.scope.execute(statement, _ids=ids).scalars().first()):
                raise InvalidInputException("source", f"has a {kind} with the id {taken}, which another one has here")

    def _reserve_events(self, rows: dict[str, list[dict[str, Any]]]) -> None:  # Any: as above
        ids = [row["id"] for row in rows["model"]]
        left = dict(map(tuple, self.scope.execute(_EVENTS_LEFT, _ids=ids).all())) if ids else {}
        for row in rows["model"]:
            row["last_event"] = max(row["last_event"], left.get(row["id"], 0))

    def _check_targets(self, rows: Sequence[dict[str, Any]]) -> None:  # Any: as above
        ids = [row["version_id"] for row in rows]
        found = {row.id: row for row in self.scope.execute(_TARGETS, _ids=ids).all()} if ids else {}
        for row in rows:
            target = found.get(row["version_id"])
            if target is None or (target.model_id, target.number) != (row["model_id"], row["number"]):
                raise InvalidInputException(
                    "source", f"has an alias {row['alias']!r} to what is no version of its model"
                )
            if target.status != "ready":
                raise VersionStatusException(
                    version=target.id, status=target.status, reason=f"the alias {row['alias']!r} leads to it"
                )

    def check_verdict(self, record: VersionRecord, files: Sequence[FileRecord]) -> None:
        """Refuse a new version as ready whose files have failed here."""
        if record.status == "failed":
            self.failed.add(record.id)
        if record.status == "ready" and self.had_failed:
            failure = earlier_failure(self.scope, files, ignored=self.failed)
            if failure is not None:
                raise failure.refusal("leave it out by a filter, or delete the version that failed here")

    def note_parents(self, line: _Line, record: VersionRecord) -> None:
        """Let what a new version was made from wait for the end."""
        for parent in record.derived_from:
            self.lineage.write(to_json([*line, str(record.id), str(parent.version_id), parent.relation]) + b"\n")

    def write_lineage(self) -> None:
        """Write what new versions were made from."""
        if not self.lineage.tell():
            return
        if self.scope.dialect == "postgresql":
            self.scope.execute(LOCK_LINEAGE)
        self.lineage.seek(0)
        for text in self.lineage:
            number, model, version, parent, relation = from_json(text)
            with _Line(number, model).told():
                self._write_parent(UUID(version), UUID(parent), relation)

    def _write_parent(self, version_id: UUID, parent_id: UUID, relation: str) -> None:
        if not self.scope.execute(_TARGETS, _ids=[parent_id]).all():
            self.counts["parents_missing"] += 1
            return
        check_circle(self.scope, version_id, parent_id)
        own = {"namespace": self.scope.namespace, "version_id": version_id, "parent_id": parent_id}
        self.scope.execute_many(INSERT_PARENTS, [{**own, "relation": relation}])


class _Target(Protocol):
    """Where what belongs to a model goes."""

    def version(self, line: _Line, record: VersionRecord, files: Sequence[FileRecord]) -> None: ...
    def alias(self, line: _Line, record: AliasRecord) -> None: ...
    def config(self, line: _Line, record: ConfigRecord) -> None: ...
    def event(self, line: _Line, record: EventRecord) -> None: ...
    def close(self) -> None: ...


class _Left:
    """A model that is here, and stays as it is."""

    def __init__(self, work: _Work) -> None:
        work.counts["skipped"] += 1

    def version(self, line: _Line, record: VersionRecord, files: Sequence[FileRecord]) -> None:
        """Do nothing."""

    def alias(self, line: _Line, record: AliasRecord) -> None:
        """Do nothing."""

    def config(self, line: _Line, record: ConfigRecord) -> None:
        """Do nothing."""

    def event(self, line: _Line, record: EventRecord) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Arriving:
    """A model that is new here: what is read of it is what is written."""

    def __init__(self, work: _Work, line: _Line, record: ModelRecord) -> None:
        self._work = work
        self._own = {"namespace": work.scope.namespace, "model_id": record.id}
        values = {key: getattr(record, key) for key in (*_FIELDS, *_STATE, "id")}
        work.add(line, "model", [{**values, "namespace": work.scope.namespace}])
        work.add(line, "model_tag", tag_rows(work.scope, "model_id", record.id, record.tags))
        words = document_words(
            work.scope.namespace,
            name=record.name,
            author=record.author,
            description=record.description,
            tags=record.tags,
            model_card=record.model_card,
            deleted=record.deleted_at is not None,
        )
        work.add(line, "document", [{**self._own, "_words": words}])
        work.counts["created"] += 1

    def version(self, line: _Line, record: VersionRecord, files: Sequence[FileRecord]) -> None:
        self._work.check_verdict(record, files)
        _add_version(self._work, line, record, files, self._own)

    def alias(self, line: _Line, record: AliasRecord) -> None:
        self._work.add(line, "alias", [{**self._own, **_values(record)}])

    def config(self, line: _Line, record: ConfigRecord) -> None:
        self._work.add(line, "config", [{**self._own, **_values(record)}])

    def event(self, line: _Line, record: EventRecord) -> None:
        values = _values(record)
        values["kind"] = values.pop("event")
        self._work.add(line, "event", [{**self._own, **values}])

    def close(self) -> None:
        """Do nothing: it is written with others."""


def _add_version(
    work: _Work,
    line: _Line,
    record: VersionRecord,
    files: Sequence[FileRecord],
    own: dict[str, Any],  # Any: a text and an id
) -> None:
    values = {key: value for key, value in _values(record).items() if key not in {"tags", "derived_from"}}
    work.add(line, "version", [{**own, **values}])
    work.add(line, "version_tag", tag_rows(work.scope, "version_id", record.id, record.tags))
    of_version = {"namespace": own["namespace"], "version_id": record.id}
    work.add(line, "file", [{**_values(file), **of_version} for file in files])
    work.files += files
    work.note_parents(line, record)
    work.counts["versions"] += 1


def _values(record: Record) -> dict[str, Any]:  # Any: values of several columns
    return {key: value for key, value in record.__dict__.items() if key != "kind"}


class _Updated:
    """A model that is here, and gets what it lacks."""

    def __init__(self, work: _Work, line: _Line, record: ModelRecord) -> None:
        self._work = work
        self._own = {"namespace": work.scope.namespace, "model_id": record.id}
        self._id = record.id
        change = self._held()
        self._name: str = change.row["name"]
        if change.row["deleted_at"] is not None:
            raise models.taken(work.scope, self._name)
        fields = {key: getattr(record, key) for key in _FIELDS}
        is_changed = models.change_fields(change, fields)
        self._is_changed = merge_tags(self._held(), record.tags) or is_changed

    def _held(self) -> ModelChange:
        """Return what is to be changed now. Its row stays held, and its history goes on with each change."""
        return hold_any(self._work.scope, self._id)

    def version(self, line: _Line, record: VersionRecord, files: Sequence[FileRecord]) -> None:
        here = (
            self._work.scope.execute(
                _VERSION_HERE, _id=record.id, _number=record.number, _version=record.version, _model_id=self._id
            )
            .mappings()
            .all()
        )
        if here:
            self._compare(here, record)
            return
        self._work.check_verdict(record, files)
        _add_version(self._work, line, record, files, self._own)
        self._work.flush()
        change = self._held()
        change.record("version.created", after=_told(record), version_id=record.id)
        change.write(last_number=max(change.row["last_number"], record.number), stale=("versions",))
        self._is_changed = True

    def _compare(self, here: Sequence[RowMapping], record: VersionRecord) -> None:
        """Refuse where what is here is another version, or has become another; fail what failed elsewhere."""
        known = here[0]
        if len(here) > 1 or (known["id"], known["model_id"], known["number"], known["digest"]) != (
            record.id,
            self._id,
            record.number,
            record.digest,
        ):
            raise VersionAlreadyExistsException(
                model=self._name, version=known["version"], namespace=self._work.scope.namespace
            )
        if record.status == "failed" != known["status"]:
            versions.fail(self._held(), record.id, record.details)
            self._is_changed = True

    def alias(self, line: _Line, record: AliasRecord) -> None:
        kept = aliases.lead_new(self._work.scope, self._id, record.version_id, record.alias)
        if kept is None:
            self._is_changed = True
        elif kept != record.version_id:
            self._work.counts["aliases_kept"] += 1

    def config(self, line: _Line, record: ConfigRecord) -> None:
        if configs.add(self._held(), record.version_id, _values(record)):
            self._is_changed = True

    def event(self, line: _Line, record: EventRecord) -> None:
        """Do nothing: it has a history of its own."""

    def close(self) -> None:
        self._work.counts["updated" if self._is_changed else "skipped"] += 1


def _told(record: VersionRecord) -> dict[str, JsonValue]:
    """Return what history tells of a version that was brought here."""
    said: dict[str, JsonValue] = record.model_dump(
        mode="json",
        include={
            *("number", "version", "status", "digest", "size", "source", "hub", "source_repository"),
            *("source_revision", "description", "attributes", "tags", "derived_from", "details"),
        },
    )
    return {key: value for key, value in said.items() if value or key == "size"}


class _Import:
    """Follows the lines: which model and which version is being spoken of, and whether their order is right."""

    def __init__(self, work: _Work, on_conflict: OnConflict) -> None:
        self._work = work
        self._on_conflict = on_conflict
        self._model: ModelRecord | None = None
        self._target: _Target = _Left(work)
        work.counts["skipped"] = 0
        self._version: tuple[_Line, VersionRecord] | None = None
        self._files = list[FileRecord]()
        self._place: tuple[int, int, str] = (0, 0, "")
        self._aliases = 0

    def take(self, number: int, record: Record) -> None:
        """Take in a line."""
        if isinstance(record, ModelRecord):
            self._begin(number, record)
            return
        if self._model is None:
            raise ExportFileException(number, "belongs to no model")
        line = _Line(number, self._model.name)
        if isinstance(record, FileRecord):
            self._add_file(number, record)
            return
        self._finish_version()
        self._check_order(number, record)
        if isinstance(record, VersionRecord):
            self._version = line, record
            return
        with line.told():
            if isinstance(record, AliasRecord):
                self._aliases += 1
                if self._aliases > MAX_ALIASES:
                    raise ExportFileException(number, f"is one more than the limit of {MAX_ALIASES} aliases")
                self._target.alias(line, record)
            elif isinstance(record, ConfigRecord):
                self._target.config(line, record)
            elif isinstance(record, EventRecord):
                self._target.event(line, record)
        self._work.flush(least=_BATCH)

    def finish(self) -> None:
        """Take the end for the end of what is being spoken of."""
        self._finish_version()
        if self._model is not None:
            self._target.close()
        self._work.flush()
        self._work.write_lineage()

    def _begin(self, number: int, record: ModelRecord) -> None:
        self._finish_version()
        if self._model is not None:
            self._target.close()
            if record.name <= self._model.name:
                raise ExportFileException(number, "has a model whose name does not come after the one before")
        self._model, self._place, self._aliases = record, (0, 0, ""), 0
        line = _Line(number, record.name)
        with line.told():
            self._target = self._chosen(line, record)
        self._work.flush(least=_BATCH)

    def _chosen(self, line: _Line, record: ModelRecord) -> _Target:
        here = self._work.scope.execute(_MODEL_HERE, _id=record.id, _name=record.name).all()
        if not here:
            return _Arriving(self._work, line, record)
        if self._on_conflict == "skip" or (self._on_conflict == "update" and record.deleted_at is not None):
            return _Left(self._work)
        known = here[0]
        if self._on_conflict == "raise" or len(here) > 1 or known.id != record.id:
            raise ModelAlreadyExistsException(
                name=known.name,
                namespace=self._work.scope.namespace,
                model_id=known.id,
                deleted=known.deleted_at is not None,
            )
        self._work.flush()
        return _Updated(self._work, line, record)

    def _check_order(self, number: int, record: VersionRecord | AliasRecord | ConfigRecord | EventRecord) -> None:
        place = _place(record)
        if place <= self._place:
            raise ExportFileException(number, f"is not where a {record.kind} belongs")
        self._place = place
        model = self._model
        if model is None:
            return
        if isinstance(record, VersionRecord) and record.number > model.last_number:
            raise ExportFileException(number, f"has number {record.number}, over the last one of its model")
        if isinstance(record, EventRecord) and record.sequence > model.last_event:
            raise ExportFileException(number, f"has sequence {record.sequence}, over the last one of its model")

    def _add_file(self, number: int, record: FileRecord) -> None:
        if self._version is None:
            raise ExportFileException(number, "belongs to no version")
        self._files.append(record)
        if len(self._files) > MAX_FILES:
            raise ExportFileException(number, f"is one more than the limit of {MAX_FILES} files")

    def _finish_version(self) -> None:
        if self._version is None:
            return
        (line, record), files = self._version, self._files
        self._version, self._files = None, []
        _check_version(line, record, files)
        with line.told():
            self._target.version(line, record, files)
        self._work.flush(least=_BATCH)


def _place(record: VersionRecord | AliasRecord | ConfigRecord | EventRecord) -> tuple[int, int, str]:
    if isinstance(record, VersionRecord):
        return 1, record.number, ""
    if isinstance(record, AliasRecord):
        return 2, 0, record.alias
    return (3, 0, str(record.id)) if isinstance(record, ConfigRecord) else (4, record.sequence, "")


def _check_version(line: _Line, record: VersionRecord, files: Sequence[FileRecord]) -> None:
    """Raise unless a version's files are those that it has the digest of, and could have been given to it."""
    from kamiwaza_sdk.services.hub.schemas.results import manifest_digest

    if (record.digest, record.size) != (manifest_digest(files), sum(map(attrgetter("size"), files))):
        raise ExportFileException(line.number, "has a version whose files are not those below it")
    if record.status == "ready" and not files:
        raise ExportFileException(line.number, "has a version that is ready without files")
    if record.version.isdigit() and record.version != str(record.number):
        raise ExportFileException(line.number, f"has the label {shown(record.version)}, which numbers are for")
    try:
        check_layout([file.path for file in files])
    except InvalidInputException as error:
        raise ExportFileException(line.number, f"has a version whose files cannot be: {error}") from error


def import_models(
    scope: Scope,
    source: "str | os.PathLike[str] | Reader",
    *,
    on_conflict: OnConflict,
    storage: "StorageService | None",
) -> ImportSchema:
    """Write what an export says, all of it or nothing."""
    if not isinstance(on_conflict, str) or on_conflict not in {"raise", "skip", "update"}:
        raise InvalidInputException("on_conflict", f"cannot be {shown(on_conflict)}; it can be raise, skip, update")
    flush(scope.db)  # outside of the guard: what fails here is the host's own row
    with opened(source) as file, SpooledTemporaryFile(max_size=_WAITING) as lineage, scope.writing() as writing:
        work = _Work(writing, storage, lineage, had_failed=writing.execute(_HAS_FAILED).first() is not None)
        arriving = _Import(work, on_conflict)
        for number, record in records(file):
            arriving.take(number, record)
        arriving.finish()
        return ImportSchema(**work.counts)
