"""What configurations inside others leave out: transformers writes only what is not the default of its class.

``google/gemma-3-4b-it`` does not say how many heads it has, and ``llava-hf/llava-1.5-7b-hf`` says of its Llama no more
than its kind. The values are those of transformers 5.24, with which ``nox -s oracles`` compares them:
https://github.com/huggingface/transformers/tree/main/src/transformers/models.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["DEFAULTS", "with_defaults"]

_LLAMA: Final = {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096}
_QWEN_VL: Final = {
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "hidden_size": 8192,
    "max_position_embeddings": 32_768,
}
#: By ``model_type``.
DEFAULTS: Final[Mapping[str, Mapping[str, int]]] = {
    "gemma": {
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "hidden_size": 3072,
        "head_dim": 256,
        "max_position_embeddings": 8192,
    },
    "gemma2": {
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "hidden_size": 2304,
        "head_dim": 256,
        "sliding_window": 4096,
        "max_position_embeddings": 8192,
    },
    "gemma3_text": {
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "hidden_size": 2304,
        "head_dim": 256,
        "sliding_window": 4096,
        "max_position_embeddings": 131_072,
    },
    "llama": {**_LLAMA, "max_position_embeddings": 2048},
    "mistral": {
        **_LLAMA,
        "num_key_value_heads": 8,
        "sliding_window": 4096,
        "max_position_embeddings": 131_072,
    },
    "mllama_text_model": {
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "hidden_size": 4096,
        "max_position_embeddings": 131_072,
    },
    "qwen2": {**_LLAMA, "num_key_value_heads": 32, "max_position_embeddings": 32_768},
    "qwen2_vl_text": _QWEN_VL,
    "qwen2_5_vl_text": _QWEN_VL,
}


def with_defaults(config: Mapping[str, object]) -> Mapping[str, object]:
    """Return a configuration that was inside another one, with what its class fills in where it says nothing."""
    return {**DEFAULTS.get(str(config.get("model_type")), {}), **config}
