"""What a read costs over the same columns by a prebuilt Core select and validation."""

from collections.abc import Iterator

import pytest
from pydantic import TypeAdapter
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Engine, bindparam, select, text
from sqlalchemy.orm import Session

from kamiwaza_sdk import CreateModel, DBModel, ModelSchema, ModelService, create_engine, setup_database
from kamiwaza_sdk.services.model.statements import MODEL_KEYS
from tests.benchmarks.ratio import check, measure

COLUMNS = [DBModel.__table__.c[key] for key in MODEL_KEYS]
ONE = select(*COLUMNS).where(DBModel.namespace == bindparam("namespace"), DBModel.id == bindparam("id"))
PAGE = (
    select(*COLUMNS)
    .where(DBModel.namespace == bindparam("namespace"), DBModel.name > bindparam("after"), DBModel.deleted_at.is_(None))
    .order_by(DBModel.name)
    .limit(bindparam("limit"))
)
MODELS = TypeAdapter(list[ModelSchema])


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A registry of 2,000 models."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('registry')}/registry.db"
    engine = create_engine(url)
    setup_database(engine)
    with Session(engine) as db, db.begin():
        models = ModelService(db)
        for number in range(2000):
            models.create_model(CreateModel(name=f"org/model-{number:05}", task="chat", description="words " * 10))
        db.execute(text("ANALYZE"))
    yield engine
    engine.dispose()


def test_get_model(benchmark: BenchmarkFixture, engine: Engine) -> None:
    with Session(engine) as db:
        models = ModelService(db)
        wanted = models.list_models(limit=1)[0]
        connection = db.connection()

        def floor() -> ModelSchema:
            row = connection.execute(ONE, {"namespace": "default", "id": wanted.id}).one()
            return ModelSchema.model_validate(dict(zip(MODEL_KEYS, row, strict=True)))

        def ours() -> ModelSchema:
            return models.get_model(wanted.id)

        assert ours() == floor()
        check(benchmark, measure(ours, floor, rounds=41, calls=200), ours, at_most=1.3)


def test_page_of_1000(benchmark: BenchmarkFixture, engine: Engine) -> None:
    with Session(engine) as db:
        models = ModelService(db)
        connection = db.connection()

        def floor() -> list[ModelSchema]:
            rows = connection.execute(PAGE, {"namespace": "default", "after": "", "limit": 1000})
            return MODELS.validate_python([dict(zip(MODEL_KEYS, row, strict=True)) for row in rows])

        def ours() -> list[ModelSchema]:
            return models.list_models(limit=1000)

        assert ours() == floor()
        check(benchmark, measure(ours, floor, rounds=31), ours, at_most=1.15)
