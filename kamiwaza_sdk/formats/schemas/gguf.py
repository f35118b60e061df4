"""What a GGUF file says about itself."""

from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from kamiwaza_sdk.formats.schemas.attention import AttentionSchema
from kamiwaza_sdk.formats.schemas.base import FileSchema
from kamiwaza_sdk.formats.schemas.tensors import TensorTable

__all__ = ["GGUFArraySchema", "GGUFSchema", "GGUFValue"]


class GGUFArraySchema(BaseModel):
    """A long value of a GGUF file, of which only the kind and the length are kept: a tokenizer's words, say.

    Attributes:
        type: Of its elements: ``string``, ``uint32``, ``float32``…; ``text`` for one long text.
        length: How many it has.

    Example:
        >>> GGUFArraySchema(type="string", length=128256).length
        128256
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    type: str
    length: int = Field(ge=0)


GGUFValue: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...] | GGUFArraySchema


class GGUFSchema(FileSchema):
    """What a GGUF file says about itself.

    Attributes:
        size: Of the file, in bytes.
        version: Of the format: 2 or 3.
        byte_order: ``little`` or ``big``.
        architecture: What ``general.architecture`` names: ``llama``, ``qwen2``…
        name: What ``general.name`` says.
        license: What ``general.license`` says.
        tensors: By name.
        parameters: How many elements all tensors have.
        parameters_by_dtype: The same by type, sorted by name: ``{"F32": 266240, "Q4_K": 6563561472}``.
        quantization: The type that most parameters have, whatever the file is called; `None` without a tensor.
        claimed_quantization: What ``general.file_type`` says: ``Q4_K_M``. It is written by hand or by a tool.
        context_length: The tokens that the model was trained for.
        tokenizer: What ``tokenizer.ggml.model`` names: ``gpt2``, ``llama``…
        has_chat_template: Whether it brings ``tokenizer.chat_template``.
        attention: What the memory of a context is computed from.
        metadata: Every key. Of long arrays and texts only the length.

    Example:
        >>> none = {"tensors": {}, "metadata": {}, "parameters_by_dtype": {}}
        >>> schema = GGUFSchema(size=24, version=3, byte_order="little", **none)
        >>> schema.format, schema.parameters, schema.has_chat_template
        ('gguf', 0, False)
    """

    format: Literal["gguf"] = "gguf"
    version: int
    byte_order: Literal["little", "big"]
    architecture: str | None = None
    name: str | None = None
    license: str | None = None
    tensors: TensorTable
    parameters: int = 0
    parameters_by_dtype: dict[str, int]
    quantization: str | None = None
    claimed_quantization: str | None = None
    context_length: int | None = None
    tokenizer: str | None = None
    has_chat_template: bool = False
    attention: AttentionSchema | None = None
    metadata: dict[str, GGUFValue]
