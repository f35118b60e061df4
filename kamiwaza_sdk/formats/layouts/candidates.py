"""Groups files that belong together: shards, the files of an index, folders, parts of a graph, pipelines.

Each step takes candidates and returns candidates. Declarations in files precede conclusions from names. A pipeline of
Diffusers has a folder for each component, which ``model_index.json`` names: a variant such as ``fp16`` has each
component of this kind, and the plain weights of the others; safetensors precede pickles
(https://huggingface.co/docs/diffusers/using-diffusers/loading).
"""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from pathlib import PurePosixPath
from typing import Final

from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.layouts.names import gguf_type, missing_shards, onnx_suffix, parse_stem, weight_format
from kamiwaza_sdk.formats.source import read_json_text

_INDEX: Final = ".index"
#: The bytes of a declaration that are stored, and the files that it may name.
_LONGEST: Final = 1024**2
_MOST_FILES: Final = 10_000
_MOST_MISSING: Final = 20
#: The names of the graphs that Optimum and Transformers.js export of one model.
_PARTS: Final = frozenset(
    {"encoder_model", "decoder_model", "decoder_model_merged", "decoder_with_past_model", "embed_tokens"}
    | {"vision_encoder", "vision_model", "audio_encoder", "audio_model", "text_encoder", "text_model"}
    | {"prompt_encoder_mask_decoder", "encoder", "decoder", "joiner", "joint"}
)
#: Graphs that replace others of `_PARTS`, so that a variant does not need each of them.
_OPTIONAL_PARTS: Final = frozenset({"decoder_model_merged", "decoder_with_past_model"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """Files of weights that belong together.

    Attributes:
        label: The path that they share: ``model.safetensors``, ``onnx/model.onnx``, a folder.
        format: Of the weights.
        files: The existing ones, sorted.
        missing: The others.
        quantization: The type of the weights by their names.
    """

    label: str
    format: str
    files: tuple[str, ...]
    missing: tuple[str, ...] = ()
    quantization: str | None = None

    @property
    def folder(self) -> str:
        """Of the files; empty for the root."""
        return self.label.rpartition("/")[0]


def read_object(text: bytes | None) -> dict[str, object]:
    """Return the object of a text in JSON; an empty one where it is none, and so declares nothing."""
    if not text:
        return {}
    try:
        return read_json_text(text, infinite=True)
    except FormatException:
        return {}


def brief_structure(path: str, text: bytes) -> bytes:
    """Return the declarations of a file without the parts that grow with the model: of an index, its file names."""
    if not _is_index(path):
        return text[:_LONGEST]
    weight_map = read_object(text).get("weight_map")
    if not isinstance(weight_map, dict):
        return b""
    names = sorted({name for name in weight_map.values() if isinstance(name, str)})[:_MOST_FILES]
    return json.dumps({"weight_map": dict(zip(names, names, strict=True))}).encode()


def find_candidates(
    weights: Iterable[str],
    names: frozenset[str],
    texts: Mapping[str, bytes],
    beside: Mapping[str, Sequence[str]],
) -> tuple[list[Candidate], list[str]]:
    """Return the files of weights that belong together, and notes on files that do not fit.

    Args:
        weights: The files of weights that are neither companions nor training states.
        names: All paths of the repository.
        texts: The contents of its small files in JSON, by path.
        beside: The files with the weights of graphs, by the path of the graph.
    """
    candidates = _by_stem(weights, names)
    notes = list[str]()
    for path in sorted(name for name in texts if name in names and _is_index(name)):
        candidates = _with_index(path, read_object(texts.get(path)), candidates, names, notes)
    candidates = _with_external_data(candidates, names, beside)
    candidates = _folders_as_one(candidates, names)
    return _graphs_as_one(candidates), notes


def _by_stem(weights: Iterable[str], names: frozenset[str]) -> list[Candidate]:
    """Return sets of shards, and every other file by itself; a bundle is its folder."""
    groups = defaultdict[tuple[str, str], list[str]](list)
    for path in weights:
        format_ = weight_format(path, names)
        if format_ is not None:
            groups[_label(path, format_), format_].append(path)
    bundles = defaultdict[str, list[str]](list)
    for name in names if any(format_ == "coreml" for _, format_ in groups) else ():
        bundles[_label(name, "coreml")].append(name)
    return [_candidate(label, format_, files, bundles) for (label, format_), files in groups.items()]


def _label(path: str, format_: str) -> str:
    if format_ == "coreml":
        parts = PurePosixPath(path).parts
        for depth, part in enumerate(parts):
            if part.endswith((".mlpackage", ".mlmodelc")):
                return "/".join(parts[: depth + 1])
    stem = parse_stem(path)
    # A file and a set of shards of one name are two copies, not one.
    return stem.label if stem.shard is None else stem.label.removesuffix(stem.ending) + "-*" + stem.ending


def _candidate(label: str, format_: str, files: list[str], bundles: Mapping[str, list[str]]) -> Candidate:
    if format_ == "coreml":
        files = bundles[label]
    if format_ == "openvino":
        files = [*files, *(f"{path.removesuffix('.bin')}.xml" for path in files)]
    quantization = gguf_type(label) if format_ == "gguf" else _onnx_mark(label, format_)
    return Candidate(label, format_, tuple(sorted(files)), missing_shards(files), quantization)


def _onnx_mark(label: str, format_: str) -> str | None:
    return onnx_suffix(PurePosixPath(label).stem)[1] or None if format_ in {"onnx", "openvino"} else None


def _is_index(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.endswith(".json") and f"{_INDEX}." in last


def _with_index(
    path: str, index: Mapping[str, object], candidates: list[Candidate], names: frozenset[str], notes: list[str]
) -> list[Candidate]:
    """Make one candidate of the files that an index names."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict):
        return candidates
    folder = "" if "/" not in path else path.rpartition("/")[0] + "/"
    named = {f"{folder}{name}" for name in weight_map.values() if isinstance(name, str)}
    here = named & names
    if not here:
        notes.append(f"{path} names {len(named)} files that are not here: it belongs to another build of the model")
        return candidates
    taken = sorted((one for one in candidates if not here.isdisjoint(one.files)), key=lambda one: -len(one.files))
    format_ = taken[0].format if taken else "safetensors"
    # A set of shards is called alike whether its index was read or not.
    numbered = next((one.label for one in taken if "-*" in one.label), None)
    label = numbered or path.replace(".json", "").replace(_INDEX, "")
    whole = Candidate(label, format_, tuple(sorted(here)), tuple(sorted(named - names)[:20]))
    others = [replace(one, files=rest) for one in candidates if (rest := tuple(f for f in one.files if f not in here))]
    if any(one.label == label for one in others):
        whole = replace(whole, label=_label(min(here), format_))
    return [*others, whole]


def _with_external_data(
    candidates: list[Candidate], names: frozenset[str], beside: Mapping[str, Sequence[str]]
) -> list[Candidate]:
    """Add to ONNX graphs the files with their weights: those that they name, and those with their names.

    These are ``x.onnx_data``, ``x.onnx.data``, ``x.data``.
    """
    if all(one.format != "onnx" for one in candidates):
        return candidates
    data = sorted(name for name in names if not name.endswith((".onnx", ".json", ".md")))
    found = [_with_named(one, names, beside) if one.format == "onnx" else one for one in candidates]
    named = {path for one in found if one.format == "onnx" for path in one.files}
    whole = [_with_data(one, data) if one.format == "onnx" else one for one in found]
    return [one for one in whole if one.format == "onnx" or not named.issuperset(one.files)]


def _with_named(one: Candidate, names: frozenset[str], beside: Mapping[str, Sequence[str]]) -> Candidate:
    """Add the files that a graph names, or note that they are missing."""
    external = {f"{one.folder}/{name}" if one.folder else name for path in one.files for name in beside.get(path, ())}
    if not external:
        return one
    missing = tuple(sorted({*one.missing, *(external - names)}))[:_MOST_MISSING]
    return replace(one, files=tuple(sorted({*one.files, *(external & names)})), missing=missing)


def _with_data(one: Candidate, names: Sequence[str]) -> Candidate:
    found = set(one.files)
    for start in (*one.files, *(f"{path.removesuffix('.onnx')}.data" for path in one.files)):
        found.update(takewhile(lambda name: name.startswith(start), islice(names, bisect_left(names, start), None)))  # noqa: B023 - used at once
    return replace(one, files=tuple(sorted(found)))


def _folders_as_one(candidates: list[Candidate], names: frozenset[str]) -> list[Candidate]:
    """Make one candidate of the graphs in each folder that has a ``genai_config.json``."""
    declared = (name.rpartition("/") for name in names if name.endswith("genai_config.json"))
    folders = {folder or "." for folder, _, name in declared if name == "genai_config.json"}
    inside = defaultdict[str, list[Candidate]](list)
    others = list[Candidate]()
    for one in candidates:
        folder = one.folder or "."
        if folder in folders and one.format == "onnx":
            inside[folder].append(one)
        else:
            others.append(one)
    for folder, graphs in inside.items():
        files = tuple(sorted({path for graph in graphs for path in graph.files}))
        label = graphs[0].label if folder == "." else folder
        others.append(Candidate(label, "onnx", files, (), _onnx_mark(graphs[0].label, "onnx")))
    return others


def _graphs_as_one(candidates: list[Candidate]) -> list[Candidate]:
    """Make one candidate of an encoder and a decoder that were exported together."""
    by_folder = defaultdict[str, list[Candidate]](list)
    for one in candidates:
        if one.format == "onnx" and len({onnx_suffix(PurePosixPath(one.label).stem)[0]} & _PARTS):
            by_folder[one.folder].append(one)
    parts = {graph.label for graphs in by_folder.values() for graph in graphs}
    found = [one for one in candidates if one.format != "onnx" or one.label not in parts]
    for folder, graphs in by_folder.items():
        if len({onnx_suffix(PurePosixPath(graph.label).stem)[0] for graph in graphs}) == 1:
            found += graphs
        else:
            found += _exports(folder, graphs)
    return found


def _exports(folder: str, graphs: list[Candidate]) -> list[Candidate]:
    by_mark = defaultdict[str, dict[str, Candidate]](dict)
    for graph in graphs:
        name, mark = onnx_suffix(PurePosixPath(graph.label).stem)
        by_mark[mark][name] = graph
    needed = {name for parts in by_mark.values() for name in parts} - _OPTIONAL_PARTS
    plain = by_mark.get("", {})
    found = list[Candidate]()
    for mark, parts in by_mark.items():
        whole = {name: plain[name] for name in needed - parts.keys() if name in plain} | parts
        files = tuple(sorted({path for graph in whole.values() for path in graph.files}))
        missing = tuple(sorted(f"{folder}/{name}.onnx".lstrip("/") for name in needed - whole.keys()))
        name = f"onnx {mark}" if mark else "onnx"
        label = f"{folder}/{name}" if folder and folder != "onnx" else name
        found.append(Candidate(label, "onnx", files, missing, mark or None))
    return found


INDEX: Final = "model_index.json"
#: The main component, by which a pipeline is known.
_MAIN: Final = ("transformer", "unet", "prior", "decoder", "dit", "vqvae", "model")
_KNOWN: Final = frozenset(
    {*_MAIN, "vae", "text_encoder", "text_encoder_2", "text_encoder_3", "image_encoder", "safety_checker", "controlnet"}
    | {"vae_decoder", "vae_encoder", "vision_model", "feature_extractor", "movq", "transformer_2", "audio_vae"}
    | {"vocoder"}
)
_PREFERRED: Final = ("safetensors", "pickle")

_Parts = dict[str, Candidate]


def find_pipelines(
    candidates: list[Candidate], names: frozenset[str], texts: Mapping[str, bytes]
) -> tuple[list[Candidate], list[Candidate]]:
    """Return the variants of each pipeline, plain ones first, and the candidates of no pipeline."""
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
    """Return the components that an index declares; the known ones where it was not read."""
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
    """Return the part of a name between its first part and its ending: ``fp16``."""
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
