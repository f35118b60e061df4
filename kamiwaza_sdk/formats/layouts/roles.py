"""What the header of a file says about its role, which counts more than its name."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, Literal, TypeAlias

from kamiwaza_sdk.formats.inspection import FormatSchema
from kamiwaza_sdk.formats.schemas import GGUFSchema, SafetensorsSchema
from kamiwaza_sdk.formats.schemas.layout import CompanionKind

__all__ = ["FileRole", "header_role"]

FileRole: TypeAlias = CompanionKind | Literal["model"]

#: What ``general.type`` of a GGUF file means here:
#: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and llama.cpp's ``gguf-py/gguf/constants.py``.
_TYPES: Final[dict[str, FileRole]] = {
    "model": "model",
    "adapter": "adapter",
    "mmproj": "projector",
    "imatrix": "importance matrix",
    "vocab": "tokenizer",
}
#: How trainers of adapters name tensors: Kohya's scripts, PEFT, Diffusers.
_ADAPTED: Final = (".lora_A.", ".lora_B.", ".lora_down.", ".lora_up.", ".lora_a.", ".lora_b.", ".hada_w1_a", ".lokr_w1")
_LOOKED_AT: Final = 100


def header_role(header: FormatSchema) -> FileRole | None:
    """Return what a header says that its file is; `None` where it does not say, or is no whole header."""
    if isinstance(header, GGUFSchema):
        return _gguf_role(header)
    if isinstance(header, SafetensorsSchema) and _are_adapted(header.tensors):
        return "adapter"
    return None


def _gguf_role(header: GGUFSchema) -> FileRole | None:
    named = header.metadata.get("general.type")
    if isinstance(named, str) and named in _TYPES:
        return _TYPES[named]
    if header.architecture == "clip":
        return "projector"
    # The first file of a set may hold keys only.
    return "tokenizer" if not header.parameters_by_dtype and "split.count" not in header.metadata else None


def _are_adapted(names: Iterable[str]) -> bool:
    first = list(islice(names, _LOOKED_AT))
    return bool(first) and all(
        any(mark in f"{name}." for mark in _ADAPTED) or name.endswith(".alpha") for name in first
    )
