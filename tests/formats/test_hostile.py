"""Hostile files take little time and memory, or are unknown beyond a limit."""

import os
from pathlib import Path

import pytest

from tests.formats.hostile import HOSTILE, write_hostile
from tests.formats.spending import spent_by

MIB = 1024**2
#: Bytes of each file: all kinds of 64 MB take minutes, so that ``nox -s torture`` asks for them.
SIZE = int(os.environ.get("KAMIWAZA_TEST_HOSTILE_SIZE", "0"))
FEW = {
    "safetensors: tensors",
    "safetensors: escaped metadata",
    "gguf: tensors",
    "onnx: inputs",
    "pickle: memo",
    "zip: long extra fields",
    "config: objects",
}
MOST_SECONDS = 2.0
MOST_MEMORY = 100 * MIB


@pytest.mark.parametrize("kind", sorted(HOSTILE if SIZE else FEW))
def test_hostile_files_take_little_time_and_memory(kind: str, tmp_path: Path) -> None:
    spent = spent_by("tests.formats.inspecting", str(write_hostile(tmp_path, kind, SIZE or 8 * MIB)))
    assert spent.memory <= MOST_MEMORY, spent
    assert spent.seconds <= MOST_SECONDS, spent
