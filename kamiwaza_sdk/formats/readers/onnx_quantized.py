"""Counts the parameters of quantized ONNX graphs, by the inputs that operators use as weights, and as scales of them.

Operators: https://onnx.ai/onnx/operators/ and
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.readers.protobuf import DTYPES, Weight, dtype_name


class Operator(NamedTuple):
    """The inputs of an operator that are weights, and those that scale or order them."""

    weights: frozenset[int]
    beside: frozenset[int]


class Packing(NamedTuple):
    """The numbers in the bytes of a weight: `total` of them, or as many as their `bits` allow."""

    total: int | None = None
    bits: int | None = None


class Use(NamedTuple):
    """A use of a value by an operator.

    Attributes:
        name: Of the value, in the graph of the operator.
        scopes: Of that graph and of those around it, the innermost last.
        is_weight: Whether it is a weight, or scales or orders one.
        packing: Of a weight with several numbers in a byte.
    """

    name: str
    scopes: tuple[str, ...]
    is_weight: bool
    packing: Packing | None = None


class Weighing(NamedTuple):
    """The parameters of a graph.

    Attributes:
        by_dtype: By the type of the weights.
        problem: Why they cannot be counted; `None` where they can.
    """

    by_dtype: dict[str, int]
    problem: str | None


def _operator(weights: Iterable[int], beside: Iterable[int]) -> Operator:
    return Operator(frozenset(weights), frozenset(beside))


OPERATORS: Final = {
    b"QuantizeLinear": _operator((0,), (1, 2)),
    b"DequantizeLinear": _operator((0,), (1, 2)),
    b"QLinearConv": _operator((0, 3, 8), (1, 2, 4, 5, 6, 7)),
    b"QLinearMatMul": _operator((0, 3), (1, 2, 4, 5, 6, 7)),
    b"MatMulInteger": _operator((0, 1), (2, 3)),
    b"ConvInteger": _operator((0, 1), (2, 3)),
    b"MatMulIntegerToFloat": _operator((0, 1, 6), (2, 3, 4, 5)),
    b"DynamicQuantizeMatMul": _operator((0, 1, 4), (2, 3)),
    b"DynamicQuantizeLSTM": _operator((1, 2, 3, 7), (8, 9, 10, 11)),
    b"QGemm": _operator((0, 3, 6), (1, 2, 4, 5, 7, 8)),
    b"QAttention": _operator((1, 2), (3, 4, 6, 7)),
    b"QEmbedLayerNormalization": _operator(range(2, 7), range(8, 18)),
    b"QLinearAdd": _operator((0, 3), (1, 2, 4, 5, 6, 7)),
    b"QLinearMul": _operator((0, 3), (1, 2, 4, 5, 6, 7)),
    b"QLinearSigmoid": _operator((0,), (1, 2, 3, 4)),
    b"QLinearLeakyRelu": _operator((0,), (1, 2, 3, 4)),
    b"QLinearSoftmax": _operator((0,), (1, 2, 3, 4)),
    b"QLinearAveragePool": _operator((0,), (1, 2, 3, 4)),
    b"QLinearGlobalAveragePool": _operator((0,), (1, 2, 3, 4)),
    b"MatMulNBits": _operator((1, 5), (2, 3, 4)),
    b"MatMulBnb4": _operator((1,), (2,)),
    b"GatherBlockQuantized": _operator((0,), (2, 3)),
}
#: The inputs with several numbers in a byte, as the attributes of the operator tell.
PACKED_INPUTS: Final = {b"MatMulNBits": 1, b"MatMulBnb4": 1, b"GatherBlockQuantized": 0}
_USUAL_BITS: Final = 4
_BYTE: Final = 8


def uses_of(kind: bytes, inputs: Iterable[str], numbers: Mapping[str, int], scopes: tuple[str, ...]) -> Iterator[Use]:
    """Yield the uses of the inputs of an operator.

    Args:
        kind: One of `OPERATORS`.
        inputs: The names of its inputs, empty for omitted ones.
        numbers: Its attributes that are whole numbers, of those in `PACKED_INPUTS`.
        scopes: Of its graph, and of those around it.
    """
    operator = OPERATORS[kind]
    for place, name in enumerate(inputs):
        if name and place in operator.weights:
            packed = PACKED_INPUTS.get(kind) == place
            yield Use(name, scopes, is_weight=True, packing=_packing(kind, numbers) if packed else None)
        elif name and place in operator.beside:
            yield Use(name, scopes, is_weight=False)


def _packing(kind: bytes, numbers: Mapping[str, int]) -> Packing:
    bits = numbers.get("bits", _USUAL_BITS)
    if kind == b"GatherBlockQuantized":
        return Packing(bits=bits)
    return Packing(total=numbers.get("N", 0) * numbers.get("K", 0), bits=bits)


def weigh(weights: Mapping[str, Weight], uses: Iterable[Use], made: Mapping[str, str]) -> Weighing:
    """Return the parameters of a graph: each number of packed weights, and no scales and zero points.

    Args:
        weights: By name, preceded by the scopes of inner graphs and functions.
        uses: Of values by operators.
        made: The weights that are the values of constants, by the scope and name of the value.
    """
    roles = dict[str, Use]()
    for use in uses:
        key = _resolved(use, weights, made)
        if key is not None and (use.is_weight or key not in roles):
            roles[key] = use
    totals, unknown = Counter[str](), Counter[str]()
    for key, weight in weights.items():
        found = roles.get(key)
        count = _count(weight, found)
        if count is None:
            return Weighing({}, f"the weight {weight.name[:80]!r} is packed in a way that its operator does not tell")
        totals[dtype_name(weight.dtype)] += count
        if found is None and weight.dtype not in _WHOLE:
            unknown[dtype_name(weight.dtype)] += count
    return Weighing(dict(sorted((+totals).items())), _problem(totals, unknown))


#: The types of which each element is a parameter.
_WHOLE: Final = frozenset(
    number for number, one in DTYPES.items() if one.name in {"BFLOAT16", "DOUBLE", "FLOAT", "FLOAT16"}
)
#: The types of quantized or packed weights.
_NARROW: Final = frozenset(
    one.name for one in DTYPES.values() if (one.bits or _BYTE + 1) <= _BYTE and one.name != "BOOL"
)


def _problem(totals: Counter[str], unknown: Counter[str]) -> str | None:
    """Return why the parameters are not known: some integers of a graph may be none, but not most."""
    narrow = next((name for name in sorted(unknown) if name in _NARROW and unknown[name] > 1), None)
    if narrow is not None:
        return f"no operator that is known takes its {unknown[narrow]:,} numbers of type {narrow} as weights"
    if 2 * unknown.total() > totals.total():
        return f"most of its numbers are of the types {', '.join(sorted(unknown))}, and it does not say what they are"
    return None


def _resolved(use: Use, weights: Mapping[str, Weight], made: Mapping[str, str]) -> str | None:
    """Return the weight that a name means: of the innermost graph that has one."""
    for scope in reversed(use.scopes):
        key = scope + use.name
        if key in weights or key in made:
            return made.get(key, key)
    return None


def _count(weight: Weight, use: Use | None) -> int | None:
    """Return the number of parameters of a weight; `None` where its attributes contradict its shape."""
    elements = prod(weight.shape)
    if use is None or (use.is_weight and use.packing is None):
        return elements
    if use.packing is None:
        return 0
    width, bits = DTYPES[weight.dtype].bits if weight.dtype in DTYPES else None, use.packing.bits
    if width is None or bits is None or not 0 < bits <= _BYTE:
        return None
    most = elements * max(width, bits) // bits if width >= _BYTE else elements
    if use.packing.total is None:
        return most
    return use.packing.total if 0 < use.packing.total <= most else None
