"""Variants: one definition of what a repository consists of, whoever asks, and only what was chosen travels."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    HubService,
    InvalidInputException,
    ModelService,
    NothingFitsException,
    NotInCacheException,
    UnknownVariantException,
    inspect_directory,
)
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.backends import Backend
from tests.formats.kinds import BY_HEAD
from tests.hub.conftest import Asking
from tests.hub.models import CONFIG, gguf_companion, gguf_model, safetensors_model
from tests.hub.test_adopt import image
from tests.hub.test_huggingface_hub import run

BOTH = safetensors_model(a=("BF16", [64, 64]), b=("BF16", [64, 64]))
ONE, TWO = safetensors_model(a=("BF16", [64, 64])), safetensors_model(b=("BF16", [64, 64]))
INDEX = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})
SHARDS = {
    "config.json": CONFIG,
    "model-00001-of-00002.safetensors": ONE,
    "model-00002-of-00002.safetensors": TWO,
    "model.safetensors.index.json": INDEX.encode(),
}


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Write files."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture
def gguf(tmp_path: Path) -> dict[str, bytes]:
    """The files of a vision model: two variants, projectors, and what is no model."""
    return {
        "m-Q8_0.gguf": gguf_model(tmp_path / "8", "Q8_0", blocks=1000),
        "m-Q4_K_M.gguf": gguf_model(tmp_path / "4", "Q4_K", blocks=100),
        "mmproj-F32.gguf": gguf_companion(tmp_path / "a", "mmproj", length=128),
        "mmproj-F16.gguf": gguf_companion(tmp_path / "b", "mmproj", length=96),
        "mmproj-small-F32.gguf": gguf_companion(tmp_path / "c", "mmproj", length=8),
        "m-lora.gguf": gguf_companion(tmp_path / "d", "adapter", architecture="llama", length=4),
        "imatrix.dat": bytes(100),
        "m.F16.gguf.part1of2": b"GGUF" + bytes(96),
    }


async def test_two_copies_of_the_weights_are_two_variants_whoever_is_asked(
    hub: HubService, mock_db: Session, tmp_path: Path
) -> None:
    root = await asyncio.to_thread(write, tmp_path / "m", {**SHARDS, "consolidated.safetensors": BOTH})
    plan = await hub.plan(root, fits=20_000, context_length=0)
    here = await asyncio.to_thread(inspect_directory, root)
    fetched = await hub.fetch(root)
    version = ModelService(mock_db, hub=hub).register(fetched)
    assert (plan.choice, plan.details.parameters, plan.details.stored_elements) == ("model-*.safetensors", 8192, 8192)
    assert "consolidated.safetensors" not in {file.path for file in plan.files}
    assert here.layout == plan.layout
    assert (here.variant, here.parameters, here.size) == ("model-*.safetensors", 8192, len(ONE) + len(TWO))
    assert version.details["layout"] == {
        "default": "model-*.safetensors",
        "variants": [
            {"name": "consolidated.safetensors", "format": "safetensors", "size": len(BOTH)},
            {"name": "model-*.safetensors", "format": "safetensors", "size": len(ONE) + len(TWO)},
        ],
    }
    assert version.parameters == 8192


async def test_a_hub_is_asked_for_the_index_and_what_it_names_belongs_to_the_model(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors", "mtp.b": "mtp.safetensors"}}
    files = {"model-00001-of-00001.safetensors": ONE, "mtp.safetensors": TWO}
    hf.add_repository("org/m", {**files, "model.safetensors.index.json": json.dumps(index).encode()})
    plan = await (await asking()).plan("hf://org/m")
    assert [(one.name, one.files) for one in plan.variants] == [("model-*.safetensors", tuple(files))]
    assert plan.details.parameters == 8192


async def test_a_variant_that_is_named_comes_alone_by_every_way(
    hf: HuggingFaceServer, asking: Asking, gguf: dict[str, bytes], mock_db: Session, tmp_path: Path
) -> None:
    hf.add_repository("org/m", {"README.md": b"# m", **gguf})
    hub = await asking()
    wanted = ["README.md", "m-Q4_K_M.gguf", "mmproj-F16.gguf"]
    plan = await hub.plan("hf://org/m", variant="q4_k_m")
    assert ([file.path for file in plan.files], plan.choice, plan.reason) == (wanted, "Q4_K_M", "it was asked for")
    assert sorted(file.path for file in (await hub.fetch("hf://org/m", variant="Q4_K_M")).files) == wanted
    models = ModelService(mock_db, hub=hub)
    version = await models.pull_model("hf://org/m", variant="Q4_K_M", allow_open_transaction=True)
    assert sorted(file.path for file in version.files) == wanted
    assert version.details["layout"] == {
        "default": "Q4_K_M",
        "variants": [{"name": "Q4_K_M", "format": "gguf", "size": len(gguf["m-Q4_K_M.gguf"])}],
        "companions": [
            {"kind": "projector", "files": ["mmproj-F16.gguf"], "size": len(gguf["mmproj-F16.gguf"])},
        ],
    }
    await asyncio.to_thread(write, tmp_path / "lms/org/m", gguf)
    adopted = await hub.adopt("lmstudio://org/m", cache=tmp_path / "lms", variant="Q4_K_M")
    assert sorted(file.path for file in adopted.files) == wanted[1:]


async def test_a_variant_is_adopted_from_a_part_of_its_repository(
    hf: HuggingFaceServer, asking: Asking, gguf: dict[str, bytes], tmp_path: Path
) -> None:
    """What ``huggingface_hub`` left out need not be there, unless the variant is loaded with it."""
    hf.add_repository("org/m", {"README.md": b"# m", "config.json": CONFIG, **gguf})
    hub, cache = await asking(offline=True), tmp_path / "home/hub"
    download = "from huggingface_hub import snapshot_download as download\ndownload('org/m', allow_patterns={})"
    await asyncio.to_thread(run, hf, tmp_path / "home", download.format(["m-Q4*", "m-Q8*"]))
    with pytest.raises(NotInCacheException, match="allow= or ignore="):
        await hub.adopt("hf://org/m", cache=cache)
    with pytest.raises(UnknownVariantException, match=r"lacks 'mmproj-F16.gguf' of its variant 'Q4_K_M'") as refused:
        await hub.adopt("hf://org/m", cache=cache, variant="q4_k_m")
    assert refused.value.missing == ("mmproj-F16.gguf",)
    await asyncio.to_thread(run, hf, tmp_path / "home", download.format(["mmproj-F16*"]))
    (found,) = await asyncio.to_thread(lambda: list(cache.rglob("m-Q8*")))
    found.resolve().write_bytes(b"cut")
    adopted = await hub.adopt("hf://org/m", cache=cache, variant="Q4_K_M")
    assert [file.path for file in adopted.files] == ["m-Q4_K_M.gguf", "mmproj-F16.gguf"]
    assert [one.path for one in adopted.left_out] == ["README.md", "config.json"]
    assert adopted.digests_known
    with pytest.raises(UnknownVariantException, match=r"lacks 'm-Q8_0.gguf' .* choose one of 'Q4_K_M'$"):
        await hub.adopt("hf://org/m", cache=cache, variant="Q8_0")


async def test_a_variant_of_shards_is_adopted_with_its_configuration_and_tokenizer(
    hf: HuggingFaceServer, asking: Asking, tmp_path: Path
) -> None:
    more = {"consolidated.safetensors": BOTH, "tokenizer.json": b"{}", "original/params.json": b"{}"}
    hf.add_repository("org/m", {**SHARDS, **more})
    hub, cache = await asking(offline=True), tmp_path / "home/hub"
    download = "from huggingface_hub import snapshot_download as download\ndownload('org/m', allow_patterns={})"
    for patterns, missing in ((["model*"], ("config.json", "tokenizer.json")), (["config*", "*-00002*"], None)):
        await asyncio.to_thread(run, hf, tmp_path / "home", download.format(patterns))
        lacking = missing or ("tokenizer.json",)
        with pytest.raises(UnknownVariantException, match=f"lacks '{lacking[0]}'") as refused:
            await hub.adopt("hf://org/m", cache=cache, variant="model-*.safetensors")
        assert refused.value.missing == lacking
    adopted = await hub.adopt("hf://org/m", cache=cache, variant="model-*.safetensors", ignore="tokenizer.json")
    assert {file.path for file in adopted.files} == SHARDS.keys()
    await asyncio.to_thread(run, hf, tmp_path / "home", download.format(["tokenizer.json"]))
    adopted = await hub.adopt("hf://org/m", cache=cache, variant="model-*.safetensors")
    assert {file.path for file in adopted.files} == {*SHARDS, "tokenizer.json"}


async def test_a_variant_that_there_is_not_is_refused_with_those_that_there_are(
    hf: HuggingFaceServer, asking: Asking, gguf: dict[str, bytes]
) -> None:
    hf.add_repository("org/m", {**gguf, "m-F16-00001-of-00003.gguf": gguf["m-Q8_0.gguf"]})
    hub = await asking()
    for ask in (hub.plan, hub.fetch):
        with pytest.raises(UnknownVariantException, match="choose one of 'Q4_K_M', 'Q8_0'") as refused:
            await ask("hf://org/m", variant="Q5_0")
        assert (refused.value.variants, refused.value.missing) == (("Q4_K_M", "Q8_0"), ())
    with pytest.raises(UnknownVariantException, match="lacks 'm-F16-00002-of-00003.gguf'"):
        await hub.plan("hf://org/m", variant="F16")
    with pytest.raises(InvalidInputException, match="variant"):
        await hub.plan("hf://org/m", variant=7)  # type: ignore[arg-type]  # what a caller may write


async def test_what_is_no_model_is_never_chosen_and_a_projector_counts(
    hub: HubService, gguf: dict[str, bytes], tmp_path: Path
) -> None:
    root = await asyncio.to_thread(write, tmp_path / "m", gguf)
    weights = len(gguf["m-Q4_K_M.gguf"])
    usual, small = len(gguf["mmproj-F16.gguf"]), len(gguf["mmproj-small-F32.gguf"])
    plan = await hub.plan(root, fits=weights + usual, context_length=0)
    assert [file.path for file in plan.files] == ["m-Q4_K_M.gguf", "mmproj-F16.gguf"]
    assert plan.memory is not None
    assert (plan.memory.total, plan.memory.companions) == (weights + usual, usual)
    plan = await hub.plan(root, fits=weights + small, context_length=0)
    assert [file.path for file in plan.files] == ["m-Q4_K_M.gguf", "mmproj-small-F32.gguf"]
    assert "the smallest projector (mmproj-small-F32.gguf)" in (plan.reason or "")
    with pytest.raises(NothingFitsException, match=r"the smallest, 'Q4_K_M', takes .* KiB \(") as refused:
        await hub.plan(root, fits=weights + small - 1, context_length=0)
    assert refused.value.needed == {"Q4_K_M": weights + small, "Q8_0": len(gguf["m-Q8_0.gguf"]) + small}


async def test_all_formats_are_weighed_and_a_program_is_offered_what_it_loads(hub: HubService, tmp_path: Path) -> None:
    small = gguf_model(tmp_path / "2", "Q2_K", blocks=10)
    files = {"config.json": CONFIG, "model.safetensors": BOTH, "pytorch_model.bin": bytes(90_000), "m-Q2_K.gguf": small}
    root = await asyncio.to_thread(write, tmp_path / "m", files)

    async def chosen(fits: int, **more: Any) -> str | None:
        return (await hub.plan(root, fits=fits, context_length=0, **more)).choice

    assert await chosen(10**6) == "model.safetensors"
    assert await chosen(len(BOTH) - 1) == "Q2_K"
    assert await chosen(10**6, runtime="llama.cpp") == "Q2_K"
    assert await chosen(10**6, runtime="transformers") == "model.safetensors"
    with pytest.raises(NothingFitsException):
        await chosen(len(BOTH) - 1, runtime="transformers")
    with pytest.raises(InvalidInputException, match="runtime"):
        await chosen(10**6, runtime="else")


async def test_a_cache_that_is_not_told_is_said_to_be_unknown(hub: HubService, tmp_path: Path) -> None:
    root = await asyncio.to_thread(write, tmp_path / "m", {"model.safetensors": BOTH, "config.json": b"{}"})
    plan = await hub.plan(root, fits="1 MiB")
    assert "it is not known what it takes, because the files do not say" in (plan.reason or "")
    assert plan.memory is not None
    assert (plan.memory.total, plan.memory.cache) == (None, None)


async def test_a_set_that_lacks_a_shard_is_no_variant_and_a_stale_index_is_a_note(
    hub: HubService, tmp_path: Path
) -> None:
    files = {"config.json": CONFIG, "model.safetensors": BOTH, "model.safetensors.index.json": INDEX.encode()}
    stale = await hub.plan(await asyncio.to_thread(write, tmp_path / "stale", files))
    assert (stale.details.variant, stale.details.parameters) == ("model.safetensors", 8192)
    assert "another build" in stale.layout.notes[0]
    lacking = {path: content for path, content in SHARDS.items() if "00002-of" not in path}
    plan = await hub.plan(await asyncio.to_thread(write, tmp_path / "lacking", lacking))
    assert (plan.variants, plan.details.parameters, plan.memory) == ((), None, None)
    assert plan.layout.incomplete[0].missing == ("model-00002-of-00002.safetensors",)
    assert "model-00002-of-00002.safetensors is missing" in (plan.details.parameters_problem or "")
    assert "model-00002-of-00002.safetensors" in str(plan)


async def test_an_image_of_ollama_is_the_model_and_its_projector_and_adapter_are_kept(
    hub: HubService, gguf: dict[str, bytes], tmp_path: Path
) -> None:
    files = {
        "model.gguf": gguf["m-Q4_K_M.gguf"],
        "mmproj.gguf": gguf["mmproj-F16.gguf"],
        "adapter.gguf": gguf["m-lora.gguf"],
        "params.json": b"{}",
    }
    root = await asyncio.to_thread(write, tmp_path / "m", files)
    details = await asyncio.to_thread(inspect_directory, root)
    assert (details.architecture, details.variant, details.size) == ("llama", "model.gguf", len(files["model.gguf"]))
    plan = await hub.plan(root, fits="1 MiB", context_length=0)
    assert {one.kind for one in plan.companions} == {"adapter", "projector"}
    assert {file.path for file in plan.files} == files.keys()
    kept: Any = (await hub.fetch(root)).details["layout"]
    assert [one["kind"] for one in kept["companions"]] == ["adapter", "projector"]


@pytest.mark.parametrize("variant", [None, "model.gguf"])
async def test_an_image_is_adopted_from_ollamas_store_with_its_projector_and_adapter(
    backend: Backend, hub: HubService, gguf: dict[str, bytes], tmp_path: Path, variant: str | None
) -> None:
    """The registered version describes the model, and lists the companions, whoever registers it."""
    layers = {
        "model": gguf["m-Q4_K_M.gguf"],
        "projector": gguf["mmproj-F16.gguf"],
        "adapter": gguf["m-lora.gguf"],
        "template": b"{{ .Prompt }}",
    }
    await asyncio.to_thread(image, tmp_path / "ollama", layers)
    adopted = await hub.adopt("ollama://tiny", cache=tmp_path / "ollama", variant=variant)
    files = ["adapter.gguf", "mmproj.gguf", "model.gguf", "ollama.json", "template"]
    assert sorted(file.path for file in adopted.files) == files
    async with backend.begin() as models:
        version = await models.register(adopted)
    assert (version.format, version.architecture, version.parameters) == ("gguf", "llama", 100 * 256)
    layout: Any = version.details["layout"]
    assert (layout["default"], [one["name"] for one in layout["variants"]]) == ("model.gguf", ["model.gguf"])
    assert [(one["kind"], one["files"]) for one in layout["companions"]] == [
        ("adapter", ["adapter.gguf"]),
        ("projector", ["mmproj.gguf"]),
    ]


async def test_another_variant_is_none_of_an_image(hub: HubService, gguf: dict[str, bytes], tmp_path: Path) -> None:
    layers = {"model": gguf["m-Q4_K_M.gguf"], "projector": gguf["mmproj-F16.gguf"]}
    await asyncio.to_thread(image, tmp_path / "ollama", layers)
    for name in ("Q8_0", "mmproj.gguf"):
        with pytest.raises(UnknownVariantException, match=r"choose one of 'model.gguf'"):
            await hub.adopt("ollama://tiny", cache=tmp_path / "ollama", variant=name)


async def test_a_variant_is_pulled_in_either_colour(
    backend: Backend, hf: HuggingFaceServer, asking: Asking, gguf: dict[str, bytes]
) -> None:
    hf.add_repository("org/m", {"README.md": b"# m", **gguf})
    hub = await asking()
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        version = await models.pull_model("hf://org/m", variant="Q4_K_M")
        with pytest.raises(UnknownVariantException, match="'Q4_K_M', 'Q8_0'"):
            await models.pull_model("hf://org/m", name="other", variant="Q5_0", allow_open_transaction=True)
        assert [model.name for model in await models.list_models()] == ["org/m"]
        await db.commit()
    assert sorted(file.path for file in version.files) == ["README.md", "m-Q4_K_M.gguf", "mmproj-F16.gguf"]


async def test_a_version_keeps_no_more_of_a_layout_than_is_of_use(hub: HubService, tmp_path: Path) -> None:
    content = gguf_model(tmp_path / "one", "Q8_0", blocks=1)
    files = dict.fromkeys((f"{number}.gguf" for number in range(300)), content)
    fetched = await hub.fetch(await asyncio.to_thread(write, tmp_path / "m", files))
    layout: Any = fetched.details["layout"]
    assert len(layout["variants"]) == 100


PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>".ljust(90_000)


async def test_what_is_something_else_is_no_variant_though_it_is_not_chosen(
    hf: HuggingFaceServer, asking: Asking, tmp_path: Path
) -> None:
    """Of what is not chosen a request each tells; without one it is a variant by its name, and said to be no more."""
    small = gguf_model(tmp_path / "2", "Q2_K", blocks=10)
    files = {
        "config.json": CONFIG,
        "model.safetensors": BOTH,
        "m-Q2_K.gguf": small,
        "m-Q8_0.gguf": PAGE,
        "pytorch_model.bin": PAGE,
        "consolidated.safetensors": b"no header" * 10_000,
        "other.bin": bytes(range(1, 256)) * 400,
        "tf_model.h5": BY_HEAD["keras"][0],
    }
    hf.add_repository("org/m", files)
    hub = await asking()
    plan = await hub.plan("hf://org/m", fits="1 MiB", context_length=0)
    assert plan.choice == "model.safetensors"
    checked = {"model.safetensors": True, "Q2_K": True, "other.bin": False, "tf_model.h5": True}
    assert {one.name: one.checked for one in plan.variants} == checked
    assert {"m-Q8_0.gguf", "pytorch_model.bin", "consolidated.safetensors"} <= set(plan.layout.rest)
    here = await hub.plan(await asyncio.to_thread(write, tmp_path / "m", files), fits="1 MiB", context_length=0)
    assert {one.name for one in here.variants} == checked.keys()
    assert all(one.checked for one in here.variants)
    with pytest.raises(NothingFitsException) as refused:
        await hub.plan("hf://org/m", fits=10)
    assert refused.value.needed.keys() == checked.keys()


async def test_few_requests_are_made_for_a_hundred_shards_whatever_is_beside_them(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    shards = {f"model-{number:05}-of-00100.safetensors": ONE for number in range(1, 101)}
    hf.add_repository("org/m", {**shards, "config.json": CONFIG, "pytorch_model.bin": PAGE})
    plan = await (await asking()).plan("hf://org/m", fits="1 GiB", context_length=0)
    asked = len(hf.storage.requests) + sum("/resolve/" in request.path for request in hf.requests)
    assert asked <= 4
    assert {one.name: one.checked for one in plan.variants} == {
        "model-*.safetensors": True,
        "pytorch_model.bin": False,
    }
