"""What importing costs a program that has SQLAlchemy and Pydantic anyway."""

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.ratio import Ratio, check


def _seconds(statement: str) -> float:
    """Return the CPU time of an import in a fresh process, without the start of Python itself."""
    code = f"import time; started = time.process_time(); {statement}; print(time.process_time() - started)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("statement", "floor", "at_most"),
    [
        ("import kamiwaza_sdk", "import sqlalchemy.orm, pydantic", 1.10),
        # Pydantic loads what makes models when BaseModel is first named, which every program that uses it does.
        ("from kamiwaza_sdk import ModelService", "import sqlalchemy.orm; from pydantic import BaseModel", 1.35),
    ],
)
def test_import(benchmark: BenchmarkFixture, statement: str, floor: str, at_most: float) -> None:
    pairs = [(_seconds(statement), _seconds(floor)) for _ in range(15)]
    ours, floors = (sorted(side) for side in zip(*pairs, strict=True))
    ratio = Ratio(ours[0], floors[0], ours[7], floors[7])
    check(benchmark, ratio, lambda: _seconds(statement), at_most=at_most)
