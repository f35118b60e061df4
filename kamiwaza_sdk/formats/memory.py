"""Estimates the memory that a model takes in the program that loads it."""

from typing import Final, Protocol, get_args

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.schemas.repository import (
    AttentionLayersSchema,
    AttentionSchema,
    LayoutSchema,
    MemoryEstimateSchema,
    RepositoryDetailsSchema,
    Runtime,
)

#: The elements of a block, and the bytes of a block by the type of a cache: llama.cpp has blocks of as many.
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
#: llama.cpp rounds a cache up to this many tokens, and computes so many at once (``--ubatch-size``, its default):
#: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-kv-cache-iswa.cpp.
_LLAMA_PADDING: Final = 256
_LLAMA_BATCH: Final = 512
#: The tokens of a block of vLLM, and those that it computes at once (``max_num_batched_tokens``, the least default):
#: https://github.com/vllm-project/vllm/blob/main/vllm/v1/kv_cache_interface.py, SlidingWindowSpec.
_VLLM_BLOCK: Final = 16
_VLLM_BATCH: Final = 2048
#: States have full precision: the default of llama.cpp, and a requirement of Mamba layers elsewhere.
_STATE_SIZE: Final = 4
_LONGEST: Final = 2**31


class HasWeights(Protocol):
    """A description with the size and the attention of a model: a `GGUFSchema`, a `RepositoryDetailsSchema`."""

    @property
    def size(self) -> int | None:
        """The bytes of the weights as they are stored."""
        ...

    @property
    def attention(self) -> AttentionSchema | None:
        """From which the cache of a context is computed."""
        ...


def estimate_memory(
    model: HasWeights,
    *,
    context_length: int,
    cache_dtype: str = "F16",
    runtime: Runtime | None = None,
    companions: int = 0,
) -> MemoryEstimateSchema:
    """Estimate the memory of a model while it generates: its weights, the cache of one context, and its state.

    The weights count as they are stored: the size of their files. Each token of the context adds a key and a value in
    each layer of attention: ``sum of the layers' KV heads x (key length + value length) x bytes of an element``, for
    equal layers ``2 x layers x KV heads x head dimension x bytes``: Pope et al., *Efficiently Scaling Transformer
    Inference* (https://arxiv.org/abs/2211.05102), with fewer KV heads Ainslie et al., *GQA* (https://arxiv.org/abs/2305.13245).
    Programs differ in the rest:

    - Layers with a window store ``min(tokens, window)`` tokens in Transformers, ``window + batch of 512``, rounded up
      to 256, in llama.cpp, and ``window + batch of 2,048``, in blocks of 16 and one more, in vLLM.
    - Where one latent vector can replace all heads (*DeepSeek-V2*, https://arxiv.org/abs/2405.04434, section 2.1),
      vLLM and llama.cpp store it, and Transformers stores all heads. Of GGUF files from before llama.cpp could, it
      stores all heads, too.
    - Recurrent layers and an encoder's output take the same for a context of any length, in 32 bits.

    The memory of the program itself and of intermediate results is not included: some hundred MiB, and more for long
    prompts.

    Args:
        model: A description, of which ``size`` and ``attention`` are used.
        context_length: Of the context, in tokens, question and answer together; 0 for the weights and the state alone.
        cache_dtype: Of the cache: ``F32``, ``F16``, ``BF16``, ``F8``, ``Q8_0``, ``Q5_1``, ``Q5_0``, ``Q4_1``, ``Q4_0``.
        runtime: The program. Default: ``llama.cpp`` for GGUF, else ``transformers``.
        companions: Other loaded files, in bytes: a projector.

    Returns:
        The parts and their sum, in bytes; `None` for the cache where the attention of the model is not known.

    Raises:
        InvalidInputException: `context_length` is negative or no number, `cache_dtype` or `runtime` has another value,
            or `model` is no description of a model.

    Example:
        >>> layers = (AttentionLayersSchema(count=32, kv_heads=8, key_length=128, value_length=128),)  # Llama 3 8B
        >>> model = RepositoryDetailsSchema(size=16_060_522_496, attention=AttentionSchema(layers=layers))
        >>> estimate = estimate_memory(model, context_length=8192)
        >>> estimate.cache_per_token // 1024, estimate.cache // 1024**2
        (128, 1024)
    """
    _check(model, context_length, cache_dtype, runtime)
    program = runtime or _usual_runtime(model)
    attention = model.attention
    reason = "the files do not say how many layers and heads keep what" if attention is None else attention.problem
    elements = 0 if not context_length else None if attention is None else _elements(attention, context_length, program)
    state = None if attention is None or attention.state_elements is None else attention.state_elements * _STATE_SIZE
    return MemoryEstimateSchema(
        runtime=program,
        weights=model.size,
        companions=companions,
        cache=None if elements is None else _bytes(elements, cache_dtype),
        state=0 if attention is None and not context_length else state,
        cache_per_token=None if attention is None else _bytes(_per_token(attention, program), cache_dtype),
        context_length=context_length,
        cache_dtype=cache_dtype,
        reason=(reason if context_length or attention is not None else None) or _unsized(model),
    )


def _unsized(model: HasWeights) -> str | None:
    """Return why the size of the weights is not known."""
    if model.size is not None:
        return None
    layout = getattr(model, "layout", None)
    known = isinstance(layout, LayoutSchema) and layout.default is None and layout.reason
    return known or "the sizes of the files are not known"


def longest_context(model: HasWeights, limit: int, *, cache_dtype: str = "F16", runtime: Runtime | None = None) -> int:
    """Return the longest context with which a model takes at most `limit` bytes; 0 if none fits or is known.

    Args:
        model: As for `estimate_memory`.
        limit: In bytes, of weights, cache and state together.
        cache_dtype: Of the cache.
        runtime: The program.

    Example:
        >>> layers = (AttentionLayersSchema(count=32, kv_heads=8, key_length=128, value_length=128),)
        >>> model = RepositoryDetailsSchema(size=0, attention=AttentionSchema(layers=layers))
        >>> longest_context(model, 1024**3)
        8192
    """

    def fits(tokens: int) -> bool:
        total = estimate_memory(model, context_length=tokens, cache_dtype=cache_dtype, runtime=runtime).total
        return total is not None and total <= limit

    if not fits(1):
        return 0
    low, high = 1, 2
    while high < _LONGEST and fits(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _check(model: object, context_length: object, cache_dtype: object, runtime: object) -> None:
    if cache_dtype not in list(_SIZES):  # a list asks for no hash, which what is no text may not have
        raise InvalidInputException("cache_dtype", f"is none that is known; use one of {', '.join(_SIZES)}")
    if runtime is not None and runtime not in list(get_args(Runtime)):
        raise InvalidInputException("runtime", f"is none that is known; use one of {', '.join(get_args(Runtime))}")
    if not isinstance(context_length, int) or isinstance(context_length, bool):
        kind = type(context_length).__name__
        raise InvalidInputException("context_length", f"must be a whole number of tokens, not {kind}; convert it first")
    if context_length < 0:
        raise InvalidInputException("context_length", f"is {context_length}; give the tokens of a context, from 0 on")
    if not (hasattr(model, "attention") and hasattr(model, "size")):  # such as one safetensors file
        reason = f"is of kind {type(model).__name__}, which tells of no layers and heads"
        raise InvalidInputException("model", f"{reason}; give what inspect_directory() returned, or a GGUFSchema")


def _usual_runtime(model: HasWeights) -> Runtime:
    if isinstance(model, RepositoryDetailsSchema):
        chosen = None if model.variant is None else model.layout.variant(model.variant)
        formats = model.formats if chosen is None else (chosen.format,)
    else:
        formats = (str(getattr(model, "format", "")),)
    return "llama.cpp" if formats == ("gguf",) else "transformers"


def _bytes(elements: int, dtype: str) -> int:
    return -(-elements * _SIZES[dtype] // _BLOCK)


def _elements(attention: AttentionSchema, tokens: int, runtime: Runtime) -> int:
    return sum(_tokens_of(layers, tokens, runtime) * _of_a_token(layers, runtime) for layers in attention.layers)


def _per_token(attention: AttentionSchema, runtime: Runtime) -> int:
    return sum(_of_a_token(layers, runtime) for layers in attention.layers)


def _of_a_token(layers: AttentionLayersSchema, runtime: Runtime) -> int:
    if layers.latent_length is not None and runtime != "transformers":
        return layers.count * layers.latent_length
    return layers.count * layers.kv_heads * (layers.key_length + layers.value_length)


def _tokens_of(layers: AttentionLayersSchema, tokens: int, runtime: Runtime) -> int:
    """Return the number of tokens that a layer has room for."""
    if layers.window is None:
        return tokens
    if runtime == "llama.cpp":
        return min(tokens, _rounded(min(tokens, layers.window + _LLAMA_BATCH), _LLAMA_PADDING))
    if runtime == "vllm":
        room = _rounded(min(tokens, layers.window - 1 + _VLLM_BATCH), _VLLM_BLOCK) + _VLLM_BLOCK
        return min(tokens, room)
    return min(tokens, layers.window)


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step
