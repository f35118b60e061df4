"""Local files come in as copies that are what their name says."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import (
    DigestMismatchException,
    StorageConfig,
    StorageFullException,
    StorageQuotaException,
    StorageService,
)
from kamiwaza_sdk.exceptions import InvalidInputException
from tests.storage.helpers import fifo, folder, loop, misnamed, no_clone, nothing, sha256, when_hashed

Make = Callable[[Path], object]

DATA = b"weights" * 500_000
DIGEST = sha256(DATA)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file larger than one chunk."""
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def test_add_copies(store: StorageService, source: Path) -> None:
    """The blob is another file than the source, which is left as it was, and its later edits do not reach the blob."""
    before = source.stat()
    blob = store.add(source)
    assert (blob.sha256, blob.size, blob.path.read_bytes()) == (DIGEST, len(DATA), DATA)
    after = source.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, 1)
    source.write_bytes(b"edited")
    assert store.verify(DIGEST) == blob
    assert list((store.root / "staging").iterdir()) == []


def test_add_takes_strings_and_links(store: StorageService, source: Path, tmp_path: Path) -> None:
    """A path as text will do, and a symbolic link stands for its file."""
    (tmp_path / "link").symlink_to(source)
    assert store.add(str(tmp_path / "link")).sha256 == DIGEST


def test_add_an_empty_file(store: StorageService, tmp_path: Path) -> None:
    """An empty file is a file."""
    (tmp_path / "empty").touch()
    assert store.add(tmp_path / "empty").size == 0


@pytest.mark.parametrize("kept", [True, False])
def test_add_checks_the_promise(store: StorageService, source: Path, tmp_path: Path, *, kept: bool) -> None:
    """A file with another digest than promised is not stored, also where the promised blob is kept already."""
    if kept:
        store.add(source)
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"other")
    with pytest.raises(DigestMismatchException) as caught:
        store.add(wrong, sha256=DIGEST)
    error = caught.value
    assert (error.expected, error.actual, error.path) == (DIGEST, sha256(b"other"), wrong)
    assert store.find(sha256(b"other")) is None


def test_add_what_is_kept_copies_nothing(store: StorageService, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promised blob that is kept needs no room for a second copy."""
    blob = store.add(source, sha256=DIGEST)
    monkeypatch.delattr(StorageService, "stage")
    assert store.add(source, sha256=DIGEST) == blob


@pytest.mark.parametrize("make", [folder, fifo, loop, nothing])
def test_add_refuses_what_is_no_file(store: StorageService, tmp_path: Path, make: Make) -> None:
    """A directory, a FIFO, a loop of links and a missing file are refused by name, and do not block."""
    make(tmp_path / "thing")
    with pytest.raises(InvalidInputException, match="thing is no file"):
        store.add(tmp_path / "thing")


@pytest.mark.parametrize("make", [folder, fifo, nothing])
def test_add_refuses_what_is_no_file_any_more(
    store: StorageService, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of a file between the first look and opening is not taken for an empty file."""
    file, look = tmp_path / "file", Path.stat
    file.touch()
    monkeypatch.setattr(Path, "stat", lambda self: look(file if self.name == "thing" else self))
    make(tmp_path / "thing")
    with pytest.raises(InvalidInputException, match="thing is no file"):
        store.add(tmp_path / "thing")


def test_add_refuses_a_name_that_no_file_can_have(store: StorageService, tmp_path: Path) -> None:
    for name in ("x" * 256, "x/" * 3000 + "x"):
        with pytest.raises(InvalidInputException, match="is no file"):
            store.add(tmp_path / name)
        with pytest.raises(InvalidInputException, match="is no file"):
            store.adopt(tmp_path / name, sha256=DIGEST)


@pytest.mark.parametrize("source", [None, 1, b"bytes", ["a"], "a\0b", "a\ud800"])
def test_what_is_no_path_is_refused(store: StorageService, source: Any) -> None:
    """By the name of the argument, whichever method it is given to."""
    for method in (store.add, store.adopt):
        with pytest.raises(InvalidInputException, match="^source must be a path on this machine"):
            method(source)
    with pytest.raises(InvalidInputException, match="^path must be a path on this machine"):
        store.publish(source, sha256=DIGEST, size=1)


def test_source_that_changes_while_it_is_read(store: StorageService, source: Path) -> None:
    """Whatever the source does during the copy, the blob hashes to its name."""

    def change() -> None:
        with source.open("r+b") as file:
            file.write(os.urandom(len(DATA)))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fcntl, "ioctl", no_clone)
        when_hashed(patched, change, piece=True)
        blob = store.add(source)
    assert store.verify(blob.sha256) == blob
    assert blob.sha256 != DIGEST
    assert misnamed(store.root) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.EINVAL])
def test_file_systems_without_clones(
    store: StorageService, source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where files cannot share blocks, they are copied, whatever the file system's words for it."""

    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert store.add(source).path.read_bytes() == DATA


def test_clones_that_fail_for_real(store: StorageService, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone that fails for lack of room is an error, not a reason to copy."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    with pytest.raises(StorageFullException):
        store.add(source)
    assert store.find(DIGEST) is None


@pytest.mark.parametrize("way", ["add", "adopt"])
def test_what_would_exceed_the_quota_is_refused(way: str, tmp_path: Path) -> None:
    store = StorageService(StorageConfig(root=tmp_path / "store", max_size=10))
    source = tmp_path / "source"
    source.write_bytes(b"12345678")
    blob = getattr(store, way)(source)
    (tmp_path / "other").write_bytes(b"abcdefgh")
    with pytest.raises(StorageQuotaException) as raised:
        getattr(store, way)(tmp_path / "other")
    assert (raised.value.needed, raised.value.blobs) == (8, 8)
    assert [kept.sha256 for kept in store.list_blobs()] == [blob.sha256]
    assert getattr(store, way)(source, sha256=blob.sha256).sha256 == blob.sha256
