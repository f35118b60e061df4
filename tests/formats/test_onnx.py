"""ONNX: files are read as the reference library loads them; hostile ones are refused."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from kamiwaza_sdk import FormatException, inspect_directory, inspect_file
from kamiwaza_sdk.formats import FormatLimitException, MalformedFileException, ONNXSchema, source
from kamiwaza_sdk.formats.inspection import FileSummary, InspectionCache
from kamiwaza_sdk.formats.readers.protobuf import DTYPES
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


async def test_fields_beyond_the_budget_are_unknown() -> None:
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
def test_hostile_files_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises((MalformedFileException, FormatLimitException)):
        inspect_bytes(data, tmp_path / "a.onnx")


def test_packed_dimensions_spend_the_budget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(source, "MAX_STEPS", 10_000)
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
async def test_external_data_outside_of_the_directory_is_named_and_never_followed(
    location: str, tmp_path: Path
) -> None:
    data = branched(location).SerializeToString()
    schema = inspect_bytes(data, tmp_path / "a.onnx")
    assert isinstance(schema, ONNXSchema)
    assert schema.external_files == ("constants.data", "loops/loop.data", "model.data")
    assert schema.outside_files == ((location,) if location else ())  # what is in no file is none to fetch
    assert schema.has_external_data
    assert await Ranges(data, path="a.onnx").inspect() == schema
    described = inspect_directory(tmp_path)
    assert [*described.problems] == (["a.onnx"] if location else [])
    assert ascii(location) in described.problems.get("a.onnx", "''")
    assert location not in {file for one in described.layout.variants for file in one.files}


def test_longer_metadata_is_cut_and_named(tmp_path: Path) -> None:
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


def quantized(tmp_path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray[Any, Any]]) -> FileSummary:
    """Return what is kept of a graph of such nodes and weights."""
    graph = helper.make_graph(nodes, "g", [], [], [numpy_helper.from_array(w, name) for name, w in weights.items()])
    onnx.save_model(helper.make_model(graph), str(tmp_path / "m.onnx"))
    return InspectionCache().inspect(tmp_path / "m.onnx", name="m.onnx")


I8, U8, I32, F32 = np.int8, np.uint8, np.int32, np.float32
#: For each: the nodes, the weights, and what is learned of them.
QUANTIZED: dict[str, tuple[list[onnx.NodeProto], dict[str, np.ndarray[Any, Any]], int]] = {
    "weights and biases in QDQ": (
        [
            helper.make_node("DequantizeLinear", ["w", "s", "z"], ["dw"]),
            helper.make_node("DequantizeLinear", ["b", "bs"], ["db"]),
            helper.make_node("Gemm", ["x", "dw", "db"], ["y"]),
        ],
        {
            "w": np.zeros((8, 4), I8),
            "s": np.zeros(4, F32),
            "z": np.zeros(4, I8),
            "b": np.zeros(4, I32),
            "bs": np.zeros(4, F32),
        },
        8 * 4 + 4,
    ),
    "operators on integers": (
        [
            helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"]),
            helper.make_node("MatMulInteger", ["y", "m", "yz", "mz"], ["p"]),
        ],
        {
            **{name: np.zeros((), F32) for name in ("xs", "ys")},
            **{name: np.zeros((), U8) for name in ("xz", "yz")},
            "w": np.zeros((6, 3, 3, 3), I8),
            "ws": np.zeros(6, F32),
            "wz": np.zeros(6, I8),
            "b": np.zeros(6, I32),
            "m": np.zeros((5, 7), U8),
            "mz": np.zeros(7, U8),
        },
        6 * 3 * 3 * 3 + 6 + 5 * 7,
    ),
    "MatMulNBits, whose last block is not full": (
        [helper.make_node("MatMulNBits", ["x", "B", "s", "z", "", "bias"], ["y"], K=40, N=8, bits=4, block_size=32)],
        {"B": np.zeros((8, 2, 16), U8), "s": np.zeros(16, F32), "z": np.zeros(8, U8), "bias": np.zeros(8, F32)},
        40 * 8 + 8,
    ),
    "MatMulNBits of 8 bits, and embeddings of 4": (
        [
            helper.make_node("GatherBlockQuantized", ["e", "i", "es"], ["x"], block_size=32, bits=4),
            helper.make_node("MatMulNBits", ["x", "B", "s"], ["y"], K=64, N=8, bits=8, block_size=32),
        ],
        {
            "e": np.zeros((100, 32), U8),
            "es": np.zeros((100, 2), F32),
            "B": np.zeros((8, 2, 32), U8),
            "s": np.zeros(16, F32),
        },
        100 * 64 + 64 * 8,
    ),
}


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_weights_are_counted_without_scales(name: str, tmp_path: Path) -> None:
    nodes, weights, learned = QUANTIZED[name]
    count = quantized(tmp_path, nodes, weights).count
    assert count is not None
    assert (count.parameters, count.stored) == (learned, sum(weight.size for weight in weights.values()))


def test_weights_that_an_inner_graph_unpacks_are_counted(tmp_path: Path) -> None:
    """Also those that are constants, and four bits each by their own type."""
    scale = helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(np.zeros(4, F32)))
    node = helper.make_node("DequantizeLinear", ["w", "s"], ["y"])
    body = helper.make_graph([node], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 4])])
    branch = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    four = helper.make_tensor("w", TensorProto.INT4, [8, 4], bytes(16), raw=True)
    onnx.save_model(
        helper.make_model(helper.make_graph([scale, branch], "g", [], [], [four])), str(tmp_path / "m.onnx")
    )
    count = InspectionCache().inspect(tmp_path / "m.onnx", name="m.onnx").count
    assert count is not None
    assert (count.by_dtype, count.stored) == ({"INT4": 32}, 36)


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (helper.make_node("QNew", ["x", "B"], ["y"]), "takes its 256 numbers of type UINT8 as weights"),
        (helper.make_node("MatMulNBits", ["x", "B", "s"], ["y"], bits=4), "packed in a way"),
        (helper.make_node("MatMulNBits", ["x", "B", "s"], ["y"], K=640, N=8, bits=4), "packed in a way"),
        (helper.make_node("MatMulNBits", ["x", "B", "s"], ["y"], K=64, N=8, bits=0), "packed in a way"),
    ],
)
def test_parameters_of_ambiguous_graphs_are_unknown(tmp_path: Path, node: onnx.NodeProto, problem: str) -> None:
    weights: dict[str, np.ndarray[Any, Any]] = {
        "B": np.zeros((8, 2, 16), U8),
        "f": np.zeros(5000, F32),
        "s": np.zeros(16, F32),
    }
    count = quantized(tmp_path, [node], weights).count
    assert count is not None
    assert (count.parameters, count.by_dtype) == (None, {})
    assert problem in (count.problem or "")
