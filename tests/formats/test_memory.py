"""The estimate of memory, against figures that others have published."""

import json
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import InvalidInputException, estimate_memory
from kamiwaza_sdk.formats import (
    AttentionLayersSchema,
    AttentionSchema,
    RepositoryDetailsSchema,
    SafetensorsSchema,
    describe_repository,
)
from tests.formats.published import PUBLISHED, Published, elements, row

LLAMA_2_7B = {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096}
LLAMA_3_8B = LLAMA_2_7B | {"num_key_value_heads": 8}
LLAMA_31_405B = {"num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8, "hidden_size": 16384}
QWEN_25_72B = {"num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "hidden_size": 8192}
DEEPSEEK_V3 = {
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "hidden_size": 7168,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
}


def repository(config: dict[str, Any]) -> RepositoryDetailsSchema:  # Any: what configurations hold
    return describe_repository({"config.json": json.dumps(config).encode()}, {})


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # "Insights into DeepSeek-V3", table 1, https://arxiv.org/abs/2505.09343: KV cache per token, in BF16, in KB.
        pytest.param(DEEPSEEK_V3, 70_272, id="DeepSeek-V3"),
        pytest.param(QWEN_25_72B, 327_680, id="Qwen 2.5 72B"),
        pytest.param(LLAMA_31_405B, 516_096, id="Llama 3.1 405B"),
        # https://developer.nvidia.com/blog/mastering-llm-techniques-inference-optimization/: ~2 GB at 4096 tokens.
        pytest.param(LLAMA_2_7B, 2 * 1024**3 // 4096, id="Llama 2 7B"),
        # The same with a quarter of the heads: 16 GiB at 131,072 tokens, as dev.to/jagmarques lists it.
        pytest.param(LLAMA_3_8B, 16 * 1024**3 // 131_072, id="Llama 3 8B"),
    ],
)
def test_memory_of_a_token_matches_published_figures(config: dict[str, Any], expected: int) -> None:
    assert estimate_memory(repository(config), context_length=1, cache_dtype="BF16", runtime="vllm").cache == expected


def test_the_cache_of_llama_2_7b_takes_2_gib_at_4096_tokens() -> None:
    assert estimate_memory(repository(LLAMA_2_7B), context_length=4096).cache == 2 * 1024**3


@pytest.mark.parametrize(
    ("config", "elements"),
    [
        ({"n_layer": 12, "n_head": 12, "n_embd": 768}, 12 * 2 * 768),
        ({"n_layer": 32, "n_head": 71, "hidden_size": 4544, "multi_query": True}, 32 * 2 * 64),
        ({"text_config": LLAMA_3_8B}, 65_536),
        ({**LLAMA_3_8B, "head_dim": 256}, 131_072),
        ({**LLAMA_3_8B, "layer_types": ["linear_attention"] * 24 + ["full_attention"] * 8}, 16_384),
    ],
    ids=["GPT-2", "Falcon 7B", "in a model of images", "wide heads", "mostly linear"],
)
def test_special_configurations_are_estimated(config: dict[str, Any], elements: int) -> None:
    attention = repository(config).attention
    assert attention is not None
    assert attention.elements_per_token == elements


@pytest.mark.parametrize("config", [{}, {**LLAMA_3_8B, "is_encoder_decoder": True}, {"num_hidden_layers": 10**9}])
def test_incomplete_configurations_have_weights_and_no_cache(config: dict[str, Any]) -> None:
    model = repository(config)
    assert estimate_memory(model, context_length=0).weights == 0
    estimate = estimate_memory(model, context_length=1)
    assert estimate.total is None
    assert estimate.reason


def test_weights_and_cache_add_up_and_quantized_caches_are_smaller() -> None:
    layers = (AttentionLayersSchema(count=32, kv_heads=8, key_length=128, value_length=128),)
    attention = AttentionSchema(layers=layers)
    model = RepositoryDetailsSchema(size=16_060_522_496, attention=attention)
    estimate = estimate_memory(model, context_length=8192)
    assert estimate.total == 16_060_522_496 + 1024**3
    assert estimate_memory(model, context_length=8192, cache_dtype="Q8_0").cache == 1024**3 * 34 // 64


@pytest.mark.parametrize(
    ("length", "dtype", "field"),
    [
        (-1, "F16", "context_length"),
        ("8192", "F16", "context_length"),
        (None, "F16", "context_length"),
        (1, "FP3", "cache_dtype"),
        (1, ["F16"], "cache_dtype"),
    ],
)
def test_invalid_arguments_are_refused(length: Any, dtype: Any, field: str) -> None:
    with pytest.raises(InvalidInputException) as raised:
        estimate_memory(repository(LLAMA_3_8B), context_length=length, cache_dtype=dtype)
    assert raised.value.field == field


@pytest.mark.parametrize("model", ["model.gguf", None, SafetensorsSchema.model_construct()])
def test_descriptions_without_layers_are_refused(model: Any) -> None:
    with pytest.raises(InvalidInputException, match=f"^model is of kind {type(model).__name__}, .* inspect_directory"):
        estimate_memory(model, context_length=1)


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: f"{model.name} in {model.runtime}")
@pytest.mark.parametrize("tokens", [8192, 131_072])
def test_the_cache_of_published_models_follows_from_their_layers(model: Published, tokens: int) -> None:
    estimate = estimate_memory(repository(model.config), context_length=tokens, runtime=model.runtime)
    assert estimate.cache == 2 * elements(model, tokens)


def test_the_page_of_published_models_shows_these_figures() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/memory.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("| ") and " | `" in line]
    assert shown == [row(model) for model in PUBLISHED]
