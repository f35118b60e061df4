"""A registry over a store: fetch, register, delete and clean up, each in one line."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    Fetched,
    HubService,
    ModelService,
    ModelVersionSchema,
    StorageConfig,
    StorageService,
    clean_up,
    plan_cleanup,
)
from kamiwaza_sdk.types import CleanupPlanSchema, CleanupResultSchema


class Registry:
    """One registry over one store, in which nothing is kept for any time."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.storage = StorageService(StorageConfig(root=root, lease=0))
        self.hub = HubService(storage=self.storage)

    def fetch(self, content: bytes) -> Fetched:
        """Bring a model of one file into the store."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "model.bin")
            path.write_bytes(content)
            return asyncio.run(self.hub.fetch(path))

    def models(self, db: Session) -> ModelService:
        """Return the service bound to a session."""
        return ModelService(db, hub=self.hub)

    def register(self, fetched: Fetched, name: str = "model") -> ModelVersionSchema:
        """Register in a transaction of its own."""
        with Session(self.engine) as db, db.begin():
            return self.models(db).register(fetched, name=name)

    def pull(self, content: bytes, name: str = "model") -> ModelVersionSchema:
        """Fetch and register."""
        return self.register(self.fetch(content), name)

    def delete(self, version_id: UUID) -> None:
        """Delete a version in a transaction of its own."""
        with Session(self.engine) as db, db.begin():
            self.models(db).delete_version(version_id)

    @contextmanager
    def registered(self, fetched: Fetched, name: str = "model") -> Iterator[Session]:
        """Register in a transaction that stays open for the block, and is then committed."""
        with Session(self.engine) as db, db.begin():
            self.models(db).register(fetched, name=name)
            yield db

    def plan(self, *engines: Engine, unused_for: timedelta = timedelta(0)) -> CleanupPlanSchema:
        """Return what may go, of which nothing is kept for any time."""
        return plan_cleanup(self.storage, databases=[self.engine, *engines], unused_for=unused_for)

    def clean_up(self, *engines: Engine, plan: CleanupPlanSchema | None = None) -> CleanupResultSchema:
        """Remove what may go."""
        plan = plan or self.plan(*engines)
        return clean_up(plan, self.storage, databases=[self.engine, *engines])

    def has(self, fetched: Fetched | ModelVersionSchema) -> bool:
        """Tell whether the store has every file, without bringing one back from the trash."""
        return all(os.path.lexists(self.storage.path(file.sha256)) for file in fetched.files)

    def bytes_of(self, version: ModelVersionSchema) -> bytes:
        """Return the content of a version of one file."""
        (file,) = version.files
        return self.storage.get(file.sha256, size=file.size).path.read_bytes()
