"""What finding costs, and that it costs the same in a registry ten times as large."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Engine, Select, literal_column, select, text
from sqlalchemy.orm import Session

from kamiwaza_sdk import ModelSchema, ModelService
from kamiwaza_sdk.services.model.registry.changes import MODEL_COLUMNS, MODEL_KEYS
from kamiwaza_sdk.services.model.registry.documents import query_words
from kamiwaza_sdk.services.model.registry.tables import MODEL
from tests.benchmarks.ratio import check, measure
from tests.benchmarks.registries import GROUP, registry

MODELS = TypeAdapter(list[ModelSchema])
MISS = "gemma 7b"


@pytest.fixture(scope="module")
def engine(new_url: Callable[[], str]) -> Iterator[Engine]:
    """A registry of 100,000 models."""
    with registry(new_url(), 100_000, adorned=100) as engine:
        yield engine


@pytest.fixture(scope="module")
def large(new_url: Callable[[], str]) -> Iterator[Engine]:
    """A registry of 1,000,000 models."""
    with registry(new_url(), 1_000_000, adorned=100) as engine:
        yield engine


def _cursor_at(models: ModelService, row: int) -> str:
    cursor: str | None = None
    while row:
        step = min(row, 1000)
        cursor = models.search_models(sort="created_at", cursor=cursor, limit=step).next_cursor
        row -= step
    assert cursor is not None
    return cursor


def test_the_last_page_against_the_first(benchmark: BenchmarkFixture, engine: Engine) -> None:
    with Session(engine) as db:
        models = ModelService(db)
        deep = _cursor_at(models, 99_900)

        def last() -> tuple[ModelSchema, ...]:
            return models.search_models(sort="created_at", cursor=deep, limit=100).items

        def first() -> tuple[ModelSchema, ...]:
            return models.search_models(sort="created_at", limit=100).items

        assert len(last()) == len(first()) == 100
        check(benchmark, measure(last, first, rounds=41, calls=5), last, at_most=1.1)


def _index_query(dialect: str) -> Select[Any]:  # Any: values of several columns
    """Return the database's own query of its index, with what a listing shows of each model it finds."""
    if dialect == "sqlite":
        found = text(
            "SELECT model_id FROM kamiwaza_model_search "
            "JOIN kamiwaza_model_document ON id = kamiwaza_model_search.rowid "
            "WHERE kamiwaza_model_search MATCH :query"
        )
    else:
        found = text("SELECT model_id FROM kamiwaza_model_document WHERE words @@ CAST(:query AS tsquery)")
    hits = found.columns(literal_column("model_id", MODEL.c.id.type)).cte("hits").prefix_with("MATERIALIZED")
    return select(*MODEL_COLUMNS).join_from(hits, MODEL, MODEL.c.id == hits.c.model_id).order_by(MODEL.c.name)


@pytest.mark.parametrize("query", ["group007", "instruct group007", MISS], ids=["1,000 hits", "two words", "a miss"])
def test_text_search(benchmark: BenchmarkFixture, engine: Engine, query: str) -> None:
    dialect = engine.dialect.name
    words = query_words("default", query)
    parameters = {
        "query": " AND ".join(words) + "*" if dialect == "sqlite" else " & ".join(words) + ":*",
    }
    statement = _index_query(dialect)
    with Session(engine) as db:
        models, connection = ModelService(db), db.connection()

        def floor() -> list[ModelSchema]:
            rows = connection.execute(statement, parameters)
            return MODELS.validate_python([dict(zip(MODEL_KEYS, row, strict=True)) for row in rows])

        def ours() -> list[ModelSchema]:
            return list(models.search_models(text=query, limit=1000).items)

        assert ours() == floor()
        assert len(ours()) == (0 if query == MISS else GROUP)
        check(benchmark, measure(ours, floor, rounds=21, calls=20 if query == MISS else 1), ours, at_most=1.3)


def _get(models: ModelService) -> Callable[[], object]:
    wanted = models.list_models(limit=1)[0].id
    return lambda: models.get_model(wanted)


READS: dict[str, Callable[[ModelService], Callable[[], object]]] = {
    "page": lambda models: lambda: models.search_models(limit=1000),
    "get": _get,
    "search": lambda models: lambda: models.search_models(text="group077", limit=1000),
    "miss": lambda models: lambda: models.search_models(text=MISS),
}


@pytest.mark.parametrize("read", READS)
def test_a_million_against_a_hundred_thousand(
    benchmark: BenchmarkFixture, engine: Engine, large: Engine, read: str
) -> None:
    with Session(engine) as few, Session(large) as many:
        ours, floor = READS[read](ModelService(many)), READS[read](ModelService(few))
        calls = 20 if read in {"get", "miss"} else 1
        check(benchmark, measure(ours, floor, rounds=21, calls=calls), ours, at_most=1.3)
