"""Versions appear in a directory whole, under their own names, and nothing else there changes."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from kamiwaza_sdk import (
    BlobCorruptException,
    BlobNotFoundException,
    FileConflictException,
    PathTraversalException,
    StorageConfig,
    StorageService,
    UpdateVersion,
)
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidPathException
from tests.storage.helpers import (
    PUBLISHED_NS,
    File,
    Version,
    dangling,
    fifo,
    folder,
    keep,
    same_size,
    sha256,
    short,
    tree,
    unread,
    version,
    when_made,
)

CONTENTS = {"config.json": b"{}", "onnx/model.onnx": b"onnx" * 100, "onnx/fp16/model.onnx": b"half" * 100}
LAID_OUT = {"onnx": None, "onnx/fp16": None, **CONTENTS}


class PydanticFile(BaseModel, frozen=True):
    """A file of a version, as a Pydantic model."""

    path: str
    size: int
    sha256: str


class PydanticVersion(BaseModel, frozen=True):
    """A version, as a Pydantic model."""

    files: list[PydanticFile]


def _no_link(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "no links here")


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_files_appear_under_their_names(store: StorageService, tmp_path: Path) -> None:
    """A dataclass and a Pydantic model alike are laid out, and the directory is returned as it was given."""
    files = version(store, CONTENTS)
    pydantic = PydanticVersion.model_validate(files, from_attributes=True)
    assert store.materialize(files, tmp_path / "a/b") == tmp_path / "a/b"
    assert store.materialize(pydantic, str(tmp_path / "c")) == tmp_path / "c"
    assert tree(tmp_path / "a/b") == tree(tmp_path / "c") == LAID_OUT


def test_a_relative_directory(store: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory may be relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    assert store.materialize(version(store, CONTENTS), "model") == Path("model")
    assert tree(tmp_path / "model") == LAID_OUT


def _digested(store: StorageService) -> SimpleNamespace:
    return SimpleNamespace(files=version(store, CONTENTS).files, digest="ab" * 32)


def test_without_a_directory_there_is_a_view_in_the_store_whose_files_are_the_blobs(store: StorageService) -> None:
    digested = _digested(store)
    view = store.materialize(digested)
    assert view == store.root / "views" / ("ab" * 32) == store.materialize(digested)
    assert tree(view) == LAID_OUT
    assert all((view / file.path).samefile(store.path(file.sha256)) for file in digested.files)


def test_what_is_not_right_any_more_in_a_view_is_replaced_and_a_directory_in_the_way_is_not(
    store: StorageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    digested = _digested(store)
    file = store.materialize(digested) / "config.json"
    for is_linked in (True, False):
        if not is_linked:
            monkeypatch.setattr(os, "link", _no_link)
        file.unlink()
        file.write_bytes(b"altered")
        assert tree(store.materialize(digested)) == LAID_OUT
    file.unlink()
    file.mkdir()
    with pytest.raises(FileConflictException):
        store.materialize(digested)


def test_a_view_needs_a_digest_and_is_read_only(store: StorageService) -> None:
    with pytest.raises(InvalidInputException, match="the version has no digest to name a view by"):
        store.materialize(version(store, CONTENTS))
    with pytest.raises(InvalidInputException, match="a view in the store is read-only"):
        store.materialize(_digested(store), writable=True)
    with pytest.raises(InvalidInputException, match="is no SHA-256 digest"):
        store.materialize(SimpleNamespace(files=[], digest="../.."))


def test_a_version_without_files(store: StorageService, tmp_path: Path) -> None:
    """A version without files is an empty directory."""
    store.materialize(Version([]), tmp_path / "model")
    assert tree(tmp_path / "model") == {}


@pytest.mark.parametrize("thing", [None, "org/minilm", {"files": []}, UpdateVersion(version="v1")])
def test_what_has_no_files_is_refused(store: StorageService, tmp_path: Path, thing: Any) -> None:
    """A name, say, or a model in the place of its version: nothing is made."""
    with pytest.raises(InvalidInputException, match="give what resolve\\(\\) or fetch\\(\\) returned") as caught:
        store.materialize(thing, tmp_path / "model")
    assert caught.value.field == "version"
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("directory", [1, b"model", "a\0b", "a\ud800"])
def test_a_directory_that_is_no_path_is_refused(store: StorageService, directory: Any) -> None:
    with pytest.raises(InvalidInputException, match="^directory must be a path on this machine"):
        store.materialize(Version([]), directory)


@pytest.mark.usefixtures("no_reflink")
def test_hard_links_where_files_cannot_share_blocks(store: StorageService, tmp_path: Path) -> None:
    """Without reflinks the file is the blob itself, read-only; a copy the user edits is not."""
    files = version(store, {"a": b"a"})
    blob = store.path(sha256(b"a"))
    linked = store.materialize(files, tmp_path / "linked") / "a"
    copied = store.materialize(files, tmp_path / "copied", writable=True) / "a"
    assert (linked.samefile(blob), _mode(linked)) == (True, 0o444)
    assert (copied.samefile(blob), _mode(copied)) == (False, 0o644)
    copied.write_bytes(b"edited")
    assert store.verify(blob.name).path.read_bytes() == b"a"


@pytest.mark.usefixtures("no_reflink")
@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP])
def test_copies_where_links_are_refused(
    store: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where the system refuses any hard link, files are copied, read-only, and renamed into place."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    model = store.materialize(version(store, CONTENTS), tmp_path / "model")
    assert tree(model) == LAID_OUT
    assert [_mode(model / path) for path in CONTENTS] == [0o444] * 3
    assert (model / "config.json").stat().st_nlink == 1


@pytest.mark.parametrize("writable", [False, True])
def test_laying_out_again_changes_nothing(store: StorageService, tmp_path: Path, *, writable: bool) -> None:
    """A second call writes nothing, and other tools' files are left alone."""
    files = version(store, CONTENTS)
    model = store.materialize(files, tmp_path / "model", writable=writable)
    (model / "notes.txt").write_text("mine")
    before = {path: unread(path) for path in (model, *model.rglob("*"))}
    store.materialize(files, model, writable=writable)
    assert {path: unread(path) for path in (model, *model.rglob("*"))} == before


def test_only_what_is_missing_is_laid_out(store: StorageService, tmp_path: Path) -> None:
    """A file already there with the right content stays the same file, whoever wrote it."""
    files = version(store, CONTENTS)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_bytes(b"{}")
    inode = (tmp_path / "model/config.json").stat().st_ino
    store.materialize(files, tmp_path / "model")
    assert tree(tmp_path / "model") == LAID_OUT
    assert (tmp_path / "model/config.json").stat().st_ino == inode


@pytest.mark.parametrize("fixture", ["no_reflink", "tmp_path"])
def test_read_only_files_become_writable(
    store: StorageService, tmp_path: Path, request: pytest.FixtureRequest, fixture: str
) -> None:
    """Asked for writable files where an earlier call made links or read-only ones, the files become the user's."""
    request.getfixturevalue(fixture)
    files = version(store, CONTENTS)
    model = store.materialize(files, tmp_path / "model")
    store.materialize(files, model, writable=True)
    assert tree(model) == LAID_OUT
    assert [_mode(model / path) for path in CONTENTS] == [0o644] * 3
    assert [(model / path).stat().st_nlink for path in CONTENTS] == [1] * 3


def test_a_missing_blob_leaves_nothing(store: StorageService, tmp_path: Path) -> None:
    """If the store lacks one file, not even the directory is created."""
    files = version(store, CONTENTS)
    lacking = Version([*files.files, File("z", 1, sha256(b"z"))])
    with pytest.raises(BlobNotFoundException, match=sha256(b"z")):
        store.materialize(lacking, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_corrupt_blob_leaves_nothing(store: StorageService, tmp_path: Path) -> None:
    """An edited blob is never handed out."""
    files = version(store, CONTENTS)
    path = store.path(sha256(CONTENTS["onnx/model.onnx"]))
    path.chmod(0o644)
    path.write_bytes(b"edit" * 100)
    with pytest.raises(BlobCorruptException):
        store.materialize(files, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_wrong_size_leaves_nothing(store: StorageService, tmp_path: Path) -> None:
    """A version that is wrong about a blob's size is refused, and the field is named."""
    blob = keep(store, b"a")
    with pytest.raises(InvalidInputException, match=r"files\.0\.size is 2"):
        store.materialize(Version([File("a", 2, blob.sha256)]), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("make", [short, same_size, folder, fifo, dangling])
def test_conflicts_are_found_before_anything_is_written(
    store: StorageService, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    """What stands in the way, of whatever kind, is named and left alone, and nothing else is written."""
    model = tmp_path / "model"
    (model / "onnx").mkdir(parents=True)
    make(model / "onnx/model.onnx")
    before = [(path, unread(path)) for path in model.rglob("*")]
    with pytest.raises(FileConflictException) as caught:
        store.materialize(version(store, CONTENTS), model)
    assert caught.value.path == model / "onnx/model.onnx"
    assert caught.value.sha256 == sha256(CONTENTS["onnx/model.onnx"])
    assert [(path, unread(path)) for path in model.rglob("*")] == before


def test_a_file_where_a_directory_must_be(store: StorageService, tmp_path: Path) -> None:
    """A file in the place of a subdirectory is a conflict that names it; in the place of the directory, wrong input."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/onnx").write_bytes(b"x")
    files = version(store, CONTENTS)
    with pytest.raises(FileConflictException) as caught:
        store.materialize(files, tmp_path / "model")
    assert caught.value.path == tmp_path / "model/onnx"
    with pytest.raises(InvalidInputException, match="model/onnx is no directory; choose another one"):
        store.materialize(files, tmp_path / "model/onnx")
    assert tree(tmp_path / "model") == {"onnx": b"x"}


def test_links_that_lead_out(store: StorageService, tmp_path: Path) -> None:
    """A symbolic link that leads out of the directory is refused, one that stays inside is followed."""
    model, outside = tmp_path / "model", tmp_path / "outside"
    (model / "inside").mkdir(parents=True)
    outside.mkdir()
    (model / "onnx").symlink_to("inside")
    files = version(store, CONTENTS)
    store.materialize(files, model)
    assert (model / "inside/model.onnx").read_bytes() == CONTENTS["onnx/model.onnx"]
    (model / "onnx").unlink()
    (model / "onnx").symlink_to(outside)
    with pytest.raises(PathTraversalException) as caught:
        store.materialize(files, model)
    assert (caught.value.path, caught.value.directory) == (model / "onnx/model.onnx", model)
    assert tree(outside) == {}


def test_a_link_that_appears_between_the_passes(
    store: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subdirectory swapped for a link after it was looked at is not followed."""
    model, outside = tmp_path / "model", tmp_path / "outside"
    outside.mkdir()

    when_made(monkeypatch, model, lambda: (model / "onnx").symlink_to(outside))
    with pytest.raises(PathTraversalException):
        store.materialize(version(store, CONTENTS), model)
    assert tree(outside) == {}


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.usefixtures("no_reflink")
def test_a_file_that_appears_between_the_passes(
    store: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """A file that someone writes during the call is never overwritten: right, it stays; other, it is a conflict."""
    files = version(store, CONTENTS)
    content = b"{}"

    for name in ("right", "wrong"):
        place = tmp_path / name
        when_made(monkeypatch, place, lambda place=place: (place / "config.json").write_bytes(content))  # type: ignore[misc]  # bound now
    if not links:
        monkeypatch.setattr(os, "link", _no_link)
    store.materialize(files, tmp_path / "right")
    assert tree(tmp_path / "right") == LAID_OUT
    content = b"[]"
    with pytest.raises(FileConflictException):
        store.materialize(files, tmp_path / "wrong")
    assert tree(tmp_path / "wrong") == {"config.json": b"[]"}


@pytest.mark.parametrize(
    "path", ["", "/etc/x", "../x", "a/../x", "./x", "a//b", "a/", "a\0b", "a\\b", "é" * 128, "x\n", "/"]
)
def test_paths_that_are_none(store: StorageService, tmp_path: Path, path: str) -> None:
    """A path that is absolute, leaves the directory or cannot be a name is refused before anything is looked at."""
    with pytest.raises(InvalidPathException) as caught:
        store.materialize(Version([File("ok", 1, sha256(b"")), File(path, 1, sha256(b""))]), tmp_path / "model")
    assert (caught.value.field, caught.value.value) == ("files.1.path", path)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("a", "a"),
        ("README.md", "readme.MD"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("a/b/c", "A"),
        ("straße", "STRASSE"),
        ("\u00e9", "e\u0301"),
        ("a/b", "A/B"),
    ],
)
def test_paths_that_clash(store: StorageService, tmp_path: Path, one: str, two: str) -> None:
    """Two paths that some file system holds to be one, or one inside the other, are refused together."""
    blob = keep(store, b"a")
    with pytest.raises(InvalidPathException, match="can be one file|as a file and as a directory"):
        store.materialize(Version([File(path, 1, blob.sha256) for path in (one, two)]), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_one_blob_under_many_names(store: StorageService, tmp_path: Path) -> None:
    """Files with the same content may have several names, in directories that differ by case or not."""
    blob = keep(store, b"a")
    files = Version([File(path, 1, blob.sha256) for path in ("a", "b", "c/a", "c/b")])
    store.materialize(files, tmp_path / "model")
    assert tree(tmp_path / "model") == {"a": b"a", "b": b"a", "c": None, "c/a": b"a", "c/b": b"a"}


def test_a_blob_set_aside_between_the_passes(
    store: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob that another process sets aside during the call is missing, in the store's own words."""
    files = version(store, {"a": b"a"})

    when_made(monkeypatch, tmp_path / "model", store.path(sha256(b"a")).unlink)
    with pytest.raises(BlobNotFoundException):
        store.materialize(files, tmp_path / "model")
    assert tree(tmp_path / "model") == {}


@pytest.mark.parametrize("name", ["x" * 256, "x/" * 3000 + "x"], ids=lambda name: ascii(name[:5]))
def test_a_directory_that_cannot_be(store: StorageService, tmp_path: Path, name: str) -> None:
    """A name that no directory can have is wrong input."""
    with pytest.raises(InvalidInputException, match="directory cannot be created"):
        store.materialize(version(store, CONTENTS), tmp_path / name)


@pytest.mark.parametrize("place", ["store", "store/model", "store/blobs/a/b", "link", "link/model", "above"])
def test_the_stores_own_directory_is_refused(store: StorageService, tmp_path: Path, place: str) -> None:
    """By its path, through a link, and where a file's own path leads there. What was kept stays as it was."""
    files = version(store, {"store/model/config.json": b"{}"} if place == "above" else CONTENTS)
    (tmp_path / "link").symlink_to(tmp_path / "store", target_is_directory=True)
    before = tree(tmp_path)
    directory = tmp_path if place == "above" else tmp_path / place
    with pytest.raises(InvalidInputException, match=r"inside the store .*/store; choose one outside of it") as refused:
        store.materialize(files, directory)
    assert refused.value.field == "directory"
    assert tree(tmp_path) == before


def test_another_store_in_the_directory(store: StorageService, tmp_path: Path) -> None:
    """Two stores can lay out the same version in the same directory."""
    other = StorageService(StorageConfig(root=tmp_path / "other"))
    store.materialize(version(store, CONTENTS), tmp_path / "model")
    other.materialize(version(other, CONTENTS), tmp_path / "model")
    assert tree(tmp_path / "model") == LAID_OUT


@pytest.mark.usefixtures("no_reflink")
def test_a_decayed_blob_is_not_copied(store: StorageService, tmp_path: Path) -> None:
    """A blob that only looks sound is caught while it is copied, and then makes way for a right one."""
    files = version(store, {"a": b"a"})
    path = store.path(sha256(b"a"))
    path.chmod(0o644)
    path.write_bytes(b"b")
    os.utime(path, ns=(PUBLISHED_NS, PUBLISHED_NS))
    with pytest.raises(BlobCorruptException):
        store.materialize(files, tmp_path / "model", writable=True)
    assert tree(tmp_path / "model") == {}
    keep(store, b"a")
    assert tree(store.materialize(files, tmp_path / "model", writable=True)) == {"a": b"a"}


def test_blob_replaced_by_its_equal_while_it_is_linked(
    store: StorageService, tmp_path: Path, no_reflink: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel calls a blob missing that another writer's rename replaces just then: a second look finds it."""
    link, refusals = os.link, [FileNotFoundError(errno.ENOENT, "replaced")] * 3

    def replaced(*arguments: Any, **keywords: Any) -> None:  # Any: whatever os.link takes
        if refusals:
            raise refusals.pop()
        link(*arguments, **keywords)

    monkeypatch.setattr(os, "link", replaced)
    directory = store.materialize(version(store, CONTENTS), tmp_path / "model")
    assert (directory / "config.json").read_bytes() == CONTENTS["config.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_directory_where_none_can_be_made(store: StorageService) -> None:
    with pytest.raises(InvalidInputException, match="directory cannot be created"):
        store.materialize(version(store, CONTENTS), "/proc/none/model")
