"""Finds what a model keeps of each token in the keys of its GGUF file, as llama.cpp reads them.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model.cpp (``load_hparams``), and the names of keys in
https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py.
"""

from collections.abc import Mapping
from typing import Final

from kamiwaza_sdk.formats.memory.attention import MAX_LAYERS, MAX_NUMBER, State, attention_of, number, quotient
from kamiwaza_sdk.formats.schemas.repository import AttentionLayersSchema, AttentionSchema

#: Of every so many layers the last sees all tokens, the others a window: ``set_swa_pattern`` in llama.cpp.
_PATTERNS: Final = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "llama4": 4,
    "cohere2": 4,
    "exaone4": 4,
    "olmo2": 4,
    "smallthinker": 4,
}
#: What llama.cpp takes for the window where the file does not tell.
_WINDOWS: Final = {"llama4": 8192, "gemma2": 4096}
#: Models that answer at once, and so keep nothing.
_ENCODERS: Final = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert"}
    | {"t5encoder", "gemma-embedding", "clip"}
)
#: Gemma 3n's last layers keep nothing of their own; llama.cpp knows how many do: 20.
_OWN_LAYERS: Final = {"gemma3n": 20}


def gguf_attention(metadata: Mapping[str, object], architecture: str | None) -> AttentionSchema | None:
    """Return what a GGUF file's keys say that is kept of each token; `None` where they do not say enough."""
    values = {key.removeprefix(f"{architecture}."): value for key, value in metadata.items()}
    if architecture in _ENCODERS or values.get("attention.causal") is False:
        return AttentionSchema(layers=())
    count = number(values, "block_count")
    heads = _heads(values, count)
    recurrent = (
        number(values, "ssm.state_size") or number(values, "wkv.head_size") or number(values, "shortconv.l_cache")
    )
    if heads is None and recurrent and count and count <= MAX_LAYERS:
        return attention_of((), _state(values, count))
    if heads is None:
        return None
    heads, attending = _attending(values, heads)
    layers = [_layer(values, architecture, index, len(heads), kv) for index, kv in enumerate(heads)]
    if None in layers:
        return None
    own = layers[: _own_layers(values, architecture, len(layers))]
    state = _state(values, len(heads) - attending) if attending < len(heads) and recurrent else State()
    return attention_of([layer for layer in own if layer is not None], state)


def _heads(values: Mapping[str, object], count: int | None) -> tuple[int, ...] | None:
    """Return the KV heads layer by layer."""
    heads = values.get("attention.head_count_kv", values.get("attention.head_count"))
    if isinstance(heads, tuple) and len(heads) <= MAX_LAYERS:
        return heads if all(type(one) is int and 0 <= one < MAX_NUMBER for one in heads) else None
    if type(heads) is int and 0 < heads < MAX_NUMBER and count and count <= MAX_LAYERS:
        return (heads,) * count
    return None


def _attending(values: Mapping[str, object], heads: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the KV heads with 0 for layers that are recurrent, and how many are not."""
    interval = number(values, "full_attention_interval")
    if interval:
        heads = tuple(kv if (index + 1) % interval == 0 else 0 for index, kv in enumerate(heads))
    return heads, sum(kv > 0 for kv in heads)


def _own_layers(values: Mapping[str, object], architecture: str | None, count: int) -> int:
    shared = number(values, "attention.shared_kv_layers")
    return count - shared if shared and shared < count else _OWN_LAYERS.get(architecture or "", count)


def _layer(
    values: Mapping[str, object], architecture: str | None, index: int, count: int, kv_heads: int
) -> AttentionLayersSchema | None:
    lengths = _lengths(values)
    if lengths is None:
        return None
    window = _window(values, architecture, index, count)
    key, value, latent = lengths
    if latent is not None:  # newer files say what one latent vector takes, as if it were one head
        full = number(values, "attention.head_count") or kv_heads
        key_full, value_full = number(values, "attention.key_length_mla"), number(values, "attention.value_length_mla")
        return AttentionLayersSchema(
            count=1,
            kv_heads=full,
            key_length=key_full or key,
            value_length=value_full or value,
            window=window,
            latent_length=latent,
        )
    return AttentionLayersSchema(count=1, kv_heads=kv_heads, key_length=key, value_length=value, window=window)


def _lengths(values: Mapping[str, object]) -> tuple[int, int, int | None] | None:
    """Return the lengths of a key and of a value, and of the latent vector where llama.cpp keeps one."""
    key = number(values, "attention.key_length") or quotient(
        number(values, "embedding_length"), number(values, "attention.head_count")
    )
    if key is None:
        return None
    value = number(values, "attention.value_length") or key
    latent = number(values, "attention.kv_lora_rank") and number(values, "attention.key_length_mla") and key
    return key, value, latent or None


def _window(values: Mapping[str, object], architecture: str | None, index: int, count: int) -> int | None:
    window = number(values, "attention.sliding_window") or _WINDOWS.get(architecture or "")
    pattern = values.get("attention.sliding_window_pattern")
    if window is None:
        return None
    if isinstance(pattern, tuple) and len(pattern) == count:
        return window if pattern[index] else None
    every = _PATTERNS.get(architecture or "")
    # Of all others llama.cpp keeps every token, whatever the file says.
    return window if every is not None and (index + 1) % every != 0 else None


def _state(values: Mapping[str, object], layers: int) -> State:
    """Return what recurrent layers keep: ``n_embd_r`` and ``n_embd_s`` of llama.cpp's hparams."""
    one = _one_state(values)
    if one is None:
        return State(None, "the file does not say what its recurrent layers keep")
    return State(layers * one)


def _one_state(values: Mapping[str, object]) -> int | None:
    width = number(values, "embedding_length")
    if (cache := number(values, "shortconv.l_cache")) and width:
        return (cache - 1) * width
    if (size := number(values, "wkv.head_size")) and width:
        return (number(values, "token_shift_count") or 2) * width + width * size
    inner, size, kernel = (number(values, f"ssm.{name}") for name in ("inner_size", "state_size", "conv_kernel"))
    if not (inner and size and kernel):
        return None
    groups = number(values, "ssm.group_count") or 0
    return (kernel - 1) * (inner + 2 * groups * size) + inner * size
