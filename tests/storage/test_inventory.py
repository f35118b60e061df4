"""What a store holds: its blobs in order, how much they take, when they were used, and what keeps them."""

import json
import os
import time
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kamiwaza_sdk import (
    BlobNotFoundException,
    ConfigurationException,
    InvalidInputException,
    StorageConfig,
    StorageQuotaException,
    StorageService,
    StorageTooNewException,
)
from kamiwaza_sdk.services.storage import inventory, trash
from kamiwaza_sdk.types import StoreDatabaseSchema
from tests.storage.helpers import keep, sha256, version

if TYPE_CHECKING:
    from collections.abc import Callable

DATABASE = StoreDatabaseSchema(id=f"sqlite-{'ab' * 16}", name="/srv/registry.db")


def set_aside(store: StorageService, digest: str) -> str:
    """Put a blob into a run of the trash that is closed, and return the run's name."""
    filling = trash.Filling(store.root)
    assert filling.set_aside(digest)
    run = filling.close()
    assert run is not None
    return run


def test_blobs_are_listed_by_digest_and_nothing_else_is(store: StorageService) -> None:
    blobs = [keep(store, bytes([number])) for number in range(40)]
    (blobs[0].path.parent / ".arriving").touch()
    assert list(store.list_blobs()) == sorted(blobs, key=lambda blob: blob.sha256)


def test_a_listing_is_lazy_and_passes_over_what_goes_meanwhile(store: StorageService) -> None:
    blobs = {keep(store, bytes([number])).sha256 for number in range(40)}
    listing = store.list_blobs()
    first = next(listing).sha256
    last = max(blobs)
    store.path(last).unlink()
    assert {first, *(blob.sha256 for blob in listing)} == blobs - {last}


def test_an_empty_store_has_nothing(store: StorageService) -> None:
    assert list(store.list_blobs()) == []
    assert not store.root.exists()
    usage = store.usage()
    assert (usage.blobs, usage.bytes, usage.oldest) == (0, 0, None)


def test_usage_counts_blobs_and_what_is_left_over(store: StorageService) -> None:
    blobs = [keep(store, content) for content in (b"", b"12", b"345")]
    with store.stage("left") as path:
        path.write_bytes(b"1234")
    set_aside(store, blobs[1].sha256)
    (store.root / "quarantine/x").write_bytes(b"12345")
    usage = store.usage()
    assert (usage.blobs, usage.bytes) == (2, 3)
    assert (usage.staging.bytes, usage.trash.bytes, usage.quarantine.bytes) == (4, 2, 5)
    assert (usage.trash.files, usage.quarantine.files) == (1, 1)
    assert usage.format == 2


def test_the_oldest_is_what_has_not_been_used_for_longest(store: StorageService) -> None:
    old, new = keep(store, b"old"), keep(store, b"new")
    for blob, at in ((old, 1_600_000_000), (new, 1_700_000_000)):
        os.utime(store.root / f"uses/{blob.sha256[:2]}/{blob.sha256}", (at, at))
    oldest = store.usage().oldest
    assert oldest is not None
    assert oldest.timestamp() == 1_600_000_000
    store.get(old.sha256)
    oldest = store.usage().oldest
    assert oldest is not None
    assert oldest.timestamp() == 1_700_000_000


@pytest.mark.parametrize("use", ["find", "get", "materialize", "publish"])
def test_every_use_is_noted_by_the_clock_of_the_file_system(store: StorageService, tmp_path: Path, use: str) -> None:
    files = version(store, {"a": b"content"})
    digest = sha256(b"content")
    noted = store.root / f"uses/{digest[:2]}/{digest}"
    os.utime(noted, (1, 1))
    uses: dict[str, Callable[[], object]] = {
        "find": lambda: store.find(digest),
        "get": lambda: store.get(digest),
        "materialize": lambda: store.materialize(files, tmp_path / "model"),
        "publish": lambda: keep(store, b"content"),
    }
    uses[use]()
    assert abs(noted.stat().st_mtime - inventory.now(store.root)) < 60
    assert noted.stat().st_mode & 0o777 == 0o666


def test_looking_and_verifying_are_no_uses(store: StorageService) -> None:
    blob = keep(store, b"content")
    noted = store.root / f"uses/{blob.sha256[:2]}/{blob.sha256}"
    os.utime(noted, (1, 1))
    store.verify(blob.sha256)
    list(store.list_blobs())
    store.usage()
    assert noted.stat().st_mtime == 1


def test_a_use_that_cannot_be_noted_costs_nothing(store: StorageService) -> None:
    blob = keep(store, b"content")
    (store.root / f"uses/{blob.sha256[:2]}/{blob.sha256}").unlink()
    (store.root / f"uses/{blob.sha256[:2]}").rmdir()
    (store.root / f"uses/{blob.sha256[:2]}").touch()
    assert store.find(blob.sha256) == blob


@pytest.mark.parametrize("use", ["find", "get", "verify", "materialize", "add"])
def test_every_use_looks_in_the_trash_too(store: StorageService, tmp_path: Path, use: str) -> None:
    files = version(store, {"a": b"content"})
    digest = files.files[0].sha256
    run = set_aside(store, digest)
    source = tmp_path / "source"
    source.write_bytes(b"content")
    uses: dict[str, Callable[[], object]] = {
        "find": lambda: store.find(digest),
        "get": lambda: store.get(digest),
        "verify": lambda: store.verify(digest),
        "materialize": lambda: store.materialize(files, tmp_path / "model"),
        "add": lambda: store.add(source, sha256=digest),
    }
    assert uses[use]() is not None
    assert store.path(digest).read_bytes() == b"content"
    assert trash.contents(store.root, run) == []


def test_a_blob_is_found_that_is_set_aside_while_it_is_laid_out(
    store: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = version(store, {"a": b"one", "b": b"two"})
    looked = StorageService._blob_of

    def looked_at(self: StorageService, file: object) -> object:
        blob = looked(self, file)  # type: ignore[arg-type]  # whatever has a digest
        set_aside(store, blob.sha256)
        return blob

    monkeypatch.setattr(StorageService, "_blob_of", looked_at)
    store.materialize(files, tmp_path / "model")
    assert (tmp_path / "model/a").read_bytes() + (tmp_path / "model/b").read_bytes() == b"onetwo"


def test_what_was_fetched_anew_stays_when_the_other_comes_back(store: StorageService) -> None:
    blob = keep(store, b"content")
    run = set_aside(store, blob.sha256)
    again = keep(store, b"other").path  # the trash is looked at before anything is fetched again: so by hand
    again.rename(blob.path)
    assert trash.restore(store.root, run, blob.sha256)
    assert trash.contents(store.root, run) == []


def test_what_is_removed_from_the_trash_is_gone(store: StorageService) -> None:
    blob = keep(store, b"content")
    run = set_aside(store, blob.sha256)
    assert trash.remove(store.root, run, blob.sha256)
    assert not trash.remove(store.root, run, blob.sha256)
    assert store.find(blob.sha256) is None
    with pytest.raises(BlobNotFoundException):
        store.get(blob.sha256)


def test_who_still_fills_a_run_that_is_closed_finds_it_gone(store: StorageService) -> None:
    one, other = keep(store, b"one"), keep(store, b"other")
    filling = trash.Filling(store.root)
    assert filling.set_aside(one.sha256)
    (name,) = trash.runs(store.root)
    assert trash.close(store.root, name) is not None
    assert filling.set_aside(other.sha256) is None
    assert filling.close() is None
    assert other.path.exists()


def test_a_newer_format_is_refused_by_whatever_reads_or_writes(store: StorageService, tmp_path: Path) -> None:
    files = version(store, {"a": b"content"})
    digest = files.files[0].sha256
    said = json.loads((store.root / "format.json").read_text())
    (store.root / "format.json").write_text(json.dumps(said | {"format": 3}))
    source = tmp_path / "source"
    source.write_bytes(b"x")
    for use in (
        lambda: _new(store).find(digest),
        lambda: _new(store).get(digest),
        lambda: _new(store).verify(digest),
        lambda: _new(store).materialize(files, tmp_path / "model"),
        lambda: _new(store).add(source),
        lambda: keep(_new(store), b"x"),
        lambda: list(_new(store).list_blobs()),
        lambda: _new(store).usage(),
        lambda: _new(store).list_databases(),
        lambda: keep(store, b"x"),  # and a service that knew the store before writes no more
    ):
        with pytest.raises(StorageTooNewException) as refused:
            use()
        assert (refused.value.path, refused.value.format, refused.value.known) == (store.root, 3, 2)


def _new(store: StorageService) -> StorageService:
    return StorageService(StorageConfig(root=store.root))


def test_a_store_of_the_time_before_gets_a_format_when_it_is_written_to(store: StorageService) -> None:
    blob = keep(store, b"content")
    (store.root / "format.json").unlink()
    assert _new(store).find(blob.sha256) == blob
    assert _new(store).id is None
    keep(store, b"other")
    assert len(_new(store).id or "") == 32


def test_a_store_keeps_its_id(store: StorageService) -> None:
    keep(store, b"content")
    known = store.id
    keep(store, b"other")
    assert _new(store).id == known is not None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "x", "id": 1}'])
def test_a_damaged_format_is_named(store: StorageService, content: str) -> None:
    keep(store, b"content")
    (store.root / "format.json").write_text(content)
    with pytest.raises(ConfigurationException, match=r"format\.json is damaged"):
        keep(store, b"other")


def test_a_lease_lasts_for_its_time_by_the_clock_of_the_file_system(store: StorageService) -> None:
    digest = sha256(b"x")
    name = store.lease([digest], duration=timedelta(hours=1))
    now = inventory.now(store.root)
    assert inventory.leased(store.root, at=now) == {digest}
    assert inventory.leased(store.root, at=now + 3700, remove=True) == frozenset()
    assert store.release(name) is False


def test_a_lease_that_is_damaged_keeps_nothing_and_breaks_nothing(store: StorageService) -> None:
    name = store.lease([sha256(b"x")])
    (store.root / "leases" / name).write_text("{")
    assert inventory.leased(store.root, at=time.time()) == frozenset()
    assert store.release(name)


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(days=-1), 3600])
def test_a_lease_has_a_duration(store: StorageService, duration: timedelta) -> None:
    with pytest.raises(InvalidInputException, match="duration"):
        store.lease([], duration=duration)


@pytest.mark.parametrize("name", ["../format.json", "", "x" * 32, 3])
def test_only_a_lease_is_released(store: StorageService, name: str) -> None:
    keep(store, b"content")
    with pytest.raises(InvalidInputException, match="lease"):
        store.release(name)
    with pytest.raises(InvalidInputException, match="database_id"):
        store.forget_database(name)


def test_registries_are_noted_once_and_can_be_forgotten(store: StorageService) -> None:
    inventory.note_database(store.root, DATABASE)
    inventory.note_database(store.root, DATABASE.model_copy(update={"name": "elsewhere"}))
    assert store.list_databases() == [DATABASE]
    assert store.forget_database(DATABASE.id)
    assert not store.forget_database(DATABASE.id)
    assert store.list_databases() == []


def test_a_quota_counts_all_that_takes_room(tmp_path: Path) -> None:
    store = StorageService(StorageConfig(root=tmp_path / "store", max_size=1000))
    blob = keep(store, bytes(400))
    keep(store, bytes(range(100)))
    set_aside(store, blob.sha256)
    store.check_quota(500)
    with pytest.raises(StorageQuotaException, match="clean_up") as refused:
        store.check_quota(501)
    error = refused.value
    assert (error.limit, error.needed, error.blobs, error.leftovers) == (1000, 501, 100, 400)


def test_a_listing_of_many_blobs_needs_little_memory(store: StorageService) -> None:
    keep(store, b"content")
    for prefix in inventory.PREFIXES:
        place = store.root / f"blobs/sha256/{prefix}"
        place.mkdir(exist_ok=True)
        for number in range(20):
            (place / f"{prefix}{number:062x}").touch()
    next(iter(store.list_blobs()))  # which builds the schema of a blob
    tracemalloc.start()
    try:
        assert sum(1 for _ in store.list_blobs()) == 256 * 20 + 1
        assert tracemalloc.get_traced_memory()[1] < 256 * 1024
    finally:
        tracemalloc.stop()
