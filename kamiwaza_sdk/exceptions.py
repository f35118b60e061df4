"""The root of every error the library raises, and the branches its services share.

Catch `ServiceException` for all of them, a branch for a kind, a leaf for one. Each service adds its own leaves in its
``exceptions.py``; all are importable from `kamiwaza_sdk`::

    ServiceException
    ├── NotFoundException (LookupError)
    │   ├── AliasNotFoundException
    │   ├── BlobNotFoundException
    │   ├── ModelConfigNotFoundException
    │   ├── ModelNotFoundException
    │   ├── NotInCacheException
    │   ├── RepositoryNotFoundException
    │   ├── RevisionNotFoundException
    │   ├── TagNotFoundException
    │   └── VersionNotFoundException
    ├── AlreadyExistsException
    │   ├── AliasAlreadyExistsException
    │   ├── ModelAlreadyExistsException
    │   ├── ModelConfigAlreadyExistsException
    │   └── VersionAlreadyExistsException
    ├── ConflictException
    │   ├── LineageCycleException
    │   ├── InUseException
    │   ├── RevisionConflictException
    │   └── VersionStatusException
    ├── BulkException
    ├── ImportException
    ├── ExportTooNewException
    ├── InvalidInputException (ValueError)
    │   ├── ExportFileException
    │   ├── InvalidCursorException
    │   ├── InvalidFilterException
    │   ├── InvalidPathException
    │   └── InvalidSourceException
    ├── ModelTooLargeException
    ├── NothingFitsException
    ├── UnknownVariantException
    ├── PolicyViolationException
    ├── SourceEntryPointException
    ├── OpenTransactionException
    ├── RegistryTimeoutException (TimeoutError)
    ├── RegistryUnavailableException (RuntimeError)
    ├── AsyncioRequiredException (RuntimeError)
    ├── ConfigurationException (ValueError)
    ├── MissingDependencyException (ImportError)
    ├── DatabaseNotAskedException
    ├── DatabaseException
    │   ├── DatabaseBusyException
    │   ├── DatabaseConnectionException
    │   ├── DatabaseNotReadyException
    │   ├── DatabaseRefusedException
    │   ├── DatabaseTooNewException
    │   ├── DatabaseUnsupportedException
    │   ├── DataLossException
    │   └── TransactionRequiredException
    ├── DownloadException
    │   ├── ChecksumMismatchException
    │   ├── DownloadDiskException (OSError)
    │   ├── DownloadInterruptedException (ConnectionError)
    │   ├── DownloadStatusException
    │   ├── DownloadTimeoutException (TimeoutError)
    │   ├── DownloadTooLargeException
    │   ├── HostNotAllowedException
    │   ├── RangeNotSupportedException
    │   ├── SizeMismatchException
    │   └── UnexpectedEncodingException
    ├── FormatException
    │   ├── FormatLimitException
    │   ├── MalformedFileException (ValueError)
    │   │   └── NotTheModelException
    │   └── UnknownFormatException
    ├── HubException
    │   ├── GitBlobMismatchException
    │   ├── InvalidAnswerException
    │   ├── ObjectStorageException
    │   ├── OfflineException
    │   ├── RepositoryAccessException
    │   ├── RepositoryRenamedException
    │   └── VersionUnavailableException
    └── StorageException
        ├── BlobCorruptException
        ├── DigestMismatchException
        ├── LayoutNotPossibleException
        ├── FileConflictException
        ├── PathTraversalException (ValueError)
        ├── RemoteStoreException
        ├── StorageDiskException (OSError)
        ├── StorageFullException (OSError)
        ├── StoragePermissionException (PermissionError)
        ├── StorageQuotaException
        ├── StorageTooNewException
        └── VersionFailedException

A blob that is not found is also a `kamiwaza_sdk.StorageException`; a repository or a revision, a
`kamiwaza_sdk.HubException`.
Every error survives `pickle`, with its attributes, its notes and, where that pickles too, its cause.
"""

import pickle
from typing import Any, Self


class ServiceException(Exception):
    """Something the library was asked to do could not be done.

    Attributes:
        retryable: Whether the same call, in a new transaction where a database is involved, can succeed later.
        transaction_usable: Whether the session's transaction can go on. `False` means: roll it back.
    """

    retryable: bool = False
    transaction_usable: bool = True

    def __reduce__(self) -> tuple[Any, ...]:  # Any: the signature of object.__reduce__
        """Pickle without calling ``__init__``, whose keyword-only arguments `args` does not hold."""
        cause = self.__cause__ if _pickles(self.__cause__) else None
        return _restore, (type(self), self.args, self.__dict__, cause)

    @classmethod
    def _restored(cls, args: tuple[object, ...], state: dict[str, object], cause: BaseException | None) -> Self:
        error = cls.__new__(cls, *args)
        # A built-in that is a parent too, such as OSError, keeps its arguments only when its own __init__ runs.
        super(ServiceException, error).__init__(*args)
        error.__dict__.update(state)
        error.__cause__ = cause
        return error


def _restore(
    kind: type[ServiceException], args: tuple[object, ...], state: dict[str, object], cause: BaseException | None
) -> ServiceException:
    return kind._restored(args, state, cause)


def _pickles(cause: BaseException | None) -> bool:
    try:
        pickle.loads(pickle.dumps(cause))  # noqa: S301 - our own bytes; some errors only fail on the way back
    except (pickle.PicklingError, AttributeError, RecursionError, TypeError, ValueError):
        return False
    return True


class NotFoundException(ServiceException, LookupError):
    """What was asked for does not exist."""


class AlreadyExistsException(ServiceException):
    """What was to be created exists already. Nothing was written."""


class ConflictException(ServiceException):
    """What was asked for does not fit what is there. Nothing was written."""


class InvalidInputException(ServiceException, ValueError):
    """A value given to the library is not acceptable. Nothing was done.

    Attributes:
        field: The argument or field at fault, dotted where it is nested: ``files.0.path``, ``name``, ``url``,
            ``reference``.
        reason: Why it was refused, with the limit and the way out.
        value: The value as it was given, a URL without user information and query; `None` where it is not text.
    """

    def __init__(self, field: str, reason: str, *, value: str | None = None) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason
        self.value = value


class InvalidPathException(InvalidInputException):
    """A file's path inside a model is not a plain relative path.

    Attributes:
        value: The path as it was given.
    """

    value: str

    def __init__(self, field: str, reason: str, *, value: str) -> None:
        super().__init__(field, reason, value=value)


class ConfigurationException(ServiceException, ValueError):
    """A setting is unknown, or its value cannot be used. The value itself is never repeated: it may be a secret.

    Attributes:
        setting: The environment variable, or the argument where the value was given explicitly.
        reason: Why it was refused.
    """

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting
        self.reason = reason


class AsyncioRequiredException(ServiceException, RuntimeError):
    """An asynchronous call was made where no event loop of asyncio runs, under trio for one."""

    def __init__(self) -> None:
        super().__init__(
            "no asyncio event loop is running here, which asynchronous calls need; use asyncio.run(…), from trio in a "
            "thread: await trio.to_thread.run_sync(asyncio.run, …)"
        )


class MissingDependencyException(ServiceException, ImportError):
    """An optional package is not installed.

    Attributes:
        package: The package that could not be imported.
        extra: The extra of ``kamiwaza-sdk`` that installs it.
    """

    def __init__(self, *, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'kamiwaza-sdk[{extra}]'")
        self.package = package
        self.extra = extra
