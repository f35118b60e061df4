"""What many small files cost: fetched into a store, with and without what was interrupted before, and laid out.

nginx serves on loopback. Each contestant is a process of its own, all run by turns, the least of all rounds counts.
Each row is run in memory (tmpfs) and on the disk that temporary files are on.
"""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk import (
    DownloadConfig,
    DownloadInterruptedException,
    DownloadService,
    HubService,
    StorageConfig,
    StorageService,
)
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Truncate
from tests.benchmarks.costs import Cost, Costs, by_turns, command, cpu, ratio, seconds, transfer
from tests.benchmarks.ratio import check, measure
from tests.benchmarks.test_transfer import CONCURRENCY, MEMORY, Into
from tests.nginx import Nginx
from tests.storage.helpers import File, Version, keep

COUNT: Final = 1000
SIZE: Final = 64 * 1024
MANY: Final = 10_000
SMALL: Final = 4096
INTERRUPTED: Final = 300
COMMIT: Final = 40 * "0"
#: What huggingface_hub wants to be told of a file.
HUB: Final = f"default_type application/json; location /org/ {{ add_header X-Repo-Commit {COMMIT}; }}"


@pytest.fixture(scope="module")
def server() -> Generator[Nginx]:
    """1,000 files, and a hub with a repository of 10,000 whose listing tells their git blob ids."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        root, own = Path(directory, "root"), Path(directory, "own")
        own.mkdir()
        _add_repository(root)
        for number in range(COUNT):
            (root / str(number)).write_bytes(GeneratedBody(SIZE, seed=number).read())
        with Nginx(root, own, more=HUB) as server:
            yield server


def _add_repository(root: Path) -> None:
    api, files = root / "api/models/org/many", root / "org/many/resolve" / COMMIT
    for place in (api / "revision", api / "tree", *(files / f"{number:02}" for number in range(100))):
        place.mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for number in range(MANY):
        path, body = f"{number % 100:02}/{number:05}.txt", (b"%d " % number * SMALL)[:SMALL]
        (files / path).write_bytes(body)
        blob_id = hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
        rows.append({"type": "file", "path": path, "size": len(body), "oid": blob_id})
    siblings = [{"rfilename": row["path"]} for row in rows]
    (api / "revision/main").write_text(json.dumps({"id": "org/many", "sha": COMMIT, "siblings": siblings}))
    (api / "tree" / COMMIT).write_text(json.dumps(rows))


@pytest.fixture(scope="module", params=["tmpfs", "disk"])
def place(request: pytest.FixtureRequest) -> Generator[Path]:
    """A directory in memory, and one on a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if request.param == "tmpfs" else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def urls(server: Nginx) -> list[str]:
    return [server.url(f"/{number}") for number in range(COUNT)]


@pytest.fixture(scope="module")
def unfinished(place: Path) -> Path:
    """A store in whose staging area lie many downloads that were interrupted."""
    store = place / "unfinished"
    body = GeneratedBody(2 * 1024**2)
    downloads = DownloadService(DownloadConfig(max_attempts=1))
    hub = HubService(storage=StorageService(StorageConfig(root=store)), downloads=downloads)
    with FaultyServer() as server:
        url = server.add("/model.bin", body=body, always=Truncate(at=SIZE))
        file = ManifestFileSchema(path="model.bin", url=url, size=body.size, sha256=body.sha256())
        with pytest.raises(DownloadInterruptedException):
            asyncio.run(hub.fetch(ManifestSchema(source=url, name="model", files=(file,))))
    (left,) = (path for path in (store / "staging").iterdir() if path.is_dir())
    for _ in range(INTERRUPTED - 1):
        other = left.with_name(secrets.token_hex(16))
        shutil.copytree(left, other)
        other.with_name(f"{other.name}.lock").touch()
    return store


@pytest.fixture(scope="module")
def costs(place: Path, urls: list[str], unfinished: Path) -> Costs:
    into = Into(place)

    def beside_unfinished(made: Path) -> Cost:
        shutil.copytree(unfinished, made / "store")
        os.sync()
        return transfer("fetching_many", urls=urls, store=str(made / "store"))

    costs = by_turns(
        {
            "fetch": into(lambda made: transfer("fetching_many", urls=urls, store=str(made))),
            "fetch beside 300 interrupted": into(beside_unfinished),
            "download_many": into(lambda made: transfer("ours_many", urls=urls, directory=str(made))),
            "aria2": into(partial(_aria2, urls)),
            "aiohttp": into(lambda made: transfer("aiohttp_many", urls=urls, directory=str(made))),
        },
        rounds=5,
    )
    for name in costs:
        (least, middle), (processors, _) = seconds(costs, name), cpu(costs, name)
        print(f"\n{place}: {name}: {least:.3f} s (median {middle:.3f}), CPU {processors:.3f} s", end="")  # noqa: T201
    return costs


def _aria2(urls: list[str], made: Path) -> Cost:
    (made / "urls").write_text("\n".join(urls))
    options = ["-q", "--no-conf", f"-j{CONCURRENCY}", "-x1", "--file-allocation=none"]
    return command(["aria2c", *options, "-d", made, "-i", made / "urls"])


def test_download_of_many_files(benchmark: BenchmarkFixture, costs: Costs, place: Path, urls: list[str]) -> None:
    """1,000 files of 64 KiB, verified, durable, take at most as long as with aria2 on a disk; 2.7 times in memory."""
    again = Into(place)(lambda made: transfer("ours_many", urls=urls, directory=str(made)))
    at_most = 2.7 if place.is_relative_to(MEMORY) else 1.0
    check(benchmark, ratio(seconds(costs, "download_many"), seconds(costs, "aria2")), again, at_most=at_most)


@pytest.mark.parametrize("of", [seconds, cpu], ids=["seconds", "cpu"])
def test_fetch_of_many_files(
    benchmark: BenchmarkFixture,
    costs: Costs,
    place: Path,
    urls: list[str],
    of: Callable[[Costs, str], tuple[float, float]],
) -> None:
    """1,000 files of 64 KiB into a store take at most 1.2 times what `download_many` takes for them."""
    again = Into(place)(lambda made: transfer("fetching_many", urls=urls, store=str(made)))
    check(benchmark, ratio(of(costs, "fetch"), of(costs, "download_many")), again, at_most=1.2)


@pytest.mark.parametrize("of", [seconds, cpu], ids=["seconds", "cpu"])
def test_fetch_beside_interrupted_downloads(
    benchmark: BenchmarkFixture,
    costs: Costs,
    place: Path,
    urls: list[str],
    of: Callable[[Costs, str], tuple[float, float]],
) -> None:
    """300 interrupted downloads in the staging area cost a fetch at most a tenth more."""
    again = Into(place)(lambda made: transfer("fetching_many", urls=urls, store=str(made)))
    check(benchmark, ratio(of(costs, "fetch beside 300 interrupted"), of(costs, "fetch")), again, at_most=1.1)


def test_repository_of_10000_files(benchmark: BenchmarkFixture, server: Nginx) -> None:
    """In memory, 10,000 files of 4 KiB, verified, take at most 0.45 of the CPU of `snapshot_download`, unverified."""
    endpoint = server.url("")
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        into = Into(Path(directory))
        mine = into(lambda made: transfer("fetching_repository", endpoint=endpoint, store=str(made), count=MANY))
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        theirs = into(partial(_snapshot, endpoint, quiet))
        costs = {**by_turns({"fetch": mine}, rounds=3), **by_turns({"snapshot_download": theirs}, rounds=1)}
        for name in costs:
            print(f"\n{name}: {seconds(costs, name)[0]:.2f} s, CPU {cpu(costs, name)[0]:.2f} s", end="")  # noqa: T201
        check(benchmark, ratio(cpu(costs, "fetch"), cpu(costs, "snapshot_download")), mine, at_most=0.45)


def _snapshot(endpoint: str, environment: dict[str, str], made: Path) -> Cost:
    return transfer("snapshot", endpoint=endpoint, directory=str(made), environment=environment)


def test_laying_out_1000_links(benchmark: BenchmarkFixture, place: Path) -> None:
    """1,000 hard links take at most 4 times what `os.link` takes for them in memory, and 2.6 times on a disk."""
    storage = StorageService(StorageConfig(root=place / "links"))
    blobs = [keep(storage, b"%d" % number) for number in range(COUNT)]
    files = [File(f"{number % 10}/{number}.bin", blob.size, blob.sha256) for number, blob in enumerate(blobs)]
    pairs = [(os.fspath(blob.path), file.path) for blob, file in zip(blobs, files, strict=True)]

    def ours() -> None:
        storage.materialize(Version(files), place / secrets.token_hex(8))

    def floor() -> None:
        made = place / secrets.token_hex(8)
        for number in range(10):
            (made / str(number)).mkdir(parents=True)
        for blob, path in pairs:
            os.link(blob, f"{made}/{path}")

    at_most = 4.0 if place.is_relative_to(MEMORY) else 2.6
    check(benchmark, measure(ours, floor, rounds=9), ours, at_most=at_most)
