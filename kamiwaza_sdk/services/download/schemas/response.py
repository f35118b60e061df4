"""A small answer, whatever its status."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ResponseSchema"]


class ResponseSchema(BaseModel):
    """What a server said: its status, its headers and a body that fits in memory.

    Attributes:
        url: Where it came from, redirects followed; with its query, so it is not in the ``repr``.
        status: The HTTP status.
        headers: Their names in lower case; of one that is repeated, the values joined by commas (RFC 9110, 5.3).
        body: The body.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    url: str = Field(repr=False)
    status: int
    headers: Mapping[str, str]
    body: bytes = Field(repr=False)
