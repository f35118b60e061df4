"""Processes that download, and note what they receive where not even SIGKILL can undo it."""

import asyncio
import errno
import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final

from kamiwaza_sdk import DownloadConfig, DownloadResult, DownloadService
from kamiwaza_sdk.services.download.services import load
from tests.processes import FRESH

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["Child", "Job"]

load()  # so that who forks has imported what downloads need
_METER: Final = struct.Struct("Q")
_LOOK: Final = 0.0005
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Job:
    """What a child downloads.

    Attributes:
        url: Where from.
        path: Where to.
        notes: A directory for what the child tells.
        sha256: The digest demanded.
        locks: Whether its file system knows locks.
        barrier: Where it waits for the others before it begins.
        connections: The largest number of connections.
    """

    url: str
    path: Path
    notes: Path
    sha256: str | None = None
    locks: bool = True
    barrier: Barrier | None = None
    connections: int = 1


class Child:
    """A process at a job; it starts with its construction."""

    def __init__(self, job: Job) -> None:
        self._notes = job.notes
        job.notes.mkdir()
        (job.notes / "meter").write_bytes(bytes(_METER.size))
        self._process: BaseProcess = FRESH.Process(target=_work, args=(job,), daemon=True)
        self._process.start()

    @property
    def received(self) -> int:
        """Bytes that the process has taken from its sockets, heads included."""
        return int(_METER.unpack((self._notes / "meter").read_bytes())[0])

    def has_received(self, count: int, *, within: float) -> bool:
        """Wait until it has received so much, and return whether it has, before it ended or the time was over."""
        looks = int(within / _LOOK)
        return any(self.received >= count or wait([self._process.sentinel], _LOOK) for _ in range(looks)) and (
            self.received >= count
        )

    def kill(self) -> bool:
        """End it as the system does that runs out of memory; return whether it was not over before."""
        self._process.kill()
        self._process.join(_PATIENCE)
        assert self._process.exitcode in {0, -9}, self._process.exitcode
        return self._process.exitcode != 0

    def result(self) -> DownloadResult:
        """Wait for its end, and return what came of it."""
        self._process.join(_PATIENCE)
        assert self._process.exitcode == 0, self._process.exitcode
        return DownloadResult.model_validate_json((self._notes / "result").read_bytes())


def _work(job: Job) -> None:
    _count_received(job.notes / "meter")
    if not job.locks:
        fcntl.flock = _refuse
    if job.barrier is not None:
        job.barrier.wait(_PATIENCE)
    (job.notes / "result").write_text(asyncio.run(_download(job)).model_dump_json())


async def _download(job: Job) -> DownloadResult:
    downloads = DownloadService(DownloadConfig(max_attempts=3, retry_pause=0.01, max_connections=job.connections))
    return await downloads.download(job.url, job.path, sha256=job.sha256)


def _refuse(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _count_received(meter: Path) -> None:
    """Add what sockets receive to a number in a file, which is in memory that outlives the process."""
    with meter.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), _METER.size)

    def counting(receive: Callable[..., Any], size: Callable[[Any], int]) -> Callable[..., Any]:  # Any: whatever it is
        def counted(*arguments: object) -> Any:  # Any: as above
            received = receive(*arguments)
            _METER.pack_into(shared, 0, _METER.unpack_from(shared)[0] + size(received))
            return received

        return counted

    methods = {"recv": counting(socket.socket.recv, len), "recv_into": counting(socket.socket.recv_into, int)}
    for name, method in methods.items():
        setattr(socket.socket, name, method)
