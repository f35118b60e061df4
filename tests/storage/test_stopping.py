"""Work that is told to stop ends between two pieces of a file, and leaves nothing that it had not finished."""

import fcntl
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageService
from kamiwaza_sdk.services.hub.sources.local import git_blob_id
from kamiwaza_sdk.services.storage.files import Stopped, go_on, stopped_when
from tests.storage.helpers import no_clone, sha256, tree

DATA = bytes(8 * 1024**2)


def files(directory: Path) -> dict[str, bytes | str]:
    return {path: content for path, content in tree(directory).items() if content is not None}


@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize(
    "work",
    [
        lambda store, source: store.add(source),
        lambda store, source: store.add(source, sha256=sha256(DATA)),
        lambda store, source: store.adopt(source),
        lambda _, source: git_blob_id(source),
    ],
    ids=["add", "add what is named", "adopt", "git_blob_id"],
)
def test_it_ends_between_two_pieces(
    store: StorageService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[StorageService, Path], object],
    *,
    is_kept: bool,
    pieces: int,
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", no_clone)
    source = tmp_path / "source"
    source.write_bytes(DATA)
    with store.stage():
        pass  # the store is there
    if is_kept:
        store.add(source)
    before, status, asked = files(tmp_path), source.stat(), count(1)
    with stopped_when(lambda: next(asked) >= pieces), pytest.raises(Stopped):
        work(store, source)
    assert next(asked) == pieces + 1
    assert files(tmp_path) == before
    assert (source.stat().st_mode, source.stat().st_mtime_ns) == (status.st_mode, status.st_mtime_ns)


def test_the_word_holds_for_what_runs_in_it_alone() -> None:
    with stopped_when(lambda: True), pytest.raises(Stopped):
        go_on()
    go_on()
