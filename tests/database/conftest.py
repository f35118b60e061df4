"""Databases with nothing in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

import kamiwaza_sdk


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    yield request.getfixturevalue("empty_postgresql_url")


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    """An engine of ours for it."""
    engine = kamiwaza_sdk.create_engine(empty_url)
    yield engine
    engine.dispose()
