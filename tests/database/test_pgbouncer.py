"""PgBouncer in transaction mode between the registry and its database, in both colours, with both drivers."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    AsyncModelService,
    ConfigurationException,
    CreateModel,
    ModelService,
    ServiceConfig,
    check_database,
    create_async_engine,
    create_engine,
    setup_database,
)
from tests.pgbouncer import PgBouncer

UNPREPARED = ServiceConfig(database_prepared_statements=False)


@pytest.fixture
def pooled_url(postgresql_tables: str, tmp_path: Path) -> Iterator[str]:
    """The database with our tables, through PgBouncer."""
    with PgBouncer(make_url(postgresql_tables), tmp_path) as running:
        yield running.url.render_as_string(hide_password=False)


def create_in_threads(engine: sqlalchemy.Engine, namespace: str) -> int:
    """Create models in more threads than there are connections to the server, and return how many there are then."""

    def create(thread: int) -> None:
        for number in range(15):
            with Session(engine) as db, db.begin():
                ModelService(db, namespace=namespace).create_model(CreateModel(name=f"m{thread}-{number}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(create, range(6)))
    with Session(engine) as db:
        return len(ModelService(db, namespace=namespace).list_models())


def test_transactions_that_go_over_changing_connections_find_all_they_need(pooled_url: str, tmp_path: Path) -> None:
    engine = create_engine(pooled_url, config=UNPREPARED)
    setup_database(engine)
    check_database(engine)
    assert create_in_threads(engine, tmp_path.name) == 90
    engine.dispose()


def test_statements_that_the_driver_prepares_are_what_fails_there(pooled_url: str, tmp_path: Path) -> None:
    """Without the setting: else the test above would prove nothing."""
    engine = create_engine(pooled_url)
    with pytest.raises(DBAPIError, match="prepared statement"):
        create_in_threads(engine, tmp_path.name)
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_tasks_find_all_they_need_whatever_the_driver(pooled_url: str, tmp_path: Path, driver: str) -> None:
    engine = create_async_engine(make_url(pooled_url).set(drivername=f"postgresql+{driver}"), config=UNPREPARED)
    namespace = f"{tmp_path.name}-{driver}"

    async def create(task: int) -> None:
        for number in range(15):
            async with AsyncSession(engine) as db, db.begin():
                await AsyncModelService(db, namespace=namespace).create_model(CreateModel(name=f"m{task}-{number}"))

    async with engine.begin() as connection:
        await connection.run_sync(setup_database)
    await asyncio.gather(*map(create, range(6)))
    async with AsyncSession(engine) as db:
        assert len(await AsyncModelService(db, namespace=namespace).list_models()) == 90
    await engine.dispose()


def test_the_setting_is_read_from_the_environment_too(
    monkeypatch: pytest.MonkeyPatch, pooled_url: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_PREPARED_STATEMENTS", "false")
    engine = create_engine(pooled_url)
    assert create_in_threads(engine, tmp_path.name) == 90
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "create"),
    [
        ("postgresql://u:hunter2@h/d?prepare_threshold=0", create_engine),
        ("postgresql://u:hunter2@h/d?autocommit=false", create_async_engine),
        ("postgresql+asyncpg://u:hunter2@h/d?statement_cache_size=0", create_async_engine),
    ],
)
def test_what_a_driver_takes_from_python_only_is_refused_in_a_url(url: str, create: type) -> None:
    """Text would be compared with numbers, or count as true, but only once something is executed."""
    with pytest.raises(ConfigurationException, match="from Python only.*DATABASE_PREPARED_STATEMENTS=false") as refused:
        create(url)
    assert "hunter2" not in f"{refused.value}"


def test_sqlite_goes_on_as_it_does_without_the_setting(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/r.db", config=UNPREPARED)
    setup_database(engine)
    check_database(engine)
    engine.dispose()
