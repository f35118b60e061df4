"""What looking after a store of very many blobs costs: a check, a plan, and a check that reads all.

Each takes processors rather than time: what waits for a disk says nothing about us. Set ``KAMIWAZA_BENCH_BLOBS`` to
1000000 for a store of that many, which takes some minutes to make.
"""

import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    CreateFile,
    CreateModel,
    CreateVersion,
    ModelService,
    StorageConfig,
    StorageService,
    create_engine,
    setup_database,
    verify_all,
)
from tests.benchmarks.costs import REPOSITORY
from tests.benchmarks.ratio import Ratio, check

BLOBS = int(os.environ.get("KAMIWAZA_BENCH_BLOBS", "100000"))
PUBLISHED_NS = 10**18
ROUNDS = 3
MIB = 1 << 20

#: Runs one call in a process of its own, and prints its seconds of processors, and by how many KiB the peak grew.
PROGRAM = """
import sys, time
from pathlib import Path
from kamiwaza_sdk import StorageConfig, StorageService, create_engine, plan_cleanup, verify_all
def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
def rows(storage, databases):
    from kamiwaza_sdk.orm import DBModelFile
    cursor = databases[0].raw_connection().cursor()
    for number in range(256):
        low, high = f"{number:02x}", f"{number + 1:02x}" if number < 255 else "g"
        wanted = f"sha256 >= '{low}' AND sha256 < '{high}'"
        cursor.execute(f"SELECT sha256, size, namespace FROM {DBModelFile.__tablename__} WHERE {wanted}")
        cursor.fetchall()
call = {"plan": plan_cleanup, "check": verify_all, "rows": rows}[sys.argv[1]]
storage, engine = StorageService(StorageConfig(root=sys.argv[2])), create_engine(sys.argv[3])
call(StorageService(StorageConfig(root=sys.argv[4])), databases=[engine])  # what is loaded with the first
before, started = peak(), time.process_time()
call(storage, databases=[engine])
print(time.process_time() - started, peak() - before)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of so many empty blobs, as `StorageService` publishes them."""
    root = tmp_path_factory.mktemp("store")
    for number in range(256):
        (root / f"blobs/sha256/{number:02x}").mkdir(parents=True)
    for digest in map(_digest, range(BLOBS)):
        path = f"{root}/blobs/sha256/{digest[:2]}/{digest}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o444))
        os.utime(path, ns=(PUBLISHED_NS, PUBLISHED_NS))
    return root


@pytest.fixture(scope="module")
def url(new_url: Callable[[], str]) -> str:
    """A registry that refers to all of them."""
    url = new_url()
    engine = create_engine(url)
    setup_database(engine)
    with Session(engine) as db, db.begin():
        models = ModelService(db)
        model = models.create_model(CreateModel(name="all"))
        for start in range(0, BLOBS, 10_000):
            numbers = range(start, min(BLOBS, start + 10_000))
            files = tuple(CreateFile(path=f"{number}.bin", size=0, sha256=_digest(number)) for number in numbers)
            models.create_version(model.id, CreateVersion(files=files))
    engine.dispose()
    return url


def _digest(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def _called(name: str, root: Path, url: str, empty: Path) -> tuple[float, int]:
    program = [sys.executable, "-c", PROGRAM, name, str(root), url, str(empty)]
    seconds, kib = subprocess.check_output(program, cwd=REPOSITORY, text=True).split()
    return float(seconds), int(kib) * 1024


def _find(root: Path) -> float:
    """Return the seconds of processors that ``find`` takes to tell the size and time of each blob."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = ("-type", "f", "-printf", "%p %s %T@ %m\\n")
    subprocess.run(["find", root / "blobs", *told], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_check_without_reading(benchmark: BenchmarkFixture, root: Path, url: str, tmp_path: Path) -> None:
    """What a registry says of each blob has to be read, too, which ``find`` does not do: the driver alone does both."""

    def taken(name: str) -> float:
        return _called(name, root, url, tmp_path)[0]

    rounds = [(taken("check"), _find(root), taken("rows")) for _ in range(ROUNDS)]
    least, middle = ([sorted(taken)[place] for taken in zip(*rounds, strict=True)] for place in (0, ROUNDS // 2))
    print(f"\n{BLOBS:,}: CPU {least[0]:.2f} s, find {least[1]:.2f} s, rows {least[2]:.2f} s", end="")  # noqa: T201
    ratio = Ratio(least[0], least[1] + least[2], middle[0], middle[1] + middle[2])
    check(benchmark, ratio, lambda: None, at_most=2.5)


def test_plan(benchmark: BenchmarkFixture, root: Path, url: str, tmp_path: Path) -> None:
    """It takes at most 6 seconds of processors for a million blobs and references, and 64 MiB."""
    costs = [_called("plan", root, url, tmp_path) for _ in range(ROUNDS)]
    seconds, grown = min(cost[0] for cost in costs), max(cost[1] for cost in costs)
    print(f"\nplan of {BLOBS:,}: CPU {seconds:.2f} s, {grown / MIB:.0f} MiB more")  # noqa: T201
    benchmark.extra_info.update(cpu_seconds=seconds, bytes=grown)
    benchmark.pedantic(lambda: None, rounds=1)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types here
    assert grown <= 64 * MIB
    assert seconds <= 0.2 + 5.8 * BLOBS / 1_000_000  # some is for the 256 queries, however few the blobs


@pytest.fixture
def large(tmp_path: Path) -> StorageService:
    """A store of sixteen blobs of 64 MiB, in the page cache."""
    storage = StorageService(StorageConfig(root=tmp_path / "store"))
    for number in range(16):
        path = tmp_path / "file"
        path.write_bytes(number.to_bytes(16, "big") * (4 * MIB))
        storage.add(path)
        path.unlink()
    return storage


def test_check_that_reads(benchmark: BenchmarkFixture, large: StorageService, tmp_path: Path) -> None:
    """Two threads take at most 1.05 times as long as two threads that hash the same files and do nothing else."""
    engine = create_engine(f"sqlite:///{tmp_path}/registry.db")
    setup_database(engine)
    files = [large.path(blob.sha256) for blob in large.list_blobs()]

    def one_pass(path: Path) -> None:
        with path.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == path.name

    def floor() -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one_pass, files))
        return time.perf_counter() - started

    def ours() -> float:
        started = time.perf_counter()
        assert verify_all(large, databases=[engine], read=True, workers=2).is_sound
        return time.perf_counter() - started

    rounds = [(ours(), floor()) for _ in range(7)]
    mine, theirs = (sorted(taken) for taken in zip(*rounds, strict=True))
    check(benchmark, Ratio(mine[0], theirs[0], mine[3], theirs[3]), lambda: None, at_most=1.05)
