"""Who was made from whom, as it is returned."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from kamiwaza_sdk.services.model.schemas.version import Relation

__all__ = ["RelativeSchema"]


class RelativeSchema(BaseModel):
    """A version that another was made from, or that was made from it, directly or over others.

    Attributes:
        version_id: The version.
        model_id: The model it is a version of.
        model_name: That model's name.
        number: Its number.
        relation: How it and the next one on the way to the version that was asked about were made from each other.
        distance: How many steps away: 1 is a parent or a child.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    version_id: UUID
    model_id: UUID
    model_name: str
    number: int
    relation: Relation
    distance: int
