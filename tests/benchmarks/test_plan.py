"""What a plan of 1,000 files costs over `huggingface_hub`'s bare listing of them.

The hub is a process of its own on loopback, and all share the machine's cores. Each round asks for a repository that
nobody has asked for before. The time that counts is what whoever asks waits for, the hub's own included; what it takes
of the processor is shown beside it. So is what aiohttp takes for the requests of the plan alone: the commit, the
listing, and what the configuration and one header say.

Like is compared with like. ``kept``: both go on with the client and the connections of the call before. ``fresh``: both
begin with a new client, as the first call of a program does.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import aiohttp
import pytest
from huggingface_hub import HfApi, close_session
from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk import DownloadService, HubConfig, HubService, StorageConfig, StorageService
from tests.benchmarks.costs import REPOSITORY, Cost, by_turns, cpu, ratio, seconds
from tests.benchmarks.ratio import check
from tests.benchmarks.serve_hub import FILES, shard

ROUNDS = 15


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    """Where the hub is."""
    program = [sys.executable, "-m", "tests.benchmarks.serve_hub", str(ROUNDS + 4)]
    with subprocess.Popen(program, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()


def _measured(ask: Callable[[int], int]) -> Callable[[], Cost]:
    """Return what asks for the next repository, and tells what that cost."""
    numbers = iter(range(ROUNDS + 4))

    def run() -> Cost:
        number, wall, processor = next(numbers), time.perf_counter(), time.process_time()
        found = ask(number)
        cost = Cost(time.perf_counter() - wall, time.process_time() - processor)
        assert found >= FILES
        return cost

    return run


async def _requests(base: str, kind: str, number: int) -> int:
    """Ask what a plan asks, and look into nothing but the commit."""
    async with aiohttp.ClientSession(base, raise_for_status=True) as session:

        async def asked(path: str, **headers: str) -> bytes:
            async with session.get(path, headers=headers) as response:
                return await response.read()

        commit = json.loads(await asked(f"/api/models/{kind}/{number}/revision/main"))["sha"]
        await asked(f"/api/models/{kind}/{number}/tree/{commit}?recursive=true")
        for name in ("config.json", "model.safetensors" if kind == "samples" else shard(number, 1)):
            await asked(f"/{kind}/{number}/resolve/{commit}/{name}", Range="bytes=0-4095")
    return FILES


@pytest.mark.parametrize(("kind", "at_most"), [("samples", 4.5), ("shards", 4.5)])
def test_plan_of_1000_files_with_kept_connections(
    benchmark: BenchmarkFixture, endpoint: str, tmp_path: Path, kind: str, at_most: float
) -> None:
    """It takes at most so many times as long as `huggingface_hub` takes to list them, in a process that goes on."""
    storage, api = StorageService(StorageConfig(root=tmp_path / "store")), HfApi(endpoint=endpoint)
    with asyncio.Runner() as runner:
        downloads = DownloadService()
        hub = HubService(storage=storage, downloads=downloads, config=HubConfig(hf_endpoint=endpoint))
        runner.run(downloads.__aenter__())

        def plan(number: int) -> int:
            return len(runner.run(hub.plan(f"hf://{kind}/{number}")).files)

        def listing(number: int) -> int:
            return len([*api.list_repo_tree(f"{kind}/{number}", recursive=True)])

        _compare(benchmark, endpoint, kind, plan, listing, at_most=at_most)
        runner.run(downloads.__aexit__(None, None, None))


@pytest.mark.parametrize(("kind", "at_most"), [("samples", 1.5), ("shards", 1.5)])
def test_plan_of_1000_files_by_a_fresh_client(
    benchmark: BenchmarkFixture, endpoint: str, tmp_path: Path, kind: str, at_most: float
) -> None:
    """It takes at most so many times as long as `huggingface_hub` takes to list them with a client made for that."""
    storage = StorageService(StorageConfig(root=tmp_path / "store"))
    hub = HubService(storage=storage, config=HubConfig(hf_endpoint=endpoint))

    def plan(number: int) -> int:
        return len(asyncio.run(hub.plan(f"hf://{kind}/{number}")).files)

    def listing(number: int) -> int:
        close_session()
        return len([*HfApi(endpoint=endpoint).list_repo_tree(f"{kind}/{number}", recursive=True)])

    _compare(benchmark, endpoint, kind, plan, listing, at_most=at_most)


def _compare(
    benchmark: BenchmarkFixture,
    endpoint: str,
    kind: str,
    plan: Callable[[int], int],
    listing: Callable[[int], int],
    *,
    at_most: float,
) -> None:
    def requests(number: int) -> int:
        return asyncio.run(_requests(endpoint, kind, number))

    asking = {name: _measured(ask) for name, ask in {"plan": plan, "listing": listing, "requests": requests}.items()}
    for ask in asking.values():
        ask()  # what is loaded with the first
    costs = by_turns(asking, rounds=ROUNDS)
    for name in costs:
        print(  # noqa: T201 - what a benchmark is for
            f"\n{kind}, {name}: {seconds(costs, name)[0] * 1e3:.1f} ms, CPU {cpu(costs, name)[0] * 1e3:.1f} ms", end=""
        )
    check(benchmark, ratio(seconds(costs, "plan"), seconds(costs, "listing")), asking["plan"], at_most=at_most)
