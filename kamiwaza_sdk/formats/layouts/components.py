"""Pipelines of several components, as Diffusers keeps them: a folder for each, named in ``model_index.json``.

https://huggingface.co/docs/diffusers/using-diffusers/loading: a variant such as ``fp16`` is taken for each component
that has it, and the plain weights for the others; safetensors go before pickles.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from kamiwaza_sdk.formats.layouts.candidates import Candidate, read_object

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
