"""Which variant loaders take when they are not told."""

from collections.abc import Sequence
from typing import Final

from kamiwaza_sdk.formats.layouts.candidates import Candidate
from kamiwaza_sdk.formats.layouts.names import gguf_type, onnx_suffix, parse_stem

__all__ = ["choose_default", "family_of"]

#: Transformers: https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_utils.py, in the order
#: in which it looks, in the root of the repository. Shards without an index are taken for indexed ones.
_TRANSFORMERS: Final = (
    "model.safetensors",
    "model-*.safetensors",
    "pytorch_model.bin",
    "pytorch_model-*.bin",
)
#: llama.cpp's ``-hf``: ``find_best_model`` in https://github.com/ggml-org/llama.cpp/blob/master/common/download.cpp,
#: which finds ``UD-Q4_K_M`` as well.
_LLAMA_CPP: Final = ("Q4_K_M", "Q8_0")


def choose_default(candidates: Sequence[Candidate]) -> tuple[str | None, str]:
    """Return the name of the default, `None` where there is none, and why.

    Where what a loader would take is not whole there is none, rather than another one.
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
    """Return which of the conversions of one ONNX graph is none: https://huggingface.co/docs/optimum-onnx."""
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
    """Return what GGUF files are called without the type of their weights: the name of the model."""
    stem = parse_stem(files[0]).name.lower()
    kind = gguf_type(stem)
    return stem if kind is None else stem.partition(kind.lower())[0].rstrip("-_.")
