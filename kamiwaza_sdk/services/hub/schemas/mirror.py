"""What mirroring many sources came to."""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from kamiwaza_sdk._display import Displayed, Table, counted, facts, first_rows, shown_size
from kamiwaza_sdk.services.hub.schemas.results import Fetched


class MirroredSchema(Displayed, BaseModel):
    """One source of several that were to be brought into a store: what was fetched, or why it was not.

    Attributes:
        source: What was asked for, without credentials or query.
        fetched: What came; `None` where it failed.
        error: The name of the exception's class; `None` where it did not fail.
        reason: What the exception says.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    source: str
    fetched: Fetched | None = None
    error: str | None = None
    reason: str | None = None


class MirrorSchema(Displayed, BaseModel):
    """What `HubService.mirror` came to, source by source. It travels as JSON.

    Attributes:
        items: In the order in which the sources were given.

    Example:
        >>> asyncio.run(hub.mirror(["hf://org/minilm"])).is_complete
        True
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    items: tuple[MirroredSchema, ...]

    @property
    def fetched(self) -> tuple[Fetched, ...]:
        """What came, in order."""
        return tuple(item.fetched for item in self.items if item.fetched is not None)

    @property
    def failed(self) -> tuple[MirroredSchema, ...]:
        """Those that did not come. To mirror the same again brings what is missing."""
        return tuple(item for item in self.items if item.fetched is None)

    @property
    def is_complete(self) -> bool:
        """Whether all came."""
        return not self.failed

    @property
    def bytes_fetched(self) -> int:
        """How many bytes travelled from the sources."""
        return sum(fetched.bytes_fetched for fetched in self.fetched)

    def _summary(self) -> dict[str, object]:
        return {
            "": counted(len(self.items), "source"),
            "failed": len(self.failed) or None,
            "size": shown_size(sum(fetched.size for fetched in self.fetched)),
            "fetched": shown_size(self.bytes_fetched),
        }

    def _tables(self) -> Iterable[Table]:
        yield facts(self._summary() | {"": None}, heading=counted(len(self.items), "source"))
        rows = ((one.source, shown_size(one.size), shown_size(one.bytes_fetched)) for one in self.fetched)
        if self.fetched:
            shown = first_rows(rows, len(self.fetched))
            yield Table(("source", "size", "fetched"), shown, numbers=frozenset((1, 2)))
        if self.failed:
            faults = ((one.source, one.error or "", one.reason or "") for one in self.failed)
            yield Table(("failed", "error", "because"), first_rows(faults, len(self.failed)))


class MirrorProgressSchema(Displayed, BaseModel):
    """How far mirroring is.

    Attributes:
        sources: How many there are.
        done: How many have come.
        failed: How many have failed.
        bytes: How many bytes have arrived by now, of all that have come or are coming; kept ones count.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    sources: int = Field(ge=0)
    done: int = Field(ge=0)
    failed: int = Field(ge=0)
    bytes: int = Field(ge=0)
