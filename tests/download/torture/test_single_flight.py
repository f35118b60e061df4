"""What many processes ask for at once travels once, and a dead leader is succeeded."""

import random
from pathlib import Path

import pytest

from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Rate
from tests.download.helpers import entries
from tests.download.torture.children import Child, Job
from tests.processes import FRESH

MIB = 1024**2
BODY = GeneratedBody(100 * MIB)
CROWD = 32
ASK = 4


@pytest.fixture(scope="module")
def sha256() -> str:
    return BODY.sha256()


@pytest.fixture
def url(faulty_server: FaultyServer) -> str:
    return faulty_server.add("/m", body=BODY, always=Rate(80 * MIB))


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no-locks"])
@pytest.mark.parametrize("known", [True, False], ids=["digest", "no-digest"])
def test_a_crowd(faulty_server: FaultyServer, url: str, ground: Path, sha256: str, *, known: bool, locks: bool) -> None:
    """Of 32 processes that ask at once, one brings it, and the server sends no more than 1.05 times its bytes."""
    (ground / "into").mkdir()
    barrier = FRESH.Barrier(CROWD)
    children = [
        Child(Job(url, ground / "into/m", ground / f"{number}", sha256 if known else None, locks, barrier))
        for number in range(CROWD)
    ]
    results = [child.result() for child in children]
    sent = sum(request.sent for request in faulty_server.requests)
    assert {result.sha256 for result in results} == {sha256}
    assert sorted(result.bytes_fetched for result in results) == [0] * (CROWD - 1) + [BODY.size]
    assert entries(ground / "into") == ["m"]
    assert sent <= 1.05 * BODY.size


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no-locks"])
@pytest.mark.parametrize("known", [True, False], ids=["digest", "no-digest"])
def test_a_dead_leader_is_succeeded(url: str, ground: Path, sha256: str, *, known: bool, locks: bool) -> None:
    """When whoever brings it is killed, one of those who wait goes on where it was, and the others get it too."""
    (ground / "into").mkdir()
    barrier = FRESH.Barrier(ASK)
    children = [
        Child(Job(url, ground / "into/m", ground / f"{number}", sha256 if known else None, locks, barrier))
        for number in range(ASK)
    ]
    leader = _leader(children, at=random.randint(20 * MIB, 70 * MIB))
    assert leader.kill()
    results = [child.result() for child in children if child is not leader]
    assert {result.sha256 for result in results} == {sha256}
    assert entries(ground / "into") == ["m"]
    # Not what the server sent: what lay in the system's buffers when the leader died counts there, too.
    assert sum(child.received for child in children) <= 1.001 * BODY.size + 8 * MIB


def _leader(children: list[Child], *, at: int) -> Child:
    """Wait until one has received so much, and return that one."""
    for _ in range(10_000):
        for child in children:
            if child.has_received(at, within=0.001):
                return child
    raise TimeoutError("nobody leads")
