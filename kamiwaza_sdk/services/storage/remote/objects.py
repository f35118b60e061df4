"""Small objects that machines agree by: each is changed only if it still is what was read."""

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from obstore import UpdateVersion


class Held(NamedTuple):
    """A small object as it was read, and what it can be replaced by."""

    content: bytes
    version: "UpdateVersion"
    modified: datetime


class SmallObjects(Protocol):
    """Where small objects can be read, and changed by compare-and-swap."""

    def read(self, name: str) -> Held | None:
        """Return a small object; `None` where there is none."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object that is not there. `False`: it is there."""

    def replace(self, name: str, content: bytes, held: Held) -> bool:
        """Write a small object in place of what was read. `False`: it is another by now, or gone."""

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, in place of whatever is there."""

    def delete(self, *names: str) -> None:
        """Delete objects, whatever they are by now; none that is not there is missed."""
