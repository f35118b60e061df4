"""Fixtures that every part of the suite shares."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from kamiwaza_sdk import HubService, StorageConfig, StorageService
from tests.backends import (
    ASYNCPG,
    ASYNCPG_MODULES,
    BACKENDS,
    Backend,
    clear_tables,
    create_tables,
    postgresql_engine,
    sqlite_engine,
)

#: It needs a browser: `nox -s browser` runs it.
collect_ignore: Final = [] if find_spec("playwright") else ["site"]

if TYPE_CHECKING:
    from tests.serving import Server

POSTGRES_URL: Final = os.environ.get("KAMIWAZA_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1/postgres")
#: A user who is not root.
NOBODY: Final = 65534
#: Of variables that say whose settings hold: ours, and those of the tools that we go by.
SETTINGS: Final = (
    *("MODEL_SERVICE_", "DOWNLOAD_SERVICE_", "HUB_SERVICE_", "STORAGE_SERVICE_"),
    *("AWS_", "AZURE_", "GOOGLE_", "HF_", "OLLAMA_"),
)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an environment without our settings, and directories of its own for the defaults."""
    for name in list(os.environ):
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DOWNLOAD_SERVICE_MAX_ATTEMPTS", "1")  # but where trying again is what is tested
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))  # where a token may lie


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A database of this run's own on the PostgreSQL server. Skips without one, but fails in CI."""
    admin = create_engine(POSTGRES_URL, isolation_level="AUTOCOMMIT")
    name = f"kamiwaza_test_{uuid4().hex}"
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))  # no test cuts the power
    except OperationalError as error:
        reason = f"no PostgreSQL at {make_url(POSTGRES_URL)!r}; set KAMIWAZA_TEST_POSTGRES_URL: {error.orig}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    yield make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def empty_postgresql_url(postgresql_url: str) -> Iterator[str]:
    """A database of the test's own on the PostgreSQL server, with nothing in it."""
    server = make_url(postgresql_url)
    name = f"{server.database}_{uuid4().hex[:8]}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with our tables and the host's in it, to be copied: that is faster than to set a database up."""
    file = tmp_path_factory.mktemp("sqlite") / "registry.db"
    _prepare(f"sqlite:///{file}", create_tables)
    return file


@pytest.fixture(scope="session")
def postgresql_tables(postgresql_url: str) -> str:
    """The same database with our tables and the host's in it."""
    _prepare(postgresql_url, create_tables)
    return postgresql_url


@pytest.fixture
def cleared_postgresql(postgresql_tables: str) -> str:
    """The same, with nothing in its tables."""
    _prepare(postgresql_tables, clear_tables)
    return postgresql_tables


def _prepare(url: str, prepare: Callable[[Connection], None]) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        prepare(connection)
    engine.dispose()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what does not choose by itself over every backend, and over asyncpg what a driver makes a difference to."""
    chosen = any("backend" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "backend" in metafunc.fixturenames and not chosen:
        more = (ASYNCPG,) if metafunc.module.__name__ in ASYNCPG_MODULES else ()
        metafunc.parametrize("backend", (*BACKENDS, *more), indirect=True)


@pytest.fixture
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Every colour on every database, each with empty tables."""
    name: str = request.param
    if "postgresql" in name:
        engine = postgresql_engine(name, request.getfixturevalue("cleared_postgresql"))
    else:
        shutil.copyfile(request.getfixturevalue("sqlite_tables"), tmp_path / "registry.db")
        engine = sqlite_engine(name, tmp_path / "registry.db")
    yield Backend(name, engine)
    await engine.dispose() if isinstance(engine, AsyncEngine) else engine.dispose()


@pytest.fixture
def storage(tmp_path: Path) -> StorageService:
    """A store of the test's own."""
    return StorageService(StorageConfig(root=tmp_path / "store"))


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's server, which answers as Amazon S3 does."""
    from tests import buckets  # which takes a second

    with buckets.moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of SeaweedFS, one for all processes of a run."""
    from tests import buckets

    place = tmp_path_factory.getbasetemp()
    with buckets.shared_seaweedfs((place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "seaweedfs") as at:
        yield at


@pytest.fixture
def server() -> "Iterator[Server]":
    """A real HTTP server on loopback."""
    from tests.serving import Server

    with Server() as running:
        yield running


@pytest.fixture
def hub(storage: StorageService) -> HubService:
    """A hub over that store."""
    return HubService(storage=storage)


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts file systems of their own, for root on Linux: ``tmpfs("a", size="1m")``."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with ExitStack() as mounted:

        def mount(name: str, *, size: str = "64m", mode: str = "rw") -> Path:
            place = tmp_path / name
            place.mkdir()
            options = f"size={size},{mode}"
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode:
                pytest.skip(f"cannot mount here: {done.stderr.decode().strip()}")
            mounted.callback(subprocess.check_call, ["umount", str(place)])
            return place

        yield mount


@pytest.fixture
def unprivileged() -> Generator[Path]:
    """A directory of a user who is not root, and that user at work."""
    with tempfile.TemporaryDirectory() as directory:
        root = os.geteuid() == 0
        if root:
            os.chown(directory, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(directory)
        finally:
            if root:
                os.seteuid(0)
