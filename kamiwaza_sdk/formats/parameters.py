"""Counts the parameters of a model, by how its configuration says that the weights are quantized.

Stored elements are those of the shapes of the tensors. They differ from parameters where weights are quantized: then
several weights share an integer, and scales, zero points and the like are no weights. Hugging Face shows the same
numbers: ``parse-safetensors-metadata.ts`` of https://github.com/huggingface/huggingface.js.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from math import prod
from operator import itemgetter
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.attention import text_configuration
from kamiwaza_sdk.formats.schemas.files import StoredTensor

#: The files of AutoGPTQ, AutoAWQ and Model Optimizer of NVIDIA beside ``config.json``.
QUANTIZATION_FILES: Final = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
#: The names of formats of packed weights, and their bits.
_BITS: Final = (("nvfp4", 4), ("mxfp4", 4), ("fp4", 4), ("nf4", 4), ("int4", 4), ("int2", 2), ("int8", 8), ("fp8", 8))
#: Methods with other bits in each layer, or with codebooks: their parameters cannot be counted.
_UNCOUNTED: Final = frozenset(
    {"aqlm", "exl2", "exl3", "higgs", "hqq", "quanto", "quip", "spqr", "torchao", "vptq", "auto-round"}
)
#: The parts of the name of a module that are compared.
_DEEPEST: Final = 16
_MLX_BITS: Final = frozenset({2, 3, 4, 5, 6, 8})


@dataclass(frozen=True, slots=True)
class Quantization:
    """How weights are quantized.

    Attributes:
        method: ``gptq``, ``awq``, ``bitsandbytes``, ``compressed-tensors``, ``fp8``, ``mlx``, ``mxfp4``, ``modelopt``…
        bits: Of a weight, where all quantized weights have the same.
        modules: Bits of the modules with others, by name, or by a pattern that begins with ``re:``; `None` for those
            that are not quantized.
        expert_bits: Of the weights of experts, where only these are packed.
        packed: Whether several weights share an integer.
    """

    method: str
    bits: int | None = None
    modules: Mapping[str, int | None] = field(default_factory=dict[str, int | None])
    expert_bits: int | None = None
    packed: bool = True
    _names: Mapping[str, tuple[int, int | None]] = field(init=False, repr=False, compare=False)
    _patterns: Sequence["_Pattern"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names, patterns = dict[str, tuple[int, int | None]](), list[_Pattern]()
        for place, (name, bits) in enumerate(self.modules.items()):
            if name.startswith("re:") or "*" in name:
                patterns += [] if (glob := _glob(name)) is None else [_Pattern(place, glob, bits)]
            else:
                names[name] = (place, bits)
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_patterns", tuple(patterns))

    @property
    def is_countable(self) -> bool:
        """Whether the shapes determine the number of weights."""
        return self.method not in _UNCOUNTED

    @property
    def pattern_count(self) -> int:
        """The number of patterns that the name of a module has to be compared with."""
        return len(self._patterns)

    def bits_of(self, tensor: str) -> int | None:
        """Return the bits of the weights in this tensor; `None` where they are not quantized, or not known."""
        module = tensor.rpartition(".")[0] or tensor
        parts = _parts(module) if self._names else ()
        first = min((self._names[part] for part in parts if part in self._names), default=None, key=itemgetter(0))
        for pattern in self._patterns:
            if first is not None and first[0] < pattern.place:
                break
            if fnmatchcase(module, pattern.glob):
                return pattern.bits
        return self.bits if first is None else first[1]


class _Pattern(NamedTuple):
    place: int
    glob: str
    bits: int | None


def _parts(module: str) -> Iterator[str]:
    """Yield the name of a module and every run of its parts: a configuration may omit the first ones."""
    names = module.split(".")[:_DEEPEST]
    yield module
    for first in range(len(names)):
        for last in range(first, len(names)):
            yield ".".join(names[first : last + 1])


def _glob(pattern: str) -> str | None:
    """Return a pattern as a glob, so that no regular expression from outside runs; `None` where it has no glob."""
    if not pattern.startswith("re:"):
        return pattern
    expression = pattern.removeprefix("re:").removeprefix("^")
    ends = expression.endswith("$")
    glob = expression.removesuffix("$").replace(".*", "*").replace("\\.", ".")
    if re.search(r"[\\+?()\[\]{}|^$]", glob):
        return None
    return glob if ends else f"{glob}*"


def read_quantization(config: Mapping[str, object], beside: Mapping[str, Mapping[str, object]]) -> Quantization | None:
    """Return how weights are quantized; `None` where no file says that they are.

    Args:
        config: ``config.json``.
        beside: The contents of those of `QUANTIZATION_FILES` that there are, by name.
    """
    return next(_found(config, beside), None)


def _found(config: Mapping[str, object], beside: Mapping[str, Mapping[str, object]]) -> Iterator[Quantization]:
    text = text_configuration(config)
    for values in (config, text):
        for key in ("quantization_config", "compression_config", "quantization"):
            settings = values.get(key)
            if isinstance(settings, dict) and (found := _from_settings(settings, values)) is not None:
                yield found
    if gptq := beside.get("quantize_config.json"):
        yield Quantization(_word(gptq, "quant_method") or "gptq", _bits(gptq, "bits"))
    if awq := beside.get("quant_config.json"):
        yield Quantization(_word(awq, "quant_method") or "awq", _bits(awq, "w_bit", "bits"))
    nvidia = beside.get("hf_quant_config.json", {}).get("quantization")
    if isinstance(nvidia, dict):
        yield _from_model_optimizer(nvidia)


def _from_settings(settings: Mapping[str, object], values: Mapping[str, object]) -> Quantization | None:
    method = _word(settings, "quant_method")
    if method is None or method == "mlx":
        return _from_mlx(settings) if _is_mlx(settings) else None
    readers = {"compressed-tensors": _from_compressed_tensors, "modelopt": _from_model_optimizer}
    if method in readers:
        return readers[method](settings)
    if method == "bitsandbytes":
        four = settings.get("load_in_4bit") is True or settings.get("_load_in_4bit") is True
        return Quantization(method, 4 if four else 8, _unquantized(settings), packed=four)
    if method in {"fp8", "fbgemm_fp8"}:
        experts = settings.get("expert_dtype") or values.get("expert_dtype") or settings.get("store_dtype")
        return Quantization(method, 8, _unquantized(settings), expert_bits=_named_bits(experts), packed=False)
    bits = {"mxfp4": 4, "bitnet": 2}.get(method) or _bits(settings, "bits", "w_bit", "nbits", "weight_bits")
    return Quantization(method, bits, _unquantized(settings))


def _is_mlx(settings: Mapping[str, object]) -> bool:
    tables = [settings, *(value for value in settings.values() if isinstance(value, dict))]
    return any(_bits(table, "bits") in _MLX_BITS and type(table.get("group_size")) is int for table in tables)


def _from_mlx(settings: Mapping[str, object]) -> Quantization:
    """Return the quantization of MLX, which names no method, but bits and groups, also of single modules."""
    modules = dict[str, int | None]()
    for name, value in settings.items():
        if isinstance(value, dict):
            modules[name] = _bits(value, "bits")
        elif value is False and "." in name:
            modules[name] = None
    return Quantization("mlx", _bits(settings, "bits"), modules)


def _from_compressed_tensors(settings: Mapping[str, object]) -> Quantization:
    groups = settings.get("config_groups")
    found = [group for group in groups.values() if isinstance(group, dict)] if isinstance(groups, dict) else []
    modules = _unquantized(settings)
    widths = list[int | None]()
    for group in found:
        weights, targets = group.get("weights"), group.get("targets")
        bits = _bits(weights, "num_bits") if isinstance(weights, dict) else None
        widths.append(bits or _named_bits(group.get("format") or settings.get("format")))
        for target in targets if isinstance(targets, list) else ():
            if isinstance(target, str) and (target.startswith("re:") or "." in target):
                modules[target] = widths[-1]
    shape = str(settings.get("format") or next((group.get("format") for group in found), None) or "")
    packed = "pack" in shape or any("pack" in str(group.get("format")) for group in found)
    bits = widths[0] if widths else _named_bits(shape)
    return Quantization("compressed-tensors", bits, modules, packed=packed)


def _from_model_optimizer(settings: Mapping[str, object]) -> Quantization:
    algorithm = _word(settings, "quant_algo") or ""
    bits = 4 if "w4" in algorithm or "fp4" in algorithm else 8
    return Quantization("modelopt", bits, _unquantized(settings), packed=bits == 4)  # noqa: PLR2004 - two in a byte


def _unquantized(settings: Mapping[str, object]) -> dict[str, int | None]:
    """Return the modules that are not quantized."""
    found = dict[str, int | None]()
    for key in ("ignore", "modules_to_not_convert", "exclude_modules", "ignored_layers", "llm_int8_skip_modules"):
        names = settings.get(key)
        found |= {name: None for name in names if isinstance(name, str)} if isinstance(names, list) else {}
    return found


def _word(settings: Mapping[str, object], key: str) -> str | None:
    value = settings.get(key)
    return value.lower() if isinstance(value, str) and value else None


def _bits(settings: Mapping[str, object], *keys: str) -> int | None:
    found = (settings.get(key) for key in keys)
    return next((value for value in found if type(value) is int and 0 < value <= 32), None)  # noqa: PLR2004 - an integer's


def _named_bits(text: object) -> int | None:
    """Return the bits in the name of a format: 4 of ``mxfp4-pack-quantized``."""
    lower = text.lower() if isinstance(text, str) else ""
    return next((bits for name, bits in _BITS if name in lower), None)


#: The most comparisons of names of tensors with patterns of a configuration: a second of work.
MOST_COMPARISONS: Final = 2_000_000

#: Types of exponents alone, which scale blocks, and are never weights.
_SCALE_TYPES: Final = frozenset({"F8_E8M0", "E8M0", "UE8"})
#: The last parts of the names of tensors beside quantized weights, for all methods.
_BOOKKEEPING: Final = frozenset(
    {"weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale", "weight_zero_point", "weight_shape"}
    | {"weight_g_idx", "input_scale", "input_global_scale", "input_zero_point", "zero_point", "k_scale", "v_scale"}
)
#: The same for single methods.
_BOOKKEEPING_OF: Final = {
    "gptq": frozenset({"qzeros", "g_idx", "scales"}),
    "awq": frozenset({"qzeros", "g_idx", "scales"}),
    "bitsandbytes": frozenset({"absmax", "quant_map", "nested_absmax", "nested_quant_map", "SCB", "weight_format"}),
    "bitnet": frozenset({"weight_scale"}),
}
_CONTAINERS: Final = {"I8": 8, "U8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32}


class ParameterCount(NamedTuple):
    """The elements and parameters of tensors.

    Attributes:
        stored: The elements.
        by_dtype: The parameters by the type of the tensors, sorted; empty where they cannot be counted.
        problem: Why they cannot be counted.
    """

    stored: int
    by_dtype: dict[str, int]
    problem: str | None = None

    @property
    def parameters(self) -> int | None:
        """The sum of `by_dtype`; `None` where they cannot be counted."""
        return None if self.problem is not None else sum(self.by_dtype.values())


def count_parameters(
    tensors: Iterable[StoredTensor], quantization: Quantization | None, *, most_comparisons: int = MOST_COMPARISONS
) -> ParameterCount:
    """Return the elements and the parameters of the tensors of a variant, or of one of its files.

    Args:
        tensors: Each once.
        quantization: Of the weights; `None` where they are not quantized.
        most_comparisons: The most comparisons of a name with a pattern of the configuration.
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
    """Return the sum of several files; if one cannot be counted, the sum cannot."""
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

    The scales of a module may be in the next file, and scales at the beginning of this one belong to the file before.
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
    """Return the bits of a weight in this tensor where several share an integer."""
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
