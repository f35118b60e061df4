"""Repositories: their texts and headers together, checked against each other."""

import json
from pathlib import Path

import pytest

from kamiwaza_sdk import FormatException, inspect_directory, inspect_file
from kamiwaza_sdk.formats import (
    FormatLimitException,
    MalformedFileException,
    RepositoryDetailsSchema,
    SafetensorsSchema,
    combine_shards,
    describe_repository,
    inspect_shards,
)
from tests.formats.making import entry, safetensors_file
from tests.formats.test_gguf import write
from tests.formats.test_pickles import WEIGHTS, named

CARD = """---
license: apache-2.0  # as it is
language:
- en
- "de"
pipeline_tag: sentence-similarity
library_name: sentence-transformers
tags: [embedding, 'fast: very']
base_model: org/base
model-index:
- name: x
  results:
    - task: y
---
# Title
license: mit
"""


def shards(directory: Path, *, claimed: int = 12) -> Path:
    directory.mkdir(exist_ok=True)
    for name, tensor in (("a", "x"), ("b", "y")):
        file = safetensors_file({tensor: entry("F16", [3], 0, 6)}, bytes(6))
        (directory / f"{name}.safetensors").write_bytes(file)
    weight_map = {"x": "a.safetensors", "y": "b.safetensors"}
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": claimed}, "weight_map": weight_map}))
    return index


def test_repositories_are_described_by_their_files(tmp_path: Path) -> None:
    shards(tmp_path)
    config = {"architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512, "vocab_size": 30522}
    config |= {"num_hidden_layers": 6, "num_attention_heads": 12, "hidden_size": 384, "torch_dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "chat_template": "x"}')
    (tmp_path / "LICENSE").write_text("Permission is hereby granted, free of charge, … without restriction")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/evil.pt").write_bytes(named("os", "system"))
    (tmp_path / "extra/weights.pkl").write_bytes(WEIGHTS)
    (tmp_path / "extra/other.bin").write_bytes(bytes(100))
    found = inspect_directory(tmp_path)
    assert (found.architecture, found.model_type, found.task) == ("BertModel", "bert", "sentence-similarity")
    assert (found.languages, found.license, found.library) == (("en", "de"), "apache-2.0", "sentence-transformers")
    assert (found.tags, found.base_models) == (("embedding", "fast: very"), ("org/base",))
    assert (found.context_length, found.vocabulary_size, found.dtype) == (512, 30522, "float32")
    assert (found.tokenizer, found.has_chat_template) == ("BertTokenizer", True)
    assert (found.parameters, found.parameters_by_dtype) == (6, {"F16": 6})
    assert found.formats == ("pickle", "safetensors")
    assert found.verdicts == {"extra/evil.pt": "dangerous", "extra/weights.pkl": "safe"}
    assert found.attention is not None
    assert found.attention.elements_per_token == 0  # an encoder answers at once
    assert RepositoryDetailsSchema.model_validate_json(found.model_dump_json()) == found


def test_several_models_are_described_by_their_common_facts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.gguf", words=70)
    found = inspect_directory(tmp_path)
    assert (found.variant, found.parameters, found.size) == (None, None, None)
    assert "choose one of a.gguf, b.gguf" in (found.parameters_problem or "")
    assert (found.architecture, found.quantization, found.context_length) == ("llama", "Q4_K", 4096)
    found = inspect_directory(tmp_path, variant="a.gguf")
    assert (found.architecture, found.quantization, found.context_length) == ("llama", "Q4_K", 4096)
    assert (found.parameters, found.size) == (2208, (tmp_path / "a.gguf").stat().st_size)
    assert (found.tokenizer, found.license, found.has_chat_template) == ("gpt2", "mit", True)


def test_links_to_files_are_followed_and_links_to_directories_are_not(
    tmp_path: Path,
) -> None:
    shards(tmp_path / "blobs")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (snapshot / path.name).symlink_to(path)
    (snapshot / "again").symlink_to(snapshot)
    (snapshot / "gone.safetensors").symlink_to("nowhere")
    assert inspect_directory(snapshot).parameters == 6


def test_an_empty_directory_has_an_empty_description(tmp_path: Path) -> None:
    assert inspect_directory(tmp_path) == RepositoryDetailsSchema(size=0)


@pytest.mark.parametrize("name", ["typo", "file"])
def test_paths_that_are_no_directories_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=name):
        inspect_directory(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("config.json", "<html>", MalformedFileException),
        ("config.json", "[]", MalformedFileException),
        ("config.json", '{"a":' + "[" * 100_000, MalformedFileException),
        ("tokenizer_config.json", "{", MalformedFileException),
        ("config.json", " " * (4 * 1024**2 + 1), FormatLimitException),
    ],
    ids=["a web page", "a list", "deep", "half", "large"],
)
def test_invalid_descriptions_are_refused(name: str, text: str, error: type[FormatException], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(error) as raised:
        inspect_directory(tmp_path)
    assert name in raised.value.path


def test_any_configuration_is_described() -> None:
    config = {"architectures": [1, None, "A"], "model_type": 7, "text_config": [], "num_hidden_layers": -1}
    config |= {"quantization_config": {"quant_method": "gptq"}, "max_position_embeddings": "many", "vocab_size": 1e9}
    found = describe_repository({"config.json": json.dumps(config).encode()}, {})
    assert (found.architecture, found.model_type, found.quantization) == ("A", None, "gptq")
    assert (found.context_length, found.vocabulary_size, found.attention) == (None, None, None)


def test_shards_and_their_index_are_one_model(tmp_path: Path) -> None:
    schema = inspect_shards(shards(tmp_path, claimed=13))
    assert list(schema.shards) == ["a.safetensors", "b.safetensors"]
    assert (schema.parameters, schema.parameters_by_dtype, schema.claimed_size) == (6, {"F16": 6}, 13)


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ({"weight_map": {"x": "a.safetensors"}}, None),
        ({"weight_map": {"y": "a.safetensors"}}, "is not in 'a.safetensors'"),
        ({"weight_map": {}, "metadata": 7}, None),
        ({"weight_map": {"x": "c.safetensors"}}, "is not there"),
        ({"weight_map": {"x": "../a.safetensors"}}, "does not lie beside"),
        ({"weight_map": {"x": "/etc/passwd"}}, "does not lie beside"),
        ({"weight_map": {"x": 7}}, "file names"),
        ({"weight_map": ["x"]}, "file names"),
        ({}, "file names"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(index: object, problem: str | None, tmp_path: Path) -> None:
    shards(tmp_path)
    there = {path.name: inspect_file(path) for path in tmp_path.glob("*.safetensors")}
    known = {name: schema for name, schema in there.items() if isinstance(schema, SafetensorsSchema)}
    if problem is None:
        combine_shards(json.dumps(index).encode(), known, path="index")
        return
    with pytest.raises(MalformedFileException, match=problem):
        combine_shards(json.dumps(index).encode(), known, path="index")


def test_tensors_that_the_index_omits_are_refused(tmp_path: Path) -> None:
    index = shards(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(
        safetensors_file({"x": entry("F16", [3], 0, 6), "hidden": entry("U8", [1], 6, 7)}, bytes(7))
    )
    with pytest.raises(MalformedFileException, match="'hidden' of 'a.safetensors' is not named"):
        inspect_shards(index)
    with pytest.raises(MalformedFileException, match="'hidden'"):
        inspect_directory(tmp_path)
