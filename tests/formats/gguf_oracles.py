"""Compares descriptions of random GGUF files with gguf-py, llama.cpp's own reader and writer: ``nox -s oracles``."""

import random
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFValueType, GGUFWriter

from kamiwaza_sdk import inspect_file
from kamiwaza_sdk.formats import GGUFArraySchema, GGUFSchema

__all__ = ["compare_file", "write_random"]

_FILES: Final = 500
_MOST_TENSORS: Final = 12
_BITS: Final = {"UINT8": 8, "INT8": 8, "UINT16": 16, "INT16": 16, "UINT32": 32, "INT32": 32, "UINT64": 64, "INT64": 64}


def _scalar(kind: GGUFValueType, chance: random.Random) -> Any:  # Any: as the type has it
    if kind.name in _BITS:
        bits = _BITS[kind.name] - (kind.name[0] == "I")
        return chance.randrange(-(2**bits) if kind.name[0] == "I" else 0, 2**bits)
    if kind is GGUFValueType.BOOL:
        return chance.random() < 0.5
    if kind is GGUFValueType.STRING:
        return "".join(chance.choices("aé 漢\n\t😀z", k=chance.randrange(40)))
    return float(np.float32(chance.uniform(-1e6, 1e6)))


def _value(chance: random.Random) -> tuple[Any, GGUFValueType, GGUFValueType | None]:  # Any: as above
    kind = chance.choice(list(GGUFValueType))
    if kind is not GGUFValueType.ARRAY:
        return _scalar(kind, chance), kind, None
    inner = chance.choice([one for one in GGUFValueType if one is not GGUFValueType.ARRAY])
    return [_scalar(inner, chance) for _ in range(chance.randrange(1, 40))], kind, inner


def write_random(path: Path, chance: random.Random) -> None:
    """Have gguf-py write a file of random keys, and tensors of random types and shapes."""
    endian = chance.choice(list(GGUFEndian))
    writer = GGUFWriter(path, "llama", endianess=endian)
    for number in range(chance.randrange(20)):
        value, kind, inner = _value(chance)
        writer.add_key_value(f"some.key.{number}", value, kind, inner)
    for number in range(chance.randrange(_MOST_TENSORS)):
        dtype = chance.choice(list(GGMLQuantizationType))
        size = GGML_QUANT_SIZES[dtype][1] * chance.randrange(1, 4)
        rows = [chance.randrange(1, 5) for _ in range(chance.randrange(4))]
        writer.add_tensor(f"blk.{number}.weight", np.zeros([*rows, size], np.uint8), raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _kept(value: Any) -> object:  # Any: what a key can hold
    return tuple(value) if isinstance(value, list) else value


def compare_file(path: Path) -> list[str]:
    """Return what of a file gguf-py reads otherwise."""
    schema, reader = inspect_file(path), GGUFReader(path)
    assert isinstance(schema, GGUFSchema)
    ours = {name: (one.dtype, one.shape, one.size, one.offset) for name, one in schema.tensors.items()}
    theirs = {
        one.name: (one.tensor_type.name, tuple(map(int, one.shape)), one.n_bytes, one.data_offset)
        for one in reader.tensors
    }
    found = [f"{name}: {ours.get(name)} here, {row} there" for name, row in theirs.items() if ours.get(name) != row]
    keys = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    for name, value in keys.items():
        told = schema.metadata.get(name)
        same = told.length == len(value) if isinstance(told, GGUFArraySchema) else told == _kept(value)
        found += [] if same else [f"{name}: {told!r} here, {value!r} there"]
    return found + [f"{name} is not there" for name in {*ours, *schema.metadata} - {*theirs, *keys}]


def main(report: Callable[[str], object] = sys.stdout.write) -> int:
    """Compare, and return 1 where something differs."""
    differences = list[str]()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.gguf")
        for number in range(_FILES):
            write_random(path, random.Random(number))
            differences += [f"file {number}, {one}\n" for one in compare_file(path)]
            path.unlink()
    report("".join([*differences, f"{len(differences)} differences from gguf {version('gguf')} in {_FILES} files\n"]))
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
