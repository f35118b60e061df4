"""One content under many names travels once, is read once and costs once."""

import asyncio
import os
from pathlib import Path

import pytest

from kamiwaza_sdk import ChecksumMismatchException, Policy, inspect_directory
from kamiwaza_sdk.formats import inspection
from kamiwaza_sdk.formats.schemas import FormatSchema
from kamiwaza_sdk.formats.source import ByteSource, Reading
from kamiwaza_sdk.services.hub.policy import check_fetched
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.formats.hostile import write_hostile
from tests.formats.spending import spent_by
from tests.hub.conftest import Asking
from tests.hub.models import safetensors_model

NAMES = 10_000
MIB = 1024**2
MOST_MEMORY = 200 * MIB
#: Seconds.
LONGEST_WAIT = 0.05
_ATTEMPTS = 3
WEIGHTS = safetensors_model(norm=("F32", [64]))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files as they are looked into."""
    seen = list[str]()
    look = inspection._inspect

    def looked(source: ByteSource) -> Reading[FormatSchema]:
        seen.append(source.path)
        return look(source)

    monkeypatch.setattr(inspection, "_inspect", looked)
    return seen


def linked(folder: Path, data: bytes, names: int) -> Path:
    """Write one file, and give it more names."""
    folder.mkdir()
    (folder / "0.safetensors").write_bytes(data)
    for index in range(1, names):
        os.link(folder / "0.safetensors", folder / f"{index}.safetensors")
    return folder


async def test_a_digest_under_several_names_travels_once_and_counts_once(
    hf: HuggingFaceServer, asking: Asking, looks: list[str]
) -> None:
    hf.add_repository("org/x", {f"{index}/model.safetensors": WEIGHTS for index in range(8)})
    hub = await asking()
    plan = await hub.plan("hf://org/x")
    assert (plan.size, plan.bytes_to_fetch) == (8 * len(WEIGHTS), len(WEIGHTS))
    assert len(looks) == 1
    first, again = await hub.fetch(plan), await hub.fetch("hf://org/x")
    assert (first.size, first.bytes_fetched, first.bytes_reused) == (8 * len(WEIGHTS), len(WEIGHTS), 0)
    assert (again.bytes_fetched, again.bytes_reused) == (0, len(WEIGHTS))
    assert len(looks) in {2, 3}  # what a slow machine has read is kept beside the store
    assert (await hub.plan("hf://org/x")).bytes_kept == len(WEIGHTS)


async def test_the_id_of_a_git_blob_tells_one_content_too(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/x", {f"{index}/config.json": b"{}" for index in range(8)})
    fetched = await (await asking()).fetch("hf://org/x")
    assert (len(fetched.files), fetched.bytes_fetched) == (8, 2)


async def test_a_name_with_a_wrong_digest_is_refused_whatever_other_names_its_bytes_have(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hf.add_repository("org/x", {"a.safetensors": WEIGHTS, "b.safetensors": WEIGHTS})
    hub = await asking()
    manifest = await hub.resolve("hf://org/x")
    right, other = manifest.files
    wrong = other.model_copy(update={"sha256": "0" * 64})
    await hub.fetch(manifest.model_copy(update={"files": (right,)}))
    for files in ((right, wrong), (wrong, right)):
        with pytest.raises(ChecksumMismatchException) as caught:
            await hub.fetch(manifest.model_copy(update={"files": files}))
        assert (caught.value.expected, caught.value.actual) == ("0" * 64, right.sha256)
    fetched = await hub.fetch(manifest)
    assert (fetched.bytes_fetched, {file.sha256 for file in fetched.files}) == (0, {right.sha256})


async def test_hard_links_are_read_once_and_checked_once(tmp_path: Path, asking: Asking, looks: list[str]) -> None:
    folder = linked(tmp_path / "links", WEIGHTS, 20)
    hub = await asking()
    plan = await hub.plan(folder)
    assert (plan.size, plan.bytes_kept, plan.bytes_to_fetch) == (20 * len(WEIGHTS), len(WEIGHTS), 0)
    assert {file.same_as for file in plan.files} == {None, plan.files[0].path}
    looks.clear()
    fetched = await hub.fetch(folder)
    assert (len(fetched.files), fetched.bytes_reused) == (20, len(WEIGHTS))
    assert len(looks) == 1
    assert not await asyncio.to_thread(check_fetched, fetched, Policy(formats=("safetensors",)), hub.storage)
    assert len(looks) == 2
    details = await asyncio.to_thread(inspect_directory, folder)
    assert (len(details.layout.variants), details.parameters, len(looks)) == (20, None, 3)


async def test_a_name_that_makes_a_difference_is_looked_into_apart(
    tmp_path: Path, asking: Asking, looks: list[str]
) -> None:
    folder = linked(tmp_path / "links", WEIGHTS, 2)
    os.link(folder / "0.safetensors", folder / "model.pkl")
    plan = await (await asking()).plan(folder)
    assert {file.path: file.format for file in plan.files}["model.pkl"] == "safetensors"
    assert {Path(path).suffix for path in looks} == {".pkl", ".safetensors"}
    assert len(looks) == 2


@pytest.mark.parametrize("where", ["directory", "hub"])
def test_ten_thousand_names_of_one_content_are_planned_fetched_and_registered_within_bounds(
    where: str, tmp_path: Path
) -> None:
    data = write_hostile(tmp_path, "safetensors: tensors", MIB // 4).read_bytes()
    with HuggingFaceServer(page_size=1000) as hub:
        if where == "hub":
            hub.add_repository("org/x", {f"{index}.safetensors": data for index in range(NAMES)})
            source = "hf://org/x"
        else:
            source = str(linked(tmp_path / "links", data, NAMES))
        spent = spent_by("tests.hub.bringing", source, hub.endpoint, str(tmp_path), patience=300)
    count, to_fetch, _, fetched, reused, size, kind = spent.outcome.split()
    travels = len(data) if where == "hub" else 0
    assert (int(count), int(to_fetch), int(fetched)) == (NAMES, travels, travels)
    assert (int(reused), int(size), kind) == (len(data) - travels, NAMES * len(data), "safetensors")
    assert spent.memory <= MOST_MEMORY


def _waited(hub: HuggingFaceServer, path: Path) -> float:
    """Return how long the event loop of a process had to wait while it planned ``org/x``.

    Of three processes the least: what blocks the loop does so in each, and what else the machine does, in some.
    """
    hub.add_repository("org/small", {"a.safetensors": WEIGHTS})
    asked = "tests.hub.waiting", "hf://org/small", "hf://org/x", hub.endpoint
    waits: list[float] = []
    while len(waits) < _ATTEMPTS and (not waits or waits[-1] >= LONGEST_WAIT):
        waits.append(float(spent_by(*asked, f"{path}-{len(waits)}").outcome))
    return min(waits)


@pytest.mark.parametrize(
    ("kind", "size"), [("safetensors: tensors", MIB), ("onnx: weights", 4 * MIB), ("pickle: values", 4 * MIB)]
)
def test_planning_what_is_made_to_take_long_leaves_the_event_loop_alone(
    kind: str, size: int, tmp_path: Path, hf: HuggingFaceServer
) -> None:
    path = write_hostile(tmp_path, kind, size)
    hf.add_repository("org/x", {path.name: path.read_bytes()})
    assert _waited(hf, tmp_path / "store") < LONGEST_WAIT


def test_a_listing_of_megabytes_leaves_the_event_loop_alone(tmp_path: Path) -> None:
    with HuggingFaceServer(page_size=100_000) as hub:
        hub.add_repository("org/x", {f"{index:06}/{'n' * 200}/{'n' * 200}.txt": b"" for index in range(9_900)})
        assert _waited(hub, tmp_path / "store") < LONGEST_WAIT
