"""Clean-up: a plan of what may go, and the five steps that remove it without losing what somebody refers to.

1. Who registers inserts rows first, then looks in the store at each blob. (`registration`)
2. Blobs are set aside: renamed into a run of the trash, in which every use looks too.
3. After that, the list of databases is read. Is there one that is not asked, all comes back.
4. Of each database, a mark is noted. Nothing goes on before all transactions on this side of it have ended.
5. After that, what is referred to is read once more, and comes back. The rest is removed by its name in the trash.

Nobody is waited for: where a transaction has not ended, the mark stays with the run, and a later call goes on from it.
Times say what is worth keeping, and nothing else. `docs/concepts/cleanup.md` has the interleavings.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk._validation import check_given, revalidated, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.schemas.cleanup import (
    CleanupBlobSchema,
    CleanupPlanSchema,
    CleanupResultSchema,
    CountSchema,
    KeptReason,
)
from kamiwaza_sdk.services.model.store.databases import BATCH, Database, asked, unasked
from kamiwaza_sdk.services.storage import inventory
from kamiwaza_sdk.services.storage.files import translated
from kamiwaza_sdk.services.storage.schemas import StoreDatabaseSchema
from kamiwaza_sdk.services.storage.services import StorageService
from kamiwaza_sdk.services.storage.setup import prepare

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from kamiwaza_sdk.services.storage.collection import Collection

#: How many blobs a plan holds, which is what it takes in memory.
MOST_BLOBS: Final = 20_000


@dataclass(slots=True)
class _Count:
    blobs: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.blobs += 1
        self.bytes += size

    def schema(self) -> CountSchema:
        return CountSchema(blobs=self.blobs, bytes=self.bytes)


def plan_cleanup(
    storage: StorageService,
    *,
    databases: "Iterable[Engine | AsyncEngine]",
    unused_for: timedelta = timedelta(days=1),
) -> CleanupPlanSchema:
    """Return what may go from a store: what no registry refers to, no lease keeps, and nobody has used for a while.

    Nothing is removed. Looks at every blob and reads what is referred to from each database, in 256 parts, on short
    connections of its own: some seconds for a million. It blocks: from a coroutine, call it with `asyncio.to_thread`.

    Args:
        storage: The store.
        databases: Engines of all registries that have registered what lies there, synchronous or asynchronous ones. A
            database in memory cannot be asked.
        unused_for: For how long what may go was not used. Safety does not rest on it, but what was fetched without a
            lease and is not registered yet does.

    Returns:
        The plan, of at most 20,000 blobs, the largest first. `clean_up` takes it, today or later, here or elsewhere.

    Raises:
        DatabaseNotAskedException: The store knows a database that is not among them.
        InvalidInputException: One of them is no engine, or is one of a database in memory; or another argument is of a
            wrong kind.
        DatabaseException: A database could not be asked.
        StorageException: The store cannot be read.

    Example:
        >>> plan_cleanup(storage, databases=[file_engine]).frees_at_most
        0
    """
    check_storage(storage)
    if not isinstance(unused_for, timedelta) or unused_for < timedelta(0):
        raise InvalidInputException("unused_for", f"must be a timedelta of 0 or more, not {shown(unused_for)}")
    with asked(databases, storage) as open_databases, translated(storage.root):
        return _Planning(storage, open_databases, unused_for).run()


def check_storage(storage: StorageService) -> None:
    """Refuse what is no store, and make what must exist before its first use.

    Raises:
        InvalidInputException: It is none.
        StorageException: It cannot be made.
    """
    if check_given(storage, StorageService, field="storage", way_out="write StorageService()") is None:
        raise InvalidInputException("storage", "must be a StorageService; write StorageService()")
    prepare(storage.root)


class _Planning:
    """One plan: what stays is counted, and of what may go the largest are kept."""

    def __init__(self, storage: StorageService, databases: Sequence[Database], unused_for: timedelta) -> None:
        self._storage = storage
        self._collection = storage._collection
        self._databases = databases
        self._unused_for = unused_for
        self._now = self._collection.now()
        self._leased = self._collection.leased(at=self._now)
        self._kept: dict[KeptReason, _Count] = {
            "referenced": _Count(),
            "leased": _Count(),
            "used recently": _Count(),
        }
        self._largest = list[tuple[int, str, int, float]]()
        self._is_complete = True

    def run(self) -> CleanupPlanSchema:
        for prefix in inventory.PREFIXES:
            self._look(prefix)
        can_share = self._collection.shares_blocks()
        blobs = [_blob(*found) for found in sorted(self._largest, reverse=True)]
        alone = 0 if can_share else sum(blob.size for blob in blobs if not blob.links)
        return CleanupPlanSchema(
            store=str(self._storage.id),
            path=self._collection.place,
            made_at=datetime.fromtimestamp(self._now, UTC),
            unused_for=self._unused_for,
            databases=tuple(database.known for database in self._databases),
            blobs=tuple(blobs),
            views=tuple(unwanted_views(self._storage.root, self._databases, self._unused_for)),
            is_complete=self._is_complete,
            kept={reason: count.schema() for reason, count in self._kept.items() if count.blobs},
            set_aside=_set_aside(self._collection),
            frees_at_least=alone,
            frees_at_most=sum(blob.size for blob in blobs),
        )

    def _look(self, prefix: str) -> None:
        referenced = referenced_in(self._databases, prefix)
        of_reference = self._kept["referenced"]
        for sha256, size, names, used in self._collection.blobs(prefix, unless=referenced):
            if sha256 in referenced:
                of_reference.blobs += 1
                of_reference.bytes += size
            elif sha256 in self._leased:
                self._kept["leased"].add(size)
            elif self._now - used < self._unused_for.total_seconds():
                self._kept["used recently"].add(size)
            else:
                self._keep_largest((size, sha256, names - 1, used))

    def _keep_largest(self, found: tuple[int, str, int, float]) -> None:
        if len(self._largest) < MOST_BLOBS:
            heapq.heappush(self._largest, found)
        else:
            heapq.heappushpop(self._largest, found)
            self._is_complete = False


def _blob(size: int, sha256: str, links: int, used: float) -> CleanupBlobSchema:
    last_used = datetime.fromtimestamp(used, UTC)
    return CleanupBlobSchema(sha256=sha256, size=size, links=max(links, 0), last_used=last_used)


def unwanted_views(root: Path, databases: Sequence[Database], unused_for: timedelta) -> list[str]:
    """Return the views of versions that no registry has, and that nobody has asked for as long. Blocks."""
    views = {name: used for name, used in inventory.list_views(root).items() if not inventory.is_leaving(name)}
    if not views:
        return []
    now = inventory.now(root)
    idle = [name for name, used in views.items() if now - used >= unused_for.total_seconds()]
    wanted = set[str]()
    for start in range(0, len(idle), BATCH):
        for database in databases:
            wanted |= database.versions_among(idle[start : start + BATCH])
    return sorted(name for name in idle if name not in wanted)


def referenced_in(databases: Sequence[Database], prefix: str) -> set[str]:
    """Return what any of the databases refers to, of the digests with a prefix."""
    low, high = bounds(prefix)
    found = set[str]()
    for database in databases:
        found |= database.digests(low, high)
    return found


def bounds(prefix: str) -> tuple[str, str]:
    """Return between which texts, the second excluded, all digests with a prefix lie."""
    number = int(prefix, 16) + 1
    return prefix, f"{number:02x}" if number < len(inventory.PREFIXES) else "g"


def _set_aside(collection: "Collection") -> CountSchema:
    count = _Count()
    for _, size in collection.pending():
        count.add(size)
    return count.schema()


def clean_up(
    plan: CleanupPlanSchema, storage: StorageService, *, databases: "Iterable[Engine | AsyncEngine]"
) -> CleanupResultSchema:
    """Remove what a plan names, and what earlier calls have set aside, unless somebody refers to it by now.

    However old the plan is, what was used, leased or registered since stays. Any number of clean-ups may run at once,
    beside whatever else; each can be killed at any instruction. Nobody's transaction is waited for, and none of the
    caller's is touched: where one that began before has not ended, what was set aside stays so, and a later call goes
    on with it. On a network file system that is always so: at least two minutes lie between the two steps.

    It blocks: from a coroutine, call it with `asyncio.to_thread`.

    Args:
        plan: What may go, as `plan_cleanup` returned it.
        storage: The store that it is of.
        databases: As `plan_cleanup` takes them.

    Raises:
        DatabaseNotAskedException: The store knows a database that is not among them. Nothing was removed.
        InvalidInputException: The plan is of another store, or an argument is of a wrong kind.
        DatabaseException: A database could not be asked. What is set aside, a later call goes on with.
        StorageException: The store cannot be written to.

    Example:
        >>> plan = plan_cleanup(storage, databases=[file_engine], unused_for=timedelta(days=30))
        >>> clean_up(plan, storage, databases=[file_engine]).freed_at_most
        0
    """
    check_storage(storage)
    plan = revalidated(plan, CleanupPlanSchema, "plan")
    if plan.store != storage.id:
        here = storage._collection.place
        raise InvalidInputException("plan", f"is of the store at {plan.path}, not of {here}; make one of this")
    with asked(databases, storage) as open_databases, translated(storage.root):
        return _CleaningUp(storage, open_databases).run(plan)


@dataclass(slots=True)
class _Tally:
    views_removed: int = 0
    removed: _Count = field(default_factory=_Count)
    brought_back: _Count = field(default_factory=_Count)
    left: _Count = field(default_factory=_Count)
    pending: _Count = field(default_factory=_Count)
    waits_for: dict[str, StoreDatabaseSchema] = field(default_factory=dict)
    not_asked: dict[str, StoreDatabaseSchema] = field(default_factory=dict)
    freed_at_least: int = 0

    def result(self) -> CleanupResultSchema:
        return CleanupResultSchema(
            removed=self.removed.schema(),
            views_removed=self.views_removed,
            brought_back=self.brought_back.schema(),
            left=self.left.schema(),
            pending=self.pending.schema(),
            waits_for=tuple(self.waits_for.values()),
            not_asked=tuple(self.not_asked.values()),
            freed_at_least=self.freed_at_least,
            freed_at_most=self.removed.bytes,
        )


class _CleaningUp:
    """One call of `clean_up`."""

    def __init__(self, storage: StorageService, databases: Sequence[Database]) -> None:
        self._storage = storage
        self._collection = storage._collection
        self._databases = databases
        self._tally = _Tally()
        self._can_share = self._collection.shares_blocks()

    def run(self, plan: CleanupPlanSchema) -> CleanupResultSchema:
        now = self._collection.now()
        leased = self._collection.leased(at=now, remove=True)
        self._remove_views(plan)
        self._set_aside(list(self._still_wanted(plan, now=now, leased=leased)))
        for run in self._collection.runs():
            self._finish(run)
        self._collection.sweep()
        return self._tally.result()

    def _remove_views(self, plan: CleanupPlanSchema) -> None:
        """Remove what is still as unwanted as the plan says, and what an interrupted removal left."""
        root = self._storage.root
        unwanted = set(unwanted_views(root, self._databases, plan.unused_for))
        removed = [name for name in plan.views if name in unwanted and inventory.remove_view(root, name)]
        self._tally.views_removed = len(removed)
        for name in inventory.list_views(root):
            if inventory.is_leaving(name):
                inventory.remove_view(root, name)

    def _still_wanted(
        self, plan: CleanupPlanSchema, *, now: float, leased: frozenset[str]
    ) -> Iterator[CleanupBlobSchema]:
        """Yield what may go as before. It saves moving what would only come back: what is safe is decided later."""
        for start in range(0, len(plan.blobs), BATCH):
            batch = plan.blobs[start : start + BATCH]
            referenced = self._referenced([blob.sha256 for blob in batch])
            for blob in batch:
                if blob.sha256 in referenced or blob.sha256 in leased or self._is_used(blob, plan, now=now):
                    self._tally.left.add(blob.size)
                else:
                    yield blob

    def _is_used(self, blob: CleanupBlobSchema, plan: CleanupPlanSchema, *, now: float) -> bool:
        used = self._collection.used(blob.sha256)
        return used is None or now - used < plan.unused_for.total_seconds()  # it is gone, or wanted

    def _referenced(self, digests: Sequence[str]) -> set[str]:
        found = set[str]()
        for database in self._databases:
            found |= database.among(digests)
        return found

    def _set_aside(self, blobs: Sequence[CleanupBlobSchema]) -> None:
        moved = self._collection.set_aside([blob.sha256 for blob in blobs])
        for blob, was_moved in zip(blobs, moved, strict=True):
            if not was_moved:
                self._tally.left.add(blob.size)

    def _finish(self, run: str) -> None:
        """Go on with a run that is closed, as far as that can be now."""
        digests = self._collection.contents(run)
        if digests:
            marks = self._marks(run, digests)
            if marks is None or self._waits(run, marks):
                return self._leave(run, self._collection.contents(run))
            self._decide(run, digests)
        self._collection.end(run)
        return None

    def _marks(self, run: str, digests: Sequence[str]) -> dict[str, str] | None:
        """Return the mark of each database, noted now unless it was before; `None` where it is too early.

        The list of databases is read after the blobs were set aside: one that comes to know the store later looks in
        the trash. Where one is not asked, all comes back.
        """
        noted = self._collection.read_mark(run)
        if noted is not None:
            return {str(name): str(mark) for name, mark in noted.get("marks", {}).items()}
        if not self._collection.is_settled(run):
            return None
        missing = unasked(self._databases, self._storage)
        if missing:
            self._tally.not_asked.update((database.id, database) for database in missing)
            for sha256 in digests:
                self._bring_back(run, sha256)
            return {}
        marks = {database.known.id: database.mark() for database in self._databases}
        self._collection.write_mark(run, {"marks": marks})
        return marks

    def _waits(self, run: str, marks: dict[str, str]) -> bool:
        """Tell whether a transaction has not ended that had written before the mark. What has ended is noted."""
        waiting = [
            database
            for database in self._databases
            if database.known.id in marks and not database.is_past(marks[database.known.id])
        ]
        if waiting:
            self._tally.waits_for.update((database.known.id, database.known) for database in waiting)
            left = {database.known.id: marks[database.known.id] for database in waiting}
            self._collection.write_mark(run, {"marks": left})
        return bool(waiting)

    def _leave(self, run: str, digests: Sequence[str]) -> None:
        for sha256 in digests:
            self._tally.pending.add(self._collection.size_in(run, sha256)[0])

    def _decide(self, run: str, digests: Sequence[str]) -> None:
        """Remove what is not referred to, now that every registration is either to be read or looks in the trash."""
        for start in range(0, len(digests), BATCH):
            batch = digests[start : start + BATCH]
            referenced = self._referenced(batch)
            for sha256 in batch:
                if sha256 in referenced:
                    self._bring_back(run, sha256)
                else:
                    self._remove(run, sha256)

    def _bring_back(self, run: str, sha256: str) -> None:
        size, _ = self._collection.size_in(run, sha256)
        if self._collection.restore(run, sha256):
            self._tally.brought_back.add(size)

    def _remove(self, run: str, sha256: str) -> None:
        size, names = self._collection.size_in(run, sha256)
        if self._collection.remove(run, sha256):
            self._tally.removed.add(size)
            if names == 1 and not self._can_share:
                self._tally.freed_at_least += size
