"""Run as a program: forks children that use a store until SIGKILL ends them, at every line or at any moment.

A program of its own, because only a process without threads may fork safely, and a fork starts faster than Python.
"""

import fcntl
import inspect
import itertools
import os
import random
import select
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from kamiwaza_sdk import StorageConfig, StorageService
from kamiwaza_sdk.services.storage.small import SmallBlobs, SmallBody
from tests.effort import effort
from tests.storage.helpers import File, Version, keep, no_clone, sha256

MIB = 1024**2
#: How many lines are run through before the next at which it dies.
STEP = effort(7, 1)
ADDED, ADOPTED, PUBLISHED = b"added", b"adopted", b"published"
SMALL = (b"small", b"smaller", b"published")
PACKAGE = str(Path(inspect.getfile(StorageService)).parent)


def killed(work: Callable[[], None], watch: Callable[[int], None] | None = None) -> bool:
    """Run `work` in a child, and return whether a SIGKILL ended it. It must not end badly in any other way."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    if watch is not None:
        watch(child)
    status = os.waitpid(child, 0)[1]
    assert status in {0, signal.SIGKILL}, status
    return status == signal.SIGKILL


def at_every_line(root: Path) -> int:
    """Publish, add, adopt and lay out, dying before lines of the store's code that are `STEP` apart."""
    with patch.object(fcntl, "ioctl", no_clone):
        return next(line for line in itertools.count(0, STEP) if not killed(partial(use, root, line + 1)))


def use(root: Path, line: int) -> None:
    """Do one of everything, in a store of its own: in one for all, sweeping would take ever more lines."""
    store = StorageService(StorageConfig(root=root / str(line) / "store"))
    source, model = root / "source", root / str(line) / "model"
    source.write_bytes(ADDED)
    model.parent.mkdir()
    other = model.parent / "other"
    other.write_bytes(ADOPTED)
    sys.settrace(_die_at(line))
    keep(store, PUBLISHED)
    keep_small(store)
    store.adopt(other)
    blob = store.add(source)
    files = Version([File("sub/file", blob.size, blob.sha256)])
    store.materialize(files, model)
    store.materialize(files, model, writable=True)
    sys.settrace(None)


def keep_small(store: StorageService) -> None:
    """Keep small files together."""
    with store.stage() as path:
        blobs = SmallBlobs(store.root, path.parent)
        blobs.keep([SmallBody(sha256(content), content) for content in SMALL])
        blobs.settle()


def _die_at(line: int) -> Callable[..., Any]:
    lines = itertools.count(1)

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and next(lines) == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def at_any_moment(root: Path) -> int:
    """Add files of some MiB in a loop, killed from outside after a random number of loops and a random while."""
    chance = random.Random(0)
    deaths = 0
    for _ in range(40):
        reading, writing = os.pipe()
        delay = chance.uniform(0, 0.03)
        deaths += killed(partial(add_forever, root, writing), partial(kill, reading=reading, delay=delay))
        os.close(reading)
        os.close(writing)
    return deaths


def add_forever(root: Path, writing: int) -> None:
    """Add one file after the other, and say when the first is kept."""
    store = StorageService(StorageConfig(root=root / "store"))
    source = root / "source"
    source.write_bytes(bytes(4 * MIB))
    for number in itertools.count():
        with source.open("r+b") as file:
            file.write(b"%d of %d" % (number, os.getpid()))
        store.add(source)
        if number == 0:
            os.write(writing, b".")


def kill(child: int, *, reading: int, delay: float) -> None:
    """Wait for the child's first file, then a little longer."""
    os.read(reading, 1)
    select.select([], [], [], delay)  # no state is waited for: the moment is to be an arbitrary one
    os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    print({"line": at_every_line, "moment": at_any_moment}[sys.argv[1]](Path(sys.argv[2])))  # noqa: T201
