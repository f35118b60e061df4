"""One transfer in a process of its own, which tells what it cost.

Usage: ``python -m tests.benchmarks.transferring NAME JSON`` runs the function of that name with these arguments, and
prints its costs as JSON. What a function imports is loaded before it is measured: a program imports once.
"""

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

PIECE: Final = 1024**2
CONCURRENCY: Final = 8
#: What prepares a transfer, and returns it.
Transfer = Callable[[], object]


def hashing(path: str, size: int) -> Transfer:
    """Hash so much of a file, as fast as hashlib does."""

    def run() -> None:
        left, digest, buffer = size, hashlib.sha256(), memoryview(bytearray(PIECE))
        with Path(path).open("rb", buffering=0) as file:
            while left and (count := file.readinto(buffer[: min(left, PIECE)])):
                digest.update(buffer[:count])
                left -= count
        assert not left

    return run


def ours(url: str, path: str, sha256: str, reused: int = 0) -> Transfer:
    """Download and verify with the service."""
    from kamiwaza_sdk import DownloadConfig, DownloadService
    from kamiwaza_sdk.services.download.services import load

    load()

    def run() -> None:
        result = asyncio.run(DownloadService(DownloadConfig()).download(url, Path(path), sha256=sha256))
        assert result.bytes_reused == reused

    return run


def fetching(url: str, store: str, sha256: str) -> Transfer:
    """Bring it into a store."""
    from kamiwaza_sdk import HubService, StorageConfig, StorageService
    from kamiwaza_sdk.services.download.services import load

    load()
    hub = HubService(storage=StorageService(StorageConfig(root=Path(store))))
    return lambda: asyncio.run(hub.fetch(url, sha256=sha256))


def fetching_many(urls: list[str], store: str) -> Transfer:
    """Bring many files into a store, without a digest."""
    from kamiwaza_sdk import HubService, StorageConfig, StorageService
    from kamiwaza_sdk.services.download import services

    services.load()
    hub = HubService(storage=StorageService(StorageConfig(root=Path(store))))

    def run() -> None:
        assert len(asyncio.run(hub.fetch(urls)).files) == len(urls)

    return run


def fetching_repository(endpoint: str, store: str, count: int) -> Transfer:
    """Bring a repository of a hub into a store."""
    from kamiwaza_sdk import HubConfig, HubService, StorageConfig, StorageService
    from kamiwaza_sdk.services.download import services

    services.load()
    hub = HubService(storage=StorageService(StorageConfig(root=Path(store))), config=HubConfig(hf_endpoint=endpoint))

    def run() -> None:
        assert len(asyncio.run(hub.fetch("hf://org/many")).files) == count

    return run


def snapshot(endpoint: str, directory: str) -> Transfer:
    """Download a repository with huggingface_hub, which does not verify."""
    from huggingface_hub import snapshot_download

    def run() -> None:
        snapshot_download("org/many", endpoint=endpoint, cache_dir=directory)

    return run


def ours_many(urls: list[str], directory: str) -> Transfer:
    """Download many files, without a digest."""
    from kamiwaza_sdk import DownloadConfig, DownloadService
    from kamiwaza_sdk.services.download.schemas import DownloadRequest
    from kamiwaza_sdk.services.download.services import load

    load()

    async def bring() -> None:
        requests = [DownloadRequest(url=url, path=Path(directory, url.rpartition("/")[2])) for url in urls]
        async with DownloadService(DownloadConfig(max_concurrency=CONCURRENCY)) as downloads:
            outcomes = await downloads.download_many(requests)
        assert all(outcome.result for outcome in outcomes)

    return lambda: asyncio.run(bring())


def aiohttp_many(urls: list[str], directory: str) -> Transfer:
    """Download many files with aiohttp alone: read each, and write it."""
    import aiohttp

    async def bring() -> None:
        waiting = iter(urls)

        async def work(session: aiohttp.ClientSession) -> None:
            for url in waiting:
                async with session.get(url) as response:
                    Path(directory, url.rpartition("/")[2]).write_bytes(await response.read())

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work(session))

    return lambda: asyncio.run(bring())


def requests(url: str, path: str, sha256: str, certificate: str | None = None) -> Transfer:
    """Download and verify with requests, as many do."""
    import requests

    def run() -> None:
        digest = hashlib.sha256()
        with requests.get(url, stream=True, verify=certificate, timeout=60) as response, Path(path).open("wb") as file:
            response.raise_for_status()
            for piece in response.iter_content(PIECE):
                file.write(piece)
                digest.update(piece)
        assert digest.hexdigest() == sha256

    return run


def hub(endpoint: str, directory: str) -> Transfer:
    """Download with huggingface_hub, which does not verify."""
    from huggingface_hub import hf_hub_download

    def run() -> None:
        hf_hub_download("org/repo", "model.bin", endpoint=endpoint, local_dir=directory)

    return run


def obstore_put(bucket: str, key: str, path: str) -> Transfer:
    """Upload with obstore alone, in the same parts, four at once, with the same checksum."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(bucket, config={"checksum_algorithm": "SHA256"})

    def run() -> None:
        with Path(path).open("rb") as file:
            obstore.put(store, key, file, chunk_size=16 * PIECE, max_concurrency=4)

    return run


def writing_through(bucket: str, store: str, sha256: str, prefix: str) -> Transfer:
    """Upload what a store keeps, as every fetch does."""
    import obstore  # noqa: F401 - as a program imports it once

    from kamiwaza_sdk import StorageConfig, StorageService

    blob = StorageService(StorageConfig(root=Path(store))).get(sha256)
    storage = StorageService(StorageConfig(root=Path(store), remote=f"s3://{bucket}/{prefix}"))

    def run() -> None:
        assert storage._shared is not None
        assert storage._shared.share([blob]) == 1

    return run


def obstore_get(bucket: str, key: str, path: str, sha256: str) -> Transfer:
    """Download with obstore alone, make it durable, then hash it."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(bucket)
    obstore.head(store, key)

    def run() -> None:
        with Path(path).open("wb", buffering=0) as file:
            for piece in obstore.get(store, key).stream(min_chunk_size=PIECE):
                file.write(piece)
            os.fsync(file.fileno())
        with Path(path).open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == sha256

    return run


def bringing(bucket: str, store: str, sha256: str, prefix: str) -> Transfer:
    """Bring a blob from the shared store, verified, into a store that has another."""
    from kamiwaza_sdk import StorageConfig, StorageService

    Path(store, "other").write_bytes(b"other")
    storage = StorageService(StorageConfig(root=Path(store, "store"), remote=f"s3://{bucket}/{prefix}"))
    storage.add(Path(store, "other"))
    assert storage.find("ab" * 32) is None  # it is connected, as the other is
    return lambda: storage.get(sha256)


def peak() -> int:
    """Return the most memory this process has had, in bytes; ``ru_maxrss`` would count what its parent had."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measured(transfer: Transfer) -> dict[str, float]:
    """Return what it costs: seconds, seconds of processors, bytes of memory."""
    wall, cpu = time.perf_counter(), time.process_time()
    transfer()
    return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": peak()}


TRANSFERS: Final[dict[str, Callable[..., Transfer]]] = {
    made.__name__: made
    for made in (
        hashing,
        ours,
        fetching,
        fetching_many,
        fetching_repository,
        snapshot,
        ours_many,
        aiohttp_many,
        requests,
        hub,
        obstore_put,
        writing_through,
        obstore_get,
        bringing,
    )
}

if __name__ == "__main__":
    arguments: dict[str, Any] = json.loads(sys.argv[2])  # Any: of whichever function
    print(json.dumps(measured(TRANSFERS[sys.argv[1]](**arguments))))  # noqa: T201 - what the caller reads
