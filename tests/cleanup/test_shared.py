"""Clean-ups of stores that machines share, in a directory and in a bucket: nothing is lost that a registry has."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3  # type: ignore[import-untyped]  # as in tests.buckets
import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncSession

from kamiwaza_sdk import (
    AsyncModelService,
    BlobNotFoundException,
    DatabaseNotAskedException,
    Fetched,
    HubService,
    ModelVersionSchema,
    StorageConfig,
    StorageService,
    create_async_engine,
    plan_cleanup,
    verify_all,
)
from kamiwaza_sdk.services.model.store.databases import Database
from kamiwaza_sdk.services.storage.collection import DirectoryCollection
from kamiwaza_sdk.services.storage.remote.bucket_collection import BucketCollection
from kamiwaza_sdk.services.storage.remote.bucket_store import BucketStore, bytes_name
from kamiwaza_sdk.services.storage.remote.shared import open_store
from tests import buckets
from tests.cleanup.helpers import Registry
from tests.effort import effort

if TYPE_CHECKING:
    from kamiwaza_sdk.types import FileEntry

#: How many requests lie between those before which something happens.
STRIDE = effort(4, 1)


class Machine(Registry):
    """One registry, on one machine of several that share a store."""

    def __init__(self, engine: Engine, root: Path, address: str) -> None:
        super().__init__(engine, root)
        self.address = address
        self.storage = StorageService(StorageConfig(root=root, remote=address, lease=0))
        self.hub = HubService(storage=self.storage)
        self.stride = 1 if address.startswith("file:") else STRIDE

    def has(self, fetched: Fetched | ModelVersionSchema) -> bool:
        """Tell whether the shared store has every file, without bringing one back."""
        store = open_store(self.address, writable=False)
        if not isinstance(store, BucketStore):
            return all(store.find(file.sha256) is not None for file in fetched.files)
        files: Sequence[FileEntry] = fetched.files
        found = [store.index(file.sha256) for file in files]
        return all(
            entry is not None
            and entry[0].state == "live"
            and store.bucket.size(bytes_name(file.sha256, entry[0])) == file.size
            for file, entry in zip(files, found, strict=True)
        )


@pytest.fixture
def bucket(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a bucket that is empty."""
    name = f"bucket-{uuid4().hex}"
    buckets.use(moto, monkeypatch)
    buckets.make_bucket(moto, name)
    return f"s3://{name}/prefix"


@pytest.fixture(params=["directory", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store that is empty."""
    if request.param == "directory":
        return (tmp_path / "nfs").as_uri()
    address: str = request.getfixturevalue("bucket")
    return address


@pytest.fixture
def one(other: Engine, tmp_path: Path, address: str) -> Machine:
    """A machine, with a registry on SQLite."""
    return Machine(other, tmp_path / "one", address)


@pytest.fixture
def two(other: Engine, tmp_path: Path, address: str) -> Machine:
    """Another machine, with the same registry."""
    return Machine(other, tmp_path / "two", address)


def test_what_is_registered_stays_and_what_is_not_goes(one: Machine, two: Machine) -> None:
    kept, dropped = one.pull(b"kept"), one.fetch(b"dropped")
    plan = two.plan()
    assert [blob.sha256 for blob in plan.blobs] == [dropped.files[0].sha256]
    assert plan.kept["referenced"].blobs == 1
    assert plan.path in {one.address, one.address.removeprefix("file://")}
    result = two.clean_up(plan=plan)
    assert (result.removed.blobs, result.removed.bytes, result.is_complete) == (1, 7, True)
    assert (one.has(kept), one.has(dropped)) == (True, False)
    assert two.bytes_of(kept) == b"kept"


def test_what_one_machine_fetched_another_registers_and_lays_out(one: Machine, two: Machine) -> None:
    fetched = Fetched.model_validate_json(one.fetch(b"content").model_dump_json())
    version = two.register(fetched)
    assert two.bytes_of(version) == one.bytes_of(version) == b"content"
    assert one.clean_up().removed.blobs == 0


async def test_a_coroutine_registers_what_another_machine_fetched(one: Machine, two: Machine) -> None:
    """Its event loop waits for no service: what blocks is refused in the tests."""
    fetched = await asyncio.to_thread(one.fetch, b"content")
    engine = create_async_engine(str(one.engine.url).replace("sqlite:", "sqlite+aiosqlite:"))
    async with AsyncSession(engine) as db, db.begin():
        version = await AsyncModelService(db, hub=two.hub).register(fetched, name="model")
    await engine.dispose()
    assert version.status == "ready"
    assert (await asyncio.to_thread(one.clean_up)).removed.blobs == 0


def test_registering_what_only_this_machine_has_writes_it_through(other: Engine, one: Machine, tmp_path: Path) -> None:
    alone = Registry(other, tmp_path / "one")  # before it had a shared store
    fetched = alone.fetch(b"content")
    version = one.register(fetched.model_copy(update={"store": one.storage.id}))
    assert one.has(version)


def test_what_nobody_has_cannot_be_registered(one: Machine, two: Machine) -> None:
    fetched = one.fetch(b"content")
    assert one.clean_up().removed.blobs == 1
    with pytest.raises(BlobNotFoundException):
        two.register(fetched)


def test_a_registration_that_began_before_is_waited_for_and_read(one: Machine, two: Machine) -> None:
    fetched = one.fetch(b"content")
    plan = two.plan()
    with one.registered(fetched):
        result = two.clean_up(plan=plan)
        assert (result.removed.blobs, result.pending.blobs, len(result.waits_for)) == (0, 1, 1)
        assert two.plan().set_aside.blobs == 1
    result = two.clean_up()
    assert (result.removed.blobs, result.brought_back.blobs) == (0, 1)
    assert one.has(fetched)


def test_a_registration_at_any_step_of_a_clean_up_is_whole_or_refused(
    one: Machine, two: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set[bool]()
    for number in itertools.count(step=one.stride):
        fetched = one.fetch(f"content {number}".encode())
        one.storage.path(fetched.files[0].sha256).unlink()  # only the shared store has it
        plan = two.plan()
        steps, registered = itertools.count(), list[bool]()

        def registering() -> None:
            if next(steps) == number:  # noqa: B023 - called within this round
                try:
                    one.register(fetched, f"model-{number}")  # noqa: B023 - as above
                except BlobNotFoundException:
                    registered.append(False)  # noqa: B023 - as above
                else:
                    registered.append(True)  # noqa: B023 - as above

        with monkeypatch.context() as patched:
            before_each_step(patched, registering)
            two.clean_up(plan=plan)
        assert [one.has(fetched)] * len(registered) == registered
        outcomes.update(registered)
        if not registered:
            break
    assert outcomes == {True, False}


class _KilledError(BaseException):
    """A process dies."""


def test_a_clean_up_that_is_killed_at_any_step_loses_nothing_and_is_gone_on_with(
    one: Machine, two: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = one.pull(b"kept")
    for number in itertools.count(step=one.stride):
        dropped = one.fetch(b"dropped")
        one.storage.path(dropped.files[0].sha256).unlink()
        plan, steps, survived = two.plan(), itertools.count(), True

        def dying() -> None:
            if next(steps) == number:  # noqa: B023 - called within this round
                raise _KilledError

        with monkeypatch.context() as patched:
            before_each_step(patched, dying)
            try:
                two.clean_up(plan=plan)
            except _KilledError:
                survived = False
        assert one.has(kept)
        assert one.clean_up().is_complete
        assert not one.has(dropped)
        assert one.plan().set_aside.blobs == 0
        if survived:
            break
    assert number > 5


def before_each_step(patched: pytest.MonkeyPatch, call: Callable[[], None]) -> None:
    """Have something happen before each step of a clean-up."""
    for owner, names in (
        (DirectoryCollection, ("set_aside", "runs", "contents", "read_mark", "write_mark", "restore", "remove", "end")),
        (BucketCollection, ("runs", "contents", "read_mark", "write_mark", "restore", "remove", "end", "_closed")),
        (BucketStore, ("change",)),
        (Database, ("mark", "is_past", "among")),
    ):
        for name in names:
            step = getattr(owner, name)

            def stepping(*args: object, step: Callable[..., object] = step) -> object:
                call()
                return step(*args)

            patched.setattr(owner, name, stepping)


def test_a_database_that_is_not_asked_keeps_everything(
    one: Machine, engine: Engine, tmp_path: Path, address: str
) -> None:
    theirs = Machine(engine, tmp_path / "theirs", address)
    version = theirs.pull(b"theirs")
    with pytest.raises(DatabaseNotAskedException):
        one.plan()
    assert one.plan(engine).kept["referenced"].blobs == 1
    assert one.clean_up(engine).removed.blobs == 0
    assert theirs.has(version)


def test_leases_of_other_machines_hold(one: Machine, two: Machine) -> None:
    fetched = one.fetch(b"content")
    lease = one.storage.lease([fetched.files[0].sha256], duration=timedelta(days=1))
    assert two.plan().kept["leased"].blobs == 1
    assert two.clean_up().removed.blobs == 0
    assert one.storage.release(lease)
    assert two.clean_up().removed.blobs == 1


# What only buckets have.


@pytest.fixture
def alone(other: Engine, tmp_path: Path, bucket: str) -> Machine:
    """A machine before a bucket."""
    return Machine(other, tmp_path / "one", bucket)


def collection_of(machine: Machine, *, unreferenced_for: timedelta = timedelta(days=1)) -> BucketCollection:
    """The store behind a machine, as a clean-up sees it."""
    store = open_store(machine.address, writable=True)
    assert isinstance(store, BucketStore)
    return BucketCollection(store, unreferenced_for=unreferenced_for)


def test_a_cleaner_that_slept_finds_that_another_condemned_it(alone: Machine) -> None:
    digest = alone.fetch(b"content").files[0].sha256
    sleeping = collection_of(alone)
    assert sleeping.set_aside([digest]) == [True]
    (run,) = sleeping.runs()
    assert alone.storage._shared is not None
    assert alone.storage._shared.remote is not None
    assert alone.storage._shared.remote.find(digest) == 7  # somebody uses it
    assert collection_of(alone).set_aside([digest]) == [True]  # and another clean-up condemns it
    assert not sleeping.remove(run, digest)
    assert not sleeping.restore(run, digest)


def test_what_is_condemned_after_a_run_was_closed_is_not_removed_with_it(alone: Machine) -> None:
    """Its mark was taken before: nobody has looked for who registers between the two."""
    early, late = (alone.fetch(content).files[0].sha256 for content in (b"early", b"late"))
    collection = collection_of(alone)
    run = "ab" * 16
    collection._bucket.create(f"runs/{run}", b'{"digests": ["%s", "%s"]}' % (early.encode(), late.encode()))
    assert collection._condemn(run, early)
    assert collection_of(alone).runs() == [run]  # by another clean-up
    assert collection._condemn(run, late)
    assert collection.contents(run) == [early]
    assert not collection.remove(run, late)
    assert alone.clean_up().removed.blobs == 2


def test_bytes_that_no_entry_names_go_when_they_are_old(alone: Machine) -> None:
    kept = alone.pull(b"kept")
    collection = collection_of(alone, unreferenced_for=timedelta(seconds=-10))
    orphan = f"blobs/ab/{'ab' * 32}/random"
    collection._bucket.write(orphan, b"cut off")
    collection_of(alone).sweep()
    assert collection._bucket.size(orphan) == 7
    collection.sweep()
    assert collection._bucket.size(orphan) is None
    assert alone.has(kept)


def test_an_upload_that_slept_for_a_day_is_not_taken_for_whole(alone: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are swept just before it names them."""
    change = BucketStore.change
    swept = list[str]()

    def sweep_then_change(self: BucketStore, sha256: str, *arguments: object) -> bool:
        if not swept:
            swept.append(sha256)
            collection_of(alone, unreferenced_for=timedelta(seconds=-10)).sweep()
        return change(self, sha256, *arguments)  # type: ignore[arg-type]  # as they were given

    monkeypatch.setattr(BucketStore, "change", sweep_then_change)
    fetched = alone.fetch(b"content")
    assert swept
    assert alone.has(fetched)


def test_to_delete_by_an_etag_loses(moto: str, bucket: str) -> None:
    """The same bytes have the same ETag when they are uploaded again: a condition on it keeps nothing."""
    name = bucket.removeprefix("s3://").partition("/")[0]
    client = boto3.client(
        "s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="secret"
    )
    read = client.put_object(Bucket=name, Key="blob", Body=b"content")["ETag"]  # nothing refers to it
    client.delete_object(Bucket=name, Key="blob")  # by another clean-up
    again = client.put_object(Bucket=name, Key="blob", Body=b"content")["ETag"]  # and it is registered
    assert again == read


def test_what_is_missing_or_of_another_size_in_a_shared_store_is_found(one: Machine, two: Machine) -> None:
    kept, lost = one.pull(b"kept", "kept"), one.pull(b"lost", "lost")
    collection = one.storage._collection
    (digest,) = (file.sha256 for file in lost.files)
    assert collection.set_aside([digest]) == [True]
    (run,) = collection.runs()
    report = verify_all(two.storage, databases=[one.engine])
    assert report.problems == ()  # every use brings it back
    assert collection.remove(run, digest)
    report = verify_all(two.storage, databases=[one.engine])
    assert [(problem.sha256, problem.problem) for problem in report.problems] == [(digest, "missing")]
    assert report.referenced.blobs == 1
    assert one.has(kept)


def test_times_are_told_by_the_service(alone: Machine) -> None:
    collection = collection_of(alone)
    digest = alone.fetch(b"content").files[0].sha256
    used = collection.used(digest)
    assert used is not None
    assert abs(used - datetime.now(UTC).timestamp()) < 60
    assert plan_cleanup(alone.storage, databases=[alone.engine], unused_for=timedelta(days=1)).blobs == ()
