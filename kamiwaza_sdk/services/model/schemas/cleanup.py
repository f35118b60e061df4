"""Plans and results: what may go from a store, and what has gone."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from pydantic import Field

from kamiwaza_sdk._display import Table, as_html, as_text, counted, cut_digest, first_rows, shown_size, shown_time
from kamiwaza_sdk._validation import InputSchema, Sha256
from kamiwaza_sdk.services.storage.schemas import StoreDatabaseSchema

#: Why a blob stays.
KeptReason: TypeAlias = Literal["referenced", "leased", "used recently"]


class CleanupBlobSchema(InputSchema):
    """A blob that may go.

    Attributes:
        sha256: Its digest.
        size: In bytes.
        links: How many other names the file has, outside of the store: to remove it here then frees nothing.
        last_used: When it was used last, by the clock of the file system.
    """

    sha256: Sha256
    size: int = Field(ge=0)
    links: int = Field(ge=0)
    last_used: datetime


class CountSchema(InputSchema):
    """How many blobs, and how many bytes they have.

    Attributes:
        blobs: How many.
        bytes: Together.
    """

    blobs: int = Field(default=0, ge=0)
    bytes: int = Field(default=0, ge=0)


class CleanupPlanSchema(InputSchema):
    """What may go from a store, as `plan_cleanup` found it. `clean_up` takes it and removes no more than this.

    `str` makes a table of it, and notebooks show one. It travels as JSON.

    Attributes:
        store: The id of the store.
        path: Its directory.
        made_at: When the plan was made, by the clock of the file system.
        unused_for: For how long what may go was not used.
        databases: Those that were asked.
        blobs: What nothing refers to, keeps or has used: the largest first.
        views: The digests of versions that no registry has, and whose views in the store nobody has asked for since.
        is_complete: Whether that is all: a plan holds at most 20,000 blobs, and a later one the rest.
        kept: What stays, by the reason.
        set_aside: What earlier clean-ups have set aside and not finished; `clean_up` goes on with it.
        frees_at_least: How many bytes are free afterwards, for certain: those of files that have no other name, on a
            file system whose files cannot share blocks.
        frees_at_most: How many may be.

    Example:
        >>> plan = plan_cleanup(storage, databases=[file_engine])
        >>> print(plan)
        0 blobs may go, which frees at least 0 B, at most 0 B.
        Stays: nothing.
    """

    store: str
    path: str
    made_at: datetime
    unused_for: timedelta
    databases: tuple[StoreDatabaseSchema, ...]
    blobs: tuple[CleanupBlobSchema, ...]
    views: tuple[Sha256, ...] = ()
    is_complete: bool = True
    kept: Mapping[KeptReason, CountSchema]
    set_aside: CountSchema = CountSchema()
    frees_at_least: int = Field(ge=0)
    frees_at_most: int = Field(ge=0)

    def __str__(self) -> str:
        return "\n".join([self._headline(), *as_text([self._table()]).splitlines(), self._rest()])

    def _summary(self) -> dict[str, object]:
        sizes = {"frees_at_least": shown_size(self.frees_at_least), "frees_at_most": shown_size(self.frees_at_most)}
        return {"": self.path, "blobs": len(self.blobs), **sizes}

    def _repr_html_(self) -> str:
        stays = Table((), [], heading=self._rest())
        return as_html([self._table()._replace(heading=self._headline()), stays])

    def _table(self) -> Table:
        rows = ((cut_digest(blob.sha256), shown_size(blob.size), shown_time(blob.last_used)) for blob in self.blobs)
        head = ("blob", "size", "last used") if self.blobs else ()
        return Table(head, first_rows(rows, len(self.blobs)), numbers=frozenset((1,)))

    def _headline(self) -> str:
        most = "" if self.is_complete else ", and more after them"
        views = f" and {counted(len(self.views), 'view')}" if self.views else ""
        return (
            f"{counted(len(self.blobs), 'blob')}{views} may go{most}, which frees at least "
            f"{shown_size(self.frees_at_least)}, at most {shown_size(self.frees_at_most)}."
        )

    def _rest(self) -> str:
        return f"Stays: {', '.join(self._reasons()) or 'nothing'}."

    def _reasons(self) -> Iterator[str]:
        for reason, count in self.kept.items():
            yield f"{count.blobs} {reason} ({shown_size(count.bytes)})"
        if self.set_aside.blobs:
            yield f"{self.set_aside.blobs} set aside before ({shown_size(self.set_aside.bytes)})"


class CleanupResultSchema(InputSchema):
    """What a clean-up has done.

    Attributes:
        removed: What is gone for good.
        views_removed: How many views are.
        brought_back: What was set aside, and turned out to be referred to.
        left: What the plan names and what was used, leased or registered since, or is gone.
        pending: What is set aside and cannot be removed yet; a later call does that.
        waits_for: The databases in which transactions that began before have not ended. For what is pending.
        not_asked: Databases that came to know the store meanwhile: nothing was removed, as they were not asked.
        freed_at_least: How many bytes are free now, for certain.
        freed_at_most: How many may be.

    Example:
        >>> result = clean_up(plan_cleanup(storage, databases=[file_engine]), storage, databases=[file_engine])
        >>> result.is_complete, result.removed.blobs
        (True, 0)
    """

    removed: CountSchema = CountSchema()
    views_removed: int = Field(default=0, ge=0)
    brought_back: CountSchema = CountSchema()
    left: CountSchema = CountSchema()
    pending: CountSchema = CountSchema()
    waits_for: tuple[StoreDatabaseSchema, ...] = ()
    not_asked: tuple[StoreDatabaseSchema, ...] = ()
    freed_at_least: int = Field(default=0, ge=0)
    freed_at_most: int = Field(default=0, ge=0)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left for a later call."""
        return not self.pending.blobs and not self.not_asked
