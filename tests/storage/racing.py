"""What the processes of the races do; importable, because they are spawned."""

from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

from kamiwaza_sdk import StorageService
from tests.storage.helpers import File, Version, keep, sha256

SHARED = [b"shared %d" % number * 1000 for number in range(20)]


def write(store: StorageService, directory: Path, _: int) -> None:
    """Keep and lay out the same files as all the others."""
    blobs = [keep(store, data) for data in SHARED]
    files = Version([File(f"{number % 3}/{number}", blob.size, blob.sha256) for number, blob in enumerate(blobs)])
    store.materialize(files, directory / "model")
    store.materialize(files, directory / "mine", writable=True)


def repair(store: StorageService, directory: Path, number: int) -> None:
    """Find blobs wrong and keep them anew, while one process spoils them."""
    for data in SHARED * 5:
        path = store.path(sha256(data))
        if number == 0 and path.exists():
            path.with_suffix(".wrong").write_bytes(data.upper())
            path.with_suffix(".wrong").rename(path)
        keep(store, data)
        store.find(path.name)
    del directory


def run(work: Callable[[StorageService, Path, int], None], barrier: Barrier, *arguments: object) -> None:
    """Start with all the others."""
    barrier.wait(timeout=60)
    work(*arguments)  # type: ignore[arg-type]
