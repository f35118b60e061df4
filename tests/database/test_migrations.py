"""From one schema version to the next and back, beginning with a stored database that has rows in it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Engine, Inspector, event, inspect, text

import kamiwaza_sdk
from kamiwaza_sdk import (
    DatabaseUnsupportedException,
    DataLossException,
    DBBase,
    DBModelVersion,
    check_database,
    migrations,
    setup_database,
)

SCHEMAS: Final = Path(__file__).parent / "schemas"
STORED: Final = {
    "kamiwaza_model": "id",
    "kamiwaza_model_version": "id",
    "kamiwaza_model_file": "version_id, path",
}


def load(engine: Engine, revision: str) -> None:
    """Bring an empty database to what an older version of the library left in it."""
    script = (SCHEMAS / f"{revision}.{engine.dialect.name}.sql").read_text()
    if engine.dialect.name == "sqlite":
        # Not our engine's connection: that checks foreign keys, and a dump has its tables in the order of their names.
        with closing(sqlite3.connect(engine.url.database or "")) as file:
            file.executescript(script)
        return
    with engine.begin() as connection:
        driver_connection: Any = connection.connection.driver_connection  # Any: of psycopg, which takes a whole script
        driver_connection.execute(script)


@pytest.fixture
def stored(engine: Engine) -> Engine:
    """A database at schema version 0001: four models in two namespaces, seven versions of them."""
    load(engine, "0001")
    return engine


def rows(connection: Connection, columns: dict[str, str]) -> dict[str, list[tuple[object, ...]]]:
    """Return what is in the stored tables, as the driver gives it."""
    return {
        table: [tuple(row) for row in connection.execute(text(f"SELECT {columns[table]} FROM {table} ORDER BY {key}"))]
        for table, key in STORED.items()
    }


def names_of_columns(connection: Connection) -> dict[str, str]:
    """Return the columns of the stored tables."""
    look = inspect(connection)
    return {table: ", ".join(column["name"] for column in look.get_columns(table)) for table in STORED}


def schema(connection: Connection) -> dict[str, object]:
    """Return every table of ours with all that the database knows of it, in no order."""
    look = inspect(connection)
    return {table: _shape(look, table) for table in migrations.TABLES.intersection(look.get_table_names())}


def _shape(look: Inspector, table: str) -> dict[str, object]:
    columns = {
        column["name"]: (repr(column["type"]), column["nullable"], column["default"])
        for column in look.get_columns(table)
    }
    return {
        "columns": columns,
        "key": look.get_pk_constraint(table),
        "foreign keys": _sorted(look.get_foreign_keys(table)),
        "uniqueness": _sorted(look.get_unique_constraints(table)),
        "checks": _sorted(look.get_check_constraints(table)),
        "indexes": _sorted(look.get_indexes(table)),
    }


def _sorted(found: Sequence[Any]) -> list[str]:  # Any: each kind has a class of its own
    """Return what was found as text: SQLAlchemy's own clauses in it compare as SQL does."""
    return sorted(
        str({**one, "dialect_options": {key: str(value) for key, value in one.get("dialect_options", {}).items()}})
        for one in found
    )


def test_a_migrated_database_is_one_made_from_the_mapped_classes_down_to_conditions_and_options(
    engine: Engine,
) -> None:
    setup_database(engine)
    with engine.connect() as connection:
        migrated = schema(connection)
        migrations.downgrade(connection, to=None)
        DBBase.metadata.create_all(connection)
        expected = schema(connection)
        connection.rollback()
    assert {table: shape for table, shape in migrated.items() if table in expected} == expected
    assert migrated.keys() - expected.keys() == {
        name for name in migrated if name.startswith(("kamiwaza_alembic_version", "kamiwaza_model_search"))
    }


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_a_stored_database_keeps_its_rows_byte_for_byte(
    stored: Engine, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kamiwaza_sdk.migrations.versions.v0002._BATCH", batch)
    with stored.connect() as connection:
        columns = names_of_columns(connection)
        before = rows(connection, columns)
    setup_database(stored)
    check_database(stored)
    with stored.connect() as connection:
        assert rows(connection, columns) == before
        assert [len(found) for found in before.values()] == [4, 7, 11]
        assert connection.scalar(text("SELECT count(*) FROM kamiwaza_model_document")) == 4
        assert set(connection.execute(text("SELECT last_event, last_event_at FROM kamiwaza_model"))) == {(0, None)}


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_format_and_parameters_are_taken_from_what_is_known_of_a_version(
    stored: Engine, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kamiwaza_sdk.migrations.versions.v0002._BATCH", batch)
    setup_database(stored)
    of = DBModelVersion.__table__.c
    with stored.connect() as connection:
        found = connection.execute(DBModelVersion.__table__.select().order_by(of.id)).all()
    assert [(row.format, row.parameters) for row in found] == [
        ("safetensors", 522),  # named, and summed up
        ("onnx", 22_713_216),  # what both files have that have one
        (None, None),  # an empty name and files of two formats; a count that is no number
        (None, None),  # a name that is too long; true is no number
        (None, None),  # the sum is over 64 bits
        ("bin", 0),  # of a deleted model
        ("gguf", None),  # there are no counts to sum up
    ]


def _found(connection: Connection, word: str) -> list[str]:
    """Return the names of the models that a word finds, by the index."""
    condition = (
        "d.id IN (SELECT rowid FROM kamiwaza_model_search WHERE kamiwaza_model_search MATCH :word)"
        if connection.dialect.name == "sqlite"
        else "d.words @@ CAST(:word AS tsquery)"
    )
    documents = "kamiwaza_model_document d JOIN kamiwaza_model m ON m.id = d.model_id"
    statement = text(f"SELECT name FROM {documents} WHERE {condition}")
    return [name for (name,) in connection.execute(statement, {"word": word})]


def test_every_stored_model_is_found_by_its_words_in_its_namespace(stored: Engine) -> None:
    setup_database(stored)
    default, team = "c522b539", "7c66cf2f"  # what words begin with in "default" and in "équipe"
    with stored.connect() as connection:
        assert _found(connection, f"{default}minilm") == ["sentence-transformers/all-MiniLM-L6-v2"]
        assert _found(connection, f"x{default}nobody") == ["gone"]  # the words of what is deleted are others
        assert _found(connection, f"{default}nobody") == []
        assert _found(connection, f"{team}日本語") == _found(connection, f"{team}grosse") == ["Café-日本語"]
        assert _found(connection, f"{default}grosse") == []


def test_a_downgrade_says_what_it_would_lose_and_loses_it_when_told_to(stored: Engine) -> None:
    with stored.connect() as connection:
        columns = names_of_columns(connection)
        before = schema(connection), rows(connection, columns)
    setup_database(stored)
    with stored.begin() as connection:
        _add_rows(connection)
        migrated = schema(connection)
        with pytest.raises(DataLossException, match=r"0001.*model_alias \(1\), kamiwaza_model_tag \(2\);.*lose_data"):
            migrations.downgrade(connection, to="0001")
        assert schema(connection) == migrated
    check_database(stored)
    with stored.begin() as connection:
        migrations.downgrade(connection, to="0001", lose_data=True)
        assert migrations.current_revision(connection) == "0001"
        assert (schema(connection), rows(connection, columns)) == before
    setup_database(stored)
    check_database(stored)


def _add_rows(connection: Connection) -> None:
    version = "SELECT {} FROM kamiwaza_model_version WHERE parameters = 522"
    alias = version.format("model_id, 'production', namespace, id, number, updated_at")
    connection.execute(text(f"INSERT INTO kamiwaza_model_alias {alias}"))
    for key in ("team", "tier"):
        tag = version.format(f"model_id, '{key}', namespace, 'a', 'a'")
        connection.execute(text(f"INSERT INTO kamiwaza_model_tag {tag}"))


def test_the_refusal_counts_the_rows_of_each_table_that_would_go(stored: Engine) -> None:
    with stored.connect() as connection:
        with pytest.raises(DataLossException, match="no schema at all") as refused:
            migrations.downgrade(connection, to=None)
        assert refused.value.to is None
        assert refused.value.losses == {"kamiwaza_model": 4, "kamiwaza_model_version": 7, "kamiwaza_model_file": 11}
        migrations.downgrade(connection, to="0001")  # where it is already


def test_what_can_be_derived_again_is_no_loss(stored: Engine) -> None:
    setup_database(stored)
    with stored.begin() as connection:
        migrations.downgrade(connection, to="0001")
        migrations.upgrade(connection)
    check_database(stored)


@pytest.fixture
def without_full_text_search(tmp_path: Path) -> Iterator[Engine]:
    """An engine on a SQLite that looks as if it was built without FTS5."""
    engine = kamiwaza_sdk.create_engine(f"sqlite:///{tmp_path}/r.db")

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def rename(*args: Any) -> tuple[str, Any]:  # Any: what SQLAlchemy hands to the driver
        return args[2].replace("USING fts5", "USING fts5_that_is_missing"), args[3]

    yield engine
    engine.dispose()


def test_a_sqlite_without_full_text_search_is_refused_and_not_touched(without_full_text_search: Engine) -> None:
    with pytest.raises(DatabaseUnsupportedException, match="this sqlite: it was built without FTS5; use") as refused:
        setup_database(without_full_text_search)
    assert refused.value.dialect == "sqlite"
    assert inspect(without_full_text_search).get_table_names() == []
