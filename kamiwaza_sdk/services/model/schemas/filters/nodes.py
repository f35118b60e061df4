"""What a filter is made of, once it is known to be sound: a tree of immutable nodes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

__all__ = [
    "MAX_FILTER_CONDITIONS",
    "MAX_FILTER_DEPTH",
    "MAX_FILTER_VALUES",
    "MAX_IN_VALUES",
    "AliasCondition",
    "AttributeCondition",
    "Condition",
    "Group",
    "Leaf",
    "Negation",
    "Node",
    "Scalar",
    "TagCondition",
    "Value",
    "Word",
]

#: How deep a filter may nest; a condition alone is 1.
MAX_FILTER_DEPTH: Final = 16
#: How many conditions a filter may have.
MAX_FILTER_CONDITIONS: Final = 100
#: How many values one ``in`` may list.
MAX_IN_VALUES: Final = 1000
#: How many values the conditions of a filter may name together: tags take two parameters for each, SQLite has 32,766.
MAX_FILTER_VALUES: Final = 10_000

Scalar: TypeAlias = str | int | float | datetime
#: `None` where the comparison takes no value, and a tuple for ``in``.
Value: TypeAlias = Scalar | tuple[Scalar, ...] | None
#: What joins the parts of a group.
Word: TypeAlias = Literal["and", "or"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field is to be."""

    field: str
    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class TagCondition:
    """What a tag is to be."""

    tag: str
    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """What one of the attributes is to be. The path has the keys that lead to it, outermost first."""

    attribute: tuple[str, ...]
    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class AliasCondition:
    """Which alias there is to be."""

    alias: str


@dataclass(frozen=True, slots=True)
class Group:
    """Parts, of which all hold (``and``) or any one (``or``). There is one at least."""

    word: Word
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """What is not to hold."""

    part: "Node"


Leaf: TypeAlias = Condition | TagCondition | AttributeCondition | AliasCondition
Node: TypeAlias = Leaf | Group | Negation
