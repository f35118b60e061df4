"""What the faults of one request make of its answer. Without any, the answer is as HTTP demands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kamiwaza_sdk.testing.bodies import GeneratedBody

__all__ = ["Cut", "Pace", "Plan", "Reply"]


@dataclass(frozen=True)
class Reply:
    """What is answered in place of the content."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Cut:
    """What happens once so many bytes of the body are sent."""

    at: int
    kind: Literal["stall", "truncate", "reset"]


@dataclass(frozen=True)
class Pace:
    """So many bytes at once, and how many seconds each such piece takes."""

    size: int
    seconds: float


@dataclass
class Plan:
    """How one request is answered. Each fault changes what is its own."""

    hang_up: bool = False
    delay: float = 0.0
    head_seconds: float = 0.0
    reply: Reply | None = None
    changes: list[bytes | GeneratedBody | None] = field(default_factory=list[bytes | GeneratedBody | None])
    headers: dict[str, str | None] = field(default_factory=dict[str, str | None])
    ignore_range: bool = False
    range_shift: int = 0
    range_total: int | None = None
    framing: Literal["length", "chunked", "close"] = "length"
    length_by: int = 0
    gzip: bool = False
    flips: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    pace: Pace | None = None
    cuts: list[Cut] = field(default_factory=list[Cut])
