"""What is published is found again, and what was edited since is noticed."""

import logging
import mmap
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    BlobCorruptException,
    BlobNotFoundException,
    BlobSchema,
    PathTraversalException,
    StorageConfig,
    StorageService,
)
from kamiwaza_sdk.exceptions import ConfigurationException, InvalidInputException
from tests.storage.helpers import PUBLISHED_NS, dangling, fifo, folder, keep, sha256, when_hashed, when_made

Edit = Callable[[Path, bytes], None]
Make = Callable[[Path], object]

DATA = b"weights" * 1000
OTHER = b"WEIGHTS" * 1000
DIGEST = sha256(DATA)


def _never() -> None:
    raise AssertionError("hashed without need")


def _write(link: Path, data: bytes) -> None:
    link.chmod(0o644)
    with link.open("r+b") as file:
        file.write(data)


def _map(link: Path, data: bytes) -> None:
    link.chmod(0o644)
    with link.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[: len(data)] = data


def test_constructor_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service can be made where its configuration is wrong: it is read when the root is first needed."""
    monkeypatch.setenv("STORAGE_SERVICE_RODT", str(tmp_path / "store"))
    service = StorageService()
    with pytest.raises(ConfigurationException, match="STORAGE_SERVICE_ROOT"):
        _ = service.root
    assert not (tmp_path / "store").exists()


def test_root_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A store does not wander when the working directory changes, and ``~`` is the user's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert StorageService(StorageConfig(root=Path("store"))).root == tmp_path / "store"
    assert StorageService(StorageConfig(root=Path("~/store"))).root == Path("/home/someone/store")


def test_path_is_named_by_content(store: StorageService) -> None:
    """A blob's place follows from its digest alone, however that is written."""
    expected = store.root / "blobs" / "sha256" / DIGEST[:2] / DIGEST
    assert store.path(DIGEST) == expected
    assert store.path(f"sha256:{DIGEST.upper()}") == expected
    assert not store.root.exists()


def test_a_digest_is_a_digest(store: StorageService) -> None:
    """Nothing but 64 hexadecimal digits can name a blob."""
    for wrong in ("", "ab", "../" * 20, "g" * 64, f"{DIGEST}\n"):
        with pytest.raises(InvalidInputException):
            store.find(wrong)


def test_published_is_found(store: StorageService) -> None:
    """A published blob is found with its size and path, read-only and with the constant time."""
    blob = keep(store, DATA)
    assert blob == BlobSchema(sha256=DIGEST, size=len(DATA), path=store.path(DIGEST))
    assert store.find(DIGEST) == store.get(DIGEST) == store.verify(DIGEST) == blob
    assert blob.path.read_bytes() == DATA
    status = blob.path.stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o444, PUBLISHED_NS)


def test_missing(store: StorageService) -> None:
    """A blob that is not kept is `None` to `find` and an error to `get` and `verify`, and nothing is created."""
    assert store.find(DIGEST) is None
    for method in (store.get, store.verify):
        with pytest.raises(BlobNotFoundException) as caught:
            method(DIGEST)
        assert (caught.value.sha256, caught.value.path) == (DIGEST, store.path(DIGEST))
    assert not store.root.exists()


def test_sound_is_cheap(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob that looks as published is not read."""
    blob = keep(store, DATA)
    when_hashed(monkeypatch, _never)
    assert store.find(DIGEST, size=len(DATA)) == blob


def test_touched_but_right(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob with another time is hashed once; being right, it gets its mode and time back."""
    blob = keep(store, DATA)
    blob.path.chmod(0o644)
    os.utime(blob.path)
    assert store.find(DIGEST) == blob
    assert blob.path.stat().st_mode & 0o7777 == 0o444
    when_hashed(monkeypatch, _never)
    assert store.find(DIGEST) == blob


def test_mode_is_put_back(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob that was only made writable becomes read-only again without being read."""
    blob = keep(store, DATA)
    blob.path.chmod(0o666)
    when_hashed(monkeypatch, _never)
    assert store.find(DIGEST) == blob
    assert blob.path.stat().st_mode & 0o7777 == 0o444


def test_other_size_asked_for(store: StorageService) -> None:
    """A caller with another size in mind gets the blob with its own size: the digest decides."""
    blob = keep(store, DATA)
    assert store.find(DIGEST, size=1) == blob


@pytest.mark.parametrize("edit", [_write, _map])
def test_edit_through_a_hard_link(
    store: StorageService, tmp_path: Path, caplog: pytest.LogCaptureFixture, edit: Edit
) -> None:
    """A write through another name of the file, of the same size and by root, is noticed, logged and set aside."""
    blob = keep(store, DATA)
    link = tmp_path / "link"
    link.hardlink_to(blob.path)
    edit(link, OTHER)
    with caplog.at_level(logging.WARNING):
        assert store.find(DIGEST) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert DIGEST in caplog.text
    assert not blob.path.exists()
    assert [path.read_bytes() for path in (store.root / "quarantine").iterdir()] == [OTHER]
    assert keep(store, DATA) == store.find(DIGEST) == blob


@pytest.mark.parametrize("edit", [_write, _map])
def test_second_edit_is_noticed_too(store: StorageService, tmp_path: Path, edit: Edit) -> None:
    """A blob that was edited, edited back and found right again is no less guarded than before."""
    blob = keep(store, DATA)
    link = tmp_path / "link"
    link.hardlink_to(blob.path)
    edit(link, OTHER)
    edit(link, DATA)
    assert store.find(DIGEST) == blob
    edit(link, OTHER)
    assert store.find(DIGEST) is None


def test_edit_through_a_lasting_mapping(store: StorageService) -> None:
    """A mapping that stays open across a re-hash does not get its next write past the store (on a disk)."""
    blob = keep(store, DATA)
    blob.path.chmod(0o644)
    with blob.path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = DATA[0:1]
        assert store.find(DIGEST) == blob
        mapped[0:1] = b"X"
        if store.find(DIGEST) is not None:
            pytest.skip("this file system does not notice (tmpfs)")


def test_corrupt_is_an_error_to_get(store: StorageService) -> None:
    """`get` says what lay there and where it is now; after that the blob is simply missing."""
    blob = keep(store, DATA)
    _write(blob.path, OTHER)
    with pytest.raises(BlobCorruptException) as caught:
        store.get(DIGEST)
    error = caught.value
    assert (error.sha256, error.actual, error.path) == (DIGEST, sha256(OTHER), blob.path)
    assert error.quarantined is not None
    assert error.quarantined.read_bytes() == OTHER
    with pytest.raises(BlobNotFoundException):
        store.get(DIGEST)


def test_verify_reads_everything(store: StorageService) -> None:
    """`verify` also finds an edit whose author put the time back."""
    blob = keep(store, DATA)
    _write(blob.path, OTHER)
    os.utime(blob.path, ns=(PUBLISHED_NS, PUBLISHED_NS))
    assert store.find(DIGEST) == blob
    with pytest.raises(BlobCorruptException):
        store.verify(DIGEST)


@pytest.mark.parametrize("make", [folder, fifo, dangling])
def test_something_else_in_a_blobs_place(store: StorageService, make: Make) -> None:
    """A directory, FIFO or symbolic link under a blob's name is set aside, not read, and the blob can be kept."""
    path = store.path(DIGEST)
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.raises(BlobCorruptException) as caught:
        store.get(DIGEST)
    assert caught.value.actual is None
    assert keep(store, DATA).path.read_bytes() == DATA


def _replaced(path: Path, data: bytes) -> None:
    path.with_suffix(".new").write_bytes(data)
    path.with_suffix(".new").rename(path)


@pytest.mark.parametrize("hashed", [True, False])
def test_replaced_while_it_is_looked_at(
    store: StorageService, monkeypatch: pytest.MonkeyPatch, *, hashed: bool
) -> None:
    """A right blob that another process puts in a wrong one's place is not taken away with it."""
    path = keep(store, DATA).path
    _write(path, OTHER)
    if hashed:
        when_hashed(monkeypatch, lambda: _replaced(path, DATA))
    else:
        when_made(monkeypatch, store.root / "quarantine", lambda: _replaced(path, DATA))
    with pytest.raises(BlobCorruptException) as caught:
        store.get(DIGEST)
    assert caught.value.quarantined is None
    monkeypatch.undo()
    assert store.get(DIGEST).path.read_bytes() == DATA
    assert list((store.root / "quarantine").iterdir()) == []


def test_gone_while_it_is_looked_at(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong blob that another process sets aside first is no failure of this one."""
    path = keep(store, DATA).path
    _write(path, OTHER)

    when_hashed(monkeypatch, path.unlink)
    assert store.find(DIGEST) is None


def test_written_while_it_is_looked_at(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob that someone writes to while it is hashed is not handed out, though its digest came out right."""
    path = keep(store, DATA).path
    path.chmod(0o644)
    os.utime(path, ns=(0, 0))

    when_hashed(monkeypatch, lambda: _write(path, OTHER))
    assert store.find(DIGEST) is None
    assert not path.exists()


def test_publishing_again_drops_the_new_file(store: StorageService) -> None:
    """A blob that is kept and sound stays the same file, so links to it stay links."""
    inode = keep(store, DATA).path.stat().st_ino
    assert keep(store, DATA).path.stat().st_ino == inode
    assert list((store.root / "staging").iterdir()) == []


def test_publishing_over_a_corrupt_blob(store: StorageService) -> None:
    """A corrupt blob makes way for a right one."""
    _write(keep(store, DATA).path, OTHER)
    assert keep(store, DATA).path.read_bytes() == DATA


def test_publish_refuses_what_is_not_the_staged_file(store: StorageService, tmp_path: Path) -> None:
    """Publishing refuses a missing file, another size, a link and a directory, and keeps nothing."""
    (tmp_path / "file").write_bytes(DATA)
    with store.stage() as path:
        with pytest.raises(InvalidInputException, match="does not exist"):
            store.publish(path, sha256=DIGEST, size=len(DATA))
        path.symlink_to(tmp_path / "file")
        with pytest.raises(InvalidInputException, match="no regular file"):
            store.publish(path, sha256=DIGEST, size=len(DATA))
        path.unlink()
        path.write_bytes(DATA[:-1])
        with pytest.raises(InvalidInputException, match="6999 bytes"):
            store.publish(path, sha256=DIGEST, size=len(DATA))
        with pytest.raises(PathTraversalException):
            store.publish(path.parent / "../../../file", sha256=DIGEST, size=len(DATA))
    assert store.find(DIGEST) is None
    assert (tmp_path / "file").read_bytes() == DATA


def test_services_travel(store: StorageService) -> None:
    """A pickled service sees the same store."""
    blob = keep(store, DATA)
    assert pickle.loads(pickle.dumps(store)).find(DIGEST) == blob
