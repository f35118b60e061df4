"""Ten thousand small files from a server that often fails."""

import asyncio
import random
import resource
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from kamiwaza_sdk import DownloadConfig, DownloadService
from kamiwaza_sdk.services.download.schemas import DownloadRequest
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Reset, Status, Step
from kamiwaza_sdk.types import DownloadProgress
from tests.download.helpers import descriptors
from tests.processes import FRESH

COUNT = 10_000
EARLY = 2_000
#: What a file leaves in memory, in bytes: its outcome, which the caller asked for; measured, 2631.
OUTCOME = 3072
#: What memory may grow by besides.
FLAT = 4 * 1024**2
PAGE = resource.getpagesize()
Memory = dict[int, int]


def test_all_arrive_and_nothing_is_left(faulty_server: FaultyServer, ground: Path) -> None:
    """Of 10,000 files 2 of 100 fail at first: all arrive, memory grows by the results alone, no descriptor is left."""
    chance = random.Random(0)
    bodies = [GeneratedBody(chance.randint(1024, 4096), seed=number % 100) for number in range(COUNT)]
    failing = set(chance.sample(range(COUNT), COUNT // 50))
    urls = [
        faulty_server.add(f"/{number}", body=body, faults=[_fault(chance)] if number in failing else ())
        for number, body in enumerate(bodies)
    ]
    with ProcessPoolExecutor(1, mp_context=FRESH) as pool:
        memory, left = pool.submit(_bring, urls, ground).result()
    assert all((ground / str(number)).read_bytes() == body.read() for number, body in enumerate(bodies))
    assert sum(1 for _ in ground.iterdir()) == COUNT
    assert len(faulty_server.requests) == COUNT + len(failing)
    print(f"\nmemory after {EARLY} and {COUNT} files: {memory[EARLY]} and {memory[COUNT]} bytes")  # noqa: T201 - promised
    assert memory[COUNT] - memory[EARLY] <= (COUNT - EARLY) * OUTCOME + FLAT
    assert left == []


def _fault(chance: random.Random) -> Step:
    return chance.choice([Status(503), Reset(at=chance.randrange(1024))])


def _bring(urls: list[str], ground: Path) -> tuple[Memory, list[str]]:
    """Return the memory in use after so many files, and what descriptors are left over."""
    before = descriptors()
    memory = asyncio.run(_download([DownloadRequest(url=url, path=ground / url.rpartition("/")[2]) for url in urls]))
    after = descriptors()
    return memory, [name for name in after if after.count(name) > before.count(name)]


async def _download(requests: list[DownloadRequest]) -> Memory:
    memory: Memory = {}
    finished = 0

    def note(progress: DownloadProgress) -> None:
        nonlocal finished
        finished += progress.finished
        if finished in {EARLY, COUNT} and finished not in memory:
            memory[finished] = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE

    async with DownloadService(DownloadConfig(max_attempts=3, retry_pause=0.01)) as downloads:
        outcomes = await downloads.download_many(requests, progress=note)
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    return memory
