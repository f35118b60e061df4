"""Where the bytes come from and go to: in memory where that is possible, as no one pulls the plug."""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from kamiwaza_sdk.testing import GeneratedBody

MEMORY: Final = Path("/dev/shm")


@pytest.fixture
def ground() -> Generator[Path]:
    """A directory that does not outlive the test."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def body() -> GeneratedBody:
    """200 MiB."""
    return GeneratedBody(200 * 1024**2)


@pytest.fixture(scope="session")
def sha256(body: GeneratedBody) -> str:
    """Their digest."""
    return body.sha256()
