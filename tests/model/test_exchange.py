"""Records between databases: what is exported is what is imported, all of it or nothing."""

import gzip
import hashlib
import io
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, select
from sqlalchemy.ext.asyncio import AsyncEngine

from kamiwaza_sdk import (
    AsyncModelService,
    BlobNotFoundException,
    CreateFile,
    CreateModel,
    CreateModelConfig,
    CreateParent,
    CreateVersion,
    Field,
    HubService,
    InvalidInputException,
    ModelAlreadyExistsException,
    ModelNotFoundException,
    Policy,
    PolicyViolationException,
    StorageService,
    UpdateModel,
    UpdateVersion,
    VersionAlreadyExistsException,
)
from kamiwaza_sdk.orm import DBBase
from kamiwaza_sdk.types import ExportFileException, ExportSchema, ExportTooNewException, ImportException, ImportSchema
from tests.backends import Backend, clear_tables, postgresql_engine, sqlite_engine
from tests.effort import effort
from tests.model.helpers import Dump
from tests.model.world import World, files, populate

#: Rows of which each database has its own.
_OWN = {"kamiwaza_registry", "kamiwaza_model_document"}


async def rows(backend: Backend) -> Dump:
    """Return what is in the tables, but for what is told of no model."""
    async with backend.session() as db:
        return {
            table.name: sorted(map(tuple, (await db.execute(select(table))).all()), key=repr)
            for table in DBBase.metadata.sorted_tables
            if table.name not in _OWN
        }


async def empty(backend: Backend) -> None:
    """Delete all rows."""
    if isinstance(backend.engine, AsyncEngine):
        async with backend.engine.begin() as connection:
            await connection.run_sync(_clear)
    else:
        with backend.engine.begin() as plain:
            _clear(plain)


def _clear(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        clear_tables(connection)
        return
    connection.exec_driver_sql("INSERT INTO kamiwaza_model_search (kamiwaza_model_search) VALUES ('delete-all')")
    for table in reversed(DBBase.metadata.sorted_tables):
        if table.name not in {"kamiwaza_registry"}:
            connection.execute(table.delete())


@pytest.fixture
def other(backend: Backend, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Backend]:
    """An empty registry in a database of the other kind."""
    if backend.is_postgresql:
        import shutil

        shutil.copyfile(request.getfixturevalue("sqlite_tables"), tmp_path / "other.db")
        engine: Any = sqlite_engine("sync-sqlite", tmp_path / "other.db")
    else:
        engine = postgresql_engine("sync-postgresql", request.getfixturevalue("cleared_postgresql"))
    yield Backend("sync-sqlite" if backend.is_postgresql else "sync-postgresql", engine)
    engine.dispose()


async def exported(backend: Backend, **options: Any) -> bytes:
    """Return an export."""
    file = io.BytesIO()
    async with backend.begin() as models:
        await models.export_models(to=file, with_deleted=True, **options)
    return file.getvalue()


def changed(export: bytes, change: Callable[[list[dict[str, Any]]], object]) -> bytes:
    """Return an export that says something else, with a last line that fits."""
    lines = [json.loads(line) for line in export.splitlines()][:-1]
    change(lines)
    text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    end = {"kind": "end", "lines": len(lines), "sha256": hashlib.sha256(text).hexdigest()}
    return text + json.dumps(end, separators=(",", ":")).encode() + b"\n"


def the(lines: list[dict[str, Any]], kind: str, **values: object) -> dict[str, Any]:
    """Return the first line of a kind with these values."""
    return next(line for line in lines if line["kind"] == kind and values.items() <= line.items())


@asynccontextmanager
async def refused(backend: Backend, kind: type[Exception], **named: Any) -> AsyncIterator[Any]:
    """Expect an import to be refused, to leave nothing, and to leave the transaction usable."""
    before = await rows(backend)
    async with backend.begin() as models:
        with pytest.raises(kind) as raised:
            yield models
        await models.create_model(CreateModel(name=f"after-{uuid4()}"))
        await models.delete_model((await models.list_models(after="after-"))[0].id)
        await models.purge_model(
            (await models.search_models(Field.name.startswith("after-"), deleted=True)).items[0].id
        )
    after = await rows(backend)
    after["kamiwaza_model_event"] = [row for row in after["kamiwaza_model_event"] if "model.purged" not in row]
    assert after == before
    for key, value in named.items():
        assert getattr(raised.value, key) == value


async def test_all_that_is_known_arrives_as_it_was_and_can_be_found(backend: Backend) -> None:
    async with backend.begin() as models:
        world = await populate(models)
    before, export = await rows(backend), await exported(backend)
    await empty(backend)
    async with backend.begin() as models:
        result = await models.import_models(io.BytesIO(export))
        assert result == ImportSchema(created=3, versions=5)
    assert await rows(backend) == before
    assert await exported(backend) == export
    async with backend.begin() as models:
        assert await models.get_model(world.model.id) == world.model
        assert (await models.resolve("m@production")) == world.second
        assert [model.name for model in (await models.search_models(text="ada")).items] == ["m"]
        assert [one.name for one in (await models.search_models(text="buried", deleted=True)).items] == ["gone"]
        assert (await models.rollback_alias(world.model.id, "production")).id == world.first.id
        await models.update_model(world.model.id, UpdateModel(author="Bertha"))
        assert [model.name for model in (await models.search_models(text="bertha")).items] == ["m"]
        assert (await models.create_version(world.model.id, CreateVersion(files=files("n")))).number == 5


async def test_what_crosses_to_the_other_database_and_back_is_the_same(backend: Backend, other: Backend) -> None:
    async with backend.begin() as models:
        world = await populate(models)
        numbers: Any = {  # Any: JSON
            "large": 1e300,
            "edge": 2.0**60,
            "half": 0.5,
            "text": 'ü\u2028\\"',
            "deep": {"a": [None, True, -0.0]},
        }
        await models.update_model(world.other.id, UpdateModel(name="Ü/模", attributes=numbers, private=True))
        await models.create_version(world.other.id, CreateVersion(files=files("x"), details={"numbers": numbers}))
    export = await exported(backend)
    async with other.begin() as models:
        await models.import_models(io.BytesIO(export))
    assert await exported(other) == export
    await empty(backend)
    async with backend.begin() as models:
        await models.import_models(io.BytesIO(await exported(other)))
    assert await exported(backend) == export


async def test_a_filter_chooses_the_models_and_deleted_ones_are_asked_for(backend: Backend, tmp_path: Path) -> None:
    async with backend.begin() as models:
        await populate(models)
        written = await models.export_models(Field.name == "other", to=tmp_path / "one.jsonl")
        assert written == ExportSchema(models=1, versions=0, files=0, size=(tmp_path / "one.jsonl").stat().st_size)
        assert (await models.export_models(to=tmp_path / "all.jsonl")).models == 2
        assert (await models.export_models(to=tmp_path / "all.jsonl", with_deleted=True)).models == 3
        with pytest.raises(InvalidInputException, match="must be a Filter"):
            await models.export_models("other", to=tmp_path / "x")  # type: ignore[arg-type]  # what is tested
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == ["all.jsonl", "one.jsonl"]


async def test_an_export_reads_one_moment_whatever_is_committed_while_it_is_written(backend: Backend) -> None:
    if not backend.is_postgresql:
        pytest.skip("on SQLite the writer would wait for the reader, or the reader sees its snapshot")
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        await models.create_version(model.id, CreateVersion(files=files("a")))

    class Writing(io.BytesIO):
        def write(self, data: Any, /) -> int:
            engine = create_engine(_url(backend))
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE kamiwaza_model_version SET version = 'changed'")
            engine.dispose()
            return super().write(data)

    file = Writing()
    async with backend.begin() as models:
        await models.export_models(to=file)
    assert b"changed" not in file.getvalue()


def _url(backend: Backend) -> str:
    engine = backend.engine.sync_engine if isinstance(backend.engine, AsyncEngine) else backend.engine
    return engine.url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


async def test_another_namespace_of_another_database_takes_it_and_one_of_the_same_has_its_ids(
    backend: Backend, other: Backend
) -> None:
    async with backend.begin() as models:
        await populate(models)
    export = await exported(backend)
    async with other.begin("tenant") as models:
        await models.import_models(io.BytesIO(export))
        assert (await models.resolve("m@production")).namespace == "tenant"
        assert [model.name for model in (await models.search_models(text="ada")).items] == ["m"]
    async with other.begin() as models:
        assert await models.count_models() == 0
    async with backend.begin("tenant") as models:
        with pytest.raises(ImportException, match="another one has here"):
            await models.import_models(io.BytesIO(export), on_conflict="update")
        assert await models.count_models() == 0


@pytest.mark.parametrize("end", [0, 1, -1, -2, -60, -200])
async def test_a_file_that_was_cut_changes_nothing_and_the_error_says_where(backend: Backend, end: int) -> None:
    async with backend.begin() as models:
        await populate(models)
    export = (await exported(backend))[:end]
    await empty(backend)
    async with refused(backend, ExportFileException, line=export.count(b"\n") + 1) as models:
        await models.import_models(io.BytesIO(export))


@pytest.mark.parametrize("backend", ["sync-sqlite", "async-postgresql"], indirect=True)
async def test_a_changed_byte_is_noticed_wherever_it_is(backend: Backend) -> None:
    async with backend.begin() as models:
        await populate(models)
    export = await exported(backend)
    await empty(backend)
    async with backend.begin() as models:
        for place in range(3, len(export), len(export) // 60):
            damaged = bytearray(export)
            damaged[place] ^= 1
            with pytest.raises(ExportFileException) as raised:
                await models.import_models(io.BytesIO(bytes(damaged)))
            assert 1 <= raised.value.line <= export.count(b"\n") + 1
        assert await models.count_models() == 0


def _newer(lines: list[dict[str, Any]]) -> None:
    lines[0] |= {"version": 2, "anything": {}}


async def test_a_newer_format_is_refused_by_its_version(backend: Backend) -> None:
    async with backend.begin() as models:
        await populate(models)
    export = changed(await exported(backend), _newer)
    async with refused(backend, ExportTooNewException, version=2, known=1) as models:
        await models.import_models(io.BytesIO(export), on_conflict="skip")


DAMAGE: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "no header": lambda lines: lines.pop(0),
    "a model twice": lambda lines: lines.insert(2, lines[1]),
    "no model": lambda lines: lines.pop(1),
    "a file gone": lambda lines: lines.remove(the(lines, "file")),
    "another digest": lambda lines: the(lines, "file").update(sha256="ef" * 32),
    "a path outwards": lambda lines: the(lines, "file").update(path="../x"),
    "an unknown field": lambda lines: the(lines, "version").update(more=1),
    "an unknown kind": lambda lines: lines.append({"kind": "more"}),
    "an unknown status": lambda lines: the(lines, "version").update(status="perfect"),
    "ready without files": lambda lines: the(lines, "version", status="draft").update(status="ready"),
    "numbers turned": lambda lines: the(lines, "version", number=2).update(number=1),
    "a number over the last": lambda lines: the(lines, "version", number=4).update(number=9),
    "events turned": lambda lines: the(lines, "event", sequence=2).update(sequence=1),
    "a NUL": lambda lines: the(lines, "model").update(description="a\0b"),
    "a name with dots alone": lambda lines: the(lines, "model", name="m").update(name="m/.."),
}


@pytest.mark.parametrize("backend", ["sync-sqlite", "async-postgresql"], indirect=True)
@pytest.mark.parametrize("name", DAMAGE)
async def test_what_no_registry_would_write_is_refused_with_its_line(backend: Backend, name: str) -> None:
    async with backend.begin() as models:
        await populate(models)
    export = changed(await exported(backend), DAMAGE[name])
    await empty(backend)
    async with refused(backend, ExportFileException) as models:
        await models.import_models(io.BytesIO(export))


def _lead_astray(lines: list[dict[str, Any]]) -> None:
    the(lines, "alias", alias="production", number=2)["version_id"] = the(lines, "version", version="label")["id"]


def _lead_to_a_draft(lines: list[dict[str, Any]]) -> None:
    draft = the(lines, "version", status="draft")
    next(line for line in lines if line["kind"] == "alias" and line["number"] == 2).update(
        version_id=draft["id"], number=draft["number"]
    )


def _make_a_circle(lines: list[dict[str, Any]]) -> None:
    first, second = the(lines, "version", version="one"), the(lines, "version", version="2")
    first["derived_from"] = [{"version_id": second["id"], "relation": "merged"}]


def _same_id(lines: list[dict[str, Any]]) -> None:
    the(lines, "model", name="other")["id"] = the(lines, "model", name="m")["id"]


@pytest.mark.parametrize("change", [_lead_astray, _lead_to_a_draft, _make_a_circle, _same_id])
async def test_what_contradicts_itself_is_refused(backend: Backend, change: Callable[..., None]) -> None:
    async with backend.begin() as models:
        await populate(models)
    export = changed(await exported(backend), change)
    await empty(backend)
    async with refused(backend, ImportException) as models:
        await models.import_models(io.BytesIO(export))


async def test_a_conflict_is_raised_or_skipped_and_names_line_and_model(backend: Backend) -> None:
    async with backend.begin() as models:
        await populate(models)
    export = await exported(backend)
    async with refused(backend, ImportException, line=2, model="gone") as models:
        await models.import_models(io.BytesIO(export))
    before = await rows(backend)
    async with backend.begin() as models:
        assert await models.import_models(io.BytesIO(export), on_conflict="skip") == ImportSchema(skipped=3)
        assert await models.import_models(io.BytesIO(export), on_conflict="update") == ImportSchema(skipped=3)
        with pytest.raises(InvalidInputException, match="raise, skip, update"):
            await models.import_models(io.BytesIO(export), on_conflict="replace")  # type: ignore[arg-type]  # as above
    assert await rows(backend) == before


async def _grow(models: AsyncModelService, world: World) -> None:
    """Do in one registry what another is to learn."""
    await models.update_model(world.model.id, UpdateModel(task="new", license="mit"))
    await models.set_model_tag(world.model.id, "size", "small")
    parent = (CreateParent(version_id=world.second.id, relation="quantized"),)
    third = await models.create_version(world.model.id, CreateVersion(files=files("t"), derived_from=parent))
    await models.set_alias(third.id, "production")
    await models.set_alias(third.id, "canary")
    await models.create_config(CreateModelConfig(name="slow", is_default=False), model_id=world.model.id)


async def test_an_update_adds_what_is_missing_and_moves_no_alias(backend: Backend, other: Backend) -> None:
    async with backend.begin() as models:
        world = await populate(models)
    async with other.begin() as models:
        await models.import_models(io.BytesIO(await exported(backend)))
    async with backend.begin() as models:
        await _grow(models, world)
        there = await models.get_model(world.model.id)
        newest = (await models.resolve("m@canary")).id
    async with other.begin() as models:
        result = await models.import_models(io.BytesIO(await exported(backend)), on_conflict="update")
        assert result == ImportSchema(updated=1, skipped=2, versions=1, aliases_kept=1)
        here = await models.get_model(world.model.id)
        assert (here.task, here.license, here.tags) == (there.task, there.license, there.tags)
        assert (await models.resolve("m@canary")).id == newest
        assert (await models.resolve("m@production")).id == world.second.id
        assert (await models.resolve("m:5")).derived_from[0].version_id == world.second.id
        assert {config.name for config in await models.list_configs(model_id=here.id)} == {"usual", "fast", "slow"}
        events = (await models.list_events(here.id, limit=1000)).items
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert {event.kind for event in events[-5:]} == {
            *("model.updated", "tag.set", "version.created", "alias.set", "config.created")
        }
        again = await models.import_models(io.BytesIO(await exported(backend)), on_conflict="update")
        assert again == ImportSchema(skipped=3, aliases_kept=1)


async def test_an_update_refuses_what_is_another_model_or_another_version_by_the_same_name(
    backend: Backend, other: Backend
) -> None:
    async with backend.begin() as models:
        world = await populate(models)
    export = await exported(backend)
    async with other.begin() as models:
        mine = await models.create_model(CreateModel(name="m"))
    async with refused(other, ImportException, model="m") as models:
        await models.import_models(io.BytesIO(export), on_conflict="update")
    async with other.begin() as models:
        await models.delete_model(mine.id)
        await models.purge_model(mine.id)
        await models.import_models(io.BytesIO(export))
        await models.create_version(world.model.id, CreateVersion(files=files("p")))
    async with backend.begin() as models:
        await _grow(models, world)
    async with other.begin() as models:
        with pytest.raises(ImportException) as raised:
            await models.import_models(io.BytesIO(await exported(backend)), on_conflict="update")
        assert isinstance(raised.value.__cause__, VersionAlreadyExistsException)
        assert (await models.get_model(world.model.id)).task == "old"


async def test_a_deleted_model_keeps_its_name_and_can_be_restored_where_it_arrives(
    backend: Backend, other: Backend
) -> None:
    async with backend.begin() as models:
        world = await populate(models)
    async with other.begin() as models:
        await models.import_models(io.BytesIO(await exported(backend)))
        with pytest.raises(ModelNotFoundException):
            await models.get_model(world.gone.id)
        assert (await models.restore_model(world.gone.id)).aliases == {"production": 1}
        await models.delete_model(world.model.id)
        with pytest.raises(ImportException) as raised:
            await models.import_models(io.BytesIO(await exported(backend)), on_conflict="update")
        assert isinstance(raised.value.__cause__, ModelAlreadyExistsException)
        await models.purge_model(world.model.id)  # a back-up brings it back, and its history goes on behind that
        assert (await models.import_models(io.BytesIO(await exported(backend)), on_conflict="skip")).created == 1
        for number in range(30):
            await models.set_model_tag(world.model.id, "n", str(number))


async def test_a_parent_that_is_nowhere_is_counted(backend: Backend, other: Backend) -> None:
    async with backend.begin() as models:
        base, made = [await models.create_model(CreateModel(name=name)) for name in ("base", "made")]
        parent = await models.create_version(base.id, CreateVersion(files=files("b")))
        parents = (CreateParent(version_id=parent.id, relation="fine-tuned"),)
        child = await models.create_version(made.id, CreateVersion(files=files("m"), derived_from=parents))
    alone = await exported(backend, where=Field.name == "made")
    async with other.begin() as models:
        assert (await models.import_models(io.BytesIO(alone))).parents_missing == 1
        assert (await models.get_version(child.id)).derived_from == ()
        assert (await models.import_models(io.BytesIO(await exported(backend)), on_conflict="skip")).created == 1


PICKLE = b"cos\nsystem\n(S'true'\ntR."


async def test_what_failed_stays_failed_with_its_verdict(
    backend: Backend, other: Backend, hub: HubService, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/weights.pkl").write_bytes(PICKLE)
    fetched = await hub.fetch(tmp_path / "bad")
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(fetched, policy=Policy(worst_pickle="safe"))
        await db.commit()
    assert failed.status == "failed"
    async with other.begin() as models:
        await models.import_models(io.BytesIO(await exported(backend)))
        here = await models.get_version(failed.id)
        assert (here.status, here.details) == ("failed", failed.details)
        with pytest.raises(PolicyViolationException):
            await models.set_alias(failed.id, "production")
        with pytest.raises(PolicyViolationException):
            await models.register(fetched, name="again")


async def test_files_that_failed_here_do_not_arrive_as_ready_and_what_fails_there_fails_here(
    backend: Backend, other: Backend, hub: HubService, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/weights.pkl").write_bytes(PICKLE)
    fetched = await hub.fetch(tmp_path / "bad")
    file = fetched.files[0]
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="free"))
        version = CreateVersion(files=(CreateFile(path=file.path, size=file.size, sha256=file.sha256),))
        ready = await models.create_version(model.id, version)
    async with other.session() as db:
        models = other.service(db, hub=hub)
        await models.register(fetched, name="bad", policy=Policy(worst_pickle="safe"))
        await db.commit()
    async with refused(other, ImportException, model="free") as models:
        await models.import_models(io.BytesIO(await exported(backend)))
    async with other.begin() as models:
        bad = (await models.search_versions()).items[0]
        await models.delete_version(bad.id)
        await models.import_models(io.BytesIO(await exported(backend)))
        assert (await models.get_version(ready.id)).status == "ready"
    async with backend.begin() as models:
        await models.update_version(ready.id, UpdateVersion(status="failed"))
    async with other.begin() as models:
        result = await models.import_models(io.BytesIO(await exported(backend)), on_conflict="update")
        assert result.updated == 1
        assert (await models.get_version(ready.id)).status == "failed"


async def test_a_ready_version_and_a_failed_one_of_the_same_files_arrive_together(
    backend: Backend, other: Backend, hub: HubService, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/weights.pkl").write_bytes(PICKLE)
    fetched = await hub.fetch(tmp_path / "bad")
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        await models.register(fetched, policy=Policy(worst_pickle="safe"))
        assert (await models.register(fetched, force=True)).status == "ready"
        await db.commit()
    async with other.begin() as models:
        assert (await models.import_models(io.BytesIO(await exported(backend)))).versions == 2


async def test_a_store_is_looked_into_where_it_is_given(backend: Backend, storage: StorageService) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        await models.create_version(model.id, CreateVersion(files=files("a")))
    export = await exported(backend)
    await empty(backend)
    async with refused(backend, ImportException, model="m") as models:
        await models.import_models(io.BytesIO(export), storage=storage)
    async with backend.begin() as models:
        with pytest.raises(ImportException) as raised:
            await models.import_models(io.BytesIO(export), storage=storage)
        assert isinstance(raised.value.__cause__, BlobNotFoundException)
        assert (await models.import_models(io.BytesIO(export))).created == 1


async def test_paths_files_and_compressed_files_are_taken_and_others_refused(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    async with backend.begin() as models:
        await populate(models)
        with gzip.open(tmp_path / "models.jsonl.gz", "wb") as packed:
            await models.export_models(to=packed)
        await models.export_models(to=str(path))
        with gzip.open(tmp_path / "models.jsonl.gz", "rb") as packed:
            assert (await models.import_models(packed, on_conflict="skip")).skipped == 2
        assert (await models.import_models(path, on_conflict="skip")).skipped == 2
        places: list[Any] = [tmp_path / "none/models.jsonl", tmp_path, io.StringIO(), 7]
        for bad in places:
            with pytest.raises(InvalidInputException):
                await models.import_models(bad)
            with pytest.raises(InvalidInputException):
                await models.export_models(to=bad)
        assert sorted(path.name for path in tmp_path.glob("*models*")) == ["models.jsonl", "models.jsonl.gz"]


#: How many models are exported beside a large one: to trace the memory of each takes long.
COUNT = effort(600, 3000)


@pytest.mark.parametrize("backend", ["sync-sqlite", "async-postgresql"], indirect=True)
async def test_ten_thousand_files_in_a_version_and_many_models_need_bounded_memory(
    backend: Backend, tmp_path: Path
) -> None:
    many = tuple(
        CreateFile(path=f"shard-{number:05}.bin", size=1, sha256=f"{number:064x}", url=f"https://example.org/{number}")
        for number in range(10_000)
    )
    async with backend.begin() as models:
        await models.create_models(CreateModel(name=f"m{n:05}", description="x" * 2000) for n in range(COUNT))
        model = await models.get_model_by_name("m00001")
        version = await models.create_version(model.id, CreateVersion(files=many))
    async with backend.begin() as models:
        tracemalloc.start()
        written = await models.export_models(to=tmp_path / "models.jsonl")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (written.models, written.files) == (COUNT, 10_000)
    assert peak < 2**24
    await empty(backend)
    async with backend.begin() as models:
        tracemalloc.start()
        await models.import_models(tmp_path / "models.jsonl")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert await models.get_version(version.id) == version
    assert peak < 2**26
