"""What it costs to write through to a bucket and to bring from it, beside `obstore` alone, on SeaweedFS on loopback.

The server is a process of its own, and takes its share of the machine's cores. So of an upload the processor's time of
this side counts; of a download, how long whoever asks waits. Both sides make durable what they write here.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk import StorageConfig, StorageService
from tests import buckets
from tests.benchmarks.costs import Cost, Costs, by_turns, cpu, ratio, seconds, transfer
from tests.benchmarks.ratio import check

MIB = 1024**2
SIZE = 256 * MIB
BUCKET = "bench"
ROUNDS = 7
#: What all have cost, and what of them is ours.
Measured = tuple[Costs, Callable[[], Cost]]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of it is."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def environment(seaweedfs: str) -> dict[str, str]:
    """What names the service, which has the bucket."""
    buckets.make_bucket(seaweedfs, BUCKET)
    named = {"AWS_ACCESS_KEY_ID": buckets.ADMIN, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    return {**named, "AWS_ENDPOINT_URL": seaweedfs, "AWS_ALLOW_HTTP": "true"}


@pytest.fixture(scope="module")
def blob(ground: Path) -> str:
    """The digest of a blob that a store keeps."""
    (ground / "body").write_bytes(os.urandom(SIZE))
    return StorageService(StorageConfig(root=ground / "store")).add(ground / "body").sha256


@pytest.fixture(scope="module")
def uploads(ground: Path, environment: dict[str, str], blob: str) -> Measured:
    """What uploads cost, and what makes one of ours."""
    path = StorageService(StorageConfig(root=ground / "store")).path(blob)
    client = buckets.client(environment["AWS_ENDPOINT_URL"])

    def uploaded(name: str, **given: Any) -> Cost:  # Any: arguments of a transfer
        cost = transfer(name, environment=environment, bucket=BUCKET, **given)
        for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=found["Key"])
        return cost

    through = partial(uploaded, "writing_through", store=str(ground / "store"), sha256=blob, prefix="store")
    bare = partial(uploaded, "obstore_put", key="bare", path=str(path))
    hashed = partial(transfer, "hashing", path=str(path), size=SIZE)
    return by_turns({"through": through, "obstore": bare, "hash": hashed}, rounds=ROUNDS), through


@pytest.fixture(scope="module")
def downloads(ground: Path, environment: dict[str, str], blob: str) -> Measured:
    """What downloads cost, and what makes one of ours."""
    near, there = ground / "near", partial(transfer, environment=environment, bucket=BUCKET)
    there("writing_through", store=str(ground / "store"), sha256=blob, prefix="store")
    there("obstore_put", key="bare", path=str(ground / "body"))

    def downloaded(name: str, **given: Any) -> Cost:  # Any: arguments of a transfer
        shutil.rmtree(near, ignore_errors=True)
        near.mkdir()
        return transfer(name, environment=environment, bucket=BUCKET, sha256=blob, **given)

    brought = partial(downloaded, "bringing", store=str(near), prefix="store")
    bare = partial(downloaded, "obstore_get", key="bare", path=str(near / "file"))
    return by_turns({"brought": brought, "obstore": bare}, rounds=2 * ROUNDS), brought  # they vary more


def told(costs: Costs) -> None:
    """Say what each has cost."""
    for name, taken in costs.items():
        least, middle = seconds(costs, name)
        print(  # noqa: T201 - what a benchmark is for
            f"\n{name}: {least:.3f} s (median {middle:.3f} s), CPU {min(cost.cpu for cost in taken):.3f} s, "
            f"peak {max(cost.peak for cost in taken) / MIB:.1f} MiB",
            end="",
        )


def test_cpu_of_writing_through(benchmark: BenchmarkFixture, uploads: Measured) -> None:
    """It takes no more of the processor than obstore's upload and one pass of SHA-256."""
    costs, through = uploads
    told(costs)
    both = [upload + hashed for upload, hashed in zip(costs["obstore"], costs["hash"], strict=True)]
    check(benchmark, ratio(cpu(costs, "through"), cpu({"both": both}, "both")), through, at_most=1.0)


def test_peak_of_writing_through(uploads: Measured) -> None:
    """Beyond what Python and the imports take, it takes at most 128 MiB."""
    costs, _ = uploads
    bare = min(cost.peak for cost in costs["hash"])
    assert max(cost.peak for cost in costs["through"]) - bare <= 128 * MIB


def test_time_of_bringing(benchmark: BenchmarkFixture, downloads: Measured) -> None:
    """It takes no longer than to get it with obstore, and then to hash it."""
    costs, brought = downloads
    told(costs)
    check(benchmark, ratio(seconds(costs, "brought"), seconds(costs, "obstore")), brought, at_most=1.0)


def test_peak_of_bringing(downloads: Measured) -> None:
    """With Python and all that is imported, it takes at most 256 MiB."""
    costs, _ = downloads
    assert max(cost.peak for cost in costs["brought"]) <= 256 * MIB
