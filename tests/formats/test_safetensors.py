"""safetensors: files that the reference implementation reads are read alike, those that it refuses are refused."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from kamiwaza_sdk import FormatException
from kamiwaza_sdk.formats import FormatLimitException, MalformedFileException, SafetensorsSchema, inspect_remote
from kamiwaza_sdk.formats.readers import safetensors
from kamiwaza_sdk.formats.readers.safetensors import BITS
from tests.formats.making import Ranges, entry, inspect_bytes, safetensors_file

T = entry
ONE = T("U8", [1], 0, 1)
TEXT_ENTRY = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'

#: Each is refused by the reference implementation too, which a test below sees to.
REFUSED: dict[str, bytes] = {
    "empty": b"",
    "only a length": struct.pack("<Q", 0),
    "ten exabytes of header": struct.pack("<Q", 10 * 10**18) + b"{}",
    "header beyond the file": struct.pack("<Q", 100) + b"{}",
    "no object": safetensors_file("[]"),
    "NUL after it": safetensors_file(b"{}\0\0"),
    "no JSON": safetensors_file("{,}"),
    "no UTF-8": safetensors_file(b'{"\xff":1}'),
    "half a surrogate": safetensors_file('{"\\ud800":' + TEXT_ENTRY + "}", b"1"),
    "NaN": safetensors_file('{"__metadata__":NaN}'),
    "deep": safetensors_file('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "metadata of numbers": safetensors_file({"__metadata__": {"a": 1}}),
    "metadata in a list": safetensors_file({"__metadata__": []}),
    "metadata twice": safetensors_file('{"__metadata__":{"a":"b"},"__metadata__":{},"a":' + TEXT_ENTRY + "}", b"1"),
    "a key twice in an entry": safetensors_file('{"a":{"dtype":"U8",' + TEXT_ENTRY[1:] + "}", b"1"),
    "no offsets": safetensors_file({"a": {"dtype": "U8", "shape": [1]}}, b"1"),
    "three offsets": safetensors_file({"a": {**ONE, "data_offsets": [0, 1, 1]}}, b"1"),
    "one offset": safetensors_file({"a": {**ONE, "data_offsets": [0]}}, b"1"),
    "a fraction": safetensors_file({"a": T("U8", [1.0], 0, 1)}, b"1"),
    "a truth": safetensors_file({"a": T("U8", [True], 0, 1)}, b"1"),
    "a text for a number": safetensors_file({"a": T("U8", [10**9, "x"], 0, 1)}, b"1"),
    "negative": safetensors_file({"a": T("U8", [-1], 0, 1)}, b"1"),
    "two negatives": safetensors_file({"a": T("U8", [-1, -1], 0, 1)}, b"1"),
    "minus nothing": safetensors_file('{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
    "over 64 bits": safetensors_file({"a": T("U8", [2**64], 0, 1)}, b"1"),
    "offsets of thousands of digits": safetensors_file(
        f'{{"a":{{"dtype":"U8","shape":[{"9" * 4300}],"data_offsets":[0,{"9" * 4300}]}}}}'
    ),
    "over 64 bits, times nothing": safetensors_file({"a": T("U8", [0, 2**64], 0, 0)}),
    "overflow": safetensors_file({"a": T("U8", [2**63, 2], 0, 0)}),
    "overflow, times nothing": safetensors_file({"a": T("U8", [2**63, 2, 0], 0, 0)}),
    "too short for its shape": safetensors_file({"a": T("F32", [2], 0, 4)}, b"1234"),
    "half a byte": safetensors_file({"a": T("F4", [3], 0, 2)}, b"12"),
    "a dtype nobody knows": safetensors_file({"a": T("F3", [1], 0, 1)}, b"1"),
    "a dtype in small letters": safetensors_file({"a": T("u8", [1], 0, 1)}, b"1"),
    "a dtype that is a list": safetensors_file({"a": {**ONE, "dtype": ["U8"]}}, b"1"),
    "a hole": safetensors_file({"a": T("U8", [1], 1, 2)}, b"12"),
    "an overlap": safetensors_file({"a": T("U8", [2], 0, 2), "b": T("U8", [2], 1, 3)}, b"123"),
    "backwards": safetensors_file({"a": T("U8", [1], 1, 0)}, b"1"),
    "outside of the file": safetensors_file({"a": T("U8", [2**62], 0, 2**62)}, b"1"),
    "cut short": safetensors_file({"a": T("U8", [2], 0, 2)}, b"1"),
    "something after it": safetensors_file({"a": ONE}, b"12"),
}
#: The reference implementation lets these pass. The specification does not, or does not say that it may.
STRICTER: dict[str, bytes] = {
    "white space first": safetensors_file(" {}"),
    "a name twice": safetensors_file('{"a":' + TEXT_ENTRY + ',"a":' + TEXT_ENTRY + "}", b"1"),
    "a name twice, once in disguise": safetensors_file('{"a":' + TEXT_ENTRY + ',"\\u0061":' + TEXT_ENTRY + "}", b"1"),
    "disguised by colons": safetensors_file(
        '{"a":' + TEXT_ENTRY + ',"a":' + TEXT_ENTRY + ',"__metadata__":{"x":"\\u003a\\u003A\\u003a\\u003a"}}', b"1"
    ),
    "metadata twice inside": safetensors_file('{"__metadata__":{"a":"b","a":"c"}}'),
    "a key of its own": safetensors_file({"a": {**ONE, "comment": "none"}}, b"1"),
    "a list for an entry": safetensors_file('{"a":["U8",[1],[0,1]]}', b"1"),
}


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "pieces"])
def in_pieces(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether headers are read entry by entry, as large ones are in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(safetensors, "_WHOLE", 0)
            patch.setattr(safetensors, "_PIECE", 1)
        yield request.param


def deserialize(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return what the reference implementation reads."""
    return list(reference.deserialize(data))  # type: ignore[no-untyped-call]  # it has no types


def accepted(data: bytes) -> bool:
    try:
        deserialize(data)
    except reference.SafetensorError:
        return False
    return True


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_files_that_the_reference_refuses_are_refused_with_path_and_format(data: bytes, tmp_path: Path) -> None:
    assert not accepted(data)
    path = tmp_path / "a.safetensors"
    with pytest.raises((MalformedFileException, FormatLimitException)) as raised:
        inspect_bytes(data, path)
    assert (raised.value.path, raised.value.format) == (str(path), "safetensors")


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("data", STRICTER.values(), ids=STRICTER.keys())
def test_violations_of_the_specification_are_refused_too(data: bytes, tmp_path: Path) -> None:
    assert accepted(data)
    with pytest.raises(MalformedFileException):
        inspect_bytes(data, tmp_path / "a.safetensors")


def same(data: bytes, path: Path) -> SafetensorsSchema:
    """Return what we read, which is what the reference implementation reads."""
    schema = inspect_bytes(data, path)
    assert isinstance(schema, SafetensorsSchema)
    expected: dict[str, Any] = dict(deserialize(data))
    assert set(schema.tensors) == set(expected)
    for name, tensor in schema.tensors.items():
        assert (tensor.dtype, list(tensor.shape)) == (expected[name]["dtype"], expected[name]["shape"])
        assert tensor.offset is not None
        assert tensor.size is not None
        assert data[tensor.offset : tensor.offset + tensor.size] == expected[name]["data"]
    assert schema.parameters == sum(tensor.parameters for tensor in schema.tensors.values())
    return schema


def test_every_dtype_of_the_reference_is_known(tmp_path: Path) -> None:
    try:
        deserialize(safetensors_file({"a": T("?", [1], 0, 1)}, b"1"))
        known = ""
    except reference.SafetensorError as error:
        known = str(error).partition("expected one of")[2].partition(" at line")[0]
    assert {name.strip(" `") for name in known.split(",")} <= set(BITS)
    header, place = dict[str, Any](), 0
    for dtype, bits in BITS.items():
        header[dtype] = T(dtype, [4, 2], place, place + bits)
        place += bits
    schema = same(safetensors_file(header, bytes(place)), tmp_path / "a.safetensors")
    assert schema.parameters_by_dtype == dict.fromkeys(sorted(BITS), 8)


def test_a_file_that_the_reference_wrote_is_read_alike(tmp_path: Path) -> None:
    import numpy as np

    tensors = {"z": np.arange(6.0).reshape(2, 3), "a": np.zeros((), np.int8), "empty": np.zeros((0, 4), np.float16)}
    schema = same(save(tensors, metadata={"format": "np", "time": "2024-01-05T10:00"}), tmp_path / "a.safetensors")
    assert schema.metadata == {"format": "np", "time": "2024-01-05T10:00"}
    assert schema.parameters_by_dtype == {"F16": 0, "F64": 6, "I8": 1}
    assert SafetensorsSchema.model_validate_json(schema.model_dump_json()) == schema


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize(
    ("header", "data"),
    [
        ("{}", b""),
        ("{}   \n\t", b""),
        ({"__metadata__": None}, b""),
        ({"b": T("U8", [1], 1, 2), "a": T("U8", [1], 0, 1)}, b"12"),
        ({"a": T("U8", [1], 0, 1), "none": T("U8", [0], 1, 1), "b": T("U8", [1], 1, 2)}, b"12"),
        ({"a": T("U8", [0, 2**63, 2], 0, 0)}, b""),
        ({"a-0:": T("U8", [1] * 100, 0, 1), "__metadata__": {"\\u00e4:-0": '"x":-0'}}, b"1"),
        ({"é": ONE}, b"1"),
    ],
)
def test_unusual_files_are_read_alike(header: dict[str, Any] | str, data: bytes, tmp_path: Path) -> None:
    same(safetensors_file(header, data), tmp_path / "a.safetensors")


names = st.text(max_size=4) | st.sampled_from(["a", "-0", "a:b", "__metadata__", "},", ":{", "\\"])
numbers = st.integers(-1, 5) | st.sampled_from([2**32, 2**63, 2**64, 1.0, True, None, "x"])
entries = st.fixed_dictionaries(
    {"dtype": st.sampled_from([*BITS, "?"]), "shape": st.lists(numbers, max_size=3)},
    optional={"data_offsets": st.lists(numbers, min_size=2, max_size=2), "other": numbers},
)


@pytest.mark.usefixtures("in_pieces")
@settings(max_examples=300, deadline=None)
@given(header=st.dictionaries(names, entries | st.dictionaries(names, names)), data=st.binary(max_size=8))
def test_no_header_passes_that_the_reference_refuses(
    header: dict[str, Any], data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    raw = safetensors_file(json.dumps(header), data)
    try:
        inspect_bytes(raw, path)
    except FormatException:
        return
    assert accepted(raw)


@pytest.mark.usefixtures("in_pieces")
@settings(max_examples=150, deadline=None)
@given(
    tensors=st.lists(
        st.tuples(names, st.sampled_from(sorted(BITS)), st.lists(st.integers(0, 4), max_size=3)), max_size=6
    )
)
def test_valid_files_are_read_alike(
    tensors: list[tuple[str, str, list[int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    header, place = dict[str, Any](), 0
    for name, dtype, shape in tensors:
        count = BITS[dtype]
        for number in shape:
            count *= number
        if (
            count % 8 == 0
            and name not in header
            and name != "__metadata__"
            and name.encode(errors="replace").decode() == name
        ):
            header[name] = T(dtype, shape, place, place + count // 8)
            place += count // 8
    same(safetensors_file(header, bytes(place)), tmp_path_factory.getbasetemp() / "right.safetensors")


@pytest.mark.parametrize(("tensors", "trips"), [(1, 1), (20_000, 2)])
async def test_a_remote_file_takes_two_round_trips_and_no_byte_of_its_weights(tensors: int, trips: int) -> None:
    header = {f"layers.{n}.weight": T("U8", [1], n, n + 1) for n in range(tensors)}
    ranges = Ranges(safetensors_file(header, bytes(tensors)), path="a.safetensors")
    schema = await ranges.inspect()
    assert (schema.format, len(ranges.read)) == ("safetensors", trips)
    assert sum(length for _, length in ranges.read) <= max(65_536, len(ranges.data) - tensors)


async def test_readers_that_return_another_length_are_refused() -> None:
    async def read_range(offset: int, length: int) -> bytes:
        return b"<html>"

    with pytest.raises(MalformedFileException, match="10 bytes were asked for, but 6 came"):
        await inspect_remote(read_range, path="a.safetensors", size=10)


async def test_files_over_the_budget_are_refused_with_the_way_out() -> None:
    header = {f"layers.{n}.weight": T("U8", [1], n, n + 1) for n in range(2000)}
    ranges = Ranges(safetensors_file(header, bytes(2000)), path="a.safetensors")
    with pytest.raises(FormatLimitException, match="raise byte_budget") as raised:
        await ranges.inspect(byte_budget=100_000)
    assert raised.value.limit == 100_000


@pytest.mark.parametrize(
    "again",
    ['"0":' + TEXT_ENTRY, '"\\u0030":' + TEXT_ENTRY, '"__metadata__":{"a":"c"}', '"b":' + TEXT_ENTRY],
    ids=["a name", "a name in disguise", "metadata", "a place"],
)
def test_names_of_an_earlier_piece_are_refused(again: str, tmp_path: Path) -> None:
    begun = (
        _many(30_000)[:-1]
        + ',"__metadata__":{"a":"b"},'
        + ",".join(f'"{n}":{{"dtype":"U8","shape":[0],"data_offsets":[30000,30000]}}' for n in range(30_000, 35_000))
    )
    same(safetensors_file(begun + "}", bytes(30_000)), tmp_path / "a.safetensors")
    with pytest.raises(MalformedFileException):
        inspect_bytes(safetensors_file(f"{begun},{again}}}", bytes(30_000)), tmp_path / "b.safetensors")


def test_a_large_header_in_any_order_is_read_alike(tmp_path: Path) -> None:
    header = json.dumps({str(n): T("U8", [1], n, n + 1) for n in reversed(range(30_000))})
    assert same(safetensors_file(header, bytes(30_000)), tmp_path / "a.safetensors").parameters == 30_000


def _many(count: int) -> str:
    entries = (f'"{n}":{{"dtype":"U8","shape":[],"data_offsets":[{n},{n + 1}]}}' for n in range(count))
    return "{" + ",".join(entries) + "}"


@pytest.mark.parametrize(
    "header",
    [
        lambda: _many(1_000_000),
        lambda: '{"a":[' + "0," * 4_000_000 + "0]}",
        lambda: '{"a":' + "[[]," + "[]," * 4_000_000 + "0]}",
        lambda: '{"__metadata__":{' + ",".join(f'"{n}":""' for n in range(1_300_000)) + "}}",
        lambda: '{"__metadata__":{' + ",".join(f'"{n}":""' for n in range(100_001)) + "}}",
    ],
    ids=["a million tensors", "millions of numbers", "millions of lists", "millions of pairs", "many texts"],
)
def test_headers_that_take_too_much_memory_are_refused(header: Callable[[], str], tmp_path: Path) -> None:
    with pytest.raises(FormatLimitException):
        inspect_bytes(safetensors_file(header()), tmp_path / "a.safetensors")
