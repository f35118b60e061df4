"""Reports: what a store lacks that registries refer to, what holds its bytes, and what a repair came to."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from pydantic import Field

from kamiwaza_sdk._display import Table, cut_digest, facts, first_rows, shown_size
from kamiwaza_sdk._validation import InputSchema, Sha256
from kamiwaza_sdk.services.model.schemas.cleanup import CountSchema
from kamiwaza_sdk.services.storage.schemas import LeftoverSchema, StoreDatabaseSchema

#: What can be wrong with a blob.
BlobProblem: TypeAlias = Literal["missing", "damaged", "suspect", "of another size"]

_MOST_ROWS: Final = 20


class HolderSchema(InputSchema):
    """A version that refers to a blob.

    Attributes:
        database: The id of its database.
        namespace: Its namespace.
        model: The model's name.
        number: Its number.
        version_id: Its id.
    """

    database: str
    namespace: str
    model: str
    number: int
    version_id: UUID

    def __str__(self) -> str:
        return f"{self.namespace}/{self.model}:{self.number}"


class BlobProblemSchema(InputSchema):
    """A blob that is not as it should be.

    Attributes:
        sha256: Its digest.
        problem: ``missing``: a registry refers to it, and it is not here. ``damaged``: it was read, and is not what its
            name says. ``suspect``: it was written to since it was published; only reading tells. ``of another size``:
            than a registry says.
        size: As the registry says it; `None` where none refers to it.
        held_by: Versions that refer to it: at most five.
    """

    sha256: Sha256
    problem: BlobProblem
    size: int | None = Field(default=None, ge=0)
    held_by: tuple[HolderSchema, ...] = ()

    def __str__(self) -> str:
        held = ", ".join(map(str, self.held_by)) or "no version"
        return f"{self.sha256} is {self.problem}; held by {held}"


class NamespaceUsageSchema(InputSchema):
    """What one namespace of a registry holds in a store. Blobs that others hold as well count for each.

    Attributes:
        database: For people: where the registry is.
        namespace: The namespace.
        held: Its blobs, each once.
        alone: Those that no other namespace holds: what would be free without it.
    """

    database: str
    namespace: str
    held: CountSchema
    alone: CountSchema


class StorageReportSchema(InputSchema):
    """A store and its registries, compared both ways, as `verify_all` found them. It travels as JSON.

    Attributes:
        store: The id of the store.
        path: Its directory.
        made_at: When it was made, by the clock of the file system.
        was_read: Whether every byte was read. Without, what a disk has damaged is not known.
        databases: Those that were asked.
        blobs: All of them.
        referenced: Those that a registry refers to.
        unreferenced: Those that none does: `plan_cleanup` tells which may go.
        problems: What is not as it should be, by digest: at most 10,000.
        usage: What each namespace holds.
        staging: What is on its way in, or was left there.
        trash: What clean-ups have set aside.
        quarantine: What stood under a blob's name and was not that blob.

    Example:
        >>> report = verify_all(storage, databases=[file_engine])
        >>> report.is_sound, report.blobs.blobs
        (True, 0)
    """

    store: str
    path: str
    made_at: datetime
    was_read: bool
    databases: tuple[StoreDatabaseSchema, ...]
    blobs: CountSchema
    referenced: CountSchema
    unreferenced: CountSchema
    problems: tuple[BlobProblemSchema, ...]
    usage: tuple[NamespaceUsageSchema, ...]
    staging: LeftoverSchema
    trash: LeftoverSchema
    quarantine: LeftoverSchema

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, as far as was looked."""
        return not self.problems

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _summary(self) -> dict[str, object]:
        blobs = {"blobs": self.blobs.blobs, "size": shown_size(self.blobs.bytes)}
        return {"": self.path, **blobs, "was_read": self.was_read, "problems": len(self.problems)}

    def _tables(self) -> Iterator[Table]:
        yield Table((), [], heading=next(self._lines()))
        if self.problems:
            held = ((cut_digest(one.sha256), one.problem, ", ".join(map(str, one.held_by))) for one in self.problems)
            yield Table(("blob", "is", "held by"), first_rows(held, len(self.problems)))
        rows = [
            (one.namespace, one.database, shown_size(one.held.bytes), shown_size(one.alone.bytes)) for one in self.usage
        ]
        if rows:
            head = ("namespace", "of", "holds", "alone")
            yield Table(head, first_rows(rows, len(rows)), numbers=frozenset((2, 3)))
        yield facts({name: shown_size(size) for name, size in self._others().items()}, heading="beside these")

    def _others(self) -> dict[str, int]:
        left = {"staging": self.staging, "trash": self.trash, "quarantine": self.quarantine}
        return {"held by nothing": self.unreferenced.bytes, **{name: one.bytes for name, one in left.items()}}

    def _lines(self) -> Iterator[str]:
        found = "sound" if self.is_sound else f"{len(self.problems)} problems"
        how = "read" if self.was_read else "not read"
        yield f"{self.blobs.blobs} blobs ({shown_size(self.blobs.bytes)}), {how}: {found}."
        yield from map(str, self.problems[:_MOST_ROWS])
        if len(self.problems) > _MOST_ROWS:
            yield f"… and {len(self.problems) - _MOST_ROWS} more"
        for one in self.usage:
            alone = f"{shown_size(one.alone.bytes)} alone"
            yield f"{one.namespace} of {one.database}: {shown_size(one.held.bytes)}, {alone}"
        yield f"held by nothing: {shown_size(self.unreferenced.bytes)}"
        left = {"staging": self.staging, "trash": self.trash, "quarantine": self.quarantine}
        yield ", ".join(f"{name}: {shown_size(one.bytes)}" for name, one in left.items())


class CheckProgressSchema(InputSchema):
    """How far a check is.

    Attributes:
        parts: How many of the 256 parts of the store are done.
        blobs: How many blobs were looked at.
        bytes: How many bytes they have.
    """

    parts: int
    blobs: int
    bytes: int


class FailedRepairSchema(InputSchema):
    """A blob that cannot be had.

    Attributes:
        sha256: Its digest.
        reason: Why not.
        held_by: Versions that refer to it.
    """

    sha256: Sha256
    reason: str
    held_by: tuple[HolderSchema, ...] = ()

    def __str__(self) -> str:
        return f"{self.sha256} cannot be had: {self.reason}"


class RepairSchema(InputSchema):
    """What a repair came to.

    Attributes:
        brought: Digests of what was missing or damaged, and is whole now.
        sound: Digests of what turned out to be right.
        failed: What cannot be had.
        bytes_fetched: How many bytes travelled.

    Example:
        >>> report = verify_all(storage, databases=[file_engine])
        >>> asyncio.run(repair(report, storage, databases=[file_engine])).failed
        ()
    """

    brought: tuple[str, ...] = ()
    sound: tuple[str, ...] = ()
    failed: tuple[FailedRepairSchema, ...] = ()
    bytes_fetched: int = 0
