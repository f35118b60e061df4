"""What a repository of a model consists of."""

from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CompanionKind", "CompanionSchema", "IncompleteVariantSchema", "LayoutSchema", "VariantSchema"]

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
