"""Fixtures of the registry's tests."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that processes share, set up and empty."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("cleared_postgresql")
        return url
    shutil.copyfile(request.getfixturevalue("sqlite_tables"), tmp_path / "shared.db")
    return f"sqlite:///{tmp_path}/shared.db"
