"""A registry of its own for what was fetched."""

from sqlalchemy.orm import Session

from kamiwaza_sdk import Fetched, ModelService, ModelVersionSchema, create_engine, setup_database


def registered(fetched: Fetched) -> ModelVersionSchema:
    """Return what was fetched as the first version of a model ``m``. Blocks."""
    engine = create_engine("sqlite://")
    setup_database(engine)
    with Session(engine) as db:
        version = ModelService(db).register(fetched, name="m")
    engine.dispose()
    return version
