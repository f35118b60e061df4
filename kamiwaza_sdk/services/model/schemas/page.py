"""Pages of what is listed."""

from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

__all__ = ["Page"]

_Item = TypeVar("_Item")


class Page(BaseModel, Generic[_Item]):
    """Some of what was asked for, and how to get to the rest.

    Attributes:
        items: In the order asked for.
        next_cursor: What gets the page after this one; `None` where there is none.
        previous_cursor: What gets the page before this one; `None` where there is none.
        total: How many there are on all pages; `None` unless it was asked for.
        truncated: Whether a text found 10,000 models or more, of which only so many were looked at.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    items: tuple[_Item, ...]
    next_cursor: str | None = None
    previous_cursor: str | None = None
    total: int | None = None
    truncated: bool = False
