"""Counts parameters: what a model has learned, however its weights are packed.

Stored elements are what the shapes of the tensors come to. They differ from parameters where weights are quantized:
several of them share an integer, and scales, zero points and the like are no weights. The accounting is that of the
numbers that Hugging Face shows: ``parse-safetensors-metadata.ts`` of https://github.com/huggingface/huggingface.js.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.quantization import Quantization
from kamiwaza_sdk.formats.schemas.tensors import StoredTensor

__all__ = ["MOST_COMPARISONS", "ParameterCount", "StoredTensor", "count_parameters", "sum_counts"]

#: How often names of tensors are compared with patterns of a configuration: for a second at most.
MOST_COMPARISONS: Final = 2_000_000

#: Exponents alone: what blocks are scaled by, never weights.
_SCALE_TYPES: Final = frozenset({"F8_E8M0", "E8M0", "UE8"})
#: What is kept beside quantized weights, by the last part of a tensor's name, whichever method wrote it.
_BOOKKEEPING: Final = frozenset(
    {"weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale", "weight_zero_point", "weight_shape"}
    | {"weight_g_idx", "input_scale", "input_global_scale", "input_zero_point", "zero_point", "k_scale", "v_scale"}
)
#: The same, of single methods.
_BOOKKEEPING_OF: Final = {
    "gptq": frozenset({"qzeros", "g_idx", "scales"}),
    "awq": frozenset({"qzeros", "g_idx", "scales"}),
    "bitsandbytes": frozenset({"absmax", "quant_map", "nested_absmax", "nested_quant_map", "SCB", "weight_format"}),
    "bitnet": frozenset({"weight_scale"}),
}
_CONTAINERS: Final = {"I8": 8, "U8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32}


class ParameterCount(NamedTuple):
    """What tensors come to.

    Attributes:
        stored: Their elements.
        by_dtype: Their parameters by the type that they are stored in, sorted; empty where they cannot be counted.
        problem: Why they cannot be counted.
    """

    stored: int
    by_dtype: dict[str, int]
    problem: str | None = None

    @property
    def parameters(self) -> int | None:
        """All of them; `None` where they cannot be counted."""
        return None if self.problem is not None else sum(self.by_dtype.values())


def count_parameters(
    tensors: Iterable[StoredTensor], quantization: Quantization | None, *, most_comparisons: int = MOST_COMPARISONS
) -> ParameterCount:
    """Return the stored elements and the parameters of a variant's tensors, or of one of its files.

    Args:
        tensors: Each once.
        quantization: How they are quantized, if they are.
        most_comparisons: How often a name may be compared with a pattern of the configuration.
    """
    listed = list(tensors)
    stored = sum(prod(tensor.shape) for tensor in listed)
    problem = _problem(listed, quantization, most_comparisons)
    if problem is not None:
        return ParameterCount(stored, {}, problem)
    packed = _mlx_modules(listed) if quantization is not None and quantization.method == "mlx" else None
    totals = Counter[str]()
    for tensor in listed:
        if not _is_bookkeeping(tensor, quantization, packed):
            totals[tensor.dtype] += _count(tensor, quantization, packed)
    return ParameterCount(stored, dict(sorted(totals.items())))


def sum_counts(counts: Iterable[ParameterCount]) -> ParameterCount:
    """Return what several files come to; one that cannot be counted leaves all of them uncounted."""
    stored, problem, totals = 0, None, Counter[str]()
    for count in counts:
        stored += count.stored
        problem = problem or count.problem
        totals.update(count.by_dtype)
    return ParameterCount(stored, {} if problem else dict(sorted(totals.items())), problem)


def _problem(tensors: Sequence[StoredTensor], quantization: Quantization | None, most_comparisons: int) -> str | None:
    if quantization is None:
        return None
    if not quantization.is_countable:
        return f"{quantization.method} packs layers with different numbers of bits"
    if quantization.packed and quantization.bits is None:
        return f"{quantization.method} does not say how many bits a weight has"
    if len(tensors) * quantization.pattern_count > most_comparisons:
        return "the configuration has more patterns of modules than are compared with this many tensors"
    return None


def _mlx_modules(tensors: Iterable[StoredTensor]) -> frozenset[str]:
    """Return the modules that MLX has packed: those with integers.

    The scales of one at the end of a file may be in the next one, and those of one in the file before are at the
    beginning of this.
    """
    integers = set[str]()
    whole, scaled = set[str](), set[str]()
    for tensor in tensors:
        module, _, last = tensor.name.rpartition(".")
        if last == "weight":
            (integers if tensor.dtype == "U32" else whole).add(module)
        elif last == "scales":
            scaled.add(module)
    return frozenset(integers | (scaled - whole))


def _is_bookkeeping(tensor: StoredTensor, quantization: Quantization | None, packed: frozenset[str] | None) -> bool:
    module, _, last = tensor.name.rpartition(".")
    if tensor.dtype in _SCALE_TYPES or last in _BOOKKEEPING:
        return True
    if quantization is None:
        return False
    if packed is not None:
        return last in {"scales", "biases"} and module in packed
    if quantization.method == "mxfp4":
        return last.endswith("_scales")
    if quantization.method == "bitsandbytes" and last.startswith("bitsandbytes__"):
        return True
    return last in _BOOKKEEPING_OF.get(quantization.method, ())


def _count(tensor: StoredTensor, quantization: Quantization | None, packed: frozenset[str] | None) -> int:
    elements = prod(tensor.shape)
    container = _CONTAINERS.get(tensor.dtype)
    bits = None if quantization is None else _packed_bits(tensor.name, quantization, packed)
    if container is None or bits is None or bits >= container:
        return elements
    return int(elements * Fraction(container, bits))


def _packed_bits(name: str, quantization: Quantization, packed: frozenset[str] | None) -> int | None:
    """Return the bits of a weight of this tensor where several of them share an integer."""
    module, _, last = name.rpartition(".")
    if packed is not None:
        return quantization.bits_of(name) if module in packed and last == "weight" else None
    if quantization.expert_bits is not None and ".experts." in name and "shared_experts" not in name:
        return quantization.expert_bits
    if not quantization.packed:
        return None
    if quantization.method in {"gptq", "awq"}:
        return quantization.bits if last == "qweight" else None
    if quantization.method == "mxfp4":
        return 4 if last.endswith("_blocks") else None
    return quantization.bits_of(name)
