"""Finds what a model keeps of each token in its ``config.json``."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.attention.defaults import with_defaults
from kamiwaza_sdk.formats.attention.layers import Layer, find_layers
from kamiwaza_sdk.formats.attention.numbers import MAX_LAYERS, State, attention_of, number, quotient
from kamiwaza_sdk.formats.schemas.attention import AttentionLayersSchema, AttentionSchema

__all__ = ["config_attention", "text_configuration"]

#: Under which names models of several kinds of input keep the configuration of their language model.
_INNER: Final = ("text_config", "llm_config", "language_config", "thinker_config", "text_model", "decoder")
_DEPTH: Final = 4
#: The head of DeepSeek-V2 and V3, where a configuration leaves it out.
_LATENT_HEAD: Final = 128
#: Models that answer at once, and so keep nothing: encoders, by ``model_type``.
_ENCODERS: Final = frozenset(
    {"albert", "bert", "camembert", "clip", "clip_text_model", "clip_vision_model", "convbert", "deberta", "deberta-v2"}
    | {"dinov2", "distilbert", "electra", "ernie", "esm", "eurobert", "gte", "hubert", "layoutlm", "longformer"}
    | {"modernbert", "mpnet", "new", "nomic_bert", "roberta", "roformer", "segformer", "siglip", "squeezebert", "swin"}
    | {"timm_wrapper", "vit", "wav2vec2", "wavlm", "xlm-roberta", "xmod", "t5encoder", "jina_bert", "snowflake_arctic"}
)
#: Models of recurrent layers alone.
_RECURRENT: Final = frozenset({"mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv5", "rwkv6", "rwkv7", "xlstm"})
_FAMILY_LAYERS: Final = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers")
_FAMILY_HEADS: Final = ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads")
_WIDTH: Final = ("hidden_size", "n_embd", "n_embed", "d_model", "model_dim")


class _Lengths(NamedTuple):
    """The elements of a key and of a value, and of the latent vector that can stand for all of them."""

    key: int
    value: int
    latent: int | None


def text_configuration(config: Mapping[str, object]) -> Mapping[str, object]:
    """Return the part of a configuration that is of the language model, wherever it is nested."""
    for _ in range(_DEPTH):
        inner = next((value for name in _INNER if isinstance(value := config.get(name), dict)), None)
        if inner is None or number(config, *_FAMILY_LAYERS):
            return config
        config = with_defaults(inner)
    return config


def config_attention(config: Mapping[str, object]) -> AttentionSchema | None:
    """Return what a configuration says that is kept of each token; `None` where it does not say enough."""
    values = text_configuration(config)
    if _keeps_nothing(values):
        return AttentionSchema(layers=())
    count = number(values, *_FAMILY_LAYERS)
    if not count or count > MAX_LAYERS:
        return None
    if values.get("model_type") in _RECURRENT:
        return attention_of((), _states(values, count))
    layers = find_layers(values, count)
    kept = list(_attention_layers(values, layers))
    if len(kept) < sum(layer.kind in {"full", "window"} for layer in layers):
        return None
    crossed = values.get("is_encoder_decoder") is True or config.get("is_encoder_decoder") is True
    state = _crossed(values, count) if crossed else _states(values, sum(layer.kind == "recurrent" for layer in layers))
    return attention_of(kept, state)


def _keeps_nothing(values: Mapping[str, object]) -> bool:
    return values.get("model_type") in _ENCODERS and values.get("is_decoder") is not True


def _attention_layers(values: Mapping[str, object], layers: list[Layer]) -> Iterator[AttentionLayersSchema]:
    heads = _heads(values, len(layers))
    lengths = _lengths(values)
    for index, layer in enumerate(layers):
        kv_heads = layer.kv_heads or (heads[index] if index < len(heads) else None)
        if layer.kind in {"full", "window"} and kv_heads is not None and lengths is not None:
            yield AttentionLayersSchema(
                count=1,
                kv_heads=kv_heads,
                key_length=lengths.key,
                value_length=lengths.value,
                window=layer.window,
                latent_length=lengths.latent,
            )


def _lengths(values: Mapping[str, object]) -> _Lengths | None:
    rotary = number(values, "qk_rope_head_dim") or 0
    if latent := number(values, "kv_lora_rank"):
        usual = number(values, "head_dim") or _LATENT_HEAD
        key, value = number(values, "qk_nope_head_dim") or usual, number(values, "v_head_dim") or usual
        return _Lengths(key + rotary, value, latent + rotary)
    heads = number(values, *_FAMILY_HEADS)
    length = number(values, "attention_head_dim", "head_dim", "kv_channels", "d_kv")
    length = length or quotient(number(values, *_WIDTH), heads)
    return _Lengths(length, number(values, "v_head_dim") or length, None) if length else None


def _heads(values: Mapping[str, object], count: int) -> list[int]:
    """Return the KV heads of each layer; fewer where they are not told."""
    for name in ("num_key_value_heads", "num_kv_heads", "num_key_value_heads_per_layer"):
        listed = values.get(name)
        if isinstance(listed, list) and all(type(one) is int and 0 <= one < MAX_LAYERS for one in listed):
            return list(listed)
    heads = number(values, *_FAMILY_HEADS)
    if number(values, "kv_lora_rank"):
        return [heads] * count if heads else []
    # Falcon's older configurations, and those of StarCoder, have a flag where others have a number.
    if values.get("multi_query") is True and values.get("new_decoder_architecture") is not True:
        return [1] * count
    nested = values.get("attn_config")
    grouped = number(nested, "kv_n_heads") if isinstance(nested, dict) else None
    named = number(values, "num_key_value_heads", "num_kv_heads", "n_head_kv", "num_query_groups")
    if values.get("multi_query_attention") is True:
        named = number(values, "multi_query_group_num")
    found = grouped or named or heads
    return [found] * count if found else []


def _states(values: Mapping[str, object], layers: int) -> State:
    """Return how many elements recurrent layers keep, or that it is not known."""
    if not layers:
        return State()
    one = _mamba_state(values) or _delta_state(values) or _convolution_state(values)
    if one is None:
        return State(None, "the configuration does not say what its recurrent layers keep")
    return State(layers * one)


def _mamba_state(values: Mapping[str, object]) -> int | None:
    """Return what a layer of Mamba keeps: its convolution's inputs, its state (https://arxiv.org/abs/2405.21060)."""
    size = number(values, "ssm_state_size", "mamba_d_state", "state_size", "mamba_state_dim")
    kernel = number(values, "conv_kernel", "mamba_d_conv", "conv_kernel_size")
    if size is None or kernel is None:
        return None
    heads = number(values, "mamba_num_heads", "mamba_n_heads", "n_mamba_heads", "num_heads")
    length = number(values, "mamba_head_dim", "mamba_d_head", "mamba_headdim", "head_dim")
    expand = number(values, "mamba_expand", "expand") or 2
    width = number(values, *_WIDTH) or 0
    newer = values.get("model_type") in {"mamba2", "nemotron_h", "bamba", "granitemoehybrid", "zamba2", "falcon_h1"}
    inner = heads * length if newer and heads and length else expand * width
    groups = (number(values, "n_groups", "mamba_n_groups", "mamba_ngroups") or 1) if newer else 0
    return (kernel - 1) * (inner + 2 * groups * size) + inner * size if inner else None


def _delta_state(values: Mapping[str, object]) -> int | None:
    """Return what a layer of a gated delta network keeps, as in Qwen3-Next (https://arxiv.org/abs/2412.06464)."""
    key_heads, value_heads = number(values, "linear_num_key_heads"), number(values, "linear_num_value_heads")
    key, value = number(values, "linear_key_head_dim"), number(values, "linear_value_head_dim")
    if not (key_heads and value_heads and key and value):
        return None
    kernel = number(values, "linear_conv_kernel_dim") or 4
    return value_heads * key * value + (kernel - 1) * (2 * key_heads * key + value_heads * value)


def _convolution_state(values: Mapping[str, object]) -> int | None:
    """Return what a short convolution keeps, as in LFM2."""
    kernel, width = number(values, "conv_L_cache"), number(values, *_WIDTH)
    return kernel * width if kernel and width else None


def _crossed(values: Mapping[str, object], count: int) -> State:
    """Return what a decoder keeps of an encoder's output, which has a fixed length in Whisper alone."""
    width, source = number(values, *_WIDTH), number(values, "max_source_positions")
    if width and source:
        return State(count * 2 * width * source)
    return State(None, "the decoder keeps as much as the text that the encoder has read is long")
