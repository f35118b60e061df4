"""What a host may hand in, and how its session may be set up: each is served, or refused with a way out."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.ext.asyncio import create_async_engine as create_stock_async_engine
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    AsyncModelService,
    BulkException,
    CreateFile,
    CreateModel,
    CreateParent,
    CreateVersion,
    DatabaseRefusedException,
    DBModel,
    Fetched,
    FetchedFile,
    HubService,
    InvalidInputException,
    ModelAlreadyExistsException,
    ModelNotFoundException,
    ModelService,
    OpenTransactionException,
    TransactionRequiredException,
    UpdateModel,
    VersionNotFoundException,
    setup_database,
)
from kamiwaza_sdk.services.model.session import Scope
from tests.backends import Backend, HostBase, Order, add


def fetched(digest: str = "ab" * 32, *, count: int = 1) -> Fetched:
    """Files of a digest."""
    files = tuple(FetchedFile(path=f"{number}.bin", size=1, sha256=digest) for number in range(count))
    return Fetched(source="test", name="m", files=files, bytes_fetched=1, bytes_reused=0)


async def test_the_hosts_own_bad_row_fails_as_its_own_in_an_update_too(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
    for changes in (UpdateModel(task="chat"), UpdateModel(name="other")):
        async with backend.session() as db:
            for _ in range(2):
                add(db, Order(text="same"))
            with pytest.raises(IntegrityError):
                await backend.service(db).update_model(model.id, changes)
            await db.rollback()
            assert await backend.service(db).get_model(model.id) == model


@pytest.mark.parametrize("changes", [UpdateModel(task="chat"), UpdateModel(name="new"), UpdateModel(name="taken")])
@pytest.mark.parametrize("backend", ["sync-sqlite", "sync-sqlite-stock", "sync-postgresql"], indirect=True)
def test_nothing_is_flushed_where_the_host_does_not_want_it(backend: Backend, changes: UpdateModel) -> None:
    assert isinstance(backend.engine, Engine)
    with Session(backend.engine, autoflush=False) as db:
        models = ModelService(db)
        models.create_model(CreateModel(name="taken"))
        model = models.create_model(CreateModel(name="m"))
        order = Order(text="pending")
        db.add(order)
        try:
            models.update_model(model.id, changes)
        except ModelAlreadyExistsException:
            assert changes.name == "taken"
        models.register(fetched())
        assert inspect(order).pending
        db.commit()
        assert db.scalars(select(Order.text)).all() == ["pending"]


@pytest.mark.parametrize("backend", ["sync-sqlite", "sync-postgresql"], indirect=True)
def test_a_rollback_to_a_savepoint_of_the_hosts_undoes_what_its_loaded_rows_show(backend: Backend) -> None:
    assert isinstance(backend.engine, Engine)
    with Session(backend.engine) as db:
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m", task="old"))
        row = db.get_one(DBModel, model.id)
        for _ in range(2):
            savepoint = db.begin_nested()
            models.update_model(model.id, UpdateModel(task="new", name="renamed"))
            assert (row.task, row.name) == ("new", "renamed")
            savepoint.rollback()
            assert (row.task, row.name) == ("old", "m")
        assert models.get_model(model.id) == model


@pytest.mark.parametrize("backend", ["async-sqlite", "async-postgresql"], indirect=True)
async def test_a_coroutines_loaded_row_shows_the_change_without_being_awaited(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        model = await models.create_model(CreateModel(name="m"))
        row = await db.get_one(DBModel, model.id)
        changed = await models.update_model(model.id, UpdateModel(task="chat"))
        await models.register(fetched())
        assert (row.name, row.task, row.revision, row.updated_at) == ("m", "chat", 2, changed.updated_at)


@pytest.mark.parametrize("backend", ["async-sqlite", "async-postgresql"], indirect=True)
async def test_calls_on_one_session_take_turns(backend: Backend) -> None:
    async with backend.session() as db:
        services = [backend.service(db), backend.service(db)]
        calls = [services[number % 2].register(fetched(f"{number:02x}" * 32)) for number in range(8)]
        versions = await asyncio.gather(*calls)
        await db.commit()
    assert sorted(version.number for version in versions) == list(range(1, 9))


@pytest.mark.parametrize("backend", ["async-sqlite"], indirect=True)
async def test_a_scoped_asynchronous_session_serves_as_well(backend: Backend) -> None:
    assert isinstance(backend.engine, AsyncEngine)
    scoped = async_scoped_session(async_sessionmaker(backend.engine), scopefunc=asyncio.current_task)
    models = AsyncModelService(scoped)  # type: ignore[arg-type]  # SQLAlchemy's own stand-in for an AsyncSession
    assert (await models.create_model(CreateModel(name="m"))).name == "m"
    await scoped.remove()


async def test_what_is_no_session_is_refused_with_what_would_be(tmp_path: Path) -> None:
    engine, other = create_engine("sqlite://"), create_stock_async_engine("sqlite+aiosqlite://")
    for db in (None, engine, Session):
        with pytest.raises(InvalidInputException, match=r"db must be a Session, not .*; open one: Session\(engine\)"):
            ModelService(db)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidInputException, match="not AsyncSession; AsyncModelService takes that"):
        ModelService(AsyncSession(other))  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidInputException, match="not Session; ModelService takes that"):
        AsyncModelService(Session(engine))  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidInputException, match=r"not AsyncEngine; open one: AsyncSession\(engine\)"):
        AsyncModelService(other)  # type: ignore[arg-type]  # the mistake under test


WRONG: dict[str, Callable[[Any], Any]] = {
    "create_model": lambda models: models.create_model({"name": "m"}),
    "update_model": lambda models: models.update_model(models.known, {"name": "m"}),
    "create_version": lambda models: models.create_version(models.known, {"files": []}),
    "register": lambda models: models.register({"files": []}),
    "resolve": lambda models: models.resolve(None),
    "resolve bytes": lambda models: models.resolve(b"m"),
    "resolve NUL": lambda models: models.resolve("m\0:1"),
    "get_model_by_name": lambda models: models.get_model_by_name(None),
    "list_models after": lambda models: models.list_models(after=None),
    "list_models limit": lambda models: models.list_models(limit=10**5000),
    "list_versions limit": lambda models: models.list_versions(models.known, limit=True),
    "list_versions after": lambda models: models.list_versions(models.known, after="1"),
    "copied": lambda models: models.create_model(CreateModel(name="m").model_copy(update={"name": "x" * 300})),
    "constructed": lambda models: models.update_model(models.known, UpdateModel.model_construct({"task"}, task="\0")),
    "text": lambda models: models.create_model(CreateModel.model_construct(name="m", description="\0")),
    "mutated": lambda models: models.create_version(models.known, _mutated()),
    "namespace": lambda models: AsyncModelService(models.db, namespace=None),  # type: ignore[arg-type]  # the mistake
}


def _mutated() -> CreateVersion:
    version = CreateVersion(files=(CreateFile(path="a", size=1, sha256="ab" * 32),))
    version.details["x"] = "\0"
    return version


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.parametrize("backend", ["async-sqlite", "async-postgresql"], indirect=True)
async def test_what_a_call_cannot_take_is_refused_before_the_database_is_asked(backend: Backend, call: str) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        model = await models.create_model(CreateModel(name="known"))
        models.known = model.id  # type: ignore[attr-defined]  # for the calls above
        with pytest.raises(InvalidInputException):
            await WRONG[call](models)
        assert await models.list_models() == [model]
        assert await models.list_versions(model.id) == []


@pytest.mark.parametrize(
    ("kind", "field", "complaint"),
    [
        (CreateModel, "nmae", "is no field of CreateModel; did you mean 'name'?"),
        (UpdateModel, "licence", "is no field of UpdateModel; did you mean 'license'?"),
        (CreateParent, "xyz", "is no field of CreateParent; there are: version_id, relation"),
    ],
)
def test_a_field_that_is_misspelt_is_named_before_the_one_that_is_missing(
    kind: Callable[..., object], field: str, complaint: str
) -> None:
    with pytest.raises(InvalidInputException) as refused:
        kind(**{field: "m"})
    assert (refused.value.field, refused.value.reason) == (field, complaint)


async def test_the_longest_names_and_paths_fit_into_every_database(backend: Backend) -> None:
    path = "/".join("\u9f98\U0001f600" * 34 for _ in range(4))[:290]
    assert 900 < len(path.encode()) <= 1024
    async with backend.begin("\u9f98" * 255) as models:
        model = await models.create_model(CreateModel(name="\U0001f600" * 255))
        files = (CreateFile(path=path, size=1, sha256="ab" * 32),)
        version = await models.create_version(model.id, CreateVersion(files=files, version="\u9f98" * 255))
        assert (await models.get_version(version.id)).files[0].path == path
    with pytest.raises(InvalidInputException, match="has 510 characters"):
        CreateModel(name="\u0958" * 255)  # longer in the normal form that is kept


@pytest.mark.parametrize("reference", ["m:0000000000012", "m:\u0663", "m:\uff11", "m:00", "m:2147483648"])
async def test_a_number_that_no_version_has_leads_nowhere(backend: Backend, reference: str) -> None:
    async with backend.begin() as models:
        await models.register(fetched())
        assert (await models.resolve("m:00000000000001")).number == 1
        with pytest.raises(VersionNotFoundException):
            await models.resolve(reference)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"])
def test_a_connection_that_commits_by_itself_is_refused_what_takes_several_statements(
    request: pytest.FixtureRequest, tmp_path: Path, url: str
) -> None:
    place = request.getfixturevalue("postgresql_tables") if url == "postgresql" else f"sqlite:///{tmp_path}/r.db"
    engine = create_engine(place, isolation_level="AUTOCOMMIT")
    setup_database(engine)
    with Session(engine) as db:
        models = ModelService(db, namespace=f"autocommit-{tmp_path.name}")
        file = CreateFile(path="a", size=1, sha256="ab" * 32)
        for attempt in (
            lambda: models.create_model(CreateModel(name="m")),
            lambda: models.create_models([CreateModel(name="m")]),
            lambda: models.register(fetched()),
            lambda: models.delete_model(uuid4()),
            lambda: models.create_version(uuid4(), CreateVersion(files=(file,))),
        ):
            with pytest.raises((TransactionRequiredException, BulkException), match="AUTOCOMMIT"):
                attempt()
        assert models.list_models() == []
    engine.dispose()


async def test_a_connection_of_asyncpg_that_commits_by_itself_is_refused_too(
    postgresql_tables: str, tmp_path: Path
) -> None:
    url = make_url(postgresql_tables).set(drivername="postgresql+asyncpg")
    engine = create_stock_async_engine(url, isolation_level="AUTOCOMMIT")
    async with AsyncSession(engine) as db:
        models = AsyncModelService(db, namespace=f"autocommit-{tmp_path.name}")
        for attempt in (models.create_model(CreateModel(name="m")), models.register(fetched())):
            with pytest.raises(TransactionRequiredException, match="AUTOCOMMIT"):
                await attempt
        assert await models.list_models() == []
    async with engine.connect() as connection:
        with pytest.raises(TransactionRequiredException, match="AUTOCOMMIT"):
            await connection.run_sync(setup_database)
    await engine.dispose()


@pytest.mark.parametrize("backend", ["sync-sqlite", "sync-postgresql"], indirect=True)
def test_an_interrupted_call_leaves_nothing_even_if_the_transaction_is_committed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped half-way, and then committed, as in a notebook."""
    assert isinstance(backend.engine, Engine)

    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with Session(backend.engine) as db:
        models = ModelService(db)
        kept = models.create_model(CreateModel(name="kept"))
        monkeypatch.setattr(Scope, "execute_many", interrupt)
        with pytest.raises(KeyboardInterrupt):
            models.register(fetched(count=3))
        with pytest.raises(KeyboardInterrupt):
            models.update_model(kept.id, UpdateModel(name="renamed"))
        monkeypatch.undo()
        db.commit()
        assert models.list_models() == [kept]
        version = models.register(fetched(count=3))
        assert (version.number, version.status, len(version.files)) == (1, "ready", 3)
        assert models.register(fetched(count=3)) == version
        assert models.resolve("m") == version


@pytest.mark.parametrize("backend", ["sync-sqlite-stock", "sync-postgresql"], indirect=True)
async def test_a_pull_sees_a_transaction_that_its_sessions_connection_has_open(
    backend: Backend, hub: HubService, tmp_path: Path
) -> None:
    (tmp_path / "m.bin").write_bytes(b"weights")
    assert isinstance(backend.engine, Engine)
    with backend.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        with Session(connection) as db, pytest.raises(OpenTransactionException):
            await ModelService(db, hub=hub).pull_model(tmp_path / "m.bin")


def test_a_session_that_routes_by_statement_is_given_each(tmp_path: Path) -> None:
    leader, follower = (create_engine(f"sqlite:///{tmp_path}/{name}.db") for name in ("leader", "follower"))
    for engine in (leader, follower):
        setup_database(engine)

    class Routing(Session):
        """As in SQLAlchemy's documentation: whatever writes goes to the leader."""

        def get_bind(self, mapper: Any = None, *, clause: Any = None, **_: Any) -> Engine:  # Any: as declared there
            return leader if clause is None or clause.is_dml else follower

    with Routing() as db:
        ModelService(db).create_model(CreateModel(name="m"))
        db.commit()
    found = []
    for engine in (leader, follower):
        with Session(engine) as one:
            found.append([model.name for model in ModelService(one).list_models()])
        engine.dispose()
    assert found == [["m"], []]


def test_a_database_that_refuses_says_why(postgresql_tables: str, tmp_path: Path) -> None:
    engine = create_engine(postgresql_tables, connect_args={"options": "-c default_transaction_read_only=on"})
    with Session(engine) as db:
        with pytest.raises(DatabaseRefusedException, match="25006.*read-only") as refused:
            ModelService(db).create_model(CreateModel(name="m"))
        assert (refused.value.code, refused.value.transaction_usable) == ("25006", True)
        assert isinstance(ModelService(db).list_models(), list)
        with pytest.raises(DBAPIError):
            db.execute(text("nonsense"))
        with pytest.raises(DatabaseRefusedException, match="25P02.*roll back"):
            ModelService(db).list_models()
    engine.dispose()
    (tmp_path / "text.db").write_text("this is no database" * 100)
    engine = create_engine(f"sqlite:///{tmp_path}/text.db")
    with Session(engine) as db, pytest.raises(DatabaseRefusedException, match="SQLITE_NOTADB.*no SQLite database"):
        ModelService(db).list_models()
    engine.dispose()


def test_a_user_without_rights_is_told_to_be_granted_them(postgresql_tables: str) -> None:
    engine = create_engine(postgresql_tables, connect_args={"options": "-c role=pg_monitor"})
    with Session(engine) as db, pytest.raises(DatabaseRefusedException, match="42501.*grant it the rights"):
        ModelService(db).list_models()
    engine.dispose()


def test_a_damaged_file_is_told_to_be_restored(tmp_path: Path) -> None:
    file = tmp_path / "r.db"
    engine = create_engine(f"sqlite:///{file}")
    setup_database(engine)
    engine.dispose()
    head = file.read_bytes()[:4096]
    file.write_bytes(head + b"x" * (file.stat().st_size - len(head)))
    with Session(engine) as db, pytest.raises(DatabaseRefusedException, match="SQLITE_CORRUPT.*restore"):
        ModelService(db).list_models()
    engine.dispose()


def test_the_host_may_delete_what_it_was_given(mock_db: Session) -> None:
    """A row that the host deletes by itself, as its own engine may let it, is not missed by what follows."""
    mock_db.execute(text("PRAGMA foreign_keys = OFF"))
    HostBase.metadata.create_all(mock_db.connection())
    models = ModelService(mock_db)
    model = models.create_model(CreateModel(name="m"))
    commits: list[object] = []
    event.listen(mock_db, "after_commit", commits.append)
    mock_db.delete(mock_db.get_one(DBModel, model.id))
    with pytest.raises(ModelNotFoundException):
        models.update_model(model.id, UpdateModel(task="chat"))
    assert commits == []
