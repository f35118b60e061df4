"""Chooses the default variant, the companions that a variant needs in memory, and the files to bring with it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from kamiwaza_sdk.formats.layouts.candidates import Candidate
from kamiwaza_sdk.formats.layouts.names import (
    companion_kind,
    gguf_type,
    in_checkpoint,
    is_cut_by_hand,
    is_training_state,
    onnx_suffix,
    parse_stem,
    weight_format,
)
from kamiwaza_sdk.formats.schemas.repository import CompanionSchema, LayoutSchema, VariantSchema

#: The files that Transformers loads, in its order
#: (https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_utils.py), in the root of the
#: repository. Shards without an index count as indexed ones.
_TRANSFORMERS: Final = (
    "model.safetensors",
    "model-*.safetensors",
    "pytorch_model.bin",
    "pytorch_model-*.bin",
)
#: The types that llama.cpp's ``-hf`` takes: ``find_best_model`` in
#: https://github.com/ggml-org/llama.cpp/blob/master/common/download.cpp, which finds ``UD-Q4_K_M`` as well.
_LLAMA_CPP: Final = ("Q4_K_M", "Q8_0")


def choose_default(candidates: Sequence[Candidate]) -> tuple[str | None, str]:
    """Return the name of the default, `None` where there is none, and the reason.

    If files of the one that a loader would take are missing, there is none, rather than another one.
    """
    name, reason = _chosen(candidates)
    chosen = next((one for one in candidates if one.label == name), None)
    if chosen is not None and chosen.missing:
        return None, f"{name} would be the default, but {chosen.missing[0]} is missing"
    return name, reason


def _chosen(candidates: Sequence[Candidate]) -> tuple[str | None, str]:
    if not candidates:
        return None, "there is no whole model"
    if len(candidates) == 1:
        return candidates[0].label, "it is the only one"
    by_label = {one.label: one for one in candidates}
    if "pipeline" in by_label:
        return "pipeline", "a pipeline's plain components are loaded unless another variant is asked for"
    for label in _TRANSFORMERS:
        if label in by_label:
            return label, f"Transformers looks for {label} first"
    gguf = [one for one in candidates if one.format == "gguf"]
    if gguf:
        return _gguf_default(gguf)
    plain = _plain_graph(candidates)
    names = ", ".join(sorted(by_label)[:10])
    none = f"there is no default; choose one of {names}"
    return plain, none if plain is None else "Optimum takes the graph that is not marked as converted"


def _plain_graph(candidates: Sequence[Candidate]) -> str | None:
    """Return the one ONNX graph that is not converted from another: https://huggingface.co/docs/optimum-onnx."""
    plain = [one.label for one in candidates if one.quantization is None]
    alike = {_graph(one) for one in candidates}
    return plain[0] if len(plain) == len(alike) == 1 and {one.format for one in candidates} == {"onnx"} else None


def _graph(one: Candidate) -> tuple[str, str]:
    stem = parse_stem(one.files[0])
    return stem.folder, onnx_suffix(stem.name)[0] if one.label.endswith(".onnx") else ""


def _gguf_default(candidates: Sequence[Candidate]) -> tuple[str | None, str]:
    ordered = sorted(candidates, key=lambda one: one.files)
    for wanted in _LLAMA_CPP:
        found = [one for one in ordered if one.quantization == wanted]
        found = found or [one for one in ordered if one.quantization == f"UD-{wanted}"]
        if len(found) == 1:
            return found[0].label, f"llama.cpp takes {found[0].quantization}"
        if found:
            return None, f"there is no default, for {len(found)} models are of type {wanted}; choose one of them"
    if len({family_of(one.files) for one in ordered}) > 1:
        return None, f"there is no default; choose one of {', '.join(one.label for one in ordered[:10])}"
    return ordered[0].label, "llama.cpp takes the first where there is neither Q4_K_M nor Q8_0"


def family_of(files: Sequence[str]) -> str:
    """Return the name of the model of GGUF files: without the type of their weights."""
    stem = parse_stem(files[0]).name.lower()
    kind = gguf_type(stem)
    return stem if kind is None else stem.partition(kind.lower())[0].rstrip("-_.")


#: The companions that may be loaded with a model.
LOADED_KINDS: Final = frozenset({"adapter", "projector", "vae"})
#: The companions to bring with any variant, whether or not they are loaded.
_BROUGHT: Final = frozenset({"config", "tokenizer", "voice"})
#: The names of variants of several components.
_PIPELINE: Final = re.compile(r"(?:.*/)?pipeline(?: .*)?")
#: The end of the name of a GGUF file, and before it the type of its weights.
_PLACE: Final = re.compile(r"(?:(?<=.)-\d{5}-of-\d{5})?\.gguf$", re.IGNORECASE)
_LAST: Final = re.compile(r"[-.]([A-Z0-9_]+)$", re.IGNORECASE)


def needed_companions(
    companions: Sequence[CompanionSchema], variant: VariantSchema, *, smallest: bool = False
) -> tuple[CompanionSchema, ...]:
    """Return the companions that are loaded with a variant.

    Of several projectors it is the one that llama.cpp takes: in the nearest folder above the model, then with the
    nearest number of bits, then the first (``find_best_sibling`` in
    https://github.com/ggml-org/llama.cpp/blob/master/common/download.cpp).

    Args:
        companions: Of the repository.
        variant: The variant.
        smallest: Whether to take the smallest projector instead.
    """
    needed = list[CompanionSchema]()
    if variant.format == "gguf":
        needed += _projector(companions, variant, smallest=smallest)
        needed += [one for one in companions if one.kind == "adapter" and _is_part_of_image(one)]
    elif not _PIPELINE.fullmatch(variant.name):
        needed += [one for one in companions if one.kind == "vae" and "/" not in one.files[0]]
    return tuple(needed)


def total_size(companions: Iterable[CompanionSchema]) -> int:
    """Return the bytes of companions, as far as these are known."""
    return sum(one.size or 0 for one in companions)


def files_of_variant(
    layout: LayoutSchema, variant: VariantSchema, needed: Iterable[CompanionSchema], paths: Iterable[str]
) -> frozenset[str]:
    """Return the files to bring with a variant: its own, its companions, and all files that are no weights."""
    brought = {path for one in needed for path in one.files}
    brought |= {path for one in layout.companions if one.kind in _BROUGHT for path in one.files}
    others = {path for one in layout.variants for path in one.files} | set(layout.rest)
    others |= {path for one in layout.incomplete for path in one.files}
    others |= {path for one in layout.companions for path in one.files}
    left = (path for path in paths if path not in others and not _is_for_training(path))
    return frozenset({*variant.files, *brought, *left})


def loaded_files(layout: LayoutSchema, variant: VariantSchema, needed: Iterable[CompanionSchema]) -> frozenset[str]:
    """Return the files without which a variant cannot be loaded: its own, and the companions that it needs.

    Besides, except for GGUF, which contains them: configurations, tokenizers and voices, in its folders and above, or
    of the whole pipeline.
    """
    loaded = {*variant.files, *(path for one in needed for path in one.files)}
    if variant.format == "gguf":
        return frozenset(loaded)
    above = {folder for path in variant.files for folder in PurePosixPath(path).parents}
    root = variant.name.rpartition("/")[0] if _PIPELINE.fullmatch(variant.name) else None
    for one in layout.companions:
        if one.kind in _BROUGHT:
            loaded.update(
                path
                for path in one.files
                if one.kind == "voice" or PurePosixPath(path).parent in above or _is_below(path, root)
            )
    return frozenset(loaded)


def first_files(variant: VariantSchema) -> tuple[str, ...]:
    """Return the files that prove the format of a variant: of each set of shards the first."""
    names = frozenset(variant.files)
    firsts = dict[str, str]()
    for path in variant.files:
        if weight_format(path, names) is not None:
            firsts.setdefault(parse_stem(path).label, path)
    return tuple(firsts.values())


def _is_below(path: str, root: str | None) -> bool:
    return root is not None and (not root or path.startswith(f"{root}/"))


def _is_for_training(path: str) -> bool:
    if companion_kind(path) == "importance matrix":
        return True
    return is_training_state(path) or in_checkpoint(path) or is_cut_by_hand(path)


def _projector(
    companions: Iterable[CompanionSchema], variant: VariantSchema, *, smallest: bool
) -> Iterator[CompanionSchema]:
    projectors = [one for one in companions if one.kind == "projector"]
    if smallest:
        yield from sorted(projectors, key=lambda one: (one.size is None, one.size or 0, one.files))[:1]
        return
    folders, bits = variant.files[0].split("/")[:-1], _bits(variant.files[0])
    ranked = list[tuple[int, int, tuple[str, ...], CompanionSchema]]()
    for one in projectors:
        above = one.files[0].split("/")[:-1]
        if folders[: len(above)] == above:
            ranked.append((-len(above), abs(_bits(one.files[0]) - bits), one.files, one))
    yield from (best for *_, best in sorted(ranked, key=lambda row: row[:3])[:1])


def _bits(path: str) -> int:
    """Return the first number in the type at the end of a name; 0 where there is none."""
    kind = _LAST.search(_PLACE.sub("", path.rpartition("/")[2], count=1))
    number = re.search(r"\d+", kind[1]) if kind else None
    return int(number[0]) if number else 0


def _is_part_of_image(companion: CompanionSchema) -> bool:
    """Return whether an adapter is part of an Ollama image, which names all that belongs together."""
    return companion.files[0].startswith("adapter") and "/" not in companion.files[0]
