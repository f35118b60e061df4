"""What the host has loaded of our tables shows what the service changed, without asking, and what it took back."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import ObjectDeletedError

from kamiwaza_sdk import (
    BulkException,
    CreateFile,
    CreateModel,
    CreateModelConfig,
    CreateParent,
    CreateVersion,
    DBModel,
    ModelSchema,
    ModelService,
    ModelVersionSchema,
    UpdateModel,
    UpdateModelConfig,
    UpdateVersion,
)
from kamiwaza_sdk.orm import (
    DBModelAlias,
    DBModelConfig,
    DBModelDocument,
    DBModelLineage,
    DBModelTag,
    DBModelVersion,
    DBModelVersionTag,
)
from tests.backends import Backend
from tests.model.world import files

pytestmark = pytest.mark.parametrize("backend", ["sync-sqlite-stock", "sync-postgresql"], indirect=True)


class Loaded:
    """A model with two versions, and the host's loaded copies of them."""

    def __init__(self, db: Session) -> None:
        self.db = db
        self.models = ModelService(db)
        self.model: ModelSchema = self.models.create_model(CreateModel(name="m", tags={"lang": "en"}))
        self.versions: list[ModelVersionSchema] = [
            self.models.create_version(self.model.id, CreateVersion(files=files(letter), tags={"k": "v"}))
            for letter in "ab"
        ]
        self.row = db.get_one(DBModel, self.model.id)
        self.first, self.second = (db.get_one(DBModelVersion, version.id) for version in self.versions)


@pytest.fixture
def loaded(backend: Backend) -> Iterator[Loaded]:
    """The same, in a session that is rolled back."""
    assert isinstance(backend.engine, Engine)
    with Session(backend.engine) as db:
        yield Loaded(db)


def test_tags_show_what_they_became(loaded: Loaded) -> None:
    models, model = loaded.models, loaded.model
    tag = loaded.db.get_one(DBModelTag, (model.id, "lang"))
    assert [(each.key, each.value) for each in loaded.row.tags] == [("lang", "en")]
    models.set_model_tag(model.id, "lang", "ja")
    assert (tag.value, tag.value_start) == ("ja", "ja")
    models.set_model_tag(model.id, "tier", "1")
    assert [(each.key, each.value) for each in loaded.row.tags] == [("lang", "ja"), ("tier", "1")]
    models.create_models([CreateModel(name="m", tags={"lang": "de"})], on_conflict="update")
    assert (tag.value, [each.value for each in loaded.row.tags]) == ("de", ["de", "1"])
    models.replace_model_tags(model.id, {"tier": "2"})
    assert [(each.key, each.value) for each in loaded.row.tags] == [("tier", "2")]
    with pytest.raises(ObjectDeletedError):
        str(tag.value)
    models.set_model_tag(model.id, "lang", "back")
    assert loaded.db.get_one(DBModelTag, (model.id, "lang")).value == "back"


def test_tags_of_a_version_show_what_they_became(loaded: Loaded) -> None:
    tag = loaded.db.get_one(DBModelVersionTag, (loaded.first.id, "k"))
    assert [each.value for each in loaded.first.tags] == ["v"]
    loaded.models.set_version_tag(loaded.first.id, "k", "w")
    loaded.models.set_version_tag(loaded.first.id, "l", "x")
    assert (tag.value, [each.value for each in loaded.first.tags]) == ("w", ["w", "x"])
    loaded.models.delete_version_tag(loaded.first.id, "k")
    assert [each.key for each in loaded.first.tags] == ["l"]


def test_aliases_show_where_they_lead(loaded: Loaded) -> None:
    models, first, second = loaded.models, loaded.first, loaded.second
    assert (loaded.row.aliases, first.aliases, second.aliases) == ([], [], [])
    models.create_alias(first.id, "live")
    (alias,) = loaded.row.aliases
    assert (alias.alias, alias.version_id, alias.model_version, first.aliases) == ("live", first.id, first, [alias])
    models.set_alias(second.id, "live")
    assert (alias.version_id, alias.model_version) == (second.id, second)
    assert (first.aliases, second.aliases, loaded.row.aliases) == ([], [alias], [alias])
    models.rollback_alias(loaded.model.id, "live")
    assert (alias.version_id, first.aliases, second.aliases) == (first.id, [alias], [])
    models.delete_alias(loaded.model.id, "live")
    assert (first.aliases, loaded.row.aliases) == ([], [])
    with pytest.raises(ObjectDeletedError):
        str(alias.version_id)
    models.set_alias(second.id, "live")
    assert loaded.db.get_one(DBModelAlias, (loaded.model.id, "live")).version_id == second.id


def test_configurations_show_what_they_became(loaded: Loaded) -> None:
    models = loaded.models
    for owner, row in (({"model_id": loaded.model.id}, loaded.row), ({"version_id": loaded.first.id}, loaded.first)):
        assert [each.name for each in row.configs if each.version_id == owner.get("version_id")] == []
        created = models.create_config(CreateModelConfig(name="b", is_default=True), **owner)
        other = models.create_config(CreateModelConfig(name="c"), **owner)
        config = loaded.db.get_one(DBModelConfig, created.id)
        assert [each.name for each in row.configs if each.version_id == config.version_id] == ["b", "c"]
        models.update_config(other.id, UpdateModelConfig(is_default=True, config={"a": 1}))
        assert [(each.is_default, each.config) for each in row.configs if each.version_id == config.version_id] == [
            (False, {}),
            (True, {"a": 1}),
        ]
        models.delete_config(created.id)
        assert [each.name for each in row.configs if each.version_id == other.version_id] == ["c"]
        with pytest.raises(ObjectDeletedError):
            str(config.name)


def test_versions_show_their_state_and_files(loaded: Loaded) -> None:
    models, first = loaded.models, loaded.first
    assert [version.number for version in loaded.row.versions] == [1, 2]
    draft = models.create_version(loaded.model.id, CreateVersion(status="draft"))
    row = loaded.row.versions[-1]
    assert (row.id, row.files, row.status) == (draft.id, [], "draft")
    given = (CreateFile(path="a", size=7, sha256="ab" * 32, format="onnx"),)
    updated = models.update_version(draft.id, UpdateVersion(files=given, status="ready"))
    assert ([file.path for file in row.files], row.status, row.size, row.format) == (["a"], "ready", 7, "onnx")
    assert row.updated_at == updated.updated_at
    models.delete_version(first.id)
    assert [version.number for version in loaded.row.versions] == [2, 3]
    with pytest.raises(ObjectDeletedError):
        str(first.status)


def test_the_state_of_a_deleted_restored_and_purged_model_shows(loaded: Loaded) -> None:
    models, row = loaded.models, loaded.row
    models.delete_model(row.id)
    assert (row.deleted_at is None, row.revision) == (False, 2)
    models.restore_model(row.id)
    assert (row.deleted_at, row.revision) == (None, 3)
    models.delete_model(row.id)
    models.purge_model(row.id)
    with pytest.raises(ObjectDeletedError):
        str(row.name)


def test_what_a_version_was_made_from_shows_what_it_became(loaded: Loaded) -> None:
    models, db = loaded.models, loaded.db
    first, second = (version.id for version in loaded.versions)
    models.set_parent(second, CreateParent(version_id=first, relation="merged"))
    row = db.get_one(DBModelLineage, (second, first))
    models.set_parent(second, CreateParent(version_id=first, relation="converted"))
    assert row.relation == "converted"
    models.delete_parent(second, first)
    assert db.get(DBModelLineage, (second, first)) is None
    models.set_parent(second, CreateParent(version_id=first, relation="copied"))
    assert db.get_one(DBModelLineage, (second, first)).relation == "copied"


def test_what_a_model_is_found_by_shows_what_it_became(loaded: Loaded) -> None:
    models, db = loaded.models, loaded.db
    row = db.scalars(select(DBModelDocument).where(DBModelDocument.model_id == loaded.model.id)).one()
    calls: list[Callable[[], object]] = [
        lambda: models.update_model(loaded.model.id, UpdateModel(description="quick foxes")),
        lambda: models.set_model_tag(loaded.model.id, "lang", "ja"),
        lambda: models.create_models([CreateModel(name="m", tags={"k": "v"})], on_conflict="update"),
        lambda: models.delete_model(loaded.model.id),
        lambda: models.restore_model(loaded.model.id),
    ]
    for call in calls:
        before = row.words
        call()
        shown = row.words
        db.refresh(row)
        assert before != shown == row.words


def test_what_a_refused_call_had_changed_before_does_not_show(loaded: Loaded) -> None:
    models, row = loaded.models, loaded.row
    assert [(tag.key, tag.value) for tag in row.tags] == [("lang", "en")]
    models.delete_model(models.create_model(CreateModel(name="gone")).id)
    with pytest.raises(BulkException, match="The model at index 1 was refused") as refused:
        models.create_models(
            [CreateModel(name="m", task="new", tags={"lang": "ja", "k": "v"}), CreateModel(name="gone")],
            on_conflict="update",
        )
    assert (refused.value.index, row.task, row.revision) == (1, None, 1)
    assert [(tag.key, tag.value) for tag in row.tags] == [("lang", "en")]
