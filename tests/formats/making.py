"""Makes valid and hostile files."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kamiwaza_sdk import inspect_file
from kamiwaza_sdk.formats import FormatSchema, inspect_remote

__all__ = ["Ranges", "entry", "inspect_bytes", "pack_text", "safetensors_file"]


def entry(dtype: str, shape: list[Any], begin: int, end: int) -> dict[str, Any]:  # Any: what hostile headers say
    """Return the entry of a tensor in a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_file(header: Mapping[str, Any] | str | bytes, data: bytes = b"") -> bytes:  # Any: as above
    """Return a file with this header."""
    text = header if isinstance(header, str | bytes) else json.dumps(header)
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw + data


def pack_text(text: bytes, order: str = "<") -> bytes:
    """Return a text in the encoding of GGUF."""
    return struct.pack(f"{order}Q", len(text)) + text


def inspect_bytes(data: bytes, path: Path) -> FormatSchema:
    """Return the description of a file with these bytes."""
    path.write_bytes(data)
    return inspect_file(path)


class Ranges:
    """Remote bytes, and the ranges that were read."""

    def __init__(self, data: bytes, *, path: str) -> None:
        self.data = data
        self.path = path
        self.read: list[tuple[int, int]] = []

    async def __call__(self, offset: int, length: int) -> bytes:
        """Return a range, as a server would."""
        assert length > 0
        assert 0 <= offset <= offset + length <= len(self.data)
        self.read.append((offset, length))
        return self.data[offset : offset + length]

    async def inspect(self, *, byte_budget: int = 32 * 1024**2) -> FormatSchema:
        """Return their description."""
        return await inspect_remote(self, path=self.path, size=len(self.data), byte_budget=byte_budget)
