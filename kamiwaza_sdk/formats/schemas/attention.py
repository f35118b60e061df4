"""What a model keeps of the tokens it has seen."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AttentionSchema", "MemoryEstimateSchema"]


class AttentionSchema(BaseModel):
    """The numbers that the memory of a context is computed from.

    Attributes:
        kv_heads: The heads that keep keys and values, layer by layer.
        key_length: The elements of a head's key.
        value_length: The elements of a head's value. 0 where one latent vector is kept for both, as in DeepSeek-V2.

    Example:
        >>> AttentionSchema(kv_heads=(8,) * 32, key_length=128, value_length=128).elements_per_token
        65536
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    kv_heads: tuple[int, ...]
    key_length: int = Field(ge=0)
    value_length: int = Field(ge=0)

    @property
    def elements_per_token(self) -> int:
        """How many elements a token leaves in the cache."""
        return sum(self.kv_heads) * (self.key_length + self.value_length)


class MemoryEstimateSchema(BaseModel):
    """What a model takes in memory, in bytes: the weights, and the cache of a context.

    Attributes:
        weights: What the tensors take as they are stored.
        cache_per_token: What a token leaves in the cache.
        context_length: Of the context, in tokens.
        cache_dtype: The type of its elements.

    Example:
        >>> estimate = MemoryEstimateSchema(weights=100, cache_per_token=2, context_length=8, cache_dtype="F16")
        >>> estimate.cache, estimate.total
        (16, 116)
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    weights: int
    cache_per_token: int
    context_length: int
    cache_dtype: str

    @property
    def cache(self) -> int:
        """What a context leaves in the cache."""
        return self.cache_per_token * self.context_length

    @property
    def total(self) -> int:
        """The weights and the cache."""
        return self.weights + self.cache
