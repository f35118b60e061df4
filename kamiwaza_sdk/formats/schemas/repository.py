"""Descriptions of repositories: layout, metadata, attention and memory."""

from collections.abc import Iterable
from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, computed_field

from kamiwaza_sdk._display import Displayed, Table, facts, first_rows, shown_size

CompanionKind: TypeAlias = Literal[
    "adapter", "config", "draft model", "encoder", "importance matrix", "projector", "tokenizer", "vae", "voice"
]


class _Frozen(Displayed, BaseModel):
    """Base of the descriptions of a layout: immutable, serializable as JSON."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)


class VariantSchema(_Frozen):
    """A set of files of weights that can be loaded by itself.

    Attributes:
        name: By which to choose it, unique in the repository: ``Q4_K_M``, ``model.safetensors``,
            ``onnx/model_O4.onnx``.
        format: Of its weights: ``safetensors``, ``gguf``, ``onnx``, ``pickle``, ``openvino``, ``coreml``…; of a
            pipeline the format of its main component.
        files: Of weights, sorted. Companions are not among them.
        size: Of these, in bytes; `None` where the size of one is not known.
        quantization: By the names of its files: ``Q4_K_M``, ``fp16``; `None` where they do not tell.

    Example:
        >>> VariantSchema(name="Q8_0", format="gguf", files=("model-Q8_0.gguf",), size=8_540_770_656).name
        'Q8_0'
    """

    name: str
    format: str
    files: tuple[str, ...]
    size: int | None = Field(default=None, ge=0)
    quantization: str | None = None


class CompanionSchema(_Frozen):
    """Files that belong to a model and are not a model themselves.

    Attributes:
        kind: Their role.
        files: Sorted.
        size: Of these, in bytes; `None` where the size of one is not known.
        base: Of an adapter, the model for which it was trained, by its configuration.

    Example:
        >>> CompanionSchema(kind="projector", files=("mmproj-F16.gguf",), size=851_251_328).kind
        'projector'
    """

    kind: CompanionKind
    files: tuple[str, ...]
    size: int | None = Field(default=None, ge=0)
    base: str | None = None


class IncompleteVariantSchema(_Frozen):
    """A set of files of weights of which some are missing: it cannot be loaded, and so is no variant.

    Attributes:
        name: As that of a variant.
        files: Those that are there.
        missing: The first 20 of those that are not.

    Example:
        >>> IncompleteVariantSchema(name="m.gguf", files=(), missing=("m-00001-of-00002.gguf",)).missing
        ('m-00001-of-00002.gguf',)
    """

    name: str
    files: tuple[str, ...]
    missing: tuple[str, ...]


class LayoutSchema(_Frozen):
    """The parts of a repository: variants, of which one is loaded, companions, and the rest.

    Attributes:
        variants: Sorted by name.
        default: The name of the variant that loaders take unless they are given another; `None` where there is none.
        reason: Why that is the default, or why there is none.
        companions: Sorted by kind and files.
        incomplete: Variants of which files are missing.
        rest: Files of weights that no variant and no companion needs: training states, files that were split by hand.
        notes: Other problems, for people to read: an index of another model.

    Example:
        >>> layout = describe_layout({"config.json": 2, "model.safetensors": 90, "pytorch_model.bin": 91})
        >>> layout.default, [variant.name for variant in layout.variants]
        ('model.safetensors', ['model.safetensors', 'pytorch_model.bin'])
    """

    variants: tuple[VariantSchema, ...] = ()
    default: str | None = None
    reason: str = "there is no whole model"
    companions: tuple[CompanionSchema, ...] = ()
    incomplete: tuple[IncompleteVariantSchema, ...] = ()
    rest: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def variant(self, name: str) -> VariantSchema | None:
        """Return the variant of a name, whatever its case; `None` where there is none."""
        exact = next((one for one in self.variants if one.name == name), None)
        folded = [one for one in self.variants if one.name.casefold() == name.casefold()]
        return exact or (folded[0] if len(folded) == 1 else None)


#: The programs for which memory can be estimated.
Runtime: TypeAlias = Literal["llama.cpp", "vllm", "transformers"]


class AttentionLayersSchema(Displayed, BaseModel):
    """Layers of a model with the same keys and values.

    Attributes:
        count: The number of layers.
        kv_heads: The number of heads with keys and values in each layer.
        key_length: The elements of a head's key.
        value_length: The elements of a head's value.
        window: The number of last tokens that a layer sees; `None` where it sees all.
        latent_length: The elements of the one vector that a program may store for all heads instead, as in
            DeepSeek-V2's attention; `None` where there is none.

    Example:
        >>> AttentionLayersSchema(count=32, kv_heads=8, key_length=128, value_length=128).elements_per_token
        65536
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    count: int = Field(ge=0)
    kv_heads: int = Field(ge=0)
    key_length: int = Field(ge=0)
    value_length: int = Field(ge=0)
    window: int | None = Field(default=None, ge=1)
    latent_length: int | None = Field(default=None, ge=1)

    @property
    def elements_per_token(self) -> int:
        """The elements that a token adds in these layers; those of the latent vector if there is one."""
        heads = self.kv_heads * (self.key_length + self.value_length)
        return self.count * (heads if self.latent_length is None else self.latent_length)


class AttentionSchema(Displayed, BaseModel):
    """The numbers from which the memory of a context is computed.

    Attributes:
        layers: The layers that store keys and values, equal ones together. Empty for encoders, and for models of
            recurrent layers alone.
        state_elements: Elements that are stored for a context of any length: the states of recurrent layers, and the
            keys and values of an encoder's output where its length is fixed. `None` where they are not known.
        problem: Why `state_elements` is not known.

    Example:
        >>> layers = (AttentionLayersSchema(count=32, kv_heads=8, key_length=128, value_length=128),)
        >>> AttentionSchema(layers=layers).elements_per_token
        65536
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    layers: tuple[AttentionLayersSchema, ...]
    state_elements: int | None = Field(default=0, ge=0)
    problem: str | None = None

    @property
    def elements_per_token(self) -> int:
        """The elements that a token adds to the cache, in all layers, before any window is full."""
        return sum(layers.elements_per_token for layers in self.layers)


class MemoryEstimateSchema(Displayed, BaseModel):
    """The memory that a model takes in one program, in bytes. Unknown parts are `None`, and `reason` says why.

    Attributes:
        runtime: The program that loads it.
        weights: The weights as they are stored; `None` where their size is not known.
        companions: The files that are loaded beside them: a projector.
        cache: The keys and values of the context, which grow with it.
        state: The same for a context of any length: states of recurrent layers, an encoder's keys and values.
        cache_per_token: Of one more token, before any window is full.
        context_length: Of the context, in tokens.
        cache_dtype: The type of the elements of the cache.
        reason: Why a part is not known.

    Example:
        >>> estimate = MemoryEstimateSchema(weights=100, cache=16, context_length=8, cache_dtype="F16")
        >>> estimate.total, estimate.runtime
        (116, 'transformers')
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    runtime: Runtime = "transformers"
    weights: int | None
    companions: int = 0
    cache: int | None
    state: int | None = 0
    cache_per_token: int | None = None
    context_length: int
    cache_dtype: str
    reason: str | None = None

    @computed_field  # type: ignore[prop-decorator]  # as Pydantic documents it
    @property
    def total(self) -> int | None:
        """The sum of all parts; `None` where one is not known."""
        if self.weights is None or self.cache is None or self.state is None:
            return None
        return self.known

    @property
    def known(self) -> int:
        """The sum of the known parts, which is a lower bound."""
        return (self.weights or 0) + self.companions + (self.cache or 0) + (self.state or 0)


class RepositoryDetailsSchema(Displayed, BaseModel):
    """The description of a model by all of its files.

    A repository may have several variants of one model, and several models. The numbers are those of one variant, never
    sums: of the requested one, or else of the one that loaders take.

    Attributes:
        size: Of the variant's files, in bytes; `None` where there is no such variant, or the size of one is not known.
        variant: The name of the described variant; `None` where there is no default.
        layout: The variants, companions and the rest, and why there is that default, or none.
        formats: Of the files of weights, sorted.
        architecture: The class that ``config.json`` names first, or the architecture of the GGUF file.
        model_type: ``model_type`` of ``config.json``: ``llama``, ``bert``.
        task: ``pipeline_tag`` of the README, or the task of the architecture: ``text-generation``.
        languages: Of the README, as codes: ``("en", "de")``.
        license: The licences that the README names, and those whose texts are in files such as ``LICENSE``, as Hugging
            Face writes them: ``apache-2.0``, ``llama3``. Of several, an expression with all: ``mit AND gpl-3.0``. A
            text is recognised only as a whole. This is a finding, and no legal advice.
        unknown_licenses: Files with the name of a licence whose text is not recognised, sorted.
        library: ``library_name`` of the README: ``transformers``.
        base_models: ``base_model`` of the README.
        tags: Of the README.
        context_length: The number of tokens for which the model was trained.
        vocabulary_size: The number of tokens of the tokenizer.
        tokenizer: The class that ``tokenizer_config.json`` names, or the tokenizer of the GGUF file.
        has_chat_template: Whether there is one.
        dtype: The type in which to use the weights, by ``config.json``.
        quantization: Of the weights: ``gptq``, or the type of the GGUF file's tensors.
        stored_elements: The number of elements of all tensors; `None` where not every header was read.
        parameters: The number of parameters, as Hugging Face counts them: packed ones are unpacked, and scales, zero
            points and the like do not count. `None` where it is not known.
        parameters_by_dtype: The same by the type of the tensors, sorted by name.
        parameters_problem: Why one of these three is not known.
        attention: From which the memory of a context is computed.
        remote_code: Code that loaders would run, of the model or of another repository, by path: files of Python, and
            configurations that name classes (``auto_map``, ``custom_pipeline``).
        verdicts: Of files that are pickles, or hold pickles or other code, by path.
        problems: Why the content of a file is not known, by path: to inspect it takes too much, or its weights are
            outside of its directory, where nothing is read.

    Example:
        >>> RepositoryDetailsSchema(size=0, license="mit").license
        'mit'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True, protected_namespaces=())

    size: int | None = Field(ge=0)
    variant: str | None = None
    layout: LayoutSchema = LayoutSchema()
    formats: tuple[str, ...] = ()
    architecture: str | None = None
    model_type: str | None = None
    task: str | None = None
    languages: tuple[str, ...] = ()
    license: str | None = None
    unknown_licenses: tuple[str, ...] = ()
    library: str | None = None
    base_models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    context_length: int | None = None
    vocabulary_size: int | None = None
    tokenizer: str | None = None
    has_chat_template: bool = False
    dtype: str | None = None
    quantization: str | None = None
    stored_elements: int | None = None
    parameters: int | None = None
    parameters_by_dtype: dict[str, int] = Field(default_factory=dict)
    parameters_problem: str | None = None
    attention: AttentionSchema | None = None
    remote_code: dict[str, str] = Field(default_factory=dict)
    verdicts: dict[str, str] = Field(default_factory=dict)
    problems: dict[str, str] = Field(default_factory=dict)

    def _summary(self) -> dict[str, object]:
        return {
            "": self.variant,
            "formats": ", ".join(self.formats),
            "architecture": self.architecture,
            "task": self.task,
            "license": self.license,
            "parameters": None if self.parameters is None else f"{self.parameters:,}",
            "quantization": self.quantization,
            "context": self.context_length,
            "size": shown_size(self.size),
            "problems": len(self.problems) or None,
        }

    def _tables(self) -> Iterable[Table]:
        layout = self.layout
        more = {
            "": None,
            "problems": None,
            "parameters": self._summary()["parameters"] or self.parameters_problem,
            "stored": None if self.stored_elements is None else f"{self.stored_elements:,} elements",
            "library": self.library,
            "base models": ", ".join(self.base_models),
            "tokenizer": self.tokenizer,
            "default": layout.default or layout.reason,
            "notes": "; ".join(layout.notes),
        }
        yield facts(self._summary() | more, heading=self.variant or "")
        rows = ((one.name, one.format, shown_size(one.size)) for one in layout.variants)
        yield Table(("variant", "format", "size"), first_rows(rows, len(layout.variants)), numbers=frozenset((2,)))
        for head, found in (("verdict", self.verdicts), ("remote code", self.remote_code), ("problem", self.problems)):
            yield Table(("file", head), first_rows(found.items(), len(found)))
