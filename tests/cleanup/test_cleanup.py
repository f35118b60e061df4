"""A clean-up removes what nobody refers to, and nothing else: plans, results, and what bad luck gets."""

import asyncio
import json
import os
import pickle
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    AsyncModelService,
    BlobNotFoundException,
    CreateFile,
    CreateModel,
    CreateVersion,
    DatabaseNotAskedException,
    Fetched,
    FetchedFile,
    InvalidInputException,
    ModelService,
    StorageConfig,
    StoragePermissionException,
    StorageService,
    clean_up,
    plan_cleanup,
    setup_database,
)
from kamiwaza_sdk.services.storage import inventory, trash
from kamiwaza_sdk.types import CleanupPlanSchema
from tests.cleanup.helpers import Registry


def test_what_is_registered_stays_and_what_is_not_goes(registry: Registry) -> None:
    kept, dropped = registry.pull(b"kept"), registry.fetch(b"dropped")
    plan = registry.plan()
    assert [blob.sha256 for blob in plan.blobs] == [dropped.files[0].sha256]
    assert plan.kept["referenced"].blobs == 1
    assert (plan.frees_at_least, plan.frees_at_most) in {(7, 7), (0, 7)}
    result = registry.clean_up(plan=plan)
    assert (result.removed.blobs, result.removed.bytes, result.is_complete) == (1, 7, True)
    assert registry.has(kept)
    assert not registry.has(dropped)
    assert trash.runs(registry.storage.root) == []


def test_a_version_that_is_deleted_lets_go_of_what_no_other_has(registry: Registry) -> None:
    one, other = registry.pull(b"shared", "one"), registry.pull(b"shared", "other")
    alone = registry.pull(b"alone", "alone")
    registry.delete(one.id)
    registry.delete(alone.id)
    assert registry.clean_up().removed.blobs == 1
    assert registry.bytes_of(other) == b"shared"
    registry.delete(other.id)
    assert registry.clean_up().removed.blobs == 1
    assert list(registry.storage.list_blobs()) == []


def test_what_a_deleted_model_has_stays_until_it_is_purged(registry: Registry) -> None:
    version = registry.pull(b"content")
    with Session(registry.engine) as db, db.begin():
        registry.models(db).delete_model(version.model_id)
    assert registry.clean_up().removed.blobs == 0
    with Session(registry.engine) as db, db.begin():
        registry.models(db).purge_model(version.model_id)
    assert registry.clean_up().removed.blobs == 1


def test_what_was_used_lately_or_is_leased_stays(registry: Registry) -> None:
    used, leased, old = registry.fetch(b"used"), registry.fetch(b"leased"), registry.fetch(b"old")
    lease = registry.storage.lease([leased.files[0].sha256], duration=timedelta(days=1))
    for fetched in (leased, old):
        digest = fetched.files[0].sha256
        os.utime(registry.storage.root / f"uses/{digest[:2]}/{digest}", (1, 1))
    plan = registry.plan(unused_for=timedelta(hours=1))
    assert {reason: count.blobs for reason, count in plan.kept.items()} == {"leased": 1, "used recently": 1}
    assert registry.clean_up(plan=plan).removed.blobs == 1
    assert (registry.has(used), registry.has(leased), registry.has(old)) == (True, True, False)
    registry.storage.release(lease)
    assert registry.clean_up().removed.blobs == 2


def test_a_plan_a_week_old_leaves_what_was_used_leased_or_registered_since(registry: Registry) -> None:
    contents = [b"used", b"leased", b"registered", b"gone", b"idle"]
    used, leased, registered, gone, idle = fetched = [registry.fetch(content) for content in contents]
    for one in fetched:
        digest = one.files[0].sha256
        os.utime(registry.storage.root / f"uses/{digest[:2]}/{digest}", (1, 1))
    plan = CleanupPlanSchema.model_validate_json(registry.plan(unused_for=timedelta(hours=1)).model_dump_json())
    assert len(plan.blobs) == 5
    registry.storage.get(used.files[0].sha256)
    registry.storage.lease([leased.files[0].sha256], duration=timedelta(days=1))
    registry.register(registered)
    registry.storage.path(gone.files[0].sha256).unlink()
    result = registry.clean_up(plan=plan)
    assert (result.removed.blobs, result.left.blobs) == (1, 4)
    assert [registry.has(one) for one in (used, leased, registered, idle)] == [True, True, True, False]


def test_a_plan_travels_and_reads_well(registry: Registry) -> None:
    for number in range(30):
        registry.fetch(b"x" * (number + 1))
    registry.pull(b"<kept>")
    plan = registry.plan()
    assert CleanupPlanSchema.model_validate_json(plan.model_dump_json()) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert [blob.size for blob in plan.blobs] == sorted(range(1, 31), reverse=True)
    shown = str(plan).splitlines()
    assert shown[0].startswith("30 blobs may go, which frees at least ")
    assert shown[-1] == "Stays: 1 referenced (6 B)."
    assert "and 10 more" in [line.strip() for line in shown]
    assert plan._repr_html_().count("<tr>") == 22


def test_a_plan_holds_the_largest_and_says_that_there_are_more(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kamiwaza_sdk.services.model.store.cleanup.MOST_BLOBS", 2)
    for number in range(5):
        registry.fetch(b"x" * (number + 1))
    sizes = []
    while True:
        plan = registry.plan()
        sizes.append([blob.size for blob in plan.blobs])
        registry.clean_up(plan=plan)
        if plan.is_complete:
            break
    assert sizes == [[5, 4], [3, 2], [1]]


def test_a_file_with_another_name_frees_nothing_for_certain(registry: Registry, tmp_path: Path) -> None:
    fetched = registry.fetch(b"content")
    os.link(registry.storage.path(fetched.files[0].sha256), tmp_path / "elsewhere")
    plan = registry.plan()
    assert (plan.blobs[0].links, plan.frees_at_least, plan.frees_at_most) == (1, 0, 7)
    result = registry.clean_up(plan=plan)
    assert (result.freed_at_least, result.freed_at_most) == (0, 7)
    assert (tmp_path / "elsewhere").read_bytes() == b"content"


def test_a_database_that_is_not_asked_keeps_everything(registry: Registry, other: Engine) -> None:
    theirs = Registry(other, registry.storage.root)
    version = theirs.pull(b"theirs")
    dropped = registry.fetch(b"dropped")
    with pytest.raises(DatabaseNotAskedException) as refused:
        registry.plan()
    assert [database.name for database in refused.value.databases] == [str(other.url.database)]
    assert str(refused.value.databases[0].id) in str(refused.value)
    plan = registry.plan(other)
    with pytest.raises(DatabaseNotAskedException):
        registry.clean_up(plan=plan)
    assert registry.has(dropped)
    assert registry.clean_up(other).removed.blobs == 1
    assert registry.has(version)
    assert registry.storage.forget_database(refused.value.databases[0].id)
    assert registry.clean_up().removed.blobs == 1


def test_a_database_that_registers_during_a_clean_up_loses_nothing(
    registry: Registry, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes to know the store after the clean-up has seen that all are asked, and before the blob is set aside."""
    fetched, dropped = registry.fetch(b"content"), registry.fetch(b"dropped")
    plan = registry.plan()
    theirs = Registry(other, registry.storage.root)
    set_aside = trash.Filling.set_aside

    def registering(self: trash.Filling, sha256: str) -> bool | None:
        if sha256 == fetched.files[0].sha256:
            theirs.register(fetched)
        return set_aside(self, sha256)

    monkeypatch.setattr(trash.Filling, "set_aside", registering)
    result = registry.clean_up(plan=plan)
    assert [database.name for database in result.not_asked] == [str(other.url.database)]
    assert not result.is_complete
    assert (registry.has(fetched), registry.has(dropped)) == (True, True)
    assert registry.clean_up(other).removed.blobs == 1
    assert (registry.has(fetched), registry.has(dropped)) == (True, False)


def test_a_dump_that_is_restored_beside_its_original_is_another_database(registry: Registry, tmp_path: Path) -> None:
    version = registry.pull(b"content")
    if registry.engine.dialect.name == "sqlite":
        registry.engine.dispose()
        shutil.copy(tmp_path / "registry.db", tmp_path / "restored.db")
        restored = kamiwaza_sdk.create_engine(f"sqlite:///{tmp_path / 'restored.db'}")
    else:
        restored = _restored(registry.engine)
    theirs = Registry(restored, registry.storage.root)
    theirs.pull(b"theirs", "theirs")
    registry.delete(version.id)
    with pytest.raises(DatabaseNotAskedException):
        registry.clean_up()
    assert registry.clean_up(restored).removed.blobs == 0
    assert registry.has(version)
    restored.dispose()


def _restored(engine: Engine) -> Engine:
    """Return an engine of a copy in the same cluster: here in another schema, as a dump can be restored into one."""
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA IF EXISTS restored CASCADE"))
        connection.execute(text("CREATE SCHEMA restored"))
    translated = kamiwaza_sdk.create_engine(engine.url).execution_options(schema_translate_map={None: "restored"})
    setup_database(translated)
    with engine.begin() as connection:
        for table in ("model", "model_version", "model_file"):
            connection.execute(text(f"INSERT INTO restored.kamiwaza_{table} SELECT * FROM kamiwaza_{table}"))
    return translated


def test_two_namespaces_of_one_database_are_asked_together(registry: Registry) -> None:
    fetched = registry.fetch(b"content")
    with Session(registry.engine) as db, db.begin():
        ModelService(db, namespace="team-a", hub=registry.hub).register(fetched, name="model")
    assert registry.clean_up().removed.blobs == 0
    assert registry.has(fetched)


def test_a_database_in_memory_cannot_be_asked_and_its_transaction_goes_on(registry: Registry) -> None:
    memory = kamiwaza_sdk.create_engine("sqlite://")
    setup_database(memory)
    with Session(memory) as db, db.begin():
        models = ModelService(db)
        models.create_model(CreateModel(name="pending"))
        with pytest.raises(InvalidInputException, match="in memory"):
            plan_cleanup(registry.storage, databases=[memory])
        assert [model.name for model in models.list_models()] == ["pending"]
    with Session(memory) as db:
        assert [model.name for model in ModelService(db).list_models()] == ["pending"]


@pytest.mark.parametrize("given", [None, "sqlite://", ["sqlite://"], 5])
def test_what_is_no_engine_is_refused(registry: Registry, given: object) -> None:
    with pytest.raises(InvalidInputException, match="databases"):
        plan_cleanup(registry.storage, databases=given)  # type: ignore[arg-type]  # the mistake under test


def test_arguments_of_a_wrong_kind_are_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputException, match="unused_for"):
        registry.plan(unused_for=timedelta(days=-1))
    with pytest.raises(InvalidInputException, match="storage"):
        plan_cleanup(None, databases=[])  # type: ignore[arg-type]  # as above
    with pytest.raises(InvalidInputException, match="plan"):
        clean_up("plan", registry.storage, databases=[registry.engine])  # type: ignore[arg-type]  # as above
    elsewhere = Registry(registry.engine, tmp_path / "elsewhere")
    with pytest.raises(InvalidInputException, match="is of the store at"):
        elsewhere.clean_up(plan=registry.plan())


async def test_asynchronous_engines_serve_as_well(registry: Registry, asynchronous: AsyncEngine) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession

    kept, dropped = await asyncio.to_thread(lambda: (registry.fetch(b"kept"), registry.fetch(b"dropped")))
    async with AsyncSession(asynchronous) as db, db.begin():
        await AsyncModelService(db, hub=registry.hub).register(kept, name="model")
    plan = await asyncio.to_thread(plan_cleanup, registry.storage, databases=[asynchronous], unused_for=timedelta(0))
    result = await asyncio.to_thread(clean_up, plan, registry.storage, databases=[asynchronous])
    assert (result.removed.blobs, plan.kept["referenced"].blobs) == (1, 1)
    assert (registry.has(kept), registry.has(dropped)) == (True, False)
    async with AsyncSession(asynchronous) as db:
        models = AsyncModelService(db, hub=registry.hub)
        with pytest.raises(BlobNotFoundException):
            await models.register(dropped, name="dropped")
        assert [model.name for model in await models.list_models()] == ["model"]


async def test_one_transaction_of_a_host_stays_open_while_its_engine_is_asked(
    registry: Registry, asynchronous: AsyncEngine
) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession

    dropped = await asyncio.to_thread(registry.fetch, b"dropped")
    async with AsyncSession(asynchronous) as db:
        models = AsyncModelService(db, hub=registry.hub)
        model = await models.create_model(CreateModel(name="pending"))
        files = (CreateFile(path="model.bin", size=1, sha256="ab" * 32),)
        await models.create_version(model.id, CreateVersion(files=files))
        result = await asyncio.to_thread(registry.clean_up)
        assert (result.removed.blobs, result.pending.blobs) == (0, 1)
        assert [database.id for database in result.waits_for] == [database.id for database in registry.plan().databases]
        await db.commit()
        assert [model.name for model in await models.list_models()] == ["pending"]
    assert (await asyncio.to_thread(registry.clean_up)).removed.blobs == 1
    assert not registry.has(dropped)


def test_a_registration_after_a_clean_up_is_refused_and_leaves_the_transaction_usable(registry: Registry) -> None:
    fetched = registry.fetch(b"content")
    assert registry.clean_up().removed.blobs == 1
    with Session(registry.engine) as db, db.begin():
        models = registry.models(db)
        models.create_model(CreateModel(name="before"))
        with pytest.raises(BlobNotFoundException) as refused:
            models.register(fetched, name="model")
        assert refused.value.sha256 == fetched.files[0].sha256
        assert refused.value.transaction_usable
        assert [model.name for model in models.list_models()] == ["before"]
    assert registry.pull(b"content").status == "ready"


def test_what_was_fetched_into_another_store_is_not_looked_at(registry: Registry, tmp_path: Path) -> None:
    fetched = Registry(registry.engine, tmp_path / "elsewhere").fetch(b"content")
    assert registry.register(fetched).status == "ready"
    made = Fetched(source="x", name="x", files=fetched.files, bytes_fetched=0, bytes_reused=0)
    assert registry.register(made, "other").status == "ready"
    assert registry.storage.list_databases() == []


def test_a_fetch_names_its_store_and_its_lease(registry: Registry) -> None:
    assert registry.fetch(b"content").lease is None
    leasing = Registry(registry.engine, registry.storage.root)
    leasing.storage = StorageService(StorageConfig(root=registry.storage.root))
    leasing.hub.storage = leasing.storage
    fetched = leasing.fetch(b"content")
    assert fetched.store == registry.storage.id
    assert fetched.lease is not None
    assert leasing.fetch(b"content").lease == fetched.lease
    assert registry.clean_up().removed.blobs == 0
    assert registry.storage.release(fetched.lease)
    assert registry.clean_up().removed.blobs == 1


def test_bare_digests_are_not_looked_at(registry: Registry) -> None:
    with Session(registry.engine) as db, db.begin():
        model = registry.models(db).create_model(CreateModel(name="model"))
        files = (CreateFile(path="model.bin", size=1, sha256="ab" * 32),)
        assert registry.models(db).create_version(model.id, CreateVersion(files=files)).status == "ready"
    assert registry.storage.list_databases() == []


@pytest.mark.parametrize("days", [-30, 30])
def test_clocks_a_month_apart_lose_nothing_that_is_referred_to(
    registry: Registry, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, dropped = registry.pull(b"kept"), registry.fetch(b"dropped")
    now = inventory.now
    monkeypatch.setattr(inventory, "now", lambda root: now(root) + days * 86400)
    plan = registry.plan(unused_for=timedelta(days=1))
    registry.clean_up(plan=plan)
    assert registry.has(kept)
    assert registry.has(dropped) == (days < 0)


def test_a_blob_removed_by_hand_under_a_clean_up_is_no_error(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = registry.fetch(b"one"), registry.fetch(b"other")
    plan = registry.plan()
    registry.storage.path(one.files[0].sha256).unlink()
    result = registry.clean_up(plan=plan)
    assert (result.removed.blobs, result.left.blobs) == (1, 1)
    assert not registry.has(other)


def test_a_clean_up_that_was_interrupted_a_week_ago_is_gone_on_with(registry: Registry, other: Engine) -> None:
    """One run was still filled, one was closed, and one was marked, when its clean-up died."""
    kept = registry.pull(b"kept")
    dropped = [registry.fetch(bytes([number])) for number in range(3)]
    root = registry.storage.root
    filled, closed, marked = (trash.Filling(root) for _ in range(3))
    for filling, fetched in zip((filled, closed, marked), dropped, strict=True):
        assert filling.set_aside(fetched.files[0].sha256)
    assert filled.set_aside(kept.files[0].sha256)
    closed.close()
    trash.write_mark(root, str(marked.close()), {"marks": {}})
    for path in root.glob("trash/**/*"):
        os.utime(path, (1, 1))
    plan = registry.plan()
    assert (plan.set_aside.blobs, len(plan.blobs)) == (4, 0)
    result = registry.clean_up(plan=plan)
    assert (result.removed.blobs, result.brought_back.blobs) == (3, 1)
    assert registry.has(kept)
    assert trash.runs(root) == []


def test_a_damaged_mark_is_noted_anew(registry: Registry) -> None:
    fetched = registry.fetch(b"content")
    filling = trash.Filling(registry.storage.root)
    assert filling.set_aside(fetched.files[0].sha256)
    run = filling.close()
    (registry.storage.root / f"trash/{run}/mark.json").write_text("{")
    assert registry.clean_up().removed.blobs == 1


def test_on_a_network_file_system_two_minutes_lie_between(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "settling_time", lambda _: 120.0)
    registry.fetch(b"content")
    result = registry.clean_up()
    assert (result.removed.blobs, result.pending.blobs, result.is_complete) == (0, 1, False)
    now = inventory.now
    monkeypatch.setattr(inventory, "now", lambda root: now(root) + 121)
    assert registry.clean_up().removed.blobs == 1


def test_this_file_system_is_known_and_nfs_is_not_a_local_one(tmp_path: Path) -> None:
    assert inventory._file_system(tmp_path)
    assert inventory._file_system(Path("/proc")) == "proc"
    assert inventory.settling_time(Path("/proc")) == 120.0


def test_another_users_store_is_named_and_loses_nothing(unprivileged: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, for a second user")
    engine = kamiwaza_sdk.create_engine(f"sqlite:///{unprivileged / 'registry.db'}")
    setup_database(engine)
    registry = Registry(engine, unprivileged / "store")
    os.seteuid(0)
    try:
        content = unprivileged / "content"
        content.write_bytes(b"content")
        blob = registry.storage.add(content)
    finally:
        os.seteuid(65534)
    assert registry.storage.get(blob.sha256) == blob
    with pytest.raises(StoragePermissionException, match="store"):
        registry.plan()
    fetched = Fetched(source="x", name="x", files=(), bytes_fetched=0, bytes_reused=0, store=registry.storage.id)
    file = FetchedFile(path="x", size=7, sha256=blob.sha256)
    with pytest.raises(StoragePermissionException, match="databases"):
        registry.register(fetched.model_copy(update={"files": (file,)}))
    assert blob.path.read_bytes() == b"content"
    engine.dispose()


def test_sqlite_knows_a_database_by_its_file(other: Engine, tmp_path: Path) -> None:
    registry = Registry(other, tmp_path / "store")
    registry.pull(b"content")
    (known,) = registry.storage.list_databases()
    (tmp_path / "link.db").symlink_to(str(other.url.database))
    linked = kamiwaza_sdk.create_engine(f"sqlite:///{tmp_path / 'link.db'}")
    assert [database.id for database in Registry(linked, tmp_path / "store").plan().databases] == [known.id]
    linked.dispose()
    other.dispose()
    moved = Path(shutil.move(str(other.url.database), tmp_path / "moved.db"))
    with closing(sqlite3.connect(moved)) as file:
        assert file.execute("SELECT count(*) FROM kamiwaza_registry").fetchone() == (1,)
    again = kamiwaza_sdk.create_engine(f"sqlite:///{moved}")
    with pytest.raises(DatabaseNotAskedException):
        Registry(again, tmp_path / "store").plan()
    again.dispose()


def test_a_note_of_a_database_is_for_people_and_without_a_password(registry: Registry) -> None:
    registry.pull(b"content")
    (known,) = registry.storage.list_databases()
    assert known.id.startswith(registry.engine.dialect.name)
    assert json.loads((registry.storage.root / "databases" / known.id).read_text()) == {"name": known.name}
    assert "@" not in known.name


def test_a_store_that_cannot_be_written_to_takes_no_registration(
    other: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(other, tmp_path / "store")
    fetched = registry.fetch(b"content")

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inventory, "note_database", denied)
    with pytest.raises(StoragePermissionException, match="databases"):
        registry.register(fetched)
    with Session(other) as db:
        assert ModelService(db).list_models() == []


def test_views_of_versions_that_no_registry_has_go_when_nobody_asks_for_them(registry: Registry) -> None:
    kept, dropped = registry.pull(b"kept", "kept"), registry.pull(b"dropped", "dropped")
    views = [registry.storage.materialize(version) for version in (kept, dropped)]
    (registry.storage.root / "views/of my own").mkdir()
    assert registry.plan().views == ()
    registry.delete(dropped.id)
    assert registry.plan(unused_for=timedelta(hours=1)).views == ()
    plan = registry.plan()
    assert plan.views == (dropped.digest,)
    assert "1 blob and 1 view may go" in str(plan)
    result = registry.clean_up(plan=plan)
    assert (result.views_removed, result.removed.blobs) == (1, 1)
    assert [view.exists() for view in views] == [True, False]
    assert (registry.storage.root / "views/of my own").exists()


def test_a_view_that_was_asked_for_since_the_plan_stays(registry: Registry) -> None:
    version = registry.pull(b"content")
    view = registry.storage.materialize(version)
    os.utime(view, (1, 1))
    registry.delete(version.id)
    plan = registry.plan(unused_for=timedelta(hours=1))
    assert plan.views == (version.digest,)
    registry.storage.materialize(version)
    assert registry.clean_up(plan=plan).views_removed == 0
    assert (view / "model.bin").read_bytes() == b"content"


def test_what_an_interrupted_removal_of_a_view_left_goes_with_the_next(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.pull(b"content")
    registry.storage.materialize(version)
    registry.delete(version.id)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        assert registry.clean_up().views_removed == 1
    assert len(list((registry.storage.root / "views").iterdir())) == 1
    registry.clean_up()
    assert list((registry.storage.root / "views").iterdir()) == []
