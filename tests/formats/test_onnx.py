"""ONNX: what is skimmed is what the reference library loads; what is hostile is refused, what is far is unknown."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from kamiwaza_sdk import FormatException, FormatLimitException, MalformedFileException, ONNXSchema, inspect_file
from kamiwaza_sdk.formats import _source
from kamiwaza_sdk.formats._onnx_values import DTYPES
from tests.formats.making import Ranges, inspect_bytes

SHIPPED = sorted(Path(onnx.__file__).parent.glob("backend/test/data/**/model.onnx"))[::40]


def magika_model() -> Path:
    import magika

    return next(Path(magika.__file__).parent.glob("models/*/model.onnx"))


def value(info: onnx.ValueInfoProto) -> tuple[str, str | None, tuple[int | str | None, ...] | None]:
    if not info.type.HasField("tensor_type"):
        return info.name, None, None
    kind = info.type.tensor_type
    dims = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param if dim.HasField("dim_param") else None
        for dim in kind.shape.dim
    )
    return info.name, TensorProto.DataType.Name(kind.elem_type), dims if kind.HasField("shape") else None


def weights_of(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Return the weights of a model as the reference library has them: in bodies and functions, too."""
    yield from weights_in(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from weights_at(node)


def weights_in(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from (sparse.values for sparse in graph.sparse_initializer)
    for node in graph.node:
        yield from weights_at(node)


def weights_at(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from weights_in(graph)
        if node.op_type == "Constant":
            yield from [attribute.t] if attribute.HasField("t") else []
            yield from [attribute.sparse_tensor.values] if attribute.HasField("sparse_tensor") else []


def assert_same(schema: object, model: onnx.ModelProto) -> None:
    assert isinstance(schema, ONNXSchema)
    assert schema.complete
    assert schema.ir_version == model.ir_version
    assert schema.opsets == {opset.domain: opset.version for opset in model.opset_import}
    assert schema.producer == (" ".join(filter(None, [model.producer_name, model.producer_version])) or None)
    for ours, theirs in ((schema.inputs, model.graph.input), (schema.outputs, model.graph.output)):
        assert [(v.name, v.dtype, v.shape) for v in ours or ()] == [value(info) for info in theirs]
    totals, external = Counter[str](), set[str]()
    for tensor in weights_of(model):
        totals[TensorProto.DataType.Name(tensor.data_type)] += prod(tensor.dims)
        external |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    assert schema.parameters_by_dtype == dict(totals)
    assert schema.parameters == totals.total()
    assert schema.external_files == tuple(sorted(external))
    tables = {name: t.shape for name, t in (schema.tensors or {}).items()}
    assert tables.items() >= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}.items()
    assert len(tables) == len(list(weights_of(model)))
    assert schema.metadata == {entry.key: entry.value for entry in model.metadata_props}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_models_that_the_reference_library_ships_are_read_as_it_reads_them(path: Path) -> None:
    assert_same(inspect_file(path), onnx.load(path))


def test_a_real_model_is_read_as_the_reference_library_reads_it() -> None:
    path = magika_model()
    schema = inspect_file(path)
    assert_same(schema, onnx.load(path))
    assert ONNXSchema.model_validate_json(schema.model_dump_json()) == schema


def zeros(count: int, *, raw: bool) -> bytes | list[float]:
    return bytes(4 * count) if raw else [0.0] * count


def made(*, raw: bool = True, count: int = 1000) -> onnx.ModelProto:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [count, 4], zeros(4 * count, raw=raw), raw)
    outside = TensorProto(
        name="outside", data_type=TensorProto.BFLOAT16, dims=[2, 3], data_location=TensorProto.EXTERNAL
    )
    text = TensorProto(name="text", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])
    ints = helper.make_tensor("ints", TensorProto.INT64, [300], list(range(300)))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, None])
    seq = helper.make_tensor_sequence_value_info("seq", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info("y", TensorProto.INT4, None)
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x, seq], [y], [weights, outside, text, ints])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, producer_name="tests", producer_version="1.2", opset_imports=opsets)
    helper.set_model_props(model, {"author": "me"})
    return model


@pytest.mark.parametrize("raw", [True, False])
def test_values_of_every_kind_are_read_alike(raw: bool, tmp_path: Path) -> None:
    model = made(raw=raw)
    data = model.SerializeToString()
    schema = inspect_bytes(data, tmp_path / "a.onnx")
    assert_same(schema, model)
    assert isinstance(schema, ONNXSchema)
    assert (schema.opset, schema.has_external_data) == (20, True)
    assert schema.tensors is not None
    assert (schema.tensors["w"].size, schema.tensors["text"].size, schema.tensors["outside"].size) == (16000, None, 12)
    offset = schema.tensors["w"].offset
    assert (offset is not None) == raw
    assert offset is None or data[offset : offset + 16000] == bytes(16000)


def test_every_dtype_of_the_reference_library_is_known() -> None:
    assert {kind.name for kind in DTYPES.values()} >= set(TensorProto.DataType.keys())
    for number, kind in DTYPES.items():
        assert number not in TensorProto.DataType.values() or TensorProto.DataType.Name(number) == kind.name


async def test_a_remote_file_within_the_budget_is_read_without_its_weights() -> None:
    data = made(count=1_000_000).SerializeToString()
    ranges = Ranges(data, path="a.onnx")
    assert_same(await ranges.inspect(), onnx.load_from_string(data))
    assert sum(length for _, length in ranges.read) < len(data) // 50


async def test_what_is_beyond_the_budget_is_unknown_until_it_is_fetched() -> None:
    data = made(count=1_000_000).SerializeToString()
    ranges = Ranges(data, path="a.onnx")
    schema = await ranges.inspect(byte_budget=65_700)
    assert isinstance(schema, ONNXSchema)
    assert (schema.complete, schema.ir_version, schema.producer) == (False, made().ir_version, "tests 1.2")
    assert (schema.inputs, schema.outputs, schema.parameters, schema.tensors) == (None, None, None, None)
    assert (schema.opset, schema.metadata) == (20, {"author": "me"})
    assert sum(length for _, length in ranges.read) <= 65_700


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "no graph": b"\x08\x08",
    "a graph beyond the file": b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a number without end": b"\x08" + b"\xff" * 20,
    "a group": b"\x08\x08\x3b",
    "field 0": b"\x08\x08\x00\x01",
    "a weight beyond its graph": b"\x08\x08\x3a\x04\x2a\x40ab",
    "a negative dimension": b"\x08\x08\x3a\x0d\x2a\x0b\x08" + b"\xff" * 9 + b"\x01",
    "an overflow": b"\x08\x08\x3a\x16\x2a\x14" + (b"\x08" + b"\x80" * 8 + b"\x01") * 2,
    "a hundred dimensions": b"\x08\x08\x3a\xca\x01\x2a\xc7\x01" + b"\x08\x01" * 99 + b"\x08",
    "packed dimensions without end": b"\x08\x08\x3a\x6a\x2a\x68\x0a\x66" + b"\x01" * 102,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises((MalformedFileException, FormatLimitException)):
        inspect_bytes(data, tmp_path / "a.onnx")


def test_packed_dimensions_of_many_weights_are_unknown_beyond_the_budget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_source, "MAX_STEPS", 10_000)
    weights = (b"\x2a\x42\x0a\x40" + b"\x01" * 63 + b"\x00") * 1_000  # some 3,000 fields, and 64,000 numbers in them
    length = bytes([len(weights) & 0x7F | 0x80, len(weights) >> 7 & 0x7F | 0x80, len(weights) >> 14])
    schema = inspect_bytes(b"\x08\x08\x3a" + length + weights, tmp_path / "a.onnx")
    assert isinstance(schema, ONNXSchema)
    assert (schema.complete, schema.parameters) == (False, None)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_file_with_any_bytes_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    mutated = bytearray(made(raw=False, count=10).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=6))
        mutated[place : place + len(piece)] = piece
    with suppress(FormatException):
        inspect_bytes(bytes(mutated), tmp_path_factory.getbasetemp() / "mutated.onnx")


def outside(name: str, location: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT16, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value="4096")
    return tensor


def body(name: str, weight: TensorProto, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    y = helper.make_tensor_value_info(f"y_{name}", TensorProto.FLOAT, [3])
    add = helper.make_node("Add", ["x", weight.name], [y.name])
    return helper.make_graph([*nodes, add], name, [], [y], [weight])


def branched(location: str = "bodies.data") -> onnx.ModelProto:
    """Return a model with weights in the bodies of nodes, in each other, in constants, and in a function."""
    inner = body("inner", outside("w", location))
    both = {
        "then_branch": inner,
        "else_branch": body("else", helper.make_tensor("w", TensorProto.FLOAT, [3], [0.0] * 3)),
    }
    constant = helper.make_node("Constant", [], ["c"], name="constant", value=outside("", "constants.data"))
    loop = body("loop", outside("v", "./loops/loop.data"), helper.make_node("If", ["c"], ["i"], name="if", **both))
    indices = helper.make_tensor("", TensorProto.INT64, [2], [1, 5])
    sparse = helper.make_sparse_tensor(helper.make_tensor("s", TensorProto.FLOAT, [2], [1.0, 2.0]), indices, [9])
    nodes = [constant, helper.make_node("Loop", ["n", "c", "x"], ["y"], name="loop", body=loop)]
    nodes += [helper.make_node("Relu", ["x"], [f"r{n}"], name=f"node/{n}", domain="") for n in range(100)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    graph = helper.make_graph(nodes, "main", [x], [y], [outside("main", "model.data")], sparse_initializer=[sparse])
    constants = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("", TensorProto.FLOAT, [4], [1.0] * 4))
    function = helper.make_function("own", "f", ["a"], ["c"], [constants], [helper.make_opsetid("", 20)])
    return helper.make_model(graph, functions=[function])


async def test_weights_in_bodies_constants_and_functions_are_counted_and_their_files_named(tmp_path: Path) -> None:
    model = branched()
    schema = inspect_bytes(model.SerializeToString(), tmp_path / "a.onnx")
    assert isinstance(schema, ONNXSchema)
    assert schema.has_external_data
    assert schema.external_files == ("bodies.data", "constants.data", "loops/loop.data", "model.data")
    assert (schema.parameters, schema.parameters_by_dtype) == (4 * 6 + 3 + 2 + 4, {"FLOAT": 9, "FLOAT16": 24})
    assert set(schema.tensors or ()) == {
        *("main", "s", "constant", "loop.body/v", "loop.body/if.then_branch/w", "loop.body/if.else_branch/w"),
        "f/Constant",
    }
    assert await Ranges(model.SerializeToString(), path="a.onnx").inspect() == schema


@pytest.mark.parametrize("location", ["../a", "/etc/passwd", "b/../../a", "C:a", "a\\b", "\\\\host\\a", ""])
def test_external_data_outside_of_the_directory_is_refused(location: str, tmp_path: Path) -> None:
    data = branched(location).SerializeToString()
    if not location:  # what is in no file is none to fetch
        schema = inspect_bytes(data, tmp_path / "a.onnx")
        assert isinstance(schema, ONNXSchema)
        assert schema.external_files == ("constants.data", "loops/loop.data", "model.data")
        return
    with pytest.raises(MalformedFileException, match="outside of the model's directory"):
        inspect_bytes(data, tmp_path / "a.onnx")


def test_long_metadata_is_kept_and_what_is_too_long_is_named(tmp_path: Path) -> None:
    model = made()
    helper.set_model_props(model, {"tokens": "t" * 70_000, "short": "s"})
    kept = inspect_bytes(model.SerializeToString(), tmp_path / "a.onnx")
    assert isinstance(kept, ONNXSchema)
    assert (len(kept.metadata["tokens"]), kept.cut_metadata) == (70_000, ())
    helper.set_model_props(model, {"huge": "t" * (4 * 1024**2 + 1), "short": "s"})
    cut = inspect_bytes(model.SerializeToString(), tmp_path / "a.onnx")
    assert isinstance(cut, ONNXSchema)
    assert (cut.metadata, cut.cut_metadata) == ({"huge": "", "short": "s"}, ("huge",))


def test_graphs_that_are_nested_deeply_are_refused(tmp_path: Path) -> None:
    graph = body("0", outside("w", "a"))
    for depth in range(20):
        graph = body(str(depth), outside("w", "a"), helper.make_node("If", ["c"], ["y"], then_branch=graph))
    with pytest.raises(FormatLimitException, match="nested deeper"):
        inspect_bytes(helper.make_model(graph).SerializeToString(), tmp_path / "a.onnx")
