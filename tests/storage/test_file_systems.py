"""Disks that are full, read-only, forbidden, separate, or able to share blocks."""

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    DigestMismatchException,
    StorageConfig,
    StorageDiskException,
    StorageFullException,
    StoragePermissionException,
    StorageService,
)
from tests.limits import no_file_larger_than
from tests.storage.helpers import File, Version, keep, misnamed, sha256, tree, version

DATA = b"weights" * 1000
DIGEST = sha256(DATA)
MIB = 1024**2


def _store(root: Path) -> StorageService:
    return StorageService(StorageConfig(root=root))


def test_full_disk(tmpfs: Callable[..., Path], tmp_path: Path) -> None:
    """Without room for a file, nothing of it remains, the error says how much it takes, and a smaller one fits."""
    store = _store(tmpfs("disk", size="1m"))
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2 * MIB))
    with pytest.raises(StorageFullException, match="2097152 bytes needed") as caught:
        store.add(source)
    error = caught.value
    assert (error.errno, error.needed) == (errno.ENOSPC, 2 * MIB)
    assert error.free is not None
    assert 0 < error.free <= MIB
    assert isinstance(error.__cause__, OSError)
    assert misnamed(store.root) == []
    assert keep(store, DATA).path.read_bytes() == DATA


def test_full_disk_to_lay_out_on(tmpfs: Callable[..., Path], store: StorageService) -> None:
    """A directory that fills up keeps the files that are whole, and nothing else."""
    disk = tmpfs("disk", size="1m")
    big = os.urandom(2 * MIB)
    with pytest.raises(StorageFullException) as caught:
        store.materialize(version(store, {"a": DATA, "b/big": big}), disk / "model")
    assert (caught.value.path, caught.value.needed) == (disk / "model/b/big", 2 * MIB)
    assert tree(disk / "model") == {"a": DATA, "b": None}


def test_no_room_for_a_name(tmpfs: Callable[..., Path]) -> None:
    """A file system without room for a directory is full, too."""
    disk = tmpfs("disk", size="1m,nr_inodes=3")
    with pytest.raises(StorageFullException, match="no room for"), _store(disk / "store").stage():
        pass


def test_staging_area_on_another_disk(tmpfs: Callable[..., Path], store: StorageService) -> None:
    """What is staged on one file system is copied to the blobs on another, hashed on the way, and nothing is left."""
    store.root.mkdir()
    (store.root / "staging").symlink_to(tmpfs("scratch"))
    blob = keep(store, DATA)
    assert store.verify(DIGEST) == blob == store.get(DIGEST, size=len(DATA))
    assert stat.S_IMODE(blob.path.stat().st_mode) == 0o444
    assert [path.name for path in (store.root / "blobs").rglob("*") if path.is_file()] == [DIGEST]
    assert list((store.root / "staging").iterdir()) == []


def test_what_changes_on_its_way_to_another_disk_is_refused(tmpfs: Callable[..., Path], store: StorageService) -> None:
    """The digest is that of what arrives, not of what was said."""
    store.root.mkdir()
    (store.root / "staging").symlink_to(tmpfs("scratch"))
    with store.stage() as path:
        path.write_bytes(DATA[::-1] + b"!")
        with pytest.raises(DigestMismatchException):
            store.publish(path, sha256=DIGEST, size=len(DATA) + 1)
    assert store.find(DIGEST) is None
    assert [path for path in (store.root / "blobs").rglob("*") if path.is_file()] == []


def test_read_only_disk(tmpfs: Callable[..., Path], tmp_path: Path) -> None:
    """A read-only store serves, verifies and lays out, by hard link or copy, and refuses to be written to."""
    disk = tmpfs("disk")
    store = _store(disk / "store")
    files = version(store, {"a": DATA})
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert store.find(DIGEST) == store.verify(DIGEST)
    assert tree(store.materialize(files, tmp_path / "model")) == {"a": DATA}
    for write in (lambda: keep(store, b"new"), lambda: store.materialize(files, disk / "model")):
        with pytest.raises(StoragePermissionException, match="Read-only") as caught:
            write()
        assert caught.value.errno == errno.EROFS


@pytest.mark.parametrize("edited", [False, True])
def test_suspect_blob_on_a_read_only_disk(
    tmpfs: Callable[..., Path], caplog: pytest.LogCaptureFixture, *, edited: bool
) -> None:
    """Where nothing can be put right, a right blob is found all the same, a wrong one not, each with a warning."""
    disk = tmpfs("disk")
    store = _store(disk)
    blob = keep(store, DATA)
    blob.path.chmod(0o644)
    blob.path.write_bytes(DATA.upper() if edited else DATA)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert store.find(DIGEST) == (None if edited else blob)
    assert ["was not moved away" in caplog.text, "hashed at every use" in caplog.text] == [edited, not edited]


def test_another_file_system(tmpfs: Callable[..., Path]) -> None:
    """Across file systems, sources are copied in and versions are copied out."""
    store = _store(tmpfs("disk"))
    other = tmpfs("other")
    (other / "source").write_bytes(DATA)
    assert store.add(other / "source").sha256 == DIGEST
    model = store.materialize(version(store, {"a": DATA}), other / "model")
    assert ((model / "a").read_bytes(), (model / "a").stat().st_nlink) == (DATA, 1)
    assert (model / "a").stat().st_mode & 0o7777 == 0o444


def test_forbidden_directories(unprivileged: Path) -> None:
    """A user without the right gets an error that names the place, for store, source and directory alike."""
    store = _store(unprivileged / "store")
    files = version(store, {"a": DATA})
    closed = unprivileged / "closed"
    closed.mkdir(mode=0o555)
    (unprivileged / "secret").touch(mode=0o000)
    (unprivileged / "locked").mkdir(mode=0o000)
    for use in (
        lambda: store.adopt(unprivileged / "locked/file", sha256=DIGEST),
        lambda: keep(_store(closed / "store"), DATA),
        lambda: store.materialize(files, closed / "model"),
        lambda: store.add(unprivileged / "secret"),
    ):
        with pytest.raises(StoragePermissionException, match=str(unprivileged)) as caught:
            use()
        assert caught.value.errno == errno.EACCES


def test_unreadable_store(unprivileged: Path) -> None:
    """A store that this user may not look into is no empty store."""
    store = _store(unprivileged / "store")
    keep(store, DATA)
    (store.root / "blobs").chmod(0o000)
    try:
        with pytest.raises(StoragePermissionException):
            store.find(DIGEST)
    finally:
        (store.root / "blobs").chmod(0o755)


def test_shared_blocks(cloning: Path) -> None:
    """On a file system that can, a file comes in and goes out without taking room again, as a file of its own."""
    source = cloning / "source"
    source.write_bytes(os.urandom(32 * MIB))
    os.sync()
    before = shutil.disk_usage(cloning).free
    store = _store(cloning / "store")
    blob = store.add(source)
    files = Version([File("a", blob.size, blob.sha256)])
    model = store.materialize(files, cloning / "model")
    mine = store.materialize(files, cloning / "mine", writable=True)
    os.sync()
    assert before - shutil.disk_usage(cloning).free < 8 * MIB
    assert [path.stat().st_nlink for path in (blob.path, model / "a", mine / "a")] == [1, 1, 1]
    with (mine / "a").open("r+b") as file:
        file.write(b"edited")
    assert store.verify(blob.sha256) == blob
    assert (model / "a").read_bytes() == source.read_bytes()


def test_a_file_system_that_takes_no_file_so_large(store: StorageService, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(MIB))
    refused = pytest.raises(StorageDiskException, match="File too large; choose a place")
    with no_file_larger_than(MIB // 2), refused as caught:
        store.add(tmp_path / "large")
    assert caught.value.errno == errno.EFBIG
    assert misnamed(store.root) == []
    assert store.add(tmp_path / "large").size == MIB
