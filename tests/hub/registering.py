"""A registry of its own for what was fetched."""

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    Fetched,
    HubService,
    ModelService,
    ModelVersionSchema,
    Policy,
    create_engine,
    setup_database,
)
from kamiwaza_sdk.types import ViolationSchema


def registered(fetched: Fetched) -> ModelVersionSchema:
    """Return what was fetched as the first version of a model ``m``. Blocks."""
    engine = create_engine("sqlite://")
    setup_database(engine)
    with Session(engine) as db:
        version = ModelService(db).register(fetched, name="m")
    engine.dispose()
    return version


def violations_at_registration(fetched: Fetched, policy: Policy, hub: HubService) -> tuple[ViolationSchema, ...]:
    """Return what a policy has against the bytes of what was fetched, when it is registered. Blocks."""
    engine = create_engine("sqlite://")
    setup_database(engine)
    with Session(engine) as db:
        verdict = ModelService(db, hub=hub).register(fetched, name="m", policy=policy).details["policy"]
    engine.dispose()
    found = TypeAdapter(tuple[ViolationSchema, ...]).validate_python(verdict["violations"])  # type: ignore[index, call-overload]
    return tuple(dict.fromkeys(found))  # what is no model is found with and without a policy
