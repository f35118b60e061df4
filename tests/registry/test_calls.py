"""Each call of a registry, in both colours, on both databases."""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import numpy
import pytest
from safetensors.numpy import save_file
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.asyncio import create_async_engine as create_stock_async_engine
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    AliasNotFoundException,
    AsyncModelService,
    AsyncRegistry,
    CreateModel,
    HubService,
    InUseException,
    InvalidInputException,
    ModelNotFoundException,
    OpenTransactionException,
    Policy,
    PolicyViolationException,
    Registry,
    RegistryTimeoutException,
    RegistryUnavailableException,
    StorageConfig,
    StorageService,
    VersionNotFoundException,
    create_async_engine,
    setup_database,
)
from tests.backends import Awaited
from tests.serving import Server


async def test_three_lines_fetch_register_alias_and_lay_out(registry: AsyncRegistry, server: Server) -> None:
    url = server.add("/m/model.onnx", body=b"weights")
    version = await registry.pull(url, name="org/tiny", alias="production")
    path = await registry.materialize("org/tiny@production")
    assert (version.model_name, version.number, version.status, version.aliases) == (
        "org/tiny",
        1,
        "ready",
        ("production",),
    )
    assert (path / "model.onnx").read_bytes() == b"weights"
    assert path == registry.storage.root / "views" / version.digest
    assert (path / "model.onnx").stat().st_mode & 0o222 == 0
    assert await registry.pull(url, name="org/tiny", alias="production") == version


async def test_a_version_is_named_by_itself_its_id_or_a_reference(registry: AsyncRegistry, trained: Path) -> None:
    version = await registry.register(trained, name="tiny", version="v1", alias="best", tags={"f1": "0.9"})
    for name in (version, version.id, "tiny", "tiny:1", "tiny:v1", "tiny@best"):
        assert await registry.get(name) == version
    assert [one.id for one in await registry.versions(version)] == [version.id]
    assert version.tags == {"f1": "0.9"}
    assert (await registry.fetch("tiny@best")).digest == version.digest
    assert (await registry.plan("tiny@best")).size == version.size
    for wrong, error in (
        ("other", ModelNotFoundException),
        ("tiny:2", VersionNotFoundException),
        ("tiny@no", AliasNotFoundException),
        (3, InvalidInputException),
    ):
        with pytest.raises(error):
            await registry.get(wrong)  # type: ignore[arg-type]  # the mistake under test


async def test_an_alias_moves_with_the_registration_or_neither_happens(registry: AsyncRegistry, trained: Path) -> None:
    await registry.register(trained, name="tiny", alias="production")
    (trained / "more.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(PolicyViolationException):
        await registry.register(trained, name="tiny", alias="production", policy=Policy(worst_pickle="safe"))
    assert [version.number for version in await registry.versions("tiny")] == [1]
    assert (await registry.get("tiny@production")).number == 1


async def test_aliases_tags_and_versions_are_changed_and_deleted(registry: AsyncRegistry, trained: Path) -> None:
    await registry.register(trained, name="tiny", alias="production")
    (trained / "more.txt").write_text("more")
    await registry.register(trained, name="tiny", alias="production")
    assert (await registry.rollback("tiny@production")).number == 1
    assert (await registry.set_alias("tiny:2", "staging")).aliases == ("staging",)
    assert (await registry.tag("tiny:2", {"a": "1", "b": "2"})).tags == {"a": "1", "b": "2"}
    assert (await registry.tag("tiny:2", {"a": None, "c": None})).tags == {"b": "2"}
    with pytest.raises(InUseException):
        await registry.delete("tiny:1")
    with pytest.raises(InvalidInputException, match="has no alias"):
        await registry.rollback("tiny:1")
    await registry.delete("tiny")
    assert await registry.list() == []
    events = await registry.events(descending=True)
    assert (events.items[0].kind, events.items[0].actor) == ("model.deleted", "tests")


async def test_what_the_store_lacks_is_brought_and_what_a_view_has_wrong_is_mended(
    registry: AsyncRegistry, server: Server
) -> None:
    url = server.add("/m/model.onnx", body=b"weights")
    version = await registry.pull(url, name="tiny")
    registry.storage.path(version.files[0].sha256).unlink()
    path = await registry.materialize("tiny")
    file = path / "model.onnx"
    assert file.read_bytes() == b"weights"
    file.unlink()
    file.write_bytes(b"altered")
    assert (await registry.materialize("tiny") / "model.onnx").read_bytes() == b"weights"
    with pytest.raises(InvalidInputException, match="view in the store is read-only"):
        await registry.materialize("tiny", writable=True)


async def test_a_directory_of_ones_own_can_be_edited(registry: AsyncRegistry, trained: Path, tmp_path: Path) -> None:
    await registry.register(trained, name="tiny")
    path = await registry.materialize("tiny", tmp_path / "out", writable=True)
    (path / "config.json").write_text("{}")
    assert path == tmp_path / "out"


async def test_a_diff_says_which_files_keys_facts_and_tags_are_different(
    registry: AsyncRegistry, trained: Path
) -> None:
    await registry.register(trained, name="tiny", tags={"f1": "0.9"})
    (trained / "config.json").write_text('{"model_type": "bert", "hidden_size": 128, "rope": {"theta": 1.5}}')
    (trained / "model.onnx").write_bytes(b"Weights")
    (trained / "vocab.txt").write_text("a")
    await registry.register(trained, name="tiny", tags={"f1": "0.95"})
    diff = await registry.diff("tiny:1", "tiny:2")
    assert [(file.path, file.kind, file.same_size) for file in diff.files] == [
        ("config.json", "changed", False),
        ("model.onnx", "changed", True),
        ("vocab.txt", "added", False),
    ]
    changes = [(change.key, change.kind, change.before, change.after) for change in diff.config["config.json"]]
    assert changes == [("hidden_size", "changed", 64, 128), ("rope.theta", "added", None, 1.5)]
    assert [str(tag) for tag in diff.tags] == ["f1: 0.9 → 0.95"]
    assert "other bytes, of the same size, 7" in str(diff)
    assert (await registry.diff("tiny:1", "tiny:1")).identical


async def test_a_configuration_that_cannot_be_compared_says_why(registry: AsyncRegistry, trained: Path) -> None:
    await registry.register(trained, name="tiny")
    (trained / "config.json").write_text("no JSON")
    await registry.register(trained, name="tiny", force=True)
    assert "not compared" in (await registry.diff("tiny:1", "tiny:2")).config_problems["config.json"]


@asynccontextmanager
async def transaction(registry: AsyncRegistry) -> AsyncIterator[AsyncModelService]:
    """Open a transaction of either colour; the synchronous one behind methods that are awaited."""
    if isinstance(registry, AsyncRegistry):
        async with registry.transaction() as models:
            yield models
    else:
        with registry._target.transaction() as plain:  # the Registry behind it
            yield cast("AsyncModelService", Awaited(plain))  # cast: as the registry


async def fail_after_creating(registry: AsyncRegistry, name: str) -> None:
    async with transaction(registry) as models:
        await models.create_model(CreateModel(name=name))
        raise ZeroDivisionError


async def test_a_transaction_is_committed_whole_or_not_at_all(registry: AsyncRegistry) -> None:
    async with transaction(registry) as models:
        await models.create_model(CreateModel(name="kept"))
        with pytest.raises(OpenTransactionException, match=r"list\(\)"):
            await registry.list()
    with pytest.raises(ZeroDivisionError):
        await fail_after_creating(registry, "lost")
    assert [model.name for model in await registry.list()] == ["kept"]


async def test_a_transfer_that_takes_too_long_is_given_up(registry: AsyncRegistry, server: Server) -> None:
    url = server.add("/m/model.onnx", body=bytes(10), stall_after=5)
    with pytest.raises(RegistryTimeoutException, match=r"pull\(\) took over 0\.2 s") as given_up:
        await registry.pull(url, name="tiny", timeout=0.2)
    assert isinstance(given_up.value, TimeoutError)
    assert (given_up.value.operation, given_up.value.seconds, await registry.list()) == ("pull()", 0.2, [])
    for wrong in (0, -1, True, "5", float("nan")):
        with pytest.raises(InvalidInputException, match="number of seconds"):
            await registry.pull(url, timeout=wrong)  # type: ignore[arg-type]  # the mistake under test


async def test_a_closed_registry_refuses_calls(registry: AsyncRegistry) -> None:
    await registry.list()
    await registry.close()
    with pytest.raises(RegistryUnavailableException, match=r"list\(\): the registry is closed"):
        await registry.list()


async def test_an_address_is_for_pull_and_a_bad_name_is_refused_before_anything_travels(
    registry: AsyncRegistry, server: Server
) -> None:
    url = server.add("/m/model.onnx", body=b"weights")
    with pytest.raises(InvalidInputException, match=r"pull\(\) takes that"):
        await registry.register(url)
    for arguments in ({"name": "../x"}, {"version": "7"}, {"alias": "latest"}):
        with pytest.raises(InvalidInputException):
            await registry.pull(url, **arguments)  # type: ignore[arg-type]  # names, as above
    assert server.requests == []


def test_what_is_no_engine_is_refused_with_the_way_out(tmp_path: Path) -> None:
    engine, async_engine = create_engine("sqlite:///x.db"), create_async_engine("sqlite:///x.db")
    wrong = [
        (Registry, async_engine, "AsyncRegistry takes that"),
        (AsyncRegistry, engine, "Registry takes that"),
        (Registry, Session(engine), "ModelService"),
        (AsyncRegistry, AsyncSession(async_engine), "ModelService"),
        (Registry, tmp_path, "postgresql://"),
        (Registry, create_engine("sqlite://"), r"Registry\('sqlite://'\)"),
    ]
    for kind, given, way_out in wrong:
        with pytest.raises(InvalidInputException, match=way_out):
            kind(given)  # type: ignore[arg-type]  # the mistake under test
    other = StorageService(StorageConfig(root=tmp_path))
    with pytest.raises(InvalidInputException, match="another store"):
        Registry(engine, storage=other, hub=HubService())


async def test_an_engine_that_was_handed_in_stays_open(backend: object, trained: Path) -> None:
    engine = backend.engine  # type: ignore[attr-defined]  # a Backend
    kind = AsyncRegistry if isinstance(engine, AsyncEngine) else Registry
    registry = kind(engine) if kind is AsyncRegistry else Awaited(Registry(engine))
    assert (await registry.register(trained, name="tiny")).number == 1
    await registry.close()
    again = kind(engine) if kind is AsyncRegistry else Awaited(Registry(engine))
    assert [model.name for model in await again.list()] == ["tiny"]


def test_both_colours_have_the_same_methods_and_signatures() -> None:
    def methods(kind: type) -> dict[str, object]:
        return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_") and name != "transaction"}

    plain, coroutine = methods(Registry), methods(AsyncRegistry)
    assert sorted(plain) == sorted(coroutine)
    for name, method in plain.items():
        if callable(method):
            assert inspect.iscoroutinefunction(coroutine[name])
            assert inspect.signature(method) == inspect.signature(coroutine[name])  # type: ignore[arg-type]  # a method


def test_who_may_only_read_needs_no_right_to_set_up(tmp_path: Path, sqlite_tables: Path) -> None:
    (tmp_path / "read-only.db").write_bytes(sqlite_tables.read_bytes())
    engine = create_engine(f"sqlite:///file:{tmp_path}/read-only.db?mode=ro&uri=true")
    assert Registry(engine).list() == []


async def test_stock_engines_are_set_up_once(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    setup_database(engine)
    assert Registry(engine).list() == []
    async_engine = create_stock_async_engine(f"sqlite+aiosqlite:///{tmp_path}/y.db")
    assert await AsyncRegistry(async_engine).list() == []
    await async_engine.dispose()


async def test_the_store_is_verified_pruned_and_counted(registry: AsyncRegistry, trained: Path, url: str) -> None:
    version = await registry.register(trained, name="tiny")
    assert (await registry.usage()).blobs == 2
    if url == "sqlite://":
        with pytest.raises(InvalidInputException, match="memory"):
            await registry.verify()
        return
    assert (await registry.verify(read=True)).problems == ()
    registry.storage.path(version.files[0].sha256).unlink()
    report = await registry.verify()
    assert [one.sha256 for one in report.problems] == [version.files[0].sha256]
    assert (await registry.repair(report)).brought == (version.files[0].sha256,)
    await registry.delete(version)
    plan = await registry.plan_cleanup(unused_for=timedelta(0))
    assert len(plan.blobs) == 2
    done = await registry.prune(plan)
    assert done.removed.blobs + done.pending.blobs == 2


def _weights(path: Path, **shapes: tuple[int, ...]) -> None:
    save_file({name: numpy.zeros(shape, dtype=numpy.float32) for name, shape in shapes.items()}, path)


async def test_a_diff_says_which_tensors_are_different_in_whatever_file(registry: AsyncRegistry, trained: Path) -> None:
    _weights(trained / "model.safetensors", same=(2, 2), larger=(2, 4), gone=(1,))
    await registry.register(trained, name="tiny")
    _weights(trained / "model-1.safetensors", same=(2, 2), larger=(4, 4))
    _weights(trained / "model-2.safetensors", new=(3,))
    (trained / "model.safetensors").unlink()
    second = await registry.register(trained, name="tiny", force=True)
    diff = await registry.diff("tiny:1", second)
    assert [str(change) for change in diff.tensors] == [
        "gone: F32 1, removed",
        "larger: F32 2 x 4 → F32 4 x 4",
        "new: F32 3, new",
    ]
    registry.storage.path(next(file.sha256 for file in second.files if file.path == "model-2.safetensors")).unlink()
    diff = await registry.diff("tiny:1", "tiny:2")
    assert (diff.tensors, "not compared" in diff.config_problems["model-2.safetensors"]) == ((), True)


async def test_a_relative_path_is_kept_in_full(
    registry: AsyncRegistry, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(trained)
    monkeypatch.chdir(trained.parent)
    assert (await registry.register(trained.name, name="tiny")).source == str(trained)
    assert (await registry.plan(f"./{trained.name}")).source == str(trained)
    monkeypatch.chdir(tmp_path / "elsewhere")
    version = await registry.register("link", name="linked")
    assert version.source == str(tmp_path / "elsewhere" / "link")
    climbing = f"link/../{trained.name}"  # what is above the link is above its target, not above its name
    assert (await registry.plan(climbing)).source == str(Path.cwd() / climbing)
