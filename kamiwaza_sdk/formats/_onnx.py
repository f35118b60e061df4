"""Skims an ONNX file without reading its weights.

The format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, from which the numbers of the fields are.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Final

from kamiwaza_sdk.formats._onnx_graph import Graph, Part, read_function, read_graph
from kamiwaza_sdk.formats._onnx_quantized import weigh
from kamiwaza_sdk.formats._onnx_values import DTYPES, MAX_TEXT, Weight, dtype_name, read_text
from kamiwaza_sdk.formats._protobuf import BYTES, VARINT, next_field, read_bytes, skip_field
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.exceptions import FormatLimitException
from kamiwaza_sdk.formats.schemas.onnx import ONNXSchema
from kamiwaza_sdk.formats.schemas.tensors import TensorSchema, TensorTable

__all__ = ["read_onnx"]

#: Each of sets of operators, properties, graphs and functions.
MAX_ITEMS: Final = 250_000
#: The longest value of a property that is kept, and what is kept of all: vocabularies are among them.
MAX_VALUE: Final = 4 * 1024**2
MAX_KEPT: Final = 16 * 1024**2
#: A model has one; what is there twice, Protocol Buffers put together.
MAX_GRAPHS: Final = 10_000


@dataclass
class _Model:
    ir_version: int | None = None
    producer: tuple[str, str] = ("", "")
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    kept: int = 0
    graphs: list[Part] = field(default_factory=list)
    functions: list[Part] = field(default_factory=list)


def read_onnx(source: ByteSource) -> Reading[ONNXSchema]:
    """Return what the file says, as far as the budget allows, or raise what is wrong with it."""
    if not source.size:
        source.refuse("the file is empty")
    model, graph = _Model(), Graph()
    complete = True
    try:
        yield from _read_model(source, model)
        for part in model.graphs:
            yield from read_graph(source, graph, part)
        for part in model.functions:
            yield from read_function(source, graph, part)
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
                model.graphs.append(Part(cursor.offset, end))
                yield from cursor.skip(found.value)
            case 25, 2:
                model.functions.append(Part(cursor.offset, end))
                yield from cursor.skip(found.value)
            case 8, 2:
                domain, version = yield from _read_opset(cursor, end)
                model.opsets[domain] = version
            case 14, 2:
                yield from _read_property(cursor, end, model)
            case _:
                yield from skip_field(cursor, found)
        counts = (len(model.opsets), len(model.metadata), len(model.cut), len(model.functions))
        if max(counts) > MAX_ITEMS:
            source.exceed(f"more than {MAX_ITEMS} properties or functions", MAX_ITEMS, cursor.offset)
        if len(model.graphs) > MAX_GRAPHS:
            source.exceed(f"more than {MAX_GRAPHS} graphs", MAX_GRAPHS, cursor.offset)


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


def _read_property(cursor: Cursor, end: int, model: _Model) -> Reading[None]:
    """Keep a property, or note that its value was too long to be kept."""
    key, value = "", b""
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        if (found.number, found.wire) == (1, BYTES) and found.value <= MAX_TEXT:
            key = yield from read_text(cursor, found)
        elif (found.number, found.wire) == (2, BYTES) and found.value <= min(MAX_VALUE, MAX_KEPT - model.kept):
            value = yield from read_bytes(cursor, found, most=MAX_VALUE)
        else:
            if found.number == 2:  # noqa: PLR2004 - the value
                model.cut.append(key)
            yield from skip_field(cursor, found)
    model.kept += len(key) + len(value)
    model.metadata[key] = value.decode(errors="replace")


def _tensor(name: str, weight: Weight) -> TensorSchema:
    bits = DTYPES[weight.dtype].bits if weight.dtype in DTYPES else None
    size = None if bits is None else (prod(weight.shape) * bits + 7) // 8
    return TensorSchema(name=name, dtype=dtype_name(weight.dtype), shape=weight.shape, size=size, offset=weight.offset)


def _schema(source: ByteSource, model: _Model, graph: Graph | None) -> ONNXSchema:
    known = ONNXSchema(
        size=source.size,
        complete=graph is not None,
        ir_version=model.ir_version,
        # The two names of one domain.
        opset=model.opsets.get("", model.opsets.get("ai.onnx")),
        opsets=model.opsets,
        producer=" ".join(filter(None, model.producer)) or None,
        metadata=model.metadata,
        cut_metadata=tuple(sorted(set(model.cut))),
    )
    if graph is None:
        return known
    totals = Counter[str]()
    for weight in graph.weights.values():
        totals[dtype_name(weight.dtype)] += prod(weight.shape)
    weighed = weigh(graph.weights, graph.uses, graph.made)
    return known.model_copy(
        update={
            "inputs": tuple(graph.inputs),
            "outputs": tuple(graph.outputs),
            "tensors": TensorTable(graph.weights, _tensor),
            "parameters": totals.total(),
            "parameters_by_dtype": dict(sorted(totals.items())),
            "unpacked_by_dtype": weighed.by_dtype if weighed.problem is None else None,
            "packing_problem": weighed.problem,
            "has_external_data": graph.has_external_data,
            "external_files": tuple(sorted(graph.external_files)),
            "outside_files": tuple(sorted(graph.outside_files)),
        }
    )
