"""What can go wrong in the registry and its database. The whole tree is drawn in `kamiwaza_sdk.exceptions`."""

from uuid import UUID

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import AlreadyExistsException, InvalidInputException, NotFoundException, ServiceException

__all__ = [
    "DatabaseBusyException",
    "DatabaseConnectionException",
    "DatabaseException",
    "DatabaseNotReadyException",
    "DatabaseRefusedException",
    "DatabaseTooNewException",
    "DatabaseUnsupportedException",
    "InvalidReferenceException",
    "ModelAlreadyExistsException",
    "ModelNotFoundException",
    "ModelTooLargeException",
    "OpenTransactionException",
    "TransactionRequiredException",
    "VersionAlreadyExistsException",
    "VersionNotFoundException",
]


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
    """

    def __init__(
        self, *, version: UUID | str, namespace: str, way_out: str = "list_versions() tells which there are"
    ) -> None:
        named = shown(version) if isinstance(version, str) else version
        super().__init__(f"Version {named} not found in namespace {namespace!r}; {way_out}")
        self.version = version
        self.namespace = namespace


class ModelAlreadyExistsException(AlreadyExistsException):
    """The name is taken in the namespace. Nothing was written, and the transaction goes on.

    Attributes:
        name: The name.
        namespace: The namespace.
        model_id: The model that has it.
        deleted: Whether that one is deleted, which keeps the name taken.
    """

    def __init__(self, *, name: str, namespace: str, model_id: UUID | None, deleted: bool) -> None:
        way_out = (
            f"it is deleted: restore_model({model_id}) brings it back, or choose another name"
            if deleted
            else "use that one, or choose another name"
        )
        super().__init__(f"Model {name!r} exists in namespace {namespace!r} as {model_id}; {way_out}")
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


class ModelTooLargeException(ServiceException):
    """A version has more bytes than ``MODEL_SERVICE_MAX_MODEL_SIZE`` admits. Nothing was written.

    Attributes:
        name: The model's name.
        size: Its bytes, all files together.
        limit: How many are admitted.
    """

    def __init__(self, *, name: str, size: int, limit: int) -> None:
        super().__init__(
            f"Model {name!r} has {size} bytes, over the limit of {limit}; raise MODEL_SERVICE_MAX_MODEL_SIZE"
        )
        self.name = name
        self.size = size
        self.limit = limit


class InvalidReferenceException(InvalidInputException):
    """A reference string is not of the form ``name``, ``name:version`` or ``name@alias``.

    Attributes:
        reference: The reference as it was given.
    """

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__("reference", f"{shown(reference)} {reason}")
        self.reference = reference


class OpenTransactionException(ServiceException):
    """A transfer was to start while the session holds a transaction open, which would block others for its length.

    Attributes:
        operation: The method that refused.
    """

    def __init__(self, *, operation: str) -> None:
        super().__init__(
            f"{operation} was called inside an open transaction, which it would hold as long as the transfer takes; "
            "commit or roll back first (a read opens one too), or call fetch() before and register() within it, "
            "or pass allow_open_transaction=True"
        )
        self.operation = operation


class DatabaseException(ServiceException):
    """The database could not do what was asked. The driver's error is the cause."""


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
    """The database is there, and refuses to do what was asked: it is read-only, full, or was told to stop.

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
    """The registry cannot live in this kind of database.

    Attributes:
        dialect: SQLAlchemy's name of it.
    """

    def __init__(self, *, dialect: str) -> None:
        super().__init__(f"The registry lives in SQLite or PostgreSQL, not in {dialect}; give it a database of those")
        self.dialect = dialect


class DatabaseBusyException(DatabaseException):
    """Another transaction is in the way: a lock not given in time, a deadlock, a serialization failure.

    The whole transaction may be tried again; `transaction_usable` says whether it must be rolled back first.

    Attributes:
        code: The database's own: an SQLSTATE, or SQLite's error name.
    """

    retryable = True

    def __init__(self, *, code: str, transaction_usable: bool) -> None:
        way_out = "try again" if transaction_usable else "roll back and try the whole transaction again"
        super().__init__(f"Another transaction is in the way ({code}); {way_out}")
        self.code = code
        self.transaction_usable: bool = transaction_usable


class DatabaseConnectionException(DatabaseException):
    """The database cannot be reached, or the connection was lost."""

    retryable = True
    transaction_usable = False

    def __init__(self) -> None:
        super().__init__("The database cannot be reached, or the connection was lost; roll back, check it, try again")
