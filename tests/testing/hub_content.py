"""What ``huggingface_hub``'s own tests expect to be at the real hub, in small."""

import hashlib
import json
import struct
from typing import Final, Literal, TypeAlias

from kamiwaza_sdk.testing import HuggingFaceServer

Kind: TypeAlias = Literal["model", "dataset", "space"]
USER: Final = "owner"
_SAFETENSORS: Final = {"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def fill(server: HuggingFaceServer) -> dict[str, str]:
    """Add repositories, and return the ids that commits have here, by those that they have at the real hub."""
    ids: dict[str, str] = {}
    for add in (_models, _datasets, _spaces, _found_by_searches):
        ids |= add(server)
    _named_by_commands(server)
    return ids


def _named_by_commands(server: HuggingFaceServer) -> None:
    """Add what the tests of ``hf`` list, and whose cards they read."""
    paths = ("config.json", "tokenizer.json", "onnx/model.onnx")
    server.add_repository("t5-small", dict.fromkeys(paths, b"{}"))
    server.add_repository("rajpurkar/squad", {"README.md": b"# SQuAD\n"}, kind="dataset")
    server.add_repository("gradio/theme_builder", dict.fromkeys(("README.md", "run.py"), b"#"), kind="space")
    cards: list[tuple[Kind, str, str]] = [
        ("model", "Qwen/Qwen3-0.6B", "---\nlibrary_name: transformers\n---\n# Qwen3-0.6B\n"),
        ("dataset", "HuggingFaceFW/fineweb", "---\nlicense: odc-by\n---\n# 🍷 FineWeb\n"),
        ("space", "mteb/leaderboard", "---\nlicense: mit\n---\n# MTEB Leaderboard\n"),
    ]
    for kind, name, card in cards:
        server.add_repository(name, {"README.md": card.encode()}, kind=kind)


def _card(**head: object) -> bytes:
    return f"---\n{json.dumps(head)}\n---\n# A card\n".encode()


def _safetensors(metadata: dict[str, str] | None = None) -> bytes:
    head = json.dumps({**({"__metadata__": metadata} if metadata else {}), **_SAFETENSORS}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(16)


def _models(server: HuggingFaceServer) -> dict[str, str]:
    names = "flax_model.msgpack merges.txt pytorch_model.bin tf_model.h5 vocab.json"
    dummy = {".gitattributes": b"*.bin filter=lfs\n", "README.md": b"# dummy\n", "config.json": b" " * 849 + b"{}"}
    dummy |= {name: name.encode() * 10 for name in names.split()}
    first = server.add_repository("julien-c/dummy-unknown", dummy)
    server.add_repository("julien-c/dummy-unknown", {**dummy, "README.md": b"# Dummy\n"})
    server.add_repository("julien-c/dummy-unknown", {**dummy, "README.md": b"# of a request\n"}, branch="refs/pr/1")
    server.add_repository("hf-internal-testing/dummy-will-be-renamed", {"config.json": b"{}"})
    server.rename_repository("hf-internal-testing/dummy-will-be-renamed", "hf-internal-testing/dummy-renamed")
    files = {f"file_{number}.txt": f"File {number}\n".encode() for number in range(2)}
    server.add_repository("hf-internal-testing/hfh-cache-layout", {".gitattributes": b"#", **files})
    for number in (2, 3):
        more = {".gitattributes": b"#", **files, f"file_{number}.txt": f"File {number}\n".encode()}
        server.add_repository("hf-internal-testing/hfh-cache-layout", more, branch=f"file-{number}")
    firsts = dict.fromkeys(
        ("f2c752cfc5c0ab6f4bdec59acea69eefbee381c2", "44c70f043cfe8162efc274ff531575e224a0e6f0"), first
    )
    return {**firsts, **_scanned(server), **_listed(server)}


def _scanned(server: HuggingFaceServer) -> dict[str, str]:
    """Add what the tests of the cache download: of so many bytes, in so many files."""
    name, files = "hf-internal-testing/hfh_ci_scan_repo_a", {".gitattributes": b"a" * 1477}
    other = server.add_repository(name, files)
    readme = b"# Read\n\n"
    main = server.add_repository(name, {**files, "README.md": readme})
    request = server.add_repository(name, {**files, "README.md": readme, "more.txt": b"m" * 16}, branch="refs/pr/1")
    dataset = "hf-internal-testing/hfh_ci_scan_dataset_b"
    server.add_repository(dataset, {"README.md": b"d" * 2265}, kind="dataset")
    blob = hashlib.sha1(b"blob %d\0" % len(readme) + readme, usedforsecurity=False).hexdigest()
    return {
        "c0d57e03d9f128062eadb6665618982db612b2e3": main,
        "1a665a9d28a66b1d0f8edd9359fc824aacc63234": request,
        "f95875cd910793299a545417cc4b3c9055202883": other,
        "fffc22b462ba2368b09b4d38527760051c9090a9": blob,
    }


def _listed(server: HuggingFaceServer) -> dict[str, str]:
    """Add what the tests of listings ask for, and models that are asked for by name."""
    name = "prompthero/openjourney-v4"
    files = {f"{part}/config.json": b"{}" for part in ("scheduler", "text_encoder", "tokenizer", "unet", "vae")}
    files |= {".gitattributes": b"", "README.md": b"#", "model_index.json": b"{}", "a.safetensors": b"a"}
    folder = server.add_repository(name, {**files, "feature_extractor/preprocessor_config.json": b"{}"})
    files |= {"feature_extractor/preprocessor_config.json": b"{}", "openjourney-v4.ckpt": b"weights"}
    model = server.add_repository(name, files)
    last = server.add_repository(name, {**files, "README.md": b"# openjourney"})
    gpt2 = {"README.md": b"# GPT-2\n", "model.safetensors": _safetensors(), "config.json": b"{}"}
    server.add_repository("gpt2", gpt2, xet=True)
    server.rename_repository("gpt2", "openai-community/gpt2")
    sha256 = hashlib.sha256(gpt2["model.safetensors"]).hexdigest()
    xet_hash = hashlib.sha256(sha256.encode()).hexdigest()
    server.add_repository("openchat/openchat_3.5", {"config.json": b"{}"})
    for number in (1, 2, 3):
        server.add_repository("openchat/openchat_3.5", {"a": str(number).encode()}, branch=f"refs/pr/{number}")
    zephyr = {"README.md": _card(widget=[{"text": "Hello"}], license="mit"), "config.json": b"{}"}
    for name in ("HuggingFaceH4/zephyr-7b-beta", "zai-org/GLM-5.2"):
        server.add_repository(name, zephyr)
    server.add_repository("huggingface-hub-ci/test_safetensors_metadata", {"config.json": b"{}"})
    both = {"config.json": b"{}", "model.safetensors": _safetensors({"format": "pt"})}
    server.add_repository("huggingface-hub-ci/test_safetensors_metadata", both, branch="refs/pr/1")
    server.add_repository("bigscience/bloomz-560m", {"model.safetensors": _safetensors({"format": "pt"})})
    server.add_repository("celinah/dummy-xet-testing", {"dummy.safetensors": _safetensors()}, xet=True)
    return {
        "c9211c53404dd6f4cfac5f04f33535892260668e": last,
        "bda967fdb79a50844e4a02cccae3217a8ecc86cd": model,
        "47b62b20b20e06b9de610e840282b7e6c3d51190": folder,
        "63bed80836ee0758c8fd4f8975d59bb0b864263ee2753547c358e8a37cde8758": xet_hash,
    }


def _datasets(server: HuggingFaceServer) -> dict[str, str]:
    card = _card(license="mit", language=["en"], tags=["assistants"])
    first = server.add_repository("gaia-benchmark/GAIA", {"README.md": card}, kind="dataset")
    server.add_repository("gaia-benchmark/GAIA", {"README.md": card, "a.parquet": b"rows"}, kind="dataset")
    squad = {"custom_squad.py": b"# squad\n", "README.md": card, "train.parquet": b"rows"}
    second = server.add_repository("lhoestq/custom_squad", squad, kind="dataset")
    server.add_repository("lhoestq/custom_squad", {**squad, "more.txt": b"more"}, kind="dataset")
    server.add_repository("bigcode/admin", {"README.md": card}, kind="dataset")
    server.add_repository("bigcode/admin", {"a.parquet": b"rows"}, kind="dataset", branch="refs/convert/parquet")
    for name in ("HuggingFaceH4/no_robots", "Open-Orca/OpenOrca", "openai/gsm8k", "huggingface/DataMeasurementsFiles"):
        server.add_repository(name, {"README.md": card}, kind="dataset")
    c4 = server.add_repository(
        "allenai/c4", {"en/c4-train.00001-of-01024.json.gz": b"rows"}, kind="dataset", lfs=["*.gz"]
    )
    code = b"class MathQa:\n    pass\n"
    server.add_repository("allenai/math_qa", {"math_qa.py": code}, kind="dataset")
    return {
        "c603981e170e9e333934a39781d2ae3a2677e81f": first,
        "e25d55a1c4933f987c46cc75d8ffadd67f257c61": second,
        "607bd4c8450a42878aa9ddc051a65a055450ef87": c4,
    }


def _spaces(server: HuggingFaceServer) -> dict[str, str]:
    linked = {"models": ["bert-base-uncased"], "datasets": ["wikipedia"]}
    names = ["HuggingFaceH4/zephyr-chat", "black-forest-labs/FLUX.1-dev", "a/wikipedia", "a/linked"]
    names += [f"julien-c/space-{number}" for number in range(110)]
    for likes, name in enumerate(names):
        files = {"README.md": _card(title=name, sdk="gradio", **linked), "app.py": b""}
        server.add_repository(name, files, kind="space", likes=likes)
    dreambooth = {"README.md": _card(title="Dreambooth Training", sdk="gradio")}
    server.add_repository("multimodalart/dreambooth-training", dreambooth, kind="space")
    return {}


def _found_by_searches(server: HuggingFaceServer) -> dict[str, str]:
    """Add as many of each as the tests of searches want to find."""
    tags = ["bert", "jax", "adapter-transformers"]
    models: list[tuple[str, dict[str, object]]] = [
        *((f"google/bert-{number}", dict[str, object](tags=tags)) for number in range(120)),
        ("muellerzr/model", {}),
        ("facebook/bart-base", {}),
        ("microsoft/wavlm-base-sd", {"tags": ["pytorch"]}),
        ("albert/albert-base-v2", {"pipeline_tag": "fill-mask"}),
        ("HuggingFaceBR4/model", {"tags": ["tensorboard"]}),
        ("a/french", {"language": ["fr"]}),
        ("a/emissions", {"tags": ["co2_eq_emissions"], "co2_eq_emissions": 20}),
    ]
    for number, (name, head) in enumerate(models):
        files = {"README.md": _card(**{"co2_eq_emissions": 1, **head}), "config.json": b'{"model_type": "bert"}'}
        server.add_repository(name, files, likes=number, downloads=number, gated=number % 7 == 1)
    keys = {
        "benchmark": "official",
        "language_creators": "crowdsourced",
        "language": ["en", "fr"],
        "multilinguality": "multilingual",
        "size_categories": "100K<n<1M",
        "task_categories": "audio-classification",
        "task_ids": "natural-language-inference",
        "tags": ["fiftyone"],
    }
    for number in range(120):
        files = {"README.md": _card(**keys)}
        name = f"{'huggingface' if number % 2 else 'many'}/wikipedia-{number}"
        server.add_repository(name, files, kind="dataset", gated=number % 7 == 1)
    return {}
