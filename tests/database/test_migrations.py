"""From one schema version to the next and back, beginning with a stored database that has rows in it."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Engine, Inspector, event, inspect, select, text
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    CreateFile,
    CreateVersion,
    DatabaseUnsupportedException,
    DataLossException,
    ModelService,
    UpdateModel,
    check_database,
    migrations,
    setup_database,
)
from kamiwaza_sdk.orm import DBBase, DBModelVersion

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


@pytest.fixture
def stored_0002(engine: Engine) -> Engine:
    """A database at schema version 0002: some of everything, spelled as it was."""
    load(engine, "0002")
    return engine


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


def contents(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table of ours."""
    look = inspect(connection)
    names = sorted(migrations.TABLES.intersection(look.get_table_names()) - {"kamiwaza_alembic_version"})
    names = [name for name in names if not name.startswith("kamiwaza_model_search")]
    return {name: sorted(map(tuple, connection.execute(text(f"SELECT * FROM {name}"))), key=repr) for name in names}


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_what_was_stored_with_an_s_is_read_with_a_z_and_what_users_wrote_stays(
    stored_0002: Engine, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kamiwaza_sdk.migrations.versions.v0003._BATCH", batch)
    setup_database(stored_0002)
    with Session(stored_0002) as db:
        models = ModelService(db)
        versions = models.list_versions(models.get_model_by_name("meta-llama/Llama-3.2-1B").id)
        assert [version.details.get("quantization") for version in versions] == [None, "Q4_K", "awq"]
        assert "quantisation" not in versions[1].details
        assert versions[2].details["quantisation"] == "gptq"  # as the new name was taken
        assert [[parent.relation for parent in version.derived_from] for version in versions] == [
            [],
            ["quantized"],
            ["quantized"],
        ]
        events = models.list_events(versions[0].model_id).items
        told = str([(event.before, event.after) for event in events])
        assert "quantised" not in told
        first, second, third = [event for event in events if event.kind == "version.created"]
        assert (first.version_id, second.after["details"]) == (versions[0].id, versions[1].details)
        assert [event.after["relation"] for event in events if event.kind == "parent.set"] == ["merged", "quantized"]
        assert third.after["details"] == {  # what users nested is theirs
            "architecture": "x" * 300,
            "quantization": ["Q4"],
            "context_length": True,
            "note": {"quantisation": "mine"},
        }
        (config,) = models.list_configs(version_id=versions[1].id)
        assert config.config == {"quantisation": "mine"}
        theirs = ModelService(db, namespace="équipe").get_model_by_name("Café-日本語")
        assert theirs.tags == {"quantisation": "a tag of theirs"}


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_facts_are_taken_from_details_and_origins_are_not_made_up(
    stored_0002: Engine, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kamiwaza_sdk.migrations.versions.v0003._BATCH", batch)
    setup_database(stored_0002)
    with Session(stored_0002) as db:
        models = ModelService(db)
        model = models.get_model_by_name("meta-llama/Llama-3.2-1B")
        versions = models.list_versions(model.id)
        assert [(one.architecture, one.quantization, one.context_length) for one in versions] == [
            ("LlamaForCausalLM", None, 131072),
            ("llama", "Q4_K", 131072),
            (None, "awq", None),  # a number, and a length below 1
        ]
        for version in versions:
            assert (version.source, version.hub, version.source_repository, version.description) == (None,) * 4
            assert (version.attributes, version.revision, {file.url for file in version.files}) == ({}, 1, {None})
        assert (model.attributes, model.source_repository) == ({}, "meta-llama/Llama-3.2-1B")
        assert models.search_models(text="distilled grosse").items == (model,)
        assert models.count_models(text="vanished") == 0
        assert models.count_models(text="vanished", deleted=True) == 1
        assert models.update_model(model.id, UpdateModel(model_card=None)).model_card is None
        assert models.count_models(text="distilled") == 0
        assert models.count_models(text="multilingual") == 1


def test_a_downgrade_to_0002_brings_back_just_what_was_there(stored_0002: Engine) -> None:
    with stored_0002.connect() as connection:
        before = schema(connection), contents(connection)
    setup_database(stored_0002)
    check_database(stored_0002)
    with stored_0002.begin() as connection:
        assert contents(connection) != before[1]
        migrations.downgrade(connection, to="0002")
        assert schema(connection) == before[0]
        restored = contents(connection)
        for table, found in before[1].items():
            assert _comparable(restored[table]) == _comparable(found)
        assert _found(connection, "c522b539llama") == ["meta-llama/Llama-3.2-1B"]
        assert _found(connection, "c522b539distilled") == []
    setup_database(stored_0002)


def _comparable(found: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return rows with their JSON read: text may have other spaces, and its keys another order."""
    return sorted((tuple(map(_read, row)) for row in found), key=repr)


def _read(value: object) -> object:
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    return sorted(value.items(), key=repr) if isinstance(value, dict) else value


def test_a_downgrade_says_which_notes_and_origins_it_would_lose(stored_0002: Engine) -> None:
    setup_database(stored_0002)
    with Session(stored_0002) as db, db.begin():
        models = ModelService(db)
        model = models.update_model(models.get_model_by_name("-").id, UpdateModel(attributes={"a": 1}))
        file = CreateFile(path="m", size=1, sha256="ab" * 32, url="https://example.org/m")
        models.create_version(model.id, CreateVersion(files=(file,), source="https://example.org/m"))
    with stored_0002.begin() as connection:
        with pytest.raises(DataLossException, match="0002") as refused:
            migrations.downgrade(connection, to="0002")
        assert refused.value.losses == {"kamiwaza_model": 1, "kamiwaza_model_version": 1, "kamiwaza_model_file": 1}
        migrations.downgrade(connection, to="0002", lose_data=True)
        assert migrations.current_revision(connection) == "0002"


#: JSON that no service writes, but a host's own statements may have: what is no object, and words that are none.
ODD_JSON: Final = (
    "null",
    "5",
    '"quantisation"',
    '["quantisation", {"relation": "quantised"}]',
    '{"details": ["quantisation"], "derived_from": ["quantised", {"relation": ["quantised"]}]}',
    '{"quantisation": {"a": 1}, "quantization": null, "architecture": {"a": "quantised"}, "context_length": 0.5}',
    '{"note": "' + 1_000_000 * "quantisation " + '"}',
)


@pytest.mark.parametrize("revision", ["0001", "0002"])
@pytest.mark.parametrize("odd", ODD_JSON, ids=lambda odd: odd[:20])
def test_rows_that_no_service_wrote_keep_nobody_from_upgrading(engine: Engine, revision: str, odd: str) -> None:
    load(engine, revision)
    value = "CAST(:odd AS jsonb)" if engine.dialect.name == "postgresql" else ":odd"
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE kamiwaza_model_version SET details = {value} WHERE number = 1"), {"odd": odd})
        if revision == "0002":
            changed = f"UPDATE kamiwaza_model_event SET before = {value}, after = {value} WHERE sequence = 1"
            connection.execute(text(changed), {"odd": odd})
    setup_database(engine)
    check_database(engine)
    expected = json.loads(odd)
    if isinstance(expected, dict) and "quantization" not in expected:
        expected = {key.replace("quantisation", "quantization"): inner for key, inner in expected.items()}
    with engine.connect() as connection:
        found = connection.execute(text("SELECT details FROM kamiwaza_model_version WHERE number = 1")).scalars().all()
    is_sqlite = engine.dialect.name == "sqlite"  # which keeps text, but for a number
    assert [json.loads(str(each)) if is_sqlite else each for each in found] == [expected] * len(found)


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_words_that_no_database_may_hold_are_no_facts(engine: Engine) -> None:
    load(engine, "0002")
    odd = json.dumps({"architecture": "\ud800", "quantization": "a\0b", "context_length": 8})
    with engine.begin() as connection:
        connection.execute(text("UPDATE kamiwaza_model_version SET details = :odd"), {"odd": odd})
    setup_database(engine)
    of = DBModelVersion.__table__.c
    with engine.connect() as connection:
        found = connection.execute(select(of.architecture, of.quantization, of.context_length)).all()
    assert set(found) == {(None, None, 8)}


def test_an_upgrade_that_breaks_off_anywhere_changes_nothing_and_can_be_done_again(stored_0002: Engine) -> None:
    with stored_0002.connect() as connection:
        before = schema(connection), contents(connection)
    allowed = 0
    while not _upgraded(stored_0002, statements=allowed):
        with stored_0002.connect() as connection:
            assert (schema(connection), contents(connection)) == before
            assert migrations.current_revision(connection) == "0002"
        allowed += 5
    assert allowed > 20
    check_database(stored_0002)


class _BrokenOffError(Exception):
    """The process that upgrades is stopped."""


def _upgraded(engine: Engine, *, statements: int) -> bool:
    """Upgrade until so many statements that write are done; tell whether that was enough."""
    left = [statements]

    def stop(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        left[0] -= not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW"))
        if left[0] < 0:
            raise _BrokenOffError

    event.listen(engine, "before_cursor_execute", stop)
    try:
        setup_database(engine)
    except _BrokenOffError:
        return False
    finally:
        event.remove(engine, "before_cursor_execute", stop)
    return True
