"""Whatever a version says its files are called, nothing outside the directory changes."""

import tempfile
import tracemalloc
import unicodedata
from collections.abc import Generator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamiwaza_sdk import StorageConfig, StorageService
from kamiwaza_sdk.exceptions import InvalidPathException, ServiceException
from kamiwaza_sdk.services.storage.blobs import checked_paths
from tests.effort import effort
from tests.storage.helpers import File, Version, keep, tree

SEGMENTS = [
    "a",
    "A",
    "b",
    "out",
    "in",
    "loop",
    "nowhere",
    "file",
    "..",
    ".",
    "",
    "\0",
    "é",
    "e\u0301",
    "c\\d",
    "~",
    "-",
]
paths = st.one_of(
    st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map("/".join),
    st.text(max_size=20),
    st.text(alphabet="./ab\\\0", max_size=12),
)
BLOBS = (b"one", b"two")


@pytest.fixture(scope="module")
def shared() -> Generator[tuple[StorageService, list[File]]]:
    """One store for all examples, with two blobs."""
    with tempfile.TemporaryDirectory() as root:
        service = StorageService(StorageConfig(root=Path(root)))
        blobs = [keep(service, data) for data in BLOBS]
        yield service, [File("", blob.size, blob.sha256) for blob in blobs]


def _furnish(sandbox: Path) -> Path:
    """Make a directory full of traps, beside things that must not change."""
    model = sandbox / "model"
    for folder in (model / "in-real", sandbox / "outside/deep"):
        folder.mkdir(parents=True)
    (sandbox / "outside/file").write_bytes(b"precious")
    (model / "file").write_bytes(b"mine")
    for name, target in {"out": "../outside", "in": "in-real", "loop": "loop", "nowhere": "../none", "~": "/"}.items():
        (model / name).symlink_to(target)
    return model


@settings(max_examples=effort(60, 1_000), deadline=None)
@given(chosen=st.lists(st.tuples(paths, st.integers(0, 1)), max_size=4), writable=st.booleans())
def test_nothing_is_ever_written_outside(
    shared: tuple[StorageService, list[File]], chosen: list[tuple[str, int]], *, writable: bool
) -> None:
    """Whether laid out or refused, all that was there before stays as it was; refused, nothing is added."""
    service, blobs = shared
    files = [File(path, blobs[which].size, blobs[which].sha256) for path, which in chosen]
    with tempfile.TemporaryDirectory() as directory:
        sandbox = Path(directory)
        model = _furnish(sandbox)
        before = tree(sandbox)
        try:
            service.materialize(Version(files), model, writable=writable)
        except ServiceException:
            assert tree(sandbox) == before
        else:
            after = tree(sandbox)
            assert {path: after[path] for path in before} == before
            assert all(path.startswith("model/") for path in after.keys() - before.keys())
            assert [(model / path).read_bytes() for path, _ in chosen] == [BLOBS[which] for _, which in chosen]


def _folded(path: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


@settings(max_examples=effort(200, 5_000), deadline=None)
@given(st.lists(paths, max_size=5))
def test_accepted_paths_live_together_anywhere(chosen: list[str]) -> None:
    """Paths that pass are relative, stay inside, and stay apart where case and normal forms do not count."""
    try:
        accepted = checked_paths([File(path, 0, "") for path in chosen])
    except InvalidPathException:
        return
    assert accepted == chosen
    folded = [_folded(path) + "/" for path in chosen]
    assert not any(path.is_absolute() or ".." in path.parts for path in map(PurePosixPath, accepted))
    assert [(one, two) for one in folded for two in folded if one is not two and one.startswith(two)] == []


def test_long_paths_are_not_multiplied_in_memory() -> None:
    """Of the directories above a file, there can be hundreds; of files, ten thousand."""
    files = [File(f"{index}/{'a/' * 500}b", 0, "") for index in range(100)]
    tracemalloc.start()
    try:
        assert len(checked_paths(files)) == 100
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024**2
    finally:
        tracemalloc.stop()
