"""Compares layers and heads of configurations with the classes of transformers: ``nox -s oracles``.

The classes need no PyTorch. `transformers.cache_utils.get_layer_types_and_kwargs` tells the cache of each layer: by
``layer_types``, or a window or a chunk for each layer, else of all tokens.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from transformers import (  # type: ignore[import-not-found, unused-ignore]  # installed for this alone
    CONFIG_MAPPING,
    __version__,
)

from kamiwaza_sdk.formats.attention import DEFAULTS, config_attention
from tests.formats.published import PUBLISHED, Published

__all__ = ["compare_configurations", "compare_defaults"]

#: What keeps no keys and values that grow.
_NONE: Final = frozenset({"linear_attention", "mamba", "mlp", "moe", "conv"})
_WINDOWS: Final = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
_Config = Any  # of transformers, which is not installed for the types


class _Kept(NamedTuple):
    """What a layer keeps of each token."""

    window: int | None
    heads: int
    key: int
    value: int


def _get(config: _Config, *names: str) -> Any:  # Any: as the class has it
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)


def _heads(config: _Config) -> int:
    if _get(config, "kv_lora_rank"):  # it keeps all heads, not the vector that they are made from
        return int(config.num_attention_heads)
    if _get(config, "multi_query") and not _get(config, "new_decoder_architecture"):
        return 1
    nested = _get(config, "attn_config")
    grouped = _get(nested, "kv_n_heads") if nested is not None else None
    return int(grouped or _get(config, "num_key_value_heads", "num_kv_heads", "num_attention_heads"))


def _lengths(config: _Config) -> tuple[int, int]:
    if _get(config, "kv_lora_rank"):
        return config.qk_nope_head_dim + config.qk_rope_head_dim, config.v_head_dim
    length = _get(config, "head_dim") or config.hidden_size // config.num_attention_heads
    return length, length


def _theirs(config: _Config) -> Iterator[_Kept]:
    """Yield what each layer of a configuration keeps in a cache."""
    window, chunk = _get(config, "sliding_window"), _get(config, "attention_chunk_size")
    usual = "sliding_attention" if window else "chunked_attention" if chunk else "full_attention"
    kinds = _get(config, "layer_types") or [usual] * config.num_hidden_layers
    shared = _get(config, "num_kv_shared_layers") or 0
    for kind in kinds[: len(kinds) - shared]:
        if kind not in _NONE:
            seen = getattr(config, _WINDOWS[kind]) if kind in _WINDOWS else None
            yield _Kept(seen, _heads(config), *_lengths(config))


def _ours(config: Mapping[str, object]) -> Iterator[_Kept]:
    attention = config_attention(config)
    for one in attention.layers if attention is not None else ():
        yield from [_Kept(one.window, one.kv_heads, one.key_length, one.value_length)] * one.count


def _compared(model: Published) -> str | None:
    kind = model.config.get("model_type")
    if kind not in CONFIG_MAPPING:
        return None
    config = CONFIG_MAPPING[kind](**{key: value for key, value in model.config.items() if key != "model_type"})
    inner = config.get_text_config(decoder=True)
    theirs = Counter() if kind == "bert" else Counter(_theirs(inner))  # what encoders have is no cache
    ours = Counter(_ours(model.config))
    return None if ours == theirs else f"{model.name}: {dict(ours)} here, {dict(theirs)} there"


def compare_configurations() -> list[str]:
    """Return where a class of transformers keeps something else than we say."""
    return [difference for model in PUBLISHED if (difference := _compared(model)) is not None]


def compare_defaults() -> list[str]:
    """Return which of the values that nested configurations leave out are other ones in transformers."""
    return [
        f"{kind}.{name}: {value} here, {getattr(CONFIG_MAPPING[kind](), name)} there"
        for kind, values in DEFAULTS.items()
        for name, value in values.items()
        if getattr(CONFIG_MAPPING[kind](), name) != value
    ]


if __name__ == "__main__":
    compared = sum(model.config.get("model_type") in CONFIG_MAPPING for model in PUBLISHED)
    differences = [*compare_configurations(), *compare_defaults()]
    summary = f"{len(differences)} differences from transformers {__version__} in {compared} configurations\n"
    sys.stdout.write("\n".join([*differences, summary]))
    sys.exit(bool(differences))
