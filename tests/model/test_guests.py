"""The registry as a guest in hosts that are unusual, and given what is: each of these once went wrong."""

import json
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    Column,
    Delete,
    Engine,
    ForeignKeyConstraint,
    FromClause,
    Insert,
    Table,
    Update,
    create_engine,
    event,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

import kamiwaza_sdk
from kamiwaza_sdk import (
    CreateFile,
    CreateModel,
    CreateModelConfig,
    CreateParent,
    CreateVersion,
    DBModel,
    Fetched,
    FetchedFile,
    Filter,
    HubService,
    InUseException,
    InvalidInputException,
    ModelAlreadyExistsException,
    ModelNotFoundException,
    ModelService,
    ServiceException,
    UpdateModel,
    UpdateModelConfig,
    UpdateVersion,
    setup_database,
)
from kamiwaza_sdk.orm import (
    DBModelAlias,
    DBModelConfig,
    DBModelFile,
    DBModelLineage,
    DBModelTag,
    DBModelVersion,
    DBModelVersionTag,
)
from kamiwaza_sdk.services.model.registry import aliases, lineage
from tests.backends import Backend, Order


def file(path: str = "m.bin", digest: str = "ab", format: str | None = None) -> CreateFile:  # noqa: A002 - its name
    return CreateFile(path=path, size=1, sha256=digest * 32, format=format)


REFUSED: dict[str, Callable[[], object]] = {
    "name": lambda: CreateModel(name="a:b"),
    "path": lambda: file(path="../x"),
    "label": lambda: CreateVersion(version="12"),
    "no files": CreateVersion,
    "config": lambda: CreateModelConfig(name="a:b"),
    "update": lambda: UpdateModel(name="a:b"),
    "type": lambda: CreateModel(name="m", private=object()),  # type: ignore[arg-type]  # the mistake under test
    "filter": lambda: Filter.parse({}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_really_raised_survives_pickling(what: str) -> None:
    with pytest.raises(ServiceException) as refused:
        REFUSED[what]()
    copy = pickle.loads(pickle.dumps(refused.value))
    assert (type(copy), str(copy), copy.__dict__) == (type(refused.value), str(refused.value), refused.value.__dict__)


def test_a_session_that_sends_only_what_writes_to_the_leader_is_shown_that_it_writes(tmp_path: Path) -> None:
    leader, follower = (create_engine(f"sqlite:///{tmp_path}/{name}.db") for name in ("leader", "follower"))
    for engine in (leader, follower):
        setup_database(engine)

    class Routing(Session):
        """As in SQLAlchemy's documentation, "Custom Vertical Partitioning"."""

        def get_bind(self, mapper: Any = None, *, clause: Any = None, **_: Any) -> Engine:  # Any: as declared there
            return leader if self._flushing or isinstance(clause, Update | Delete | Insert) else follower

    with Routing() as db:
        model = ModelService(db).create_model(CreateModel(name="m"))
        ModelService(db).set_model_tag(model.id, "lang", "en")
        db.commit()
    counts = []
    for engine in (leader, follower):
        with Session(engine) as one:
            counts.append(ModelService(one).count_models())
        engine.dispose()
    assert counts == [1, 0]


async def test_what_was_copied_past_its_validation_is_kept_as_it_would_be_with_it(backend: Backend) -> None:
    async with backend.begin() as models:
        odd = CreateModel(name="m", task="old").model_copy(update={"name": "cafe\u0301", "private": "yes"})
        await models.create_models([odd])
        kept = await models.get_model_by_name("café")
        assert kept.private is True
        given = CreateModel(name="café", license="mit").model_copy(update={"private": "no"})
        assert (await models.create_models([given], on_conflict="update")).updated == 1
        kept = await models.get_model_by_name("café")
        assert (kept.private, kept.license, kept.task) == (False, "mit", "old")
        await models.create_models([CreateModel(name="n").model_copy(update={"private": 1})])
        event_ = (await models.list_events((await models.get_model_by_name("n")).id)).items[0]
        assert event_.after["private"] is True


async def test_a_number_in_json_comes_back_as_the_number_it_was(backend: Backend) -> None:
    numbers = [1.2345678901234567e17, -(2.0**62), 2.0**53, 1e300, -1e-300, 0.1, 2.0, 2**63 - 1, -(2**63), 1e16, 1e19]
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        details: dict[str, Any] = {"x": [*numbers], "zero": -0.0}  # Any: JSON
        version = await models.create_version(model.id, CreateVersion(files=(file(),), details=details))
        assert version.details == details
        assert str((await models.get_version(version.id)).details["zero"]) == "0.0"
        before = len((await models.list_events(model.id)).items)
        noted = await models.update_version(version.id, UpdateVersion(attributes=details))
        assert noted.attributes == details
        assert str((await models.get_version(version.id)).attributes["zero"]) == "0.0"
        assert await models.update_version(version.id, UpdateVersion(attributes=noted.attributes)) == noted
        assert len((await models.list_events(model.id)).items) == before + 1


def read_with_decimals(text: str | bytes) -> Any:  # Any: JSON
    """Read JSON as a host may like it."""
    return json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_host_that_reads_json_in_its_own_way_has_no_say_in_ours(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/guests.db" if database == "sqlite" else request.getfixturevalue("postgresql_tables")
    engine = create_engine(url, json_deserializer=read_with_decimals)
    setup_database(engine)
    with Session(engine) as db:
        models = ModelService(db, namespace=f"json-{uuid4().hex}")
        model = models.create_model(CreateModel(name="m"))
        details: dict[str, Any] = {"x": 1.5, "of": [{"parameters": 1}, 0.1]}  # Any: JSON
        version = models.create_version(model.id, CreateVersion(files=(file(),), details=details))
        created = CreateModelConfig(name="c", config={"t": 0.7}, system_config={"u": 2.5})
        config = models.create_config(created, model_id=model.id)
        assert (config.config, config.system_config) == ({"t": 0.7}, {"u": 2.5})
        models.update_config(config.id, UpdateModelConfig(config={"t": 0.75}))
        (found,) = models.list_versions(model.id)
        assert details == version.details == found.details == models.resolve("m").details
        assert type(found.details["x"]) is float
        updated = models.list_events(model.id).items[-1]
        assert (updated.before["config"], updated.after["config"]) == ({"t": 0.7}, {"t": 0.75})
    engine.dispose()


class HostBase(DeclarativeBase):
    """The host's own tables."""


class Report(HostBase):
    """What a host notes of a file of a version."""

    __tablename__ = "guest_report"
    __table_args__ = (
        ForeignKeyConstraint(
            ["version_id", "path"], [DBModelFile.__table__.c.version_id, DBModelFile.__table__.c.path]
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    version_id: Mapped[UUID]
    path: Mapped[str]


def referring(name: str, table: FromClause, *keys: str) -> Table:
    """Return a table of the host's whose rows refer to those of one of ours."""
    columns = [Column(key, table.c[key].type) for key in keys]
    return Table(name, HostBase.metadata, *columns, ForeignKeyConstraint(keys, [table.c[key] for key in keys]))


NAME = referring("guest_name", DBModel.__table__, "namespace", "name")
CONFIG = referring("guest_config", DBModelConfig.__table__, "id")
ALIAS = referring("guest_alias", DBModelAlias.__table__, "model_id", "alias")
TAG = referring("guest_tag", DBModelTag.__table__, "model_id", "key")
VERSION_TAG = referring("guest_version_tag", DBModelVersionTag.__table__, "version_id", "key")
PARENT = referring("guest_parent", DBModelLineage.__table__, "version_id", "parent_id")


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = kamiwaza_sdk.create_engine(f"sqlite:///{tmp_path}/guest.db")
    setup_database(engine)
    HostBase.metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_a_file_that_the_host_refers_to_stays_where_it_stays_and_else_is_in_use(engine: Engine) -> None:
    with Session(engine) as db:
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        version = models.create_version(model.id, CreateVersion(files=(file(),), status="draft"))
        db.add(Report(version_id=version.id, path="m.bin"))
        db.flush()
        loaded = db.get_one(DBModelFile, (version.id, "m.bin"))
        more = models.update_version(version.id, UpdateVersion(files=(file(digest="cd"), file("n.bin"))))
        assert [each.path for each in more.files] == ["m.bin", "n.bin"]
        assert loaded.sha256 == "cd" * 32
        labels: list[dict[str, Any]] = [{}, {"version": "v2"}]  # Any: arguments
        for label in labels:
            with pytest.raises(InUseException, match="rows of the application's own refer to its files"):
                models.update_version(version.id, UpdateVersion(files=(file("o.bin"),), **label))
        assert models.get_version(version.id) == more
        db.commit()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_belongs_to_a_model_is_in_use_where_the_hosts_rows_refer_to_it(
    database: str, request: pytest.FixtureRequest
) -> None:
    on_sqlite = database == "sqlite"
    engine = (
        request.getfixturevalue("engine") if on_sqlite else create_engine(request.getfixturevalue("postgresql_tables"))
    )
    with Session(engine) as db:
        HostBase.metadata.create_all(db.connection())
        models = ModelService(db, namespace=f"in-use-{uuid4().hex}")
        model = models.create_model(CreateModel(name="m", tags={"k": "v"}))
        base = models.create_version(model.id, CreateVersion(files=(file(digest="cd"),)))
        parents = (CreateParent(version_id=base.id, relation="merged"),)
        version = models.create_version(model.id, CreateVersion(files=(file(),), tags={"k": "v"}, derived_from=parents))
        models.set_alias(version.id, "live")
        of_model = models.create_config(CreateModelConfig(name="c"), model_id=model.id)
        of_version = models.create_config(CreateModelConfig(name="c"), version_id=version.id)
        for config in (of_model, of_version):
            db.execute(CONFIG.insert(), {"id": config.id})
        db.execute(ALIAS.insert(), {"model_id": model.id, "alias": "live"})
        db.execute(TAG.insert(), {"model_id": model.id, "key": "k"})
        db.execute(VERSION_TAG.insert(), {"version_id": version.id, "key": "k"})
        db.execute(PARENT.insert(), {"version_id": version.id, "parent_id": base.id})
        models.set_parent(version.id, CreateParent(version_id=base.id, relation="converted"))
        model, version = models.get_model(model.id), models.get_version(version.id)
        refusals: list[tuple[type[InUseException | InUseException], str, Callable[[], None]]] = [
            (InUseException, "configuration 'c'", lambda: models.delete_config(of_model.id)),
            (InUseException, "configuration 'c'", lambda: models.delete_config(of_version.id)),
            (InUseException, "alias 'live'", lambda: models.delete_alias(model.id, "live")),
            (InUseException, "tag 'k'", lambda: models.delete_model_tag(model.id, "k")),
            (InUseException, "tag 'k'", lambda: models.replace_model_tags(model.id, {"other": "v"})),
            (InUseException, "tag 'k'", lambda: models.delete_version_tag(version.id, "k")),
            (InUseException, "tag 'k'", lambda: models.replace_version_tags(version.id, {})),
            (InUseException, f"parent {base.id}", lambda: models.delete_parent(version.id, base.id)),
        ]
        events = models.list_events(model.id).items
        for kind, what, attempt in refusals:
            with pytest.raises(kind, match=f"rows of the application's own refer to its {what}; remove") as refused:
                attempt()
            assert refused.value.transaction_usable
        assert (models.get_model(model.id), models.get_version(version.id)) == (model, version)
        assert models.list_events(model.id).items == events
        assert version.derived_from[0].relation == "converted"
        for table in (CONFIG, ALIAS, TAG, VERSION_TAG, PARENT):
            db.execute(table.delete())
        for _, _, attempt in refusals[:3]:
            attempt()
        db.rollback()
    engine.dispose()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_name_that_the_hosts_rows_refer_to_is_in_use(database: str, request: pytest.FixtureRequest) -> None:
    on_sqlite = database == "sqlite"
    engine = (
        request.getfixturevalue("engine") if on_sqlite else create_engine(request.getfixturevalue("postgresql_tables"))
    )
    with Session(engine) as db:
        HostBase.metadata.create_all(db.connection())
        models = ModelService(db, namespace="names")
        model = models.create_model(CreateModel(name="m"))
        db.execute(NAME.insert(), {"namespace": "names", "name": "m"})
        for changes in (UpdateModel(name="n"), UpdateModel(name="n", task="chat")):
            with pytest.raises(InUseException, match="cannot be renamed: rows of") as refused:
                models.update_model(model.id, changes)
            assert refused.value.transaction_usable
        assert models.get_model(model.id) == model
        db.execute(NAME.delete())
        assert models.update_model(model.id, UpdateModel(name="n")).name == "n"
        db.rollback()
    engine.dispose()


@pytest.mark.parametrize(
    ("changes", "waits"),
    [(UpdateModel(task="chat"), False), (UpdateModel(name="renamed"), True)],
    ids=["another task", "another name"],
)
def test_the_hosts_rows_wait_for_a_model_they_refer_to_only_while_it_is_renamed(
    postgresql_tables: str, changes: UpdateModel, *, waits: bool
) -> None:
    engine = create_engine(postgresql_tables, connect_args={"options": "-c lock_timeout=200ms"})
    with Session(engine) as ours, Session(engine) as theirs:
        models = ModelService(ours, namespace=f"refer-{uuid4().hex}")
        model = models.create_model(CreateModel(name="m"))
        ours.commit()
        models.update_model(model.id, changes)
        theirs.add(Order(text=uuid4().hex, model_id=model.id))
        with pytest.raises(OperationalError, match="lock timeout") if waits else nullcontext():
            theirs.flush()
    engine.dispose()


def test_a_loaded_row_that_is_purged_or_deleted_is_looked_at_anew(engine: Engine) -> None:
    with Session(engine) as db:
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m", tags={"lang": "en"}))
        versions = [models.create_version(model.id, CreateVersion(files=(file(digest=d),))) for d in ("ab", "cd")]
        rows = [db.get_one(DBModelVersion, version.id) for version in versions]
        loaded = db.get_one(DBModel, model.id)
        assert [len(row.files) for row in rows] == [1, 1]
        models.delete_version(versions[0].id)
        assert loaded.versions == [rows[1]]
        assert db.get(DBModelVersion, versions[0].id) is None
        models.delete_model(model.id)
        models.purge_model(model.id)
        assert db.get(DBModelVersion, versions[1].id) is None
        assert db.get(DBModel, model.id) is None
        db.commit()


async def test_a_scoped_session_pulls_too(engine: Engine, hub: HubService, tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"weights")
    scoped = scoped_session(sessionmaker(engine))
    models = ModelService(scoped, hub=hub)  # type: ignore[arg-type]  # SQLAlchemy's own stand-in for a Session
    assert (await models.pull_model(tmp_path / "m.bin", name="m")).number == 1
    scoped.remove()


def test_a_call_from_within_a_flush_works(engine: Engine) -> None:
    seen: list[int] = []
    with Session(engine) as db:
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        version = models.create_version(model.id, CreateVersion(files=(file(),), status="draft"))
        event.listen(db, "after_flush", lambda *_: seen.append(models.count_models()))
        db.add(Report(version_id=version.id, path="m.bin"))
        db.commit()
    assert seen == [1]


def test_a_scoped_session_is_called_from_within_a_flush_too(engine: Engine) -> None:
    scoped = scoped_session(sessionmaker(engine))
    models = ModelService(scoped)  # type: ignore[arg-type]  # SQLAlchemy's own stand-in for a Session
    version = models.create_version(models.create_model(CreateModel(name="m")).id, CreateVersion(files=(file(),)))
    event.listen(scoped(), "before_flush", lambda *_: models.set_version_tag(version.id, "reported", "yes"))
    scoped.add(Report(version_id=version.id, path="m.bin"))
    scoped.commit()
    assert models.get_version(version.id).tags == {"reported": "yes"}
    scoped.remove()


async def test_a_rename_onto_its_own_name_is_not_blamed_for_what_else_is_refused(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        assert (await models.update_model(model.id, UpdateModel(name="m", task="chat"))).task == "chat"
    assert "another transaction" in str(
        ModelAlreadyExistsException(name="m", namespace="default", model_id=None, deleted=False)
    )


async def test_moments_that_utc_does_not_have_and_arguments_of_odd_types_are_refused(backend: Backend) -> None:
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    async with backend.begin() as models:
        await models.create_model(CreateModel(name="m"))
        attempts = [
            models.resolve("m@production", at=early),
            models.create_models([], on_conflict=["raise"]),  # type: ignore[arg-type]  # the mistake under test
            models.create_models(None),  # type: ignore[arg-type]  # as above
            models.search_models(sort=["name"]),  # type: ignore[arg-type]  # as above
            models.list_configs(version_id="x"),  # type: ignore[arg-type]  # as above
            models.search_models(cursor=10**5000),  # type: ignore[arg-type]  # as above
        ]
        for attempt in attempts:
            with pytest.raises(InvalidInputException):
                await attempt


async def test_what_every_listing_carries_is_bounded(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "MAX_ALIASES", 2)
    monkeypatch.setattr(lineage, "MAX_PARENTS", 2)
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        made = [await models.create_version(model.id, CreateVersion(files=(file(digest=f"a{n}"),))) for n in range(4)]
        for name in ("a", "b", "a"):
            await models.set_alias(made[0].id, name)
        with pytest.raises(InvalidInputException, match="^alias would be one more than the limit of 2"):
            await models.set_alias(made[0].id, "c")
        for parent in (made[1], made[2], made[1]):
            await models.set_parent(made[0].id, CreateParent(version_id=parent.id, relation="merged"))
        with pytest.raises(InvalidInputException, match="^parent would be one more than the limit of 2"):
            await models.set_parent(made[0].id, CreateParent(version_id=made[3].id, relation="merged"))


@pytest.mark.parametrize(
    "changes", [UpdateModel(task="x", license=None), UpdateVersion(status="failed"), UpdateModelConfig()]
)
def test_changes_are_in_json_what_was_given_and_no_more(
    changes: UpdateModel | UpdateVersion | UpdateModelConfig,
) -> None:
    copy = type(changes).model_validate_json(changes.model_dump_json())
    assert copy == changes
    assert copy.model_fields_set == changes.model_fields_set


def test_what_a_service_is_bound_to_cannot_be_changed(mock_db: Session) -> None:
    models = ModelService(mock_db, namespace="a", actor="alice")
    for name in ("namespace", "actor"):
        with pytest.raises(AttributeError):
            setattr(models, name, "b")
    assert (models.namespace, models.actor) == ("a", "alice")


async def test_a_file_whose_format_alone_changes_is_told_in_history(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        drafted = CreateVersion(files=(file("a", format="onnx"), file("b", format="pt")), status="draft")
        version = await models.create_version(model.id, drafted)
        await models.update_version(
            version.id, UpdateVersion(files=(file("a", format="onnx"), file("b", format="safetensors")))
        )
        event_ = (await models.list_events(model.id, descending=True)).items[0]
    assert (event_.before, event_.after) == (
        {"formats": {"a": "onnx", "b": "pt"}},
        {"formats": {"a": "onnx", "b": "safetensors"}},
    )


def test_merging_shares_nothing_with_what_was_merged(mock_db: Session) -> None:
    models = ModelService(mock_db)
    model = models.create_model(CreateModel(name="m"))
    config = models.create_config(CreateModelConfig(name="c", config={"a": {"b": [1]}}), model_id=model.id)
    merged: Any = config.merged({})
    merged["a"]["b"].append(2)
    assert config.config == {"a": {"b": [1]}}


FETCHED = Fetched(
    source="s",
    name="m",
    files=(FetchedFile(path="a", size=1, sha256="ab" * 32),),
    bytes_fetched=1,
    bytes_reused=0,
)


@pytest.mark.parametrize(
    "fetched",
    [
        FETCHED.model_copy(update={"details": None}),
        FETCHED.model_copy(update={"files": None}),
        FETCHED.model_copy(update={"files": (FetchedFile.model_construct(),)}),
        FETCHED.model_copy(update={"license": 5}),
        Fetched.model_construct(),
    ],
    ids=["details", "files", "a file", "license", "nothing"],
)
def test_what_was_fetched_is_validated_once_more(mock_db: Session, fetched: Fetched) -> None:
    models = ModelService(mock_db)
    with pytest.raises(InvalidInputException):
        models.register(fetched)
    assert models.list_models() == []
    assert models.register(FETCHED).number == 1


def test_a_fetched_model_of_a_deleted_name_is_refused_as_before(mock_db: Session) -> None:
    models = ModelService(mock_db)
    model = models.create_model(CreateModel(name="m"))
    models.delete_model(model.id)
    found = FetchedFile(path="a", size=1, sha256="ab" * 32)
    fetched = Fetched(source="s", name="m", files=(found,), bytes_fetched=1, bytes_reused=0)
    with pytest.raises(ModelAlreadyExistsException, match="restore_model"):
        models.register(fetched)
    with pytest.raises(ModelNotFoundException, match="is deleted"):
        models.resolve("m")
