"""Finds the numbers that the memory of a context is computed from, in a configuration or in a GGUF file's keys."""

from collections.abc import Mapping
from typing import Final

from kamiwaza_sdk.formats.schemas.attention import AttentionSchema

__all__ = ["config_attention", "gguf_attention"]

#: More layers than any model has: what claims more says nothing.
MAX_LAYERS: Final = 10_000
MAX_NUMBER: Final = 2**31


def _number(values: Mapping[str, object], *names: str) -> int | None:
    """Return the first of these that is a usable number."""
    found = (values.get(name) for name in names)
    return next((value for value in found if type(value) is int and 0 < value < MAX_NUMBER), None)


def gguf_attention(metadata: Mapping[str, object], architecture: str | None) -> AttentionSchema | None:
    """Return what a GGUF file's keys say, `None` where they do not say enough."""
    values = {key.removeprefix(f"{architecture}."): value for key, value in metadata.items()}
    heads = values.get("attention.head_count_kv", values.get("attention.head_count"))
    layers = _number(values, "block_count")
    latent = _number(values, "attention.kv_lora_rank")
    if latent and layers and layers <= MAX_LAYERS:
        rope = _number(values, "rope.dimension_count") or 0
        return AttentionSchema(kv_heads=(1,) * layers, key_length=latent + rope, value_length=0)
    per_layer = _per_layer(heads, layers)
    key_length = _number(values, "attention.key_length") or _quotient(
        _number(values, "embedding_length"), _number(values, "attention.head_count")
    )
    if per_layer is None or not key_length:
        return None
    value_length = _number(values, "attention.value_length") or key_length
    return AttentionSchema(kv_heads=per_layer, key_length=key_length, value_length=value_length)


def _quotient(whole: int | None, parts: int | None) -> int | None:
    return whole // parts if whole and parts else None


def _per_layer(heads: object, layers: int | None) -> tuple[int, ...] | None:
    if isinstance(heads, tuple) and len(heads) <= MAX_LAYERS:
        return heads if all(type(count) is int and 0 <= count < MAX_NUMBER for count in heads) else None
    if type(heads) is int and 0 < heads < MAX_NUMBER and layers and layers <= MAX_LAYERS:
        return (heads,) * layers
    return None


def config_attention(config: Mapping[str, object]) -> AttentionSchema | None:
    """Return what a ``config.json`` says, `None` where it does not say enough, or of two stacks of layers."""
    inner = config.get("text_config")
    values = inner if isinstance(inner, dict) else config
    layers = _number(values, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    heads = _number(values, "num_attention_heads", "n_head", "n_heads", "num_heads")
    if not layers or not heads or layers > MAX_LAYERS or config.get("is_encoder_decoder") is True:
        return None
    layers = _attending(values, layers)
    if latent := _number(values, "kv_lora_rank"):
        length = latent + (_number(values, "qk_rope_head_dim") or 0)
        return AttentionSchema(kv_heads=(1,) * layers, key_length=length, value_length=0)
    length = _number(values, "head_dim") or _quotient(_number(values, "hidden_size", "n_embd", "d_model"), heads) or 0
    if not length:
        return None
    # Falcon's older configurations have a flag where others have a number.
    shared = 1 if values.get("multi_query") is True and values.get("new_decoder_architecture") is not True else None
    kv_heads = _number(values, "num_key_value_heads", "num_kv_heads", "n_head_kv") or heads
    return AttentionSchema(kv_heads=(shared or kv_heads,) * layers, key_length=length, value_length=length)


def _attending(values: Mapping[str, object], layers: int) -> int:
    """Return how many layers keep what they have seen token by token: those of linear attention do not."""
    kinds = values.get("layer_types")
    if not isinstance(kinds, list) or len(kinds) != layers:
        return layers
    return sum(str(kind).endswith("attention") and not str(kind).startswith("linear") for kind in kinds)
