"""Published models: the layers and heads of their configurations, and the cache that follows.

A row is a model in one program. ``tokens`` is an expression, which shows the factors: layers x (keys and values) x
heads x head length. ``bytes`` of an element is 2 everywhere: the cache is in F16.
"""

from math import ceil
from typing import Any, Final, Literal, NamedTuple

__all__ = ["PUBLISHED", "Published", "elements", "row"]

_Config = dict[str, Any]  # Any: what configurations hold


class Published(NamedTuple):
    """A published model.

    Attributes:
        name: As its hub calls it.
        config: What its ``config.json`` says, as far as it matters.
        elements: How many elements a context of ``n`` tokens leaves, as an expression; ``window(w)`` stands for what
            a layer keeps that sees ``w`` tokens.
        runtime: The program.
    """

    name: str
    config: _Config
    elements: str
    runtime: Literal["llama.cpp", "vllm", "transformers"] = "transformers"


def elements(model: Published, n: int) -> int:
    """Return what the expression of a row comes to."""

    def window(tokens: int) -> int:
        if model.runtime == "llama.cpp":
            return min(n, ceil(min(n, tokens + 512) / 256) * 256)
        return min(n, tokens)

    return int(eval(model.elements, {"n": n, "window": window}))  # the expressions are those of this file


def _llama(layers: int, heads: int, width: int, kv: int | None = None, **more: Any) -> _Config:  # Any: as above
    config = {"model_type": "llama", "num_hidden_layers": layers, "num_attention_heads": heads, "hidden_size": width}
    return config | ({} if kv is None else {"num_key_value_heads": kv}) | more


def _latent(layers: int, heads: int, width: int) -> _Config:
    ranks = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}
    return _llama(layers, heads, width, heads, model_type="deepseek_v3", **ranks)


def _gemma3(layers: int, heads: int, kv: int, length: int, window: int) -> _Config:
    text = _llama(layers, heads, 8 * heads, kv, head_dim=length, sliding_window=window, model_type="gemma3_text")
    return {"model_type": "gemma3", "text_config": text}


def _gemma3n(layers: int, shared: int) -> _Config:
    kinds = [("full" if index % 5 == 4 else "sliding") + "_attention" for index in range(layers)]
    text = _llama(layers, 8, 2048, 2, head_dim=256, sliding_window=512, layer_types=kinds, model_type="gemma3n_text")
    return {"model_type": "gemma3n", "text_config": text | {"num_kv_shared_layers": shared}}


def _gpt_oss(layers: int) -> _Config:
    kinds = ["sliding_attention", "full_attention"] * (layers // 2)
    return _llama(layers, 64, 2880, 8, head_dim=64, sliding_window=128, layer_types=kinds, model_type="gpt_oss")


_SCOUT: Final = {
    "model_type": "llama4",
    "text_config": _llama(48, 40, 5120, 8, head_dim=128, attention_chunk_size=8192, no_rope_layers=[1, 1, 1, 0] * 12)
    | {"model_type": "llama4_text"},
}
_QWEN = {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 131_072, "max_window_layers": 28}
_NEXT: Final = _llama(48, 16, 2048, 2, head_dim=256, full_attention_interval=4, model_type="qwen3_next") | {
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}
_JAMBA: Final = _llama(32, 32, 4096, 8, attn_layer_period=8, attn_layer_offset=4, model_type="jamba") | {
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
}
_MAMBA2: Final = {"model_type": "mamba2", "num_hidden_layers": 64, "hidden_size": 2560, "num_heads": 80, "head_dim": 64}
_NEMOTRON: Final = _llama(52, 32, 4096, 8, head_dim=128, model_type="nemotron_h") | {
    "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
    "ssm_state_size": 128,
    "conv_kernel": 4,
    "mamba_num_heads": 128,
    "mamba_head_dim": 64,
    "n_groups": 8,
}
_WHISPER: Final = {
    "model_type": "whisper",
    "is_encoder_decoder": True,
    "decoder_layers": 32,
    "decoder_attention_heads": 20,
    "d_model": 1280,
    "max_source_positions": 1500,
}

_GEMMA_3_4B: Final = {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34, "sliding_window": 1024}

PUBLISHED: Final = (
    Published(
        "openai-community/gpt2",
        {"model_type": "gpt2", "n_layer": 12, "n_head": 12, "n_embd": 768},
        "12 * 2 * 12 * 64 * n",
    ),
    Published("EleutherAI/gpt-neox-20b", _llama(44, 64, 6144, model_type="gpt_neox"), "44 * 2 * 64 * 96 * n"),
    Published(
        "bigscience/bloom-7b1",
        {"model_type": "bloom", "n_layer": 30, "n_head": 32, "n_embed": 4096},
        "30 * 2 * 32 * 128 * n",
    ),
    Published(
        "mosaicml/mpt-7b",
        {"model_type": "mpt", "n_layers": 32, "n_heads": 32, "d_model": 4096},
        "32 * 2 * 32 * 128 * n",
    ),
    Published(
        "tiiuae/falcon-7b",
        _llama(32, 71, 4544, multi_query=True, new_decoder_architecture=False, model_type="falcon"),
        "32 * 2 * 1 * 64 * n",
    ),
    Published(
        "tiiuae/falcon-40b",
        _llama(60, 128, 8192, num_kv_heads=8, new_decoder_architecture=True, multi_query=True, model_type="falcon"),
        "60 * 2 * 8 * 64 * n",
    ),
    Published(
        "bigcode/starcoder",
        {"model_type": "gpt_bigcode", "n_layer": 40, "n_head": 48, "n_embd": 6144, "multi_query": True},
        "40 * 2 * 1 * 128 * n",
    ),
    Published(
        "bigcode/starcoder2-7b",
        _llama(32, 36, 4608, 4, sliding_window=4096, model_type="starcoder2"),
        "32 * 2 * 4 * 128 * window(4096)",
    ),
    Published("meta-llama/Llama-2-7b-hf", _llama(32, 32, 4096, 32), "32 * 2 * 32 * 128 * n"),
    Published("meta-llama/Llama-2-70b-hf", _llama(80, 64, 8192, 8), "80 * 2 * 8 * 128 * n"),
    Published("meta-llama/Llama-3.1-8B", _llama(32, 32, 4096, 8), "32 * 2 * 8 * 128 * n"),
    Published("meta-llama/Llama-3.1-70B", _llama(80, 64, 8192, 8), "80 * 2 * 8 * 128 * n"),
    Published("meta-llama/Llama-3.1-405B", _llama(126, 128, 16384, 8), "126 * 2 * 8 * 128 * n"),
    Published("meta-llama/Llama-3.2-1B", _llama(16, 32, 2048, 8, head_dim=64), "16 * 2 * 8 * 64 * n"),
    Published("meta-llama/Llama-3.2-3B", _llama(28, 24, 3072, 8, head_dim=128), "28 * 2 * 8 * 128 * n"),
    Published("meta-llama/Llama-4-Scout-17B-16E", _SCOUT, "2 * 8 * 128 * (12 * n + 36 * window(8192))", "llama.cpp"),
    Published(
        "mistralai/Mistral-7B-v0.1",
        _llama(32, 32, 4096, 8, sliding_window=4096, model_type="mistral"),
        "32 * 2 * 8 * 128 * window(4096)",
    ),
    Published(
        "mistralai/Mistral-7B-v0.3",
        _llama(32, 32, 4096, 8, sliding_window=None, model_type="mistral"),
        "32 * 2 * 8 * 128 * n",
    ),
    Published("mistralai/Mixtral-8x7B-v0.1", _llama(32, 32, 4096, 8, model_type="mixtral"), "32 * 2 * 8 * 128 * n"),
    Published(
        "mistralai/Mistral-Nemo-Base-2407",
        _llama(40, 32, 5120, 8, head_dim=128, sliding_window=None, model_type="mistral"),
        "40 * 2 * 8 * 128 * n",
    ),
    Published("Qwen/Qwen2.5-0.5B", _llama(24, 14, 896, 2, **_QWEN), "24 * 2 * 2 * 64 * n"),
    Published("Qwen/Qwen2.5-7B", _llama(28, 28, 3584, 4, **_QWEN), "28 * 2 * 4 * 128 * n"),
    Published("Qwen/Qwen2.5-32B", _llama(64, 40, 5120, 8, **_QWEN), "64 * 2 * 8 * 128 * n"),
    Published("Qwen/Qwen2.5-72B", _llama(80, 64, 8192, 8, **_QWEN), "80 * 2 * 8 * 128 * n"),
    Published("Qwen/Qwen3-8B", _llama(36, 32, 4096, 8, head_dim=128, model_type="qwen3"), "36 * 2 * 8 * 128 * n"),
    Published(
        "Qwen/Qwen3-30B-A3B", _llama(48, 32, 2048, 4, head_dim=128, model_type="qwen3_moe"), "48 * 2 * 4 * 128 * n"
    ),
    Published(
        "Qwen/Qwen3-235B-A22B", _llama(94, 64, 4096, 4, head_dim=128, model_type="qwen3_moe"), "94 * 2 * 4 * 128 * n"
    ),
    Published("Qwen/Qwen3-Next-80B-A3B-Instruct", _NEXT, "12 * 2 * 2 * 256 * n"),
    Published(
        "google/gemma-2-2b",
        _llama(26, 8, 2304, 4, head_dim=256, sliding_window=4096, model_type="gemma2"),
        "2 * 4 * 256 * (13 * n + 13 * window(4096))",
    ),
    Published(
        "google/gemma-2-27b",
        _llama(46, 32, 4608, 16, head_dim=128, sliding_window=4096, model_type="gemma2"),
        "2 * 16 * 128 * (23 * n + 23 * window(4096))",
    ),
    Published("google/gemma-3-1b-it", _gemma3(26, 4, 1, 256, 512), "2 * 1 * 256 * (4 * n + 22 * window(512))"),
    Published(
        "google/gemma-3-4b-it",
        {"model_type": "gemma3", "text_config": _GEMMA_3_4B},
        "2 * 4 * 256 * (5 * n + 29 * window(1024))",
    ),
    Published(
        "google/gemma-3-4b-it",
        _gemma3(34, 8, 4, 256, 1024),
        "2 * 4 * 256 * (5 * n + 29 * window(1024))",
        "llama.cpp",
    ),
    # As its file is, which leaves out what is its class's default; so is that of Gemma 3 4B above.
    Published(
        "llava-hf/llava-1.5-7b-hf",
        {"model_type": "llava", "text_config": {"model_type": "llama", "max_position_embeddings": 4096}},
        "32 * 2 * 32 * 128 * n",
    ),
    Published("google/gemma-3-12b-it", _gemma3(48, 16, 8, 256, 1024), "2 * 8 * 256 * (8 * n + 40 * window(1024))"),
    Published("google/gemma-3-27b-it", _gemma3(62, 32, 16, 128, 1024), "2 * 16 * 128 * (10 * n + 52 * window(1024))"),
    Published("google/gemma-3n-E2B-it", _gemma3n(30, 10), "2 * 2 * 256 * (4 * n + 16 * window(512))", "llama.cpp"),
    Published("google/gemma-3n-E4B-it", _gemma3n(35, 15), "2 * 2 * 256 * (4 * n + 16 * window(512))"),
    Published(
        "microsoft/Phi-3-mini-4k-instruct",
        _llama(32, 32, 3072, 32, sliding_window=2047, model_type="phi3"),
        "32 * 2 * 32 * 96 * window(2047)",
    ),
    Published("microsoft/phi-4", _llama(40, 40, 5120, 10, model_type="phi3"), "40 * 2 * 10 * 128 * n"),
    Published("openai/gpt-oss-20b", _gpt_oss(24), "2 * 8 * 64 * (12 * n + 12 * window(128))", "llama.cpp"),
    Published("openai/gpt-oss-120b", _gpt_oss(36), "2 * 8 * 64 * (18 * n + 18 * window(128))"),
    Published("deepseek-ai/DeepSeek-V3", _latent(61, 128, 7168), "61 * 128 * (128 + 64 + 128) * n"),
    Published("deepseek-ai/DeepSeek-V3", _latent(61, 128, 7168), "61 * (512 + 64) * n", "vllm"),
    Published("deepseek-ai/DeepSeek-V2-Lite", _latent(27, 16, 2048), "27 * (512 + 64) * n", "vllm"),
    Published("moonshotai/Kimi-K2-Instruct", _latent(61, 64, 7168), "61 * (512 + 64) * n", "vllm"),
    Published(
        "zai-org/chatglm3-6b",
        {"num_layers": 28, "num_attention_heads": 32, "hidden_size": 4096, "kv_channels": 128}
        | {"multi_query_attention": True, "multi_query_group_num": 2},
        "28 * 2 * 2 * 128 * n",
    ),
    Published(
        "databricks/dbrx-base",
        {"model_type": "dbrx", "n_layers": 40, "n_heads": 48, "d_model": 6144, "attn_config": {"kv_n_heads": 8}},
        "40 * 2 * 8 * 128 * n",
    ),
    Published(
        "CohereLabs/c4ai-command-r7b-12-2024",
        _llama(32, 32, 4096, 8, sliding_window=4096, sliding_window_pattern=4, model_type="cohere2"),
        "2 * 8 * 128 * (8 * n + 24 * window(4096))",
    ),
    Published("allenai/OLMo-2-1124-7B", _llama(32, 32, 4096, 32, model_type="olmo2"), "32 * 2 * 32 * 128 * n"),
    Published("HuggingFaceTB/SmolLM2-1.7B", _llama(24, 32, 2048, 32), "24 * 2 * 32 * 64 * n"),
    Published(
        "ibm-granite/granite-3.3-8b-instruct", _llama(40, 32, 4096, 8, model_type="granite"), "40 * 2 * 8 * 128 * n"
    ),
    Published("ai21labs/Jamba-v0.1", _JAMBA, "4 * 2 * 8 * 128 * n"),
    Published("nvidia/Nemotron-H-8B-Base-8K", _NEMOTRON, "4 * 2 * 8 * 128 * n"),
    Published("state-spaces/mamba2-2.7b", _MAMBA2 | {"state_size": 128, "conv_kernel": 4}, "0"),
    Published("google-bert/bert-base-uncased", _llama(12, 12, 768, model_type="bert"), "0"),
    Published("openai/whisper-large-v3", _WHISPER, "32 * 2 * 20 * 64 * n"),
)


def row(model: Published) -> str:
    """Return a model's line of the table in the documentation."""
    sizes = " | ".join(f"{2 * elements(model, n) / 1024**2:,.0f}" for n in (8192, 131_072))
    return f"| {model.name} | {model.runtime} | {sizes} | `{model.elements}` |"
