"""How the registry lives in the host's session: what it flushes, expires, survives, and leaves alone."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, NullPool, QueuePool, create_engine, event, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import kamiwaza_sdk
from kamiwaza_sdk import (
    AsyncModelService,
    CreateModel,
    DatabaseBusyException,
    DatabaseConnectionException,
    DatabaseNotReadyException,
    DBModel,
    Fetched,
    FetchedFile,
    ModelAlreadyExistsException,
    ModelService,
    UpdateModel,
    setup_database,
)
from kamiwaza_sdk.orm import DBModelVersion
from tests.backends import Backend, HostBase, Order, add, renew_tables
from tests.processes import FRESH


def fetched(digest: str, *, name: str = "m") -> Fetched:
    """One file of a digest."""
    file = FetchedFile(path="a.bin", size=1, sha256=digest)
    return Fetched(source="test", name=name, files=(file,), bytes_fetched=1, bytes_reused=0)


async def test_the_hosts_pending_rows_are_flushed_first_and_its_bad_ones_fail_as_its_own(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        add(db, Order(text="same"))
        await models.list_models()
        assert (await db.execute(select(func.count()).select_from(Order))).scalar_one() == 1
        add(db, Order(text="same"))
        with pytest.raises(IntegrityError):
            await models.list_models()
        await db.rollback()
        assert await models.list_models() == []


async def test_the_hosts_loaded_copy_of_a_row_is_read_anew_after_a_change(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="before"))
    async with backend.session() as db:
        row = (await db.execute(select(DBModel).where(DBModel.id == model.id))).scalar_one()
        assert (row.name, row.created_at, row.deleted_at) == ("before", model.created_at, None)
        models = backend.service(db)
        await models.update_model(model.id, UpdateModel(name="after"))
        await db.refresh(row)
        assert (row.name, row.revision) == ("after", 2)


def test_a_host_relates_its_rows_to_ours_and_sees_what_changed_without_asking(mock_db: Session) -> None:
    HostBase.metadata.create_all(mock_db.connection())
    models = ModelService(mock_db)
    model = models.create_model(CreateModel(name="m"))
    mock_db.add(Order(text="o", model_id=model.id))
    row = mock_db.scalars(select(DBModel).join(Order, Order.model_id == DBModel.id)).one()
    assert (row.id, row.versions) == (model.id, [])
    version = models.register(fetched("ab" * 32))
    assert [(v.id, [f.path for f in v.files], v.model) for v in row.versions] == [(version.id, ["a.bin"], row)]
    assert mock_db.scalars(select(DBModelVersion)).one().details == {}
    models.update_model(model.id, UpdateModel(task="chat"))
    assert row.task == "chat"


def test_a_scoped_session_serves_as_well(mock_db: Session) -> None:
    scoped = scoped_session(sessionmaker(mock_db.get_bind()))
    models = ModelService(scoped)  # type: ignore[arg-type]  # SQLAlchemy's own stand-in for a Session
    created = models.create_model(CreateModel(name="m"))
    assert ModelService(scoped()).get_model(created.id) == created
    scoped.remove()


def test_a_host_with_several_databases_binds_ours_by_our_classes() -> None:
    ours, theirs = create_engine("sqlite://"), create_engine("sqlite://")
    setup_database(ours)
    HostBase.metadata.create_all(theirs, tables=[])
    from kamiwaza_sdk.orm import DBBase

    with Session(binds={DBBase: ours, HostBase: theirs}) as db:
        assert ModelService(db).create_model(CreateModel(name="m")).name == "m"
    ours.dispose()
    theirs.dispose()


async def test_a_database_that_was_never_set_up_says_what_to_call(backend: Backend) -> None:
    async with backend.session() as db:
        await db.execute(text("ALTER TABLE kamiwaza_model RENAME TO elsewhere"))
        with pytest.raises(DatabaseNotReadyException, match=r"kamiwaza_sdk\.setup_database\(engine\)") as refused:
            await backend.service(db).list_models()
        assert refused.value.transaction_usable is not backend.is_postgresql
        if refused.value.transaction_usable:
            await db.execute(text("ALTER TABLE elsewhere RENAME TO kamiwaza_model"))
        else:
            await db.rollback()
        assert await backend.service(db).list_models() == []
        await db.commit()


def test_sqlite_being_locked_is_typed_retryable_and_leaves_the_transaction_usable(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/r.db", connect_args={"timeout": 0.05})
    setup_database(engine)
    with engine.connect() as blocker, Session(engine) as db:
        blocker.exec_driver_sql("BEGIN IMMEDIATE")
        models = ModelService(db)
        with pytest.raises(DatabaseBusyException, match="try again") as busy:
            models.create_model(CreateModel(name="m"))
        blocker.rollback()
        assert models.create_model(CreateModel(name="m")).name == "m"
    engine.dispose()
    assert (busy.value.code, busy.value.retryable, busy.value.transaction_usable) == ("SQLITE_BUSY", True, True)
    assert busy.value.__cause__ is not None


@pytest.mark.parametrize("make", [kamiwaza_sdk.create_engine, create_engine], ids=["ours", "stock"])
def test_a_write_waits_for_others_inside_a_savepoint_of_the_hosts_too(
    make: Callable[[str], Engine], tmp_path: Path
) -> None:
    engine = make(f"sqlite:///{tmp_path}/r.db")
    setup_database(engine)
    with Session(engine) as first, Session(engine) as second, ThreadPoolExecutor(1) as pool:
        model = ModelService(first).create_model(CreateModel(name="m"))
        first.commit()
        ModelService(first).set_model_tag(model.id, "k", "v")
        with second.begin_nested():
            waiting = pool.submit(ModelService(second).update_model, model.id, UpdateModel(task="chat"))
            assert not wait([waiting], timeout=0.3).done
            first.commit()
            assert waiting.result().task == "chat"
        second.commit()
    engine.dispose()


def test_a_snapshot_that_others_have_written_over_asks_for_a_rollback(tmp_path: Path) -> None:
    engine = kamiwaza_sdk.create_engine(f"sqlite:///{tmp_path}/r.db")
    setup_database(engine)
    with Session(engine) as first, Session(engine) as second:
        first.execute(text("BEGIN"))
        assert ModelService(first).list_models() == []
        ModelService(second).create_model(CreateModel(name="theirs"))
        second.commit()
        with pytest.raises(DatabaseBusyException, match="roll back and try the whole transaction again") as busy:
            ModelService(first).create_model(CreateModel(name="ours"))
        first.rollback()
        assert ModelService(first).create_model(CreateModel(name="ours")).name == "ours"
    engine.dispose()
    assert (busy.value.code, busy.value.transaction_usable) == ("SQLITE_BUSY_SNAPSHOT", False)


def test_a_serialization_failure_is_typed_retryable_and_asks_for_a_rollback(postgresql_tables: str) -> None:
    engine = create_engine(postgresql_tables, isolation_level="REPEATABLE READ")
    with Session(engine) as first, Session(engine) as second:
        model = ModelService(first, namespace="serial").create_model(CreateModel(name="m"))
        first.commit()
        ModelService(second, namespace="serial").get_model(model.id)
        ModelService(first, namespace="serial").update_model(model.id, UpdateModel(task="a"))
        first.commit()
        with pytest.raises(DatabaseBusyException, match="roll back and try the whole transaction again") as busy:
            ModelService(second, namespace="serial").update_model(model.id, UpdateModel(task="b"))
    engine.dispose()
    assert (busy.value.code, busy.value.retryable, busy.value.transaction_usable) == ("40001", True, False)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_rename_onto_a_name_that_the_snapshot_hides_is_refused_as_any_other(
    postgresql_tables: str, level: str
) -> None:
    engine = create_engine(postgresql_tables, isolation_level=level)
    with engine.begin() as connection:
        renew_tables(connection)
    with Session(engine) as first, Session(engine) as second:
        ours, theirs = (ModelService(db, namespace=f"hidden-{level}") for db in (first, second))
        model = ours.create_model(CreateModel(name="m"))
        first.commit()
        assert ours.list_models() == [model]
        theirs.create_model(CreateModel(name="taken"))
        second.commit()
        with pytest.raises(ModelAlreadyExistsException, match="'taken'") as refused:
            ours.update_model(model.id, UpdateModel(name="taken"))
        assert ours.get_model(model.id) == model
    engine.dispose()
    assert refused.value.transaction_usable is True


def test_a_lost_connection_is_typed_and_chained(postgresql_tables: str) -> None:
    engine = create_engine(postgresql_tables)
    with Session(engine) as db, engine.connect() as other:
        pid = db.scalar(text("SELECT pg_backend_pid()"))
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(DatabaseConnectionException) as lost:
            ModelService(db).list_models()
        db.rollback()
        assert isinstance(ModelService(db).list_models(), list)
    engine.dispose()
    assert (lost.value.retryable, lost.value.transaction_usable) == (True, False)
    assert lost.value.__cause__ is not None


def test_a_pool_that_is_exhausted_is_typed_retryable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/pool.db"
    engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.1)
    setup_database(engine)
    calls: list[Callable[[ModelService], object]] = [
        lambda models: models.list_models(),
        lambda models: models.create_model(CreateModel(name="m")),
    ]
    with Session(engine) as db:
        for call in calls:
            with engine.connect(), pytest.raises(DatabaseConnectionException, match="the engine's pool") as exhausted:
                call(ModelService(db))
            assert (exhausted.value.retryable, exhausted.value.transaction_usable) == (True, False)
            db.rollback()
            call(ModelService(db))
            db.commit()
    engine.dispose()


def test_a_database_that_cannot_be_reached_is_typed() -> None:
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with Session(engine) as db, pytest.raises(DatabaseConnectionException, match="cannot be reached"):
        ModelService(db).list_models()
    engine = create_engine("sqlite:////nowhere/at/all.db")
    with Session(engine) as db, pytest.raises(DatabaseConnectionException, match="cannot be reached"):
        ModelService(db).list_models()


@pytest.mark.parametrize("backend", ["async-sqlite", "async-postgresql"], indirect=True)
async def test_a_call_that_is_cancelled_happens_whole_and_leaves_the_session_usable(backend: Backend) -> None:
    assert isinstance(backend.engine, AsyncEngine)
    async with backend.session() as db:
        models = backend.service(db)
        calls = [lambda n=n: models.register(fetched(f"{n:02x}" * 32)) for n in range(20)]
        for count, call in enumerate(calls):
            await _cancel_after(call, count)
        await db.commit()
    async with backend.begin() as models:
        versions = await models.list_versions((await models.get_model_by_name("m")).id)
    assert [version.number for version in versions] == list(range(1, len(versions) + 1))
    assert all(len(version.files) == 1 for version in versions)
    assert len(versions) > 0


async def _cancel_after(call: Callable[[], object], steps: int) -> None:
    """Start a call, let the loop turn some times, cancel it more than once, and wait for its end."""

    async def run() -> None:
        await call()  # type: ignore[misc]  # a coroutine

    task = asyncio.create_task(run())
    for _ in range(steps):
        await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("backend", ["async-sqlite"], indirect=True)
async def test_an_error_in_a_call_that_is_cancelled_yields_to_the_cancellation(backend: Backend) -> None:
    async with backend.session() as db:
        models: AsyncModelService = backend.service(db)
        await models.create_model(CreateModel(name="m"))
        await _cancel_after(partial(models.create_model, CreateModel(name="m")), 3)
        assert len(await models.list_models()) == 1


def test_coroutines_take_turns_in_one_event_loop_after_the_other(shared_url: str) -> None:
    engine = create_async_engine(shared_url.replace("sqlite:", "sqlite+aiosqlite:"), poolclass=NullPool)
    db = AsyncSession(engine)

    async def count_at_once() -> list[int]:
        models = [AsyncModelService(db) for _ in range(3)]
        counts = await asyncio.gather(*(each.count_models() for each in models))
        await db.close()
        return counts

    assert [asyncio.run(count_at_once()) for _ in range(3)] == [[0, 0, 0]] * 3


def _register_versions(url: str, worker: int) -> list[int]:
    """Register versions of one model, rolling every fourth back, in a process of its own."""
    engine = create_engine(url, poolclass=NullPool, **({"connect_args": {"timeout": 60}} if "sqlite" in url else {}))
    numbers = []
    for count in range(8):
        with Session(engine) as db:
            number = ModelService(db, namespace="race").register(fetched(f"{worker:02x}{count:02x}" * 16)).number
            if count % 4 == 3:
                db.rollback()
            else:
                db.commit()
                numbers.append(number)
    return numbers


def _register_same(url: str, _worker: int) -> list[int]:
    """Register the same files as all the others, in a process of its own."""
    engine = create_engine(url, poolclass=NullPool, **({"connect_args": {"timeout": 60}} if "sqlite" in url else {}))
    with Session(engine) as db, db.begin():
        return [ModelService(db, namespace="race").register(fetched("ab" * 32)).number]


def _in_eight_processes(function: Callable[[str, int], list[int]], url: str) -> list[int]:
    with ProcessPoolExecutor(8, mp_context=FRESH) as pool:
        return sorted(number for numbers in pool.map(partial(function, url), range(8)) for number in numbers)


def test_eight_processes_number_their_versions_without_gaps(shared_url: str) -> None:
    assert _in_eight_processes(_register_versions, shared_url) == list(range(1, 49))


def test_eight_processes_register_the_same_files_once(shared_url: str) -> None:
    assert _in_eight_processes(_register_same, shared_url) == [1] * 8


def test_a_service_starts_no_thread_and_commits_nothing(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/r.db")
    setup_database(engine)
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    before = threading.active_count()
    with Session(engine) as db:
        models = ModelService(db)
        models.register(fetched("ab" * 32))
        models.delete_model(models.get_model_by_name("m").id)
        assert threading.active_count() == before
    assert commits == []
    _assert_empty(engine)


def _assert_empty(engine: Engine) -> None:
    with Session(engine) as db:
        assert ModelService(db).list_models() == []
    engine.dispose()
