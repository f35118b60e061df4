"""What of an unfinished file is sure to be on disk, and what of it counts."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamiwaza_sdk._files import NewFileMode
from kamiwaza_sdk._tasks import CancelFlag
from kamiwaza_sdk.services.download.exceptions import DownloadDiskException
from kamiwaza_sdk.services.download.partial import file as file_module
from kamiwaza_sdk.services.download.partial.file import CHECKPOINT, Partial
from kamiwaza_sdk.services.download.partial.journal import Header, parse
from kamiwaza_sdk.services.download.partial.lock import FileLock, LockState, PartialNames

HEADER = Header(url="u", final_url="https://example.org/m", etag='"1"')
PIECE = memoryview(bytes(CHECKPOINT))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, by its suffix; a journal with how far it then had come. Due every two lines."""
    seen: list[str] = []

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        told = f" {parse(path.read_bytes()).offset // CHECKPOINT}" if path.suffix == ".journal" else ""
        seen.append(path.suffix + told)

    monkeypatch.setattr(file_module, "SYNC", 2 * CHECKPOINT)
    monkeypatch.setattr("os.fdatasync", note)
    return seen


def begun(path: Path) -> Partial:
    lock = FileLock(PartialNames(path))
    assert lock.acquire() is LockState.ACQUIRED
    partial = Partial(lock, path, path=path, url="https://example.org/m", stopped=CancelFlag(), mode=NewFileMode())
    partial.recover(lock.read())
    partial.expect(HEADER, None)
    return partial


def test_a_sync_takes_along_the_line_that_says_how_far_it_is(tmp_path: Path, synced: list[str]) -> None:
    partial = begun(tmp_path / "m")
    for number in range(5):
        partial.write(PIECE, number * CHECKPOINT)
    partial.keep()
    assert synced == [".partial", ".journal 2", ".partial", ".journal 4"]


def test_what_was_left_unsynced_is_synced_soon_after_going_on(tmp_path: Path, synced: list[str]) -> None:
    """However often a process is killed before it came to syncing, no more than that is ever at stake."""
    left = begun(tmp_path / "m")
    left.write(PIECE, 0)
    left.keep()
    partial = begun(tmp_path / "m")
    assert (partial.reused, synced) == (CHECKPOINT, [])
    partial.write(PIECE, CHECKPOINT)
    partial.keep()
    assert synced == [".partial", ".journal 2"]


@given(order=st.permutations(range(7)), sizes=st.lists(st.integers(1, 3 * CHECKPOINT), min_size=7, max_size=7))
@settings(max_examples=20, deadline=None)
def test_in_whatever_order_pieces_arrive_they_are_hashed_as_they_stand(
    order: list[int], sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("into") / "m"
    pieces = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    partial, arrived = begun(path), set[int]()
    for number in order:
        partial.write(memoryview(pieces[number]), sum(sizes[:number]))
        arrived.add(number)
        assert partial.offset == sum(sizes[: min(set(range(8)) - arrived)])
    assert partial.sha256() == hashlib.sha256(b"".join(pieces)).hexdigest()
    partial.publish()
    assert path.read_bytes() == b"".join(pieces)


@pytest.mark.parametrize("killed", [False, True])
def test_what_has_a_gap_before_it_is_dropped(tmp_path: Path, *, killed: bool) -> None:
    left = begun(tmp_path / "m")
    left.write(PIECE, 0)
    left.write(PIECE, 2 * CHECKPOINT)
    (file,) = tmp_path.glob("*.partial")
    assert (left.offset, file.stat().st_size) == (CHECKPOINT, 3 * CHECKPOINT)
    if not killed:
        left.close_gaps()
        assert file.stat().st_size == CHECKPOINT
    left.keep()
    if killed:
        os.truncate(file, 3 * CHECKPOINT)  # as it would have been
    partial = begun(tmp_path / "m")
    assert (partial.reused, file.stat().st_size) == (CHECKPOINT, CHECKPOINT)
    partial.write(PIECE, CHECKPOINT)
    assert partial.offset == 2 * CHECKPOINT
    partial.keep()


def test_what_somebody_else_cut_off_meanwhile_is_missed(tmp_path: Path) -> None:
    partial = begun(tmp_path / "m")
    partial.write(PIECE, CHECKPOINT)
    (file,) = tmp_path.glob("*.partial")
    os.truncate(file, CHECKPOINT + 1)
    with pytest.raises(DownloadDiskException, match="shorter"):
        partial.write(PIECE, 0)
    partial.discard()
