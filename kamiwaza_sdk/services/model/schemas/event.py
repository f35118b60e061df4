"""The history, as it is returned."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from kamiwaza_sdk.services.model.schemas.fields import Moment, ReadDetails

__all__ = ["EventKind", "ModelEventSchema"]

#: What can happen.
EventKind = Literal[
    "model.created",
    "model.updated",
    "model.deleted",
    "model.restored",
    "model.purged",
    "version.created",
    "version.updated",
    "version.deleted",
    "alias.set",
    "alias.rolled_back",
    "alias.deleted",
    "tag.set",
    "tag.deleted",
    "config.created",
    "config.updated",
    "config.deleted",
    "parent.set",
    "parent.deleted",
]


class ModelEventSchema(BaseModel):
    """One change. It is written together with what it tells of, and neither edited nor deleted, but by a purge.

    Attributes:
        model_id: The model.
        sequence: 1, 2, 3 and so on within the model, in the order of commits, without gaps.
        namespace: The namespace of the model.
        at: When, in UTC. Within a model it never runs backwards, whatever clocks do.
        kind: What happened.
        actor: Who did it: what the service was given.
        version_id: The version it happened to; `None` where it happened to the model as a whole.
        alias: The alias, where it is about one.
        before: What changed, as it was.
        after: What changed, as it is since.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    model_id: UUID
    sequence: int
    namespace: str
    at: Moment
    kind: EventKind
    actor: str | None
    version_id: UUID | None
    alias: str | None
    before: ReadDetails
    after: ReadDetails
