"""Where writers work: paths of their own, removed afterwards, by others if they died."""

import os
import time
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageConfig, StorageService
from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.storage.setup import STALE_AFTER, prepare, sweep
from tests.storage.helpers import keep, sha256, tree

EMPTY = {"blobs": None, "blobs/sha256": None, "quarantine": None, "staging": None}


def _write_and_fail(path: Path) -> None:
    path.write_bytes(b"x")
    path.mkdir()


def test_paths_are_fresh_and_removed(store: StorageService) -> None:
    """Two writers get two paths that do not exist yet; all that stands there on exit goes, after an error too."""
    with store.stage() as one, store.stage() as two:
        assert one != two
        assert not one.exists()
        one.write_bytes(b"x")
        one.with_suffix(".part").write_bytes(b"x")
        (two.parent / "folder").mkdir()
    with pytest.raises(FileExistsError), store.stage() as path:
        _write_and_fail(path)
    assert tree(store.root) == EMPTY


def test_an_unused_context_creates_nothing(store: StorageService) -> None:
    """Nothing is created before a staging path is entered."""
    store.stage()
    assert not store.root.exists()


def test_stale_leftovers_are_swept(store: StorageService) -> None:
    """What a writer left goes a week after its last change, whatever time its files claim, and nothing else does."""
    with store.stage() as path:
        path.write_bytes(b"x")
        os.utime(path, ns=(0, 0))
        (store.root / "staging" / "not ours").write_bytes(b"x")
        sweep(store.root, now=time.time() + STALE_AFTER - 60)
        assert path.read_bytes() == b"x"
        sweep(store.root, now=time.time() + STALE_AFTER + 60)
        assert tree(store.root / "staging") == {"not ours": b"x"}


def test_the_next_writer_sweeps(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later writer removes stale leftovers by itself."""
    with store.stage() as path:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + STALE_AFTER + 60)
        keep(store, b"x")
        assert not path.parent.exists()


def test_sweeping_needs_no_store(tmp_path: Path) -> None:
    """Sweeping where there is no store does nothing."""
    sweep(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_root_that_is_a_file(tmp_path: Path) -> None:
    """A root that is a file, or lies below one, or is a link to nothing, is a configuration error that names it."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for root in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "link"):
        service = StorageService(StorageConfig(root=root))
        assert service.find(sha256(b"")) is None
        with pytest.raises(ConfigurationException, match=str(tmp_path)), service.stage():
            pass


def test_a_removed_store_is_made_again(store: StorageService) -> None:
    """A service does not depend on directories it saw earlier."""
    keep(store, b"x")
    store.root.rename(store.root.with_name("elsewhere"))
    assert keep(store, b"y").path.read_bytes() == b"y"


def test_directories_follow_the_umask(store: StorageService) -> None:
    """A store is as private or as shared as the user's umask says."""
    before = os.umask(0o077)
    try:
        prepare(store.root)
    finally:
        os.umask(before)
    assert store.root.stat().st_mode & 0o777 == 0o700
