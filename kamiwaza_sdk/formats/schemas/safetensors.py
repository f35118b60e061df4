"""What a safetensors file says about itself."""

from typing import Literal

from kamiwaza_sdk.formats.schemas.base import FileSchema
from kamiwaza_sdk.formats.schemas.tensors import TensorTable

__all__ = ["SafetensorsSchema", "ShardedSafetensorsSchema"]


class SafetensorsSchema(FileSchema):
    """What a safetensors file says about itself, its offsets checked as the specification demands.

    Attributes:
        size: Of the file, in bytes.
        tensors: By name.
        metadata: The free text of ``__metadata__``.
        parameters: How many elements all tensors have.
        parameters_by_dtype: The same by type, sorted by name: ``{"BF16": 8030261248}``.

    Example:
        >>> schema = SafetensorsSchema(size=8, tensors={}, metadata={}, parameters=0, parameters_by_dtype={})
        >>> schema.format
        'safetensors'
    """

    format: Literal["safetensors"] = "safetensors"
    tensors: TensorTable
    metadata: dict[str, str]
    parameters: int
    parameters_by_dtype: dict[str, int]


class ShardedSafetensorsSchema(FileSchema):
    """A model in several safetensors files, its index checked against them.

    Attributes:
        size: Of all shards, in bytes.
        shards: Each shard by the name that the index gives it, sorted.
        parameters: How many elements all tensors have.
        parameters_by_dtype: The same by type, sorted by name.
        claimed_size: What the index says that all tensors take, in bytes; `None` where it does not say. Not all tools
            count alike, so another number is no error.

    Example:
        >>> ShardedSafetensorsSchema(size=0, shards={}, parameters=0, parameters_by_dtype={}, claimed_size=None).format
        'sharded safetensors'
    """

    format: Literal["sharded safetensors"] = "sharded safetensors"
    shards: dict[str, SafetensorsSchema]
    parameters: int
    parameters_by_dtype: dict[str, int]
    claimed_size: int | None
