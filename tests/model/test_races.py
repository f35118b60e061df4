"""Eight processes want the same thing at once: one gets it, the others are told, and all go on."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    AliasAlreadyExistsException,
    CreateModel,
    CreateModelConfig,
    CreateVersion,
    Field,
    ModelAlreadyExistsException,
    ModelConfigAlreadyExistsException,
    ModelService,
    ModelVersionSchema,
    Policy,
    PolicyViolationException,
    RevisionConflictException,
    ServiceException,
    UpdateModel,
    UpdateModelConfig,
    UpdateVersion,
    VersionAlreadyExistsException,
    VersionNotFoundException,
)
from kamiwaza_sdk.sources import manifest_digest
from tests.model.world import fetched, files
from tests.processes import FRESH

COUNT = 8
#: Where the processes wait for each other: given to each when it starts.
_barrier: list[Barrier] = []


def _meet_at(barrier: Barrier) -> None:
    _barrier.append(barrier)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Eight processes."""
    barrier = FRESH.Barrier(COUNT)
    with ProcessPoolExecutor(COUNT, mp_context=FRESH, initializer=_meet_at, initargs=(barrier,)) as pool:
        yield pool


def _version_id(models: ModelService) -> UUID:
    return models.resolve("m:1").id


def _create_model(models: ModelService, _worker: int) -> object:
    return models.create_model(CreateModel(name="same"))


def _create_version(models: ModelService, worker: int) -> object:
    create = CreateVersion(files=files("abcdefgh"[worker]), version="same")
    return models.create_version(models.get_model_by_name("m").id, create)


def _create_alias(models: ModelService, _worker: int) -> object:
    return models.create_alias(_version_id(models), "live")


def _create_default(models: ModelService, worker: int) -> object:
    config = CreateModelConfig(name=f"c{worker}", is_default=True)
    return models.create_config(config, model_id=models.get_model_by_name("m").id)


def _rename_config(models: ModelService, worker: int) -> object:
    config = models.create_config(CreateModelConfig(name=f"c{worker}"), version_id=_version_id(models))
    return models.update_config(config.id, UpdateModelConfig(name="same"))


def _update_model(models: ModelService, worker: int) -> object:
    changes = UpdateModel(task=f"by {worker}")
    return models.update_model(models.get_model_by_name("m").id, changes, expected_revision=1)


def _rename_model(models: ModelService, worker: int) -> object:
    model = models.create_model(CreateModel(name=f"other-{worker}"))
    return models.update_model(model.id, UpdateModel(name="same"))


def _delete_version(models: ModelService, _worker: int) -> object:
    models.delete_version(_version_id(models))
    return None


RACES: dict[str, tuple[Callable[[ModelService, int], object], type[ServiceException]]] = {
    "a model's name": (_create_model, ModelAlreadyExistsException),
    "a model's new name": (_rename_model, ModelAlreadyExistsException),
    "a version's label": (_create_version, VersionAlreadyExistsException),
    "an alias": (_create_alias, AliasAlreadyExistsException),
    "to be the default": (_create_default, ModelConfigAlreadyExistsException),
    "a configuration's new name": (_rename_config, ModelConfigAlreadyExistsException),
    "a revision": (_update_model, RevisionConflictException),
    "to delete a version": (_delete_version, VersionNotFoundException),
}


def _run(race: str, url: str, worker: int) -> ServiceException | None:
    """Take part in a race, and commit another row in the same transaction, whatever came of it."""
    call, kind = RACES[race]
    engine = create_engine(url, poolclass=NullPool, **({"connect_args": {"timeout": 60}} if "sqlite" in url else {}))
    refused: ServiceException | None = None
    _barrier[0].wait(60)
    with Session(engine) as db, db.begin():
        models = ModelService(db, actor=f"worker {worker}")
        try:
            call(models, worker)
        except kind as error:
            refused = error
        models.create_model(CreateModel(name=f"own-{worker}"))
    engine.dispose()
    return refused


@pytest.mark.parametrize("race", RACES)
def test_one_of_eight_processes_wins_and_all_commit_what_else_they_wrote(
    pool: ProcessPoolExecutor, shared_url: str, race: str
) -> None:
    engine = create_engine(shared_url)
    with Session(engine) as db, db.begin():
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        models.create_version(model.id, CreateVersion(files=files("z")))
    results = list(pool.map(partial(_run, race, shared_url), range(COUNT)))
    winners = [worker for worker, refused in enumerate(results) if refused is None]
    with Session(engine) as db:
        models = ModelService(db)
        own = {found.name for found in models.list_models() if found.name.startswith("own-")}
        events = [each for found in models.iter_models() for each in models.list_events(found.id).items]
        by_model = {one.model_id: [e.sequence for e in events if e.model_id == one.model_id] for one in events}
        changed = {each.actor for each in events if each.sequence > 1 and each.actor}
        versions = [version.number for version in models.list_versions(model.id)]
        revision = models.get_model(model.id).revision
    engine.dispose()
    assert len(winners) == 1
    assert own == {f"own-{worker}" for worker in range(COUNT)}
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in by_model.values())
    refused = [error for error in results if error is not None]
    assert all(error.transaction_usable for error in refused)
    if race == "a revision":
        pairs = {(error.expected, error.actual) for error in refused if isinstance(error, RevisionConflictException)}
        assert (pairs, revision) == ({(1, 2)}, 2)
    elif race == "a version's label":
        assert versions == [1, 2]
    elif race == "to delete a version":
        assert versions == []
    if race not in {"a model's name", "a configuration's new name"}:
        assert changed == {f"worker {winners[0]}"}


def _rename(models: ModelService, model_id: UUID) -> None:
    models.update_model(model_id, UpdateModel(name="renamed"))


def _delete(models: ModelService, model_id: UUID) -> None:
    models.delete_model(model_id)


def _purge(models: ModelService, model_id: UUID) -> None:
    models.delete_model(model_id)
    models.purge_model(model_id)


@pytest.mark.parametrize(("act", "is_refused"), [(_rename, False), (_delete, True), (_purge, False)])
def test_files_are_registered_under_no_other_name_whatever_becomes_of_the_model_meanwhile(
    postgresql_tables: str, act: Callable[[ModelService, UUID], None], *, is_refused: bool
) -> None:
    """Where the name is free again, a new model gets it; where a deleted model has it, nobody does."""
    engine, others = create_engine(postgresql_tables), create_engine(postgresql_tables)
    namespace = f"race{act.__name__}"
    with Session(others) as db:
        model = ModelService(db, namespace=namespace).create_model(CreateModel(name="m"))
        db.commit()

    acted: list[object] = []

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FOR NO KEY UPDATE" in statement and not acted:
            acted.append(act)
            with Session(others) as db:
                act(ModelService(db, namespace=namespace), model.id)
                db.commit()

    event.listen(engine, "before_cursor_execute", before)
    with Session(engine) as db:
        models = ModelService(db, namespace=namespace)
        if is_refused:
            with pytest.raises(ModelAlreadyExistsException, match="Model 'm'") as refused:
                models.register(fetched("a", name="m"))
            assert refused.value.transaction_usable is True
        else:
            version = models.register(fetched("a", name="m"))
            assert (version.number, models.get_model_by_name("m").id) == (1, version.model_id)
            assert version.model_id != model.id
        assert (acted, models.count_versions()) == ([act], 0 if is_refused else 1)
    for each in (engine, others):
        each.dispose()


READS: dict[str, Callable[[ModelService, ModelVersionSchema], list[ModelVersionSchema]]] = {
    "get_version": lambda models, version: [models.get_version(version.id)],
    "resolve": lambda models, _: [models.resolve("m")],
    "list_versions": lambda models, version: models.list_versions(version.model_id, after=1, limit=1),
    "search_versions": lambda models, _: list(models.search_versions(descending=True, limit=1).items),
}


@contextmanager
def meanwhile(engine: Engine, act: Callable[[], object]) -> Iterator[None]:
    """Have somebody else act once, just before the files of versions are read."""
    left = [act]

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM kamiwaza_model_file" in statement and left:
            left.pop()()

    event.listen(engine, "before_cursor_execute", before)
    yield
    assert not left


@pytest.mark.parametrize("read", READS)
def test_a_version_that_is_deleted_while_it_is_read_is_not_told_of_without_its_files(
    postgresql_tables: str, read: str
) -> None:
    engine, others = create_engine(postgresql_tables), create_engine(postgresql_tables)
    namespace = f"read-{read}"
    with Session(others) as db:
        models = ModelService(db, namespace=namespace)
        model = models.create_model(CreateModel(name="m"))
        kept, gone = (models.create_version(model.id, CreateVersion(files=files(letter))) for letter in "ab")
        db.commit()

    def delete() -> None:
        with Session(others) as db:
            ModelService(db, namespace=namespace).delete_version(gone.id)
            db.commit()

    with meanwhile(engine, delete), Session(engine) as db:
        models = ModelService(db, namespace=namespace)
        if read == "get_version":
            with pytest.raises(VersionNotFoundException):
                READS[read](models, gone)
        else:
            assert READS[read](models, gone) == ([] if read == "list_versions" else [kept])
    for each in (engine, others):
        each.dispose()


@pytest.mark.parametrize("read", READS)
def test_a_version_whose_files_are_replaced_while_it_is_read_is_told_of_with_those_that_its_digest_is_of(
    postgresql_tables: str, read: str
) -> None:
    engine, others = create_engine(postgresql_tables), create_engine(postgresql_tables)
    namespace = f"replaced-{read}"
    with Session(others) as db:
        models = ModelService(db, namespace=namespace)
        model = models.create_model(CreateModel(name="m"))
        models.create_version(model.id, CreateVersion(files=files("a")))
        draft = models.create_version(model.id, CreateVersion(files=files("b"), status="draft"))
        db.commit()

    def replace() -> None:
        with Session(others) as db:
            changes = UpdateVersion(files=files("c", "d"), status="ready", attributes={"checked": True})
            ModelService(db, namespace=namespace).update_version(draft.id, changes)
            db.commit()

    with meanwhile(engine, replace), Session(engine) as db:
        models = ModelService(db, namespace=namespace)
        (found,) = [models.resolve("m:2")] if read == "resolve" else READS[read](models, draft)
        assert found.digest == manifest_digest(found.files)
        assert found == models.get_version(draft.id)
    for each in (engine, others):
        each.dispose()


POLICY = Policy(max_size=1)


def _register_failing_or_not(url: str, worker: int) -> str | None:
    """Register the same files: the even fail them under one model, the odd take them for ready, each under its own."""
    engine = create_engine(url, poolclass=NullPool, **({"connect_args": {"timeout": 60}} if "sqlite" in url else {}))
    _barrier[0].wait(60)
    try:
        with Session(engine) as db, db.begin():
            models = ModelService(db)
            if worker % 2 == 0:
                return models.register(fetched("h", name="failing"), policy=POLICY).status
            model = models.create_model(CreateModel(name=f"own-{worker}"))
            return models.create_version(model.id, CreateVersion(files=files("h"))).status
    except PolicyViolationException:
        return None
    finally:
        engine.dispose()


def test_files_that_fail_while_others_take_them_are_one_failed_version_and_go_no_further(
    pool: ProcessPoolExecutor, shared_url: str
) -> None:
    """Who was ready before the verdict stays so, as one who came first does; nobody becomes it after, not by a copy."""
    results = list(pool.map(partial(_register_failing_or_not, shared_url), range(COUNT)))
    engine = create_engine(shared_url)
    with Session(engine) as db:
        models = ModelService(db)
        (failed,) = models.list_versions(models.get_model_by_name("failing").id)
        ready = models.search_versions(Field.status == "ready").items
        target = models.create_model(CreateModel(name="target"))
        for version in ready:
            with pytest.raises(PolicyViolationException, match="'failing:1'"):
                models.copy_version(version.id, target.id)
        with pytest.raises(PolicyViolationException, match="'failing:1'"):
            models.create_version(target.id, CreateVersion(files=files("h")))
        with pytest.raises(PolicyViolationException, match="'failing:1'"):
            models.register(fetched("h", name="third"))
    engine.dispose()
    assert (failed.number, failed.status) == (1, "failed")
    assert results[::2] == ["failed"] * (COUNT // 2)
    assert len(ready) == results[1::2].count("ready")


def _set_tag(models: ModelService, version: ModelVersionSchema, value: str) -> None:
    models.set_model_tag(version.model_id, "k", value)


def _set_version_tag(models: ModelService, version: ModelVersionSchema, value: str) -> None:
    models.set_version_tag(version.id, "k", value)


def _set_alias(models: ModelService, version: ModelVersionSchema, value: str) -> None:
    models.set_alias(version.id if value == "first" else models.resolve("m:2").id, "k")


@pytest.mark.parametrize("set_", [_set_tag, _set_version_tag, _set_alias])
def test_who_waited_for_a_model_knows_what_was_set_meanwhile(
    postgresql_tables: str, set_: Callable[[ModelService, ModelVersionSchema, str], None]
) -> None:
    """The statement that waits has seen the tags and aliases of before."""
    engine, namespace = create_engine(postgresql_tables, pool_size=3), f"waited{set_.__name__}"
    with Session(engine) as first, Session(engine) as second, ThreadPoolExecutor(1) as thread:
        models = ModelService(first, namespace=namespace)
        model = models.create_model(CreateModel(name="m"))
        version, _ = (models.create_version(model.id, CreateVersion(files=files(letter))) for letter in "ab")
        first.commit()
        set_(models, version, "first")
        waiter = second.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        waiting = thread.submit(set_, ModelService(second, namespace=namespace), version, "second")
        with engine.connect() as connection:
            blockers = f"SELECT cardinality(pg_blocking_pids({waiter}))"
            for _ in range(100_000):
                if connection.exec_driver_sql(blockers).scalar_one() or waiting.done():
                    break
        assert not waiting.done()
        first.commit()
        waiting.result(60)
        second.commit()
        *_, before, after = models.list_events(model.id).items
        assert (before.before, after.before) == ({}, before.after)
        assert after.after != before.after
        words = [bool(models.search_models(text=text).items) for text in ("first", "second")]
        assert words == ([False, True] if set_ is _set_tag else [False, False])
    engine.dispose()
