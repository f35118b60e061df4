"""Where writers work: paths of their own, removed afterwards, by others if they died."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageConfig, StorageService
from kamiwaza_sdk.exceptions import ConfigurationException, InvalidInputException
from kamiwaza_sdk.services.storage import staging
from kamiwaza_sdk.services.storage.setup import prepare
from kamiwaza_sdk.services.storage.staging import STALE_AFTER, sweep
from tests.storage.helpers import keep, sha256, tree

#: Stages a file by a key, or by none, says where, and is then waited for or killed.
_WRITER = """
import sys, time
from kamiwaza_sdk import StorageConfig, StorageService
with StorageService(StorageConfig(root=sys.argv[1])).stage(*sys.argv[2:]) as path:
    path.write_bytes(b"half")
    print(path, flush=True)
    sys.stdin.read()
"""
#: Finds its file where it wrote it, however many others sweep meanwhile.
_COME_AND_GO = """
import os, sys
from kamiwaza_sdk import StorageConfig, StorageService
from kamiwaza_sdk.services.storage import staging
staging.STALE_AFTER = -3600
store, seen = StorageService(StorageConfig(root=sys.argv[1])), 0
for number in range(300):
    with store.stage("abc" if number % 3 else None) as path:
        mine = path.with_name(f"of-{os.getpid()}")
        mine.write_bytes(b"x")
        staging.sweep(store.root, now=2**40)
        seen += mine.read_bytes() == b"x"
        mine.unlink()
    if not number:
        print("begun", flush=True)
print(seen)
"""
_FETCH = """
import asyncio, sys
from kamiwaza_sdk import HubService, StorageConfig, StorageService
store = StorageService(StorageConfig(root=sys.argv[1] + "/store"))
print(asyncio.run(HubService(storage=store).fetch(sys.argv[1] + "/source")).size)
"""
EMPTY = {"blobs": None, "blobs/sha256": None, "quarantine": None, "staging": None}


def without_format(root: Path) -> dict[str, bytes | str | None]:
    """Return what lies in a store, but for what says which format it has."""
    return {path: content for path, content in tree(root).items() if path != "format.json"}


def killed_writer(store: StorageService, key: str | None) -> Path:
    """Return what a process that was killed while it wrote has left."""
    command = [sys.executable, "-c", _WRITER, str(store.root), *([] if key is None else [key])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        left = Path(writer.stdout.readline().strip())
        writer.kill()
    return left


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
    assert without_format(store.root) == EMPTY


def test_an_unused_context_creates_nothing(store: StorageService) -> None:
    """Nothing is created before a staging path is entered."""
    store.stage()
    assert not store.root.exists()


def test_a_place_in_use_is_never_swept_whatever_the_clock_says(store: StorageService) -> None:
    """A writer that has been silent for a thousand years keeps its place, alone or shared, and others' files stay."""
    (store.root / "staging").mkdir(parents=True)
    (store.root / "staging" / "not ours").write_bytes(b"x")
    with store.stage() as alone, store.stage("abc") as shared:
        alone.write_bytes(b"x")
        sweep(store.root, now=time.time() + 1000 * 365 * 24 * 3600)
        shared.write_bytes(b"x")
        assert alone.read_bytes() == b"x"
    sweep(store.root, now=time.time() + 1000 * 365 * 24 * 3600)
    assert tree(store.root / "staging") == {"not ours": b"x"}


@pytest.mark.parametrize("key", ["abc", None])
def test_what_a_killed_writer_left_goes_a_week_after_its_last_change(store: StorageService, key: str | None) -> None:
    """Its lock ends with it, whatever time its files claim; a week is what a later writer has to go on with them."""
    left = killed_writer(store, key)
    os.utime(left, ns=(0, 0))
    sweep(store.root, now=time.time() + STALE_AFTER - 60)
    assert left.read_bytes() == b"half"
    sweep(store.root, now=time.time() + STALE_AFTER + 60)
    assert tree(store.root / "staging") == {}


def test_what_a_killed_writer_left_is_gone_on_with(store: StorageService) -> None:
    """Who gives the same key finds it, and from then on it is in use; a place that nothing is left in goes."""
    left = killed_writer(store, "abc")
    with store.stage("abc") as path:
        assert (path, path.read_bytes()) == (left, b"half")
        sweep(store.root, now=time.time() + 2 * STALE_AFTER)
        assert path.read_bytes() == b"half"
        path.unlink()
    assert tree(store.root / "staging") == {}


def test_the_next_writer_sweeps(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later writer removes stale leftovers by itself, and no place of another process that is at work."""
    left = killed_writer(store, None)
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(store.root), "abc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None
        working = Path(writer.stdout.readline().strip())
        monkeypatch.setattr(staging, "STALE_AFTER", -3600)
        keep(store, b"x")
        assert not left.parent.exists()
        assert working.read_bytes() == b"half"
        writer.kill()
    keep(store, b"y")
    assert tree(store.root / "staging") == {}


@pytest.mark.parametrize("offset", ["+8d", "+400d", "-400d"])
def test_a_clock_that_is_wrong_costs_no_writer_its_place(tmp_path: Path, offset: str) -> None:
    """Twenty files are stored at once by a process whose clock is far from the file system's."""
    faketime = shutil.which("faketime")
    if faketime is None:
        assert not os.environ.get("CI"), "Debian's faketime is missing"
        pytest.skip("needs Debian's faketime")
    (tmp_path / "source").mkdir()
    for number in range(20):
        (tmp_path / "source" / f"{number}.bin").write_bytes(bytes([number]) * 2000)
    command = [faketime, "-f", offset, sys.executable, "-c", _FETCH, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("40000", 0), done.stderr


def test_where_there_are_no_locks_the_clock_of_the_file_system_decides(
    store: StorageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All works as before, nothing but blobs is left, and only what has not changed for a week is swept."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    left = killed_writer(store, "old")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with store.stage("abc") as one, store.stage("abc") as two, store.stage() as alone:
        assert one == two
        for path in (one, alone):
            path.write_bytes(b"x")
        sweep(store.root, now=time.time() + STALE_AFTER - 60)
        assert (one.read_bytes(), alone.read_bytes(), left.read_bytes()) == (b"x", b"x", b"half")
        one.unlink()
    sweep(store.root, now=time.time() + STALE_AFTER + 60)
    assert tree(store.root / "staging") == {}


def test_an_error_while_clearing_up_is_not_raised(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is kept all the same, and an error of the writer's own is the one that is raised."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for key in ("abc", None):
        with monkeypatch.context() as broken, store.stage(key) as path:
            path.write_bytes(b"x")
            blob = store.publish(path, sha256=sha256(b"x"), size=1)
            for module, name in [(os, "unlink"), (os, "rmdir"), (os, "scandir"), (Path, "unlink"), (Path, "rmdir")]:
                broken.setattr(module, name, refuse)
            path.with_name("more").touch()
            path.write_bytes(b"x")
            assert store.publish(path, sha256=sha256(b"x"), size=1) == blob
        with monkeypatch.context() as broken, pytest.raises(FileExistsError), store.stage(key) as path:
            _break_and_fail(broken, path, refuse)


def _break_and_fail(broken: pytest.MonkeyPatch, path: Path, refuse: Callable[..., None]) -> None:
    broken.setattr(os, "rmdir", refuse)
    broken.setattr(Path, "rmdir", refuse)
    path.parent.mkdir()


def test_sweeping_needs_no_store(tmp_path: Path) -> None:
    """Sweeping where there is no store does nothing."""
    sweep(tmp_path / "none", now=time.time())
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
    assert without_format(store.root) == EMPTY


def test_a_shared_place_stays_while_somebody_is_in_it(store: StorageService) -> None:
    """Who leaves does not take it from the others, and the last who leaves takes it, unless something is left."""
    with store.stage("abc") as path:
        with store.stage("abc"):
            pass
        path.write_bytes(b"x")
    with store.stage("abc") as path:
        path.unlink()
    assert without_format(store.root) == EMPTY


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
    assert without_format(store.root) == EMPTY


def test_processes_that_sweep_everything_take_no_place_from_each_other(store: StorageService) -> None:
    """Four processes, to whom all that is not in use is stale, come and go, alone and together; one is killed."""
    command = [sys.executable, "-c", _COME_AND_GO, str(store.root)]
    with ExitStack() as started:
        processes = [
            started.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            for _ in range(4)
        ]
        assert processes[0].stdout is not None
        assert processes[0].stdout.readline() == "begun\n"
        processes[0].kill()
        told = [process.communicate() for process in processes]
    assert [(out.split(), error) for out, error in told[1:]] == [(["begun", "300"], "")] * 3


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
