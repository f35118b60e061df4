"""A part of a file."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["RangeSchema"]


class RangeSchema(BaseModel):
    """Some bytes of a file that lies elsewhere.

    Attributes:
        offset: Where in the file they begin.
        size: Of the whole file, in bytes, as its server says; `None` where it does not.
        filename: What the server calls the file (``Content-Disposition``): one plain segment, or `None`.
        body: The bytes: as many as were asked for, or as the file has from there on.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    offset: int
    size: int | None
    filename: str | None = None
    body: bytes = Field(repr=False)
