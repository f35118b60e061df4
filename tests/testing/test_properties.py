"""Whatever is asked for, and however it is sent and cut: what comes is what was to come, and no more."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamiwaza_sdk.testing import Fault, FaultyServer, GeneratedBody, NoLength, Reset, Trickle, Truncate
from tests.testing.raw import ask


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(0, 200_000),
    first=st.none() | st.integers(0, 220_000),
    last=st.none() | st.integers(0, 220_000),
    cut=st.none() | st.tuples(st.sampled_from([Truncate, Reset]), st.integers(0, 220_000)),
    how=st.lists(st.sampled_from([NoLength(), Trickle(30_000, every=0)]), max_size=2),
)
def test_any_range_cut_anywhere(
    server: FaultyServer,
    *,
    size: int,
    first: int | None,
    last: int | None,
    cut: tuple[type[Truncate | Reset], int] | None,
    how: list[Fault],
) -> None:
    body = GeneratedBody(size)
    whole = body.read()
    faults = (*how, *([] if cut is None else [cut[0](cut[1])]))
    got = ask(server.add("/m", body=body, faults=[faults]), Range=f"bytes={_text(first)}-{_text(last)}")
    status, expected = _expected(whole, first, last)
    is_cut = cut is not None and cut[1] <= len(expected)
    assert got.status == status
    assert got.body == (expected[: cut[1]] if cut is not None and is_cut else expected)
    assert got.end == ("reset" if cut is not None and is_cut and cut[0] is Reset else "closed")
    assert server.requests[-1].sent == len(got.body)


def _text(position: int | None) -> str:
    return "" if position is None else str(position)


def _expected(whole: bytes, first: int | None, last: int | None) -> tuple[int, bytes]:
    """Return what RFC 9110, 14.1.2 says of ``bytes=first-last``."""
    if first is None and last is None:
        return 200, whole
    if first is None:
        assert last is not None
        part = whole[-last:] if last else b""
    elif last is not None and last < first:
        return 200, whole
    else:
        part = whole[first:] if last is None else whole[first : last + 1]
    return (206, part) if part else (416, b"")
