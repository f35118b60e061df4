"""Registries over both databases, in both colours."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from kamiwaza_sdk import AsyncRegistry, Registry, StorageService
from tests.backends import Awaited

#: A colour, and a database.
KINDS = ("sync-sqlite", "sync-memory", "sync-postgresql", "async-sqlite", "async-memory", "async-postgresql")


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database that a test's kind names, with tables or, in memory, without."""
    name: str = request.param
    if "postgresql" in name:
        return str(request.getfixturevalue("cleared_postgresql"))
    if "memory" in name:
        return "sqlite://"
    shutil.copyfile(request.getfixturevalue("sqlite_tables"), tmp_path / "registry.db")
    return f"sqlite:///{tmp_path}/registry.db"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a registry over every colour on every database."""
    if "colour" in metafunc.fixturenames:
        metafunc.parametrize(("url", "colour"), [(kind, kind.split("-")[0]) for kind in KINDS], indirect=["url"])


@pytest.fixture
async def registry(url: str, colour: str, storage: StorageService) -> AsyncIterator[AsyncRegistry]:
    """A registry with nothing in it; the synchronous one behind methods that are awaited."""
    if colour == "async":
        async with AsyncRegistry(url, storage=storage, actor="tests") as registry:
            yield registry
    else:
        with Registry(url, storage=storage, actor="tests") as plain:
            yield cast("AsyncRegistry", Awaited(plain))  # cast: it has the same methods, awaited likewise


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A directory such as a training leaves behind."""
    directory = tmp_path / "trained"
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "bert", "hidden_size": 64}')
    (directory / "model.onnx").write_bytes(b"weights")
    return directory
