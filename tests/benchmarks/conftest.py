"""Benchmarks run only when asked for: ``nox -s bench``, or ``pytest tests/benchmarks --benchmark-enable``."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the benchmarks out of the suite: what they measure takes a quiet machine and some minutes."""
    is_benchmark = collection_path.name.startswith("test_") and collection_path.parent == Path(__file__).parent
    return True if is_benchmark and not config.getoption("benchmark_enable") else None
