"""What a repository of a model says about itself."""

from pydantic import Field

from kamiwaza_sdk.formats.schemas.attention import AttentionSchema
from kamiwaza_sdk.formats.schemas.base import FileSchema

__all__ = ["RepositoryDetailsSchema"]


class RepositoryDetailsSchema(FileSchema):
    """What a model's files say about it together.

    Attributes:
        size: Of the files of weights, in bytes.
        formats: Of the files of weights, sorted.
        architecture: The class that ``config.json`` names first, or what the GGUF file says.
        model_type: What ``config.json`` calls its kind: ``llama``, ``bert``.
        task: What the README says (``pipeline_tag``), or what the architecture is made for: ``text-generation``.
        languages: What the README says, as codes: ``("en", "de")``.
        license: What the README says and which known texts files such as ``LICENSE`` are, as Hugging Face writes it:
            ``apache-2.0``, ``llama3``. Where they name several, or differ, an expression with all of them:
            ``mit AND gpl-3.0``. A text is known only as a whole. It is what was found, and no legal advice.
        library: What the README says (``library_name``): ``transformers``.
        base_models: What the README says that it was made from.
        tags: What the README says.
        context_length: The tokens that the model was trained for.
        vocabulary_size: How many tokens there are.
        tokenizer: The class that ``tokenizer_config.json`` names, or what the GGUF file says.
        has_chat_template: Whether there is one.
        dtype: The type that ``config.json`` says the weights are to be used in.
        quantization: How they are quantized: ``gptq``, or the type of the GGUF file's tensors.
        parameters: How many elements all tensors have; `None` where the files do not tell.
        parameters_by_dtype: The same by type, sorted by name.
        attention: What the memory of a context is computed from.
        remote_code: What would have a loader run code that comes with the model, or from another repository, by path:
            files of Python, and configurations that name classes (``auto_map``, ``custom_pipeline``).
        verdicts: Of files that are pickles, or hold some or other code: which can do harm, by path.
        problems: Why the inside of a file is not known, by path: it takes more than looking into it may.

    Example:
        >>> RepositoryDetailsSchema(size=0, license="mit").license
        'mit'
    """

    formats: tuple[str, ...] = ()
    architecture: str | None = None
    model_type: str | None = None
    task: str | None = None
    languages: tuple[str, ...] = ()
    license: str | None = None
    library: str | None = None
    base_models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    context_length: int | None = None
    vocabulary_size: int | None = None
    tokenizer: str | None = None
    has_chat_template: bool = False
    dtype: str | None = None
    quantization: str | None = None
    parameters: int | None = None
    parameters_by_dtype: dict[str, int] = Field(default_factory=dict)
    attention: AttentionSchema | None = None
    remote_code: dict[str, str] = Field(default_factory=dict)
    verdicts: dict[str, str] = Field(default_factory=dict)
    problems: dict[str, str] = Field(default_factory=dict)
