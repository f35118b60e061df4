"""Which part is next: in order, what was given back first, and never too far ahead."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamiwaza_sdk import DownloadConfig, DownloadService

# Which segment a connection takes, and two things in one turn of the loop, no server can bring about.
from kamiwaza_sdk.services.download.http.requests import Exchange, next_piece
from kamiwaza_sdk.services.download.transfer import connections
from kamiwaza_sdk.services.download.transfer.connections import SEGMENT_SIZE, SegmentQueue
from kamiwaza_sdk.testing import FaultyServer, Rate
from tests.download.test_connections import BODY, MIB, check

TOTAL = 3 * SEGMENT_SIZE + 5


def test_parts_come_in_order_and_end_with_the_file() -> None:
    parts = SegmentQueue(SEGMENT_SIZE, TOTAL)
    assert [parts.take(within=TOTAL) for _ in range(4)] == [
        (SEGMENT_SIZE, 2 * SEGMENT_SIZE),
        (2 * SEGMENT_SIZE, 3 * SEGMENT_SIZE),
        (3 * SEGMENT_SIZE, TOTAL),
        None,
    ]
    assert parts.taken


def test_none_is_given_out_that_ends_too_far_ahead() -> None:
    parts = SegmentQueue(0, TOTAL)
    assert [parts.take(within=SEGMENT_SIZE - 1), parts.take(within=SEGMENT_SIZE), parts.take(within=SEGMENT_SIZE)] == [
        None,
        (0, SEGMENT_SIZE),
        None,
    ]
    assert not parts.taken


def test_what_was_given_back_comes_first_and_the_foremost_of_it_before_all() -> None:
    parts = SegmentQueue(2 * SEGMENT_SIZE, TOTAL)
    parts.give_back(SEGMENT_SIZE + 7, 2 * SEGMENT_SIZE)
    parts.give_back(3, SEGMENT_SIZE)
    parts.give_back(SEGMENT_SIZE, SEGMENT_SIZE)  # nothing
    assert [parts.take(within=0) for _ in range(3)] == [(3, SEGMENT_SIZE), (SEGMENT_SIZE + 7, 2 * SEGMENT_SIZE), None]


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 5 * SEGMENT_SIZE))
def test_together_they_are_the_file_however_much_of_each_is_given_back(done: list[float], total: int) -> None:
    parts, brought = SegmentQueue(0, total), list[tuple[int, int]]()
    for share in [*done, *[1.0] * 9]:
        part = parts.take(within=total)
        if part is not None:
            middle = part[0] + int(share * (part[1] - part[0]))
            brought.append((part[0], middle))
            parts.give_back(middle, part[1])
    assert parts.taken
    stretches = sorted(stretch for stretch in brought if stretch[0] < stretch[1])
    assert [0, *(end for _, end in stretches)] == [*(begin for begin, _ in stretches), total]


async def test_a_connection_that_breaks_while_another_makes_way_is_no_end(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same turn of the event loop, as happens where somebody blocks it for a moment."""
    streams: dict[object, aiohttp.StreamReader] = {}
    lost: list[aiohttp.StreamReader] = []
    yield_connections = connections.ParallelReceiver._yield_connections

    async def note(content: aiohttp.StreamReader, exchange: Exchange) -> bytes:
        streams[asyncio.current_task()] = content
        return await next_piece(content, exchange)

    def yield_connections_and_lose_the_other(parallel: connections.ParallelReceiver) -> None:
        other = streams.get(parallel._workers[0])
        if parallel._limiter.wanted and len(parallel._workers) == 2 and other is not None and not lost:
            other.set_exception(aiohttp.ClientPayloadError("lost"))
            lost.append(other)
        yield_connections(parallel)

    monkeypatch.setattr(connections, "next_piece", note)
    monkeypatch.setattr(connections.ParallelReceiver, "_yield_connections", yield_connections_and_lose_the_other)
    url = faulty_server.add("/m", body=BODY, always=Rate(8 * MIB))
    settings = {"max_concurrency": 2, "max_attempts": 2, "retry_pause": 0}
    async with DownloadService(config.model_copy(update=settings)) as downloads:
        large = asyncio.create_task(downloads.download(url, target))
        await asyncio.sleep(2.5)
        await downloads.read(faulty_server.add("/other", body=b"other"), max_size=10)
        check(await large, target)
    assert lost
