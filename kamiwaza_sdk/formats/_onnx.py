"""Skims an ONNX file without reading its weights.

The format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, from which the numbers of the fields are.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Final, NamedTuple

from kamiwaza_sdk.formats._onnx_values import DTYPES, MAX_TEXT, Weight, read_text, read_value, read_weight
from kamiwaza_sdk.formats._protobuf import BYTES, VARINT, next_field, skip_field
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.exceptions import FormatLimitException
from kamiwaza_sdk.formats.schemas.onnx import ONNXSchema, ONNXValueSchema
from kamiwaza_sdk.formats.schemas.tensors import TensorSchema, TensorTable

__all__ = ["read_onnx"]

#: Each of inputs, outputs, weights, sets of operators and properties.
MAX_ITEMS: Final = 250_000


@dataclass
class _Model:
    ir_version: int | None = None
    producer: tuple[str, str] = ("", "")
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    graphs: list["_Part"] = field(default_factory=list)


@dataclass
class _Graph:
    inputs: list[ONNXValueSchema] = field(default_factory=list)
    outputs: list[ONNXValueSchema] = field(default_factory=list)
    weights: dict[str, Weight] = field(default_factory=dict)


class _Part(NamedTuple):
    start: int
    end: int


def read_onnx(source: ByteSource) -> Reading[ONNXSchema]:
    """Return what the file says, as far as the budget allows, or raise what is wrong with it."""
    if not source.size:
        source.refuse("the file is empty")
    model, graph = _Model(), _Graph()
    complete = True
    try:
        yield from _read_model(source, model)
        for part in model.graphs:
            yield from _read_graph(source, graph, part)
    except FormatLimitException:
        if not source.exhausted or not model.graphs:
            raise
        complete = False
    if not model.graphs:
        source.refuse("there is no graph in it")
    return _schema(source, model, graph if complete else None)


def _read_model(source: ByteSource, model: _Model) -> Reading[None]:
    """Read all but the graph, which is large; what follows it is not."""
    cursor = Cursor(source, 0, source.size)
    while cursor.offset < source.size:
        found = yield from next_field(cursor, source.size)
        end = cursor.offset + found.value
        match found.number, found.wire:
            case 1, 0:
                model.ir_version = found.value
            case (2 | 3) as number, 2:
                text = yield from read_text(cursor, found)
                model.producer = (text, model.producer[1]) if number == 2 else (model.producer[0], text)  # noqa: PLR2004 - the name; 3 is its version
            case 7, 2:
                model.graphs.append(_Part(cursor.offset, end))
                yield from cursor.skip(found.value)
            case 8, 2:
                domain, version = yield from _read_opset(cursor, end)
                model.opsets[domain] = version
            case 14, 2:
                key, value = yield from _read_property(cursor, end)
                model.metadata[key] = value
            case _:
                yield from skip_field(cursor, found)
        if max(len(model.opsets), len(model.metadata), len(model.graphs)) > MAX_ITEMS:
            source.exceed(f"more than {MAX_ITEMS} properties or graphs", MAX_ITEMS, cursor.offset)


def _read_opset(cursor: Cursor, end: int) -> Reading[tuple[str, int]]:
    domain, version = "", 0
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        if (found.number, found.wire) == (1, BYTES):
            domain = yield from read_text(cursor, found)
        elif (found.number, found.wire) == (2, VARINT):
            version = found.value
        else:
            yield from skip_field(cursor, found)
    return domain, version


def _read_property(cursor: Cursor, end: int) -> Reading[tuple[str, str]]:
    texts = {1: "", 2: ""}
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        if found.number in texts and found.wire == BYTES and found.value <= MAX_TEXT:
            texts[found.number] = yield from read_text(cursor, found)
        else:
            yield from skip_field(cursor, found)
    return texts[1], texts[2]


def _read_graph(source: ByteSource, graph: _Graph, part: _Part) -> Reading[None]:
    cursor = Cursor(source, part.start, part.end)
    while cursor.offset < part.end:
        found = yield from next_field(cursor, part.end)
        end = cursor.offset + found.value
        match found.number, found.wire:
            case 5, 2:
                weight = yield from read_weight(cursor, end)
                graph.weights[weight.name] = weight
            case 11, 2:
                graph.inputs.append((yield from read_value(cursor, end)))
            case 12, 2:
                graph.outputs.append((yield from read_value(cursor, end)))
            case _:
                yield from skip_field(cursor, found)
        if max(len(graph.weights), len(graph.inputs), len(graph.outputs)) > MAX_ITEMS:
            source.exceed(f"more than {MAX_ITEMS} inputs, outputs or weights", MAX_ITEMS, cursor.offset)


def _tensor(name: str, weight: Weight) -> TensorSchema:
    bits = DTYPES[weight.dtype].bits if weight.dtype in DTYPES else None
    size = None if bits is None else (prod(weight.shape) * bits + 7) // 8
    return TensorSchema(name=name, dtype=_dtype(weight), shape=weight.shape, size=size, offset=weight.offset)


def _dtype(weight: Weight) -> str:
    return DTYPES[weight.dtype].name if weight.dtype in DTYPES else f"type {weight.dtype}"


def _schema(source: ByteSource, model: _Model, graph: _Graph | None) -> ONNXSchema:
    known = ONNXSchema(
        size=source.size,
        complete=graph is not None,
        ir_version=model.ir_version,
        # The two names of one domain.
        opset=model.opsets.get("", model.opsets.get("ai.onnx")),
        opsets=model.opsets,
        producer=" ".join(filter(None, model.producer)) or None,
        metadata=model.metadata,
    )
    if graph is None:
        return known
    totals = Counter[str]()
    for weight in graph.weights.values():
        totals[_dtype(weight)] += prod(weight.shape)
    return known.model_copy(
        update={
            "inputs": tuple(graph.inputs),
            "outputs": tuple(graph.outputs),
            "tensors": TensorTable(graph.weights, _tensor),
            "parameters": totals.total(),
            "parameters_by_dtype": dict(sorted(totals.items())),
            "has_external_data": any(weight.external for weight in graph.weights.values()),
        }
    )
