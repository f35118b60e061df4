"""Small files that become blobs together: each whole before it has its name, and the names durable at the end."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageConfig, StorageFullException, StorageService
from kamiwaza_sdk.services.storage import blobs as published
from kamiwaza_sdk.services.storage import small
from kamiwaza_sdk.services.storage.small import SmallBlobs, SmallBody
from tests.storage.helpers import misnamed, sha256

CONTENTS = [b"small %d" % number * 100 for number in range(20)]
BODIES = [SmallBody(sha256(content), content) for content in CONTENTS]


def keep(store: StorageService, bodies: list[SmallBody]) -> None:
    with store.stage() as path:
        blobs = SmallBlobs(store.root, path.parent)
        found = blobs.keep(bodies)
        blobs.settle()
    assert found == [store.verify(body.sha256) for body in bodies]


def test_small_files_are_blobs_like_any_other(store: StorageService) -> None:
    keep(store, [*BODIES, BODIES[0]])
    keep(store, BODIES[:3])
    assert misnamed(store.root) == []
    for body in BODIES:
        blob = store.get(body.sha256, size=len(body.content))
        status = blob.path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o444, 10**18)
    assert len(list(store.root.glob("blobs/sha256/*/*"))) == len(BODIES)
    assert list((store.root / "staging").iterdir()) == []


def test_a_damaged_blob_is_replaced(store: StorageService) -> None:
    keep(store, BODIES[:1])
    path = store.path(BODIES[0].sha256)
    path.chmod(0o644)
    path.write_bytes(b"edited")
    keep(store, BODIES[:1])
    assert path.read_bytes() == CONTENTS[0]
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_content_is_durable_before_its_name_and_names_at_the_end(
    store: StorageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def note_sync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))

    def note_rename(source: str, target: str) -> None:
        rename(source, target)
        done.append(("name", f"{source} {target}"))

    with store.stage() as path:
        blobs = SmallBlobs(store.root, path.parent)
        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(os, "rename", note_rename)
        blobs.keep(BODIES)
        named = len(done)
        blobs.settle()
    for index, (what, place) in enumerate(done[:named]):
        if what == "name":
            assert ("sync", place.split()[0]) in done[:index]
    directories = {str(store.path(body.sha256).parent) for body in BODIES}
    assert {place for what, place in done[named:] if what == "sync"} == {*directories, f"{store.root}/blobs/sha256"}
    assert len(done) == 2 * len(BODIES) + len(directories) + 1


def test_nobody_else_reads_what_has_no_name_yet(store: StorageService, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    make = published.make_published

    def note_mode(descriptor: int, path: str) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        make(descriptor, path)

    monkeypatch.setattr(small, "make_published", note_mode)
    keep(store, BODIES)
    assert modes == [0o600] * len(BODIES)


def test_a_disk_that_fills_up_keeps_what_is_whole(tmpfs: Callable[..., Path]) -> None:
    store = StorageService(StorageConfig(root=tmpfs("disk", size="1m")))
    large = [SmallBody(sha256(content), content) for content in (os.urandom(300_000) for _ in range(5))]
    with pytest.raises(StorageFullException, match="no room for"):
        keep(store, large)
    assert misnamed(store.root) == []
    assert list((store.root / "staging").iterdir()) == []
    keep(store, BODIES)


def test_staging_area_on_another_disk(tmpfs: Callable[..., Path], store: StorageService) -> None:
    store.root.mkdir()
    (store.root / "staging").symlink_to(tmpfs("scratch"))
    keep(store, BODIES)
    assert misnamed(store.root) == []
