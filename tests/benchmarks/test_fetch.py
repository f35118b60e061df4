"""What fetching and verifying 1 GiB costs over the slower of its parts: ``curl -o``, and hashing it once.

Source and destination are in memory (tmpfs), the server is a process of its own, all share the machine's cores.
"""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk import HubService, StorageConfig, StorageService
from tests.benchmarks.ratio import Ratio, check

GIB = 1024**3
MEMORY = Path("/dev/shm")
ROUNDS = 7


@dataclass(frozen=True)
class Served:
    """A file that a server serves."""

    file: Path
    url: str
    sha256: str
    directory: Path


@pytest.fixture
def served() -> Iterator[Served]:
    """1 GiB on tmpfs, behind a server in a process of its own."""
    if shutil.which("curl") is None or not MEMORY.is_dir():
        pytest.skip("needs curl, and tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        file = Path(directory, "model.bin")
        digest = hashlib.sha256()
        with file.open("wb") as target:
            for seed in range(16):
                piece = hashlib.shake_128(bytes([seed])).digest(GIB // 16)
                target.write(piece)
                digest.update(piece)
        command = [sys.executable, "-m", "tests.benchmarks.serve", str(file)]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            yield Served(file, f"http://127.0.0.1:{port}/model.bin", digest.hexdigest(), Path(directory))
            server.communicate()


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _curl(served: Served) -> None:
    subprocess.run(["curl", "-s", "-o", served.directory / "curl.bin", served.url], check=True)


def _hash(served: Served) -> None:
    with served.file.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == served.sha256


def _fetch(served: Served) -> None:
    hub = HubService(storage=StorageService(StorageConfig(root=served.directory / "store")))
    assert asyncio.run(hub.fetch(served.url, sha256=served.sha256)).bytes_fetched == GIB


def test_fetch_1_gib(benchmark: BenchmarkFixture, served: Served) -> None:
    times: dict[str, list[float]] = {"fetch": [], "curl": [], "hash": []}
    for _ in range(ROUNDS):
        for name, part in {"curl": _curl, "hash": _hash, "fetch": _fetch}.items():
            times[name].append(_seconds(partial(part, served)))
            shutil.rmtree(served.directory / "store", ignore_errors=True)
            (served.directory / "curl.bin").unlink(missing_ok=True)
    middle = {name: sorted(taken)[ROUNDS // 2] for name, taken in times.items()}
    print({name: round(min(taken), 3) for name, taken in times.items()})  # noqa: T201 - what a benchmark is for
    floor = max(min(times["curl"]), min(times["hash"]))
    ratio = Ratio(min(times["fetch"]), floor, middle["fetch"], max(middle["curl"], middle["hash"]))
    check(benchmark, ratio, lambda: _hash(served), at_most=1.5)
