"""A process that is killed leaves the old state or the new one, never something in between."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageConfig, StorageService
from tests.storage.crashing import ADDED, ADOPTED, PUBLISHED, SMALL, STEP, keep_small
from tests.storage.helpers import File, Version, keep, misnamed, sha256

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def ground() -> Generator[Path]:
    """A directory that does not outlive the test; in memory where possible, as no one pulls the plug."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


def _crash(when: str, ground: Path) -> int:
    """Return how many children were killed."""
    command = [sys.executable, "-m", "tests.storage.crashing", when, str(ground)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY, env=_environment())
    return int(done.stdout)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def test_killed_at_every_line(ground: Path) -> None:
    """Killed before lines of the store's code in turn, all that stands under a final name is whole and usable."""
    lines = _crash("line", ground)
    assert lines > 200
    for line in range(1, lines + 1, STEP):
        store = StorageService(StorageConfig(root=ground / str(line) / "store"))
        assert misnamed(store.root) == []
        assert keep(store, PUBLISHED).path.read_bytes() == PUBLISHED
        keep_small(store)
        assert [store.verify(sha256(content)).size for content in SMALL] == [len(content) for content in SMALL]
        other = ground / str(line) / "other"
        assert other.read_bytes() == ADOPTED
        assert store.adopt(other).path.read_bytes() == ADOPTED
        _finish(store, ground / str(line) / "model")


def _finish(store: StorageService, model: Path) -> None:
    """Repeat the layout that was cut short, and find it complete, with nothing but temporary files to tell of it."""
    blob = keep(store, ADDED)
    store.materialize(Version([File("sub/file", blob.size, blob.sha256)]), model, writable=True)
    names = {path.name for path in (model / "sub").iterdir() if not path.name.startswith(".kamiwaza-")}
    assert (names, (model / "sub/file").read_bytes()) == ({"file"}, ADDED)


def test_killed_at_any_moment(ground: Path) -> None:
    """Killed at random moments while adding files of 4 MiB, every blob is whole, and leftovers hurt no one."""
    assert _crash("moment", ground) == 40
    store = StorageService(StorageConfig(root=ground / "store"))
    assert len(list(store.root.glob("blobs/sha256/*/*"))) >= 40
    assert misnamed(store.root) == []
    leftovers = sorted((store.root / "staging").iterdir())
    assert leftovers
    assert keep(store, ADDED).path.read_bytes() == ADDED
    assert sorted((store.root / "staging").iterdir()) == leftovers
