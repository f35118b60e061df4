"""What a repository of a model says about itself.

What a repository of a model consists of.

What a model keeps of the tokens it has seen, and what that takes in memory.
"""

from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

CompanionKind: TypeAlias = Literal[
    "adapter", "config", "draft model", "encoder", "importance matrix", "projector", "tokenizer", "vae", "voice"
]


class _Frozen(BaseModel):
    """Base of what is said of a repository: immutable, and travels as JSON."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)


class VariantSchema(_Frozen):
    """A set of files of weights that can be loaded by itself.

    Attributes:
        name: By which it is chosen, unique here: ``Q4_K_M``, ``model.safetensors``, ``onnx/model_O4.onnx``.
        format: Of its weights: ``safetensors``, ``gguf``, ``onnx``, ``pickle``, ``openvino``, ``coreml``…; of a
            pipeline the format of its main component.
        files: Of weights, sorted. Companions are not among them.
        size: Of these, in bytes; `None` where the size of one is not known.
        quantization: What the names of its files say: ``Q4_K_M``, ``fp16``; `None` where they say nothing.

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
    """Files that go with a model and are no model themselves.

    Attributes:
        kind: What they are.
        files: Sorted.
        size: Of these, in bytes; `None` where the size of one is not known.
        base: Of an adapter, the model that it was trained for, as its configuration names it.

    Example:
        >>> CompanionSchema(kind="projector", files=("mmproj-F16.gguf",), size=851_251_328).kind
        'projector'
    """

    kind: CompanionKind
    files: tuple[str, ...]
    size: int | None = Field(default=None, ge=0)
    base: str | None = None


class IncompleteVariantSchema(_Frozen):
    """A set of files of weights of which some are not there: it cannot be loaded, and so is no variant.

    Attributes:
        name: As a variant's.
        files: Those that are there.
        missing: Those that are not, the first 20 of them.

    Example:
        >>> IncompleteVariantSchema(name="m.gguf", files=(), missing=("m-00001-of-00002.gguf",)).missing
        ('m-00001-of-00002.gguf',)
    """

    name: str
    files: tuple[str, ...]
    missing: tuple[str, ...]


class LayoutSchema(_Frozen):
    """What a repository consists of: variants, of which one is loaded, companions, and the rest.

    Attributes:
        variants: Sorted by name.
        default: The name of the variant that loaders take when they are not told; `None` where there is none.
        reason: Why that one, or why none.
        companions: Sorted by kind and files.
        incomplete: What would be variants, if all of their files were there.
        rest: Files of weights that no variant and no companion needs: training states, files that were cut by hand.
        notes: What else is out of order, for people to read: an index that is of another model.

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
        """Return the variant of a name, whatever its case; `None` where there is no such one."""
        exact = next((one for one in self.variants if one.name == name), None)
        folded = [one for one in self.variants if one.name.casefold() == name.casefold()]
        return exact or (folded[0] if len(folded) == 1 else None)


#: The programs whose memory can be estimated.
Runtime: TypeAlias = Literal["llama.cpp", "vllm", "transformers"]


class AttentionLayersSchema(BaseModel):
    """Layers of a model that keep keys and values alike.

    Attributes:
        count: How many layers.
        kv_heads: The heads of each that keep keys and values.
        key_length: The elements of a head's key.
        value_length: The elements of a head's value.
        window: How many tokens a layer looks back at most; `None` where it sees all.
        latent_length: The elements of the one vector that a program may keep for all heads instead, as DeepSeek-V2's
            attention allows; `None` where there is none.

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
        """How many elements a token leaves in these layers, of a latent vector where there is one."""
        heads = self.kv_heads * (self.key_length + self.value_length)
        return self.count * (heads if self.latent_length is None else self.latent_length)


class AttentionSchema(BaseModel):
    """The numbers that the memory of a context is computed from.

    Attributes:
        layers: The layers that keep keys and values, those that are alike together. Empty where none does, as in
            encoders and in models of recurrent layers alone.
        state_elements: Elements that are kept whatever the length of the context: the states of recurrent layers, and
            the keys and values of an encoder's output where its length is fixed. `None` where that is not known.
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
        """How many elements a token leaves in the cache, in all layers, before any window is full."""
        return sum(layers.elements_per_token for layers in self.layers)


class MemoryEstimateSchema(BaseModel):
    """What a model takes in memory in one program, in bytes. What is not known is `None`, and `reason` says why.

    Attributes:
        runtime: The program that loads it.
        weights: What the weights take as they are stored; `None` where their size is not known.
        companions: What is loaded beside them: a projector.
        cache: What a context leaves in the cache, which grows with it.
        state: What is kept however long the context is: states of recurrent layers, an encoder's keys and values.
        cache_per_token: What one more token takes before any window is full.
        context_length: Of the context, in tokens.
        cache_dtype: The type of the cache's elements.
        reason: Why something is not known.

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

    @property
    def total(self) -> int | None:
        """All of them together; `None` where one is not known."""
        if self.weights is None or self.cache is None or self.state is None:
            return None
        return self.known

    @property
    def known(self) -> int:
        """As much of it as is known. It takes no less."""
        return (self.weights or 0) + self.companions + (self.cache or 0) + (self.state or 0)


class RepositoryDetailsSchema(BaseModel):
    """What a model's files say about it together.

    A repository may have several variants of one model, and several models. The numbers are those of one variant, never
    sums: of the one that was asked for, or else of the one that loaders take.

    Attributes:
        size: Of the variant's files, in bytes; `None` where there is no such variant, or the size of one is not known.
        variant: The name of the variant that is described; `None` where there is no default.
        layout: What there is: variants, companions and the rest, and why there is that default, or none.
        formats: Of the files of weights, sorted.
        architecture: The class that ``config.json`` names first, or what the GGUF file says.
        model_type: What ``config.json`` calls its kind: ``llama``, ``bert``.
        task: What the README says (``pipeline_tag``), or what the architecture is made for: ``text-generation``.
        languages: What the README says, as codes: ``("en", "de")``.
        license: What the README says and which known texts files such as ``LICENSE`` are, as Hugging Face writes it:
            ``apache-2.0``, ``llama3``. Where they name several, or differ, an expression with all of them:
            ``mit AND gpl-3.0``. A text is known only as a whole. It is what was found, and no legal advice.
        unknown_licenses: Files called as licences whose text was read, and is none that is known, sorted.
        library: What the README says (``library_name``): ``transformers``.
        base_models: What the README says that it was made from.
        tags: What the README says.
        context_length: The tokens that the model was trained for.
        vocabulary_size: How many tokens there are.
        tokenizer: The class that ``tokenizer_config.json`` names, or what the GGUF file says.
        has_chat_template: Whether there is one.
        dtype: The type that ``config.json`` says the weights are to be used in.
        quantization: How they are quantized: ``gptq``, or the type of the GGUF file's tensors.
        stored_elements: How many elements all tensors have as they are stored; `None` where not every header was read.
        parameters: How many parameters they hold, as Hugging Face counts them: packed ones are unpacked, and scales,
            zero points and the like are none. `None` where that is not known.
        parameters_by_dtype: The same by the type that they are stored in, sorted by name.
        parameters_problem: Why one of these three is not known.
        attention: What the memory of a context is computed from.
        remote_code: What would have a loader run code that comes with the model, or from another repository, by path:
            files of Python, and configurations that name classes (``auto_map``, ``custom_pipeline``).
        verdicts: Of files that are pickles, or hold some or other code: which can do harm, by path.
        problems: Why the inside of a file is not known, by path: it takes more than looking into it may, or its weights
            are outside of its directory, where nothing is looked at.

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
