"""A store, registries over it on both databases, and what is fetched into it."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

import kamiwaza_sdk
from kamiwaza_sdk import setup_database
from tests.cleanup.helpers import Registry

NOW = timedelta(0)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine of an empty registry, on each database."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("cleared_postgresql")
    engine = kamiwaza_sdk.create_engine(url)
    setup_database(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Engine]:
    """An engine of another registry."""
    engine = kamiwaza_sdk.create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    setup_database(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def asynchronous(engine: Engine) -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine of the same registry as `engine`."""
    found = kamiwaza_sdk.create_async_engine(engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    yield found
    await found.dispose()


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> Registry:
    """A registry on each database, over a store."""
    return Registry(engine, tmp_path / "store")
