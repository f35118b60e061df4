"""The lock of a partial file, by flock and by lease."""

import errno
import os
import signal
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from kamiwaza_sdk._files import NewFileMode
from kamiwaza_sdk.services.download.partial.journal import Header
from kamiwaza_sdk.services.download.partial.lease import LeaseLock
from kamiwaza_sdk.services.download.partial.lock import FileLock, LockState, PartialNames
from kamiwaza_sdk.services.download.transfer.acquire import Acquisition, expectations
from tests.download.helpers import entries

HEADER = Header(url="u", final_url="https://example.org/m").line()
LINE = f"4194304 {'cd' * 32}\n".encode()
PUBLISHED = f"published 3 {'ab' * 32}\n".encode()


@pytest.fixture
def lock(target: Path) -> Generator[Callable[[], FileLock]]:
    """Makes one more claim, released afterwards."""
    made: list[FileLock] = []

    def make() -> FileLock:
        made.append(FileLock(PartialNames(target)))
        return made[-1]

    yield make
    for one in made:
        one.release()


def acquisition(target: Path) -> Acquisition:
    return Acquisition(
        target, expectations(limit=1000), url="https://example.org/m", key="u", path=target, mode=NewFileMode()
    )


def published(leader: FileLock, target: Path, last_word: bytes = PUBLISHED) -> None:
    leader.seal()
    Path(leader.partial).rename(target)
    leader.finish(lambda: last_word, published=True)


@pytest.mark.parametrize("begun", [True, False])
def test_follower_reads_the_outcome(target: Path, lock: Callable[[], FileLock], *, begun: bool) -> None:
    """Also of a small file, whose leader has no use for a journal: then who waits has made one."""
    leader, follower = lock(), lock()
    assert leader.acquire() is LockState.ACQUIRED
    if begun:
        leader.begin(HEADER)
    assert follower.acquire() is LockState.HELD_BY_ANOTHER
    assert follower.progress() == (0, None)
    published(leader, target, HEADER + PUBLISHED)

    assert follower.acquire() is LockState.FINISHED
    assert follower.outcome is not None
    assert follower.outcome.header is not None
    assert follower.outcome.published == (3, "ab" * 32)
    assert entries(target.parent) == [target.name]


def test_no_journal_is_created_without_a_follower(target: Path, lock: Callable[[], FileLock]) -> None:
    leader = lock()
    assert leader.acquire() is LockState.ACQUIRED
    assert [Path(name).suffix for name in entries(target.parent)] == [".partial"]
    published(leader, target)
    assert entries(target.parent) == [target.name]


def test_follower_of_an_ended_holder_acquires_the_lock(target: Path, lock: Callable[[], FileLock]) -> None:
    leader, follower = lock(), lock()
    assert leader.acquire() is LockState.ACQUIRED
    leader.seal()  # the last moment to be heard of
    assert follower.acquire() is LockState.HELD_BY_ANOTHER
    Path(leader.partial).rename(target)
    leader.finish(lambda: PUBLISHED, published=True)
    assert follower.acquire() is LockState.ACQUIRED
    follower.finish(bytes, published=False)
    assert entries(target.parent) == [target.name]


def test_cancelled_follower_leaves_no_journal(target: Path, lock: Callable[[], FileLock]) -> None:
    leader, follower = lock(), acquisition(target)
    assert leader.acquire() is LockState.ACQUIRED
    leader.seal()  # as above
    assert follower.attempt() is None
    Path(leader.partial).rename(target)
    leader.finish(lambda: PUBLISHED, published=True)
    follower.leave(keep=True)
    assert entries(target.parent) == [target.name]


def test_acquire_without_following_creates_no_journal(target: Path, lock: Callable[[], FileLock]) -> None:
    """Else several who give up at once would make it for each other."""
    leader, other = lock(), lock()
    assert leader.acquire() is LockState.ACQUIRED
    assert other.acquire(follow=False) is LockState.HELD_BY_ANOTHER
    assert [Path(name).suffix for name in entries(target.parent)] == [".partial"]


def test_cancelled_follower_keeps_the_partial_file_of_a_dead_holder(target: Path, lock: Callable[[], FileLock]) -> None:
    leader, follower = lock(), acquisition(target)
    assert leader.acquire() is LockState.ACQUIRED
    leader.begin(HEADER + LINE)
    os.write(leader.open(empty=False), b"abc")
    assert follower.attempt() is None
    leader.release()
    left = entries(target.parent)
    follower.leave(keep=True)
    assert entries(target.parent) == left
    assert Path(leader.journal).read_bytes() == HEADER + LINE


def test_next_holder_may_acquire_before_the_last_has_released(target: Path, lock: Callable[[], FileLock]) -> None:
    """While its directory is synced, say. Neither touches the other's journal."""
    last, follower, following = lock(), lock(), lock()
    assert last.acquire() is LockState.ACQUIRED
    last.begin(HEADER)
    assert follower.acquire() is LockState.HELD_BY_ANOTHER
    last.seal()
    Path(last.partial).rename(target)
    assert following.acquire() is LockState.ACQUIRED
    following.begin(HEADER)
    following.append(LINE)
    last.finish(lambda: HEADER + PUBLISHED, published=True)

    assert follower.acquire() is LockState.FINISHED
    assert Path(following.journal).read_bytes() == HEADER + LINE
    published(following, target)
    assert entries(target.parent) == [target.name]


def test_sealed_journal_of_a_dead_holder_is_recovered(target: Path, lock: Callable[[], FileLock]) -> None:
    """Whoever dies between the two leaves all that is to be known."""
    dead, next_one = lock(), lock()
    assert dead.acquire() is LockState.ACQUIRED
    os.write(dead.open(empty=False), b"abc")
    dead.begin(HEADER)
    dead.append(LINE)
    dead.seal()
    dead.release()
    assert next_one.acquire() is LockState.ACQUIRED
    assert next_one.read().offset == 4194304
    next_one.begin(HEADER + LINE)
    published(next_one, target)
    assert entries(target.parent) == [target.name]


@pytest.mark.parametrize("last_word", [PUBLISHED, b""])
def test_partial_file_renamed_by_nfs_is_no_lock_any_more(
    target: Path, lock: Callable[[], FileLock], last_word: bytes
) -> None:
    """As on NFS, where an open file that is unlinked gets another name, and keeps its link."""
    leader, follower, newcomer = lock(), lock(), lock()
    assert leader.acquire() is LockState.ACQUIRED
    leader.begin(HEADER)
    assert follower.acquire() is LockState.HELD_BY_ANOTHER
    leader.append(last_word)
    Path(leader.partial).rename(target.with_name(".nfs0001"))
    leader.release()

    assert follower.acquire() is (LockState.FINISHED if last_word else LockState.ACQUIRED)
    assert newcomer.acquire() is (LockState.ACQUIRED if last_word else LockState.HELD_BY_ANOTHER)


def put_in_the_way(name: str, kind: str, precious: Path) -> None:
    if kind == "hard link":
        Path(name).hardlink_to(precious)
    elif kind == "symbolic link":
        Path(name).symlink_to(precious)
    else:
        os.mkfifo(name)


@pytest.mark.parametrize("kind", ["hard link", "symbolic link", "fifo"])
def test_linked_partial_file_is_not_written_through(target: Path, lock: Callable[[], FileLock], kind: str) -> None:
    precious, leader = target.with_name("precious"), lock()
    precious.write_bytes(b"precious")
    put_in_the_way(leader.partial, kind, precious)
    assert leader.acquire() is LockState.ACQUIRED
    assert leader.left() is None
    os.write(leader.open(empty=True), b"other")
    published(leader, target)
    assert (precious.read_bytes(), target.read_bytes()) == (b"precious", b"other")


@pytest.mark.parametrize("kind", ["hard link", "symbolic link", "fifo"])
@pytest.mark.parametrize("begun", [True, False])
def test_linked_journal_is_not_written_through(
    target: Path, lock: Callable[[], FileLock], kind: str, *, begun: bool
) -> None:
    """As where a directory was copied as links while a download in it was unfinished."""
    precious, leader, follower = target.with_name("precious"), lock(), lock()
    precious.write_bytes(b"precious")
    assert leader.acquire() is LockState.ACQUIRED
    put_in_the_way(leader.journal, kind, precious)
    if begun:
        leader.begin(HEADER)
        assert follower.acquire() is LockState.HELD_BY_ANOTHER
    published(leader, target, HEADER + PUBLISHED)
    assert precious.read_bytes() == b"precious"
    if begun:
        assert follower.acquire() is LockState.FINISHED
    assert entries(target.parent) == sorted([target.name, "precious"])


def test_right_journal_is_not_rewritten(lock: Callable[[], FileLock], monkeypatch: pytest.MonkeyPatch) -> None:
    """So whoever goes on, and dies at once, costs nothing of what was there."""
    leader = lock()
    assert leader.acquire() is LockState.ACQUIRED
    leader.begin(HEADER + LINE)
    leader.append(b"torn")
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda *_: pytest.fail("nothing is to be written"))
        leader.begin(HEADER + LINE)
    assert Path(leader.journal).read_bytes() == HEADER + LINE
    leader.begin(LINE)
    leader.append(LINE)
    assert Path(leader.journal).read_bytes() == LINE + LINE


def test_forked_child_does_not_hold_a_released_lock(lock: Callable[[], FileLock]) -> None:
    """As the workers of a data loader are, which live on long after the download."""
    leader, newcomer = lock(), lock()
    assert leader.acquire() is LockState.ACQUIRED
    end, other_end = os.pipe()
    child = os.fork()
    if not child:  # lives until the pipe is closed, and then ends without running anything of pytest's
        os.close(other_end)
        os.read(end, 1)
        os._exit(0)
    os.close(end)
    try:
        leader.release()
        assert newcomer.acquire() is LockState.ACQUIRED
    finally:
        os.close(other_end)
        os.waitpid(child, 0)


def test_forked_child_does_not_hold_the_lock_of_its_killed_parent(target: Path, lock: Callable[[], FileLock]) -> None:
    told, tell = os.pipe()
    end, other_end = os.pipe()
    parent = os.fork()
    if not parent:  # its child lives until the pipe is closed, and neither runs anything of pytest's
        os.close(other_end)
        leader = FileLock(PartialNames(target))
        turn = leader.acquire()
        if not os.fork():
            os.write(tell, turn.name.encode())
        os.read(end, 1)
        os._exit(0)
    os.close(end)
    try:
        assert os.read(told, 16) == b"ACQUIRED"
        newcomer = lock()
        assert newcomer.acquire() is LockState.HELD_BY_ANOTHER
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        assert newcomer.acquire() is LockState.ACQUIRED
    finally:
        for descriptor in (other_end, told, tell):
            os.close(descriptor)


@pytest.mark.parametrize("refused", ["os.write", "os.unlink"])
def test_lock_is_released_if_the_disk_fails(
    lock: Callable[[], FileLock], monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """As on a disk that is full, or that became read-only."""
    leader, follower = lock(), lock()
    assert leader.acquire() is LockState.ACQUIRED
    assert follower.acquire() is LockState.HELD_BY_ANOTHER

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(refused, refuse)
        with pytest.raises(OSError, match="Read-only"):
            leader.finish(lambda: PUBLISHED, published=False)
    assert follower.acquire() is LockState.ACQUIRED


def test_sealed_and_discarded_transfer_leaves_nothing(target: Path, lock: Callable[[], FileLock]) -> None:
    """As where the path has become a directory meanwhile."""
    leader = lock()
    assert leader.acquire() is LockState.ACQUIRED
    leader.begin(HEADER)
    leader.seal()
    leader.finish(bytes, published=False)
    assert entries(target.parent) == []


def test_unused_lease_leaves_nothing(target: Path) -> None:
    """As of who is cancelled while it looks at what another has left."""
    lease = LeaseLock(PartialNames(target))
    assert lease.acquire() is LockState.ACQUIRED
    lease.open(empty=False)
    lease.release()
    assert entries(target.parent) == []


def test_lease_is_released_if_its_journal_is_out_of_reach(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease, other = LeaseLock(PartialNames(target)), LeaseLock(PartialNames(target))
    assert lease.acquire() is LockState.ACQUIRED

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
    assert other.acquire() is LockState.ACQUIRED
    other.release()
