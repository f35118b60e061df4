"""Estimates what a model takes in memory."""

from typing import Final, Protocol

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.schemas import AttentionSchema, MemoryEstimateSchema

__all__ = ["HasWeights", "estimate_memory"]

#: Bytes of 32 elements, by the types that caches are kept in: those of llama.cpp are blocks of as many.
_BLOCK: Final = 32
_SIZES: Final = {
    "F32": 128,
    "F16": 64,
    "BF16": 64,
    "F8": 32,
    "Q8_0": 34,
    "Q5_1": 24,
    "Q5_0": 22,
    "Q4_1": 20,
    "Q4_0": 18,
}


class HasWeights(Protocol):
    """What memory can be estimated for: a `GGUFSchema`, a `RepositoryDetailsSchema`."""

    @property
    def size(self) -> int:
        """What the weights take as they are stored, in bytes."""
        ...

    @property
    def attention(self) -> AttentionSchema | None:
        """What the cache of a context is computed from."""
        ...


def estimate_memory(model: HasWeights, *, context_length: int, cache_dtype: str = "F16") -> MemoryEstimateSchema:
    """Estimate what a model takes in memory while it answers: its weights, and the cache of one context.

    The weights count as they are stored: the size of their files. Each token of the context leaves a key and a value
    in each layer: ``sum of the layers' KV heads x (key length + value length) x bytes of an element``, which for layers
    that are alike is ``2 x layers x KV heads x head dimension x bytes``: Pope et al., *Efficiently Scaling Transformer
    Inference* (https://arxiv.org/abs/2211.05102), with fewer KV heads Ainslie et al., *GQA*
    (https://arxiv.org/abs/2305.13245). Where a latent vector is kept, it is ``layers x (rank + rotary length) x
    bytes``: *DeepSeek-V2* (https://arxiv.org/abs/2405.04434), section 2.1.

    It is an upper bound of the cache where layers see only a window of the context. What the program itself needs, and
    what intermediate results take, is not in it: some hundred MiB, and more for long prompts.

    Args:
        model: What was inspected, of which ``size`` and ``attention`` are taken.
        context_length: Of the context, in tokens, question and answer together; 0 for a model that keeps no cache.
        cache_dtype: Of the cache: ``F32``, ``F16``, ``BF16``, ``F8``, ``Q8_0``, ``Q5_1``, ``Q5_0``, ``Q4_1``, ``Q4_0``.

    Returns:
        The parts and their sum, in bytes.

    Raises:
        InvalidInputException: `context_length` is negative or no number, `cache_dtype` is none of these, or `model`
            does not say how many layers and heads it has, or is no description.

    Example:
        >>> attention = AttentionSchema(kv_heads=(8,) * 32, key_length=128, value_length=128)  # Llama 3 8B
        >>> model = RepositoryDetailsSchema(size=16_060_522_496, attention=attention)
        >>> estimate = estimate_memory(model, context_length=8192)
        >>> estimate.cache_per_token // 1024, estimate.cache // 1024**2
        (128, 1024)
    """
    if cache_dtype not in list(_SIZES):  # a list asks for no hash, which what is no text may not have
        raise InvalidInputException("cache_dtype", f"is none that is known; use one of {', '.join(_SIZES)}")
    if not isinstance(context_length, int) or isinstance(context_length, bool):
        kind = type(context_length).__name__
        raise InvalidInputException("context_length", f"must be a whole number of tokens, not {kind}; convert it first")
    if context_length < 0:
        raise InvalidInputException("context_length", f"is {context_length}; give the tokens of a context, from 0 on")
    if not (hasattr(model, "attention") and hasattr(model, "size")):  # such as one safetensors file
        reason = f"is of kind {type(model).__name__}, which tells of no layers and heads"
        raise InvalidInputException("model", f"{reason}; give what inspect_directory() returned, or a GGUFSchema")
    if model.attention is None and context_length:
        reason = "does not say how many layers and heads it has; give a context_length of 0 for its weights alone"
        raise InvalidInputException("model", reason)
    elements = model.attention.elements_per_token if model.attention else 0
    return MemoryEstimateSchema(
        weights=model.size,
        cache_per_token=-(-elements * _SIZES[cache_dtype] // _BLOCK),
        context_length=context_length,
        cache_dtype=cache_dtype,
    )
