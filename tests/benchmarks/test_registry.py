"""What a read costs over the model's bare columns by a prebuilt Core select and validation."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from pydantic import TypeAdapter
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.orm import Session

from kamiwaza_sdk import CreateFile, CreateModel, CreateVersion, ModelSchema, ModelService
from kamiwaza_sdk.orm import DBModelVersion
from kamiwaza_sdk.services.model.ids import uuid7
from kamiwaza_sdk.services.model.registry.changes import MODEL_BY_ID, MODEL_KEYS, MODEL_PAGE, OWN_KEYS
from tests.benchmarks.ratio import check, measure
from tests.benchmarks.registries import BARE, BARE_LIST, BARE_ONE, BARE_PAGE, registry

MODELS = TypeAdapter(list[ModelSchema])


@pytest.fixture(scope="module")
def engine(new_url: Callable[[], str]) -> Iterator[Engine]:
    """A registry of 2,000 models, the first 1,000 of which have all that a model can have."""
    with registry(new_url(), 2000, adorned=1000) as engine:
        yield engine


@pytest.fixture
def models(engine: Engine) -> Iterator[ModelService]:
    """The service, in a session of its own."""
    with Session(engine) as db:
        yield ModelService(db)


@pytest.fixture
def connection(models: ModelService) -> Connection:
    """What the floor is executed on: the connection that the service uses too."""
    return models.db.connection()


def test_get_model(benchmark: BenchmarkFixture, models: ModelService, connection: Connection) -> None:
    wanted = models.list_models(limit=1)[0]

    def floor() -> object:
        row = connection.execute(BARE_ONE, {"namespace": "default", "id": wanted.id}).one()
        return BARE.model_validate(dict(zip(OWN_KEYS, row, strict=True)))

    def ours() -> ModelSchema:
        return models.get_model(wanted.id)

    assert all((wanted.tags, wanted.aliases, wanted.latest_version))
    assert ours() == wanted
    check(benchmark, measure(ours, floor, rounds=41, calls=200), ours, at_most=2.0)


def test_get_model_against_the_same_sql(
    benchmark: BenchmarkFixture, models: ModelService, connection: Connection
) -> None:
    wanted = models.list_models(limit=1)[0]

    def floor() -> ModelSchema:
        row = connection.execute(MODEL_BY_ID, {"_namespace": "default", "_id": wanted.id}).one()
        return ModelSchema.model_validate(dict(zip(MODEL_KEYS, row, strict=True)))

    def ours() -> ModelSchema:
        return models.get_model(wanted.id)

    assert ours() == floor()
    check(benchmark, measure(ours, floor, rounds=41, calls=200), ours, at_most=1.15)


@pytest.mark.parametrize("method", ["list_models", "search_models"])
def test_page_of_1000(benchmark: BenchmarkFixture, models: ModelService, connection: Connection, method: str) -> None:
    def floor() -> list[object]:
        rows = connection.execute(BARE_PAGE, {"namespace": "default", "after": "", "limit": 1000})
        return BARE_LIST.validate_python([dict(zip(OWN_KEYS, row, strict=True)) for row in rows])

    def ours() -> list[ModelSchema]:
        page = getattr(models, method)(limit=1000)
        return page if isinstance(page, list) else list(page.items)

    assert [model.id for model in ours()] == [bare.id for bare in floor()]  # type: ignore[attr-defined]  # as above
    assert all(model.tags and model.aliases and model.latest_version for model in ours())
    check(benchmark, measure(ours, floor, rounds=31), ours, at_most=2.3)


def test_page_of_1000_against_the_same_sql(
    benchmark: BenchmarkFixture, models: ModelService, connection: Connection
) -> None:
    def floor() -> list[ModelSchema]:
        rows = connection.execute(MODEL_PAGE, {"_namespace": "default", "_name": "", "_limit": 1000})
        return MODELS.validate_python([dict(zip(MODEL_KEYS, row, strict=True)) for row in rows])

    def ours() -> list[ModelSchema]:
        return models.list_models(limit=1000)

    assert ours() == floor()
    check(benchmark, measure(ours, floor, rounds=31), ours, at_most=1.15)


def _with_versions(models: ModelService, name: str, size: int) -> None:
    """Make a model with so many versions, of which the last but one has an alias."""
    model, now = models.create_model(CreateModel(name=name)), datetime.now(UTC)
    own = {"namespace": "default", "model_id": model.id, "size": 1, "status": "ready", "details": {}}
    rows: list[dict[str, Any]] = [  # Any: values of several columns
        {**own, "id": uuid7(), "number": number, "version": str(number), "digest": f"{number:064x}"}
        | {"created_at": now, "updated_at": now}
        for number in range(1, size + 1)
    ]
    models.db.connection().execute(insert(DBModelVersion), rows)
    models.set_alias(rows[-2]["id"], "production")


@pytest.mark.parametrize("reference", ["{}@production", "{}"])
def test_resolve_among_10000_versions_against_10(
    benchmark: BenchmarkFixture, models: ModelService, reference: str
) -> None:
    _with_versions(models, "few", 10)
    _with_versions(models, "many", 10_000)

    def ours() -> object:
        return models.resolve(reference.format("many"))

    def floor() -> object:
        return models.resolve(reference.format("few"))

    check(benchmark, measure(ours, floor, rounds=41, calls=20), ours, at_most=1.2)


def test_set_alias_on_10000_files_against_one(benchmark: BenchmarkFixture, models: ModelService) -> None:
    model, names = models.create_model(CreateModel(name="m")), count(1)
    files = tuple(CreateFile(path=f"{number}", size=1, sha256=f"{number:064x}") for number in range(10_000))
    large, small = (models.create_version(model.id, CreateVersion(files=given)).id for given in (files, files[:1]))

    def ours() -> object:
        return models.set_alias(large, f"a{next(names)}")

    def floor() -> object:
        return models.set_alias(small, f"a{next(names)}")

    check(benchmark, measure(ours, floor, rounds=21, calls=5), ours, at_most=1.2)
