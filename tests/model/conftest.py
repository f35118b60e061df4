"""Fixtures of the registry's tests."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from kamiwaza_sdk import setup_database
from tests.backends import clear_tables


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that processes share, set up and empty."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql_tables")
        engine = create_engine(url)
        with engine.begin() as connection:
            clear_tables(connection)
    else:
        url = f"sqlite:///{tmp_path}/shared.db"
        engine = create_engine(url)
        setup_database(engine)
    engine.dispose()
    return url
