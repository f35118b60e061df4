"""Other tools' files become blobs without a second copy, and what becomes none is as it was."""

import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kamiwaza_sdk import DigestMismatchException, InvalidInputException, StorageConfig, StorageService
from tests.conftest import NOBODY
from tests.storage.helpers import (
    PUBLISHED_NS,
    fifo,
    folder,
    keep,
    loop,
    misnamed,
    no_clone,
    nothing,
    sha256,
    when_hashed,
)

DATA = b"weights" * 1000
DIGEST = sha256(DATA)
MIB = 1024**2


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Another tool's file."""
    path = tmp_path / "source"
    path.write_bytes(DATA)
    path.chmod(0o640)
    return path


@pytest.fixture(autouse=True)
def no_reflink(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave the same whatever file system the tests run on, but where sharing blocks is what is tested."""
    if "cloning" not in request.fixturenames:
        monkeypatch.setattr(fcntl, "ioctl", no_clone)


def attributes(path: Path) -> tuple[int, int, int]:
    """What a hard link changes of a file."""
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink


@pytest.mark.parametrize("expected", [DIGEST, None])
def test_a_file_on_the_same_disk_gets_a_second_name(store: StorageService, source: Path, expected: str | None) -> None:
    blob = store.adopt(source, sha256=expected)
    assert (blob.by, blob.sha256, blob.size) == ("link", DIGEST, len(DATA))
    assert blob.path.samefile(source)
    assert stat.S_IMODE(source.stat().st_mode) == 0o444
    assert store.verify(DIGEST).path == blob.path
    assert list((store.root / "staging").iterdir()) == []


def test_a_blob_outlives_the_other_name(store: StorageService, source: Path) -> None:
    store.adopt(source)
    source.unlink()
    assert store.verify(DIGEST).path.read_bytes() == DATA


def test_a_write_through_the_other_name_is_noticed(store: StorageService, source: Path) -> None:
    store.adopt(source)
    source.chmod(0o644)
    with source.open("r+b") as file:
        file.write(b"W")
    assert store.find(DIGEST) is None
    assert misnamed(store.root) == []


def test_a_link_stands_for_its_file(store: StorageService, source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("source")
    blob = store.adopt(str(tmp_path / "link"))
    assert (blob.by, blob.path.is_symlink(), blob.path.samefile(source)) == ("link", False, True)


def test_shared_blocks_are_preferred_and_leave_the_file_alone(cloning: Path) -> None:
    """On a file system that can, nothing of the other file changes, and no room is taken."""
    source = cloning / "source"
    source.write_bytes(os.urandom(32 * MIB))
    os.sync()
    before, free = attributes(source), shutil.disk_usage(cloning).free
    store = StorageService(StorageConfig(root=cloning / "store"))
    blob = store.adopt(source)
    os.sync()
    assert (blob.by, attributes(source)) == ("reflink", before)
    assert free - shutil.disk_usage(cloning).free < 4 * MIB
    source.write_bytes(b"edited")
    assert store.verify(blob.sha256).size == 32 * MIB


def test_across_disks_it_is_copied(tmpfs: Callable[..., Path], store: StorageService) -> None:
    source = tmpfs("other") / "source"
    source.write_bytes(DATA)
    before = attributes(source)
    assert (store.adopt(source).by, attributes(source)) == ("copy", before)
    assert store.verify(DIGEST).size == len(DATA)


def test_the_blobs_on_another_disk_than_the_staging_area(
    tmpfs: Callable[..., Path], store: StorageService, source: Path
) -> None:
    """What is linked to the staging area, and copied from there, was copied, and is as it was."""
    store.root.mkdir()
    (store.root / "blobs").symlink_to(tmpfs("blobs"))
    before = attributes(source)
    assert (store.adopt(source).by, attributes(source)) == ("copy", before)
    assert store.verify(DIGEST).size == len(DATA)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have another user's file")
def test_the_file_of_another_user_is_copied(store: StorageService, source: Path) -> None:
    os.chown(source, NOBODY, NOBODY)
    before = attributes(source)
    assert (store.adopt(source).by, attributes(source)) == ("copy", before)


def test_what_cannot_be_published_is_copied(
    store: StorageService, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a flag of the file forbids to set its time, it is copied, and has its mode again."""
    before = attributes(source)
    set_time = os.utime

    def refuse(file: int, *, ns: tuple[int, int] | None = None) -> None:
        if ns is None:  # the lock of the staging area says that it is used now
            return set_time(file)
        monkeypatch.undo()
        monkeypatch.setattr(fcntl, "ioctl", no_clone)
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert (store.adopt(source).by, attributes(source)) == ("copy", before)


@pytest.mark.parametrize("promised", [True, False])
def test_what_is_kept_already_stays_two_files(store: StorageService, source: Path, *, promised: bool) -> None:
    keep(store, DATA)
    before = attributes(source)
    blob = store.adopt(source, sha256=DIGEST if promised else None)
    assert (blob.by, blob.path.samefile(source), attributes(source)) == ("kept", False, before)


def test_a_file_with_another_digest_is_refused_and_as_it_was(store: StorageService, source: Path) -> None:
    before = attributes(source)
    with pytest.raises(DigestMismatchException) as caught:
        store.adopt(source, sha256="ab" * 32)
    assert (caught.value.actual, attributes(source)) == (DIGEST, before)
    assert store.find(DIGEST) is None


def test_a_file_that_is_written_to_meanwhile_is_refused(
    store: StorageService, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer who had it open before is noticed, and no blob is left that is not what its name says."""
    with source.open("r+b") as writer:

        def write() -> None:
            writer.write(b"W")
            writer.flush()

        when_hashed(monkeypatch, write)
        with pytest.raises(InvalidInputException, match="is being written to"):
            store.adopt(source)
    assert (misnamed(store.root), stat.S_IMODE(source.stat().st_mode)) == ([], 0o640)


def test_who_adopts_the_same_file_at_the_same_time_gets_the_same_blob(store: StorageService, source: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        blobs = list(threads.map(lambda _: store.adopt(source), range(32)))
    assert {(blob.sha256, blob.size) for blob in blobs} == {(DIGEST, len(DATA))}
    assert {blob.by for blob in blobs} <= {"link", "kept"}
    assert attributes(source) == (0o444, PUBLISHED_NS, 2)


@pytest.mark.parametrize("make", [folder, fifo, loop, nothing])
@pytest.mark.parametrize("expected", [DIGEST, None])
def test_what_is_no_file_is_refused(
    store: StorageService, tmp_path: Path, make: Callable[[Path], object], expected: str | None
) -> None:
    """A directory, a FIFO, a loop of links and a missing file are refused by name, kept or not, and do not block."""
    keep(store, DATA)
    make(tmp_path / "thing")
    with pytest.raises(InvalidInputException, match="thing is no file"):
        store.adopt(tmp_path / "thing", sha256=expected)
