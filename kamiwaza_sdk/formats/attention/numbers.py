"""Reads bounded numbers from what strangers wrote, and puts layers that are alike together."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.schemas.attention import AttentionLayersSchema, AttentionSchema

__all__ = ["MAX_LAYERS", "MAX_NUMBER", "State", "attention_of", "number", "quotient"]

#: More layers than any model has: what claims more says nothing.
MAX_LAYERS: Final = 10_000
MAX_NUMBER: Final = 2**31


class State(NamedTuple):
    """How many elements are kept whatever the length of the context; `None` and why where that is not known."""

    elements: int | None = 0
    problem: str | None = None


def number(values: Mapping[str, object], *names: str) -> int | None:
    """Return the first of these that is a usable number."""
    found = (values.get(name) for name in names)
    return next((value for value in found if type(value) is int and 0 < value < MAX_NUMBER), None)


def quotient(whole: int | None, parts: int | None) -> int | None:
    """Return how large each part is, `None` where one of the numbers is not known."""
    return whole // parts if whole and parts else None


def attention_of(layers: Iterable[AttentionLayersSchema], state: State) -> AttentionSchema:
    """Return what single layers keep, those that are alike together, and their state."""
    return AttentionSchema(layers=_grouped(layers), state_elements=state.elements, problem=state.problem)


def _grouped(layers: Iterable[AttentionLayersSchema]) -> tuple[AttentionLayersSchema, ...]:
    """Put layers that are alike together, in the order in which their kinds first occur."""
    ordered = dict[AttentionLayersSchema, int]()
    for layer, alike in groupby(layers):
        ordered[layer] = ordered.get(layer, 0) + sum(one.count for one in alike)
    kept = ((layer, count) for layer, count in ordered.items() if layer.kv_heads and count)
    return tuple(layer.model_copy(update={"count": count}) for layer, count in kept)
