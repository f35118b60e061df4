"""A verdict cannot be walked around: what failed becomes ready by force only, and the history tells."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import (
    AsyncModelService,
    CreateFile,
    CreateModel,
    CreateVersion,
    Fetched,
    FetchedFile,
    HubService,
    InvalidInputException,
    ModelVersionSchema,
    Policy,
    PolicyViolationException,
    StorageService,
    UpdateVersion,
    VersionFailedException,
)
from kamiwaza_sdk.types import FileFaultSchema
from tests.backends import Backend
from tests.hub.models import safetensors_model

WEIGHTS = safetensors_model(embedding=("BF16", [64, 64]))
HARM = b"cos\nsystem\n(S'true'\ntR."
POLICY = Policy(formats=("safetensors",), worst_pickle="safe")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 4976698672\n"


@pytest.fixture
def source(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Make a directory of these files."""

    def make(files: dict[str, bytes]) -> Path:
        root = tmp_path / "model"
        root.mkdir()
        for name, content in files.items():
            (root / name).write_bytes(content)
        return root

    return make


def said(version: ModelVersionSchema) -> Any:  # Any: JSON
    """Return the verdict that is kept with a version."""
    return version.details.get("policy")


def of(version: ModelVersionSchema, *, prefix: str = "") -> tuple[CreateFile, ...]:
    """Return the files of a version, under other names where there is a prefix."""
    return tuple(CreateFile(path=prefix + file.path, size=file.size, sha256=file.sha256) for file in version.files)


async def told(models: AsyncModelService, version: ModelVersionSchema) -> list[Any]:  # Any: JSON
    """Return the verdicts that the history of a version tells of, as they were written."""
    events = (await models.list_events(version.model_id)).items
    details: list[Any] = [event.after.get("details") for event in events if event.version_id == version.id]  # Any: JSON
    return [one["policy"] for one in details if one and "policy" in one]


@pytest.mark.parametrize("prefix", ["", "renamed-"])
async def test_files_that_failed_become_ready_by_no_other_way_than_force(
    backend: Backend, hub: HubService, source: Callable[..., Path], prefix: str
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM, "notes.txt": b"Two files."}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub, actor="ada")
        failed = await models.register(fetched, name="failed", policy=POLICY)
        other = await models.create_model(CreateModel(name="other"))
        files = of(failed, prefix=prefix)
        with pytest.raises(PolicyViolationException, match="'failed:1' is against the policy") as refused:
            await models.create_version(other.id, CreateVersion(files=files))
        assert [one.rule for one in refused.value.violations] == ["formats", "worst_pickle"]
        draft = await models.create_version(other.id, CreateVersion(status="draft"))
        with pytest.raises(PolicyViolationException):
            await models.update_version(draft.id, UpdateVersion(files=files, status="ready"))
        await models.update_version(draft.id, UpdateVersion(files=files))
        with pytest.raises(PolicyViolationException):
            await models.update_version(draft.id, UpdateVersion(status="ready"))
        with pytest.raises(PolicyViolationException):
            await models.register(fetched, name="third")
        ready = await models.update_version(draft.id, UpdateVersion(status="ready"), force=True)
        created = await models.create_version(other.id, CreateVersion(files=files), force=True)
        registered = await models.register(fetched, name="third", force=True)
        for version in (ready, created, registered):
            assert (version.status, said(version)["forced"]) == ("ready", True)
            assert said(version)["violations"] == said(failed)["violations"]
            assert await told(models, version) == [said(version)]
        # A copy takes along what was forced.
        target = await models.create_model(CreateModel(name="copies"))
        assert said(await models.copy_version(created.id, target.id)) == said(created)


async def test_other_namespaces_and_other_files_of_the_version_are_free(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM, "notes.txt": b"Two files."}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(fetched, policy=POLICY)
        innocent = tuple(file for file in of(failed) if file.path == "notes.txt")
        other = await models.create_model(CreateModel(name="other"))
        assert (await models.create_version(other.id, CreateVersion(files=innocent))).status == "ready"
        elsewhere = backend.service(db, hub=hub, namespace="elsewhere")
        assert (await elsewhere.register(fetched)).status == "ready"


async def test_a_verdict_about_the_whole_holds_for_all_that_have_its_files(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(source({"model.safetensors": WEIGHTS, "notes.txt": b"No licence."}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(fetched, policy=Policy(licenses=("mit",)))
        other = await models.create_model(CreateModel(name="other"))
        more = CreateFile(path="more.txt", size=1, sha256="cd" * 32)
        for files in (of(failed), of(failed, prefix="a/"), (*of(failed), more)):
            with pytest.raises(PolicyViolationException, match="licenses"):
                await models.create_version(other.id, CreateVersion(files=files))
        part = CreateVersion(files=tuple(file for file in of(failed) if file.path == "notes.txt"))
        assert (await models.create_version(other.id, part)).status == "ready"


async def test_what_was_ready_before_is_not_copied_or_taken_back_once_its_files_failed(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        before = await models.register(fetched, name="before")
        with pytest.raises(PolicyViolationException, match="ready already"):
            await models.register(fetched, name="before", policy=POLICY)
        await models.update_version(before.id, UpdateVersion(status="archived"))
        failed = await models.register(fetched, name="before", policy=POLICY)
        assert failed.status == "failed"
        with pytest.raises(PolicyViolationException, match="before:2"):
            await models.update_version(before.id, UpdateVersion(status="ready"))
        again = await models.update_version(before.id, UpdateVersion(status="ready"), force=True)
        assert (said(again)["forced"], await told(models, again)) == (True, [said(again)])


async def test_copying_what_has_no_verdict_of_its_own_asks_whether_its_files_failed(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        ready = await models.register(fetched, name="early")
        await models.register(fetched, name="late", policy=POLICY)
        target = await models.create_model(CreateModel(name="copies"))
        with pytest.raises(PolicyViolationException, match="late:1"):
            await models.copy_version(ready.id, target.id)
        copied = await models.copy_version(ready.id, target.id, force=True)
        assert said(copied)["forced"] is True
        # One that a policy accepts has a verdict of its own.
        passed = await models.register(fetched, name="passed", policy=Policy(worst_pickle="dangerous"))
        assert (passed.status, said(passed)) == ("ready", {"passed": True, "violations": []})


async def test_the_later_verdict_counts_also_for_what_a_policy_accepted_before(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM}))
    mild = Policy(worst_pickle="dangerous")
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        passed = await models.register(fetched, name="m", policy=mild)
        await models.update_version(passed.id, UpdateVersion(status="archived"))
        failed = await models.register(fetched, name="m", policy=POLICY)
        target = await models.create_model(CreateModel(name="copies"))
        with pytest.raises(PolicyViolationException, match="'m:2' is against"):
            await models.update_version(passed.id, UpdateVersion(status="ready"))
        again = await models.update_version(passed.id, UpdateVersion(status="ready"), force=True)
        assert said(again) == {**said(failed), "forced": True}
        with pytest.raises(PolicyViolationException, match="'m:2' is against"):
            await models.copy_version(passed.id, target.id)
        assert said(await models.copy_version(passed.id, target.id, force=True)) == said(again)
        # Accepted once more, since then: that one may be copied, archived and taken back.
        accepted = await models.register(fetched, name="later", policy=mild)
        third = await models.create_model(CreateModel(name="third"))
        assert said(await models.copy_version(accepted.id, third.id))["passed"] is True
        await models.update_version(accepted.id, UpdateVersion(status="archived"))
        assert (await models.update_version(accepted.id, UpdateVersion(status="ready"))).status == "ready"


async def test_a_deleted_version_holds_nobody_to_its_verdict_and_the_history_keeps_that(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(fetched, name="m", policy=POLICY)
        await models.delete_version(failed.id)
        assert (await models.register(fetched, name="m")).status == "ready"
        events = (await models.list_events(failed.model_id)).items
        (deleted,) = [event for event in events if event.kind == "version.deleted"]
        assert (deleted.before["status"], deleted.before["details"]) == ("failed", {"policy": said(failed)})


async def test_a_deleted_models_verdict_still_holds(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(fetched, name="failed", policy=POLICY)
        await models.delete_model(failed.model_id)
        with pytest.raises(PolicyViolationException, match="failed:1"):
            await models.register(fetched, name="other")


async def test_nobody_but_registration_writes_a_verdict(
    backend: Backend, hub: HubService, source: Callable[..., Path]
) -> None:
    passed: dict[str, Any] = {"policy": {"passed": True, "violations": []}}  # Any: JSON
    file = CreateFile(path="a.bin", size=1, sha256="ab" * 32)
    with pytest.raises(InvalidInputException, match="details have the key 'policy'.* leave it out"):
        CreateVersion(files=(file,), details=passed)
    unchecked = CreateVersion(files=(file,)).model_copy(update={"details": passed})
    fetched = await hub.fetch(source({"weights.bin": HARM}))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        model = await models.create_model(CreateModel(name="m"))
        with pytest.raises(InvalidInputException, match="'policy'"):
            await models.create_version(model.id, unchecked)
        forged = fetched.model_copy(update={"details": fetched.details | passed})
        for policy in (None, POLICY):
            with pytest.raises(InvalidInputException, match="'policy'"):
                await models.register(forged, policy=policy)
        assert await models.list_versions(model.id) == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"model.safetensors": POINTER}, "pointer to 4,976,698,672 bytes"),
        ({"pytorch_model.bin": b"<!DOCTYPE html><html><body>Sign in</body></html>"}, "HTML page"),
        ({"config.json": b'{"error": "Repository not found"}'}, "error"),
    ],
)
async def test_what_is_not_the_model_is_not_ready_unless_forced(
    backend: Backend, hub: HubService, source: Callable[..., Path], files: dict[str, bytes], reason: str
) -> None:
    fetched = await hub.fetch(source(files))
    forged = fetched.model_copy(update={"faults": ()})  # the bytes tell
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(forged, name="m")
        assert (failed.status, said(failed)["passed"]) == ("failed", False)
        assert [(one["rule"], one["path"]) for one in said(failed)["violations"]] == [
            ("content", name) for name in files
        ]
        assert reason in said(failed)["violations"][0]["reason"]
        assert await models.register(fetched, name="m") == failed
        with pytest.raises(PolicyViolationException, match=r"\(content\)"):
            await models.set_alias(failed.id, "production")
        strict = await models.register(fetched, name="strict", policy=Policy(max_size=10**6))
        assert [one["rule"] for one in said(strict)["violations"]] == ["content"]
        forced = await models.register(fetched, name="forced", force=True)
        assert (forced.status, said(forced)["forced"]) == ("ready", True)
        assert await told(models, forced) == [said(forced)]
        assert await models.register(fetched, name="forced") == forced


async def test_what_another_machine_says_of_bytes_that_are_not_here_counts(backend: Backend, hub: HubService) -> None:
    fault = FileFaultSchema(path="model.safetensors", kind="git_lfs_pointer", reason="is a pointer to 9 bytes")
    fetched = Fetched(
        source="/m",
        name="m",
        files=(FetchedFile(path="model.safetensors", size=130, sha256="ab" * 32),),
        bytes_fetched=130,
        bytes_reused=0,
        faults=(fault,),
    )
    async with backend.session() as db:
        assert (await backend.service(db, hub=hub).register(fetched)).status == "failed"


@pytest.mark.parametrize("backend", ["sync-sqlite"], indirect=True)
async def test_a_failed_version_is_laid_out_by_force_only(
    backend: Backend, hub: HubService, storage: StorageService, source: Callable[..., Path], tmp_path: Path
) -> None:
    fetched = await hub.fetch(source({"weights.bin": HARM}))
    async with backend.session() as db:
        version = await backend.service(db, hub=hub).register(fetched, name="m", policy=POLICY)
        place = tmp_path / "laid-out"
        with pytest.raises(
            VersionFailedException, match=r"'m:1' failed: .*weights.bin is pickle.*force=True"
        ) as refused:
            await asyncio.to_thread(storage.materialize, version, place)
        assert refused.value.version == "m:1"
        assert not place.exists()
        await asyncio.to_thread(storage.materialize, version, place, force=True)
        assert (place / "weights.bin").read_bytes() == HARM
