"""What it costs to fetch 1,000 files once more that are all here, beside `snapshot_download`, with and without a hub.

The hub is a process of its own on loopback. What counts is the time that whoever asks waits for; the processor's is
shown beside it. `snapshot_download` looks whether files are there; `fetch` also looks at each blob, whether it was
written to since, and tells the digests, the licence and the format.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download
from huggingface_hub.utils.tqdm import disable_progress_bars
from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk import HubConfig, HubService, StorageConfig, StorageService
from tests.benchmarks.costs import REPOSITORY, Cost, by_turns, cpu, ratio, seconds
from tests.benchmarks.ratio import check
from tests.benchmarks.serve_hub import FILES

SOURCE = "pickles/0"


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    """Where the hub is."""
    program = [sys.executable, "-m", "tests.benchmarks.serve_hub", "0"]
    with subprocess.Popen(program, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()


def _measured(bring: Callable[[], int]) -> Callable[[], Cost]:
    def run() -> Cost:
        wall, processor = time.perf_counter(), time.process_time()
        found = bring()
        cost = Cost(time.perf_counter() - wall, time.process_time() - processor)
        assert found == FILES
        return cost

    return run


@pytest.mark.parametrize(("offline", "at_most"), [(False, 1.5), (True, 25)], ids=["online", "offline"])
def test_second_pull_of_1000_files(
    benchmark: BenchmarkFixture,
    endpoint: str,
    tmp_path: Path,
    offline: bool,
    at_most: float,
) -> None:
    """It takes at most so many times as long as `snapshot_download` takes to look for its own."""
    storage = StorageService(StorageConfig(root=tmp_path / "store"))

    def fetch(without: bool = offline) -> int:
        hub = HubService(storage=storage, config=HubConfig(hf_endpoint=endpoint, offline=without))
        return len(asyncio.run(hub.fetch(f"hf://{SOURCE}")).files)

    def snapshot(without: bool = offline) -> int:
        cache = tmp_path / "cache"
        place = snapshot_download(SOURCE, endpoint=endpoint, cache_dir=cache, local_files_only=without)
        return len([*Path(place, "data").iterdir()])

    disable_progress_bars()
    fetch(False), snapshot(False)
    bringing = {"fetch": _measured(fetch), "snapshot_download": _measured(snapshot)}
    costs = by_turns(bringing)
    for name in costs:
        told = f"{seconds(costs, name)[0] * 1e3:.1f} ms, CPU {cpu(costs, name)[0] * 1e3:.1f} ms"
        print(f"\n{name}: {told}", end="")  # noqa: T201 - what a benchmark is for
    found = ratio(seconds(costs, "fetch"), seconds(costs, "snapshot_download"))
    check(benchmark, found, bringing["fetch"], at_most=at_most)
