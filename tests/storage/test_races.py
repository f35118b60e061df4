"""Any number of threads and processes may write the same blobs and lay out the same files at once."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kamiwaza_sdk import StorageService
from tests.storage import racing
from tests.storage.helpers import keep, misnamed, sha256
from tests.storage.racing import SHARED

PROCESSES = 8


def _race(work: Callable[[StorageService, Path, int], None], store: StorageService, directory: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=racing.run, args=(work, barrier, store, directory, number))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES


def test_processes_that_write_the_same(store: StorageService, tmp_path: Path) -> None:
    """Eight processes make a store, keep the same blobs and lay them out in the same place: one of each remains."""
    _race(racing.write, store, tmp_path)
    assert misnamed(store.root) == []
    assert sorted(path.name for path in store.root.glob("blobs/sha256/*/*")) == sorted(map(sha256, SHARED))
    for model in (tmp_path / "model", tmp_path / "mine"):
        files = {int(path.name): path.read_bytes() for path in model.rglob("*") if path.is_file()}
        assert files == dict(enumerate(SHARED))
    assert not any((tmp_path / "mine/0/0").samefile(path) for path in store.root.glob("blobs/sha256/*/*"))
    assert list((store.root / "staging").iterdir()) == []
    assert list((store.root / "quarantine").iterdir()) == []


def test_processes_that_repair_the_same(store: StorageService, tmp_path: Path) -> None:
    """While one process spoils blobs, the others set them aside and keep them anew; in the end all are right."""
    _race(racing.repair, store, tmp_path)
    for data in SHARED:
        assert keep(store, data) == store.verify(sha256(data))
    assert all(path.read_bytes().isupper() for path in (store.root / "quarantine").iterdir())


def test_threads_that_write_the_same(store: StorageService) -> None:
    """Sixteen threads keep the same blob through one service."""
    with ThreadPoolExecutor(16) as pool:
        blobs = list(pool.map(keep, [store] * 200, SHARED[:1] * 200))
    assert blobs == [store.get(sha256(SHARED[0]))] * 200
    assert list((store.root / "staging").iterdir()) == []
