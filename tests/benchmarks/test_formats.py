"""What it costs to know a safetensors file: over parsing its header as JSON, and in bytes and round trips over HTTP."""

import asyncio
import json
import os
from math import prod
from pathlib import Path
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk import inspect_file
from kamiwaza_sdk.formats import inspect_remote
from tests.benchmarks.ratio import check, measure

SHAPES = {
    "self_attn.q_proj": [4096, 4096],
    "self_attn.k_proj": [1024, 4096],
    "mlp.gate_proj": [14336, 4096],
    "input_layernorm": [4096],
}
GIB = 1024**3


def header_of(size: int, metadata: dict[str, str]) -> tuple[bytes, int]:
    """Return a header as long as this, as a large model has it, and how many bytes its tensors take."""
    header: dict[str, Any] = {"__metadata__": metadata}
    place = layer = length = 0
    while length < size:
        for name, shape in SHAPES.items():
            end = place + 2 * prod(shape)
            entry = {"dtype": "BF16", "shape": shape, "data_offsets": [place, end]}
            header[f"model.layers.{layer}.{name}.weight"] = entry
            length += 60 + len(json.dumps(entry, separators=(",", ":")))
            place = end
        layer += 1
    return json.dumps(header, separators=(",", ":")).encode(), place


def sparse(path: Path, header: bytes, data: int) -> Path:
    """Write a file that has no weights on the disk."""
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + data)
    return path


def test_parse_header_of_1_mib(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    header, data = header_of(1024**2, {"format": "pt"})
    path = sparse(tmp_path / "model.safetensors", header, data)
    ratio = measure(lambda: inspect_file(path), lambda: json.loads(header), rounds=51)
    check(benchmark, ratio, lambda: inspect_file(path), at_most=2.0)


def test_parse_header_of_1_mib_with_texts_that_look_like_json(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    header, data = header_of(1024**2, {"training": json.dumps({"date": "2024-01-05", "steps": -1}), "time": "10:00"})
    path = sparse(tmp_path / "model.safetensors", header, data)
    ratio = measure(lambda: inspect_file(path), lambda: json.loads(header), rounds=51)
    check(benchmark, ratio, lambda: inspect_file(path), at_most=2.2)


def test_read_little_of_5_gib(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "U8", "shape": [5 * GIB], "data_offsets": [0, 5 * GIB]}, "__metadata__": {}})
    path = sparse(tmp_path / "model.safetensors", header.ljust(1024**2).encode(), 5 * GIB)
    file, read = os.open(path, os.O_RDONLY), list[int]()

    async def read_range(offset: int, length: int) -> bytes:
        read.append(length)
        return os.pread(file, length, offset)

    def inspect() -> None:
        read.clear()
        asyncio.run(inspect_remote(read_range, path=path.name, size=path.stat().st_size))

    benchmark.pedantic(inspect, rounds=3, iterations=1)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types here
    os.close(file)
    benchmark.extra_info.update(bytes=sum(read), round_trips=len(read))
    assert len(read) <= 3
    assert sum(read) < path.stat().st_size / 100
