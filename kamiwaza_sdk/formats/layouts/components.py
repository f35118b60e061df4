"""Pipelines of several components, as Diffusers keeps them: a folder for each, named in ``model_index.json``.

https://huggingface.co/docs/diffusers/using-diffusers/loading: a variant such as ``fp16`` is taken for each component
that has it, and the plain weights for the others; safetensors go before pickles.

What the header of a file says about its role, which counts more than its name.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias

from kamiwaza_sdk.formats.inspection import FormatSchema
from kamiwaza_sdk.formats.layouts.candidates import Candidate, read_object
from kamiwaza_sdk.formats.schemas import GGUFSchema, SafetensorsSchema
from kamiwaza_sdk.formats.schemas.repository import CompanionKind

INDEX: Final = "model_index.json"
#: Which component is the model itself, in the order in which pipelines are known by them.
_MAIN: Final = ("transformer", "unet", "prior", "decoder", "dit", "vqvae", "model")
_KNOWN: Final = frozenset(
    {*_MAIN, "vae", "text_encoder", "text_encoder_2", "text_encoder_3", "image_encoder", "safety_checker", "controlnet"}
    | {
        "vae_decoder",
        "vae_encoder",
        "vision_model",
        "feature_extractor",
        "movq",
        "transformer_2",
        "audio_vae",
        "vocoder",
    }
)
_PREFERRED: Final = ("safetensors", "pickle")

_Parts = dict[str, Candidate]


def find_pipelines(
    candidates: list[Candidate], names: frozenset[str], texts: Mapping[str, bytes]
) -> tuple[list[Candidate], list[Candidate]]:
    """Return the variants of each pipeline, and the candidates that belong to none; plain variants come first."""
    by_root = defaultdict[str, list[Candidate]](list)
    for one in candidates:
        by_root[one.folder.rpartition("/")[0] if one.folder else "."].append(one)
    pipelines, taken = list[Candidate](), set[int]()
    for index in sorted(name for name in names if name.rpartition("/")[2] == INDEX):
        root = index.rpartition("/")[0]
        components = _components(read_object(texts.get(index)))
        parts = [(name, one) for one in by_root[root] if (name := one.folder.rpartition("/")[2]) in components]
        taken.update(id(one) for _, one in parts)
        pipelines += _variants(root, parts)
    return pipelines, [one for one in candidates if id(one) not in taken]


def _components(index: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the components that an index declares; those that are known where it was not read."""
    named = {
        name
        for name, value in index.items()
        if isinstance(value, list) and any(isinstance(item, str) for item in value) and not name.startswith("_")
    }
    return frozenset(named) if index else _KNOWN


def _variants(root: str, parts: list[tuple[str, Candidate]]) -> list[Candidate]:
    by_kind = defaultdict[tuple[str, str], _Parts](dict)
    for component, one in parts:
        by_kind[one.format, _token(one)][component] = one
    plain = {name: one for kind in reversed(_PREFERRED) for name, one in by_kind.get((kind, ""), {}).items()}
    main = next((name for name in _MAIN if any(name in found for found in by_kind.values())), None)
    variants = [_pipeline(root, "", plain)] if main in plain else []
    for (format_, token), found in by_kind.items():
        if main not in found or found[main] is plain.get(main):
            continue
        whole = {**plain, **found} if format_ in _PREFERRED else found
        variants.append(_pipeline(root, " ".join(filter(None, (_shown(format_), token))), whole))
    return variants


def _token(one: Candidate) -> str:
    """Return what a name has between its first part and its ending: ``fp16``."""
    return PurePosixPath(one.label).name.replace("-*", "").partition(".")[2].rpartition(".")[0]


def _shown(format_: str) -> str:
    return "" if format_ == "safetensors" else format_


def _pipeline(root: str, mark: str, parts: _Parts) -> Candidate:
    name = f"pipeline {mark}".rstrip()
    main = next((parts[known] for known in _MAIN if known in parts), next(iter(parts.values())))
    files = tuple(sorted({path for one in parts.values() for path in one.files}))
    missing = tuple(sorted({path for one in parts.values() for path in one.missing}))
    label = f"{root}/{name}" if root else name
    return replace(main, label=label, files=files, missing=missing, quantization=mark or None)


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
