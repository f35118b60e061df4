"""What our own engines are set up with."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, QueuePool, make_url, text
from sqlalchemy import create_engine as create_stock_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    AsyncModelService,
    ConfigurationException,
    CreateModel,
    DatabaseConnectionException,
    DatabaseUnsupportedException,
    InvalidInputException,
    MissingDependencyException,
    ModelService,
    ServiceConfig,
    check_database,
    create_async_engine,
    create_engine,
    setup_database,
)


def test_the_default_is_a_file_in_the_users_data_directory_made_when_first_connected_to(tmp_path: Path) -> None:
    engine = create_engine()
    file = tmp_path / "data" / "kamiwaza_sdk" / "registry.db"
    assert engine.url.render_as_string() == f"sqlite:///{file}"
    assert not file.parent.exists()
    setup_database(engine)
    assert file.is_file()
    engine.dispose()


async def test_the_asynchronous_default_is_the_same_file(tmp_path: Path) -> None:
    engine = create_async_engine()
    async with engine.begin() as connection:
        await connection.run_sync(setup_database)
    await engine.dispose()
    assert (tmp_path / "data" / "kamiwaza_sdk" / "registry.db").is_file()


def test_a_given_file_needs_its_directory() -> None:
    engine = create_engine("sqlite:////nowhere/at/all.db")
    with pytest.raises(OperationalError, match=r"unable to open /nowhere/at/all.db: /nowhere/at is no directory"):
        engine.connect()


async def test_a_default_whose_directory_cannot_be_made_is_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container whose home is read-only."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    refused = pytest.raises(DatabaseConnectionException, match=r"unable to open .*/registry.db: Not a directory")
    with Session(create_engine()) as db, refused as caught:
        ModelService(db).list_models()
    assert caught.value.reason is not None
    async with AsyncSession(create_async_engine()) as other:
        with refused:
            await AsyncModelService(other).list_models()


def test_a_directory_in_place_of_the_file_is_named_as_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DatabaseConnectionException, match="unable to open database file"):
        setup_database(create_engine(f"sqlite:///{tmp_path}"))


def test_the_environment_names_the_database_and_an_argument_beats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_URL", "sqlite:///here.db")
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_POOL_SIZE", "3")
    engine = create_engine()
    assert engine.url.database == "here.db"
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.size() == 3
    assert create_engine("sqlite:///there.db").url.database == "there.db"
    assert create_engine(config=ServiceConfig(database_url="sqlite:///given.db")).url.database == "given.db"  # type: ignore[arg-type]  # Pydantic makes it a secret


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgres://u@h/d", "postgresql+psycopg://u@h/d"])
def test_a_postgresql_url_means_psycopg_in_both_colours(url: str) -> None:
    assert create_engine(url).dialect.driver == "psycopg"
    assert create_async_engine(url).dialect.driver == "psycopg"
    assert create_engine(url).pool.size() == 20  # type: ignore[attr-defined]  # a QueuePool


def test_a_sqlite_file_has_a_write_ahead_log_foreign_keys_and_patience(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/r.db")
    with engine.connect() as connection:
        pragmas = [
            connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()
    assert pragmas == ["wal", 1, 30_000]


def test_what_a_savepoint_holds_vanishes_with_the_transaction(tmp_path: Path) -> None:
    """The stock engine is the control: there the released savepoint's row stays."""
    left = []
    stock, ours = create_stock_engine(f"sqlite:///{tmp_path}/a.db"), create_engine(f"sqlite:///{tmp_path}/b.db")
    for engine in (stock, ours):
        setup_database(engine)
        with Session(engine) as db:
            with db.begin_nested():
                ModelService(db).create_model(CreateModel(name="m"))
            db.rollback()
            left.append(len(ModelService(db).list_models()))
        engine.dispose()
    assert left == [1, 0]


def test_a_url_that_is_none_says_which_setting_it_stands_in_but_not_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_URL", "postgres//user:hunter2@host")
    with pytest.raises(ConfigurationException, match="^MODEL_SERVICE_DATABASE_URL: is no database URL") as refused:
        create_engine()
    assert "hunter2" not in f"{refused.value!r} {refused.value.__cause__!r}"
    monkeypatch.delenv("MODEL_SERVICE_DATABASE_URL")
    with pytest.raises(ConfigurationException, match="^url: is no database URL"):
        create_engine("nonsense")


@pytest.mark.parametrize(
    ("package", "url", "extra"), [("greenlet", "sqlite://", "async"), ("aiosqlite", "sqlite://", "async")]
)
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str, url: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyException, match=rf"pip install 'kamiwaza-sdk\[{extra}\]'") as missing:
        create_async_engine(url)
    assert (missing.value.package, missing.value.extra) == (package, extra)


def test_a_missing_asyncpg_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(MissingDependencyException, match=r"kamiwaza-sdk\[asyncpg\]"):
        create_async_engine("postgresql+asyncpg://u@h/d")


def test_a_missing_psycopg_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependencyException, match=r"kamiwaza-sdk\[postgres\]"):
        create_engine("postgresql://u@h/d")


@pytest.mark.parametrize("create", [create_engine, create_async_engine])
def test_another_kind_of_database_is_refused(create: Callable[[str], object]) -> None:
    with pytest.raises(DatabaseUnsupportedException, match="SQLite or PostgreSQL, not in mysql"):
        create("mysql://u@h/d")


def test_a_database_that_somebody_chose_needs_its_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_URL", f"sqlite:///{tmp_path}/typo/r.db")
    with pytest.raises(DatabaseConnectionException, match=r"typo/r\.db: .*typo is no directory; make it first"):
        setup_database(create_engine())
    assert not (tmp_path / "typo").exists()


def test_the_patience_that_a_url_names_beats_ours(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/r.db?timeout=0.5")
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA busy_timeout")) == 500
    engine.dispose()


def test_a_server_that_cannot_be_reached_is_typed() -> None:
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none")
    for call in (setup_database, check_database):
        with pytest.raises(DatabaseConnectionException, match="cannot be reached"):
            call(engine)


def test_a_pool_that_has_no_connection_left_is_typed(tmp_path: Path) -> None:
    engine = create_stock_engine(f"sqlite:///{tmp_path}/r.db", pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect():
        for call in (setup_database, check_database):
            with pytest.raises(DatabaseConnectionException, match="the engine's pool has none to give"):
                call(engine)
    engine.dispose()


def test_setting_up_anything_but_an_engine_or_a_connection_says_how(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite:///{tmp_path}/r.db")
    with pytest.raises(InvalidInputException, match=r"not AsyncEngine; from an AsyncConnection, await it"):
        setup_database(engine)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("create", [create_engine, create_async_engine])
def test_settings_of_another_kind_are_refused(create: Callable[..., object]) -> None:
    with pytest.raises(InvalidInputException, match=r"config must be a ServiceConfig, not dict; write ServiceConfig\("):
        create("sqlite://", config={"database_pool_size": 3})


@pytest.mark.parametrize("name", ["sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"])
def test_one_sqlite_url_serves_both_colours_whatever_driver_it_names(name: str) -> None:
    assert create_engine(f"{name}:///r.db").dialect.driver == "pysqlite"
    assert create_async_engine(f"{name}:///r.db").dialect.driver == "aiosqlite"


def test_psycopgs_asynchronous_name_serves_both_colours() -> None:
    assert not create_engine("postgresql+psycopg_async://u@h/d").dialect.is_async
    assert create_async_engine("postgresql+psycopg_async://u@h/d").dialect.is_async


@pytest.mark.parametrize("create", [create_engine, create_async_engine])
@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql+psycopg2://u:hunter2@h/d", "psycopg2, which cannot be imported.*or write postgresql://"),
        ("postgresql+pg8000://u:hunter2@h/d", "pg8000, which cannot be imported"),
        ("sqlite+pysqlcipher://", "pysqlcipher, which cannot be imported.*or write sqlite://"),
        ("postgresql+nope://u:hunter2@h/d", "nope, which SQLAlchemy does not know; write postgresql://"),
        ("sqlite+nope://", "nope, which SQLAlchemy does not know; write sqlite://"),
        ("sqlite:///r.db?timeout=abc", "parameter of the wrong type; timeout, for one, is a number of seconds"),
        ("sqlite://u:hunter2@h/r.db", "has a host"),
    ],
)
def test_a_url_that_no_driver_takes_is_refused(create: Callable[[str], object], url: str, complaint: str) -> None:
    with pytest.raises(ConfigurationException, match=f"^url: .*{complaint}") as refused:
        create(url)
    assert "hunter2" not in f"{refused.value} {refused.value.__cause__}"


def test_a_driver_of_the_other_colour_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_url("postgresql+psycopg2://").get_dialect(), "import_dbapi", lambda: None)
    for create, driver in ((create_engine, "asyncpg"), (create_async_engine, "psycopg2")):
        monkeypatch.setenv("MODEL_SERVICE_DATABASE_URL", f"postgresql+{driver}://u@h/d")
        with pytest.raises(ConfigurationException, match=f"^MODEL_SERVICE_DATABASE_URL: .*{driver}, which is for the"):
            create()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_threads_share_a_database_in_memory(url: str) -> None:
    engine = create_engine(url)
    setup_database(engine)
    with Session(engine) as db, db.begin():
        ModelService(db).create_model(CreateModel(name="m"))

    def names() -> list[str]:
        with Session(engine) as db:
            return [model.name for model in ModelService(db).list_models()]

    with engine.connect(), ThreadPoolExecutor(1) as pool:  # one is in use, so that a pool would open another
        assert pool.submit(names).result() == ["m"]
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///file::memory:?uri=true"])
async def test_tasks_share_a_database_in_memory(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(setup_database)
    async with AsyncSession(engine) as db:
        assert await AsyncModelService(db).list_models() == []
    await engine.dispose()


@pytest.mark.parametrize("create_writable", [create_engine, create_stock_engine])
def test_a_file_that_is_opened_read_only_can_be_read(tmp_path: Path, create_writable: Callable[[str], Engine]) -> None:
    """With a write-ahead log and without one: only the latter would have to be switched."""
    writable = create_writable(f"sqlite:///{tmp_path}/r.db")
    setup_database(writable)
    with Session(writable) as db, db.begin():
        ModelService(db).create_model(CreateModel(name="m"))
    writable.dispose()
    engine = create_engine(f"sqlite:///file:{tmp_path}/r.db?mode=ro&uri=true")
    with Session(engine) as db:
        assert [model.name for model in ModelService(db).list_models()] == ["m"]
    engine.dispose()


async def test_a_file_that_is_opened_read_only_can_be_read_in_the_other_colour(tmp_path: Path) -> None:
    writable = create_stock_engine(f"sqlite:///{tmp_path}/r.db")
    setup_database(writable)
    writable.dispose()
    engine = create_async_engine(f"sqlite:///file:{tmp_path}/r.db?mode=ro&uri=true")
    async with AsyncSession(engine) as db:
        assert await AsyncModelService(db).list_models() == []
    await engine.dispose()
