"""Retention: pins of versions, the rules by which the others go, and plans."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import Field

from kamiwaza_sdk._display import counted, shown_size
from kamiwaza_sdk._validation import InputSchema

#: Why a version stays.
StaysReason: TypeAlias = Literal["aliased", "pinned", "derived from", "among the last", "young"]


class PinSchema(InputSchema):
    """A pin: as long as a version has one, it is not deleted, and neither is its model purged.

    Attributes:
        version_id: The version.
        name: Who or what needs it. A version may have one pin of each name.
        reason: Why.
        actor: Who has set it.
        created_at: When.
    """

    version_id: UUID
    name: str
    reason: str | None
    actor: str | None
    created_at: datetime


class RetentionRulesSchema(InputSchema):
    """By what versions stay; what has an alias, a pin or a version made from it stays in any case.

    Attributes:
        keep_last: How many of each model's ready versions stay, the newest ones.
        younger_than: What was created less long ago stays.
        unfinished_younger_than: The same for drafts and what failed.

    Example:
        >>> RetentionRulesSchema(keep_last=5).younger_than.days
        30
    """

    keep_last: int = Field(default=3, ge=0)
    younger_than: timedelta = Field(default=timedelta(days=30), ge=timedelta(0))
    unfinished_younger_than: timedelta = Field(default=timedelta(days=7), ge=timedelta(0))


class RetentionVersionSchema(InputSchema):
    """A version that may go.

    Attributes:
        version_id: Its id.
        model: Its model's name.
        number: Its number.
        status: Its status.
        revision: Its revision when the plan was made: one that was changed since stays.
        size: Of its files, in bytes. Others may have some of them, too.
        created_at: When it was created.
    """

    version_id: UUID
    model: str
    number: int
    status: str
    revision: int
    size: int
    created_at: datetime


class RetentionPlanSchema(InputSchema):
    """Which versions of a namespace may go. `ModelService.apply_retention` takes it. It travels as JSON.

    Attributes:
        namespace: The namespace.
        rules: By what they were chosen.
        versions: Those that may go, by model, the newest first.
        kept: How many stay, by the reason.
    """

    namespace: str
    rules: RetentionRulesSchema
    versions: tuple[RetentionVersionSchema, ...]
    kept: Mapping[StaysReason, int]

    def __str__(self) -> str:
        rows = [f"{one.model}:{one.number}  {one.status}  {shown_size(one.size)}" for one in self.versions]
        kept = ", ".join(f"{count} {reason}" for reason, count in self.kept.items()) or "nothing"
        return "\n".join([f"{counted(len(self.versions), 'version')} may go.", *rows, f"Stays: {kept}."])


class RetentionResultSchema(InputSchema):
    """What became of a retention plan.

    Attributes:
        deleted: Ids of versions that are deleted, once the transaction is committed.
        left: Ids of those that were changed, or are needed by now, or were gone.
    """

    deleted: tuple[UUID, ...]
    left: tuple[UUID, ...]
