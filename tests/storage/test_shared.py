"""Shared stores and tiers: the directory is a cache of what machines share, in a directory, with moto, on SeaweedFS."""

import asyncio
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # as boto3, it has no types

from kamiwaza_sdk import (
    BlobCorruptException,
    BlobNotFoundException,
    BlobSchema,
    ConfigurationException,
    HubConfig,
    HubService,
    StorageConfig,
    StorageQuotaException,
    StorageService,
    StorageTooNewException,
)
from kamiwaza_sdk.services.storage import trash
from kamiwaza_sdk.services.storage.blobs import PUBLISHED_NS
from kamiwaza_sdk.services.storage.remote.bucket_collection import BucketCollection
from kamiwaza_sdk.services.storage.remote.bucket_store import BucketStore, Entry
from kamiwaza_sdk.services.storage.remote.shared import open_store
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, HuggingFaceServer
from kamiwaza_sdk.types import RemoteStoreException
from tests import buckets
from tests.storage.helpers import File, Version

BODY: Final = b"weights" * 1000
MIB: Final = 1024**2
#: Of parts and ranges here, the least that S3 takes; and what has three of them.
PART: Final = 5 * MIB
LARGE: Final = 11 * MIB
#: Make the directory of another machine, in front of the same shared store.
Machine = Callable[..., StorageService]


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut into small parts, so that files of several are small, too."""
    monkeypatch.setattr("kamiwaza_sdk.services.storage.remote.bucket._PART", PART)
    monkeypatch.setattr("kamiwaza_sdk.services.storage.remote.bucket_store._RANGE", PART)


@pytest.fixture(params=["moto", "seaweedfs"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a bucket that is empty."""
    endpoint: str = request.getfixturevalue(request.param)
    buckets.use(endpoint, monkeypatch)
    return f"s3://{new_bucket(endpoint)}/some/prefix"


@pytest.fixture(params=["directory", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a shared store: a directory, or a bucket with moto."""
    if request.param == "directory":
        return (tmp_path / "nfs").as_uri()
    endpoint: str = request.getfixturevalue("moto")
    buckets.use(endpoint, monkeypatch)
    return f"s3://{new_bucket(endpoint)}"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Make the directory of a machine."""

    def make(name: str, **settings: object) -> StorageService:
        return StorageService(StorageConfig(root=tmp_path / name, **settings))  # type: ignore[arg-type]  # as asked

    return make


def written(tmp_path: Path, content: bytes, name: str = "weights.bin") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def version(*blobs: BlobSchema) -> Version:
    return Version([File(f"{number}.bin", blob.size, blob.sha256) for number, blob in enumerate(blobs)])


def objects(address: str) -> BucketStore:
    """What is behind an address of a bucket."""
    store = open_store(address, writable=True)
    assert isinstance(store, BucketStore)
    return store


def replace(address: str, sha256: str, content: bytes) -> None:
    """Put other bytes where those of a blob are."""
    store = objects(address)
    found = store.index(sha256)
    assert found is not None
    store.bucket.write(f"blobs/{sha256[:2]}/{sha256}/{found[0].key}", content)


def test_what_one_machine_adds_another_has(address: str, machine: Machine, tmp_path: Path) -> None:
    one, other = machine("one", remote=address), machine("other", remote=address)
    blob = one.add(written(tmp_path, BODY))
    found = other.get(blob.sha256)
    assert found.path.read_bytes() == BODY
    assert found.path.is_relative_to(other.root)
    assert one.id == other.id != machine("one").id


def test_content_of_several_parts_arrives_whole(bucket: str, machine: Machine, tmp_path: Path) -> None:
    body = GeneratedBody(2 * LARGE, seed=1)
    path = large(tmp_path, body)
    blob = machine("one", remote=bucket).add(path, sha256=body.sha256())
    other = machine("other", remote=bucket)
    out = other.materialize(version(blob), tmp_path / "out")
    assert (out / "0.bin").stat().st_size == body.size
    assert other.verify(blob.sha256).size == body.size


def test_what_is_here_is_not_asked_for(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer() as server:
        buckets.use(server.url(""), monkeypatch)
        blob = machine("one").add(written(tmp_path, BODY))
        one = machine("one", remote="s3://bucket/prefix")
        assert one.get(blob.sha256) == one.find(blob.sha256) == blob
        one.materialize(version(blob), tmp_path / "out")
        assert server.requests == []


def test_what_nobody_has_is_not_found(address: str, machine: Machine) -> None:
    one = machine("one", remote=address)
    assert one.find("ab" * 32) is None
    with pytest.raises(BlobNotFoundException):
        one.get("ab" * 32)


def test_materialize_brings_what_is_missing(address: str, machine: Machine, tmp_path: Path) -> None:
    one = machine("one", remote=address)
    blobs = [one.add(written(tmp_path, bytes([number]) * number)) for number in range(1, 20)]
    out = machine("other", remote=address).materialize(version(*blobs), tmp_path / "out")
    assert [(out / f"{number}.bin").stat().st_size for number in range(19)] == list(range(1, 20))


def test_tiers_are_read_in_order_and_never_written(address: str, machine: Machine, tmp_path: Path) -> None:
    disk = machine("disk")
    blob = disk.add(written(tmp_path, BODY))
    before = sorted(path for path in disk.root.rglob("*"))
    local = machine("local", tiers=[str(disk.root), address])
    assert local.get(blob.sha256).path.read_bytes() == BODY
    assert local.find("ab" * 32) is None
    new = local.add(written(tmp_path, b"new"))
    assert machine("another", tiers=[address]).find(new.sha256) is None
    assert sorted(path for path in disk.root.rglob("*")) == before


def test_a_tier_that_is_not_there_is_passed_over(machine: Machine, tmp_path: Path) -> None:
    local = machine("local", tiers=[str(tmp_path / "not mounted")])
    assert local.find("ab" * 32) is None
    assert not (tmp_path / "not mounted").exists()


def test_damage_in_a_shared_store_is_noticed_and_mended_by_the_next_upload(
    bucket: str, machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = machine("one", remote=bucket)
    blob = one.add(written(tmp_path, BODY))
    replace(bucket, blob.sha256, b"x" * len(BODY))
    with caplog.at_level(logging.WARNING), pytest.raises(BlobCorruptException) as raised:
        machine("other", remote=bucket).get(blob.sha256)
    assert str(raised.value.path) == bucket
    assert "is not what its name says" in caplog.text
    assert machine("third", remote=bucket).find(blob.sha256) is None
    one.add(written(tmp_path, BODY))
    assert machine("other", remote=bucket).get(blob.sha256).size == len(BODY)


def test_a_shared_blob_of_another_size_is_uploaded_again(bucket: str, machine: Machine, tmp_path: Path) -> None:
    one = machine("one", remote=bucket)
    blob = one.add(written(tmp_path, BODY))
    replace(bucket, blob.sha256, b"cut")
    assert machine("other", remote=bucket).find(blob.sha256) is None
    one.add(written(tmp_path, BODY))
    assert machine("other", remote=bucket).get(blob.sha256).size == len(BODY)


def test_the_next_place_is_asked_where_one_is_damaged(address: str, machine: Machine, tmp_path: Path) -> None:
    disk = machine("disk")
    blob = disk.add(written(tmp_path, BODY))
    machine("one", remote=address).add(written(tmp_path, BODY))
    blob.path.chmod(0o644)
    blob.path.write_bytes(b"x" * len(BODY))
    assert machine("local", tiers=[str(disk.root)], remote=address).get(blob.sha256).path.read_bytes() == BODY


def test_only_one_of_many_writers_is_named(bucket: str, machine: Machine, tmp_path: Path) -> None:
    """Each has uploaded; one entry counts, and the bytes of the others are gone."""
    path = written(tmp_path, BODY)
    machines = [machine(f"machine-{number}", remote=bucket) for number in range(8)]

    async def together() -> list[BlobSchema]:
        return await asyncio.gather(*(asyncio.to_thread(one.add, path) for one in machines))

    blob, *_ = asyncio.run(together())
    store = objects(bucket)
    found = store.index(blob.sha256)
    assert found is not None
    keys = [listed.name for listed in store.bucket.list(f"blobs/{blob.sha256[:2]}/{blob.sha256}/")]
    assert keys == [f"blobs/{blob.sha256[:2]}/{blob.sha256}/{found[0].key}"]


def test_an_entry_is_changed_only_as_it_was_read(bucket: str) -> None:
    store = objects(bucket)
    assert store.change("ab" * 32, None, Entry("live", "one", 1))
    assert not store.change("ab" * 32, None, Entry("live", "two", 1))
    found = store.index("ab" * 32)
    assert found is not None
    assert store.change("ab" * 32, found[1], Entry("live", "one", 1))  # the same again, and yet another
    assert not store.change("ab" * 32, found[1], Entry("gone", "one", 1))


def test_what_a_clean_up_has_condemned_is_live_again_where_it_is_used(
    bucket: str, machine: Machine, tmp_path: Path
) -> None:
    blob = machine("one", remote=bucket).add(written(tmp_path, BODY))
    store = objects(bucket)
    found = store.index(blob.sha256)
    assert found is not None
    assert store.change(blob.sha256, found[1], Entry("condemned", found[0].key, blob.size, run="run"))
    assert machine("other", remote=bucket).find(blob.sha256) is not None
    assert store.index(blob.sha256)[0].state == "live"  # type: ignore[index]  # it was there


def test_what_is_gone_comes_back_under_another_name(bucket: str, machine: Machine, tmp_path: Path) -> None:
    one = machine("one", remote=bucket)
    blob = one.add(written(tmp_path, BODY))
    store = objects(bucket)
    found = store.index(blob.sha256)
    assert found is not None
    assert store.change(blob.sha256, found[1], Entry("gone", found[0].key, blob.size))
    store.bucket.delete(f"blobs/{blob.sha256[:2]}/{blob.sha256}/{found[0].key}")
    assert machine("other", remote=bucket).find(blob.sha256) is None
    one.add(written(tmp_path, BODY))
    assert store.index(blob.sha256)[0].key != found[0].key  # type: ignore[index]  # it was there
    assert machine("other", remote=bucket).find(blob.sha256) is not None


def test_bytes_that_vanish_before_they_are_named_are_uploaded_again(
    bucket: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clean-up takes what no entry names: the uploader looks for its bytes after it has named them."""
    change, deleted = BucketStore.change, list[str]()

    def delete_then_change(self: BucketStore, sha256: str, held: object, entry: Entry) -> bool:
        if not deleted:
            deleted.append(entry.key)
            self.bucket.delete(f"blobs/{sha256[:2]}/{sha256}/{entry.key}")
        return change(self, sha256, held, entry)  # type: ignore[arg-type]  # as it was given

    monkeypatch.setattr(BucketStore, "change", delete_then_change)
    blob = machine("one", remote=bucket).add(written(tmp_path, BODY))
    assert machine("other", remote=bucket).get(blob.sha256).size == len(BODY)


def test_room_is_made_of_what_the_shared_store_has(address: str, machine: Machine, tmp_path: Path) -> None:
    far = machine("far", remote=address)
    blobs = [far.add(written(tmp_path, bytes([number]) * 1000)) for number in range(10)]
    near = machine("near", remote=address, max_size=4500)
    for blob in blobs:
        near.get(blob.sha256)
    assert [blob.sha256 for blob in near.list_blobs()] == sorted(blob.sha256 for blob in blobs[-4:])
    assert near.get(blobs[0].sha256).path.read_bytes() == bytes(1000)


def test_what_is_leased_goes_last_and_what_is_only_here_stays(address: str, machine: Machine, tmp_path: Path) -> None:
    near = machine("near", max_size=3000)
    mine = near.add(written(tmp_path, b"mine" * 250))
    near = machine("near", remote=address, max_size=3000)
    leased = near.add(written(tmp_path, b"leased" * 150))
    near.lease([leased.sha256])
    near.add(written(tmp_path, b"other" * 200))
    near.check_quota(1000)
    assert {blob.sha256 for blob in near.list_blobs()} == {mine.sha256, leased.sha256}
    near.check_quota(2000)
    assert {blob.sha256 for blob in near.list_blobs()} == {mine.sha256}
    with pytest.raises(StorageQuotaException):
        near.check_quota(2001)


@pytest.mark.parametrize("is_closed", [False, True])
def test_an_eviction_that_was_interrupted_is_finished_by_the_next(
    is_closed: bool, address: str, machine: Machine, tmp_path: Path
) -> None:
    near = machine("near", max_size=3000)
    mine = near.add(written(tmp_path, b"mine" * 250))
    near = machine("near", remote=address, max_size=3000)
    evicted = near.add(written(tmp_path, b"evicted" * 200))
    for blob in (mine, evicted):
        filling = trash.Filling(near.root)
        assert filling.set_aside(blob.sha256)
        assert not is_closed or filling.close()
    near.check_quota(2000)
    assert near.usage().trash.bytes == mine.size  # which is only here, and comes back where it is asked for
    with pytest.raises(StorageQuotaException):
        near.check_quota(2001)
    assert near.get(mine.sha256) == mine
    assert near.get(evicted.sha256) == evicted


def test_a_quota_that_is_smaller_than_one_file_refuses_it(address: str, machine: Machine, tmp_path: Path) -> None:
    blob = machine("far", remote=address).add(written(tmp_path, BODY))
    with pytest.raises(StorageQuotaException):
        machine("near", remote=address, max_size=100).get(blob.sha256)


def test_databases_are_those_of_the_shared_store(address: str, machine: Machine) -> None:
    from kamiwaza_sdk.services.storage.schemas import StoreDatabaseSchema

    known = StoreDatabaseSchema(id="sqlite-" + "ab" * 16, name="/somewhere")
    machine("one", remote=address)._note_database(known)
    other = machine("other", remote=address)
    assert other.list_databases() == [known]
    assert other.forget_database(known.id)
    assert not other.forget_database(known.id)
    assert other.list_databases() == []


def test_it_pickles(address: str, machine: Machine, tmp_path: Path) -> None:
    one = machine("one", remote=address)
    blob = one.add(written(tmp_path, BODY))
    travelled = pickle.loads(pickle.dumps(one))
    assert travelled.get(blob.sha256) == blob


async def test_a_fetch_writes_through_and_brings_from_there(
    address: str, machine: Machine, faulty_server: FaultyServer
) -> None:
    url, body = faulty_server.add("/model.bin", body=BODY), BODY
    fetched = await HubService(storage=machine("one", remote=address)).fetch(url)
    digest = fetched.files[0].sha256
    assert fetched.bytes_fetched == len(body)
    before = len(faulty_server.requests)
    again = await HubService(storage=machine("other", remote=address)).fetch(url, sha256=digest)
    assert (again.bytes_fetched, again.bytes_reused) == (0, len(body))
    assert len(faulty_server.requests) == before
    assert again.store == fetched.store


async def test_fetches_make_room_of_what_the_shared_store_has(address: str, machine: Machine) -> None:
    """Although a lease keeps for a day what each of them has brought."""
    near = machine("near", remote=address, max_size=3000)
    with HuggingFaceServer() as server:
        for number in range(3):
            server.add_repository(f"org/model-{number}", {"model.bin": bytes([number]) * 2000})
        server.add_repository("org/large", {"model.bin": bytes(3001)})
        hub = HubService(storage=near, config=HubConfig(hf_endpoint=server.endpoint))
        fetched = [(await hub.fetch(f"hf://org/model-{number}")).files[0].sha256 for number in range(3)]
        assert [blob.sha256 for blob in near.list_blobs()] == fetched[2:]
        with pytest.raises(StorageQuotaException):
            await hub.fetch("hf://org/large")
    assert [blob.sha256 for blob in near.list_blobs()] == fetched[2:]
    assert (await asyncio.to_thread(near.get, fetched[0])).size == 2000


async def test_a_large_file_is_written_through(address: str, machine: Machine, faulty_server: FaultyServer) -> None:
    body = GeneratedBody(3 * MIB, seed=3)
    fetched = await HubService(storage=machine("one", remote=address)).fetch(faulty_server.add("/m.bin", body=body))
    digest = fetched.files[0].sha256
    found = await asyncio.to_thread(machine("other", remote=address).find, digest)
    assert found is not None
    assert found.size == body.size


@pytest.mark.parametrize("operation", ["add", "get"])
def test_a_bucket_that_is_not_there_is_named(
    operation: str, moto: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets.use(moto, monkeypatch)
    one = machine("one", remote="s3://no-such-bucket/prefix")
    with pytest.raises(RemoteStoreException) as raised:
        one.add(written(tmp_path, BODY)) if operation == "add" else one.get("ab" * 32)
    assert raised.value.kind == "NoSuchBucket"
    assert raised.value.address == "s3://no-such-bucket/prefix"
    assert pickle.loads(pickle.dumps(raised.value)).reason == raised.value.reason


@pytest.mark.parametrize(
    ("method", "part", "status", "kind"),
    [
        ("GET", "/index/", 403, "PermissionDeniedError"),
        ("GET", "/index/", 401, "UnauthenticatedError"),
        ("PUT", "/blobs/", 403, "PermissionDeniedError"),
        ("PUT", "/blobs/", 507, "GenericError"),
        ("PUT", "/blobs/", 400, "GenericError"),
        ("PUT", "/blobs/", 0, "GenericError"),
        ("PUT", "/index/", 403, "PermissionDeniedError"),
        ("HEAD", "/blobs/", 401, "UnauthenticatedError"),
    ],
)
def test_a_service_that_refuses_is_named_and_what_is_here_stays(  # noqa: PLR0917 - they are fixtures and a table
    method: str,
    part: str,
    status: int,
    kind: str,
    moto: str,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Read-only, without rights, full, with credentials that have expired meanwhile, or broken off in the middle."""
    refused = list[str]()

    def answer(asked: str, path: str) -> int | None:
        if (asked, part in path) == (method, True):
            refused.append(path)
            return status
        return None

    with refusing(moto, answer, monkeypatch) as there:
        one = machine("one", remote=there)
        with pytest.raises(RemoteStoreException) as raised:
            one.add(written(tmp_path, BODY))
    assert refused
    assert raised.value.kind == kind
    assert len(list(one.list_blobs())) == 1


@pytest.mark.parametrize("status", [0, 500])
def test_an_upload_that_ends_before_its_last_part_is_not_there(
    status: int, moto: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = GeneratedBody(LARGE, seed=4)
    path = large(tmp_path, body)
    with refusing(moto, lambda _, path: status if "partNumber=3" in path else None, monkeypatch) as there:
        with pytest.raises(RemoteStoreException):
            machine("one", remote=there).add(path)
        assert machine("other", remote=there).find(body.sha256()) is None
        assert list(objects(there).bucket.list("blobs/")) == []


def test_credentials_that_expire_in_the_middle_are_named(
    moto: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = GeneratedBody(LARGE, seed=4)
    expired = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    path = large(tmp_path, body)
    with refusing(moto, lambda _, asked: (400, expired) if "partNumber=2" in asked else None, monkeypatch) as there:
        one = machine("one", remote=there)
        with pytest.raises(RemoteStoreException, match="ExpiredToken"):
            one.add(path)
        buckets.use(moto, monkeypatch)
        again = machine("one", remote=there)
        assert again.add(path).sha256 == body.sha256()
        assert machine("other", remote=there).find(body.sha256()) is not None


@pytest.mark.parametrize("size", [1, LARGE])
def test_what_was_changed_on_its_way_is_refused_by_the_service(
    size: int, seaweedfs: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by moto, which keeps it."""
    body = GeneratedBody(size, seed=5)
    path = large(tmp_path, body)

    def spoil(method: str, asked: str) -> int | None:
        return buckets.SPOILT if method == "PUT" and "/blobs/" in asked else None

    with refusing(seaweedfs, spoil, monkeypatch) as there:
        with pytest.raises(RemoteStoreException):
            machine("one", remote=there).add(path)
        assert machine("other", remote=there).find(body.sha256()) is None


def test_a_blob_that_is_damaged_here_is_not_written_through(address: str, machine: Machine, tmp_path: Path) -> None:
    """A byte was changed behind the file system's back, so that its times tell nothing."""
    alone = machine("one")
    blob = alone.add(written(tmp_path, BODY))
    blob.path.chmod(0o644)
    blob.path.write_bytes(b"x" * len(BODY))
    os.utime(blob.path, ns=(PUBLISHED_NS, PUBLISHED_NS))
    blob.path.chmod(0o444)
    one = machine("one", remote=address)
    with pytest.raises(BlobCorruptException) as raised:
        one._look(version(blob).files)
    assert raised.value.quarantined is not None
    assert machine("other", remote=address).find(blob.sha256) is None
    assert one.add(written(tmp_path, BODY)) == blob
    assert machine("other", remote=address).find(blob.sha256) is not None


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_download_that_breaks_off_leaves_nothing(
    size: int, moto: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, broken = GeneratedBody(size, seed=6), list[str]()

    def cut(method: str, asked: str) -> int | None:
        if method == "GET" and "/blobs/" in asked and len(broken) < 100:
            broken.append(asked)
            return buckets.HALF
        return None

    path = large(tmp_path, body)
    with refusing(moto, cut, monkeypatch) as there:
        blob = machine("one", remote=there).add(path)
        near = machine("near", remote=there)
        with pytest.raises(RemoteStoreException):
            near.materialize(version(blob), tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert list(near.list_blobs()) == []
        broken.extend([""] * 100)
        assert (near.materialize(version(blob), tmp_path / "out") / "0.bin").stat().st_size == size


def test_who_may_only_read_reads_and_is_told_when_writing(
    seaweedfs: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = f"s3://{new_bucket(seaweedfs)}/prefix"
    buckets.use(seaweedfs, monkeypatch)
    blob = machine("writer", remote=there).add(written(tmp_path, BODY))
    buckets.use(seaweedfs, monkeypatch, who=buckets.READER)
    reader = machine("reader", remote=there)
    assert reader.get(blob.sha256).size == machine("tier", tiers=[there]).get(blob.sha256).size == len(BODY)
    with pytest.raises(RemoteStoreException, match="name what may only be read as a tier") as raised:
        reader.add(written(tmp_path, b"new"))
    assert (raised.value.operation, raised.value.kind) == ("write", "PermissionDeniedError")


@pytest.mark.parametrize("place", ["remote", "tiers"])
def test_who_may_do_nothing_is_told(
    place: str, seaweedfs: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = f"s3://{new_bucket(seaweedfs)}/prefix"
    buckets.use(seaweedfs, monkeypatch, who=buckets.STRANGER)
    with pytest.raises(RemoteStoreException) as raised:
        machine("one", **{place: there if place == "remote" else [there]}).find("ab" * 32)
    assert (raised.value.operation, raised.value.kind) == ("read", "PermissionDeniedError")


@pytest.mark.parametrize("moment", ["before the entry", "in the middle"])
def test_an_upload_that_was_killed_is_nowhere_and_can_be_done_again(
    moment: str, bucket: str, machine: Machine, tmp_path: Path
) -> None:
    """What it leaves that can be listed, a clean-up removes: here at once."""
    body = GeneratedBody(LARGE, seed=7)
    path = large(tmp_path, body)
    where = "BucketStore.change = kill" if moment == "before the entry" else "bucket.go_on = kill"
    code = f"""
import os
from kamiwaza_sdk import StorageConfig, StorageService
from kamiwaza_sdk.services.storage.remote import bucket
from kamiwaza_sdk.services.storage import trash
from kamiwaza_sdk.services.storage.blobs import PUBLISHED_NS
from kamiwaza_sdk.services.storage.remote.bucket_collection import BucketCollection
from kamiwaza_sdk.services.storage.remote.bucket_store import BucketStore
bucket._PART, calls = {PART}, []
def kill(*_):
    calls.append(1)
    if {where.startswith("BucketStore")} or len(calls) > 9:
        os.kill(os.getpid(), 9)
{where}
StorageService(StorageConfig(root={str(tmp_path / "dead")!r}, remote={bucket!r})).add({str(path)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = objects(bucket)
    assert machine("other", remote=bucket).find(body.sha256()) is None
    assert len(list(store.bucket.list("blobs/"))) == (moment == "before the entry")
    client, name = buckets.client(os.environ["AWS_ENDPOINT_URL"]), store.bucket.address.bucket
    begun = client.list_multipart_uploads(Bucket=name).get("Uploads", [])
    assert len(begun) == (moment == "in the middle")  # which is the service's to end: obstore lists none
    BucketCollection(store, unreferenced_for=timedelta(seconds=-60)).sweep()
    assert list(store.bucket.list("blobs/")) == []
    assert machine("one", remote=bucket).add(path).sha256 == body.sha256()
    assert machine("other", remote=bucket).find(body.sha256()) is not None


def large(tmp_path: Path, body: GeneratedBody) -> Path:
    return written(tmp_path, body.read(0, body.size), "large")


def new_bucket(endpoint: str) -> str:
    name = f"bucket-{uuid4().hex}"
    buckets.make_bucket(endpoint, name)
    return name


@contextmanager
def refusing(endpoint: str, answer: buckets.Answer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a bucket before whose service something stands that answers now and then."""
    monkeypatch.setattr("kamiwaza_sdk.services.storage.remote.bucket.RETRIES", {"max_retries": 0})
    name = new_bucket(endpoint)
    with buckets.faulty(endpoint, answer) as before:
        buckets.use(before, monkeypatch)
        yield f"s3://{name}/prefix"


@pytest.mark.parametrize(
    ("service", "missing", "part"), [("moto", "NoSuchKey", None), ("seaweedfs", "PreconditionFailed", "BadDigest")]
)
def test_services_differ_as_the_page_says(
    service: str, missing: str, part: str | None, request: pytest.FixtureRequest
) -> None:
    endpoint = request.getfixturevalue(service)
    client, name = buckets.client(endpoint), new_bucket(endpoint)

    def refused(operation: str, **given: object) -> str | None:
        try:
            getattr(client, operation)(Bucket=name, Key="key", **given)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    other = b64encode(sha256(b"other").digest()).decode()
    assert refused("put_object", Body=b"1", IfMatch='"ab"') == missing
    assert refused("put_object", Body=b"1", IfNoneMatch="*") is None
    assert refused("put_object", Body=b"1", IfNoneMatch="*") == "PreconditionFailed"
    assert refused("put_object", Body=b"1", IfMatch='"ab"') == "PreconditionFailed"
    upload = client.create_multipart_upload(Bucket=name, Key="key", ChecksumAlgorithm="SHA256")["UploadId"]
    assert refused("upload_part", UploadId=upload, PartNumber=1, Body=b"1", ChecksumSHA256=other) == part
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.put_object(Bucket=f"not-{uuid4().hex}", Key="key", Body=b"1")


def test_a_newer_layout_is_refused(bucket: str, machine: Machine, tmp_path: Path) -> None:
    objects(bucket).bucket.create("format.json", json.dumps({"format": 99, "id": "x"}).encode())
    with pytest.raises(StorageTooNewException):
        machine("one", remote=bucket).add(written(tmp_path, BODY))


@pytest.mark.parametrize(
    "address", ["", "s3://", "ftp://host/dir", "s3://bucket/a b", "s3://bucket/../x", "file://host/dir", "relative/dir"]
)
def test_what_is_no_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if address:
        with pytest.raises(ConfigurationException, match="remote"):
            StorageConfig(remote=address)
    monkeypatch.setenv("STORAGE_SERVICE_TIERS", f"/mnt/one, s3://bucket/two,{address}")
    if address:
        with pytest.raises(ConfigurationException, match="TIERS"):
            StorageConfig()
    else:
        assert StorageConfig().tiers == ("file:///mnt/one", "s3://bucket/two")


def test_obstore_is_loaded_only_where_a_bucket_is_named() -> None:
    code = "import sys; from kamiwaza_sdk import StorageService; StorageService().find('ab' * 32); "
    code += "print(sorted(name for name in sys.modules if 'obstore' in name or '.remote.shared' in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
