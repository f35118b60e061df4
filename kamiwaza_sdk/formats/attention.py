"""The keys and values that a model stores for each token, from its ``config.json`` or from the keys of its GGUF file.

Each configuration uses the names of its class in
https://github.com/huggingface/transformers/tree/main/src/transformers/models. Keys of GGUF are read as llama.cpp does:
``load_hparams`` in https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model.cpp, with the names in
https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias

from kamiwaza_sdk.formats.schemas.repository import AttentionLayersSchema, AttentionSchema

#: No model has as many layers.
MAX_LAYERS: Final = 10_000
MAX_NUMBER: Final = 2**31


class State(NamedTuple):
    """The elements that are stored for a context of any length; `None` and the reason where they are not known."""

    elements: int | None = 0
    problem: str | None = None


def number(values: Mapping[str, object], *names: str) -> int | None:
    """Return the first of these values that is a number within the limits."""
    found = (values.get(name) for name in names)
    return next((value for value in found if type(value) is int and 0 < value < MAX_NUMBER), None)


def quotient(whole: int | None, parts: int | None) -> int | None:
    """Return the size of each part, `None` where one of the numbers is not known."""
    return whole // parts if whole and parts else None


def attention_of(layers: Iterable[AttentionLayersSchema], state: State) -> AttentionSchema:
    """Return the attention of single layers, equal layers grouped, and their state."""
    return AttentionSchema(layers=_grouped(layers), state_elements=state.elements, problem=state.problem)


def _grouped(layers: Iterable[AttentionLayersSchema]) -> tuple[AttentionLayersSchema, ...]:
    """Group equal layers, in the order of their first occurrence."""
    ordered = dict[AttentionLayersSchema, int]()
    for layer, alike in groupby(layers):
        ordered[layer] = ordered.get(layer, 0) + sum(one.count for one in alike)
    attending = ((layer, count) for layer, count in ordered.items() if layer.kv_heads and count)
    return tuple(layer.model_copy(update={"count": count}) for layer, count in attending)


LayerKind: TypeAlias = Literal["full", "window", "recurrent", "none"]

#: The values of ``layer_types`` and the like.
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
#: The letters of Nemotron-H: https://huggingface.co/nvidia/Nemotron-H-8B-Base-8K/blob/main/configuration_nemotron_h.py.
_LETTERS: Final[dict[str, LayerKind]] = {"M": "recurrent", "*": "full", "-": "none", "E": "none"}
#: Every n-th layer of these models sees all tokens, the others a window, where the configuration does not list them.
_PATTERNS: Final = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4, "llama4": 4, "llama4_text": 4}
#: Every layer of these models sees only ``sliding_window`` tokens.
_ALL_WINDOWED: Final = frozenset({"mistral", "mixtral", "phi3", "starcoder2", "phi4mm", "phimoe"})


class Layer(NamedTuple):
    """The kind of a layer, its window, and its number of KV heads where that is its own."""

    kind: LayerKind
    window: int | None = None
    kv_heads: int | None = None


def find_layers(values: Mapping[str, object], count: int) -> list[Layer]:
    """Return the layers of a language model. A layer of which nothing is said sees all tokens.

    Args:
        values: The configuration of the language model.
        count: The number of layers.
    """
    configs = values.get("block_configs")
    if isinstance(configs, list) and 0 < len(configs) <= MAX_LAYERS:
        return [_block(config, values) for config in configs]
    kinds = _kinds(values, count)
    window = number(values, "attention_chunk_size", "sliding_window", "attention_window_size", "sliding_window_size")
    layers = [Layer(kind, window if kind == "window" else None) for kind in kinds]
    shared = number(values, "num_kv_shared_layers")
    return layers[: count - shared] if shared and shared < count else layers  # the last ones of Gemma 3n store nothing


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
    """Return the kinds that a configuration lists, layer by layer or as letters."""
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
    """Return the kinds where a configuration gives a period, or the indexes of the layers that attend."""
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
    """Return a layer of a model that NVIDIA searched block by block, such as Deci and Nemotron."""
    attention = config.get("attention") if isinstance(config, dict) else None
    if not isinstance(attention, dict) or attention.get("no_op") is True:
        return Layer("none")
    if attention.get("replace_with_linear") is True:
        return Layer("none")
    heads, group = number(values, "num_attention_heads"), number(attention, "n_heads_in_group")
    kv_heads = number(attention, "num_key_value_heads") or (heads // group if heads and group else None)
    return Layer("full", number(attention, "window_length"), kv_heads)


_LLAMA: Final = {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096}
_QWEN_VL: Final = {
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "hidden_size": 8192,
    "max_position_embeddings": 32_768,
}
#: The values that nested configurations leave out, by ``model_type``: transformers writes only those that differ from
#: the default of the class. ``google/gemma-3-4b-it`` omits its number of heads, for example. The values are those of
#: transformers 5.24, with which ``nox -s oracles`` compares them.
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


#: The keys of the language model in the configuration of a multimodal model.
_INNER: Final = ("text_config", "llm_config", "language_config", "thinker_config", "text_model", "decoder")
_DEPTH: Final = 4
#: The head of DeepSeek-V2 and V3, where a configuration omits it.
_LATENT_HEAD: Final = 128
#: Models that generate nothing, and so store nothing: encoders, by ``model_type``.
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
    """The elements of a key, of a value, and of the latent vector that can replace both for all heads."""

    key: int
    value: int
    latent: int | None


def text_configuration(config: Mapping[str, object]) -> Mapping[str, object]:
    """Return the configuration of the language model, which may be nested."""
    for _ in range(_DEPTH):
        inner = next((value for name in _INNER if isinstance(value := config.get(name), dict)), None)
        if inner is None or number(config, *_FAMILY_LAYERS):
            return config
        config = {**DEFAULTS.get(str(inner.get("model_type")), {}), **inner}
    return config


def config_attention(config: Mapping[str, object]) -> AttentionSchema | None:
    """Return the attention of a model by its configuration; `None` where that omits too much."""
    values = text_configuration(config)
    if values.get("model_type") in _ENCODERS and values.get("is_decoder") is not True:
        return AttentionSchema(layers=())
    count = number(values, *_FAMILY_LAYERS)
    if not count or count > MAX_LAYERS:
        return None
    if values.get("model_type") in _RECURRENT:
        return attention_of((), _states(values, count))
    layers = find_layers(values, count)
    attending = list(_attention_layers(values, layers))
    if len(attending) < sum(layer.kind in {"full", "window"} for layer in layers):
        return None
    crossed = values.get("is_encoder_decoder") is True or config.get("is_encoder_decoder") is True
    state = _crossed(values, count) if crossed else _states(values, sum(layer.kind == "recurrent" for layer in layers))
    return attention_of(attending, state)


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
    """Return the KV heads of each layer; fewer where they are not known."""
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
    """Return the elements that recurrent layers store, or that they are not known."""
    if not layers:
        return State()
    one = _mamba_state(values) or _delta_state(values) or _convolution_state(values)
    if one is None:
        return State(None, "the configuration does not say what its recurrent layers keep")
    return State(layers * one)


def _mamba_state(values: Mapping[str, object]) -> int | None:
    """Return the elements of a Mamba layer: its convolution's inputs, its state (https://arxiv.org/abs/2405.21060)."""
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
    return _mamba_elements(kernel, inner, groups, size) if inner else None


def _mamba_elements(kernel: int, inner: int, groups: int, size: int) -> int:
    return (kernel - 1) * (inner + 2 * groups * size) + inner * size


def _delta_state(values: Mapping[str, object]) -> int | None:
    """Return the elements of a gated delta network, as in Qwen3-Next (https://arxiv.org/abs/2412.06464)."""
    key_heads, value_heads = number(values, "linear_num_key_heads"), number(values, "linear_num_value_heads")
    key, value = number(values, "linear_key_head_dim"), number(values, "linear_value_head_dim")
    if not (key_heads and value_heads and key and value):
        return None
    kernel = number(values, "linear_conv_kernel_dim") or 4
    return value_heads * key * value + (kernel - 1) * (2 * key_heads * key + value_heads * value)


def _convolution_state(values: Mapping[str, object]) -> int | None:
    """Return the elements of a short convolution, as in LFM2."""
    kernel, width = number(values, "conv_L_cache"), number(values, *_WIDTH)
    return kernel * width if kernel and width else None


def _crossed(values: Mapping[str, object], count: int) -> State:
    """Return the elements that a decoder stores of an encoder's output, which has a fixed length only in Whisper."""
    width, source = number(values, *_WIDTH), number(values, "max_source_positions")
    if width and source:
        return State(count * 2 * width * source)
    return State(None, "the decoder keeps as much as the text that the encoder has read is long")


#: Every n-th layer of these models sees all tokens, the others a window: ``set_swa_pattern`` in llama.cpp.
_GGUF_PATTERNS: Final = {
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
#: The windows of llama.cpp where the file omits them.
_GGUF_WINDOWS: Final = {"llama4": 8192, "gemma2": 4096}
#: Models that generate nothing, and so store nothing.
_GGUF_ENCODERS: Final = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert"}
    | {"t5encoder", "gemma-embedding", "clip"}
)
#: The layers of Gemma 3n that store their own keys and values; llama.cpp has the number.
_OWN_LAYERS: Final = {"gemma3n": 20}


def gguf_attention(metadata: Mapping[str, object], architecture: str | None) -> AttentionSchema | None:
    """Return the attention of a model by the keys of its GGUF file; `None` where they omit too much."""
    values = {key.removeprefix(f"{architecture}."): value for key, value in metadata.items()}
    if architecture in _GGUF_ENCODERS or values.get("attention.causal") is False:
        return AttentionSchema(layers=())
    count = number(values, "block_count")
    heads = _gguf_heads(values, count)
    recurrent = (
        number(values, "ssm.state_size") or number(values, "wkv.head_size") or number(values, "shortconv.l_cache")
    )
    if heads is None and recurrent and count and count <= MAX_LAYERS:
        return attention_of((), _gguf_state(values, count))
    if heads is None:
        return None
    heads, attending = _with_recurrent(values, heads)
    layers = [_gguf_layer(values, architecture, index, len(heads), kv) for index, kv in enumerate(heads)]
    if None in layers:
        return None
    own = layers[: _gguf_own_layers(values, architecture, len(layers))]
    state = _gguf_state(values, len(heads) - attending) if attending < len(heads) and recurrent else State()
    return attention_of([layer for layer in own if layer is not None], state)


def _gguf_heads(values: Mapping[str, object], count: int | None) -> tuple[int, ...] | None:
    """Return the KV heads of each layer."""
    heads = values.get("attention.head_count_kv", values.get("attention.head_count"))
    if isinstance(heads, tuple) and len(heads) <= MAX_LAYERS:
        return heads if all(type(one) is int and 0 <= one < MAX_NUMBER for one in heads) else None
    if type(heads) is int and 0 < heads < MAX_NUMBER and count and count <= MAX_LAYERS:
        return (heads,) * count
    return None


def _with_recurrent(values: Mapping[str, object], heads: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the KV heads with 0 for recurrent layers, and the number of the others."""
    interval = number(values, "full_attention_interval")
    if interval:
        heads = tuple(kv if (index + 1) % interval == 0 else 0 for index, kv in enumerate(heads))
    return heads, sum(kv > 0 for kv in heads)


def _gguf_own_layers(values: Mapping[str, object], architecture: str | None, count: int) -> int:
    shared = number(values, "attention.shared_kv_layers")
    return count - shared if shared and shared < count else _OWN_LAYERS.get(architecture or "", count)


def _gguf_layer(
    values: Mapping[str, object], architecture: str | None, index: int, count: int, kv_heads: int
) -> AttentionLayersSchema | None:
    lengths = _gguf_lengths(values)
    if lengths is None:
        return None
    window = _gguf_window(values, architecture, index, count)
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


def _gguf_lengths(values: Mapping[str, object]) -> tuple[int, int, int | None] | None:
    """Return the elements of a key, of a value, and of the latent vector where llama.cpp stores one."""
    key = number(values, "attention.key_length") or quotient(
        number(values, "embedding_length"), number(values, "attention.head_count")
    )
    if key is None:
        return None
    value = number(values, "attention.value_length") or key
    latent = number(values, "attention.kv_lora_rank") and number(values, "attention.key_length_mla") and key
    return key, value, latent or None


def _gguf_window(values: Mapping[str, object], architecture: str | None, index: int, count: int) -> int | None:
    window = number(values, "attention.sliding_window") or _GGUF_WINDOWS.get(architecture or "")
    pattern = values.get("attention.sliding_window_pattern")
    if window is None:
        return None
    if isinstance(pattern, tuple) and len(pattern) == count:
        return window if pattern[index] else None
    every = _GGUF_PATTERNS.get(architecture or "")
    # Of other models llama.cpp stores every token, whatever the file says.
    return window if every is not None and (index + 1) % every != 0 else None


def _gguf_state(values: Mapping[str, object], layers: int) -> State:
    """Return the elements that recurrent layers store: ``n_embd_r`` and ``n_embd_s`` in llama.cpp."""
    one = _gguf_layer_state(values)
    if one is None:
        return State(None, "the file does not say what its recurrent layers keep")
    return State(layers * one)


def _gguf_layer_state(values: Mapping[str, object]) -> int | None:
    width = number(values, "embedding_length")
    if (cache := number(values, "shortconv.l_cache")) and width:
        return (cache - 1) * width
    if (size := number(values, "wkv.head_size")) and width:
        return (number(values, "token_shift_count") or 2) * width + width * size
    inner, size, kernel = (number(values, f"ssm.{name}") for name in ("inner_size", "state_size", "conv_kernel"))
    if not (inner and size and kernel):
        return None
    return _mamba_elements(kernel, inner, number(values, "ssm.group_count") or 0, size)
