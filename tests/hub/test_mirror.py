"""Many sources into one store: in this process, by threads, by processes, and by Dask's workers."""

import asyncio
import copyreg
import multiprocessing
import os
import pickle
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import Fetched, HubConfig, HubService, InvalidInputException, StorageConfig, StorageService
from kamiwaza_sdk.services.hub import mirror as mirroring
from kamiwaza_sdk.testing import GeneratedBody, HuggingFaceServer, Rate
from kamiwaza_sdk.types import MirrorProgressSchema, MirrorSchema

SOURCES = [f"hf://org/model-{number}" for number in range(4)]
WEIGHTS = {number: os.urandom(100_000 + number) for number in range(4)}


@pytest.fixture
def server() -> Iterator[HuggingFaceServer]:
    """A hub with four repositories."""
    with HuggingFaceServer() as hub:
        for number, weights in WEIGHTS.items():
            hub.add_repository(f"org/model-{number}", {"model.safetensors": weights, "config.json": b"{}"})
        yield hub


@pytest.fixture
async def hub(server: HuggingFaceServer, tmp_path: Path) -> HubService:
    """A service over a store."""
    config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
    storage = await asyncio.to_thread(lambda: StorageService(StorageConfig(root=tmp_path / "store")))
    return HubService(storage=storage, config=config)


def processes() -> Executor:
    """Two processes that were not forked from this one, which has threads."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


async def test_one_that_fails_ends_none_of_the_others(hub: HubService) -> None:
    mirrored = await hub.mirror([*SOURCES[:2], "hf://org/missing", *SOURCES[2:], "nonsense"])
    assert [item.error for item in mirrored.items] == [
        None,
        None,
        "RepositoryAccessException",
        None,
        None,
        "InvalidSourceException",
    ]
    assert [fetched.source_repository for fetched in mirrored.fetched] == [f"org/model-{number}" for number in range(4)]
    assert [item.source for item in mirrored.failed] == ["hf://org/missing", "nonsense"]
    assert all(item.reason for item in mirrored.failed)
    assert not mirrored.is_complete


class OddHub(HubService):
    """Fails for one source as no source of ours does."""

    async def fetch(self, source: Any, **options: Any) -> Fetched:  # Any: as of what it overrides
        """Bring a source."""
        if source == SOURCES[1]:
            raise RuntimeError("the source has a fault of its own")
        return await super().fetch(source, **options)


async def test_one_that_fails_by_a_fault_of_its_source_ends_none_of_the_others(
    hub: HubService, server: HuggingFaceServer
) -> None:
    config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
    mirrored = await OddHub(storage=hub.storage, config=config).mirror(SOURCES)
    assert [item.error for item in mirrored.items] == [None, "RuntimeError", None, None]
    assert [item.reason for item in mirrored.failed] == ["the source has a fault of its own"]


async def test_what_progress_raises_ends_them_all(hub: HubService) -> None:
    def complain(_: MirrorProgressSchema) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await hub.mirror(SOURCES, progress=complain)


@pytest.mark.parametrize("made", [lambda: None, lambda: ThreadPoolExecutor(2), processes])
async def test_called_again_it_brings_what_is_missing(hub: HubService, made: Callable[[], Executor | None]) -> None:
    executor = made()
    try:
        first = await hub.mirror([*SOURCES[:2], "hf://org/missing"], executor=executor)
        again = await hub.mirror(SOURCES, executor=executor)
    finally:
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)
    size = [len(weights) + 2 for weights in WEIGHTS.values()]
    assert len(first.failed) == 1
    assert again.is_complete
    assert [fetched.bytes_fetched for fetched in again.fetched] == [0, 0, len(WEIGHTS[2]), len(WEIGHTS[3])]
    assert [fetched.size for fetched in again.fetched] == size
    for fetched in again.fetched:
        for file in fetched.files:
            assert await asyncio.to_thread(hub.storage.find, file.sha256) is not None


async def test_what_a_search_finds_is_mirrored(hub: HubService) -> None:
    mirrored = await hub.mirror(hub.search(author="org", limit=3), allow="*.json")
    assert [len(fetched.files) for fetched in mirrored.fetched] == [1, 1, 1]


@pytest.mark.parametrize("made", [lambda: None, processes])
async def test_it_tells_how_far_it_is(
    hub: HubService,
    server: HuggingFaceServer,
    made: Callable[[], Executor | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirroring, "_INTERVAL", 0.1)
    news = list[MirrorProgressSchema]()
    executor = made()
    try:
        mirrored = await hub.mirror([*SOURCES, "hf://org/missing"], executor=executor, progress=news.append)
    finally:
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)
    last = news[-1]
    size = sum(fetched.size for fetched in mirrored.fetched)
    assert (last.sources, last.done, last.failed, last.bytes) == (5, 4, 1, size)
    assert [one.done + one.failed for one in news] == sorted(one.done + one.failed for one in news)
    assert await asyncio.to_thread(lambda: list((hub.storage.root / "mirrors").glob("*/*"))) == []
    del server


async def test_what_workers_have_received_is_told_meanwhile(
    hub: HubService, server: HuggingFaceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirroring, "_INTERVAL", 0.05)
    commit = server.add_repository("org/slow", {"model.bin": GeneratedBody(4 * 1024**2, seed=1)}, lfs=())
    server.add_faults(f"/org/slow/resolve/{commit}/model.bin", always=Rate(3 * 1024**2))
    news = list[MirrorProgressSchema]()
    with ThreadPoolExecutor(1) as executor:
        mirrored = await hub.mirror(["hf://org/slow"], executor=executor, progress=news.append)
    assert mirrored.is_complete
    assert any(0 < one.bytes < 4 * 1024**2 and not one.done for one in news)


class _Broken(Executor):
    """Its workers die, or it cancels what it was given."""

    def __init__(self, cause: BaseException | None) -> None:
        self._cause = cause

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future = Future[Any]()
        if self._cause is None:
            future.cancel()
        else:
            future.set_exception(self._cause)
        return future


@pytest.mark.parametrize(("cause", "error"), [(RuntimeError("died"), "RuntimeError"), (None, "CancelledError")])
async def test_what_an_executor_says_is_the_sources_error(
    hub: HubService, cause: BaseException | None, error: str
) -> None:
    mirrored = await hub.mirror(SOURCES[:1], executor=_Broken(cause))
    assert [item.error for item in mirrored.items] == [error]


async def test_a_pool_that_takes_nothing_more_is_the_sources_error(hub: HubService) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    mirrored = await hub.mirror(SOURCES[:2], executor=executor)
    assert [item.error for item in mirrored.items] == ["RuntimeError"] * 2


async def test_cancelled_it_begins_nothing_more(hub: HubService, server: HuggingFaceServer) -> None:
    commit = server.add_repository("org/slow", {"model.bin": GeneratedBody(4 * 1024**2, seed=1)}, lfs=())
    server.add_faults(f"/org/slow/resolve/{commit}/model.bin", always=Rate(4 * 1024**2))
    with ThreadPoolExecutor(1) as executor:
        mirroring = asyncio.ensure_future(hub.mirror(["hf://org/slow", *SOURCES], executor=executor))
        await asyncio.sleep(0.2)
        mirroring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await mirroring
    assert not any("model-3" in request.path for request in server.requests)


@pytest.mark.parametrize("given", ["hf://org/tiny", None, 5])
async def test_what_is_no_list_of_sources_is_refused(hub: HubService, given: Any) -> None:
    with pytest.raises(InvalidInputException, match="sources"):
        await hub.mirror(given)


async def test_other_arguments_of_a_wrong_kind_are_refused(hub: HubService) -> None:
    with pytest.raises(InvalidInputException, match="executor"):
        await hub.mirror(SOURCES, executor=5)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(InvalidInputException, match="at_once"):
        await hub.mirror(SOURCES, at_once=0)


async def test_it_travels_and_reads_well(hub: HubService) -> None:
    mirrored = await hub.mirror([*SOURCES, "hf://org/missing"])
    assert MirrorSchema.model_validate_json(mirrored.model_dump_json()) == mirrored
    assert pickle.loads(pickle.dumps(mirrored)) == mirrored
    assert repr(mirrored).startswith("MirrorSchema('5 sources', failed=1, size='390.")
    assert "RepositoryAccessException" in mirrored._repr_html_()


@pytest.fixture
async def cluster() -> AsyncIterator[Any]:
    """Dask's cluster on this machine, of four workers, each a process."""
    as_they_were = dict(copyreg.dispatch_table)  # importing it changes how every exception of the process is pickled
    distributed = pytest.importorskip("distributed", reason="needs the package distributed: nox -s executors")
    cluster = await asyncio.to_thread(
        distributed.LocalCluster, n_workers=4, threads_per_worker=1, dashboard_address=None, silence_logs=50
    )
    yield cluster
    await asyncio.to_thread(cluster.close)
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(as_they_were)


async def test_dasks_workers_fetch_and_one_that_is_killed_is_replaced(
    cluster: Any, server: HuggingFaceServer, tmp_path: Path
) -> None:
    from distributed import Client

    config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
    storage = await asyncio.to_thread(lambda: StorageService(StorageConfig(root=tmp_path / "store")))
    hub = HubService(storage=storage, config=config)
    commit = server.add_repository("org/slow", {"model.bin": GeneratedBody(4 * 1024**2, seed=1)}, lfs=())
    server.add_faults(f"/org/slow/resolve/{commit}/model.bin", always=Rate(2 * 1024**2))
    client = await asyncio.to_thread(Client, cluster)
    try:
        executor = client.get_executor(pure=False)  # type: ignore[no-untyped-call]  # Dask's have no types
        mirroring = asyncio.ensure_future(
            hub.mirror(["hf://org/slow", *SOURCES, "hf://org/missing"], executor=executor)
        )
        await asyncio.sleep(1)
        pids = await asyncio.to_thread(lambda: client.run(os.getpid))
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        mirrored = await mirroring
    finally:
        await asyncio.to_thread(client.close)
    assert [item.error for item in mirrored.items] == [None] * 5 + ["RepositoryAccessException"]


class _Adaptor:
    """The class that the documentation shows for Ray, as it stands there."""

    @staticmethod
    def made() -> Any:
        page = Path(__file__).parents[2] / "docs/howto/executors.md"
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        found: dict[str, Any] = {}
        exec(next(block for block in blocks if "class RayExecutor" in block), found)
        return found["RayExecutor"]()


async def test_rays_workers_fetch(server: HuggingFaceServer, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="needs the package ray, of 70 MB: nox -s executors")
    await asyncio.to_thread(lambda: ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False))
    try:
        config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
        storage = await asyncio.to_thread(lambda: StorageService(StorageConfig(root=tmp_path / "store")))
        hub = HubService(storage=storage, config=config)
        mirrored = await hub.mirror([*SOURCES, "hf://org/missing"], executor=_Adaptor.made())
    finally:
        await asyncio.to_thread(ray.shutdown)
    assert [item.error for item in mirrored.items] == [None] * 4 + ["RepositoryAccessException"]
