"""Reads the graphs of an ONNX file without their weights.

The numbers of fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.exceptions import FormatLimitException
from kamiwaza_sdk.formats.readers.onnx_quantized import OPERATORS, PACKED_INPUTS, Use, uses_of, weigh
from kamiwaza_sdk.formats.readers.protobuf import (
    BYTES,
    DTYPES,
    MAX_TEXT,
    VARINT,
    Weight,
    dtype_name,
    next_field,
    read_bytes,
    read_number,
    read_text,
    read_value,
    read_values,
    read_weight,
    skip_field,
)
from kamiwaza_sdk.formats.schemas.files import ONNXSchema, ONNXValueSchema, TensorSchema, TensorTable
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading

#: The most inputs, outputs and weights; sets of operators, properties, graphs and functions; each.
MAX_ITEMS: Final = 250_000
#: The steps for an input or an output: it is several objects, which Python's collector visits again and again.
_VALUE_STEPS: Final = 20
#: The most graphs in each other.
MAX_DEPTH: Final = 16
#: Longer nodes hold weights, nearly always.
_SHORT_NODE: Final = 16_384
#: The bytes of a node that cost a step, and the fields: there can be one in two bytes.
_BYTES_A_STEP: Final = 24
_FIELDS_A_STEP: Final = 4
_INPUT: Final = 1
_KIND: Final = 4
_ATTRIBUTE: Final = 5
#: The fields of an attribute with its name, and with a whole number.
_NAME: Final = 1
_INTEGER: Final = 3
#: The fields of an attribute that hold tensors and graphs.
_HOLDING: Final = frozenset({5, 6, 10, 11, 22, 23})
_TENSORS: Final = frozenset({5, 10})
_GRAPHS: Final = frozenset({6, 11})
_MORE: Final = 0x80
_OUTSIDE: Final = re.compile(r"[/\\]|[A-Za-z]:|.*\\|.*\0")


class Part(NamedTuple):
    """The place of a message in the file."""

    start: int
    end: int


@dataclass
class Graph:
    """The values of graphs.

    Attributes:
        inputs: Of the main graph, in its order.
        outputs: Of the main graph, in its order.
        weights: By name, also those of graphs in nodes.
        uses: The uses of values by the operators of quantized graphs.
        made: The weights that are the values of constants, by the scope and name of the value.
        external_files: Other files that hold weights.
        outside_files: The same outside of the directory of the model.
        has_external_data: Whether there are any.
    """

    inputs: list[ONNXValueSchema] = field(default_factory=list)
    outputs: list[ONNXValueSchema] = field(default_factory=list)
    weights: dict[str, Weight] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    external_files: set[str] = field(default_factory=set)
    outside_files: set[str] = field(default_factory=set)
    has_external_data: bool = False

    def add(self, source: ByteSource, weight: Weight, name: str) -> str:
        """Add a weight under a unique name, and return the name."""
        unique, number = name, 1
        while unique in self.weights:
            number += 1
            unique = f"{name}#{number}"
            source.step(0)
        self.weights[unique] = weight
        if len(self.weights) > MAX_ITEMS:
            source.exceed(f"more than {MAX_ITEMS} weights", MAX_ITEMS)
        return unique

    def note(self, weight: Weight) -> None:
        """Add the file that holds a weight. The reference library reads none outside of the directory."""
        if not weight.external:
            return
        self.has_external_data = True
        place = PurePosixPath(weight.location)
        if _OUTSIDE.match(weight.location) or ".." in place.parts:
            self.outside_files.add(weight.location)
        elif weight.location:
            self.external_files.add(str(place))


def read_graph(source: ByteSource, graph: Graph, part: Part) -> Reading[None]:
    """Read the main graph."""
    yield from _Skimmer(source, graph).read_graph(Cursor(source, part.start, part.end), part.end, "", 0)


def read_function(source: ByteSource, graph: Graph, part: Part) -> Reading[None]:
    """Read a function, which is a graph of its own."""
    cursor, name, skimmer = Cursor(source, part.start, part.end), "", _Skimmer(source, graph)
    while cursor.offset < part.end:
        found = yield from next_field(cursor, part.end)
        if (found.number, found.wire) == (1, BYTES):
            name = yield from read_text(cursor, found)
        elif (found.number, found.wire) == (7, BYTES):
            skimmer.scopes = [f"{name}/"]
            yield from skimmer.read_node(cursor, found.value, f"{name}/", 1)
        else:
            yield from skip_field(cursor, found)


class _Skimmer:
    def __init__(self, source: ByteSource, graph: Graph) -> None:
        self.source = source
        self.graph = graph
        self.scopes = list[str]()

    def read_graph(self, cursor: Cursor, end: int, scope: str, depth: int) -> Reading[None]:
        """Read a graph that ends at `end`; of graphs in nodes, only the weights."""
        if depth > MAX_DEPTH:
            self.source.exceed(f"graphs are nested deeper than {MAX_DEPTH}", MAX_DEPTH, cursor.offset)
        graph = self.graph
        self.scopes.append(scope)
        while cursor.offset < end:
            found = yield from next_field(cursor, end)
            last = cursor.offset + found.value
            match found.number, found.wire:
                case 1, 2:
                    yield from self.read_node(cursor, found.value, scope, depth)
                case 5, 2:
                    self._add_weight((yield from read_weight(cursor, last)), scope)
                case 11, 2 if not depth:
                    self.source.step(cursor.offset, _VALUE_STEPS)
                    graph.inputs.append((yield from read_value(cursor, found)))
                case 12, 2 if not depth:
                    self.source.step(cursor.offset, _VALUE_STEPS)
                    graph.outputs.append((yield from read_value(cursor, found)))
                case 15, 2:
                    self._add_weight((yield from self._read_sparse(cursor, last)), scope)
                case _:
                    yield from skip_field(cursor, found)
            if max(len(graph.inputs), len(graph.outputs)) > MAX_ITEMS:
                self.source.exceed(f"more than {MAX_ITEMS} inputs or outputs", MAX_ITEMS, cursor.offset)
        self.scopes.pop()

    def _add_weight(self, weight: Weight, scope: str) -> None:
        self.graph.add(self.source, weight, scope + weight.name)
        self.graph.note(weight)

    def _read_sparse(self, cursor: Cursor, end: int) -> Reading[Weight]:
        """Return the values of a sparse tensor, which are its weights; the indices are not."""
        values = Weight("", 0, (), None, external=False)
        while cursor.offset < end:
            found = yield from next_field(cursor, end)
            if (found.number, found.wire) == (1, BYTES):
                values = yield from read_weight(cursor, cursor.offset + found.value)
            elif (found.number, found.wire) == (2, BYTES):
                self.graph.note((yield from read_weight(cursor, cursor.offset + found.value)))
            else:
                yield from skip_field(cursor, found)
        return values

    def read_node(self, cursor: Cursor, length: int, scope: str, depth: int) -> Reading[None]:
        """Read a node; skip one without tensors and graphs, as most are."""
        if length <= _SHORT_NODE:
            self.source.step(cursor.offset, 1 + length // _BYTES_A_STEP)
            yield from cursor.need(length)
            if not self._holds_tensors(cursor, length):
                yield from cursor.skip(length)
                return
        end, name, kind, output, constants = cursor.offset + length, "", "", "", list[Weight]()
        while cursor.offset < end:
            found = yield from next_field(cursor, end)
            if (found.number, found.wire) == (2, BYTES):
                output = yield from read_text(cursor, found)
            elif (found.number, found.wire) == (3, BYTES):
                name = yield from read_text(cursor, found)
            elif (found.number, found.wire) == (4, BYTES):
                kind = yield from read_text(cursor, found)
            elif (found.number, found.wire) == (_ATTRIBUTE, BYTES):
                inner = f"{scope}{name or kind}"
                constants += yield from self._read_attribute(cursor, cursor.offset + found.value, inner, depth)
            else:
                yield from skip_field(cursor, found)
        for weight in constants:
            self.graph.note(weight)
            if kind == "Constant":
                key = self.graph.add(self.source, weight, scope + (name or weight.name or kind))
                self.graph.made[scope + output] = key

    def _holds_tensors(self, cursor: Cursor, length: int) -> bool:
        """Return whether a node in memory has tensors or graphs, and add the uses of its inputs."""
        data, at = cursor.data, cursor.position
        survey = _survey(data, at, at + length)
        steps = survey.fields // _FIELDS_A_STEP
        if (more := steps - length // _BYTES_A_STEP) > 0:
            self.source.step(cursor.offset, more)
        if survey.kind in OPERATORS:
            self.source.step(cursor.offset, max(1, steps))
            self._note_uses(survey.kind, data, at, length)
        return survey.holds_tensors

    def _note_uses(self, kind: bytes, data: bytes, at: int, length: int) -> None:
        """Add the uses of the inputs of an operator; none for a malformed one."""
        inputs, numbers = list[str](), dict[str, int]()
        with suppress(ValueError):
            for number, begin, size in _skim(data, at, at + length):
                if number == _INPUT:
                    inputs.append(data[begin : begin + size].decode(errors="replace"))
                elif number == _ATTRIBUTE and kind in PACKED_INPUTS:
                    numbers |= _number(data, begin, begin + size)
        self.graph.uses += uses_of(kind, inputs, numbers, tuple(self.scopes))

    def _read_attribute(self, cursor: Cursor, end: int, scope: str, depth: int) -> Reading[list[Weight]]:
        weights, name = list[Weight](), ""
        while cursor.offset < end:
            found = yield from next_field(cursor, end)
            last = cursor.offset + found.value
            if (found.number, found.wire) == (1, BYTES):
                name = yield from read_text(cursor, found)
            elif found.wire == BYTES and found.number in _TENSORS:
                weights.append((yield from read_weight(cursor, last)))
            elif found.wire == BYTES and found.number in _GRAPHS:
                yield from self.read_graph(cursor, last, f"{scope}.{name}/", depth + 1)
            elif found.wire == BYTES and found.number in _HOLDING:
                weights.append((yield from self._read_sparse(cursor, last)))
            else:
                yield from skip_field(cursor, found)
        return weights


class _Survey(NamedTuple):
    """The kind of a node in memory, whether one of its attributes has a tensor or a graph, and the fields looked at."""

    kind: bytes
    holds_tensors: bool
    fields: int


def _survey(data: bytes, at: int, end: int) -> _Survey:
    """Return the kind of a node; of a malformed one, that it has to be read."""
    kind, holds, fields = b"", False, 0
    try:
        for number, begin, length in _skim(data, at, end):
            fields += 1
            if number == _KIND:
                kind = data[begin : begin + length]
            elif number == _ATTRIBUTE and not holds:
                inner = [name for name, *_ in _skim(data, begin, begin + length)]
                fields += len(inner)
                holds = not _HOLDING.isdisjoint(inner)
    except ValueError:
        return _Survey(b"", holds_tensors=True, fields=fields)
    return _Survey(kind, holds, fields)


def _number(data: bytes, at: int, end: int) -> dict[str, int]:
    """Return the whole number of an attribute in memory, by its name; nothing where it has none."""
    name, value = "", None
    for number, begin, length in _skim(data, at, end):
        if number == _NAME:
            name = data[begin : begin + length].decode(errors="replace")
        elif number == _INTEGER:
            value, _ = _varint(data, begin, end)
    return {} if value is None else {name: value}


def _skim(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number, offset and length of each field of a message in memory.

    Raises:
        ValueError: It is not valid.
    """
    while at < end:
        tag, at = _varint(data, at, end)
        wire, length = tag & 7, 0
        if wire == 0:
            _, after = _varint(data, at, end)
            length = after - at
        elif wire == BYTES:
            length, at = _varint(data, at, end)
        else:
            length = {1: 8, 5: 4}.get(wire, end)
        if length > end - at:
            raise ValueError
        yield tag >> 3, at, length
        at += length


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    if at < end and data[at] < _MORE:  # nearly all of them
        return data[at], at + 1
    value = shift = 0
    for place in range(at, min(at + 10, end)):
        value |= (data[place] & (_MORE - 1)) << shift
        if data[place] < _MORE:
            return value, place + 1
        shift += 7
    raise ValueError


#: The longest value of a property that is stored, and the most bytes of all: some are vocabularies.
MAX_VALUE: Final = 4 * 1024**2
MAX_STORED: Final = 16 * 1024**2
#: A model has one graph. Protocol Buffers merge several.
MAX_GRAPHS: Final = 10_000


@dataclass
class _Model:
    ir_version: int | None = None
    producer: tuple[str, str] = ("", "")
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    stored: int = 0
    graphs: list[Part] = field(default_factory=list)
    functions: list[Part] = field(default_factory=list)


def read_onnx(source: ByteSource) -> Reading[ONNXSchema]:
    """Return the description of a file as far as the budget allows, or raise if it violates its format."""
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
    """Read everything except the graph, which is large; the fields that follow it are not."""
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
                opset = yield from read_values(cursor, found, {(1, BYTES): read_text, (2, VARINT): read_number})
                model.opsets[opset.get(1, "")] = opset.get(2, 0)
            case 14, 2:
                yield from _read_property(cursor, end, model)
            case _:
                yield from skip_field(cursor, found)
        counts = (len(model.opsets), len(model.metadata), len(model.cut), len(model.functions))
        if max(counts) > MAX_ITEMS:
            source.exceed(f"more than {MAX_ITEMS} properties or functions", MAX_ITEMS, cursor.offset)
        if len(model.graphs) > MAX_GRAPHS:
            source.exceed(f"more than {MAX_GRAPHS} graphs", MAX_GRAPHS, cursor.offset)


def _read_property(cursor: Cursor, end: int, model: _Model) -> Reading[None]:
    """Store a property, or that its value is too long."""
    key, value = "", b""
    while cursor.offset < end:
        found = yield from next_field(cursor, end)
        if (found.number, found.wire) == (1, BYTES) and found.value <= MAX_TEXT:
            key = yield from read_text(cursor, found)
        elif (found.number, found.wire) == (2, BYTES) and found.value <= min(MAX_VALUE, MAX_STORED - model.stored):
            value = yield from read_bytes(cursor, found, most=MAX_VALUE)
        else:
            if found.number == 2:  # noqa: PLR2004 - the value
                model.cut.append(key)
            yield from skip_field(cursor, found)
    model.stored += len(key) + len(value)
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
