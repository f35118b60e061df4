"""Describes the layout of a repository: the only definition for plans, inspections, adoptions and the registry."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from kamiwaza_sdk.formats.layouts.candidates import Candidate, find_candidates, find_pipelines, read_object
from kamiwaza_sdk.formats.layouts.choices import choose_default
from kamiwaza_sdk.formats.layouts.names import (
    companion_kind,
    in_checkpoint,
    is_cut_by_hand,
    is_training_state,
    telling_names,
    weight_format,
)
from kamiwaza_sdk.formats.schemas import FormatSchema, GGUFSchema, SafetensorsSchema
from kamiwaza_sdk.formats.schemas.repository import (
    CompanionKind,
    CompanionSchema,
    IncompleteVariantSchema,
    LayoutSchema,
    VariantSchema,
)

FileRole: TypeAlias = CompanionKind | Literal["model"]

#: The small files that declare which files belong together.
STRUCTURAL_FILES: Final = ("adapter_config.json", "model_index.json", "modules.json")
#: The folder of a layer behind the model in sentence-transformers: https://sbert.net/docs/sentence_transformer.
_MODULE: Final = re.compile(r"\d+_[A-Z]\w*")
#: The formats whose files are recognised by their bytes.
READ_FORMATS: Final = frozenset({"gguf", "onnx", "pickle", "safetensors"})
_TOGETHER: Final[frozenset[CompanionKind]] = frozenset({"tokenizer", "config", "voice"})


def is_structural(path: str) -> bool:
    """Return whether a file declares which files belong together, so that it is read before weights are."""
    name = path.rpartition("/")[2]
    return name in STRUCTURAL_FILES or (name.endswith(".json") and ".index." in name)


def describe_layout(
    files: Mapping[str, int | None],
    *,
    texts: Mapping[str, bytes] | None = None,
    headers: Mapping[str, FormatSchema] | None = None,
) -> LayoutSchema:
    """Return the layout of a repository: variants, companions, and the rest.

    Declarations in files precede conclusions from names: an index (``model.safetensors.index.json``), the components
    of a pipeline (``model_index.json``), the layers of a sentence encoder (``modules.json``), a folder with a
    ``genai_config.json``, the keys of a GGUF header. Incomplete sets of shards are no variants. The default is the one
    that the loaders of the format take: Transformers ``model.safetensors``, its shards, then ``pytorch_model.bin``;
    llama.cpp ``Q4_K_M``, ``Q8_0``, then the first; a pipeline its plain components. A repository of several models has
    none.

    Args:
        files: Sizes in bytes by path, `None` where one is not known.
        texts: Contents of the small files that declare which files belong together, by path, as far as they were read.
        headers: The descriptions of files of weights, as far as they were read.

    Returns:
        The layout. It does not depend on the order of the arguments.

    Example:
        >>> files = {"model-00001-of-00002.safetensors": 5, "model-00002-of-00002.safetensors": 5, "model.gguf": 3}
        >>> layout = describe_layout(files)
        >>> [(variant.name, variant.size) for variant in layout.variants], layout.default
        ([('model-*.safetensors', 10), ('model.gguf', 3)], 'model-*.safetensors')
    """
    roles = {path: role for path, header in (headers or {}).items() if (role := header_role(header)) is not None}
    return sort_files(files, texts or {}, roles)


def sort_files(
    files: Mapping[str, int | None],
    texts: Mapping[str, bytes],
    roles: Mapping[str, FileRole],
    unreadable: Container[str] = frozenset(),
    beside: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> LayoutSchema:
    """Do the same as `describe_layout`, with roles in place of headers.

    Args:
        files: Sizes in bytes by path.
        texts: Contents of files that declare which files belong together.
        roles: The roles of files by their headers.
        unreadable: Files that are not of the format that their names say.
        beside: The files with the weights of graphs, by the path of the graph.
    """
    sorting = _Sorting(dict(sorted(files.items())), texts, roles, unreadable)
    names = frozenset(files)
    candidates, notes = find_candidates(sorting.weights, names, sorting.texts, beside)
    candidates, added = _without_modules(candidates, sorting.texts)
    pipelines, single = find_pipelines(candidates, names, sorting.texts)
    named = _named([*pipelines, *single])
    whole = [replace(one, files=tuple(sorted({*one.files, *added}))) for one in named if not one.missing]
    default, reason = choose_default(named)
    return LayoutSchema(
        variants=tuple(sorted((sorting.variant(one) for one in whole), key=lambda one: one.name)),
        default=default,
        reason=reason,
        companions=sorting.companions,
        incomplete=tuple(
            IncompleteVariantSchema(name=one.label, files=one.files, missing=one.missing)
            for one in named
            if one.missing
        ),
        rest=tuple(sorting.rest),
        notes=tuple(notes),
    )


@dataclass(slots=True)
class _Sorting:
    """The files of a repository, sorted by role."""

    files: Mapping[str, int | None]
    texts: Mapping[str, bytes]
    roles: Mapping[str, FileRole]
    unreadable: Container[str]
    weights: list[str] = field(default_factory=list[str])
    rest: list[str] = field(default_factory=list[str])
    found: dict[CompanionKind, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        names = frozenset(self.files)
        components = {name.rpartition("/")[0] for name in names if name.endswith("model_index.json")}
        formats = {path: weight_format(path, names) for path in self.files}
        telling = telling_names(self.files)
        saved = {path for path in self.files if path in telling and in_checkpoint(path)}
        outside = any(format_ and path not in saved for path, format_ in formats.items())
        for path, format_ in formats.items():
            tells = path in telling
            if tells and (is_training_state(path) or is_cut_by_hand(path) or (outside and path in saved)):
                self.rest.append(path)
            elif (tells or path in self.roles) and (kind := self._kind(path, components)) is not None:
                self.found[kind].append(path)
            elif format_ is not None:
                read = format_ in READ_FORMATS
                (self.rest if read and path in self.unreadable else self.weights).append(path)

    def _kind(self, path: str, components: set[str]) -> CompanionKind | None:
        role = self.roles.get(path)
        kind = companion_kind(path) if role is None else None if role == "model" else role
        if kind != "vae":
            return kind
        above, _, folder = path.rpartition("/")[0].rpartition("/")
        # The index of a pipeline decides about its components, whatever the names of their folders.
        return None if above in components and folder == "vae" else kind

    def variant(self, one: Candidate) -> VariantSchema:
        """Return a candidate as a variant."""
        return VariantSchema(
            name=one.label,
            format=one.format,
            files=one.files,
            size=self._size(one.files),
            quantization=one.quantization,
        )

    def _size(self, paths: Iterable[str]) -> int | None:
        sizes = [self.files.get(path) for path in paths]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def companions(self) -> tuple[CompanionSchema, ...]:
        """One companion of all tokenizers, of all configurations, and of all voices; of others, one for each file."""
        companions = list[CompanionSchema]()
        for kind, paths in sorted(self.found.items()):
            groups = [paths] if kind in _TOGETHER else [[path] for path in paths]
            companions += [
                CompanionSchema(kind=kind, files=tuple(group), size=self._size(group), base=self._base(kind, group[0]))
                for group in groups
            ]
        return tuple(companions)

    def _base(self, kind: CompanionKind, path: str) -> str | None:
        if kind != "adapter":
            return None
        config = read_object(self.texts.get(str(PurePosixPath(path).with_name("adapter_config.json"))))
        base = config.get("base_model_name_or_path")
        return base if isinstance(base, str) and base else None


def _without_modules(candidates: list[Candidate], texts: Mapping[str, bytes]) -> tuple[list[Candidate], frozenset[str]]:
    """Return the models, and the weights of layers that every variant needs besides.

    Layers are recognised by the names of their folders; ``modules.json`` is a list, which `read_object` does not read.
    """
    layers, models = list[Candidate](), list[Candidate]()
    for one in candidates:
        (layers if _MODULE.fullmatch(one.folder.rpartition("/")[2]) else models).append(one)
    preferred = {one.folder: one for one in sorted(layers, key=lambda one: one.format == "safetensors")}
    return (
        (models, frozenset(path for one in preferred.values() for path in one.files))
        if models
        else (layers, frozenset())
    )


def _named(candidates: list[Candidate]) -> list[Candidate]:
    """Give each candidate a unique name: for GGUF the type of its weights, if no other has the same."""
    types = Counter(one.quantization for one in candidates if one.format == "gguf")
    labels = Counter(one.label.replace("-*", "") for one in candidates)
    found = list[Candidate]()
    for one in candidates:
        if one.format == "gguf" and one.quantization is not None and types[one.quantization] == 1:
            found.append(replace(one, label=one.quantization))
        elif one.format == "gguf" and labels[one.label.replace("-*", "")] == 1:
            found.append(replace(one, label=one.label.replace("-*", "")))
        else:
            found.append(one)
    return found


#: The roles by ``general.type`` of a GGUF file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and
#: llama.cpp's ``gguf-py/gguf/constants.py``.
_TYPES: Final[dict[str, FileRole]] = {
    "model": "model",
    "adapter": "adapter",
    "mmproj": "projector",
    "imatrix": "importance matrix",
    "vocab": "tokenizer",
}
#: The names of tensors in adapters: of Kohya's scripts, PEFT, Diffusers.
_ADAPTED: Final = (".lora_A.", ".lora_B.", ".lora_down.", ".lora_up.", ".lora_a.", ".lora_b.", ".hada_w1_a", ".lokr_w1")
_MOST_COMPARED: Final = 100


def header_role(header: FormatSchema) -> FileRole | None:
    """Return the role of a file by its header; `None` where that does not tell, or is not whole."""
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
    first = list(islice(names, _MOST_COMPARED))
    return bool(first) and all(
        any(mark in f"{name}." for mark in _ADAPTED) or name.endswith(".alpha") for name in first
    )
