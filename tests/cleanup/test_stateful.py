"""Whatever order people fetch, register, commit, roll back, delete and clean up in, nothing is lost that one has."""
# ruff: noqa: D102 - what a rule does is said by its name

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from hypothesis.strategies import integers
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import BlobNotFoundException, ModelVersionSchema
from tests.cleanup.helpers import Registry
from tests.effort import effort

if TYPE_CHECKING:
    from kamiwaza_sdk.types import CleanupPlanSchema

CONTENTS = integers(0, 3)


class Store(RuleBasedStateMachine):
    """One registry over one store, with at most one transaction open, and plans as old as can be."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.directory / "registry.db")
        engine = kamiwaza_sdk.create_engine(f"sqlite:///{self.directory / 'registry.db'}?timeout=0")
        self.registry = Registry(engine, self.directory / "store")
        self.fetched = {number: self.registry.fetch(b"%d" % number) for number in range(4)}
        self.open: tuple[Session, ModelVersionSchema] | None = None
        self.committed = dict[object, ModelVersionSchema]()
        self.plan: CleanupPlanSchema | None = None

    @rule(number=CONTENTS)
    def fetch(self, number: int) -> None:
        self.fetched[number] = self.registry.fetch(b"%d" % number)

    @precondition(lambda self: self.open is None)
    @rule(number=CONTENTS)
    def register(self, number: int) -> None:
        db = Session(self.registry.engine)
        try:
            version = self.registry.models(db).register(self.fetched[number], name=f"model-{number}")
        except BlobNotFoundException:
            db.close()
        else:
            self.open = db, version

    @precondition(lambda self: self.open is not None)
    @rule()
    def commit(self) -> None:
        assert self.open is not None
        db, version = self.open
        db.commit()
        db.close()
        self.committed[version.id] = version
        self.open = None

    @precondition(lambda self: self.open is not None)
    @rule()
    def roll_back(self) -> None:
        assert self.open is not None
        self.open[0].close()
        self.open = None

    @precondition(lambda self: self.open is None and self.committed)
    @rule(place=integers(0, 100))
    def delete(self, place: int) -> None:
        version_id = list(self.committed)[place % len(self.committed)]
        self.registry.delete(self.committed.pop(version_id).id)

    @rule()
    def make_a_plan(self) -> None:
        self.plan = self.registry.plan()

    @precondition(lambda self: self.plan is not None)
    @rule()
    def clean_up(self) -> None:
        result = self.registry.clean_up(plan=self.plan)
        assert not result.pending.blobs or self.open is not None

    @invariant()
    def what_a_registry_has_is_whole(self) -> None:
        for version in self.committed.values():
            for file in version.files:
                assert self.registry.storage.verify(file.sha256).size == file.size

    def teardown(self) -> None:
        if self.open is not None:
            self.open[0].close()
        self.registry.clean_up()
        kept = {blob.sha256 for blob in self.registry.storage.list_blobs()}
        assert kept == {file.sha256 for version in self.committed.values() for file in version.files}
        self.registry.engine.dispose()
        shutil.rmtree(self.directory)


def test_nothing_is_lost_in_any_order(sqlite_tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "template", sqlite_tables, raising=False)
    run_state_machine_as_test(
        Store,
        settings=settings(
            max_examples=effort(8, 300),
            stateful_step_count=effort(15, 40),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
