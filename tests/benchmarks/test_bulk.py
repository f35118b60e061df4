"""What creating 100,000 models at once costs over Core's executemany of their rows, and the index's own insertion."""

import gc
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from pydantic_core import to_json
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Connection, create_engine, insert, text
from sqlalchemy.orm import Session

from kamiwaza_sdk import CreateModel, DBModel, ModelService, setup_database
from kamiwaza_sdk.services.model.ids import uuid7
from kamiwaza_sdk.services.model.registry import bulk
from kamiwaza_sdk.services.model.registry.documents import document_words
from kamiwaza_sdk.services.model.registry.tables import EVENT
from tests.benchmarks.ratio import Ratio, check
from tests.benchmarks.registries import described

SIZE, BATCH = 100_000, 1000

_DOCUMENTS = {
    "sqlite": text(
        "INSERT INTO kamiwaza_model_document (model_id, namespace, words) "
        "SELECT json_extract(value, '$.id'), 'default', json_extract(value, '$.words') FROM json_each(:batch)"
    ),
    "postgresql": text(
        "INSERT INTO kamiwaza_model_document (model_id, namespace, words) "
        "SELECT id, 'default', array_to_tsvector(string_to_array(words, ' ')) "
        "FROM json_to_recordset(CAST(:batch AS json)) AS given(id uuid, words text)"
    ),
}
_INDEX = text(
    "INSERT INTO kamiwaza_model_search (rowid, words) "
    "SELECT id, words FROM kamiwaza_model_document WHERE id > :first AND id <= :last"
)


def _floor_rows(models: list[CreateModel]) -> list[dict[str, Any]]:  # Any: values of several columns
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    state = {"revision": 1, "last_number": 0, "last_event": 1}
    moments = dict.fromkeys(("created_at", "updated_at", "last_event_at"), now)
    own = {"namespace": "default", "deleted_at": None, **state, **moments}
    return [{**model.model_dump(exclude={"tags"}), **own, "id": uuid7()} for model in models]


def _floor(connection: Connection, batches: list[tuple[list[dict[str, Any]], str]]) -> None:  # Any: as above
    statement, dialect = insert(DBModel.__table__), connection.dialect.name  # type: ignore[arg-type]  # it is a table
    for number, (rows, documents) in enumerate(batches):
        connection.execute(statement, rows)
        connection.execute(_DOCUMENTS[dialect], {"batch": documents})
        if dialect == "sqlite":
            connection.execute(_INDEX, {"first": number * BATCH, "last": (number + 1) * BATCH})


def _batches(models: list[CreateModel], dialect: str) -> list[tuple[list[dict[str, Any]], str]]:  # Any: as above
    rows = _floor_rows(models)
    words = [
        document_words("default", name=model.name, author=model.author, description=model.description, tags={})
        for model in models
    ]
    documents = [
        {"id": row["id"].hex if dialect == "sqlite" else str(row["id"]), "words": text_}
        for row, text_ in zip(rows, words, strict=True)
    ]
    starts = range(0, len(rows), BATCH)
    return [(rows[start : start + BATCH], to_json(documents[start : start + BATCH]).decode()) for start in starts]


def _seconds(url: str, work: Callable[[Session], object]) -> float:
    """Return how long it takes on an empty database, to the end of its commit."""
    engine = create_engine(url)
    setup_database(engine)
    gc.collect()
    with Session(engine) as db:
        started = time.perf_counter()
        work(db)
        db.commit()
        taken = time.perf_counter() - started
    engine.dispose()
    return taken


def _without_history(*args: Any) -> Any:  # Any: as of the function it stands for
    return None if args[1] is EVENT else _INSERT_MANY(*args)


_INSERT_MANY = bulk._insert_many


@pytest.mark.parametrize(("history", "at_most"), [(False, 1.4), (True, 2.0)], ids=["searchable", "with history"])
def test_create_models(benchmark: BenchmarkFixture, new_url: Callable[[], str], history: bool, at_most: float) -> None:
    models = [described(number) for number in range(SIZE)]
    dialect = "sqlite" if new_url().startswith("sqlite") else "postgresql"

    def ours(db: Session) -> None:
        with patch.object(bulk, "_insert_many", _INSERT_MANY if history else _without_history):
            assert ModelService(db).create_models(models).created == SIZE

    pairs = []
    for _ in range(3):
        batches = _batches(models, dialect)
        floor = _seconds(new_url(), lambda db, batches=batches: _floor(db.connection(), batches))  # type: ignore[misc]  # bound at once
        pairs.append((_seconds(new_url(), ours), floor))
    mine, floors = (sorted(side) for side in zip(*pairs, strict=True))
    check(benchmark, Ratio(mine[0], floors[0], mine[1], floors[1]), lambda: None, at_most=at_most)
