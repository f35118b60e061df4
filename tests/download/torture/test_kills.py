"""A download that is killed at any moment goes on where it was: always whole, and little travels again."""

import asyncio
import hashlib
import itertools
import os
import random
import shutil
import statistics
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pytest

from kamiwaza_sdk import DownloadService
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Rate
from tests.download.helpers import entries
from tests.download.torture.children import Child, Job
from tests.effort import effort
from tests.nginx import serving

MIB: Final = 1024**2
KILLS: Final = effort(6, 200)
PAGE: Final = 4096
#: What may travel again, of the body; what a child has received includes the head of the answer.
LIMIT: Final = 8 * MIB
HEAD: Final = 1024
PATIENCE: Final = 30.0


class SegmentSource(Protocol):
    """Serves the body under any query."""

    def url(self, path: str) -> str:
        """Return the URL of a path, query and all."""
        ...

    def sent(self, path: str) -> list[int]:
        """Return the bytes sent from it, for each request."""
        ...


@dataclass
class Faulty:
    """The kit's server, slow enough to be left in the middle."""

    server: FaultyServer

    def url(self, path: str) -> str:
        """Return the URL of a path, query and all."""
        return self.server.url(path)

    def sent(self, path: str) -> list[int]:
        """Return the bytes sent from it, for each request."""
        return [request.sent for request in self.server.requests if request.path == path]


Serve = Callable[[GeneratedBody, Path], AbstractContextManager[SegmentSource]]


@contextmanager
def faulty(body: GeneratedBody, _: Path) -> Generator[SegmentSource]:
    with FaultyServer() as server:
        server.add("/model.bin", body=body, always=Rate(400 * MIB))
        yield Faulty(server)


@contextmanager
def nginx(body: GeneratedBody, ground: Path) -> Generator[SegmentSource]:
    with serving(body, ground / "nginx") as server:
        yield server


@pytest.mark.parametrize("zeroed", [False, True], ids=["as-it-was", "last-page-zeroed"])
@pytest.mark.parametrize(("serve", "connections"), [(nginx, 1), (nginx, 8), (faulty, 1)])
def test_killed_at_random_moments(
    serve: Serve, connections: int, ground: Path, body: GeneratedBody, *, sha256: str, zeroed: bool
) -> None:
    """After a SIGKILL at any moment the same call completes, rightly, and at most 8 MiB are fetched again.

    With several connections it may be as much for each, and as much for what is not yet noted in the journal.

    Every second time the digest is demanded; else only the server's ETag tells that it is the same content.
    """
    again: dict[str, int] = {}
    with serve(body, ground) as source:
        for number in itertools.count():
            path = f"/model.bin?try={number}"
            digest = (None, sha256)[number % 2]
            job = Job(
                source.url(path), ground / "into/model.bin", ground / "into/notes", digest, connections=connections
            )
            received = _killed(job, at=random.randrange(body.size))
            if received is not None:
                if zeroed:
                    _zero_last_page(ground / "into")
                again[path] = received + _finished(job, sha256) - body.size
            shutil.rmtree(ground / "into")
            if len(again) == KILLS // 2:
                break
    excess = [sum(source.sent(path)) - body.size for path in again]
    print(  # noqa: T201 - the figures are promised
        f"\n{len(again)} kills, fetched again: {statistics.median(again.values()) / MIB:.2f} MiB (median), "
        f"{max(again.values()) / MIB:.2f} at most; sent again: {statistics.median(excess) / MIB:.2f} MiB (median)"
    )
    limit = LIMIT + HEAD
    assert max(again.values()) <= (limit if connections == 1 else (connections + 1) * limit)


def _killed(job: Job, *, at: int) -> int | None:
    """Return what a child had received when it was killed, after `at` bytes; `None` if it was quicker."""
    job.path.parent.mkdir()
    child = Child(job)
    child.has_received(at, within=PATIENCE)
    return child.received if child.kill() else None


def _zero_last_page(into: Path) -> None:
    """Do to a file what a power cut does that comes between its length and its last page."""
    for partial in into.glob(".kamiwaza-*.partial"):
        with partial.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1) // PAGE * PAGE)
            file.write(bytes(size - file.tell()))


def _finished(job: Job, sha256: str) -> int:
    """Bring it to its end, and return how much travelled for that."""
    shutil.rmtree(job.notes)
    result = asyncio.run(DownloadService().download(job.url, job.path, sha256=job.sha256))
    with job.path.open("rb") as file:
        assert (hashlib.file_digest(file, "sha256").hexdigest(), result.sha256) == (sha256, sha256)
    assert entries(job.path.parent) == [job.path.name]
    assert result.size == result.bytes_fetched + result.bytes_reused
    return result.bytes_fetched
