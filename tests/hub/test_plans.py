"""Planning: what would be fetched is known beforehand, from headers and listings alone, and is what is fetched."""

import asyncio
import json
import pickle
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    GitBlobMismatchException,
    HubConfig,
    HubService,
    InvalidInputException,
    NothingFitsException,
    PlanSchema,
    Policy,
    PolicyViolationException,
    ServiceException,
    StorageService,
)
from kamiwaza_sdk.sources import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, HuggingFaceServer
from tests.hub.conftest import Asking
from tests.hub.models import CONFIG, gguf_model, safetensors_model
from tests.hub.registering import violations_at_registration
from tests.serving import Server

GIB = 1024**3
WEIGHTS = safetensors_model(embedding=("BF16", [64, 64]), norm=("F32", [64]))
TEXTS = {"config.json": CONFIG, "README.md": b"---\nlicense: mit\n---\n# Tiny\n"}


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """A server on loopback that knows ranges."""
    with FaultyServer() as server:
        yield server


def quantized(directory: Path) -> dict[str, bytes]:
    """Return the files of a repository with three variants, one of them split, and a projector."""
    return {
        "README.md": b"# Tiny\n",
        "tiny-Q8_0.gguf": gguf_model(directory / "8", "Q8_0", blocks=10_000),
        "tiny-Q4_K_M-00001-of-00002.gguf": gguf_model(directory / "4", "Q4_K", blocks=400, parts=2),
        "tiny-Q4_K_M-00002-of-00002.gguf": gguf_model(directory / "4b", "Q4_K", blocks=100, parts=2),
        "Q2_K/tiny-Q2_K.gguf": gguf_model(directory / "2", "Q2_K", blocks=100),
        "mmproj-F16.gguf": gguf_model(directory / "m", "Q8_0", blocks=1),
    }


async def test_a_plan_tells_what_a_repository_is_before_its_weights_travel(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    commit = hf.add_repository("org/tiny", {**TEXTS, "model.safetensors": WEIGHTS}, license="apache-2.0")
    plan = await (await asking()).plan("hf://org/tiny", context_length=100)
    assert (plan.revision, plan.license, plan.formats) == (commit, "apache-2.0", ("safetensors",))
    assert (plan.bytes_kept, plan.bytes_to_fetch, plan.size) == (
        0,
        plan.size,
        sum(map(len, [*TEXTS.values(), WEIGHTS])),
    )
    assert plan.parameters_by_dtype == {"BF16": 4096, "F32": 64}
    assert (plan.context_length, plan.details.architecture) == (4096, "LlamaForCausalLM")
    assert plan.memory is not None
    assert (plan.memory.weights, plan.memory.cache, plan.memory.context_length) == (len(WEIGHTS), 25_600, 100)
    assert PlanSchema.model_validate_json(plan.model_dump_json()) == plan


async def test_a_plan_is_fetched_as_it_was_shown_though_the_branch_has_moved(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hub = await asking()
    commit = hf.add_repository("org/tiny", {**TEXTS, "model.safetensors": WEIGHTS})
    plan = await hub.plan("hf://org/tiny", ignore="README.md")
    hf.add_repository("org/tiny", {"model.safetensors": b"others"})
    fetched = await hub.fetch(PlanSchema.model_validate_json(plan.model_dump_json()))
    assert [(file.path, file.size) for file in fetched.files] == [(file.path, file.size) for file in plan.files]
    assert (fetched.source_revision, fetched.bytes_fetched) == (commit, plan.bytes_to_fetch)
    again = await hub.plan("hf://org/tiny@" + commit, ignore="README.md")
    assert (again.bytes_to_fetch, again.bytes_kept, {file.kept for file in again.files}) == (0, plan.size, {True})


@pytest.mark.parametrize(
    ("path", "error"),
    [("model.safetensors", ChecksumMismatchException), ("config.json", GitBlobMismatchException)],
)
async def test_what_has_changed_since_the_plan_is_refused(
    hf: HuggingFaceServer, asking: Asking, path: str, error: type[ServiceException]
) -> None:
    hub = await asking()
    files = {"model.safetensors": WEIGHTS, "config.json": CONFIG}
    hf.add_repository("org/tiny", files)
    plan = await hub.plan("hf://org/tiny", allow=path)
    await asyncio.to_thread(_exchange, hf, plan, bytes(len(files[path])))
    with pytest.raises(error):
        await hub.fetch(plan)


def _exchange(hf: HuggingFaceServer, plan: PlanSchema, content: bytes) -> None:
    """Let the hub serve something else under the addresses of a plan."""
    for file in plan.manifest.files:
        hf.add(file.url.removeprefix(hf.endpoint), body=content)


async def test_files_that_are_kept_are_looked_into_without_a_request(hf: HuggingFaceServer, asking: Asking) -> None:
    hub = await asking()
    hf.add_repository("org/tiny", {**TEXTS, "model.safetensors": WEIGHTS})
    await hub.fetch("hf://org/tiny")
    count = len(hf.requests), len(hf.storage.requests)
    manifest = await (await asking(offline=True)).resolve("hf://org/tiny")
    plan = await (await asking(offline=True)).plan(manifest)
    assert (len(hf.requests), len(hf.storage.requests)) == count
    assert (plan.license, plan.details.parameters, plan.bytes_to_fetch) == ("mit", 4160, 0)


async def test_a_directory_is_planned_here(hub: HubService, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name, content in {**TEXTS, "model.safetensors": WEIGHTS}.items():
        (tmp_path / "model" / name).write_bytes(content)
    (tmp_path / "model" / "harm.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    plan = await hub.plan(tmp_path / "model")
    assert (plan.bytes_to_fetch, plan.details.parameters, plan.license) == (0, 4160, "mit")
    assert {file.path: file.verdict for file in plan.files if file.verdict} == {"harm.pkl": "dangerous"}


async def test_the_size_of_one_file_is_learned_from_its_header(hub: HubService, faulty: FaultyServer) -> None:
    plan = await hub.plan(faulty.add("/model.safetensors", body=WEIGHTS))
    assert (plan.size, plan.bytes_to_fetch, plan.details.parameters) == (len(WEIGHTS), len(WEIGHTS), 4160)
    assert (await hub.fetch(plan)).size == len(WEIGHTS)


async def test_what_a_server_without_ranges_does_not_tell_is_unknown_until_it_is_fetched(
    hub: HubService, server: Server, tmp_path: Path
) -> None:
    model = await asyncio.to_thread(gguf_model, tmp_path / "m", words=100_000)
    plan = await hub.plan(server.add("/model.gguf", body=model))
    assert (plan.details.parameters, plan.formats) == (None, ("gguf",))
    assert "download the whole file" in (plan.files[0].problem or "")
    assert (await hub.plan(server.add("/model.safetensors", body=WEIGHTS))).details.parameters == 4160


async def test_a_malformed_header_and_a_malformed_text_are_problems_of_their_files(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hf.add_repository(
        "org/tiny", {"config.json": b"[1]", "model.safetensors": b"\xff" * 100, "pytorch_model.bin": b"x"}
    )
    plan = await (await asking()).plan("hf://org/tiny")
    problems = {file.path: file.problem for file in plan.files}
    assert (problems["config.json"] or "").startswith("config.json")
    assert "safetensors" in (problems["model.safetensors"] or "")
    assert {file.path: file.format for file in plan.files}["pytorch_model.bin"] is None


async def test_variants_are_told_by_name_and_size_and_a_split_one_is_one(
    hf: HuggingFaceServer, asking: Asking, tmp_path: Path
) -> None:
    files = await asyncio.to_thread(quantized, tmp_path)
    hf.add_repository("org/tiny", files)
    plan = await (await asking()).plan("hf://org/tiny", context_length=1000)
    assert [(one.name, len(one.files)) for one in plan.variants] == [("Q8_0", 1), ("Q4_K_M", 2), ("Q2_K", 1)]
    sizes = [sum(len(files[path]) for path in one.files) for one in plan.variants]
    assert [one.size for one in plan.variants] == sizes
    assert [(one.memory.weights, one.memory.cache) for one in plan.variants if one.memory] == [
        (size, 256_000) for size in sizes
    ]
    assert (plan.choice, plan.layout.default, plan.details.variant, len(plan.files)) == (None, "Q4_K_M", "Q4_K_M", 6)
    assert plan.memory is not None
    assert (plan.memory.weights, plan.memory.companions) == (sizes[1], len(files["mmproj-F16.gguf"]))
    assert [one.files for one in plan.companions] == [("mmproj-F16.gguf",)]


async def test_the_largest_that_fits_with_its_cache_is_chosen_and_fetched_alone(
    hf: HuggingFaceServer, asking: Asking, tmp_path: Path
) -> None:
    files = await asyncio.to_thread(quantized, tmp_path)
    hf.add_repository("org/tiny", files)
    hub = await asking()
    split = [path for path in files if "of-00002" in path]
    weights = sum(len(files[path]) for path in split)
    needed = weights + 256_000 + len(files["mmproj-F16.gguf"])
    plan = await hub.plan("hf://org/tiny", fits=needed, context_length=1000)
    assert (plan.choice, plan.details.quantization) == ("Q4_K_M", "Q4_K")
    assert [file.path for file in plan.files] == sorted(["README.md", "mmproj-F16.gguf", *split])
    assert plan.memory is not None
    assert plan.memory.total == needed
    assert "largest that fits" in (plan.reason or "")
    assert "Q8_0 would take" in (plan.reason or "")
    assert plan.parameters_by_dtype["Q4_K"] == 500 * 256
    assert len((await hub.fetch(plan)).files) == 4
    smaller = await hub.plan("hf://org/tiny", fits=f"{needed - 1} B", context_length=1000)
    assert (smaller.choice, smaller.files[0].path) == ("Q2_K", "Q2_K/tiny-Q2_K.gguf")
    quantized_cache = await hub.plan("hf://org/tiny", fits=needed - 1, context_length=1000, cache_dtype="Q8_0")
    assert quantized_cache.choice == "Q4_K_M"


async def test_where_nothing_fits_the_error_says_what_would(
    hf: HuggingFaceServer, asking: Asking, tmp_path: Path
) -> None:
    files = await asyncio.to_thread(quantized, tmp_path)
    hf.add_repository("org/tiny", files)
    smallest = len(files["Q2_K/tiny-Q2_K.gguf"]) + len(files["mmproj-F16.gguf"])
    with pytest.raises(NothingFitsException) as refused:
        await (await asking()).plan("hf://org/tiny", fits=smallest + 2570, context_length=1000)
    assert refused.value.needed["Q2_K"] == smallest + 256_000
    assert (refused.value.longest_context, refused.value.context_length) == (10, 1000)
    assert sorted(refused.value.needed) == ["Q2_K", "Q4_K_M", "Q8_0"]


async def test_weights_that_are_not_quantized_fit_or_do_not(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", {**TEXTS, "model.safetensors": WEIGHTS, "pytorch_model.bin": bytes(50_000)})
    hub = await asking()
    plan = await hub.plan("hf://org/tiny", fits="64 KiB", context_length=100)
    assert (plan.choice, [file.path for file in plan.files]) == (
        "model.safetensors",
        ["README.md", "config.json", "model.safetensors"],
    )
    with pytest.raises(NothingFitsException):
        await hub.plan("hf://org/tiny", fits="32 KiB", context_length=100)
    with pytest.raises(InvalidInputException, match="no files of weights"):
        await hub.plan("hf://org/tiny", fits="1 GiB", allow="*.md")


@pytest.mark.parametrize(
    "asked",
    [{"fits": "much"}, {"fits": -1}, {"context_length": -1}, {"context_length": True}, {"cache_dtype": "F7"}],
)
async def test_what_cannot_be_asked_is_refused_before_a_request(
    hf: HuggingFaceServer, asking: Asking, asked: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputException):
        await (await asking()).plan("hf://org/tiny", **asked)
    assert hf.requests == []


async def test_a_plan_tells_what_a_policy_has_against_it_and_is_not_fetched(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    harm = b"cos\nsystem\n(S'true'\ntR."
    files = {"model.safetensors": WEIGHTS, "harm.pkl": harm, "fine.pkl": pickle.dumps({"a": 1})}
    hf.add_repository("org/tiny", files, license="other")
    hub = await asking()
    plan = await hub.plan("hf://org/tiny", policy=Policy(licenses=("mit",), worst_pickle="suspicious"))
    assert [(one.rule, one.path) for one in plan.violations] == [("licenses", None), ("worst_pickle", "harm.pkl")]
    with pytest.raises(PolicyViolationException) as refused:
        await hub.fetch(plan)
    assert refused.value.violations == plan.violations
    assert not (storage.root / "blobs").exists()
    assert len((await hub.fetch(plan.manifest)).files) == 3


@pytest.mark.parametrize("more", [0, 200])
@pytest.mark.parametrize("fits", [None, "1 GiB"])
async def test_what_is_here_is_looked_into_whatever_it_is_called(
    hub: HubService, storage: StorageService, tmp_path: Path, fits: str | None, more: int
) -> None:
    """A plan of it has against it what registering it would, and so of what the store has already."""
    harm = pickle.dumps(subprocess.Popen, protocol=4)
    names = ("weights.dat", "noext", "onnx/README.md", "LICENSE")
    files = {
        **dict.fromkeys(names, harm),
        "model.gguf": gguf_model(tmp_path / "8", "Q8_0", blocks=10),
        "mmproj.gguf": harm,
        "broken": (9).to_bytes(8, "little") + b"{no JSON}",
        "config.json": b"[1]",
        **{f"{number}.txt": b"%d" % number for number in range(more)},
    }
    for name, content in files.items():
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    policy = Policy(worst_pickle="safe", formats=("safetensors", "gguf"))
    plan = await hub.plan(tmp_path / "model", policy=policy, fits=fits)
    found = {one.path for one in plan.violations if one.rule == "worst_pickle"}
    assert found == {*names, "mmproj.gguf", "broken"}
    assert {file.path for file in plan.files if file.format == "pickle"} == found - {"broken"}
    assert "config.json" in (next(file for file in plan.files if file.path == "config.json").problem or "")
    fetched = await hub.fetch(plan.manifest)
    assert plan.violations == await asyncio.to_thread(violations_at_registration, fetched, policy, hub)


async def test_what_the_store_has_of_a_repository_is_looked_into_whatever_it_is_called(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hf.add_repository("org/tiny", {"noext": pickle.dumps(subprocess.Popen), "model.safetensors": WEIGHTS})
    hub = await asking()
    policy = Policy(worst_pickle="safe")
    assert (await hub.plan("hf://org/tiny", policy=policy)).violations == ()
    await hub.fetch("hf://org/tiny")
    assert [one.path for one in (await hub.plan("hf://org/tiny", policy=policy)).violations] == ["noext"]


@pytest.fixture
def many() -> Iterator[HuggingFaceServer]:
    """A hub with a repository of 1,000 files."""
    with HuggingFaceServer() as server:
        files = {f"samples/{number}.txt": b"%d" % number for number in range(998)}
        server.add_repository("org/many", {**files, "config.json": CONFIG, "model.safetensors": WEIGHTS})
        yield server


async def test_a_repository_of_1000_files_costs_3_requests_and_the_pages_of_its_listing(
    many: HuggingFaceServer, storage: StorageService
) -> None:
    config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=many.endpoint))
    plan = await HubService(storage=storage, config=config).plan("hf://org/many")
    assert (len(plan.files), plan.details.parameters) == (1000, 4160)
    pages = [request for request in many.requests if "/tree/" in request.path]
    assert len(many.requests) - len(pages) == 3
    assert len(many.storage.requests) == 1  # where the request for a header was redirected to


async def test_a_repository_of_100_shards_costs_4_requests(storage: StorageService) -> None:
    names = [f"model-{number:05}-of-00100.safetensors" for number in range(1, 101)]
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}}
    files = {**dict.fromkeys(names, WEIGHTS), "model.safetensors.index.json": json.dumps(index).encode()}
    with HuggingFaceServer() as server:
        server.add_repository("org/sharded", {**files, "config.json": CONFIG})
        config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
        plan = await HubService(storage=storage, config=config).plan("hf://org/sharded")
        asked = len(server.requests)
    assert [(one.name, len(one.files)) for one in plan.variants] == [("model-*.safetensors", 100)]
    assert asked == 4


async def test_the_repr_of_a_plan_of_many_files_counts_them(many: HuggingFaceServer, storage: StorageService) -> None:
    """`asyncio.run` makes one of whatever a coroutine returns."""
    config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=many.endpoint))
    plan = await HubService(storage=storage, config=config).plan("hf://org/many")
    assert [text.count("files=1000") for text in (repr(plan.manifest), repr(plan))] == [1, 1]
    assert max(map(len, (repr(plan.manifest), repr(plan)))) < 300


@dataclass(frozen=True)
class Sparse(GeneratedBody):
    """A safetensors file of 5 GiB that costs no memory: a header, and zeros."""

    header: bytes = b""

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return a part of it."""
        end = self.size if stop is None else min(stop, self.size)
        head = self.header[start:end]
        return head + bytes(end - start - len(head))


def sparse(padding: int) -> Sparse:
    """Return such a file with a header of so many bytes at least."""
    entry = {"dtype": "U8", "shape": [5 * GIB], "data_offsets": [0, 5 * GIB]}
    text = json.dumps({"w": entry}).ljust(padding).encode()
    header = len(text).to_bytes(8, "little") + text
    return Sparse(len(header) + 5 * GIB, header=header)


@pytest.mark.parametrize(
    ("padding", "known", "trips"), [(0, False, 1), (1024**2, False, 2), (1024**2, True, 1), (3 * 1024**2, True, 2)]
)
async def test_the_header_of_5_gib_takes_two_round_trips_at_most_and_little_of_the_file(
    hub: HubService, faulty: FaultyServer, padding: int, known: bool, trips: int
) -> None:
    manifest = await hub.resolve(faulty.add("/model.safetensors", body=sparse(padding)))
    size = sparse(padding).size if known else None  # a hub tells it, a plain server does not
    file = manifest.files[0].model_copy(update={"size": size})
    plan = await hub.plan(manifest.model_copy(update={"files": (file,)}))
    assert (plan.details.parameters, plan.size) == (5 * GIB, sparse(padding).size)
    assert len(faulty.requests) == trips
    assert sum(request.sent for request in faulty.requests) < 5 * GIB / 100


async def test_behind_a_redirect_it_takes_two_as_well(hub: HubService, faulty: FaultyServer) -> None:
    url = faulty.add_redirect("/hub/model.safetensors", faulty.add("/storage", body=sparse(1024**2)))
    file = ManifestFileSchema(path="model.safetensors", url=url, size=sparse(1024**2).size)
    plan = await hub.plan(ManifestSchema(source=url, name="m", files=(file,)))
    assert plan.details.parameters == 5 * GIB
    assert len(faulty.requests) == 2


async def test_200_shards_cost_no_more(hf: HuggingFaceServer, asking: Asking) -> None:
    shards = {f"model-{number:05}-of-00200.safetensors": WEIGHTS for number in range(1, 201)}
    hf.add_repository("org/shards", {**shards, "config.json": CONFIG})
    plan = await (await asking()).plan("hf://org/shards")
    pages = [request for request in hf.requests if "/tree/" in request.path]
    assert len(hf.requests) - len(pages) == 3
    assert (plan.details.parameters, plan.details.architecture) == (None, "LlamaForCausalLM")
    assert plan.memory is not None
    assert plan.memory.weights == 200 * len(WEIGHTS)


async def test_of_a_gated_repository_the_token_goes_to_the_hub_alone(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", {"model.safetensors": WEIGHTS, "config.json": CONFIG}, gated=True)
    plan = await (await asking(hf.token)).plan("hf://org/tiny")
    assert plan.details.parameters == 4160
    assert {request.headers.get("authorization") for request in hf.requests} == {f"Bearer {hf.token}"}
    assert [request.headers.get("authorization") for request in hf.storage.requests] == [None]
    closed = await (await asking(hf.other_token)).plan("hf://org/tiny")
    assert (closed.details.parameters, closed.files[1].format) == (None, "safetensors")
    assert "403" in (closed.files[1].problem or "")


async def test_a_file_of_another_size_than_listed_is_not_believed(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", {"model.safetensors": WEIGHTS})
    hub = await asking()
    manifest = await hub.resolve("hf://org/tiny")
    hf.add(manifest.files[0].url.removeprefix(hf.endpoint), body=safetensors_model(a=("F32", [1])))
    plan = await hub.plan(manifest)
    assert "not of the one of" in (plan.files[0].problem or "")
    assert plan.details.parameters is None


async def test_a_plan_prints_as_a_table_and_shows_strangers_texts_escaped(hub: HubService, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "0<script>alert(1)<").write_bytes(b"")
    for number in range(30):
        (tmp_path / "model" / f"{number}.txt").write_bytes(bytes(2048))
    card = '---\nlicense: "<b>\\x1b[31m&"\n---\n'
    (tmp_path / "model" / "README.md").write_text(card)
    plan = await hub.plan(tmp_path / "model", policy=Policy(licenses=("mit",)))
    text, html = str(plan), plan._repr_html_()
    assert "60.0 KiB" in text
    assert "and 12 more" in text
    assert "(30 more" not in text
    assert "has the licence" in text
    assert "\x1b" not in text + html
    assert "<b>" not in html
    assert "0&lt;script&gt;" in html
    assert "<script>" not in html
