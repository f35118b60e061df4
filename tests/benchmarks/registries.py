"""Registries that the benchmarks measure: alike in all but their size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter, create_model
from sqlalchemy import Engine, bindparam, select, text
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    CreateFile,
    CreateModel,
    CreateVersion,
    DBModel,
    ModelSchema,
    ModelService,
    create_engine,
    setup_database,
)

__all__ = ["BARE", "BARE_LIST", "BARE_ONE", "BARE_PAGE", "GROUP", "described", "registry"]

#: How many models have each of the words "group0", "group1" and so on.
GROUP = 1000

OWN_KEYS = [key for key in ModelSchema.model_fields if key in DBModel.__table__.c]
_fields: dict[str, Any] = {  # Any: what create_model takes
    key: (field.rebuild_annotation(), ...) for key, field in ModelSchema.model_fields.items() if key in OWN_KEYS
}
#: A model's own columns, without what belongs to it.
BARE = create_model("BARE", **_fields)
BARE_LIST = TypeAdapter(list[BARE])  # type: ignore[valid-type]  # made at run time
_COLUMNS = [DBModel.__table__.c[key] for key in OWN_KEYS]
BARE_ONE = select(*_COLUMNS).where(DBModel.namespace == bindparam("namespace"), DBModel.id == bindparam("id"))
BARE_PAGE = (
    select(*_COLUMNS)
    .where(DBModel.namespace == bindparam("namespace"), DBModel.name > bindparam("after"), DBModel.deleted_at.is_(None))
    .order_by(DBModel.name)
    .limit(bindparam("limit"))
)


def described(number: int) -> CreateModel:
    """Return a model as many are."""
    return CreateModel(
        name=f"org-{number % 97}/model-{number:07}-instruct",
        family="llama",
        task="text-generation",
        author=f"org-{number % 97}",
        license="apache-2.0",
        description=f"A model for this and that, of group{number // GROUP:03}; small, quick, and good at what it does.",
    )


@contextmanager
def registry(url: str, size: int, *, adorned: int = 0) -> Iterator[Engine]:
    """Make a registry of so many models, the first of which have tags, a version and an alias."""
    engine = create_engine(url)
    setup_database(engine)
    with Session(engine) as db, db.begin():
        models = ModelService(db)
        models.create_models(described(number) for number in range(size))
        for model in models.list_models(limit=adorned) if adorned else []:
            models.replace_model_tags(model.id, {"lang": "en", "tier": "2"})
            file = CreateFile(path="model.safetensors", size=2**30, sha256="ab" * 32)
            version = models.create_version(model.id, CreateVersion(files=(file,)))
            models.set_alias(version.id, "production")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"))
    try:
        yield engine
    finally:
        engine.dispose()
