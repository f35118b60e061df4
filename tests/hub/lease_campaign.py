"""Run as a program: 16 processes want the same lease, renew it, end it in every way, and are killed at random.

``python -m tests.hub.lease_campaign ADDRESS FILE KILLS SECONDS`` prints what it did, and ends with an error where two
had the lease at once, or nobody succeeded a dead one. Who has it says so in ``FILE``, which all have mapped: it is no
part of the store. A program of its own, because only a process without threads may fork safely.
"""

import json
import mmap
import os
import random
import select
import signal
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from kamiwaza_sdk.services.storage.remote.lease import WorkLease
from kamiwaza_sdk.services.storage.remote.shared import open_store
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from collections.abc import Callable

#: What `file://` needs is imported once, before the forks, rather than in each.
_IMPORTED: Final = StorageService
PROCESSES: Final = 16
NAME: Final = "fetches/one"
#: A process that has the lease or 0, and when it began the last renewal that succeeded.
_HOLDER: Final = struct.Struct("=qd")
_PATIENCE: Final = 60.0


class Holder:
    """What the one that has the lease says of itself, by the clock that all processes of a machine have in common."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _HOLDER.size)

    def read(self) -> tuple[int, float]:
        """Return the process, and since when it is known to live."""
        pid, since = _HOLDER.unpack_from(self._memory)
        return pid, since

    def write(self, pid: int, since: float = 0) -> None:
        """Say who has it."""
        _HOLDER.pack_into(self._memory, 0, pid, since)


class Worker:
    """One process that wants the lease."""

    def __init__(self, address: str, holder: Holder, seconds: float, report: int) -> None:
        self.lease = WorkLease(open_store(address, writable=True).objects, NAME, time_to_live=seconds)
        self.chance = random.Random(os.getpid())
        self.holder = holder
        self.seconds = seconds
        self.report = report

    def run(self) -> NoReturn:
        """Want it again and again, until killed."""
        while True:
            begun = time.monotonic()
            if self.lease.acquire() or (self.lease.result is not None and self.lease.redo()):
                self.hold(begun)
            self.pause(self.seconds / 10)

    def hold(self, since: float) -> None:
        """Have it for a while. Who had it before has ended it, or was silent for its time to live."""
        before, last = self.holder.read()
        if before and time.monotonic() - last < self.seconds:
            self.tell("two")
        self.holder.write(os.getpid(), since)
        self.tell("had")
        until = time.monotonic() + self.chance.uniform(0, 2 * self.seconds)
        while time.monotonic() < until:
            self.pause(self.lease.interval)
            since = time.monotonic()
            if not self.lease.renew():
                return self.lost()
            self.holder.write(os.getpid(), since)
            self.tell("renewed")
        self.holder.write(0)
        if self.chance.random() < 0.5:
            self.lease.release()
        else:
            self.lease.finish({"by": os.getpid()})
        return self.tell("ended")

    def lost(self) -> None:
        """Another has it, which is right only after a pause."""
        self.tell("paused")

    def pause(self, seconds: float) -> None:
        """Let others get in between."""
        time.sleep(self.chance.uniform(0, seconds))

    def tell(self, what: str) -> None:
        """Report something."""
        os.write(self.report, f"{what} {os.getpid()}\n".encode())


class Campaign:
    """Begins processes, kills them, and counts what they report."""

    def __init__(self, address: str, path: Path, seconds: float) -> None:
        path.write_bytes(_HOLDER.pack(0, 0))
        self._holder = Holder(path)
        self._begin: Callable[[int], Worker] = lambda report: Worker(address, self._holder, seconds, report)
        self._seconds = seconds
        self.seed = int.from_bytes(os.urandom(4))
        self._read, self._write = os.pipe()
        self._rest = b""
        self._children = set[int]()
        self.did = Counter[str]()

    def run(self, kills: int) -> None:
        """Kill who has it, at whatever it is then, and some who wait, and see each succeeded."""
        chance = random.Random(self.seed)
        try:
            for _ in range(kills):
                self._fill()
                self._await_holder()
                self._wait(chance.uniform(0, 1.5 * self._seconds))  # until it renews, ends, or another has it
                pid = self._holder.read()[0]
                self._kill(pid if pid in self._children and chance.random() < 0.8 else chance.choice([*self._children]))
            self._fill()
            self._await_holder()
        finally:
            for pid in [*self._children]:
                self._kill(pid)
            self._take(0)

    def _fill(self) -> None:
        while len(self._children) < PROCESSES:
            assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads may not fork"
            pid = os.fork()
            if pid == 0:
                self._work()
            self._children.add(pid)

    def _work(self) -> NoReturn:
        try:
            self._begin(self._write).run()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            os.write(self._write, f"error {type(error).__name__}: {error}\n".encode())
        os._exit(1)

    def _await_holder(self) -> None:
        """Wait until somebody else gets it."""
        had, until = self.did["had"], time.monotonic() + _PATIENCE
        while self.did["had"] == had and time.monotonic() < until:
            self._take(0.01)
        self.did["nobody"] += self.did["had"] == had

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._take(left)

    def _take(self, seconds: float) -> None:
        while select.select([self._read], [], [], seconds)[0]:
            *lines, self._rest = (self._rest + os.read(self._read, 65536)).split(b"\n")
            for line in lines:
                what = line.decode().partition(" ")[0]
                self.did[what] += 1
                if what == "error":
                    sys.stderr.write(f"{line.decode()}\n")
            seconds = 0

    def _kill(self, pid: int) -> None:
        self.did["killed"] += 1
        self.did["killed holders"] += self._holder.read()[0] == pid
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._children.discard(pid)


def main() -> None:
    """Do what the command line says."""
    address, path, kills, seconds = sys.argv[1:]
    campaign = Campaign(address, Path(path), float(seconds))
    campaign.run(int(kills))
    did = {
        **dict.fromkeys(("had", "renewed", "ended", "paused", "two", "nobody", "error"), 0),
        **campaign.did,
        "seed": campaign.seed,
    }
    sys.stdout.write(f"{json.dumps(did)}\n")
    sys.exit(bool(did["two"] or did["nobody"] or did["error"]))


if __name__ == "__main__":
    main()
