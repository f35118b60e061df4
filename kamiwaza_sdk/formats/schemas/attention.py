"""What a model keeps of the tokens it has seen, and what that takes in memory."""

from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AttentionLayersSchema", "AttentionSchema", "MemoryEstimateSchema", "Runtime"]

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
