"""What a repository of a model says about itself."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from kamiwaza_sdk.formats.schemas.attention import AttentionSchema
from kamiwaza_sdk.formats.schemas.layout import LayoutSchema

__all__ = ["RepositoryDetailsSchema"]


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
