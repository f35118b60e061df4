"""Which files belong together: sets of shards, what an index names, folders that are one model, parts of a graph.

Each step takes candidates and returns candidates. What a file declares goes before what names suggest.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from kamiwaza_sdk.formats.layouts.names import (
    gguf_type,
    missing_shards,
    onnx_suffix,
    parse_stem,
    weight_format,
)

__all__ = ["Candidate", "find_candidates", "read_object"]

_INDEX: Final = ".index"
#: What the parts of one model are called that Optimum and Transformers.js export as several graphs.
_PARTS: Final = frozenset(
    {"encoder_model", "decoder_model", "decoder_model_merged", "decoder_with_past_model", "embed_tokens"}
    | {"vision_encoder", "vision_model", "audio_encoder", "audio_model", "text_encoder", "text_model"}
    | {"prompt_encoder_mask_decoder", "encoder", "decoder", "joiner", "joint"}
)
#: Graphs that do the same as others of `_PARTS`, so that a variant does not need each of them.
_OPTIONAL_PARTS: Final = frozenset({"decoder_model_merged", "decoder_with_past_model"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """Files of weights that belong together.

    Attributes:
        label: The path that they share: ``model.safetensors``, ``onnx/model.onnx``, a folder.
        format: Of the weights.
        files: Those that are there, sorted.
        missing: Those that should be there, too.
        quantization: What names say of the type of the weights.
    """

    label: str
    format: str
    files: tuple[str, ...]
    missing: tuple[str, ...] = ()
    quantization: str | None = None

    @property
    def folder(self) -> str:
        """Where they lie; empty in the root."""
        parent = str(PurePosixPath(self.label).parent)
        return "" if parent == "." else parent


def read_object(text: bytes | None) -> dict[str, object]:
    """Return the object that a text in JSON holds, an empty one where it holds none: it is then no declaration."""
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def find_candidates(
    weights: Iterable[str], names: frozenset[str], texts: Mapping[str, bytes]
) -> tuple[list[Candidate], list[str]]:
    """Return which files of weights belong together, and notes on what does not fit.

    Args:
        weights: The files of weights that are neither companions nor training states.
        names: All paths of the repository.
        texts: Those of its small files in JSON that were read, by path.
    """
    candidates = _by_stem(weights, names)
    notes = list[str]()
    for path in sorted(name for name in names if _is_index(name)):
        candidates = _with_index(path, read_object(texts.get(path)), candidates, names, notes)
    candidates = _with_external_data(candidates, names)
    candidates = _folders_as_one(candidates, names)
    return _graphs_as_one(candidates), notes


def _by_stem(weights: Iterable[str], names: frozenset[str]) -> list[Candidate]:
    """Return sets of shards, and every other file by itself; a bundle is its folder."""
    groups = defaultdict[tuple[str, str], list[str]](list)
    for path in weights:
        format_ = weight_format(path, names)
        if format_ is not None:
            groups[_label(path, format_), format_].append(path)
    return [_candidate(label, format_, files, names) for (label, format_), files in groups.items()]


def _label(path: str, format_: str) -> str:
    if format_ == "coreml":
        parts = PurePosixPath(path).parts
        for depth, part in enumerate(parts):
            if part.endswith((".mlpackage", ".mlmodelc")):
                return "/".join(parts[: depth + 1])
    stem = parse_stem(path)
    # A file and a set of shards of one name are two copies, not one.
    return stem.label if stem.shard is None else stem.label.removesuffix(stem.ending) + "-*" + stem.ending


def _candidate(label: str, format_: str, files: list[str], names: frozenset[str]) -> Candidate:
    if format_ == "coreml":
        files = [name for name in names if name == label or name.startswith(f"{label}/")]
    if format_ == "openvino":
        files = [*files, *(f"{path.removesuffix('.bin')}.xml" for path in files)]
    quantization = gguf_type(label) if format_ == "gguf" else _onnx_mark(label, format_)
    return Candidate(label, format_, tuple(sorted(files)), missing_shards(files), quantization)


def _onnx_mark(label: str, format_: str) -> str | None:
    return onnx_suffix(PurePosixPath(label).stem)[1] or None if format_ in {"onnx", "openvino"} else None


def _is_index(name: str) -> bool:
    pure = PurePosixPath(name)
    return pure.suffix == ".json" and _INDEX in pure.suffixes


def _with_index(
    path: str, index: Mapping[str, object], candidates: list[Candidate], names: frozenset[str], notes: list[str]
) -> list[Candidate]:
    """Make one candidate of what an index names, whatever that is called."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict):
        return candidates
    folder = "" if "/" not in path else path.rpartition("/")[0] + "/"
    named = {f"{folder}{name}" for name in weight_map.values() if isinstance(name, str)}
    here = named & names
    if not here:
        notes.append(f"{path} names {len(named)} files that are not here: it belongs to another build of the model")
        return candidates
    label = path.replace(".json", "").replace(_INDEX, "")
    taken = next((one for one in candidates if set(one.files) & here), None)
    format_ = taken.format if taken is not None else "safetensors"
    whole = Candidate(label, format_, tuple(sorted(here)), tuple(sorted(named - names)[:20]))
    others = [replace(one, files=rest) for one in candidates if (rest := tuple(f for f in one.files if f not in here))]
    if any(one.label == label for one in others):
        whole = replace(whole, label=_label(min(here), format_))
    return [*others, whole]


def _with_external_data(candidates: list[Candidate], names: frozenset[str]) -> list[Candidate]:
    """Add to ONNX graphs the files that hold their weights: ``x.onnx_data``, ``x.onnx.data``, ``x.data``."""
    found = list[Candidate]()
    for one in candidates:
        if one.format != "onnx":
            found.append(one)
            continue
        starts = tuple(path for path in one.files) + tuple(f"{path.removesuffix('.onnx')}.data" for path in one.files)
        data = {name for name in names if name.startswith(starts) and not name.endswith((".onnx", ".json", ".md"))}
        found.append(replace(one, files=tuple(sorted({*one.files, *data}))))
    return found


def _folders_as_one(candidates: list[Candidate], names: frozenset[str]) -> list[Candidate]:
    """Make one candidate of the graphs in each folder that has a ``genai_config.json`` or a ``saved_model.pb``."""
    folders = {str(PurePosixPath(name).parent) for name in names if name.rpartition("/")[2] == "genai_config.json"}
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
    """Make one candidate of an encoder and a decoder that were exported alike."""
    by_folder = defaultdict[str, list[Candidate]](list)
    for one in candidates:
        if one.format == "onnx" and len({onnx_suffix(PurePosixPath(one.label).stem)[0]} & _PARTS):
            by_folder[one.folder].append(one)
    found = [one for one in candidates if one not in [graph for graphs in by_folder.values() for graph in graphs]]
    for folder, graphs in by_folder.items():
        parts = {onnx_suffix(PurePosixPath(graph.label).stem) for graph in graphs}
        if len({name for name, _ in parts}) == 1:
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
