"""Who has the right to bring a file, by the lock on its partial file."""

import errno
import os
import signal
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from kamiwaza_sdk.services.download.partial.disk import NewFileMode
from kamiwaza_sdk.services.download.partial.journal import Header
from kamiwaza_sdk.services.download.partial.lease import LeaseClaim
from kamiwaza_sdk.services.download.partial.lock import FileClaim, Place, Turn
from kamiwaza_sdk.services.download.transfer.acquire import Approach
from kamiwaza_sdk.services.download.transfer.expectations import demands
from tests.download.helpers import entries

HEADER = Header(url="u", final_url="https://example.org/m").line()
LINE = f"4194304 {'cd' * 32}\n".encode()
PUBLISHED = f"published 3 {'ab' * 32}\n".encode()


@pytest.fixture
def claim(target: Path) -> Generator[Callable[[], FileClaim]]:
    """Makes one more claim, released afterwards."""
    made: list[FileClaim] = []

    def make() -> FileClaim:
        made.append(FileClaim(Place(target)))
        return made[-1]

    yield make
    for one in made:
        one.release()


def approach(target: Path) -> Approach:
    return Approach(target, demands(limit=1000), url="https://example.org/m", key="u", path=target, mode=NewFileMode())


def published(leader: FileClaim, target: Path, last_word: bytes = PUBLISHED) -> None:
    leader.seal()
    Path(leader.partial).rename(target)
    leader.retire(lambda: last_word)


@pytest.mark.parametrize("begun", [True, False])
def test_who_waits_reads_the_last_word(target: Path, claim: Callable[[], FileClaim], *, begun: bool) -> None:
    """Also of a small file, whose leader has no use for a journal: then who waits has made one."""
    leader, follower = claim(), claim()
    assert leader.attempt() is Turn.OURS
    if begun:
        leader.begin(HEADER)
    assert follower.attempt() is Turn.THEIRS
    assert follower.glance() == (0, None)
    published(leader, target, HEADER + PUBLISHED)

    assert follower.attempt() is Turn.OVER
    assert follower.outcome is not None
    assert follower.outcome.header is not None
    assert follower.outcome.published == (3, "ab" * 32)
    assert entries(target.parent) == [target.name]


def test_nobody_waits_so_no_journal_is_made(target: Path, claim: Callable[[], FileClaim]) -> None:
    leader = claim()
    assert leader.attempt() is Turn.OURS
    assert [Path(name).suffix for name in entries(target.parent)] == [".partial"]
    published(leader, target)
    assert entries(target.parent) == [target.name]


def test_who_comes_after_the_last_word_leads(target: Path, claim: Callable[[], FileClaim]) -> None:
    leader, follower = claim(), claim()
    assert leader.attempt() is Turn.OURS
    leader.seal()  # the last moment to be heard of
    assert follower.attempt() is Turn.THEIRS
    Path(leader.partial).rename(target)
    leader.retire(lambda: PUBLISHED)
    assert follower.attempt() is Turn.OURS
    follower.abandon(bytes)
    assert entries(target.parent) == [target.name]


def test_who_gives_up_waiting_leaves_no_journal(target: Path, claim: Callable[[], FileClaim]) -> None:
    leader, follower = claim(), approach(target)
    assert leader.attempt() is Turn.OURS
    leader.seal()  # as above
    assert follower.attempt() is None
    Path(leader.partial).rename(target)
    leader.retire(lambda: PUBLISHED)
    follower.leave(keep=True)
    assert entries(target.parent) == [target.name]


def test_who_does_not_mean_to_follow_makes_no_journal(target: Path, claim: Callable[[], FileClaim]) -> None:
    """Else several who give up at once would make it for each other."""
    leader, other = claim(), claim()
    assert leader.attempt() is Turn.OURS
    assert other.attempt(follow=False) is Turn.THEIRS
    assert [Path(name).suffix for name in entries(target.parent)] == [".partial"]


def test_who_gives_up_waiting_leaves_what_somebody_left_who_died(target: Path, claim: Callable[[], FileClaim]) -> None:
    leader, follower = claim(), approach(target)
    assert leader.attempt() is Turn.OURS
    leader.begin(HEADER + LINE)
    os.write(leader.file(), b"abc")
    assert follower.attempt() is None
    leader.release()
    left = entries(target.parent)
    follower.leave(keep=True)
    assert entries(target.parent) == left
    assert Path(leader.journal).read_bytes() == HEADER + LINE


def test_the_next_may_lead_before_the_last_has_let_go(target: Path, claim: Callable[[], FileClaim]) -> None:
    """While its directory is synced, say. Neither touches the other's journal."""
    last, follower, following = claim(), claim(), claim()
    assert last.attempt() is Turn.OURS
    last.begin(HEADER)
    assert follower.attempt() is Turn.THEIRS
    last.seal()
    Path(last.partial).rename(target)
    assert following.attempt() is Turn.OURS
    following.begin(HEADER)
    following.append(LINE)
    last.retire(lambda: HEADER + PUBLISHED)

    assert follower.attempt() is Turn.OVER
    assert Path(following.journal).read_bytes() == HEADER + LINE
    published(following, target)
    assert entries(target.parent) == [target.name]


def test_what_was_sealed_and_not_published_is_gone_on_with(target: Path, claim: Callable[[], FileClaim]) -> None:
    """Whoever dies between the two leaves all that is to be known."""
    dead, next_one = claim(), claim()
    assert dead.attempt() is Turn.OURS
    os.write(dead.file(), b"abc")
    dead.begin(HEADER)
    dead.append(LINE)
    dead.seal()
    dead.release()
    assert next_one.attempt() is Turn.OURS
    assert next_one.read().offset == 4194304
    next_one.begin(HEADER + LINE)
    published(next_one, target)
    assert entries(target.parent) == [target.name]


@pytest.mark.parametrize("last_word", [PUBLISHED, b""])
def test_a_partial_that_is_only_renamed_by_unlinking_guards_nothing_any_more(
    target: Path, claim: Callable[[], FileClaim], last_word: bytes
) -> None:
    """As on NFS, where an open file that is unlinked gets another name, and keeps its link."""
    leader, follower, newcomer = claim(), claim(), claim()
    assert leader.attempt() is Turn.OURS
    leader.begin(HEADER)
    assert follower.attempt() is Turn.THEIRS
    leader.append(last_word)
    Path(leader.partial).rename(target.with_name(".nfs0001"))
    leader.release()

    assert follower.attempt() is (Turn.OVER if last_word else Turn.OURS)
    assert newcomer.attempt() is (Turn.OURS if last_word else Turn.THEIRS)


def put_in_the_way(name: str, kind: str, precious: Path) -> None:
    if kind == "hard link":
        Path(name).hardlink_to(precious)
    elif kind == "symbolic link":
        Path(name).symlink_to(precious)
    else:
        os.mkfifo(name)


@pytest.mark.parametrize("kind", ["hard link", "symbolic link", "fifo"])
def test_what_is_not_ours_alone_is_not_written_through(target: Path, claim: Callable[[], FileClaim], kind: str) -> None:
    precious, leader = target.with_name("precious"), claim()
    precious.write_bytes(b"precious")
    put_in_the_way(leader.partial, kind, precious)
    assert leader.attempt() is Turn.OURS
    assert leader.left() is None
    os.write(leader.fresh(), b"other")
    published(leader, target)
    assert (precious.read_bytes(), target.read_bytes()) == (b"precious", b"other")


@pytest.mark.parametrize("kind", ["hard link", "symbolic link", "fifo"])
@pytest.mark.parametrize("begun", [True, False])
def test_nor_is_a_journal(target: Path, claim: Callable[[], FileClaim], kind: str, *, begun: bool) -> None:
    """As where a directory was copied as links while a download in it was unfinished."""
    precious, leader, follower = target.with_name("precious"), claim(), claim()
    precious.write_bytes(b"precious")
    assert leader.attempt() is Turn.OURS
    put_in_the_way(leader.journal, kind, precious)
    if begun:
        leader.begin(HEADER)
        assert follower.attempt() is Turn.THEIRS
    published(leader, target, HEADER + PUBLISHED)
    assert precious.read_bytes() == b"precious"
    if begun:
        assert follower.attempt() is Turn.OVER
    assert entries(target.parent) == sorted([target.name, "precious"])


def test_what_is_right_in_a_journal_is_not_written_anew(
    claim: Callable[[], FileClaim], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So whoever goes on, and dies at once, costs nothing of what was there."""
    leader = claim()
    assert leader.attempt() is Turn.OURS
    leader.begin(HEADER + LINE)
    leader.append(b"torn")
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda *_: pytest.fail("nothing is to be written"))
        leader.begin(HEADER + LINE)
    assert Path(leader.journal).read_bytes() == HEADER + LINE
    leader.begin(LINE)
    leader.append(LINE)
    assert Path(leader.journal).read_bytes() == LINE + LINE


def test_a_child_forked_meanwhile_does_not_hold_what_was_let_go(claim: Callable[[], FileClaim]) -> None:
    """As the workers of a data loader are, which live on long after the download."""
    leader, newcomer = claim(), claim()
    assert leader.attempt() is Turn.OURS
    end, other_end = os.pipe()
    child = os.fork()
    if not child:  # lives until the pipe is closed, and then ends without running anything of pytest's
        os.close(other_end)
        os.read(end, 1)
        os._exit(0)
    os.close(end)
    try:
        leader.release()
        assert newcomer.attempt() is Turn.OURS
    finally:
        os.close(other_end)
        os.waitpid(child, 0)


def test_a_child_does_not_hold_what_its_parent_had_when_that_is_killed(
    target: Path, claim: Callable[[], FileClaim]
) -> None:
    told, tell = os.pipe()
    end, other_end = os.pipe()
    parent = os.fork()
    if not parent:  # its child lives until the pipe is closed, and neither runs anything of pytest's
        os.close(other_end)
        leader = FileClaim(Place(target))
        turn = leader.attempt()
        if not os.fork():
            os.write(tell, turn.name.encode())
        os.read(end, 1)
        os._exit(0)
    os.close(end)
    try:
        assert os.read(told, 16) == b"OURS"
        newcomer = claim()
        assert newcomer.attempt() is Turn.THEIRS
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        assert newcomer.attempt() is Turn.OURS
    finally:
        for descriptor in (other_end, told, tell):
            os.close(descriptor)


@pytest.mark.parametrize("refused", ["os.write", "os.unlink"])
def test_who_is_refused_the_last_steps_lets_go_all_the_same(
    claim: Callable[[], FileClaim], monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """As on a disk that is full, or that became read-only."""
    leader, follower = claim(), claim()
    assert leader.attempt() is Turn.OURS
    assert follower.attempt() is Turn.THEIRS

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(refused, refuse)
        with pytest.raises(OSError, match="Read-only"):
            leader.abandon(lambda: PUBLISHED)
    assert follower.attempt() is Turn.OURS


def test_what_was_sealed_and_then_given_up_leaves_nothing(target: Path, claim: Callable[[], FileClaim]) -> None:
    """As where the path has become a directory meanwhile."""
    leader = claim()
    assert leader.attempt() is Turn.OURS
    leader.begin(HEADER)
    leader.seal()
    leader.abandon(bytes)
    assert entries(target.parent) == []


def test_a_lease_of_which_nothing_came_leaves_nothing(target: Path) -> None:
    """As of who is cancelled while it looks at what another has left."""
    lease = LeaseClaim(Place(target))
    assert lease.attempt() is Turn.OURS
    lease.file()
    lease.release()
    assert entries(target.parent) == []


def test_a_lease_is_let_go_also_where_its_journal_is_out_of_reach(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, other = LeaseClaim(Place(target)), LeaseClaim(Place(target))
    assert lease.attempt() is Turn.OURS

    stale, fstat = list[int](), os.fstat

    def look(descriptor: int) -> os.stat_result:
        if stale:  # the lease's own look at its file, which is there
            return fstat(descriptor)
        stale.append(descriptor)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patched:
        patched.setattr("os.fstat", look)
        lease.release()
    assert stale
    assert other.attempt() is Turn.OURS
    other.release()
