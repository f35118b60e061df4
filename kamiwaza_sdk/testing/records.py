"""What a `FaultyServer` remembers of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Outcome", "RecordedRequest"]

#: How an answer came out: ``open`` while it is on its way.
Outcome: TypeAlias = Literal["open", "complete", "truncated", "reset", "stalled", "abandoned", "closed"]


@dataclass(eq=False)
class RecordedRequest:
    """A request and what became of its answer, which is filled in as it goes.

    Attributes:
        method: ``GET``, for one.
        path: As it was asked for, query and all.
        headers: The request's. Their names are in lower case.
        client: The port that the client sent it from: the same for all requests of one connection.
        status: Of the answer. `None` until it is sent.
        sent: How many bytes of the body were sent, whether or not the client took them.
        outcome: ``open`` while it is on its way; then ``complete``; ``truncated`` or ``reset`` by a fault; ``stalled``
            while a fault holds it, and if it never went on; ``abandoned`` by the client; or ``closed`` with the server.
            A client that has everything finds ``complete``.
        body: What was sent along, no more than its first MiB.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    client: int
    status: int | None = None
    sent: int = 0
    outcome: Outcome = "open"
    body: bytes = b""
