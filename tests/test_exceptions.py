"""Errors as an interface: a tree, typed attributes, messages with a way out, pickles that lose nothing."""

import pickle
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import kamiwaza_sdk
from kamiwaza_sdk import (
    AliasAlreadyExistsException,
    AliasNotFoundException,
    AsyncioRequiredException,
    BlobNotFoundException,
    BulkException,
    BulkResult,
    ChecksumMismatchException,
    ConfigurationException,
    DatabaseBusyException,
    DatabaseConnectionException,
    DatabaseNotReadyException,
    DatabaseTooNewException,
    DatabaseUnsupportedException,
    DataLossException,
    DownloadException,
    FormatException,
    GitBlobMismatchException,
    HostNotAllowedException,
    HubException,
    InUseException,
    InvalidCursorException,
    InvalidFilterException,
    InvalidInputException,
    InvalidPathException,
    InvalidSourceException,
    LineageCycleException,
    MissingDependencyException,
    ModelAlreadyExistsException,
    ModelConfigAlreadyExistsException,
    ModelConfigNotFoundException,
    ModelNotFoundException,
    ModelTooLargeException,
    NothingFitsException,
    NotInCacheException,
    ObjectStorageException,
    OfflineException,
    OpenTransactionException,
    PolicyViolationException,
    RangeNotSupportedException,
    RegistryTimeoutException,
    RegistryUnavailableException,
    RepositoryAccessException,
    RepositoryNotFoundException,
    RepositoryRenamedException,
    RevisionConflictException,
    RevisionNotFoundException,
    ServiceException,
    TagNotFoundException,
    UnknownVariantException,
    VersionAlreadyExistsException,
    VersionNotFoundException,
    VersionStatusException,
    exceptions,
)
from kamiwaza_sdk.formats import (
    FormatLimitException,
    MalformedFileException,
    NotTheModelException,
    UnknownFormatException,
)
from kamiwaza_sdk.sources import InvalidAnswerException, SourceEntryPointException
from kamiwaza_sdk.types import (
    ExportFileException,
    ExportTooNewException,
    ImportException,
    LayoutNotPossibleException,
    ViolationSchema,
)

ID = UUID(int=7)
EXAMPLES: list[ServiceException] = [
    ServiceException("what and how to get out"),
    AliasAlreadyExistsException(alias="production", model="m", number=3, namespace="default"),
    AliasNotFoundException(alias="production", model="m", namespace="default"),
    AsyncioRequiredException(),
    BlobNotFoundException(sha256="ab" * 32, path=Path("/store/ab")),
    BulkException(
        index=7, result=BulkResult(created=5), cause=DatabaseBusyException(code="40P01", transaction_usable=False)
    ),
    ChecksumMismatchException(url="https://host/a", expected="ab" * 32, actual="cd" * 32),
    ConfigurationException("MODEL_SERVICE_X", "is no known setting"),
    DatabaseBusyException(code="40001", transaction_usable=False),
    DatabaseConnectionException(),
    DatabaseNotReadyException(revision="0001", transaction_usable=False),
    DatabaseTooNewException(revision="0009", known="0001"),
    DatabaseUnsupportedException(dialect="mysql"),
    DataLossException(to="0001", losses={"kamiwaza_model_tag": 2}),
    DownloadException("Failed: 500"),
    GitBlobMismatchException(url="https://host/a", expected="ab" * 20, actual="cd" * 20),
    HubException("a hub does not"),
    InvalidAnswerException(url="https://host/api", reason="is no JSON"),
    HostNotAllowedException(url="https://host/a", host="other"),
    ExportFileException(7, "has no end: the file was cut"),
    ExportTooNewException(version=2, known=1),
    ImportException(
        line=7, model="m", cause=ModelAlreadyExistsException(name="m", namespace="n", model_id=ID, deleted=False)
    ),
    FormatException(path="model.gguf", reason="cannot be read"),
    FormatLimitException(path="model.gguf", reason="is too much", limit=10, format="gguf", offset=8),
    InvalidCursorException("abc", "is no cursor"),
    InvalidFilterException("and.0.not.value", "must be text"),
    InvalidInputException("limit", "must be from 1 to 1000"),
    InvalidInputException("name", "is too long", value="x" * 300),
    InvalidPathException("path", "is absolute", value="/etc"),
    InvalidInputException("a:b:c", "is no reference"),
    InvalidSourceException("/nowhere", "does not exist"),
    LayoutNotPossibleException(layout="ollama", needed="one file of weights in GGUF, and it has 0"),
    LineageCycleException(version=ID, parent=ID),
    MalformedFileException(path="a.onnx", reason="there is no graph in it", format="onnx", offset=0),
    NotTheModelException(path="a.gguf", reason="is an HTML page", kind="html_page", format="gguf"),
    MissingDependencyException(package="greenlet", extra="async"),
    ModelAlreadyExistsException(name="m", namespace="default", model_id=ID, deleted=True),
    ModelConfigAlreadyExistsException(name="c", owner=ID, namespace="default", is_default=True),
    ModelConfigNotFoundException(config=ID, namespace="default", deleted=ID),
    InUseException(model=ID, reason="it is not deleted"),
    ModelNotFoundException("Model 7 not found"),
    ModelNotFoundException(model=ID, namespace="default", deleted=ID),
    ModelTooLargeException(name="m", size=11, limit=10),
    NotInCacheException(source="hf://org/m@main", cache="/cache", reason="there is none"),
    ObjectStorageException(source="s3://bucket/m", kind="GenericError", reason="no answer"),
    OfflineException(source="hf://org/m@main", missing=("a", "b")),
    OpenTransactionException(operation="pull_model()"),
    RegistryTimeoutException(operation="pull()", seconds=5.0),
    RegistryUnavailableException(operation="pull()", reason="the registry is closed; make another Registry"),
    RepositoryAccessException(repository="org/m", url="https://host/org/m", authenticated=False, gated=True),
    RepositoryNotFoundException(repository="org/m", url="https://host/api"),
    RepositoryAccessException(repository="org/m", url="https://host/api", authenticated=True, gated=False),
    RepositoryRenamedException(repository="org/m", renamed_to="org/n"),
    NothingFitsException(source="hf://o/m", limit=8, needed={"Q8_0": 19, "Q4_0": 9}, context_length=4),
    PolicyViolationException(
        subject="hf://o/m",
        violations=(ViolationSchema(rule="formats", path="model.bin", reason="is pickle"),),
        way_out="fetch(plan.manifest) brings it all the same",
    ),
    HostNotAllowedException(url="https://host/a", host="host", address="10.0.0.1"),
    RangeNotSupportedException(url="https://host/a", offset=8, length=2, reason="the server sends another part"),
    RevisionConflictException(model=ID, expected=1, actual=2),
    RevisionNotFoundException(repository="org/m", revision="v9"),
    SourceEntryPointException(scheme="demo", entry_points=["demo = demo:Source"], reason="cannot be loaded"),
    ModelTooLargeException(source="https://host/m/", size=11, limit=10),
    TagNotFoundException(key="lang", owner=ID, namespace="default"),
    UnknownFormatException(path="notes.txt", reason="it is none that is read"),
    UnknownVariantException(variant="Q9", source="hf://o/m", variants=["Q8_0"], missing=["a"]),
    VersionAlreadyExistsException(model="m", version="1", namespace="default", same_files=True),
    InUseException(version=ID, reason="an alias leads to it"),
    VersionNotFoundException(version="m:9", namespace="default"),
    VersionNotFoundException(version=ID, namespace="default", deleted=ID),
    VersionStatusException(version=ID, status="draft", reason="only a ready one is copied"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_with_attributes_notes_and_cause(error: ServiceException) -> None:
    error.__cause__ = ValueError("the driver's")
    error.add_note("while testing")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.args) == (type(error), str(error), error.args)
    assert copy.__dict__ == error.__dict__
    assert repr(copy.__cause__) == repr(error.__cause__)
    assert (copy.retryable, copy.transaction_usable) == (error.retryable, error.transaction_usable)


def test_a_cause_that_cannot_be_pickled_is_left_behind_and_nothing_else() -> None:
    error = InvalidInputException("a", "b")
    error.__cause__ = ValueError(lambda: None)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.__cause__, str(copy), copy.field) == (None, "a b", "a")


def test_the_patterns_own_constructions_work() -> None:
    assert str(ModelNotFoundException(f"Model {ID} not found")) == f"Model {ID} not found"
    assert str(ModelNotFoundException()) == "Model not found"
    assert str(DownloadException("Failed: 404")) == "Failed: 404"


#: The modules that offer public names.
HOMES = ("kamiwaza_sdk", *(f"kamiwaza_sdk.{name}" for name in ("formats", "orm", "sources", "testing", "types")))


def _public() -> dict[str, type[ServiceException]]:
    values: dict[str, Any] = {
        name: getattr(import_module(home), name) for home in HOMES for name in import_module(home).__all__
    }
    return {
        name: value for name, value in values.items() if isinstance(value, type) and issubclass(value, ServiceException)
    }


def test_every_error_has_our_root_ends_in_exception_and_says_when_it_is_raised() -> None:
    public = [getattr(import_module(home), name) for home in HOMES for name in import_module(home).__all__]
    errors = {value.__name__ for value in public if isinstance(value, type) and issubclass(value, BaseException)}
    assert errors == set(_public())
    for name, kind in _public().items():
        assert name.endswith("Exception"), name
        assert kind.__doc__, name


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    drawn: list[tuple[int, str]] = []
    for line in str(exceptions.__doc__).splitlines():
        words = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ")
        if words.strip().split(" ")[0].endswith("Exception"):
            drawn.append(((len(words) - len(words.lstrip())) // 4, words.strip().split(" ")[0]))
    assert sorted(name for _, name in drawn) == sorted(_public())
    path: list[str] = []
    for depth, name in drawn:
        path = [*path[: depth - 1], name]
        assert issubclass(_public()[name], _public()[path[-2] if len(path) > 1 else name]), path


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ModelNotFoundException, LookupError),
        (VersionNotFoundException, LookupError),
        (BlobNotFoundException, LookupError),
        (RepositoryNotFoundException, LookupError),
        (RevisionNotFoundException, LookupError),
        (NotInCacheException, LookupError),
        (InvalidInputException, ValueError),
        (AsyncioRequiredException, RuntimeError),
        (ConfigurationException, ValueError),
        (MissingDependencyException, ImportError),
        (kamiwaza_sdk.DownloadTimeoutException, TimeoutError),
        (kamiwaza_sdk.DownloadInterruptedException, ConnectionError),
        (kamiwaza_sdk.StorageDiskException, OSError),
        (kamiwaza_sdk.StorageFullException, OSError),
        (kamiwaza_sdk.StoragePermissionException, PermissionError),
        (kamiwaza_sdk.PathTraversalException, ValueError),
    ],
)
def test_an_error_is_also_the_builtin_that_says_as_much(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)
