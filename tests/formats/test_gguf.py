"""GGUF: files of the reference library are read as it reads them; misleading ones are refused in bounded time."""

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from kamiwaza_sdk import FormatException, inspect_file
from kamiwaza_sdk.formats import FormatLimitException, GGUFArraySchema, GGUFSchema, MalformedFileException
from kamiwaza_sdk.formats.readers.gguf import FILE_TYPES, TENSOR_TYPES
from tests.formats.making import Ranges, inspect_bytes, pack_text

U32, TEXT, ARRAY = 4, 8, 9


def write(path: Path, *, endian: GGUFEndian = GGUFEndian.LITTLE, words: int = 1000) -> Path:
    """Write a small model as the reference library does."""
    writer = GGUFWriter(path, "llama", endianess=endian)
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_context_length(4096)
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_file_type(15)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"word{n}" for n in range(words)])
    writer.add_token_scores([0.5] * 2000)
    writer.add_languages(["en", "de"])
    writer.add_chat_template("{{ messages }}")
    writer.add_bool("llama.flag", True)
    writer.add_float64("llama.ratio", 0.25)
    writer.add_tensor("norm", np.ones(64, np.float32))
    writer.add_tensor("half", np.ones((3, 32), np.float16))
    blocks = np.zeros((8, 256 // 256 * 144), np.uint8)
    writer.add_tensor("quantized", blocks, raw_dtype=GGMLQuantizationType.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def inspected(path: Path) -> GGUFSchema:
    schema = inspect_file(path)
    assert isinstance(schema, GGUFSchema)
    return schema


@pytest.mark.parametrize("endian", list(GGUFEndian))
def test_files_are_read_as_the_reference_library_reads_them(endian: GGUFEndian, tmp_path: Path) -> None:
    path = write(tmp_path / "a.gguf", endian=endian)
    schema, reader = inspected(path), GGUFReader(path)
    assert schema.byte_order == endian.name.lower()
    assert {name: (t.dtype, t.shape, t.size, t.offset) for name, t in schema.tensors.items()} == {
        t.name: (t.tensor_type.name, tuple(map(int, t.shape)), t.n_bytes, t.data_offset) for t in reader.tensors
    }
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert set(schema.metadata) == set(fields)
    for name, value in schema.metadata.items():
        contents: Any = fields[name].contents()
        if isinstance(value, GGUFArraySchema):
            assert value.length == len(contents)
        else:
            assert value == (tuple(contents) if isinstance(contents, list) else contents)


def test_common_facts_are_attributes(tmp_path: Path) -> None:
    schema = inspected(write(tmp_path / "called-Q8_0.gguf"))
    assert (schema.version, schema.architecture, schema.name, schema.license) == (3, "llama", "Tiny", "mit")
    assert (schema.context_length, schema.tokenizer, schema.has_chat_template) == (4096, "gpt2", True)
    assert (schema.quantization, schema.claimed_quantization) == ("Q4_K", "Q4_K_M")
    assert schema.parameters_by_dtype == {"F16": 96, "F32": 64, "Q4_K": 2048}
    assert schema.parameters == 2208
    assert schema.attention is not None
    assert schema.attention.elements_per_token == 2 * 2 * 2 * 16
    assert schema.metadata["tokenizer.ggml.tokens"] == GGUFArraySchema(type="string", length=1000)
    assert schema.metadata["tokenizer.ggml.scores"] == GGUFArraySchema(type="float32", length=2000)
    assert GGUFSchema.model_validate_json(schema.model_dump_json()) == schema


def test_every_type_of_the_reference_library_is_known_with_its_size() -> None:
    sizes = {kind.value: (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {number: tuple(kind) for number, kind in TENSOR_TYPES.items() if number in sizes} == sizes
    named = {kind.value: kind.name.replace("ALL_", "").replace("MOSTLY_", "") for kind in gguf.LlamaFileType}
    assert {number: name for number, name in FILE_TYPES.items() if number in named} == {
        number: name for number, name in named.items() if number != gguf.LlamaFileType.GUESSED
    }


async def test_a_remote_file_with_a_large_vocabulary_is_read_in_few_pieces(tmp_path: Path) -> None:
    data = write(tmp_path / "a.gguf", words=200_000).read_bytes() + bytes(0)
    ranges = Ranges(data, path="a.gguf")
    assert await ranges.inspect() == inspected(tmp_path / "a.gguf")
    assert len(ranges.read) <= 10


def head(keys: bytes = b"", *, tensors: int = 0, count: int = 0, version: int = 3, infos: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, count) + keys + infos


def pair(key: str, kind: int, value: bytes) -> bytes:
    return pack_text(key.encode()) + struct.pack("<I", kind) + value


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + items


def info(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    return pack_text(name.encode()) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def tensors(*infos: bytes, size: int = 0) -> bytes:
    data = head(tensors=len(infos), infos=b"".join(infos))
    return data + bytes(-len(data) % 32) + bytes(size)


HOSTILE: dict[str, bytes] = {
    "cut after the magic": b"GGUF",
    "version 0": head(version=0),
    "version 1": head(version=1),
    "version 4": head(version=4),
    "more keys than there is room for": head(count=10_000),
    "exabytes of keys": head(count=2**63),
    "exabytes of tensors": head(tensors=2**63),
    "a million tensors": head(tensors=1_000_000),
    "a key of exabytes": head(struct.pack("<Q", 2**63), count=1) + bytes(16),
    "a text of exabytes": head(pair("a", TEXT, struct.pack("<Q", 2**63)), count=1),
    "a text beyond the file": head(pair("a", TEXT, struct.pack("<Q", 100)), count=1),
    "an array of exabytes": head(pair("a", ARRAY, array(U32, 2**62)), count=1),
    "an array beyond the file": head(pair("a", ARRAY, array(U32, 2000)), count=1),
    "texts of exabytes": head(pair("a", ARRAY, array(TEXT, 2**62)), count=1),
    "many texts beyond the file": head(pair("a", ARRAY, array(TEXT, 100)), count=1),
    "a text of exabytes among many": head(
        pair("a", ARRAY, array(TEXT, 100, pack_text(b"a") + struct.pack("<Q", 2**64 - 1))), count=1
    ),
    "arrays nested a hundred deep": head(pair("a", ARRAY, array(ARRAY, 1) * 100 + array(U32, 0)), count=1),
    "arrays of arrays of exabytes": head(pair("a", ARRAY, array(ARRAY, 2**40)), count=1),
    "a type that does not exist": head(pair("a", 13, bytes(8)), count=1),
    "an element type that does not exist": head(pair("a", ARRAY, array(13, 1, bytes(8))), count=1),
    "a truth that is neither": head(pair("a", 7, b"\x02"), count=1),
    "a key twice": head(pair("a", 0, b"1") * 2, count=2),
    "alignment 0": head(pair("general.alignment", U32, struct.pack("<I", 0)), count=1),
    "alignment 3": head(pair("general.alignment", U32, struct.pack("<I", 3)), count=1),
    "alignment of text": head(pair("general.alignment", TEXT, pack_text(b"x")), count=1),
    "five dimensions": tensors(info("a", [1] * 5, 0, 0), size=32),
    "an overflow": tensors(info("a", [2**32, 2**32], 0, 0), size=32),
    "a tensor beyond the file": tensors(info("a", [8], 0, 32), size=32),
    "a tensor of exabytes": tensors(info("a", [2**60], 0, 0), size=32),
    "a place of exabytes": tensors(info("a", [8], 0, 2**63), size=32),
    "an overlap": tensors(info("a", [16], 0, 0), info("b", [8], 0, 32), size=64),
    "not aligned": tensors(info("a", [1], 0, 4), size=32),
    "half a block": tensors(info("a", [33], 2, 0), size=64),
    "a tensor twice": tensors(info("a", [8], 0, 0), info("a", [8], 0, 32), size=64),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_misleading_files_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises((MalformedFileException, FormatLimitException)) as raised:
        inspect_bytes(data, tmp_path / "a.gguf")
    assert raised.value.format == "gguf"


def test_short_arrays_have_a_limit_together(tmp_path: Path) -> None:
    keys = b"".join(pack_text(b"%d" % index) + struct.pack("<IIQ", 9, 0, 1024) + bytes(1024) for index in range(3000))
    with pytest.raises(FormatLimitException, match="short arrays take more than"):
        inspect_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 3000) + keys, tmp_path / "a.gguf")


def test_unknown_types_are_no_error(tmp_path: Path) -> None:
    schema = inspect_bytes(tensors(info("a", [8], 99, 0), size=32), tmp_path / "a.gguf")
    assert isinstance(schema, GGUFSchema)
    assert (schema.tensors["a"].dtype, schema.tensors["a"].size, schema.quantization) == ("type 99", None, "type 99")


def test_claimed_layers_are_not_allocated(tmp_path: Path) -> None:
    keys = pair("general.architecture", TEXT, pack_text(b"x"))
    for name in ("block_count", "attention.head_count", "embedding_length"):
        keys += pair(f"x.{name}", U32, struct.pack("<I", 2**31 - 1))
    schema = inspect_bytes(head(keys, count=4), tmp_path / "a.gguf")
    assert isinstance(schema, GGUFSchema)
    assert schema.attention is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_file_with_any_bytes_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = tmp_path_factory.getbasetemp() / "whole.gguf"
    original = (whole if whole.exists() else write(whole, words=70)).read_bytes()
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(mutated), 1200) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        mutated[place : place + len(piece)] = piece
    end = data.draw(st.integers(0, len(mutated)) | st.just(len(mutated)))
    with suppress(FormatException):
        inspect_bytes(bytes(mutated[:end]), tmp_path_factory.getbasetemp() / "mutated.gguf")


def test_long_texts_and_nested_arrays_are_described_by_their_lengths(tmp_path: Path) -> None:
    keys = pair("long", TEXT, pack_text(b"x" * 70_000)) + pair("nested", ARRAY, array(ARRAY, 2, array(U32, 0) * 2))
    schema = inspect_bytes(head(keys, count=2), tmp_path / "a.gguf")
    assert isinstance(schema, GGUFSchema)
    assert schema.metadata["long"] == GGUFArraySchema(type="text", length=70_000)
    assert schema.metadata["nested"] == GGUFArraySchema(type="array", length=2)


#: DeepSeek-V3 as llama.cpp converts it.
LATENT = {
    "block_count": 61,
    "attention.head_count": 128,
    "attention.head_count_kv": 1,
    "attention.kv_lora_rank": 512,
    "attention.key_length": 576,
    "attention.value_length": 512,
    "rope.dimension_count": 64,
}
OLD_LATENT = 61 * 128 * (192 + 128)


@pytest.mark.parametrize(
    ("keys", "elements"),
    [
        (LATENT | {"attention.key_length_mla": 192, "attention.value_length_mla": 128}, 61 * 576),
        (
            LATENT | {"attention.head_count_kv": 128, "attention.key_length": 192, "attention.value_length": 128},
            OLD_LATENT,
        ),
        ({"attention.head_count_kv": [8, 0, 8], "attention.key_length": 64, "attention.value_length": 32}, 16 * 96),
    ],
    ids=["one latent vector", "all heads, of a file from before the latent vector", "heads by layer"],
)
def test_special_caches_are_estimated(keys: dict[str, Any], elements: int, tmp_path: Path) -> None:
    packed = pair("general.architecture", TEXT, pack_text(b"x"))
    for name, value in keys.items():
        if isinstance(value, list):
            packed += pair(f"x.{name}", ARRAY, array(U32, len(value), struct.pack(f"<{len(value)}I", *value)))
        else:
            packed += pair(f"x.{name}", U32, struct.pack("<I", value))
    schema = inspect_bytes(head(packed, count=len(keys) + 1), tmp_path / "a.gguf")
    assert isinstance(schema, GGUFSchema)
    assert schema.attention is not None
    assert schema.attention.elements_per_token == elements
