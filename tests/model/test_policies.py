"""Policies: checked on what is announced and on the bytes; a verdict stays with its version, and holds."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import (
    Fetched,
    FetchedFile,
    HubConfig,
    HubService,
    InvalidInputException,
    ModelEventSchema,
    ModelVersionSchema,
    Policy,
    PolicyViolationException,
    StorageService,
    UpdateVersion,
    VersionStatusException,
)
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.backends import Backend
from tests.hub.models import CONFIG, safetensors_model

WEIGHTS = safetensors_model(embedding=("BF16", [64, 64]))
HARM = b"cos\nsystem\n(S'true'\ntR."
POLICY = Policy(formats=("safetensors",), worst_pickle="safe")


def verdict(version: ModelVersionSchema) -> Any:  # Any: JSON
    """Return what a policy said of a version."""
    return version.details["policy"]


def _after(event: ModelEventSchema) -> Any:  # Any: JSON
    """Return what a policy said of a version, as an event tells."""
    details: Any = event.after["details"]
    return details["policy"]


@pytest.fixture
def directory(tmp_path: Path) -> Callable[..., Path]:
    """Make a directory of these files."""

    def make(**files: bytes) -> Path:
        root = tmp_path / "model"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            (root / name.replace("__", ".")).write_bytes(content)
        return root

    return make


async def test_a_version_that_fails_keeps_its_verdict_and_is_not_what_its_name_leads_to(
    backend: Backend, hub: HubService, directory: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(directory(model__safetensors=WEIGHTS, weights__bin=HARM))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        version = await models.register(fetched, policy=POLICY)
        assert (version.status, verdict(version)["passed"]) == ("failed", False)
        said = [(one["rule"], one["path"]) for one in verdict(version)["violations"]]
        assert said == [("formats", "weights.bin"), ("worst_pickle", "weights.bin")]
        for take in (models.set_alias, models.create_alias):
            with pytest.raises(PolicyViolationException) as refused:
                await take(version.id, "production")
            assert [one.rule for one in refused.value.violations] == ["formats", "worst_pickle"]
        with pytest.raises(PolicyViolationException, match=r"weights.bin is pickle \(formats\)"):
            await models.update_version(version.id, UpdateVersion(status="ready"))
        assert await models.register(fetched, policy=POLICY) == version
        with pytest.raises(PolicyViolationException):
            await models.register(fetched)
        await db.commit()
        assert [one.number for one in await models.list_versions(version.model_id)] == [1]


async def test_force_makes_it_ready_and_the_history_tells(
    backend: Backend, hub: HubService, directory: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(directory(weights__bin=HARM))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(fetched, policy=POLICY)
        ready = await models.update_version(
            failed.id, UpdateVersion(status="ready", attributes={"mine": 1}), force=True
        )
        assert (ready.status, ready.attributes["mine"], verdict(ready)["forced"]) == ("ready", 1, True)
        assert (await models.set_alias(ready.id, "production")).aliases == ("production",)
        events = [
            event for event in (await models.list_events(ready.model_id)).items if event.kind == "version.updated"
        ]
        assert [(event.before["status"], event.after["status"]) for event in events] == [("failed", "ready")]
        assert _after(events[0])["forced"] is True
        assert (await models.register(fetched)).id == ready.id
        with pytest.raises(PolicyViolationException, match="ready already"):
            await models.register(fetched, policy=POLICY)


async def test_a_verdict_cannot_be_cleared(backend: Backend, hub: HubService, directory: Callable[..., Path]) -> None:
    fetched = await hub.fetch(directory(weights__bin=HARM))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        failed = await models.register(fetched, policy=POLICY)
        forged: tuple[dict[str, Any], ...] = ({}, {"policy": {"passed": True, "violations": []}})  # Any: JSON
        for attributes in forged:
            changed = await models.update_version(failed.id, UpdateVersion(attributes=attributes))
            assert verdict(changed) == verdict(failed)
        with pytest.raises(PolicyViolationException):
            await models.update_version(failed.id, UpdateVersion(status="ready"))


async def test_force_is_for_policies_only(backend: Backend, hub: HubService, directory: Callable[..., Path]) -> None:
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        version = await models.register(await hub.fetch(directory(model__safetensors=WEIGHTS)), policy=POLICY)
        assert verdict(version) == {"passed": True, "violations": []}
        await models.update_version(version.id, UpdateVersion(status="failed"))
        with pytest.raises(VersionStatusException):
            await models.update_version(version.id, UpdateVersion(status="ready"), force=True)


async def test_a_forced_registration_is_ready_and_says_so(
    backend: Backend, hub: HubService, directory: Callable[..., Path]
) -> None:
    fetched = await hub.fetch(directory(weights__bin=HARM))
    async with backend.session() as db:
        models = backend.service(db, hub=hub, actor="ada")
        version = await models.register(fetched, policy=POLICY, force=True)
        assert (version.status, verdict(version)["forced"]) == ("ready", True)
        events = (await models.list_events(version.model_id)).items
        created = next(event for event in events if event.kind == "version.created")
        assert (created.actor, _after(created)["forced"]) == ("ada", True)


@pytest.mark.parametrize("name", ["model.safetensors", "notes.txt", "README.md", "config.json"])
async def test_a_pickle_is_found_whatever_it_is_called(
    backend: Backend, hub: HubService, directory: Callable[..., Path], name: str
) -> None:
    harm = b"\x80\x04cos\nsystem\n(S'true'\ntR."
    fetched = await hub.fetch(directory(**{name.replace(".", "__"): harm}))
    async with backend.session() as db:
        version = await backend.service(db, hub=hub).register(fetched, policy=POLICY)
        said = [(one["rule"], one["path"]) for one in verdict(version)["violations"]]
        assert said == [("formats", name), ("worst_pickle", name)]


async def test_what_is_called_a_pickle_and_is_none_does_not_pass(
    hub: HubService, directory: Callable[..., Path]
) -> None:
    plan = await hub.plan(directory(model__pkl=b"\x80\x04\xff"), policy=Policy(worst_pickle="dangerous"))
    (violation,) = plan.violations
    assert (violation.rule, violation.path) == ("worst_pickle", "model.pkl")
    assert "cannot be checked: model.pkl (pickle)" in violation.reason
    assert "is none" in violation.reason


async def test_what_cannot_be_looked_at_does_not_pass(
    backend: Backend, hub: HubService, directory: Callable[..., Path]
) -> None:
    elsewhere = Fetched(
        source="/m",
        name="m",
        files=(FetchedFile(path="a.bin", size=1, sha256="ab" * 32),),
        bytes_fetched=1,
        bytes_reused=0,
    )
    malformed = await hub.fetch(directory(model__safetensors=b"\xff" * 100))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        for fetched, reason in ((elsewhere, "not in this store"), (malformed, "cannot be checked")):
            version = await models.register(fetched, policy=POLICY)
            assert version.status == "failed"
            assert reason in str(verdict(version))
        with pytest.raises(InvalidInputException, match="Fetched"):
            await models.register(42, policy=POLICY)  # type: ignore[arg-type]  # what is tested
        with pytest.raises(InvalidInputException, match="policy"):
            await models.register(elsewhere, policy={})  # type: ignore[arg-type]  # what is tested


@pytest.fixture
def hf() -> Iterator[HuggingFaceServer]:
    """A hub with a model that has a harmful file, and more than one thing against it."""
    with HuggingFaceServer() as server:
        files = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "pytorch_model.bin": HARM}
        server.add_repository("org/tiny", files, license="other")
        yield server


async def test_what_is_announced_is_refused_before_it_travels_and_fetched_by_force(
    backend: Backend, hf: HuggingFaceServer, storage: StorageService
) -> None:
    config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=hf.endpoint))
    hub = HubService(storage=storage, config=config)
    strict = Policy(
        formats=("safetensors",), licenses=("mit",), worst_pickle="safe", sources=("hf://other/",), max_size=9
    )
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        with pytest.raises(PolicyViolationException) as refused:
            await models.pull_model("hf://org/tiny", policy=strict)
        rules = {(one.rule, one.path) for one in refused.value.violations}
        file = "pytorch_model.bin"
        assert rules == {
            ("formats", file),
            ("worst_pickle", file),
            ("licenses", None),
            ("sources", None),
            ("max_size", None),
        }
        assert not (storage.root / "blobs").exists()
        assert await models.list_models() == []
        await db.rollback()
        plan = await hub.plan("hf://org/tiny", policy=strict)
        forced = await models.pull_model(plan, policy=strict, force=True)
        assert (forced.status, verdict(forced)["forced"]) == ("ready", True)
        await db.commit()
        fine = Policy(formats=("safetensors",), worst_pickle="safe", sources=("127.0.0.1",), needs_digests=True)
        version = await models.pull_model("hf://org/tiny", ignore="*.bin", policy=fine)
        assert (version.status, verdict(version)) == ("ready", {"passed": True, "violations": []})
        assert version.details | {"policy": None, "layout": None} == {
            "format": "safetensors",
            "architecture": "LlamaForCausalLM",
            "parameters": {"BF16": 4096},
            "stored_elements": 4096,
            "context_length": 4096,
            "layout": None,
            "policy": None,
        }
        assert (version.format, version.parameters) == ("safetensors", 4096)


def _fetched(source: str, **known: str) -> Fetched:
    return Fetched(source=source, name="m", files=(), bytes_fetched=0, bytes_reused=0, hub=known.get("hub"))


@pytest.mark.parametrize(
    ("source", "allowed", "passes"),
    [
        ("hf://org/m@abc", "hf://org/", True),
        ("hf://org/m@abc", "hf://org/m", True),
        ("hf://org/m@abc", "hf://org", True),
        ("hf://organisation/m@abc", "hf://org", False),
        ("hf://org/m@abc", "huggingface.co", True),
        ("https://example.org/a/m", "https://example.org", True),
        ("https://example.org.evil.com/a", "https://example.org", False),
        ("https://example.org/a/../../b", "https://example.org/a/", False),
        ("https://example.org/a/%2e%2e/b", "https://example.org/a/", False),
        ("https://example.org/a and 1 more", "https://example.org/", False),
        ("https://example.org/a and 1 more", "example.org", False),
        ("https://hub.example.org/a", "*.example.org", True),
        ("https://example.com/example.org", "example.org", False),
        ("https://[example.org", "example.org", False),
        ("https://example.org\u2100/a", "*.org", False),
        ("/srv/models/m", "/srv/models/", True),
        ("/srv/models/../m", "/srv/models/", False),
        ("/srv/models/m", "localhost", True),
    ],
)
async def test_sources_are_beginnings_up_to_a_boundary_or_hosts(
    hub: HubService, source: str, allowed: str, passes: bool
) -> None:
    from kamiwaza_sdk.services.hub.policy import check_fetched

    known = {"hub": "huggingface"} if source.startswith("hf:") else {}
    said = await asyncio.to_thread(check_fetched, _fetched(source, **known), Policy(sources=(allowed,)), hub.storage)
    assert [one.rule for one in said] == ([] if passes else ["sources"])
