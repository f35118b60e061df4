"""Where writers work: paths of their own, removed afterwards, by others if they died."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageConfig, StorageService
from kamiwaza_sdk.exceptions import ConfigurationException, InvalidInputException
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


def test_a_shared_path_is_the_same_for_all_and_keeps_what_is_left(store: StorageService) -> None:
    """Writers who give one key meet, and a later one finds what an earlier one left; another key is another place."""
    with store.stage("abc") as one, store.stage("abc") as two, store.stage("abd") as other:
        assert one == two != other
        one.with_name("part").write_bytes(b"x")
    with store.stage("abc") as again:
        assert again == one
        assert again.with_name("part").read_bytes() == b"x"
        again.with_name("part").unlink()
    assert tree(store.root) == EMPTY


def test_a_shared_place_stays_while_somebody_is_in_it(store: StorageService) -> None:
    """Who leaves does not take it from the others, and a dead writer's is swept a week later."""
    with store.stage("abc") as path:
        with store.stage("abc"):
            pass
        path.write_bytes(b"x")
        sweep(store.root, now=time.time() + STALE_AFTER - 60)
        assert path.read_bytes() == b"x"
    sweep(store.root, now=time.time() + STALE_AFTER + 60)
    assert tree(store.root) == EMPTY


def test_many_enter_and_leave_a_shared_place_at_once(store: StorageService) -> None:
    """Nobody finds it gone, however fast others remove it."""

    def come_and_go(number: int) -> int:
        for _ in range(100):
            with store.stage("abc") as path:
                path.with_name(f"of-{number}").write_bytes(b"x")
                path.with_name(f"of-{number}").unlink()
        return number

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(come_and_go, range(8))) == list(range(8))
    assert tree(store.root) == EMPTY


def test_several_who_share_a_path_publish_it_once(store: StorageService) -> None:
    """All are given the blob, whoever of them moved the file."""
    digest = sha256(b"shared")

    def publish(path: Path) -> str:
        return store.publish(path, sha256=digest, size=6).sha256

    for _ in range(50):
        with store.stage("abc") as path, ThreadPoolExecutor(2) as threads:
            path.write_bytes(b"shared")
            first, second = threads.submit(publish, path), threads.submit(publish, path)
            answers = [future.result() if future.exception() is None else None for future in (first, second)]
            assert digest in answers
            assert {type(future.exception()) for future in (first, second)} <= {type(None), InvalidInputException}
        store.path(digest).unlink()
