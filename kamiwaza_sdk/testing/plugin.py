"""The pytest plugin. It imports the library in its fixtures only: every test run of the host's loads it."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from kamiwaza_sdk import ModelSchema, Registry
    from kamiwaza_sdk.testing import FakeDownloads, FakeHub, FaultyServer, HuggingFaceServer

__all__ = [
    "fake_downloads",
    "fake_hub",
    "faulty_server",
    "hugging_face_server",
    "mock_db",
    "mock_model",
    "mock_registry",
]


@pytest.fixture
def mock_db() -> "Iterator[Session]":
    """A real session on a database of its own, in memory, with the registry's tables. Gone after the test."""
    from sqlalchemy.orm import Session

    from kamiwaza_sdk import create_engine, setup_database

    # Not SQLAlchemy's own: on SQLite that minds no foreign keys, and a savepoint may outlive the rollback around it.
    # It has one connection for every thread: a web framework's test client calls from another one.
    engine = create_engine("sqlite://")
    setup_database(engine)
    with Session(engine) as db:
        yield db
    engine.dispose()


@pytest.fixture
def mock_model(mock_db: "Session") -> "ModelSchema":
    """One model in ``mock_db``, named ``mock-model``."""
    from kamiwaza_sdk import CreateModel, ModelService

    return ModelService(mock_db).create_model(CreateModel(name="mock-model", task="text-generation"))


@pytest.fixture
def faulty_server() -> "Iterator[FaultyServer]":
    """An HTTP server on loopback, with or without faults. Closed after the test."""
    from kamiwaza_sdk.testing import FaultyServer

    with FaultyServer() as server:
        yield server


@pytest.fixture
def hugging_face_server() -> "Iterator[HuggingFaceServer]":
    """A Hugging-Face-compatible hub on loopback. Closed after the test."""
    from kamiwaza_sdk.testing import HuggingFaceServer

    with HuggingFaceServer() as server:
        yield server


@pytest.fixture
def fake_hub(tmp_path_factory: pytest.TempPathFactory) -> "FakeHub":
    """A hub without a network: it returns one file, ``model.bin``, until you set its ``files``.

    It puts them into a store of the test's own, so that they can be laid out.
    """
    from kamiwaza_sdk import StorageConfig, StorageService
    from kamiwaza_sdk.testing import FakeHub

    return FakeHub(storage=StorageService(StorageConfig(root=tmp_path_factory.mktemp("kamiwaza") / "store")))


@pytest.fixture
def mock_registry(fake_hub: "FakeHub") -> "Iterator[Registry]":
    """A real `Registry` on a database of its own, in memory; it fetches with ``fake_hub``, and has its store."""
    from kamiwaza_sdk import Registry

    with Registry("sqlite://", hub=fake_hub) as registry:
        yield registry


@pytest.fixture
def fake_downloads() -> "FakeDownloads":
    """Downloads without a network: they return the files in ``files``, and 404 for all others."""
    from kamiwaza_sdk.testing import FakeDownloads

    return FakeDownloads()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Name the fields in which two of our schemas differ: their ``repr`` says only the most important ones."""
    if op != "==" or type(left) is not type(right) or not _is_ours(left):
        return None
    different = list(_differences("", left, right))
    return [f"{left!r} == {right!r}", f"{len(different)} fields differ:", *different[:_MOST_DIFFERENCES]]


_MOST_DIFFERENCES = 50


def _is_ours(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "kamiwaza_sdk" and hasattr(type(value), "model_fields")


def _differences(path: str, left: object, right: object) -> "Iterator[str]":
    if left == right:
        return
    if type(left) is type(right) and _is_ours(left):
        for name in type(left).model_fields:  # type: ignore[attr-defined]  # a Pydantic model, by the line before
            yield from _differences(f"{path}.{name}" if path else name, getattr(left, name), getattr(right, name))
    elif isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _differences(f"{path}[{number}]", one, other)
    else:
        yield f"{path}: {left!r} != {right!r}"
