"""What importing costs a program that has SQLAlchemy and Pydantic anyway, and what a whole process costs that fetches.

All run from compiled modules, as an installation has them, whatever the environment of the tests says: the first run
of each compiles them. What counts is CPU time, of a process that fetches from its start on.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk.testing import FaultyServer
from tests.benchmarks.ratio import Ratio, check

ROUNDS: Final = 7
_AIOHTTP: Final = "import aiohttp; from pydantic import BaseModel"
_FETCH: Final = "import asyncio; from kamiwaza_sdk import fetch; fetched = asyncio.run(fetch({url!r}))"
_DOWNLOAD: Final = (
    "import asyncio; from kamiwaza_sdk import DownloadService; "
    "asyncio.run(DownloadService().download({url!r}, {path!r}))"
)
_REGISTER: Final = (
    "import asyncio; from sqlalchemy.orm import Session; "
    "from kamiwaza_sdk import ModelService, create_engine, fetch, setup_database; "
    "engine = create_engine({database!r}); setup_database(engine); fetched = asyncio.run(fetch({url!r})); "
    "db = Session(engine); ModelService(db).register(fetched, name='m'); db.commit()"
)


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    """Where a file of 1 KiB is."""
    with FaultyServer() as server:
        yield server.add("/model.bin", body=bytes(1024))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What processes are started with."""
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled"))}
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | compiled


def _told(code: str, environment: dict[str, str]) -> float:
    program = [sys.executable, "-c", code]
    return float(subprocess.run(program, capture_output=True, text=True, check=True, env=environment).stdout)


def _imported(statement: str, environment: dict[str, str]) -> float:
    """Return the CPU time of a statement in a fresh process, without the start of Python itself."""
    timed = f"import time; started = time.process_time(); {statement}; print(time.process_time() - started)"
    return _told(timed, environment)


def _compared(pairs: list[tuple[float, float]]) -> Ratio:
    ours, floors = (sorted(side) for side in zip(*pairs[1:], strict=True))  # the first pair has compiled
    return Ratio(ours[0], floors[0], ours[len(ours) // 2], floors[len(floors) // 2])


@pytest.mark.parametrize(
    ("statement", "floor", "at_most"),
    [
        ("import kamiwaza_sdk", "import sqlalchemy.orm, pydantic", 1.10),
        # Pydantic loads what makes models when BaseModel is first named, which every program that uses it does.
        ("from kamiwaza_sdk import ModelService", "import sqlalchemy.orm; from pydantic import BaseModel", 1.2),
    ],
)
def test_import(
    benchmark: BenchmarkFixture, environment: dict[str, str], statement: str, floor: str, at_most: float
) -> None:
    pairs = [(_imported(statement, environment), _imported(floor, environment)) for _ in range(ROUNDS + 1)]
    check(benchmark, _compared(pairs), lambda: _imported(statement, environment), at_most=at_most)


@pytest.mark.parametrize(
    ("program", "at_most"), [(_FETCH, 2.2), (_DOWNLOAD, 1.6), (_REGISTER, 4.8)], ids=["fetch", "download", "register"]
)
def test_a_process_that_brings_1_kib(
    benchmark: BenchmarkFixture, environment: dict[str, str], url: str, tmp_path: Path, *, program: str, at_most: float
) -> None:
    """It takes at most so many times what the process takes that imports aiohttp and Pydantic, and ends."""
    numbers = itertools.count()

    def ours() -> float:
        place = tmp_path / str(next(numbers))
        place.mkdir()
        database = f"sqlite:///{tmp_path}/{place.name}.db"
        code = program.format(url=url, path=str(place / "model.bin"), database=database)
        kept = {"STORAGE_SERVICE_ROOT": str(place / "store")}
        return _told(f"{code}; import time; print(time.process_time())", environment | kept)

    floor = f"{_AIOHTTP}; import time; print(time.process_time())"
    pairs = [(ours(), _told(floor, environment)) for _ in range(ROUNDS + 1)]
    check(benchmark, _compared(pairs), ours, at_most=at_most)
