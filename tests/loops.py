"""A watch over the event loop."""

from collections.abc import Iterator
from contextlib import contextmanager

from blockbuster import BlockBuster, blockbuster_ctx

__all__ = ["watched"]


@contextmanager
def watched() -> Iterator[BlockBuster]:
    """Fail whatever of ours blocks the event loop. What measures coverage meanwhile may wait for its own lock."""
    with blockbuster_ctx("kamiwaza_sdk") as blockbuster:
        blockbuster.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield blockbuster
