"""What of an unfinished file is sure to be on disk."""

import threading
from pathlib import Path

import pytest

from kamiwaza_sdk.services.download import _partial
from kamiwaza_sdk.services.download._claim import FileClaim, Place
from kamiwaza_sdk.services.download._journal import Header, parse
from kamiwaza_sdk.services.download._partial import CHECKPOINT, Partial

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

    monkeypatch.setattr(_partial, "SYNC", 2 * CHECKPOINT)
    monkeypatch.setattr("os.fdatasync", note)
    return seen


def begun(path: Path) -> Partial:
    claim = FileClaim(Place(path))
    assert claim.attempt()
    partial = Partial(claim, path, url="https://example.org/m", stopped=threading.Event())
    partial.recover(claim.read())
    partial.expect(HEADER, None)
    return partial


def test_a_sync_takes_along_the_line_that_says_how_far_it_is(tmp_path: Path, synced: list[str]) -> None:
    partial = begun(tmp_path / "m")
    for _ in range(5):
        partial.write(PIECE, partial.offset)
    partial.keep()
    assert synced == [".partial", ".journal 2", ".partial", ".journal 4"]


def test_what_was_left_unsynced_is_synced_soon_after_going_on(tmp_path: Path, synced: list[str]) -> None:
    """However often a process is killed before it came to syncing, no more than that is ever at stake."""
    left = begun(tmp_path / "m")
    left.write(PIECE, left.offset)
    left.keep()
    partial = begun(tmp_path / "m")
    assert (partial.reused, synced) == (CHECKPOINT, [])
    partial.write(PIECE, partial.offset)
    partial.keep()
    assert synced == [".partial", ".journal 2"]
