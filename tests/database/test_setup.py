"""Setting up: idempotent, one at a time, on a host's connection too, and never on a database that is newer."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest.mock import Mock
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    CreateModel,
    DatabaseBusyException,
    DatabaseNotReadyException,
    DatabaseTooNewException,
    DatabaseUnsupportedException,
    InvalidInputException,
    ModelService,
    TransactionRequiredException,
    check_database,
    migrations,
    setup_database,
)
from kamiwaza_sdk.orm import DBBase
from tests.database.test_migrations import load
from tests.effort import effort
from tests.processes import FRESH

#: How many set the same database up at once.
PROCESSES = effort(3, 8)

OUR_TABLES = {*DBBase.metadata.tables, "kamiwaza_alembic_version"}
#: A virtual table of SQLite's, and the tables that it keeps itself in.
SEARCH_TABLES = {f"kamiwaza_model_search{part}" for part in ("", "_config", "_data", "_idx")}


def our_tables(engine: Engine) -> set[str]:
    """Return the tables that are ours in a database of this kind."""
    return OUR_TABLES | SEARCH_TABLES if engine.dialect.name == "sqlite" else OUR_TABLES


def _set_up_with(engine: Engine) -> str:
    setup_database(engine)
    check_database(engine)
    engine.dispose()
    return "set up"


def _set_up(url: str) -> str:
    return _set_up_with(kamiwaza_sdk.create_engine(url))


def _set_up_stock(url: str) -> str:
    return _set_up_with(create_engine(url))


def _set_up_autocommit(url: str) -> str:
    return _set_up_with(create_engine(url, isolation_level="AUTOCOMMIT"))


def _set_up_begin_recipe(url: str) -> str:
    """As SQLAlchemy's documentation has it for SQLite: BEGIN on every transaction."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return _set_up_with(engine)


@pytest.mark.parametrize("set_up", [_set_up, _set_up_stock])
def test_several_processes_at_once_on_an_empty_database_all_succeed(empty_url: str, set_up: object) -> None:
    with ProcessPoolExecutor(PROCESSES, mp_context=FRESH) as pool:
        assert list(pool.map(set_up, [empty_url] * PROCESSES)) == ["set up"] * PROCESSES  # type: ignore[arg-type]  # one of the two above


def test_several_processes_at_once_all_find_an_older_database_upgraded(empty_url: str, engine: Engine) -> None:
    load(engine, "0002")
    with ProcessPoolExecutor(PROCESSES, mp_context=FRESH) as pool:
        assert list(pool.map(_set_up, [empty_url] * PROCESSES)) == ["set up"] * PROCESSES
    with engine.connect() as connection:
        related = connection.execute(text("SELECT relation FROM kamiwaza_model_lineage")).scalars().all()
    assert "quantized" in related
    assert "quantised" not in related


def test_the_migrated_database_is_just_what_the_mapped_classes_say(engine: Engine) -> None:
    setup_database(engine)

    def is_compared(_object: object, name: str | None, kind: str, reflected: bool, _: object) -> bool:
        if kind == "table" and reflected:
            return name in DBBase.metadata.tables
        # Alembic does not look at ddl_if(): this one is PostgreSQL's alone.
        return engine.dialect.name == "postgresql" or name != "ix_kamiwaza_model_document_words"

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": is_compared})
        assert compare_metadata(context, DBBase.metadata) == []


def test_setting_up_again_changes_nothing(engine: Engine) -> None:
    setup_database(engine)
    with Session(engine) as db, db.begin():
        model = ModelService(db).create_model(CreateModel(name="m"))
    setup_database(engine)
    with Session(engine) as db:
        assert ModelService(db).list_models() == [model]


def test_on_a_hosts_connection_it_commits_or_vanishes_with_the_host(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE host (id INTEGER)"))
        connection.execute(text("INSERT INTO host VALUES (1)"))
        setup_database(connection)
        assert set(inspect(connection).get_table_names()) == our_tables(engine) | {"host"}
        connection.rollback()
    assert OUR_TABLES.isdisjoint(inspect(engine).get_table_names())
    with engine.begin() as connection:
        setup_database(connection)
    check_database(engine)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("known", [(), ("0001",)], ids=["empty", "older"])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_hosts_transaction_that_does_not_see_what_another_has_set_up_is_to_be_tried_again(
    engine: Engine, level: str, known: tuple[str, ...]
) -> None:
    with engine.begin() as connection:
        for revision in known:
            migrations.upgrade(connection, to=revision)
    with engine.connect().execution_options(isolation_level=level) as connection:
        connection.execute(text("SELECT 1"))
        setup_database(engine)
        with pytest.raises(DatabaseBusyException, match="try the whole transaction again") as busy:
            setup_database(connection)
        connection.rollback()
        setup_database(connection)
        connection.commit()
    assert (busy.value.retryable, busy.value.transaction_usable) == (True, False)
    check_database(engine)


def test_a_database_that_was_never_set_up_says_what_to_call(engine: Engine) -> None:
    with pytest.raises(DatabaseNotReadyException, match=r"call kamiwaza_sdk\.setup_database\(engine\)") as refused:
        check_database(engine)
    assert refused.value.revision is None


def test_a_database_from_a_newer_version_is_refused_and_not_touched(engine: Engine) -> None:
    setup_database(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE kamiwaza_alembic_version SET version_num = '9999'"))
    for call in (setup_database, check_database):
        with pytest.raises(
            DatabaseTooNewException,
            match="schema version 9999, which this library does not know: its newest is 0004; upgrade",
        ) as refused:
            call(engine)
        assert (refused.value.revision, refused.value.known) == ("9999", "0004")
    assert set(inspect(engine).get_table_names()) == our_tables(engine)


def test_another_kind_of_database_is_refused() -> None:
    engine = Mock(spec=Engine, dialect=Mock())  # no driver for it is installed
    engine.dialect.name = "mysql"
    for call in (setup_database, check_database):
        with pytest.raises(DatabaseUnsupportedException, match="SQLite or PostgreSQL, not in mysql"):
            call(engine)


def test_downgrading_leaves_nothing_of_ours(engine: Engine) -> None:
    setup_database(engine)
    with engine.begin() as connection:
        migrations.downgrade(connection, to=None)
    assert inspect(engine).get_table_names() == []
    setup_database(engine)
    check_database(engine)


def test_a_revision_that_does_not_exist_is_refused(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(InvalidInputException, match="0042"):
        migrations.upgrade(connection, to="0042")


def test_a_host_that_autogenerates_is_told_to_leave_our_tables_alone(engine: Engine) -> None:
    def proposals(connection: Connection, **opts: object) -> set[str]:
        from sqlalchemy import MetaData

        context = MigrationContext.configure(connection, opts=opts)
        return {step[1].name for step in compare_metadata(context, MetaData()) if step[0] == "remove_table"}

    setup_database(engine)
    with engine.connect() as connection:
        assert proposals(connection) == our_tables(engine)
        assert proposals(connection, include_name=migrations.include_name) == set()


@pytest.mark.parametrize("set_up_stock", [_set_up_autocommit, _set_up_begin_recipe])
def test_several_processes_succeed_whatever_the_engine_makes_of_transactions(
    empty_url: str, set_up_stock: Callable[[str], str]
) -> None:
    with ProcessPoolExecutor(PROCESSES, mp_context=FRESH) as pool:
        assert list(pool.map(set_up_stock, [empty_url] * PROCESSES)) == ["set up"] * PROCESSES


def test_a_connection_that_commits_by_itself_is_refused(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(TransactionRequiredException, match="AUTOCOMMIT"):
        setup_database(connection.execution_options(isolation_level="AUTOCOMMIT"))
    assert inspect(engine).get_table_names() == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused_untouched(postgresql_url: str, encoding: str) -> None:
    server, name = make_url(postgresql_url), f"kamiwaza_test_{uuid4().hex}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'"))
    engine = create_engine(server.set(database=name), connect_args={"client_encoding": "utf8"})
    try:
        with pytest.raises(DatabaseUnsupportedException, match=f"server_encoding says {encoding}, .* ENCODING 'UTF8'"):
            setup_database(engine)
        assert inspect(engine).get_table_names() == []
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        admin.dispose()


def test_a_connection_that_cannot_carry_every_text_is_refused(postgresql_url: str) -> None:
    engine = create_engine(postgresql_url, connect_args={"client_encoding": "latin1"})
    with pytest.raises(DatabaseUnsupportedException, match="client_encoding says LATIN1, .* client_encoding=utf8"):
        setup_database(engine)
    engine.dispose()


def test_a_file_whose_text_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """SQLite would hold all texts there too, but not sort them as cursors of pages expect."""
    engine = create_engine(f"sqlite:///{tmp_path}/r.db")
    with engine.begin() as connection:
        connection.execute(text("PRAGMA encoding = 'UTF-16le'"))
        connection.execute(text("CREATE TABLE host (id INTEGER)"))
    with pytest.raises(DatabaseUnsupportedException, match="PRAGMA encoding says UTF-16le"):
        setup_database(engine)
    assert inspect(engine).get_table_names() == ["host"]
    engine.dispose()


def test_downgrading_to_what_was_never_reached_is_refused_and_records_nothing(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(InvalidInputException, match="has not reached"):
        migrations.downgrade(connection, to="0001")
    with pytest.raises(DatabaseNotReadyException):
        check_database(engine)


def test_tables_without_their_version_are_not_told_to_be_set_up_again(engine: Engine) -> None:
    setup_database(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE kamiwaza_alembic_version"))
    with pytest.raises((OperationalError, ProgrammingError), match="already exists"):
        setup_database(engine)


def test_a_host_may_keep_our_tables_in_a_schema_of_its_own(postgresql_url: str) -> None:
    engine = create_engine(postgresql_url).execution_options(schema_translate_map={None: "models"})
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA models"))
    for _ in range(2):
        setup_database(engine)
    check_database(engine)
    with Session(engine) as db:
        assert ModelService(db).create_model(CreateModel(name="m")).name == "m"
    assert set(inspect(engine).get_table_names(schema="models")) == OUR_TABLES
    with engine.begin() as connection:
        migrations.downgrade(connection, to=None, lose_data=True)
    assert inspect(engine).get_table_names(schema="models") == []
    engine.dispose()


def test_the_tables_that_autogenerate_is_told_of_are_just_ours() -> None:
    assert migrations.TABLES == OUR_TABLES | SEARCH_TABLES
    assert migrations.include_name("kamiwaza_users", "table", {})
