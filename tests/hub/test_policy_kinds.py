"""What policies say of formats of weights, of other files, of code in them, and of what was not looked into."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kamiwaza_sdk import HubService, Policy, StorageConfig, StorageService
from tests.formats.kinds import ARCHIVES, BY_HEAD, tarred, zipped
from tests.formats.test_onnx import branched
from tests.hub.registering import violations_at_registration
from tests.hub.test_policy_rules import WEIGHTS, laid


def with_other_files(model: Path) -> None:
    """Lay out weights with what is no format of weights, and hides no pickle."""
    laid(model, {"model.safetensors": WEIGHTS, "tokenizer.model": BY_HEAD["sentencepiece"][0]})
    laid(model, {"images.zip": zipped(ARCHIVES["zip"]), "runs/events": BY_HEAD["tensorboard"][0]})
    laid(model, {"data.tar.gz": tarred({"a.txt": b"text"}, mode="w:gz"), "saved_model.mo": b"\xde\x12\x04\x95"})


async def violations(model: Path, policy: Policy) -> list[tuple[str | None, str, str]]:
    """Return what a plan has against a directory: the same as is found once it is fetched."""
    with TemporaryDirectory() as root:
        storage = StorageService(StorageConfig(root=Path(root)))
        hub = HubService(storage=storage)
        plan = await hub.plan(model, policy=policy)
        assert violations_at_registration(await hub.fetch(model), policy, hub) == plan.violations
    return [(one.path, one.rule, one.kind) for one in plan.violations]


async def test_what_is_no_format_of_weights_fails_no_policy(tmp_path: Path) -> None:
    with_other_files(tmp_path)
    assert await violations(tmp_path, Policy(formats=("safetensors",), worst_pickle="safe")) == []


@pytest.mark.parametrize("kind", ["keras", "tflite", "fasttext", "flax", "savedmodel", "tensorrt", "hdf5"])
async def test_weights_of_other_formats_fail_a_policy_that_does_not_name_them(kind: str, tmp_path: Path) -> None:
    laid(tmp_path, {"model.safetensors": WEIGHTS, "other": BY_HEAD[kind][0]})
    assert await violations(tmp_path, Policy(formats=("safetensors",))) == [("other", "formats", "bad")]
    assert await violations(tmp_path, Policy(formats=("safetensors", kind), worst_pickle="safe")) == []


async def test_weights_without_a_mark_are_told_by_the_files_beside_them(tmp_path: Path) -> None:
    graph = BY_HEAD["openvino"][0]
    laid(tmp_path, {"m.xml": graph, "m.bin": bytes(range(1, 200)), "params_shard_0.bin": bytes(range(9, 200))})
    assert await violations(tmp_path, Policy(formats=("openvino", "mlc"), worst_pickle="safe")) == []
    found = await violations(tmp_path, Policy(formats=("safetensors",)))
    assert found == [(path, "formats", "bad") for path in ("m.bin", "m.xml", "params_shard_0.bin")]


async def test_what_is_packed_and_was_not_looked_into_does_not_pass(tmp_path: Path) -> None:
    laid(
        tmp_path,
        {"model.safetensors": WEIGHTS, "model.joblib": BY_HEAD["7z"][0], "a.tar.zst": BY_HEAD["zstandard"][0]},
    )
    policy = Policy(worst_pickle="dangerous")
    expected = [(path, "worst_pickle", "unreadable") for path in ("a.tar.zst", "model.joblib")]
    assert await violations(tmp_path, policy) == expected
    assert await violations(tmp_path, Policy(formats=("safetensors",))) == []


async def test_code_in_other_formats_is_judged_as_that_of_pickles(tmp_path: Path) -> None:
    kept = {"class_name": "Sequential", "config": {"layers": [{"class_name": "__lambda__", "config": {}}]}}
    archive = zipped(ARCHIVES["keras"] | {"config.json": json.dumps(kept).encode()})
    laid(tmp_path, {"model.keras": archive})
    assert await violations(tmp_path, Policy(worst_pickle="suspicious")) == [("model.keras", "worst_pickle", "bad")]


async def test_weights_outside_of_the_directory_of_an_onnx_file_are_a_violation_of_any_policy(tmp_path: Path) -> None:
    model = branched("../../secret").SerializeToString()
    laid(tmp_path, {"model.onnx": model, "model.data": bytes(99), "constants.data": b"1", "loops/loop.data": b"2"})
    assert await violations(tmp_path, Policy()) == [("model.onnx", "content", "bad")]
    assert await violations(tmp_path, Policy(formats=("onnx",), worst_pickle="safe")) == [
        ("model.onnx", "content", "bad")
    ]
