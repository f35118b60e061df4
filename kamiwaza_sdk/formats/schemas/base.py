"""What all descriptions of files share."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FileSchema"]


class FileSchema(BaseModel):
    """Base of what a file says about itself: immutable, and travels as JSON.

    Attributes:
        size: Of the file, in bytes.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True, protected_namespaces=())

    size: int = Field(ge=0)
