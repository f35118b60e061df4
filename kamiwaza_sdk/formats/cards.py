"""Reads the head of a model card: YAML between two lines of dashes, found where `huggingface_hub` finds it.

PyYAML takes it apart; nothing is constructed, so that tags name no types, and values keep the letters they were written
with: the language ``no`` is no `False`.
"""

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import yaml


_BLOCK: Final = re.compile(r"\A\s*---(?:\r\n|\r|\n)(.*?)(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z)", re.DOTALL)
_LONGEST: Final = 1024**2
_DEEPEST: Final = 64
#: How many values a head may have, each alias counted as often as it is used.
_MOST_VALUES: Final = 100_000
_NULL: Final = {"", "~", "null", "Null", "NULL"}

_Value: TypeAlias = "str | list[_Value] | dict[str, _Value] | None"


def read_front_matter(text: str) -> "Mapping[str, tuple[str, ...]]":
    """Return the texts of each key, one or those of lists; none where the head is no YAML, or asks for too much.

    At most 1 MiB, 64 levels and 100,000 values, aliases unfolded.
    """
    block = _BLOCK.match(text.removeprefix("\ufeff"))
    return _read(block[1]) if block is not None and len(block[1]) <= _LONGEST else {}


def read_yaml(text: str) -> _Value:
    """Return what a document holds: texts, lists of them, mappings of them.

    Raises:
        ValueError: It is no YAML, or has more than 64 levels or 100,000 values, aliases unfolded.
    """
    from yaml import YAMLError

    try:
        return _Builder(text).build()
    except YAMLError as error:
        raise ValueError(f"it is no YAML: {str(error)[:200]!a}") from None
    except _TooMuchException:
        raise ValueError(f"it has more than {_MOST_VALUES} values, or is nested too deeply") from None


@lru_cache(maxsize=8)  # a plan asks more than once
def _read(block: str) -> "Mapping[str, tuple[str, ...]]":
    from yaml import YAMLError

    try:
        head = _Builder(block).build()
    except (YAMLError, _TooMuchException):
        return {}
    return MappingProxyType({key: _texts(value) for key, value in head.items()} if isinstance(head, dict) else {})


def _texts(value: _Value) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(text for one in value for text in _texts(one))
    return (value.strip(),) if isinstance(value, str) and value.strip() else ()


class _TooMuchException(Exception):
    """A head asks for more than it may."""


class _Builder:
    """Puts the events of one document together, counting what they unfold to."""

    def __init__(self, text: str) -> None:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._anchors = dict[str, tuple[_Value, int]]()
        self._values = 0

    def build(self) -> _Value:
        import yaml

        content = [e for e in (next(self._events), next(self._events)) if isinstance(e, yaml.DocumentStartEvent)]
        value = self._value(next(self._events), 0) if content else None
        if any(isinstance(event, yaml.DocumentStartEvent) for event in self._events):
            raise _TooMuchException  # of several documents none is the head
        return value

    def _value(self, event: "yaml.Event", depth: int) -> _Value:
        import yaml

        before = self._values
        self._count(1)
        if isinstance(event, yaml.AliasEvent):
            value, size = self._anchors.get(str(event.anchor), (None, 0))
            self._count(size)
            return value
        if depth > _DEEPEST:
            raise _TooMuchException
        value = (
            self._scalar(event)
            if isinstance(event, yaml.ScalarEvent)
            else self._list(depth)
            if isinstance(event, yaml.SequenceStartEvent)
            else self._mapping(depth)
        )
        if event.anchor is not None:  # type: ignore[attr-defined]  # every event of a value has one
            self._anchors[event.anchor] = value, self._values - before  # type: ignore[attr-defined]
        return value

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > _MOST_VALUES:
            raise _TooMuchException

    def _scalar(self, event: "yaml.ScalarEvent") -> str | None:
        return None if event.implicit[0] and event.value in _NULL else str(event.value)

    def _list(self, depth: int) -> _Value:
        import yaml

        found = list[_Value]()
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
        return found

    def _mapping(self, depth: int) -> _Value:
        import yaml

        found = dict[str, _Value]()
        merged = dict[str, _Value]()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            is_merge = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<"
            key = self._value(event, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if is_merge:
                for one in reversed(value if isinstance(value, list) else [value]):
                    merged |= one if isinstance(one, dict) else {}
            elif isinstance(key, str):
                found[key] = value
        return merged | found
