"""Checks and repairs: a store against its registries, both ways, part by part; and what is wrong brought again."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from kamiwaza_sdk._validation import check_count, revalidated, shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.model.schemas.check import (
    BlobProblemSchema,
    CheckProgressSchema,
    FailedRepairSchema,
    HolderSchema,
    NamespaceUsageSchema,
    RepairSchema,
    StorageReportSchema,
)
from kamiwaza_sdk.services.model.schemas.cleanup import CountSchema
from kamiwaza_sdk.services.model.store.cleanup import bounds, check_storage
from kamiwaza_sdk.services.model.store.databases import Database, asked
from kamiwaza_sdk.services.storage import inventory
from kamiwaza_sdk.services.storage.files import translated
from kamiwaza_sdk.services.storage.services import StorageService
from kamiwaza_sdk.services.storage.setup import make_directory

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from kamiwaza_sdk.services.hub.services import HubService
    from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema

_MOST_PROBLEMS: Final = 10_000
_MOST_HOLDERS: Final = 5
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_MOST_WORKERS: Final = 64


def verify_all(
    storage: StorageService,
    *,
    databases: "Iterable[Engine | AsyncEngine]",
    read: bool = False,
    workers: int = 1,
    resume: str | None = None,
    progress: Callable[[CheckProgressSchema], object] | None = None,
) -> StorageReportSchema:
    """Compare a store with its registries, both ways: what is missing, damaged or of another size, and what holds what.

    Nothing is changed. Without `read`, each blob costs one ``stat``, which tells whether it was written to since it was
    published, and what a disk has damaged stays unknown. It blocks: from a coroutine, call it with `asyncio.to_thread`.

    Args:
        storage: The store.
        databases: As `plan_cleanup` takes them.
        read: Read and hash every byte.
        workers: How many parts to look at, or to read, at once: 1 to 64.
        resume: A name of your choice, under which the store notes what is done: a call with the same name goes on
            where one was interrupted, for the same databases. What it found then is reported as it was then.
            Letters, digits, ``-``, ``_`` and ``.``.
        progress: Called after each of 256 parts.

    Raises:
        DatabaseNotAskedException: The store knows a database that is not among `databases`.
        InvalidInputException: An argument is of a wrong kind.
        DatabaseException: A database could not be asked.
        StorageException: The store cannot be read.

    Example:
        >>> print(verify_all(storage, databases=[file_engine]))
        0 blobs (0 B), not read: sound.
        held by nothing: 0 B
        staging: 0 B, trash: 0 B, quarantine: 0 B
    """
    check_storage(storage)
    if check_count(workers, field="workers", least=1) > _MOST_WORKERS:
        raise InvalidInputException("workers", f"is {workers}; give 1 to {_MOST_WORKERS}")
    if resume is not None and not (isinstance(resume, str) and _NAME.fullmatch(resume)):
        raise InvalidInputException("resume", f"is {shown(resume)}; use letters, digits, '-', '_' and '.'")
    with asked(databases, storage) as open_databases, translated(storage.root):
        checking = _Checking(storage, open_databases, read=read)
        notes = None if resume is None else _Notes(storage.root, resume, checking.question())
        for part in _parts(checking, workers, notes):
            checking.add(part)
            if progress is not None:
                progress(checking.progress())
        report = checking.report()
        if notes is not None:
            notes.end()
        return report


def _parts(checking: "_Checking", workers: int, notes: "_Notes | None") -> Iterator[dict[str, Any]]:  # Any: JSON
    """Yield what is found in each part, what an earlier call has found first."""
    done = {} if notes is None else notes.read()
    yield from done.values()
    left = [prefix for prefix in inventory.PREFIXES if prefix not in done]
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="kamiwaza-check") as pool:
        found = pool.map(checking.look, left) if workers > 1 else map(checking.look, left)
        try:
            for part in found:
                if notes is not None:
                    notes.add(part)
                yield part
        finally:
            pool.shutdown(cancel_futures=True)


class _Notes:
    """What is done of a check, a line a part, in the store. A line that was torn, and all after it, is done again."""

    def __init__(self, root: Path, name: str, question: dict[str, Any]) -> None:  # Any: JSON
        make_directory(root / "checks")
        self._path = root / "checks" / f"{name}.jsonl"
        self._question = question

    def read(self) -> dict[str, dict[str, Any]]:  # Any: as above
        """Return the parts that are done, for the same question; begin anew where it was another."""
        done = dict[str, dict[str, Any]]()  # Any: as above
        with suppress(OSError, ValueError, KeyError, TypeError), self._path.open(encoding="utf-8") as lines:
            if json.loads(next(lines, "null")) == self._question:
                for line in lines:
                    part = json.loads(line)
                    done[part["prefix"]] = part
        with self._path.open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in (self._question, *done.values()))
        return done

    def add(self, part: dict[str, Any]) -> None:  # Any: as above
        """Note a part."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(part)}\n")

    def end(self) -> None:
        """Forget it all."""
        self._path.unlink(missing_ok=True)


class _Checking:
    """One check: `look` finds out about a part, in any thread, and `add` counts it."""

    def __init__(self, storage: StorageService, databases: Sequence[Database], *, read: bool) -> None:
        self._storage = storage
        self._collection = storage._collection
        self._databases = databases
        self._read = read
        self._now = self._collection.now()
        self._counts = defaultdict[str, list[int]](lambda: [0, 0])
        self._problems = list[tuple[str, str, int | None]]()
        self._parts = 0

    def question(self) -> dict[str, Any]:  # Any: JSON
        """Return what is asked: the answer to another one is of no use."""
        return {"read": self._read, "databases": sorted(database.known.id for database in self._databases)}

    def look(self, prefix: str) -> dict[str, Any]:  # Any: JSON
        """Return what is found in a part, as counts, and what is wrong."""
        sizes, holders = self._references(prefix)
        problems, here = list[tuple[str, str, int | None]](), set[str]()
        size = referenced = referenced_size = 0
        for name, bytes_here, wrong in self._collection.examine(prefix, read=self._read):
            here.add(name)
            size += bytes_here
            expected = sizes.get(name)
            if expected is not None:
                referenced, referenced_size = referenced + 1, referenced_size + bytes_here
            problem = wrong or ("of another size" if expected is not None and expected != bytes_here else None)
            if problem is not None:
                problems.append((name, problem, expected))
        for name in sizes.keys() - here:
            if not self._collection.is_pending(name):
                problems.append((name, "missing", sizes[name]))
        counts = {"blobs": [len(here), size], "referenced": [referenced, referenced_size], **_held(sizes, holders)}
        return {"prefix": prefix, "counts": counts, "problems": sorted(problems)}

    def _references(self, prefix: str) -> tuple[dict[str, int], dict[str, frozenset[str]]]:
        """Return by digest the sizes that registries say, and which namespaces say so."""
        low, high = bounds(prefix)
        sizes, holders = dict[str, int](), dict[str, frozenset[str]]()
        for database in self._databases:
            alone = dict[str, frozenset[str]]()  # one object for all that a namespace holds
            for sha256, size, namespace in database.references(low, high):
                who = alone.get(namespace)
                if who is None:
                    who = alone[namespace] = frozenset((f"{database.known.id} {namespace}",))
                before = holders.get(sha256)
                sizes[sha256] = size
                holders[sha256] = who if before is None or before is who else before | who
        return sizes, holders

    def add(self, part: dict[str, Any]) -> None:  # Any: JSON
        """Count a part."""
        self._parts += 1
        for key, (blobs, size) in part["counts"].items():
            self._counts[key][0] += blobs
            self._counts[key][1] += size
        room = _MOST_PROBLEMS - len(self._problems)
        self._problems += [tuple(problem) for problem in part["problems"][:room]]

    def progress(self) -> CheckProgressSchema:
        """Return how far it is."""
        blobs, size = self._counts["blobs"]
        return CheckProgressSchema(parts=self._parts, blobs=blobs, bytes=size)

    def report(self) -> StorageReportSchema:
        """Return what was found in all parts."""
        blobs, referenced = self._counts["blobs"], self._counts["referenced"]
        return StorageReportSchema(
            store=str(self._storage.id),
            path=self._collection.place,
            made_at=datetime.fromtimestamp(self._now, UTC),
            was_read=self._read,
            databases=tuple(database.known for database in self._databases),
            blobs=_counted(blobs),
            referenced=_counted(referenced),
            unreferenced=CountSchema(blobs=blobs[0] - referenced[0], bytes=blobs[1] - referenced[1]),
            problems=tuple(self._described(sorted(self._problems))),
            usage=tuple(self._usage()),
            **self._collection.leftovers(),
        )

    def _usage(self) -> Iterator[NamespaceUsageSchema]:
        names = {database.known.id: database.known.name for database in self._databases}
        for key in sorted(key for key in self._counts if key.startswith("held ")):
            _, database, namespace = key.split(" ", 2)
            alone = self._counts.get(f"alone {database} {namespace}", [0, 0])
            yield NamespaceUsageSchema(
                database=names.get(database, database),
                namespace=namespace,
                held=_counted(self._counts[key]),
                alone=_counted(alone),
            )

    def _described(self, problems: Sequence[tuple[str, str, int | None]]) -> Iterator[BlobProblemSchema]:
        holders = self._holders([sha256 for sha256, _, _ in problems])
        for sha256, problem, size in problems:
            held = tuple(holders[sha256][:_MOST_HOLDERS])
            said = {"sha256": sha256, "problem": problem, "size": size, "held_by": held}
            yield BlobProblemSchema.model_validate(said)

    def _holders(self, digests: Sequence[str]) -> dict[str, list[HolderSchema]]:
        found = defaultdict[str, list[HolderSchema]](list)
        for database in self._databases:
            for start in range(0, len(digests), 500):
                for namespace, model, number, version_id, sha256 in database.holders(digests[start : start + 500]):
                    holder = HolderSchema(
                        database=database.known.id,
                        namespace=namespace,
                        model=model,
                        number=number,
                        version_id=version_id,
                    )
                    found[sha256].append(holder)
        return found


def _held(sizes: dict[str, int], holders: dict[str, frozenset[str]]) -> dict[str, list[int]]:
    """Return how many blobs each namespace holds, and how many of them alone, with their bytes."""
    together = defaultdict[frozenset[str], list[int]](lambda: [0, 0])
    for sha256, who in holders.items():
        count = together[who]
        count[0] += 1
        count[1] += sizes[sha256]
    counts = defaultdict[str, list[int]](lambda: [0, 0])
    for who, (blobs, size) in together.items():
        for key in [f"held {one}" for one in who] + [f"alone {one}" for one in who if len(who) == 1]:
            counts[key][0] += blobs
            counts[key][1] += size
    return counts


def _counted(found: Sequence[int]) -> CountSchema:
    return CountSchema(blobs=found[0], bytes=found[1])


async def repair(
    report: StorageReportSchema,
    storage: StorageService,
    *,
    databases: "Iterable[Engine | AsyncEngine]",
    hub: "HubService | None" = None,
) -> RepairSchema:
    """Bring again what a report says is missing or damaged, from where the versions say that it came from.

    Each is read first: what is right stays, whatever the report says. What is not right is moved to ``quarantine/``,
    never removed. Then `fetch` brings the version's files, by their digests. What cannot be had is named.

    Args:
        report: What `verify_all` returned, today or before.
        storage: The store.
        databases: As `plan_cleanup` takes them: those of the versions.
        hub: What fetches. Default: one over `storage`, with the settings of the environment.

    Raises:
        DatabaseNotAskedException: The store knows a database that is not among them.
        InvalidInputException: The report is of another store, or an argument is of a wrong kind.
        DatabaseException: A database could not be asked.
        StorageException: The store cannot be written to.

    Example:
        >>> report = verify_all(storage, databases=[file_engine], read=True)
        >>> asyncio.run(repair(report, storage, databases=[file_engine])).brought
        ()
    """
    from kamiwaza_sdk.services.hub.services import HubService

    report = revalidated(report, StorageReportSchema, "report")
    await asyncio.to_thread(check_storage, storage)
    if report.store != await asyncio.to_thread(lambda: storage.id):
        raise InvalidInputException("report", f"is of the store at {report.path}, not of {storage._collection.place}")
    hub = HubService(storage=storage) if hub is None else hub
    opened = asked(databases, storage)
    open_databases = await asyncio.to_thread(opened.__enter__)
    try:
        return await _Repair(storage, open_databases, hub).run(report.problems)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)


class _Repair:
    """One repair."""

    def __init__(self, storage: StorageService, databases: Sequence[Database], hub: "HubService") -> None:
        self._storage = storage
        self._databases = {database.known.id: database for database in databases}
        self._hub = hub
        self._bytes = 0

    async def run(self, problems: Sequence[BlobProblemSchema]) -> RepairSchema:
        brought, sound, failed = list[str](), list[str](), list[FailedRepairSchema]()
        for problem in problems:
            if await asyncio.to_thread(self._is_right, problem.sha256):
                if problem.problem == "of another size":
                    failed.append(_failed(problem, "it is what its name says; the size that a registry says is wrong"))
                else:
                    sound.append(problem.sha256)
                continue
            reason = await self._bring(problem)
            if reason is None:
                brought.append(problem.sha256)
            else:
                failed.append(_failed(problem, reason))
        return RepairSchema(brought=tuple(brought), sound=tuple(sound), failed=tuple(failed), bytes_fetched=self._bytes)

    def _is_right(self, sha256: str) -> bool:
        """Read a blob, and set it aside where it is not right."""
        return self._storage._is_right(sha256)

    async def _bring(self, problem: BlobProblemSchema) -> str | None:
        """Bring a blob with one of the versions that hold it, and return why that cannot be, `None` where it was."""
        reason: str | None = "no version refers to it, so that nobody knows where it came from"
        for holder in problem.held_by:
            try:
                version = await asyncio.to_thread(self._version, holder)
                fetched = await self._hub.fetch(version)
                await asyncio.to_thread(self._storage._look, version.files)  # in the shared store, too
                if fetched.lease is not None:  # a registry refers to it
                    await asyncio.to_thread(self._storage.release, fetched.lease)
            except ServiceException as error:
                reason = str(error)
                continue
            self._bytes += fetched.bytes_fetched
            if await asyncio.to_thread(self._is_right, problem.sha256):
                return None
            reason = f"{holder} has it no more"
        return reason

    def _version(self, holder: HolderSchema) -> "ModelVersionSchema":
        database = self._databases.get(holder.database)
        if database is None:
            raise InvalidInputException("databases", f"lacks {holder.database}, which the report names")
        return database.call(lambda connection: _read_version(connection, holder.namespace, holder.version_id))


def _read_version(connection: "Connection", namespace: str, version_id: UUID) -> "ModelVersionSchema":
    from kamiwaza_sdk.services.model.services import ModelService

    with closing(Session(connection)) as db:
        return ModelService(db, namespace=namespace).get_version(version_id)


def _failed(problem: BlobProblemSchema, reason: str) -> FailedRepairSchema:
    return FailedRepairSchema(sha256=problem.sha256, reason=reason, held_by=problem.held_by)
