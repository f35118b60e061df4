"""The order of steps that a clean-up and a registration keep, and what is lost with any other."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    BlobNotFoundException,
    CreateFile,
    CreateModel,
    CreateVersion,
    Fetched,
    ModelService,
    ModelVersionSchema,
)
from kamiwaza_sdk.services.model.store import cleanup
from kamiwaza_sdk.services.model.store.databases import Database
from kamiwaza_sdk.services.storage import trash
from tests.cleanup.helpers import Registry


@pytest.fixture
def fetched(registry: Registry) -> Fetched:
    """A model that nobody has registered yet."""
    return registry.fetch(b"content")


def register_unseen(registry: Registry, fetched: Fetched) -> ModelVersionSchema:
    """Insert the rows of a registration, and look at nothing."""
    with Session(registry.engine) as db, db.begin():
        models = ModelService(db)
        model = models.create_model(CreateModel(name="model"))
        files = tuple(CreateFile(path=file.path, size=file.size, sha256=file.sha256) for file in fetched.files)
        return models.create_version(model.id, CreateVersion(files=files))


def set_aside(registry: Registry, fetched: Fetched) -> str:
    """Do the second step of a clean-up."""
    filling = trash.Filling(registry.storage.root)
    assert filling.set_aside(fetched.files[0].sha256)
    return str(filling.close())


# What holds.


def test_a_registration_that_began_before_is_waited_for_and_read(registry: Registry, fetched: Fetched) -> None:
    plan = registry.plan()
    with registry.registered(fetched):
        result = registry.clean_up(plan=plan)
        assert (result.removed.blobs, result.pending.blobs, len(result.waits_for)) == (0, 1, 1)
    result = registry.clean_up()
    assert (result.removed.blobs, result.brought_back.blobs) == (0, 1)
    assert registry.has(fetched)


def test_a_registration_that_is_rolled_back_keeps_nothing(registry: Registry, fetched: Fetched) -> None:
    plan = registry.plan()
    with Session(registry.engine) as db:
        registry.models(db).register(fetched, name="model")
        assert registry.clean_up(plan=plan).pending.blobs == 1
        db.rollback()
    assert registry.clean_up().removed.blobs == 1


def test_a_registration_that_begins_later_brings_the_blob_back(registry: Registry, fetched: Fetched) -> None:
    run = set_aside(registry, fetched)
    version = registry.register(fetched)
    assert registry.bytes_of(version) == b"content"
    assert trash.contents(registry.storage.root, run) == []
    assert registry.clean_up().removed.blobs == 0
    assert registry.has(version)


def test_a_registration_at_any_step_of_a_clean_up_is_whole_or_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes just before each step in turn, in a transaction that is committed at once."""
    outcomes = set[bool]()
    for number in itertools.count():
        fetched = registry.fetch(f"content {number}".encode())
        plan = registry.plan()
        steps = itertools.count()
        registered = list[bool]()

        def registering() -> None:
            if next(steps) == number:  # noqa: B023 - called within this round
                try:
                    registry.register(fetched, f"model-{number}")  # noqa: B023 - as above
                except BlobNotFoundException:
                    registered.append(False)  # noqa: B023 - as above
                else:
                    registered.append(True)  # noqa: B023 - as above

        with monkeypatch.context() as patched:
            _before_each_step(patched, registering)
            registry.clean_up(plan=plan)
        assert [registry.has(fetched)] * len(registered) == registered
        outcomes.update(registered)
        if not registered:
            break
    assert outcomes == {True, False}


def _before_each_step(patched: pytest.MonkeyPatch, call: Callable[[], None]) -> None:
    for owner, name in (
        *((trash.Filling, name) for name in ("set_aside", "close")),
        *((trash, name) for name in ("close", "contents", "read_mark", "write_mark")),
        *((Database, name) for name in ("mark", "is_past", "among")),
    ):
        step = getattr(owner, name)

        def stepping(*args: object, step: Callable[..., object] = step) -> object:
            call()
            return step(*args)

        patched.setattr(owner, name, stepping)


class _KilledError(BaseException):
    """A process dies."""


def test_a_clean_up_that_is_killed_at_any_step_loses_nothing_and_is_gone_on_with(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = registry.pull(b"kept")
    for number in itertools.count():
        dropped = registry.fetch(b"dropped")
        plan = registry.plan()
        steps = itertools.count()

        def dying() -> None:
            if next(steps) == number:  # noqa: B023 - called within this round
                raise _KilledError

        with monkeypatch.context() as patched:
            _before_each_step(patched, dying)
            try:
                registry.clean_up(plan=plan)
            except _KilledError:
                survived = False
            else:
                survived = True
        assert registry.bytes_of(kept) == b"kept"
        assert registry.clean_up().is_complete
        assert not registry.has(dropped)
        assert trash.runs(registry.storage.root) == []
        if survived:
            break
    assert number > 5


def test_a_cleaner_that_slept_for_an_hour_finds_nothing_under_the_name_it_remembers(
    registry: Registry, fetched: Fetched
) -> None:
    sleeping = set_aside(registry, fetched)
    version = registry.register(fetched)  # which brings it back
    registry.delete(version.id)
    plan = registry.plan()
    again = trash.Filling(registry.storage.root)
    assert again.set_aside(plan.blobs[0].sha256)
    assert not trash.remove(registry.storage.root, sleeping, fetched.files[0].sha256)
    assert registry.bytes_of(registry.register(fetched)) == b"content"


# What loses: each of these orders has been somebody's, and each loses what a registry has.


def test_without_the_barrier_an_open_transaction_loses(
    registry: Registry, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last use, grace and trash are times; a transaction outlives any of them."""
    plan = registry.plan()
    monkeypatch.setattr(Database, "is_past", lambda *_: True)
    with registry.registered(fetched):
        assert registry.clean_up(plan=plan).removed.blobs == 1
    assert not registry.has(fetched)


def test_to_check_and_then_unlink_at_once_loses(registry: Registry, fetched: Fetched) -> None:
    digest = fetched.files[0].sha256
    with registry.registered(fetched):
        with Database(registry.engine) as database:
            assert database.among([digest]) == set()
        registry.storage.path(digest).unlink()
    assert not registry.has(fetched)


def test_to_read_what_is_referred_to_before_the_barrier_loses(registry: Registry, fetched: Fetched) -> None:
    digest = fetched.files[0].sha256
    with Database(registry.engine) as database:
        with registry.registered(fetched):
            run = set_aside(registry, fetched)
            mark = database.mark()
            referenced = database.among([digest])
        assert database.is_past(mark)
        assert referenced == set()
        assert trash.remove(registry.storage.root, run, digest)
    assert not registry.has(fetched)


def test_to_look_before_the_rows_are_inserted_loses(registry: Registry, fetched: Fetched) -> None:
    registry.storage.get(fetched.files[0].sha256)  # it is there
    assert registry.clean_up().removed.blobs == 1  # nobody has written anything
    version = register_unseen(registry, fetched)
    assert version.status == "ready"
    assert not registry.has(version)


def test_one_name_in_the_trash_for_each_digest_loses(registry: Registry, fetched: Fetched) -> None:
    digest = fetched.files[0].sha256
    blob, place = registry.storage.path(digest), registry.storage.root / "trash" / digest
    place.parent.mkdir()
    blob.rename(place)  # the first clean-up, which reads that nothing refers to it, and falls asleep
    place.rename(blob)  # somebody registers, and deletes it again
    with registry.registered(fetched):
        blob.rename(place)  # the second clean-up, which waits for that transaction, and is going to bring it back
    place.unlink()  # the first wakes up
    assert not registry.has(fetched)
    assert not os.path.lexists(place)


def test_to_read_the_list_of_databases_before_setting_aside_loses(
    registry: Registry, other: Engine, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = registry.plan()
    theirs = Registry(other, registry.storage.root)
    put_aside = trash.Filling.set_aside

    def registering(self: trash.Filling, sha256: str) -> bool | None:
        theirs.register(fetched)
        return put_aside(self, sha256)

    monkeypatch.setattr(trash.Filling, "set_aside", registering)
    monkeypatch.setattr(cleanup, "unasked", lambda *_: [])  # as it was read before
    assert registry.clean_up(plan=plan).removed.blobs == 1
    assert not theirs.has(fetched)


def test_to_let_go_when_sqlalchemy_says_committed_loses(other: Engine, tmp_path: Path) -> None:
    """A session that joins a transaction tells of a commit although that transaction is rolled back."""
    registry = Registry(other, tmp_path / "store")
    version = registry.pull(b"content")
    with other.connect() as connection, connection.begin() as outer:
        with Session(connection) as db:

            @event.listens_for(db, "after_commit")
            def let_go(_: Session) -> None:
                registry.storage.path(version.files[0].sha256).unlink()

            ModelService(db).delete_version(version.id)
            db.commit()
        outer.rollback()
    with Session(other) as db:
        assert ModelService(db).get_version(version.id) == version
    assert not registry.has(version)
