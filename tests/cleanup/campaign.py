"""Run as a program: processes fetch, register, roll back, lay out, delete and clean up, and are killed at random.

``python -m tests.cleanup.campaign DIRECTORY KILLS URL URL`` prints what it did, and ends with an error where a version
that a registry has is not whole, or what no registry refers to does not go in the end. A program of its own, because
only a process without threads may fork safely, and a fork starts faster than Python.
"""

import hashlib
import json
import os
import random
import select
import signal
import sys
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, NoReturn
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    BlobNotFoundException,
    DatabaseBusyException,
    Fetched,
    FetchedFile,
    HubService,
    ModelService,
    ModelVersionSchema,
    NotFoundException,
    StorageConfig,
    StorageService,
    clean_up,
    plan_cleanup,
)

PROCESSES: Final = 8
#: How many operations are done between two kills, unless none is for some seconds.
OPERATIONS: Final = 8
CONTENTS: Final = [f"content {number}".encode() * (number + 1) for number in range(12)]
MODELS: Final = [f"model-{number}" for number in range(4)]


class Worker:
    """One process at work."""

    def __init__(self, root: Path, urls: list[str], seed: int) -> None:
        self.chance = random.Random(seed)
        self.storage = StorageService(StorageConfig(root=root / "store", lease=0))
        self.hub = HubService(storage=self.storage)
        self.engines = [kamiwaza_sdk.create_engine(url) for url in urls]
        self.scratch = root / "scratch"
        self.done = Counter[str]()

    def run(self, report: int) -> NoReturn:
        """Work until killed, and report what is lost."""
        works = [self.register] * 4 + [self.lay_out] * 2 + [self.delete] * 2 + [self.clean_up] * 2
        while True:
            work = self.chance.choice(works)
            try:
                work()
            except DatabaseBusyException:
                continue
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
                os.write(report, f"{type(error).__name__} in {work.__name__}: {error}\n".encode())
                os._exit(1)
            os.write(report, f"did {work.__name__}\n".encode())

    def fetch(self) -> Fetched:
        """Bring a content as a download does."""
        content = self.chance.choice(CONTENTS)
        digest = hashlib.sha256(content).hexdigest()
        if self.storage.find(digest) is None:
            with self.storage.stage() as path:
                path.write_bytes(content)
                self.storage.publish(path, sha256=digest, size=len(content))
        file = FetchedFile(path="model.bin", size=len(content), sha256=digest)
        return Fetched(source="x", name="x", files=(file,), bytes_fetched=0, bytes_reused=0, store=self.storage.id)

    def register(self) -> None:
        """Fetch and register, and three times in ten roll back. What went meanwhile is refused."""
        fetched = self.fetch()
        with Session(self.chance.choice(self.engines)) as db:
            with suppress(BlobNotFoundException):
                ModelService(db, hub=self.hub).register(fetched, name=self.chance.choice(MODELS))
            self.pause(0.02)
            if self.chance.random() < 0.3:
                db.rollback()
            else:
                db.commit()

    def pause(self, seconds: float) -> None:
        """Let others get in between, as a host's transaction would."""
        select.select([], [], [], self.chance.uniform(0, seconds))

    def some_version(self, engine: Engine) -> ModelVersionSchema | None:
        """Return a version that there is now."""
        with Session(engine) as db:
            found = ModelService(db).search_versions(limit=100).items
        return self.chance.choice(found) if found else None

    def lay_out(self) -> None:
        """Lay a version out. One that its registry still has afterwards must have been there."""
        engine = self.chance.choice(self.engines)
        version = self.some_version(engine)
        if version is None:
            return
        target = self.scratch / f"{os.getpid()}-{self.chance.getrandbits(64)}"
        try:
            self.storage.materialize(version, target)
        except BlobNotFoundException:
            if self.is_there(engine, version.id):
                raise
            return
        content = (target / "model.bin").read_bytes()
        assert hashlib.sha256(content).hexdigest() == version.files[0].sha256

    def is_there(self, engine: Engine, version_id: UUID) -> bool:
        """Tell whether a registry has a version now."""
        with Session(engine) as db:
            try:
                ModelService(db).get_version(version_id)
            except NotFoundException:
                return False
        return True

    def delete(self) -> None:
        """Delete a version, unless another has."""
        engine = self.chance.choice(self.engines)
        version = self.some_version(engine)
        if version is not None:
            with Session(engine) as db, suppress(NotFoundException):
                ModelService(db).delete_version(version.id)
                self.pause(0.01)
                db.commit()

    def clean_up(self) -> None:
        """Remove all that nobody refers to."""
        plan = plan_cleanup(self.storage, databases=self.engines, unused_for=timedelta(0))
        self.pause(0.01)
        clean_up(plan, self.storage, databases=self.engines)


def main() -> None:
    """Start the processes, kill them, and look at what is left."""
    root, kills, urls = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    Worker(root, urls, 0).fetch()  # the store is there
    reading, writing = os.pipe()
    chance = random.Random(kills)
    children = {start(root, urls, seed, writing): seed for seed in range(PROCESSES)}
    said = _Said(reading)
    deaths = 0
    while deaths < kills and not said.lost:
        said.wait_for(OPERATIONS)
        said.wait(chance.uniform(0, 0.05))
        victim = chance.choice(list(children))
        os.kill(victim, signal.SIGKILL)
        deaths += os.waitpid(victim, 0)[1] == signal.SIGKILL
        children[start(root, urls, PROCESSES + deaths, writing)] = children.pop(victim)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    said.wait(0)
    result = finish(Worker(root, urls, 0))
    print(json.dumps({**result, "killed": deaths, "did": said.did, "lost": said.lost}))  # noqa: T201
    sys.exit(bool(said.lost or result["broken"] or result["left"]))


class _Said:
    """What the processes have reported."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rest = b""
        self.did = Counter[str]()
        self.lost = list[str]()

    def wait_for(self, operations: int) -> None:
        """Read until so much more was done, but no longer than some seconds."""
        aim = self.did.total() + operations
        for _ in range(100):
            if self.did.total() >= aim or self.lost:
                return
            self.wait(0.1)

    def wait(self, seconds: float) -> None:
        """Read for a while."""
        while select.select([self._pipe], [], [], seconds)[0]:
            seconds = 0
            *lines, self._rest = (self._rest + os.read(self._pipe, 65536)).split(b"\n")
            for line in map(bytes.decode, lines):
                if line.startswith("did "):
                    self.did[line.removeprefix("did ")] += 1
                else:
                    self.lost.append(line)


def start(root: Path, urls: list[str], seed: int, writing: int) -> int:
    """Fork a process that works, and return its id."""
    child = os.fork()
    if not child:
        Worker(root, urls, seed).run(writing)
    return child


def finish(worker: Worker) -> dict[str, object]:
    """Clean up until nothing is left to do, and return what is not as it should be."""
    for _ in range(200):
        plan = plan_cleanup(worker.storage, databases=worker.engines, unused_for=timedelta(0))
        if clean_up(plan, worker.storage, databases=worker.engines).is_complete and not plan.blobs:
            break
        select.select([], [], [], 0.05)  # a server notices only later that its client was killed
    references, broken, versions = set[str](), list[str](), 0
    for engine in worker.engines:
        with Session(engine) as db:
            for version in ModelService(db).search_versions(limit=1000).items:
                versions += 1
                for file in version.files:
                    references.add(file.sha256)
                    with suppress(BlobNotFoundException):
                        worker.storage.verify(file.sha256)
                        continue
                    broken.append(f"{version.model_name}:{version.number} of {engine.dialect.name}")
    left = [blob.sha256 for blob in worker.storage.list_blobs() if blob.sha256 not in references]
    left += [str(path) for path in (worker.storage.root / "trash").rglob("*")]
    return {"versions": versions, "broken": broken, "left": left}


if __name__ == "__main__":
    main()
