"""Reads what stands at the head of a README: the part of YAML that model cards are written in.

Keys without indentation, with a text, a list in brackets or a list of lines with dashes. What is nested deeper, or
folded over lines, is passed over: nothing that is looked for is written so.
"""

import re
from typing import Final

__all__ = ["read_front_matter"]

_FENCE: Final = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*\r?(?:\n|\Z)", re.DOTALL)
_KEY: Final = re.compile(r"([A-Za-z_][\w-]*):(?:[ \t]+(.*))?")
_ITEM: Final = re.compile(r"[ \t]*-[ \t]+(.*)")
_LONGEST: Final = 65_536
_EMPTY: Final = {"", "~", "null", "|", ">"}


def read_front_matter(text: str) -> dict[str, tuple[str, ...]]:
    """Return the values of each key, one for a text."""
    fenced = _FENCE.match(text[:_LONGEST])
    found = dict[str, tuple[str, ...]]()
    key = None
    for line in fenced[1].splitlines() if fenced else ():
        if matched := _KEY.fullmatch(line.rstrip()):
            key = matched[1]
            found[key] = _values((matched[2] or "").strip())
        elif key and (item := _ITEM.fullmatch(line.rstrip())):
            found[key] += _values(item[1].strip())
        elif line and not line[0].isspace():
            key = None
    return found


def _values(text: str) -> tuple[str, ...]:
    text = _uncommented(text)
    if text.startswith("[") and text.endswith("]"):  # lists in lists are passed over, however many there are
        return tuple(value for part in text[1:-1].split(",") for value in _value(_uncommented(part.strip())))
    return _value(text)


def _uncommented(text: str) -> str:
    return text if text[:1] in {'"', "'"} else text.split(" #", maxsplit=1)[0].rstrip()


def _value(text: str) -> tuple[str, ...]:
    if text.startswith("[") and text.endswith("]"):
        return ()
    if text in _EMPTY or text.startswith("#"):
        return ()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return (text[1:-1],)
    return (text,)
