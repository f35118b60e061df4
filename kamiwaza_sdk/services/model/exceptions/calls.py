"""A call cannot be carried out as it was made: it is refused by what is there, or by its own arguments."""

from uuid import UUID

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import ConflictException, InvalidInputException, ServiceException
from kamiwaza_sdk.services.model.schemas.bulk import BulkResult

__all__ = [
    "BulkException",
    "InvalidCursorException",
    "InvalidFilterException",
    "InvalidReferenceException",
    "LineageCycleException",
    "ModelInUseException",
    "ModelTooLargeException",
    "OpenTransactionException",
    "RevisionConflictException",
    "VersionInUseException",
    "VersionStatusException",
]


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


class ModelInUseException(ConflictException):
    """The model is not deleted, or something refers to it, or to what is its own, that would be left behind.

    Nothing was written.

    Attributes:
        model: The model's id.
        reason: What is in the way, and the way out.
    """

    def __init__(self, *, model: UUID, reason: str, what: str = "purged") -> None:
        super().__init__(f"Model {model} cannot be {what}: {reason}")
        self.model = model
        self.reason = reason


class VersionInUseException(ConflictException):
    """Something refers to the version, or an alias leads to it. Nothing was written.

    Attributes:
        version: The version's id.
        reason: What refers to it.
    """

    def __init__(self, *, version: UUID, reason: str) -> None:
        super().__init__(f"Version {version} is in use: {reason}")
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


class InvalidCursorException(InvalidInputException):
    """A cursor is none of ours, or of another query or order. Nothing was read.

    Attributes:
        cursor: The cursor as it was given.
    """

    def __init__(self, cursor: str, reason: str) -> None:
        super().__init__("cursor", f"{shown(cursor)} {reason}; begin without one")
        self.cursor = cursor


class ModelTooLargeException(ServiceException):
    """A version has more bytes than ``MODEL_SERVICE_MAX_MODEL_SIZE`` admits. Nothing was written.

    Attributes:
        name: The model's name.
        size: Its bytes, all files together.
        limit: How many are admitted.
    """

    def __init__(self, *, name: str, size: int, limit: int) -> None:
        super().__init__(
            f"Model {name!r} has {size} bytes, over the limit of {limit}; "
            f"set MODEL_SERVICE_MAX_MODEL_SIZE to {size} or more"
        )
        self.name = name
        self.size = size
        self.limit = limit


class InvalidFilterException(InvalidInputException):
    """A filter cannot be: it asks for a field, a comparison or a value that does not fit, or for too much at once.

    Attributes:
        place: Where in the filter, as a path: ``and.0.not.value``. Empty where it is the filter as a whole.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"filter.{place}" if place else "filter", reason)
        self.place = place


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
