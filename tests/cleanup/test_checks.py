"""A store and its registries are compared both ways, and what is wrong is brought again where it can be."""

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    CreateFile,
    CreateModel,
    CreateVersion,
    DatabaseNotAskedException,
    InvalidInputException,
    ModelVersionSchema,
    StorageConfig,
    StorageService,
    repair,
    verify_all,
)
from kamiwaza_sdk.services.model.store import check
from kamiwaza_sdk.types import CheckProgressSchema, StorageReportSchema
from tests.cleanup.helpers import Registry


def checked(registry: Registry, *engines: Engine, **how: Any) -> StorageReportSchema:  # Any: as verify_all takes it
    return verify_all(registry.storage, databases=[registry.engine, *engines], **how)


def damage(registry: Registry, version: ModelVersionSchema) -> None:
    """Change a byte as a disk would: the time stays."""
    path = registry.storage.path(version.files[0].sha256)
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"X" * status.st_size)
    path.chmod(0o444)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_sound_store_has_no_problems_and_is_held_by_its_namespaces(registry: Registry) -> None:
    registry.pull(b"shared", "one")
    registry.pull(b"alone!!", "other")
    registry.fetch(b"nobody's")
    with Session(registry.engine) as db, db.begin():
        from kamiwaza_sdk import ModelService

        ModelService(db, namespace="team", hub=registry.hub).register(registry.fetch(b"shared"), name="m")
    report = checked(registry)
    assert report.is_sound
    assert (report.blobs.blobs, report.referenced.blobs, report.unreferenced.bytes) == (3, 2, 8)
    assert [(one.namespace, one.held.bytes, one.alone.bytes) for one in report.usage] == [
        ("default", 13, 7),
        ("team", 6, 0),
    ]
    assert StorageReportSchema.model_validate_json(report.model_dump_json()) == report
    assert "held by nothing: 8 B" in str(report)
    assert "held by nothing" in report._repr_html_()


def test_what_is_missing_suspect_or_of_another_size_is_found_without_reading(registry: Registry) -> None:
    missing, suspect = registry.pull(b"missing", "missing"), registry.pull(b"suspect", "suspect")
    registry.storage.path(missing.files[0].sha256).unlink()
    path = registry.storage.path(suspect.files[0].sha256)
    path.chmod(0o644)
    path.write_bytes(b"changed")
    other = registry.fetch(b"content").files[0]
    with Session(registry.engine) as db, db.begin():
        model = registry.models(db).create_model(CreateModel(name="size"))
        file = CreateFile(path="x", size=5, sha256=other.sha256)
        registry.models(db).create_version(model.id, CreateVersion(files=(file,)))
    report = checked(registry)
    found = {str(one.held_by[0]): (one.problem, one.size) for one in report.problems}
    assert found == {
        "default/missing:1": ("missing", 7),
        "default/suspect:1": ("suspect", 7),
        "default/size:1": ("of another size", 5),
    }
    assert path.read_bytes() == b"changed"  # nothing was changed
    assert [one.sha256 for one in report.problems] == sorted(one.sha256 for one in report.problems)


@pytest.mark.parametrize("workers", [1, 4])
def test_what_a_disk_has_damaged_is_found_by_reading(registry: Registry, workers: int) -> None:
    for number in range(20):
        registry.pull(b"%d" % number, f"model-{number}")
    damaged = registry.pull(b"damaged")
    damage(registry, damaged)
    assert checked(registry, workers=workers).is_sound
    (problem,) = checked(registry, read=True, workers=workers).problems
    assert (problem.sha256, problem.problem) == (damaged.files[0].sha256, "damaged")


def test_what_a_clean_up_has_set_aside_is_not_missing(registry: Registry) -> None:
    from kamiwaza_sdk.services.storage import trash

    version = registry.pull(b"content")
    assert trash.Filling(registry.storage.root).set_aside(version.files[0].sha256)
    report = checked(registry)
    assert (report.is_sound, report.trash.files) == (True, 1)


def test_progress_is_told_after_each_part(registry: Registry) -> None:
    registry.pull(b"content")
    said = list[CheckProgressSchema]()
    checked(registry, progress=said.append)
    assert [one.parts for one in said] == list(range(1, 257))
    assert (said[-1].blobs, said[-1].bytes) == (1, 7)


def test_a_check_that_was_interrupted_goes_on_and_reads_nothing_twice(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [registry.pull(b"%d" % number, f"model-{number}") for number in range(20)]
    damage(registry, versions[0])
    looked, look = list[str](), check._Checking.look

    def noting(self: check._Checking, prefix: str) -> dict[str, Any]:
        looked.append(prefix)
        return look(self, prefix)

    def stop(progress: CheckProgressSchema) -> None:
        if progress.parts == 100:
            raise KeyboardInterrupt

    monkeypatch.setattr(check._Checking, "look", noting)
    with pytest.raises(KeyboardInterrupt):
        checked(registry, read=True, resume="nightly", progress=stop)
    notes = registry.storage.root / "checks/nightly.jsonl"
    notes.write_text(notes.read_text() + '{"prefix": "63", "co')  # a line that was torn
    first = list(looked)
    report = checked(registry, read=True, resume="nightly")
    assert len(first) == 100
    assert looked == [f"{number:02x}" for number in range(256)]
    assert report == checked(registry, read=True).model_copy(update={"made_at": report.made_at})
    assert not notes.exists()


def test_notes_of_another_question_are_of_no_use(registry: Registry) -> None:
    version = registry.pull(b"content")
    notes = registry.storage.root / "checks/nightly.jsonl"
    notes.parent.mkdir()
    question = {"read": False, "databases": ["x"]}
    notes.write_text("\n".join(map(json.dumps, [question, *({"prefix": f"{n:02x}"} for n in range(256))])))
    damage(registry, version)
    assert len(checked(registry, read=True, resume="nightly").problems) == 1


@pytest.mark.parametrize(
    "how", [{"workers": 0}, {"workers": 65}, {"workers": "2"}, {"resume": "../x"}, {"resume": ""}, {"resume": 3}]
)
def test_arguments_of_a_wrong_kind_are_refused(other: Engine, tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputException, match=next(iter(how))):
        checked(Registry(other, tmp_path / "store"), **how)


def test_a_database_that_is_not_asked_is_named(registry: Registry, other: Engine) -> None:
    Registry(other, registry.storage.root).pull(b"content")
    with pytest.raises(DatabaseNotAskedException):
        checked(registry)
    assert checked(registry, other).is_sound


def test_an_asynchronous_engine_serves_as_well(registry: Registry, asynchronous: AsyncEngine) -> None:
    version = registry.pull(b"content")
    registry.storage.path(version.files[0].sha256).unlink()
    report = verify_all(registry.storage, databases=[asynchronous], workers=2)
    assert [one.problem for one in report.problems] == ["missing"]


def test_what_is_missing_or_damaged_is_brought_again_and_what_cannot_be_had_is_named(
    registry: Registry, tmp_path: Path
) -> None:
    contents = {name: f"content of {name}".encode() for name in ("missing", "damaged", "suspect", "gone", "right")}
    versions = dict[str, ModelVersionSchema]()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        versions[name] = registry.register(asyncio.run(registry.hub.fetch(tmp_path / name)), name)
    places = {name: registry.storage.path(version.files[0].sha256) for name, version in versions.items()}
    for name in ("missing", "gone"):
        places[name].unlink()
    (tmp_path / "gone").unlink()
    damage(registry, versions["damaged"])
    for name in ("suspect", "right"):
        places[name].chmod(0o644)
        places[name].write_bytes(b"other" if name == "suspect" else contents[name])
    report = checked(registry, read=False)
    damaged = [one for one in checked(registry, read=True).problems if one.problem == "damaged"]
    report = report.model_copy(update={"problems": (*report.problems, *damaged)})
    result = asyncio.run(repair(report, registry.storage, databases=[registry.engine], hub=registry.hub))
    digests = {name: version.files[0].sha256 for name, version in versions.items()}
    assert set(result.brought) == {digests[name] for name in ("missing", "damaged", "suspect")}
    assert digests["right"] in result.sound
    (failed,) = result.failed
    assert (failed.sha256, [str(holder) for holder in failed.held_by]) == (digests["gone"], ["default/gone:1"])
    assert failed.reason in str(failed)
    for name in ("missing", "damaged", "suspect", "right"):
        assert places[name].read_bytes() == contents[name]
    kept = {path.read_bytes() for path in (registry.storage.root / "quarantine").iterdir()}
    assert kept == {b"other", b"X" * len(contents["damaged"])}


@pytest.mark.parametrize("is_damaged", [False, True], ids=["missing", "damaged"])
def test_what_its_source_lacks_by_now_is_brought_from_a_tier(
    registry: Registry, tmp_path: Path, *, is_damaged: bool
) -> None:
    (tmp_path / "model").write_bytes(b"content")
    version = registry.register(asyncio.run(registry.hub.fetch(tmp_path / "model")), "model")
    disk = StorageService(StorageConfig(root=tmp_path / "disk"))
    disk.add(tmp_path / "model")
    (tmp_path / "model").unlink()
    path = registry.storage.path(version.files[0].sha256)
    if is_damaged:
        damage(registry, version)
    else:
        path.unlink()
    report = checked(registry, read=True)
    storage = StorageService(StorageConfig(root=registry.storage.root, tiers=(str(disk.root),)))
    result = asyncio.run(repair(report, storage, databases=[registry.engine]))
    assert (result.brought, result.failed, result.bytes_fetched) == ((version.files[0].sha256,), (), 0)
    assert path.read_bytes() == b"content"
    assert checked(registry, read=True).is_sound


def test_what_no_version_refers_to_cannot_be_had_and_is_kept_in_quarantine(registry: Registry) -> None:
    digest = registry.fetch(b"nobody's").files[0].sha256
    path = registry.storage.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"changed")
    report = checked(registry)
    result = asyncio.run(repair(report, registry.storage, databases=[registry.engine]))
    assert ["no version refers to it" in one.reason for one in result.failed] == [True]
    (kept,) = (registry.storage.root / "quarantine").iterdir()
    assert kept.read_bytes() == b"changed"


def test_a_wrong_size_in_a_registry_is_told_and_the_blob_stays(registry: Registry) -> None:
    digest = registry.fetch(b"content").files[0].sha256
    with Session(registry.engine) as db, db.begin():
        model = registry.models(db).create_model(CreateModel(name="size"))
        file = CreateFile(path="x", size=5, sha256=digest)
        registry.models(db).create_version(model.id, CreateVersion(files=(file,)))
    result = asyncio.run(repair(checked(registry), registry.storage, databases=[registry.engine]))
    assert ["size" in one.reason for one in result.failed] == [True]
    assert hashlib.sha256(registry.storage.path(digest).read_bytes()).hexdigest() == digest


def test_a_report_of_another_store_is_refused(registry: Registry, tmp_path: Path) -> None:
    elsewhere = Registry(registry.engine, tmp_path / "elsewhere")
    with pytest.raises(InvalidInputException, match="is of the store at"):
        asyncio.run(repair(checked(elsewhere), registry.storage, databases=[registry.engine]))
