"""The fake hub: it looks like the real one, and shows what it was asked."""

import asyncio
import hashlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    BlobSchema,
    ChecksumMismatchException,
    DownloadTimeoutException,
    HubService,
    InvalidInputException,
    InvalidPathException,
    InvalidSourceException,
    ModelService,
    ModelTooLargeException,
    NothingFitsException,
    NotInCacheException,
    Policy,
    PolicyViolationException,
    ServiceConfig,
    StorageService,
)
from kamiwaza_sdk.testing import FakeHub, HubCall
from tests.loops import Held

if TYPE_CHECKING:
    from kamiwaza_sdk.types import DownloadProgress

URL = "https://user:secret@example.org/m.bin?token=secret"
DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize("name", [name for name in vars(HubService) if not name.startswith("_")])
def test_it_is_asked_like_the_real_one(name: str) -> None:
    assert inspect.signature(getattr(FakeHub, name)) == inspect.signature(getattr(HubService, name))


async def test_patterns_choose_and_are_noted() -> None:
    hub = FakeHub({"a.json": b"{}", "b/model.bin": b"weights"})
    fetched = await hub.fetch("hf://org/m", allow="*.json")
    assert ([file.path for file in fetched.files], hub.calls[0].allow) == (["a.json"], "*.json")
    with pytest.raises(InvalidSourceException):
        await hub.fetch("hf://org/m", ignore=["*"])


async def test_it_tells_beforehand_what_it_brings() -> None:
    hub = FakeHub({"a.json": b"{}", "model.bin": b"weights"}, name="tiny")
    manifest = await hub.resolve("hf://org/m", sha256={"model.bin": DIGEST}, ignore="*.json")
    assert [(file.path, file.size, file.sha256) for file in manifest.files] == [("model.bin", 7, DIGEST)]
    assert (await hub.fetch(manifest, ignore="*.json")).files[0].sha256 == DIGEST
    with pytest.raises(ChecksumMismatchException):
        await hub.resolve("hf://org/m", sha256={"model.bin": "0" * 64})
    hub.error = InvalidInputException("source", "is none")
    with pytest.raises(InvalidInputException):
        await hub.resolve("hf://org/m")


@pytest.mark.parametrize("method", ["fetch", "adopt"])
async def test_what_is_cancelled_keeps_nothing_any_more(
    storage: StorageService, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    held = Held()
    publish = storage.publish

    def slowly(path: Path, *, sha256: str, size: int) -> BlobSchema:
        held.wait()
        return publish(path, sha256=sha256, size=size)

    monkeypatch.setattr(storage, "publish", slowly)
    task = asyncio.create_task(getattr(FakeHub({"model.bin": b"weights"}, storage=storage), method)("ollama://tiny"))
    await held.cancel(task)
    assert list((storage.root / "staging").iterdir()) == []


async def test_a_registry_takes_it(mock_db: Session, fake_hub: FakeHub) -> None:
    models = ModelService(mock_db, hub=fake_hub, config=ServiceConfig(max_model_size=7))
    version = await models.pull_model(URL, sha256=f"sha256:{DIGEST.upper()}")
    assert (version.model_name, [file.path for file in version.files]) == ("fake", ["model.bin"])
    assert fake_hub.calls == [HubCall(URL, f"sha256:{DIGEST.upper()}", 7, progress=False)]


async def test_it_brings_what_it_was_given_and_shows_no_secrets() -> None:
    hub = FakeHub({"b/model.bin": b"weights", "a.json": b"{}"}, name="tiny")
    fetched = await hub.fetch(URL)
    assert [(file.path, file.size) for file in fetched.files] == [("a.json", 2), ("b/model.bin", 7)]
    assert (fetched.name, fetched.source) == ("tiny", "https://example.org/m.bin")
    assert (fetched.bytes_fetched, fetched.bytes_reused) == (9, 0)
    assert "secret" not in (await hub.fetch([URL, URL])).source


async def test_it_keeps_files_in_a_store(storage: StorageService, tmp_path: Path) -> None:
    hub = FakeHub({"model.bin": b"weights", "copy.bin": b"weights"}, storage=storage)
    laid_out = storage.materialize(await hub.fetch("anything"), tmp_path / "out")
    assert (laid_out / "copy.bin").read_bytes() == b"weights"
    assert storage.get(DIGEST).size == 7


@pytest.mark.parametrize("method", ["fetch", "adopt"])
async def test_it_keeps_no_file_that_the_patterns_leave_out(storage: StorageService, method: str) -> None:
    hub = FakeHub({"model.bin": b"weights", "notes.txt": b"notes"}, storage=storage)
    await getattr(hub, method)("hf://org/tiny", ignore="*.txt")
    assert storage.find(DIGEST) is not None
    assert storage.find(hashlib.sha256(b"notes").hexdigest()) is None


async def test_without_a_store_it_touches_none(tmp_path: Path) -> None:
    await FakeHub().fetch("anything")
    assert not (tmp_path / "data").exists()


async def test_it_refuses_as_the_real_one_does(fake_hub: FakeHub) -> None:
    with pytest.raises(ChecksumMismatchException):
        await fake_hub.fetch("x", sha256="0" * 64)
    with pytest.raises(ChecksumMismatchException):
        await fake_hub.fetch("x", sha256={"model.bin": "0" * 64})
    with pytest.raises(ModelTooLargeException):
        await fake_hub.fetch("x", max_size=6)
    with pytest.raises(InvalidInputException):
        await fake_hub.fetch("x", sha256={"other.bin": DIGEST})
    with pytest.raises(InvalidInputException):
        await FakeHub({"a": b"", "b": b""}).fetch("x", sha256=DIGEST)
    assert (await fake_hub.fetch("x", sha256={"model.bin": DIGEST}, max_size=7)).size == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_size", -1), ("max_size", "7"), ("sha256", 7), ("sha256", {"model.bin": 7}), ("progress", 7)],
)
async def test_it_refuses_arguments_of_a_wrong_kind_as_the_real_one_does(
    fake_hub: FakeHub, storage: StorageService, tmp_path: Path, field: str, value: Any
) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    for hub in (HubService(storage=storage), fake_hub):
        with pytest.raises(InvalidInputException, match=field):
            await hub.fetch(tmp_path / "model.bin", **{field: value})


@pytest.mark.parametrize("method", ["fetch", "adopt", "resolve", "plan"])
async def test_it_brings_only_what_a_model_can_be_as_the_real_one_does(method: str) -> None:
    with pytest.raises(InvalidSourceException, match="no files"):
        await getattr(FakeHub({}), method)("x")
    for twins in ({"a": b"", "A": b""}, {"a": b"", "a/b": b""}):
        with pytest.raises(InvalidPathException):
            await getattr(FakeHub(twins), method)("x")


async def test_no_progress_is_as_good_as_none(fake_hub: FakeHub) -> None:
    assert (await fake_hub.fetch("x", progress=None)).size == 7  # type: ignore[arg-type] # the real one takes it, too


async def test_it_fails_as_it_is_told_to(fake_hub: FakeHub) -> None:
    fake_hub.error = DownloadTimeoutException(url="x", seconds=1, received=0, setting="stall_timeout")
    with pytest.raises(DownloadTimeoutException):
        await fake_hub.fetch("x")
    assert len(fake_hub.calls) == 1


async def test_it_tells_a_function_of_each_file() -> None:
    seen: list[DownloadProgress] = []
    await FakeHub({"b": b"weights", "a": b"{}"}).fetch(URL, progress=seen.append)
    told = [(glance.path.name, glance.received, glance.total, glance.finished) for glance in seen]
    assert told == [("a", 0, 2, False), ("a", 2, 2, True), ("b", 0, 7, False), ("b", 7, 7, True)]
    assert {glance.url for glance in seen} == {"https://example.org/m.bin"}


async def test_it_plans_by_names_and_sizes_without_a_connection(storage: StorageService) -> None:
    hub = FakeHub({"model-Q8_0.gguf": bytes(20), "model-Q4_0.gguf": bytes(10), "README.md": b""}, storage=storage)
    plan = await hub.plan("hf://org/m", fits=15)
    assert (plan.choice, [file.path for file in plan.files]) == ("Q4_0", ["README.md", "model-Q4_0.gguf"])
    with pytest.raises(NothingFitsException):
        await hub.plan("hf://org/m", fits=5)
    assert (await hub.fetch(plan)).size == 30  # it brings what it has, whatever it is asked for


async def test_a_policy_is_asked_of_what_it_has(storage: StorageService, mock_db: Session) -> None:
    models = ModelService(mock_db, hub=FakeHub({"a.txt": b"text", "b.bin": b"\x80\x04N."}, storage=storage))
    policy = Policy(formats=("gguf",), needs_digests=True)
    with pytest.raises(PolicyViolationException) as refused:
        await models.pull_model("anything", policy=policy)
    assert [violation.path for violation in refused.value.violations] == ["b.bin"]
    forced = await models.pull_model("anything", policy=policy, force=True)
    assert forced.status == "ready"


async def test_a_plan_that_a_policy_speaks_against_is_refused_as_by_the_real_one(fake_hub: FakeHub) -> None:
    plan = await fake_hub.plan("anything", policy=Policy(formats=("gguf",)))
    assert plan.violations
    with pytest.raises(PolicyViolationException, match="plan.manifest"):
        await fake_hub.fetch(plan)
    assert (await fake_hub.fetch(plan.manifest)).size == 7


def search(hub: FakeHub, query: str | None = None, *, author: str | None = None, task: str | None = None) -> list[str]:
    async def names() -> list[str]:
        return [found.source async for found in hub.search(query, author=author, task=task)]

    return asyncio.run(names())


def test_its_model_is_found_by_words_and_author() -> None:
    hub = FakeHub(name="org/MiniLM-L6")
    for query in (None, "", "minilm", "l6 org", "org/minilm"):
        assert search(hub, query) == ["hf://org/MiniLM-L6"]
    assert search(hub, "minilm llama") == []
    assert (search(hub, author="org"), search(hub, author="other")) == (["hf://org/MiniLM-L6"], [])
    assert search(hub, "minilm", task="fill-mask") == ["hf://org/MiniLM-L6"]  # who knows?
    assert hub.calls[-1] == HubCall("", method="search", query="minilm", task="fill-mask")


async def test_a_search_is_refused_as_by_the_real_one_and_fails_as_it_is_told_to(fake_hub: FakeHub) -> None:
    with pytest.raises(InvalidInputException, match="limit"):
        await anext(fake_hub.search(limit=0))
    with pytest.raises(InvalidInputException, match="hub"):
        await anext(fake_hub.search(hub="nowhere"))
    found = await anext(fake_hub.search())
    assert (found.name, found.author, found.task) == ("fake", None, None)
    fake_hub.error = DownloadTimeoutException(url="x", seconds=1, received=0, setting="stall_timeout")
    with pytest.raises(DownloadTimeoutException):
        await anext(fake_hub.search())
    assert len(fake_hub.calls) == 4


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of ``huggingface_hub`` where it is looked for by default, with one file of a model."""
    cache = tmp_path / "huggingface" / "hub"
    repository, commit = cache / "models--org--tiny", "a" * 40
    for path, text in ((f"snapshots/{commit}/config.json", '{"of": "this user"}'), ("refs/main", commit)):
        (repository / path).parent.mkdir(parents=True)
        (repository / path).write_text(text)
    return cache


@pytest.mark.parametrize("given", [True, False])
async def test_it_adopts_what_it_has_and_looks_into_no_cache(cache: Path, given: bool) -> None:
    hub = FakeHub({"b.bin": b"weights", "a.json": b"{}"}, name="tiny")
    adopted = await hub.adopt("hf://org/tiny", cache=cache if given else None, ignore="*.json")
    assert [(file.path, file.sha256, file.by) for file in adopted.files] == [("b.bin", DIGEST, "copy")]
    assert (adopted.name, adopted.bytes_fetched, adopted.bytes_reused) == ("tiny", 0, 7)
    assert hub.calls == [HubCall("hf://org/tiny", ignore="*.json", method="adopt", cache=cache if given else None)]


async def test_a_registry_takes_what_it_adopts_and_a_store_has_it(
    mock_db: Session, storage: StorageService, tmp_path: Path
) -> None:
    hub = FakeHub({"model.bin": b"weights"}, storage=storage)
    version = ModelService(mock_db, hub=hub).register(await hub.adopt("hf://org/tiny"))
    assert (storage.materialize(version, tmp_path / "out") / "model.bin").read_bytes() == b"weights"


async def test_it_adopts_nothing_where_it_is_told_to_or_the_patterns_leave_none(fake_hub: FakeHub) -> None:
    with pytest.raises(InvalidSourceException):
        await fake_hub.adopt("hf://org/tiny", ignore="*")
    fake_hub.error = NotInCacheException(source="hf://org/tiny", cache="~/.cache", reason="there is none")
    with pytest.raises(NotInCacheException):
        await fake_hub.adopt("hf://org/tiny")
    assert len(fake_hub.calls) == 2


async def test_without_a_store_it_plans_without_this_users(tmp_path: Path) -> None:
    mine = StorageService()  # the default, which is in a directory of this test
    (tmp_path / "model.bin").write_bytes(b"weights")
    mine.add(tmp_path / "model.bin")
    assert mine.root.is_relative_to(tmp_path)
    assert [file.kept for file in (await FakeHub().plan("anything")).files] == [False]
    assert [file.kept for file in (await FakeHub(storage=mine).plan("anything")).files] == [True]
