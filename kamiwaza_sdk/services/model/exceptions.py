"""Exceptions of the registry and its database. The whole tree is drawn in `kamiwaza_sdk.exceptions`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import (
    AlreadyExistsException,
    ConflictException,
    InvalidInputException,
    NotFoundException,
    ServiceException,
)
from kamiwaza_sdk.services.model.schemas.model import BulkResult

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.schemas import StoreDatabaseSchema


class RevisionConflictException(ConflictException):
    """The model, or the version, was changed since it was read. Nothing was written.

    Attributes:
        model: The model's id.
        version: The version's id, where it is about one.
        expected: The revision that was expected.
        actual: The revision it has.
    """

    def __init__(self, *, model: UUID, expected: int, actual: int, version: UUID | None = None) -> None:
        what = f"Model {model}" if version is None else f"Version {version}"
        super().__init__(
            f"{what} is at revision {actual}, not {expected}: someone changed it since; read it again, and decide again"
        )
        self.model = model
        self.version = version
        self.expected = expected
        self.actual = actual


class InUseException(ConflictException):
    """Something refers to the model or the version that would be left behind, or a model is not deleted yet.

    Nothing was written.

    Attributes:
        model: The model's id; `None` where it is about a version.
        version: The version's id; `None` where it is about a model.
        reason: What is in the way, and the way out.
    """

    def __init__(
        self,
        *,
        reason: str,
        model: UUID | None = None,
        version: UUID | None = None,
        what: str = "purged",
        name: str | None = None,
    ) -> None:
        message = f"Model {model} cannot be {what}" if version is None else f"Version {name or version} is in use"
        super().__init__(f"{message}: {reason}")
        self.model = model
        self.version = version
        self.reason = reason


class VersionStatusException(ConflictException):
    """What was asked for does not fit the status that the version has. Nothing was written.

    Attributes:
        version: The version's id.
        status: The status it has.
    """

    def __init__(self, *, version: UUID, status: str, reason: str) -> None:
        super().__init__(f"Version {version} is {status}: {reason}")
        self.version = version
        self.status = status


class LineageCycleException(ConflictException):
    """A version would have been made from itself, perhaps over others. Nothing was written.

    Attributes:
        version: The version.
        parent: What it was to be made from, which was made from it.
    """

    def __init__(self, *, version: UUID, parent: UUID) -> None:
        super().__init__(
            f"Version {version} cannot derive from {parent}, which derives from it; list_ancestors() tells how"
        )
        self.version = version
        self.parent = parent


class BulkException(ServiceException):
    """A model of many could not be created. The batches before it are written, of its own batch nothing is.

    The cause says why, and decides whether the transaction can go on.

    Attributes:
        index: Its place among the models that were given, from 0; `None` where it is not known.
        result: What became of those before its batch.
    """

    def __init__(self, *, index: int | None, result: BulkResult, cause: Exception) -> None:
        which = "A batch of models" if index is None else f"The model at index {index}"
        written = result.created + result.updated + result.skipped
        super().__init__(f"{which} was refused, and the first {written} are written: {cause}")
        self.index = index
        self.result = result
        self.retryable: bool = getattr(cause, "retryable", False)
        self.transaction_usable: bool = getattr(cause, "transaction_usable", True)


class ExportFileException(InvalidInputException):
    """A file is no export of models, or was cut or damaged since it was written. Nothing was imported.

    Attributes:
        line: The line at which that shows, from 1. Damage that leaves a line readable shows in the last one.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__("source", f"is no whole export of models: line {line} {reason}; export them again")
        self.line = line


class ExportTooNewException(ServiceException):
    """An export was written by a newer version of the library. Nothing was imported.

    Attributes:
        version: The version of its format.
        known: The newest one that this library knows.
    """

    def __init__(self, *, version: int, known: int) -> None:
        super().__init__(
            f"The export has format version {version}, which this library does not know: its newest is {known}; "
            "upgrade kamiwaza-sdk"
        )
        self.version = version
        self.known = known


class ImportException(ServiceException):
    """What an export says cannot be here. Nothing was imported.

    The cause says why, and decides whether the transaction can go on.

    Attributes:
        line: The line of the export that it is about, or where the lines that were written with it begin.
        model: The name of the model that it is about.
    """

    def __init__(self, *, line: int, model: str, cause: Exception) -> None:
        super().__init__(f"Line {line} of the export, of model {shown(model)}, was refused, and all others: {cause}")
        self.line = line
        self.model = model
        self.retryable: bool = getattr(cause, "retryable", False)
        self.transaction_usable: bool = getattr(cause, "transaction_usable", True)


class InvalidCursorException(InvalidInputException):
    """A cursor is none of ours, or of another query or order. Nothing was read.

    Attributes:
        cursor: The cursor as it was given.
    """

    def __init__(self, cursor: str, reason: str) -> None:
        super().__init__("cursor", f"{shown(cursor)} {reason}; begin without one")
        self.cursor = cursor


class InvalidFilterException(InvalidInputException):
    """A filter cannot be: it asks for a field, a comparison or a value that does not fit, or for too much at once.

    Attributes:
        place: Where in the filter, as a path: ``and.0.not.value``. Empty where it is the filter as a whole.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"filter.{place}" if place else "filter", reason)
        self.place = place


class DatabaseNotAskedException(ServiceException):
    """A store may hold what registries refer to that were not asked. Nothing was removed.

    Attributes:
        path: The directory of the store.
        databases: Those that were not among what was given.
    """

    def __init__(self, *, path: Path, databases: Sequence["StoreDatabaseSchema"]) -> None:
        named = ", ".join(f"{database.name} ({database.id})" for database in databases)
        super().__init__(
            f"the store at {path} may hold what {named} refers to, which is not among databases=[…]: give its engine "
            "too, or, where it is gone for good, storage.forget_database(id)"
        )
        self.path = path
        self.databases: tuple[StoreDatabaseSchema, ...] = tuple(databases)


class OpenTransactionException(ServiceException):
    """A transfer was to start while the session holds a transaction open, which would block others for its length.

    Or a `Registry` was called in a block of its own `Registry.transaction`.

    Attributes:
        operation: The method that refused.
    """

    def __init__(self, *, operation: str, way_out: str | None = None) -> None:
        reason = (
            ", which it would hold as long as the transfer takes; commit or roll back first (a read opens one too), or "
            "call fetch() before and register() within it, or pass allow_open_transaction=True"
        )
        reason = reason if way_out is None else f"; {way_out}"
        super().__init__(f"{operation} was called inside an open transaction{reason}")
        self.operation = operation


#: PostgreSQL: a lock was not given in time.
_LOCK_TIMEOUT: Final = "55P03"


class DatabaseException(ServiceException):
    """The database could not do what was asked. The driver's error is the cause."""

    def _undone(self) -> None:
        """Note that the call is undone: the transaction can go on now."""
        self.transaction_usable = True

    def _lost(self) -> None:
        """Note that the call could not be undone alone: the transaction is lost with it."""
        if self.transaction_usable:
            self.transaction_usable: bool = False
            ServiceException.__init__(self, f"{self}; the whole transaction is undone, so roll back")


class DatabaseNotReadyException(DatabaseException):
    """The registry's tables are missing or of an older schema version: `setup_database` was not called.

    Attributes:
        revision: The schema version found; `None` where there is none, or it is not known.
    """

    def __init__(self, *, revision: str | None = None, transaction_usable: bool = True) -> None:
        found = f"is at schema version {revision}" if revision else "has no (current) tables of the registry"
        super().__init__(f"The database {found}; call kamiwaza_sdk.setup_database(engine) once")
        self.revision = revision
        self.transaction_usable: bool = transaction_usable


class DatabaseTooNewException(DatabaseException):
    """The database was upgraded by a newer version of the library. Nothing was touched.

    Attributes:
        revision: The schema version found.
        known: The newest schema version this library knows.
    """

    def __init__(self, *, revision: str, known: str) -> None:
        super().__init__(
            f"The database is at schema version {revision}, which this library does not know: its newest is {known}; "
            "upgrade kamiwaza-sdk"
        )
        self.revision = revision
        self.known = known


class DatabaseRefusedException(DatabaseException):
    """The database is there, and refuses to do what was asked: it is read-only, full or damaged, or was told to stop.

    Attributes:
        code: The database's own: an SQLSTATE, or SQLite's error name.
    """

    def __init__(self, *, code: str, reason: str, transaction_usable: bool) -> None:
        super().__init__(f"The database refuses ({code}): {reason}")
        self.code = code
        self.transaction_usable: bool = transaction_usable


class TransactionRequiredException(DatabaseException):
    """The connection commits every statement by itself, and what was asked takes several. Nothing was written."""

    def __init__(self) -> None:
        super().__init__(
            "The connection is in AUTOCOMMIT, and this takes several statements that must commit or vanish together; "
            "use an engine or a connection with a transactional isolation level"
        )


class DatabaseUnsupportedException(DatabaseException):
    """The registry cannot live in this kind of database, or in this build of it.

    Attributes:
        dialect: SQLAlchemy's name of it.
        reason: What this build lacks; `None` where it is the kind.
    """

    def __init__(self, *, dialect: str, reason: str | None = None) -> None:
        message = f"The registry lives in SQLite or PostgreSQL, not in {dialect}; give it a database of those"
        super().__init__(f"The registry cannot live in this {dialect}: {reason}" if reason else message)
        self.dialect = dialect
        self.reason = reason


class DataLossException(DatabaseException):
    """A downgrade would drop tables that have rows, or columns that have values. Nothing was touched.

    Attributes:
        to: The schema version to return to; `None` for none.
        losses: How many rows of each table would go, or lose such a value.
    """

    def __init__(self, *, to: str | None, losses: dict[str, int]) -> None:
        rows = ", ".join(f"{table} ({count})" for table, count in losses.items())
        super().__init__(
            f"Downgrading to {f'schema version {to}' if to else 'no schema at all'} would lose the rows of {rows}; "
            "save what is needed, then pass lose_data=True"
        )
        self.to = to
        self.losses = losses


class DatabaseBusyException(DatabaseException):
    """Another transaction is in the way: a lock not given in time, a deadlock, a serialization failure.

    The whole transaction may be tried again; `transaction_usable` says whether it must be rolled back first.

    Attributes:
        code: The database's own: an SQLSTATE, or SQLite's error name.
    """

    retryable = True

    def __init__(self, *, code: str, transaction_usable: bool) -> None:
        super().__init__(self._message(code, transaction_usable=transaction_usable))
        self.code = code
        self.transaction_usable: bool = transaction_usable

    @staticmethod
    def _message(code: str, *, transaction_usable: bool) -> str:
        way_out = "try again" if transaction_usable else "roll back and try the whole transaction again"
        return f"Another transaction is in the way ({code}); {way_out}"

    def _undone(self) -> None:
        """Note that the call is undone. That helps where a lock was waited for: all else concerns the transaction."""
        if self.code == _LOCK_TIMEOUT:
            self.transaction_usable = True
            super().__init__(self._message(self.code, transaction_usable=True))  # the message alone

    def _lost(self) -> None:
        """Note that the transaction is lost with the call."""
        self.transaction_usable = False
        super().__init__(self._message(self.code, transaction_usable=False))  # as above


class DatabaseConnectionException(DatabaseException):
    """The database cannot be reached, or the connection was lost.

    Attributes:
        reason: Why, where SQLite or the engine's pool says it; `None` elsewhere: other drivers repeat what may be
            secret.
    """

    retryable: bool = True
    transaction_usable: bool = False

    def _undone(self) -> None:
        """Note nothing: with the connection, the transaction is gone."""

    def __init__(self, reason: str | None = None) -> None:
        because = "" if reason is None else f" ({reason})"
        super().__init__(
            f"The database cannot be reached, or the connection was lost{because}; roll back, check it, try again"
        )
        self.reason = reason


class ModelNotFoundException(NotFoundException):
    """There is no such model in the namespace, or it is deleted.

    Attributes:
        model: The id or name that was asked for; `None` where only a message was given.
        namespace: The namespace that was searched; `None` where only a message was given.
        deleted: The deleted model's id, for `ModelService.restore_model`; `None` where there is none.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        model: UUID | str | None = None,
        namespace: str | None = None,
        deleted: UUID | None = None,
    ) -> None:
        super().__init__(message or self._message(model, namespace, deleted))
        self.model = model
        self.namespace = namespace
        self.deleted = deleted

    @staticmethod
    def _message(model: UUID | str | None, namespace: str | None, deleted: UUID | None) -> str:
        if model is None:
            return "Model not found"
        named = f"Model {shown(model) if isinstance(model, str) else model}"
        if deleted is not None:
            return f"{named} is deleted in namespace {namespace!r}; restore_model({deleted}) brings it back"
        return f"{named} not found in namespace {namespace!r}; list_models() tells which there are"


class VersionNotFoundException(NotFoundException):
    """There is no such version of a model.

    Attributes:
        version: The id or reference that was asked for.
        namespace: The namespace that was searched.
        deleted: The deleted model that the version is of, for `ModelService.restore_model`; `None` where there is none.
    """

    def __init__(
        self,
        *,
        version: UUID | str,
        namespace: str,
        way_out: str = "list_versions() tells which there are",
        deleted: UUID | None = None,
    ) -> None:
        named = shown(version) if isinstance(version, str) else version
        if deleted is not None:
            way_out = f"its model is deleted; restore_model({deleted}) brings it back"
        super().__init__(f"Version {named} not found in namespace {namespace!r}; {way_out}")
        self.version = version
        self.namespace = namespace
        self.deleted = deleted


class ModelAlreadyExistsException(AlreadyExistsException):
    """The name is taken in the namespace. Nothing was written, and the transaction goes on.

    Attributes:
        name: The name.
        namespace: The namespace.
        model_id: The model that has it; `None` where another transaction has created it and not committed yet, or
            where it is a constraint of the application's own that is in the way.
        deleted: Whether that one is deleted, which keeps the name taken.
    """

    def __init__(self, *, name: str, namespace: str, model_id: UUID | None, deleted: bool) -> None:
        way_out = (
            f"it is deleted: restore_model({model_id}) brings it back, or choose another name"
            if deleted
            else "use that one, or choose another name"
        )
        holder = f"exists in namespace {namespace!r} as {model_id}"
        if model_id is None:
            holder = (
                f"cannot be created in namespace {namespace!r}: something is in its way that is not to be seen here"
            )
            way_out = "another transaction, or a constraint of the application's own; choose another name, or try again"
        super().__init__(f"Model {name!r} {holder}; {way_out}")
        self.name = name
        self.namespace = namespace
        self.model_id = model_id
        self.deleted = deleted


class VersionAlreadyExistsException(AlreadyExistsException):
    """The label is taken in the model, or the same files are registered under another one. Nothing was written.

    Attributes:
        model: The model's name.
        version: The label of the version that exists.
        namespace: The namespace.
    """

    def __init__(self, *, model: str, version: str, namespace: str, same_files: bool = False) -> None:
        reason = " with the same files; leave the label out to get it" if same_files else "; choose another label"
        super().__init__(f"Version {model}:{version} exists in namespace {namespace!r}{reason}")
        self.model = model
        self.version = version
        self.namespace = namespace


class AliasNotFoundException(NotFoundException):
    """The model has no such alias, or had none at that moment.

    Attributes:
        alias: The alias.
        model: The model's name.
        namespace: The namespace.
    """

    def __init__(self, *, alias: str, model: str, namespace: str, reason: str | None = None) -> None:
        reason = reason or "the model has no alias of that name; set_alias() gives it one"
        super().__init__(f"Alias {shown(f'{model}@{alias}')} not found in namespace {namespace!r}: {reason}")
        self.alias = alias
        self.model = model
        self.namespace = namespace


class AliasAlreadyExistsException(AlreadyExistsException):
    """The model has the alias already. Nothing was written.

    Attributes:
        alias: The alias.
        model: The model's name.
        number: The version it leads to.
        namespace: The namespace.
    """

    def __init__(self, *, alias: str, model: str, number: int, namespace: str) -> None:
        super().__init__(
            f"Alias {model}@{alias} exists in namespace {namespace!r} and leads to version {number}; "
            "set_alias() moves it"
        )
        self.alias = alias
        self.model = model
        self.number = number
        self.namespace = namespace


class TagNotFoundException(NotFoundException):
    """The model or version has no tag of that key.

    Attributes:
        key: The key.
        owner: The model or version.
        namespace: The namespace.
    """

    def __init__(self, *, key: str, owner: UUID, namespace: str) -> None:
        super().__init__(
            f"Tag {shown(key)} not found on {owner} in namespace {namespace!r}; its schema tells which there are"
        )
        self.key = key
        self.owner = owner
        self.namespace = namespace


class ModelConfigNotFoundException(NotFoundException):
    """There is no such configuration in the namespace, or its model is deleted.

    Attributes:
        config: The id that was asked for; `None` where the default one was.
        namespace: The namespace that was searched.
        deleted: The deleted model that the configuration is of, for `ModelService.restore_model`; `None` where there is
            none.
    """

    def __init__(self, *, config: UUID | None, namespace: str, deleted: UUID | None = None) -> None:
        named = "Default configuration" if config is None else f"Configuration {config}"
        way_out = (
            "list_configs() tells which there are"
            if deleted is None
            else f"its model is deleted; restore_model({deleted}) brings it back"
        )
        super().__init__(f"{named} not found in namespace {namespace!r}; {way_out}")
        self.config = config
        self.namespace = namespace
        self.deleted = deleted


class ModelConfigAlreadyExistsException(AlreadyExistsException):
    """The model or version has a configuration of that name, or a default one. Nothing was written.

    Attributes:
        name: The name of the configuration that exists.
        owner: The model or version that has it.
        namespace: The namespace.
        is_default: Whether it is for being the default that it is in the way.
    """

    def __init__(self, *, name: str, owner: UUID, namespace: str, is_default: bool) -> None:
        what, way_out = (
            ("as the default", "update_config() with is_default=True moves that")
            if is_default
            else ("by that name", "update_config() changes it, or choose another name")
        )
        super().__init__(f"Configuration {name!r} exists {what} on {owner} in namespace {namespace!r}; {way_out}")
        self.name = name
        self.owner = owner
        self.namespace = namespace
        self.is_default = is_default
