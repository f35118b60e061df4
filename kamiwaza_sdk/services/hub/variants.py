"""Chooses a variant: the wanted one, or the largest that fits with its companions and its cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from kamiwaza_sdk._display import shown_size
from kamiwaza_sdk._validation import revalidated
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.facts import Repository
from kamiwaza_sdk.formats.layouts.choices import LOADED_KINDS, needed_companions, total_size
from kamiwaza_sdk.formats.memory import estimate_memory, longest_context
from kamiwaza_sdk.formats.schemas import (
    AttentionSchema,
    CompanionSchema,
    LayoutSchema,
    MemoryEstimateSchema,
    RepositoryDetailsSchema,
    Runtime,
    VariantSchema,
)
from kamiwaza_sdk.services.hub.exceptions import NothingFitsException
from kamiwaza_sdk.services.hub.render import checked_size
from kamiwaza_sdk.services.hub.schemas.plan import PlanVariantSchema
from kamiwaza_sdk.services.hub.schemas.policy import Policy

#: The context that memory is estimated for, unless one is given or the model's own is shorter.
_USUAL_CONTEXT: Final = 8192
#: Formats in the order in which they are tried: the first are alike, for what they are read by is common.
_RANKS: Final = {"safetensors": 0, "gguf": 0, "onnx": 1, "pickle": 2}
_LAST_RANK: Final = 3
#: How many companions are looked at, of which a variant may need some.
_MOST_COMPANIONS: Final = 100
#: What programs load.
_LOADED: Final[dict[Runtime, frozenset[str]]] = {
    "llama.cpp": frozenset({"gguf"}),
    "transformers": frozenset({"safetensors", "pickle"}),
    "vllm": frozenset({"safetensors", "pickle", "gguf"}),
}


@dataclass(frozen=True, slots=True)
class Question:
    """The arguments of a plan, checked.

    Attributes:
        fits: The available memory, in bytes.
        variant: The name of a variant.
        context_length: The tokens of the context.
        cache_dtype: The type of the cache's numbers.
        runtime: The program that loads the model.
        policy: The policy to check.
    """

    fits: int | None
    variant: str | None
    context_length: int | None
    cache_dtype: str
    runtime: Runtime | None
    policy: Policy | None

    @classmethod
    def of(
        cls,
        *,
        fits: object = None,
        variant: object = None,
        context_length: object = None,
        cache_dtype: str = "F16",
        runtime: Runtime | None = None,
        policy: Policy | None = None,
    ) -> "Question":
        """Check the arguments.

        Raises:
            InvalidInputException: One is of a wrong kind.
        """
        if context_length is not None and (type(context_length) is not int or context_length < 0):
            raise InvalidInputException("context_length", f"is {context_length!r}; give tokens, 0 or more, or None")
        if variant is not None and not isinstance(variant, str):
            raise InvalidInputException("variant", f"is of kind {type(variant).__name__}; give the name of a variant")
        estimate_memory(RepositoryDetailsSchema(size=0), context_length=0, cache_dtype=cache_dtype, runtime=runtime)
        checked = None if policy is None else revalidated(policy, Policy, "policy")
        return cls(checked_size(fits, field="fits"), variant, context_length, cache_dtype, runtime, checked)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        layout: The layout with all variants.
        variant: The variant.
        companions: Files that are loaded with it.
        reason: Why, in one sentence.
        smallest: Whether the smallest projector was chosen, because another one does not fit.
    """

    layout: LayoutSchema
    variant: VariantSchema
    companions: tuple[CompanionSchema, ...]
    reason: str
    smallest: bool = False


class _Weighed(NamedTuple):
    """The facts for an estimate of memory."""

    size: int | None
    attention: AttentionSchema | None


class Chooser:
    """Compares the variants of a repository, as far as its headers have been read.

    Args:
        repository: The facts that were read.
        question: The arguments of the plan.
        source: For messages.

    Raises:
        UnknownVariantException: There is no variant of the name that is asked for.
        InvalidInputException: It is asked what fits, and there is nothing that could.
    """

    def __init__(self, repository: Repository, question: Question, source: str) -> None:
        self._repository = repository
        self._question = question
        self._source = source
        self._layout = repository.layout
        self._loaded = [one for one in self._layout.companions if one.kind in LOADED_KINDS][:_MOST_COMPANIONS]
        self._estimates = dict[tuple[str, bool], MemoryEstimateSchema]()
        self._wanted = None if question.variant is None else repository.variant(question.variant)
        self._ranked = sorted(self._candidates(), key=self._rank)

    def _candidates(self) -> list[VariantSchema]:
        if self._wanted is not None:
            return [self._wanted]
        loaded = None if self._question.runtime is None else _LOADED[self._question.runtime]
        found = [one for one in self._layout.variants if loaded is None or one.format in loaded]
        if self._question.fits is not None and not any(one.size is not None for one in found):
            what = "that are a whole model and of which the sizes are known"
            which = f"that {self._question.runtime} loads, {what}" if loaded is not None else what
            reason = f"cannot be told: {self._source} has no files of weights {which}; {self._layout.reason}"
            raise InvalidInputException("fits", reason)
        return found

    def _rank(self, one: VariantSchema) -> tuple[int, int, bool, str]:
        return _RANKS.get(one.format, _LAST_RANK), -(one.size or 0), one.name != self._layout.default, one.name

    @property
    def likely(self) -> VariantSchema | None:
        """The variant that would be chosen now; if none fits, the smallest."""
        if self._wanted is not None:
            return self._wanted
        return next((one for one in self._ranked if self._fits(one)), min(self._ranked, key=_size, default=None))

    def _fits(self, one: VariantSchema) -> bool:
        limit = self._question.fits
        if limit is None or one.size is None:
            return limit is None
        return any(self._estimate(one, smallest=smallest).known <= limit for smallest in (False, True))

    def choice(self) -> Choice:
        """Return the choice.

        Raises:
            NothingFitsException: Nothing fits.
        """
        limit = self._question.fits
        chosen = self._wanted if limit is None else next((one for one in self._ranked if self._fits(one)), None)
        if chosen is None:
            raise self._nothing_fits(limit or 0)
        smallest = limit is not None and self._estimate(chosen).known > limit
        reason = "it was asked for" if limit is None else self._reason(chosen, limit, smallest=smallest)
        return Choice(self._layout, chosen, self._beside(chosen, smallest=smallest), reason, smallest)

    def _nothing_fits(self, limit: int) -> NothingFitsException:
        sized = [one for one in self._ranked if one.size is not None]
        needed = {one.name: self._estimate(one, smallest=True) for one in sized}
        smallest = min(sized, key=lambda one: needed[one.name].known)
        least = needed[smallest.name]
        return NothingFitsException(
            source=self._source,
            limit=limit,
            needed={name: estimate.known for name, estimate in needed.items()},
            context_length=0 if least.cache is None else least.context_length,
            longest_context=self._longest(smallest, limit) if least.cache_per_token else None,
        )

    def _longest(self, one: VariantSchema, limit: int) -> int | None:
        """Return the longest context with which a variant fits, `None` if there is none."""
        beside = total_size(self._beside(one, smallest=True))
        dtype, runtime = self._question.cache_dtype, self._question.runtime or _usual(one)
        return longest_context(self._weighed(one), limit - beside, cache_dtype=dtype, runtime=runtime) or None

    def _reason(self, chosen: VariantSchema, limit: int, *, smallest: bool) -> str:
        memory = self._estimate(chosen, smallest=smallest)
        what = "it was asked for, and fits" if self._wanted is not None else f"it is the {self._largest(chosen)}"
        larger = [one for one in self._ranked if _size(one) > _size(chosen) and not self._fits(one)]
        nearest = min(larger, key=_size, default=None)
        would = "" if nearest is None else f"; {nearest.name} would take {shown_size(self._estimate(nearest).known)}"
        parts = ", ".join(self._parts(chosen, memory, smallest=smallest))
        return f"{what} in {shown_size(limit)}: it takes {shown_size(memory.known)}, {parts}{would}"

    def _largest(self, chosen: VariantSchema) -> str:
        larger = any(_size(one) > _size(chosen) and self._fits(one) for one in self._ranked)
        return f"largest of the format {chosen.format} that fits" if larger else "largest that fits"

    def _parts(self, chosen: VariantSchema, memory: MemoryEstimateSchema, *, smallest: bool) -> Iterator[str]:
        yield f"{shown_size(memory.weights)} of weights"
        for one in self._beside(chosen, smallest=smallest):
            which = "the smallest projector" if smallest and one.kind == "projector" else one.kind
            yield f"{shown_size(one.size)} of {which} ({one.files[0]})"
        if memory.cache is None or memory.state is None:
            yield f"and a cache of which it is not known what it takes, because {memory.reason}"
        elif memory.context_length:
            cache = f"{shown_size(memory.cache + memory.state)} of cache"
            yield f"and {cache} for {memory.context_length:,} tokens in {memory.runtime}"

    def settled(self, choice: Choice | None) -> VariantSchema | None:
        """Return the variant that would be loaded: the choice, or the default."""
        return choice.variant if choice is not None else self._repository.variant(None)

    def companions(self, variant: VariantSchema, choice: Choice | None) -> tuple[CompanionSchema, ...]:
        """Return the companions of a variant."""
        return self._beside(variant) if choice is None else choice.companions

    def memory(self, variant: VariantSchema, choice: Choice | None = None) -> MemoryEstimateSchema | None:
        """Return the memory of a variant; `None` if its size is not known."""
        smallest = choice is not None and choice.smallest
        return None if variant.size is None else self._estimate(variant, smallest=smallest)

    @property
    def variants(self) -> tuple[PlanVariantSchema, ...]:
        """All variants, the largest first, with their memory."""
        ordered = sorted(self._layout.variants, key=lambda one: (-_size(one), one.name))
        return tuple(PlanVariantSchema(**dict(one), memory=self.memory(one)) for one in ordered)

    def _beside(self, one: VariantSchema, *, smallest: bool = False) -> tuple[CompanionSchema, ...]:
        return needed_companions(self._loaded, one, smallest=smallest)

    def _estimate(self, one: VariantSchema, *, smallest: bool = False) -> MemoryEstimateSchema:
        if (one.name, smallest) not in self._estimates:
            wanted, trained = self._question.context_length, self._repository.context_length(one)
            self._estimates[one.name, smallest] = estimate_memory(
                self._weighed(one),
                context_length=min(_USUAL_CONTEXT, trained or _USUAL_CONTEXT) if wanted is None else wanted,
                cache_dtype=self._question.cache_dtype,
                runtime=self._question.runtime or _usual(one),
                companions=total_size(self._beside(one, smallest=smallest)),
            )
        return self._estimates[one.name, smallest]

    def _weighed(self, one: VariantSchema) -> _Weighed:
        return _Weighed(one.size, self._repository.attention(one))


def _size(one: VariantSchema) -> int:
    return one.size or 0


def _usual(one: VariantSchema) -> Runtime:
    return "llama.cpp" if one.format == "gguf" else "transformers"
