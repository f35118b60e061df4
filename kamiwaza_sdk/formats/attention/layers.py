"""Which layers of a configuration keep keys and values, and how far each looks back.

Each model names it in its own way; the names are those of its class in
https://github.com/huggingface/transformers/tree/main/src/transformers/models.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from kamiwaza_sdk.formats.attention.numbers import MAX_LAYERS, number

__all__ = ["Layer", "LayerKind", "find_layers"]

LayerKind: TypeAlias = Literal["full", "window", "recurrent", "none"]

#: What the words of ``layer_types`` and the like mean here.
_WORDS: Final[dict[str, LayerKind]] = {
    "attention": "full",
    "full_attention": "full",
    "global": "full",
    "hybrid": "full",
    "sliding_attention": "window",
    "chunked_attention": "window",
    "local": "window",
    "linear_attention": "recurrent",
    "mamba": "recurrent",
    "mamba2": "recurrent",
    "recurrent": "recurrent",
    "conv": "recurrent",
    "moe": "none",
    "mlp": "none",
}
#: Nemotron-H's letters: https://huggingface.co/nvidia/Nemotron-H-8B-Base-8K/blob/main/configuration_nemotron_h.py.
_LETTERS: Final[dict[str, LayerKind]] = {"M": "recurrent", "*": "full", "-": "none", "E": "none"}
#: Every n-th layer of these sees all tokens, and the others a window, where the configuration does not list them.
_PATTERNS: Final = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4, "llama4": 4, "llama4_text": 4}
#: Of these, every layer sees no more than ``sliding_window``.
_ALL_WINDOWED: Final = frozenset({"mistral", "mixtral", "phi3", "starcoder2", "phi4mm", "phimoe"})


class Layer(NamedTuple):
    """One layer: what it keeps, how far it looks back, and its number of KV heads where that is its own."""

    kind: LayerKind
    window: int | None = None
    kv_heads: int | None = None


def find_layers(values: Mapping[str, object], count: int) -> list[Layer]:
    """Return the layers of a configuration, each as far as its kind is told; attention to all tokens where nothing is.

    Args:
        values: The configuration of the language model.
        count: How many layers it has.
    """
    configs = values.get("block_configs")
    if isinstance(configs, list) and 0 < len(configs) <= MAX_LAYERS:
        return [_block(config, values) for config in configs]
    kinds = _kinds(values, count)
    window = number(values, "attention_chunk_size", "sliding_window", "attention_window_size", "sliding_window_size")
    layers = [Layer(kind, window if kind == "window" else None) for kind in kinds]
    shared = number(values, "num_kv_shared_layers")
    return layers[: count - shared] if shared and shared < count else layers  # Gemma 3n: the last ones keep nothing


def _kinds(values: Mapping[str, object], count: int) -> list[LayerKind]:
    listed = _listed(values, count) or _periodic(values, count)
    if listed is not None:
        return listed
    if not _has_window(values):
        return ["full"] * count
    pattern = number(values, "sliding_window_pattern") or _PATTERNS.get(str(values.get("model_type")))
    if pattern is not None:
        return ["full" if (index + 1) % pattern == 0 else "window" for index in range(count)]
    if values.get("model_type") in _ALL_WINDOWED:
        return ["window"] * count
    if values.get("use_sliding_window") is True:  # Qwen 2: the first layers see all
        first = number(values, "max_window_layers") or 0
        return ["full" if index < first else "window" for index in range(count)]
    return ["full"] * count


def _has_window(values: Mapping[str, object]) -> bool:
    switched_off = values.get("use_sliding_window") is False
    return not switched_off and number(values, "sliding_window", "attention_chunk_size") is not None


def _listed(values: Mapping[str, object], count: int) -> list[LayerKind] | None:
    """Return the kinds where a configuration lists them, layer by layer or as a text of letters."""
    for name in ("layer_types", "layers_block_type"):
        words = values.get(name)
        if isinstance(words, list) and len(words) == count:
            return [_WORDS.get(str(word), "full") for word in words]
    letters = values.get("hybrid_override_pattern")
    if isinstance(letters, str) and len(letters) == count:
        return [_LETTERS.get(letter, "full") for letter in letters]
    rope = values.get("no_rope_layers")  # Llama 4: layers with positions see a chunk
    if isinstance(rope, list) and len(rope) == count and number(values, "attention_chunk_size"):
        return ["window" if flag else "full" for flag in rope]
    return None


def _periodic(values: Mapping[str, object], count: int) -> list[LayerKind] | None:
    """Return the kinds where a configuration tells which of the layers attend, by a period or by their numbers."""
    for name in ("attn_layer_indices", "full_attn_idxs"):
        indexes = values.get(name)
        if isinstance(indexes, list):
            return ["full" if index in indexes else "recurrent" for index in range(count)]
    if interval := number(values, "full_attention_interval"):
        return ["full" if (index + 1) % interval == 0 else "recurrent" for index in range(count)]
    if period := number(values, "attn_layer_period"):
        offset = values.get("attn_layer_offset")
        start = offset if type(offset) is int else 0
        return ["full" if index % period == start else "recurrent" for index in range(count)]
    blocks = values.get("block_types")  # RecurrentGemma: a pattern that repeats
    if isinstance(blocks, list) and blocks and number(values, "attention_window_size"):
        words = [str(block) for block in blocks]
        repeated: list[LayerKind] = [
            "window" if words[index % len(words)] == "attention" else "recurrent" for index in range(count)
        ]
        return repeated
    return None


def _block(config: object, values: Mapping[str, object]) -> Layer:
    """Return a layer of a model that was searched for block by block, as NVIDIA's Deci and Nemotron are."""
    attention = config.get("attention") if isinstance(config, dict) else None
    if not isinstance(attention, dict) or attention.get("no_op") is True:
        return Layer("none")
    if attention.get("replace_with_linear") is True:
        return Layer("none")
    heads, group = number(values, "num_attention_heads"), number(attention, "n_heads_in_group")
    kv_heads = number(attention, "num_key_value_heads") or (heads // group if heads and group else None)
    return Layer("full", number(attention, "window_length"), kv_heads)
