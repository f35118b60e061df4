"""Benchmarks run only when asked for: ``nox -s bench``, or ``pytest tests/benchmarks --benchmark-enable``."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the benchmarks out of the suite: what they measure takes a quiet machine and some minutes."""
    is_benchmark = collection_path.name.startswith("test_") and collection_path.parent == Path(__file__).parent
    return True if is_benchmark and not config.getoption("benchmark_enable") else None


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes empty databases, of one kind, which are gone after the module."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{tmp_path_factory.mktemp('registry')}/registry.db"
        return
    server = make_url(request.getfixturevalue("postgresql_url"))
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection, ExitStack() as made:

        def make() -> str:
            name = f"kamiwaza_bench_{uuid4().hex}"
            connection.execute(text(f"CREATE DATABASE {name}"))
            made.callback(connection.execute, text(f"DROP DATABASE {name} WITH (FORCE)"))
            return server.set(database=name).render_as_string(hide_password=False)

        yield make
    admin.dispose()
