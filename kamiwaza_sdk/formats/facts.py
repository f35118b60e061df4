"""Puts together what the texts, headers and layout of a repository say about the variant that is loaded."""

from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from typing import Final

from kamiwaza_sdk.formats.attention import config_attention, text_configuration
from kamiwaza_sdk.formats.exceptions import FormatException, FormatLimitException, UnknownVariantException
from kamiwaza_sdk.formats.inspection import FileSummary, is_weights
from kamiwaza_sdk.formats.layouts.choices import family_of
from kamiwaza_sdk.formats.layouts.describe import READ_FORMATS, sort_files
from kamiwaza_sdk.formats.layouts.names import weight_format
from kamiwaza_sdk.formats.licences import is_licence_file, joined, recognise_licence
from kamiwaza_sdk.formats.metadata import find_task, read_front_matter, remote_code
from kamiwaza_sdk.formats.parameters import (
    QUANTIZATION_FILES,
    ParameterCount,
    Quantization,
    read_quantization,
    sum_counts,
)
from kamiwaza_sdk.formats.schemas import AttentionSchema, GGUFSchema, TensorTable
from kamiwaza_sdk.formats.schemas.repository import LayoutSchema, RepositoryDetailsSchema, VariantSchema
from kamiwaza_sdk.formats.source import read_json_text

#: No text that describes a model is longer.
MAX_TEXT: Final = 4 * 1024**2
#: The header of a GGUF file that tells nothing.
_SILENT: Final = GGUFSchema(
    size=0, version=3, byte_order="little", tensors=TensorTable({}), parameters_by_dtype={}, metadata={}
)
#: The facts that several GGUF files can share.
_COMMON: Final = (
    "architecture",
    "license",
    "quantization",
    "context_length",
    "tokenizer",
    "has_chat_template",
    "attention",
)


class Repository:
    """The texts, headers and layout of a repository.

    Args:
        files: Sizes of all files by path, `None` where one is not known.
        texts: Contents of the small files that describe a model, or declare which files belong together.
        summaries: Of files of weights, by path.
        unreadable: Files that are no models, whatever their names say.
        unknown: Files whose format is not known.
        place: The repository, for messages about its files.
        source: The same for other messages. Default: `place`.
        before: An earlier state, whose layout is used again if the same files determine it.

    Attributes:
        layout: Of the repository.

    Raises:
        MalformedFileException: A text is no valid JSON, and should be.
        FormatLimitException: A text is too long, or has too many values.
    """

    def __init__(
        self,
        files: Mapping[str, int | None],
        texts: Mapping[str, bytes],
        summaries: Mapping[str, FileSummary],
        *,
        unreadable: Iterable[str] = (),
        unknown: Container[str] = (),
        place: str = "",
        source: str = "",
        before: "Repository | None" = None,
    ) -> None:
        self._files = files
        self._texts = texts
        self._summaries = summaries
        self._place = place
        self._source = source or place
        self._config = _json(place, texts, "config.json")
        self._tokenizer = _json(place, texts, "tokenizer_config.json")
        roles = {path: summary.role for path, summary in summaries.items() if summary.role is not None}
        beside = {path: summary.beside for path, summary in summaries.items() if summary.beside}
        self._sorted_by = (files, dict(texts), roles, frozenset(unreadable), beside)
        same = before is not None and before._sorted_by == self._sorted_by
        self._by_names: LayoutSchema = before._by_names if before is not None and same else sort_files(*self._sorted_by)
        self.layout: LayoutSchema = _with_formats(self._by_names, summaries, unknown)

    def variant(self, name: str | None) -> VariantSchema | None:
        """Return the variant of a name; without one the default, `None` where there is none.

        Raises:
            UnknownVariantException: There is no variant of that name.
        """
        if name is None:
            return None if self.layout.default is None else self.layout.variant(self.layout.default)
        found = self.layout.variant(name)
        if found is None:
            lacking = (one.missing for one in self.layout.incomplete if one.name.casefold() == name.casefold())
            names = [one.name for one in self.layout.variants]
            raise UnknownVariantException(variant=name, source=self._source, variants=names, missing=next(lacking, ()))
        return found

    def attention(self, variant: VariantSchema) -> AttentionSchema | None:
        """Return the attention of a variant; of one that was not inspected, that of another of the same model."""
        own = self._gguf(variant).attention
        if own is None and variant.format == "gguf":
            own = self._families.get(family_of(variant.files))
        return own or self._attention

    def context_length(self, variant: VariantSchema | None) -> int | None:
        """Return the number of tokens for which a variant was trained."""
        inner = text_configuration(self._config)
        length = _number(inner, "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
        return length or self._gguf(variant).context_length

    @cached_property
    def _attention(self) -> AttentionSchema | None:
        return config_attention(self._config)

    @cached_property
    def _families(self) -> dict[str, AttentionSchema]:
        found = dict[str, AttentionSchema]()
        for one in self.layout.variants:
            if one.format == "gguf" and (known := self._gguf(one).attention) is not None:
                found.setdefault(family_of(one.files), known)
        return found

    def describe(self, name: str | None = None) -> RepositoryDetailsSchema:
        """Return the description of a variant.

        Args:
            name: Of the variant. Default: the one that loaders take.

        Raises:
            UnknownVariantException: There is no variant of that name.
        """
        chosen = self.variant(name)
        card = read_front_matter(self._texts.get("README.md", b"").decode(errors="replace"))
        gguf = self._gguf(chosen)
        inner = text_configuration(self._config)
        count, problem = self._count(chosen)
        quantization = quantization_of(self._texts)
        licences = self._licences()
        return RepositoryDetailsSchema(
            size=self._size(chosen),
            variant=None if chosen is None else chosen.name,
            layout=self.layout,
            formats=tuple(sorted({one.schema.format for one in self._summaries.values() if is_weights(one.schema)})),
            architecture=_architecture(self._config) or gguf.architecture,
            model_type=_text(self._config, "model_type"),
            task=_first(card, "pipeline_tag") or find_task(self._config, self._pipeline(), self._files),
            languages=card.get("language", ()),
            license=joined(card.get("license", ()), filter(None, licences.values())) or gguf.license,
            unknown_licenses=tuple(name for name, known in licences.items() if known is None),
            library=_first(card, "library_name"),
            base_models=card.get("base_model", ()),
            tags=card.get("tags", ()),
            context_length=self.context_length(chosen),
            vocabulary_size=_number(inner, "vocab_size"),
            tokenizer=_text(self._tokenizer, "tokenizer_class") or gguf.tokenizer,
            has_chat_template=bool(self._tokenizer.get("chat_template"))
            or "chat_template.jinja" in self._texts
            or gguf.has_chat_template,
            dtype=_text(inner, "torch_dtype") or _text(inner, "dtype"),
            quantization=(None if quantization is None else quantization.method) or gguf.quantization,
            stored_elements=None if count is None else count.stored,
            parameters=None if count is None else count.parameters,
            parameters_by_dtype={} if count is None else count.by_dtype,
            parameters_problem=problem,
            attention=gguf.attention or self._attention if chosen is None else self.attention(chosen),
            remote_code={
                name: what for name, what in remote_code(self._texts, self._files).items() if what is not None
            },
            verdicts={
                name: verdict
                for name, summary in self._summaries.items()
                if (verdict := getattr(summary.schema, "verdict", None))
            },
        )

    def _licences(self) -> dict[str, str | None]:
        """Return the licence of each text, `None` where it is not known; an empty text is ignored."""
        names = sorted(filter(is_licence_file, self._texts))
        texts = {name: self._texts[name].decode(errors="replace") for name in names}
        return {name: recognise_licence(text) for name, text in texts.items() if text.strip()}

    def _pipeline(self) -> Mapping[str, object]:
        try:
            return _json(self._place, self._texts, "model_index.json")
        except FormatException:
            return {}

    def _size(self, chosen: VariantSchema | None) -> int | None:
        if chosen is not None:
            return chosen.size
        return None if self.layout.variants or self.layout.incomplete else 0

    def _gguf(self, chosen: VariantSchema | None) -> GGUFSchema:
        """Return the header with most facts of a variant: of a set of files only the first has the keys."""
        if chosen is None:
            return self._common
        schemas = [self._summaries[path].schema for path in _read(chosen, self._summaries)]
        headers = [schema for schema in schemas if isinstance(schema, GGUFSchema)]
        if not headers:
            return _SILENT
        first = next((schema for schema in headers if schema.architecture), headers[0])
        weights = max(headers, key=lambda schema: schema.parameters)
        return first.model_copy(update={"quantization": weights.quantization})

    @cached_property
    def _common(self) -> GGUFSchema:
        """The facts that the headers of all variants share, if each variant is GGUF and was read."""
        headers = [self._gguf(one) for one in self.layout.variants]
        if not headers or any(header.architecture is None for header in headers):
            return _SILENT
        alike = {name for name in _COMMON if all(getattr(one, name) == getattr(headers[0], name) for one in headers)}
        return _SILENT.model_copy(update={name: getattr(headers[0], name) for name in alike})

    def _count(self, chosen: VariantSchema | None) -> tuple[ParameterCount | None, str | None]:
        """Return the elements and parameters of a variant, and why they are not known."""
        if chosen is None:
            return None, self.layout.reason if self.layout.variants or self.layout.incomplete else None
        if chosen.format not in READ_FORMATS:
            return None, f"its format, {chosen.format}, is none that is read"
        names = frozenset(chosen.files)
        wanted = [path for path in chosen.files if weight_format(path, names) in READ_FORMATS]  # none of external data
        known = [path for path in wanted if path in self._summaries]
        if len(known) < len(wanted):
            return None, f"the headers of {len(wanted) - len(known)} of {len(wanted)} files were not read"
        counts = [count for path in known if (count := self._summaries[path].count) is not None]
        if len(counts) < len(known):
            return None, f"files of the format {chosen.format} do not say, or not at their beginning"
        total = sum_counts(counts)
        return total, total.problem


def _read(variant: VariantSchema | None, summaries: Mapping[str, FileSummary]) -> list[str]:
    return [] if variant is None else [path for path in variant.files if path in summaries]


def _with_formats(layout: LayoutSchema, summaries: Mapping[str, FileSummary], unknown: Container[str]) -> LayoutSchema:
    """Return a layout with the formats of the files, where their names say others."""
    variants = tuple(
        one if (kind := _format(one, summaries, unknown)) == one.format else one.model_copy(update={"format": kind})
        for one in layout.variants
    )
    return layout.model_copy(update={"variants": variants})


def _format(variant: VariantSchema, summaries: Mapping[str, FileSummary], unknown: Container[str]) -> str:
    schemas = [summaries[path].schema for path in _read(variant, summaries)]
    kinds: set[str] = {schema.format for schema in schemas if is_weights(schema)}
    if len(kinds) == 1:
        return kinds.pop()
    nameless = variant.format in READ_FORMATS and all(path in unknown for path in variant.files)
    return "unknown" if nameless else variant.format


def quantization_of(texts: Mapping[str, bytes]) -> Quantization | None:
    """Return how weights are quantized, by the texts that can be read."""
    found = dict[str, Mapping[str, object]]()
    for name in ("config.json", *QUANTIZATION_FILES):
        try:
            found[name] = _json("", texts, name)
        except FormatException:
            found[name] = {}
    return read_quantization(found["config.json"], {name: found[name] for name in QUANTIZATION_FILES})


def refuse_long_text(text: bytes, *, path: str) -> None:
    """Raise where a text is longer than any that describes a model."""
    if len(text) > MAX_TEXT:
        reason = f"it has more than {MAX_TEXT} bytes; that is no ordinary description"
        raise FormatLimitException(path=path, reason=reason, limit=MAX_TEXT)


def _json(path: str, texts: Mapping[str, bytes], name: str) -> dict[str, object]:
    text = texts.get(name)
    if text is None:
        return {}
    refuse_long_text(text, path=name)
    return read_json_text(text, path=f"{path}/{name}" if path else name, infinite=True)


def _text(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


def _number(values: Mapping[str, object], *keys: str) -> int | None:
    return next((value for key in keys if type(value := values.get(key)) is int), None)


def _first(card: Mapping[str, tuple[str, ...]], key: str) -> str | None:
    return next(iter(card.get(key, ())), None)


def _architecture(config: Mapping[str, object]) -> str | None:
    """Return the class that a configuration names first, or the architecture of timm."""
    names = config.get("architectures")
    named = next((name for name in names if isinstance(name, str)), None) if isinstance(names, list) else None
    return named or _text(config, "architecture")
