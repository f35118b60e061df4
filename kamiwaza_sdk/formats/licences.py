"""Recognises a licence by its whole text, and joins licences into one expression.

Texts are compared by the SPDX matching guidelines (https://spdx.github.io/spdx-spec/v3.0.1/annexes/license-matching-
guidelines-and-templates/): the words count, but not their layout, punctuation, numbering or spelling; nor a title, a
copyright notice, and the parts that a template marks as optional or replaceable, such as the name of the holder.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple, TypeAlias

#: No known licence is longer, in characters.
LONGEST: Final = 128 * 1024
#: The most words for a replaceable part of a template.
_MOST_FILLED_IN: Final = 16
#: The words of titles, besides those of a licence's own name.
TITLE_WORDS: Final = frozenset(
    {"the", "license", "agreement", "public", "open", "source", "software", "text", "version"}
)

#: ``LICENSE``, ``LICENCE.txt``, ``COPYING``, ``LICENSE-MODEL``, ``license.mit``, ``USE_POLICY.md``.
_FILE: Final = re.compile(
    r"(?:(?:un)?licen[cs]es?|copying|use[_-]policy)"
    r"(?:[-_][a-z0-9][a-z0-9_+-]{0,40}(?:\.\d)?|\.(?:a?gpl|apache|bsd|code|data|lesser|lgpl|mit|model|mpl|weights)[\d.-]{0,6})?"
    r"(?:\.(?:markdown|md|rst|text|txt))?",
    re.IGNORECASE,
)
_NOTICE: Final = re.compile(
    r"""[ \t>*\#/;|-]*
    (?:(?:portions|the\ software\ is|parts|source\ code|documentation)[ ]+)?
    (?: (?i:copyright|\(c\)|©)[ ]*:?[ ]* (?i:\(c\)|©|\d{4}|<|\[|\{|by\b)
      | Copyright[ ]+(?!Holder|Owner|Notice|Licen|Law|Act\b|Right|Interest|Infring|Statement)(?:the[ ]+)?[A-Z]
      | Copyright[ ][^.]*\b(?:contributors|authors|developers|team)\W*$
      | © )""",
    re.VERBOSE,
)
_RESERVED: Final = re.compile(r"\W*(?:all|some) rights reserved\W*", re.IGNORECASE)
#: Below a notice: more years and holders.
_MORE_NOTICE: Final = re.compile(r"\W*(?:\d{4}\b.*|and\b.*|.*<[^<>@]+@[^<>]+>\W*|.*\b(?:19|20)\d\d\W*)", re.IGNORECASE)
#: The end of a notice in a line with other text: behind it, or where a sentence begins.
_AFTER_NOTICE: Final = re.compile(
    r"(?i:reserved)\.?\s+(?=\S)|[\w>)]{2}[.;:!]\s+(?!(?i:all|some) (?i:rights))(?=[A-Z]\w*(?:[\s,]+\w+){3})"
)
#: Words of a clause, which no notice has.
_CLAUSE: Final = re.compile(
    r"\b(?:not|must|shall|may|only|unless|except|provided|prohibited|forbidden|permitted|granted|allowed|required|use|sell"
    r"|used|sold|commercial|commercially)\b"
)
#: The line breaks of a text that was put into one line.
_LINE_BEGINS: Final = re.compile(
    r"[ \t]+(?=(?:Permission (?:is hereby granted|to use)|Redistribution and use|Licensed under the Apache)\b)"
    r"|[ \t]+(?=Copyright[ ](?:\([Cc]\)|©|\d{4}))"
)
_HEAD: Final = 400
_ADDRESS: Final = re.compile(
    r"(?:51 franklin|59 temple|675 mass|31 milk)\b.{0,80}?\b(?:usa|0211\d(?:[- ]1\d{3})?|02139|02196)\b(?:[ ,]*usa\b)?"
)
_NUMBER: Final = re.compile(
    r"(?<!\S)(?:[*•·o-]|(?:\d{1,2}(?:\.\d{1,2})*|[a-z]|[ivx]{1,4})[.)])(?=\s)|(?<![a-z])\((?:\d{1,2}|[a-z]|[ivx]{1,4})\)"
)
_ENTITY: Final = re.compile(r"https?://|©|[\"'`\u00b4\u2018\u2019\u201c\u201d\u201e]|&(?:quot|lt|gt|amp);|<br\s*/?>")
_WORD: Final = re.compile(r"[^\W_]+")
#: Words that are the same for SPDX: https://spdx.org/licenses/equivalentwords.txt
_SPELLINGS: Final = {
    "acknowledgement": "acknowledgment",
    "analogue": "analog",
    "analyse": "analyze",
    "artefact": "artifact",
    "authorisation": "authorization",
    "authorised": "authorized",
    "calibre": "caliber",
    "cancelled": "canceled",
    "capitalisations": "capitalizations",
    "catalogue": "catalog",
    "categorise": "categorize",
    "centre": "center",
    "emphasised": "emphasized",
    "favour": "favor",
    "favourite": "favorite",
    "fulfil": "fulfill",
    "fulfilment": "fulfillment",
    "initialise": "initialize",
    "judgement": "judgment",
    "labelling": "labeling",
    "labour": "labor",
    "licence": "license",
    "licences": "licenses",
    "maximise": "maximize",
    "modelled": "modeled",
    "modelling": "modeling",
    "offence": "offense",
    "optimise": "optimize",
    "organisation": "organization",
    "organise": "organize",
    "practise": "practice",
    "programme": "program",
    "realise": "realize",
    "recognise": "recognize",
    "signalling": "signaling",
    "utilisation": "utilization",
    "whilst": "while",
    "wilful": "willful",
}
_PHRASES: Final = {
    " non commercial ": " noncommercial ",
    " non infringement ": " noninfringement ",
    " sub license ": " sublicense ",
    " per cent ": " percent ",
    " copyright owner ": " copyright holder ",
    " copyright owners ": " copyright holders ",
}

#: The number and digest of a run of words, a replaceable part (`None`), or optional parts (a list).
_Part: TypeAlias = "tuple[int, str] | list[_Part] | None"


class _Template(NamedTuple):
    """A licence: its name, the words of its title, its fewest and most words, and its parts."""

    name: str
    title: frozenset[str]
    least: int
    most: int
    parts: "list[_Part]"


@lru_cache(maxsize=8)  # a plan calls it several times
def recognise_licence(text: str) -> str | None:
    """Return the name of the licence with this text, `None` where it is not known.

    Names are those of Hugging Face (https://huggingface.co/docs/hub/repositories-licenses): for a licence of SPDX, its
    identifier in lower case, without the parts that a text does not tell ("only", "or later").
    """
    if len(text) > LONGEST:
        return None
    words = words_of(text)
    return next((template.name for template in _templates() if _fits(template, words)), None)


#: The names of licences of hubs, whose texts differ from model to model.
_OF_HUBS: Final = re.compile(r"gemma|llama\d.*|.*(?:open)?rail\b.*")
#: The parts of a name that a text does not tell.
_UNTOLD: Final = re.compile(r"(?:-only|-or-later|\+)$")


def has_one_text(name: str) -> bool:
    """Return whether the text of a licence is known, so that no other text is of this licence.

    Example:
        >>> has_one_text("MIT"), has_one_text("gpl-3.0-or-later"), has_one_text("llama3.1"), has_one_text("other")
        (True, True, False, False)
    """
    lower = name.lower()
    if _OF_HUBS.fullmatch(lower):
        return False
    return lower in _FAMILIES or not {lower, _UNTOLD.sub("", lower)}.isdisjoint(_names())


@cache
def _names() -> frozenset[str]:
    return frozenset(template.name for template in _templates())


def words_of(text: str) -> list[str]:
    """Return the words of a text that distinguish licences."""
    flowing = " ".join(without_notices(text)).lower()
    flowing = _ADDRESS.sub(" ", _NUMBER.sub(" ", _ENTITY.sub("", flowing)))
    spelled = " ".join(_SPELLINGS.get(word, word) for word in _WORD.findall(flowing))
    padded = f" {spelled} "
    for phrase, same in _PHRASES.items():
        padded = padded.replace(phrase, same)
    return padded.split()


def without_notices(text: str) -> Iterator[str]:
    """Yield the lines of a text without notices of copyright."""
    noticed = False
    text = text.lstrip("\ufeff")
    for line in (_LINE_BEGINS.sub("\n", text[:_HEAD]) + text[_HEAD:]).splitlines():
        rest = _AFTER_NOTICE.search(line)
        notice = line[: rest.end()] if rest else line
        noticed = _is_notice(notice, noticed) and not _CLAUSE.search(notice)
        if not noticed:
            yield line
        elif rest:
            yield line[rest.end() :]


def _is_notice(line: str, noticed: bool) -> bool:
    begins = _NOTICE.match(line) or _RESERVED.fullmatch(line)
    return bool(begins or (noticed and _MORE_NOTICE.fullmatch(line.strip())))


def title_length(words: Sequence[str], title: frozenset[str]) -> int:
    """Return the number of first words that can be a title."""
    return next((place for place, word in enumerate(words) if word not in title), len(words))


def digest_of(words: Sequence[str]) -> str:
    """Return the digest of a run of words."""
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:24]


def _fits(template: _Template, words: Sequence[str]) -> bool:
    start = title_length(words, template.title)
    if not template.least <= len(words) - start <= template.most:
        return False
    return len(words) in _ends(template.parts, words, {start})


def _ends(parts: "Sequence[_Part]", words: Sequence[str], starts: set[int]) -> set[int]:
    """Return the places where these parts can end if they begin at one of `starts`."""
    for part in parts:
        if part is None:
            starts = {start + filled for start in starts for filled in range(_MOST_FILLED_IN + 1)}
        elif isinstance(part, list):
            starts = starts | _ends(part, words, starts)
        else:
            length, digest = part
            starts = {start + length for start in starts if digest_of(words[start : start + length]) == digest}
        starts = {start for start in starts if start <= len(words)}
    return starts


def _bounds(parts: "Iterable[_Part]") -> tuple[int, int]:
    least = most = 0
    for part in parts:
        inside = _bounds(part) if isinstance(part, list) else (0, _MOST_FILLED_IN) if part is None else (part[0],) * 2
        least += 0 if isinstance(part, list) else inside[0]
        most += inside[1]
    return least, most


@cache
def _templates() -> "tuple[_Template, ...]":
    """Return all known licences. ``python -m tests.formats.licence_templates`` writes them."""
    entries = json.loads(files(__package__).joinpath("licences.json").read_text("utf-8"))["licences"]
    return tuple(
        _Template(name, TITLE_WORDS | set(title.split()), *_bounds(parts), parts)
        for name, title, stored in entries
        for parts in [_parts(stored)]
    )


def _parts(stored: object) -> "list[_Part]":
    assert isinstance(stored, list)
    return [
        None if part is None else (part[0], part[1]) if isinstance(part[0], int) else _parts(part) for part in stored
    ]


def is_licence_file(path: str) -> bool:
    """Return whether a file in the root of a repository has the name of a licence: ``LICENSE``, ``COPYING``."""
    return _FILE.fullmatch(path) is not None


def joined(card: Iterable[str], texts: Iterable[str]) -> str | None:
    """Return the expression for the licences that a card names and those of texts: all of them apply.

    A less exact name is omitted, such as ``gpl`` beside ``gpl-3.0``, and that beside ``gpl-3.0-or-later``.
    """
    named, found = list(card), list(texts)
    lower = {name.lower() for name in named}
    named = [name for name in named if name.lower() not in _FAMILIES or not any(_is_of(name, text) for text in found)]
    return all_of([*named, *(text for text in found if not {f"{text}-only", f"{text}-or-later"} & lower)])


#: Names of Hugging Face without a version.
_FAMILIES: Final = frozenset({"agpl", "bsd", "cc", "gfdl", "gpl", "lgpl"})


def _is_of(family: str, licence: str) -> bool:
    return licence.startswith(f"{family.lower()}-")


def all_of(licences: Iterable[str]) -> str | None:
    """Return the expression for licences that all apply, `None` where there are none.

    Example:
        >>> all_of(["mit", "gpl-3.0", "mit"]), all_of(["mit"]), all_of(["mit OR apache-2.0", "cc-by-4.0"])
        ('mit AND gpl-3.0', 'mit', '(mit OR apache-2.0) AND cc-by-4.0')
    """
    given = [one for licence in licences if (one := " ".join(licence.split()))]
    if len({licence.lower() for licence in given}) == 1:
        return given[-1]
    distinct = {part.lower(): part for licence in given for part in map(_operand, _conjuncts(licence))}
    return " AND ".join(distinct.values()) or None


def _conjuncts(expression: str) -> list[str]:
    """Return the operands of AND outside of parentheses."""
    depth = 0
    parts: list[list[str]] = [[]]
    for word in expression.split():
        outside = depth == 0
        depth += word.count("(") - word.count(")")
        if depth < 0 or (outside and word.upper() == "OR"):
            return [expression]
        if outside and word.upper() == "AND":
            parts.append([])
        else:
            parts[-1].append(word)
    return [" ".join(part) for part in parts] if depth == 0 and all(parts) else [expression]


def _operand(licence: str) -> str:
    """Return a licence as an operand; a malformed one becomes a plain name."""
    if licence.startswith("(") and licence.endswith(")") and _is_balanced(licence[1:-1]):
        return licence
    if not _is_balanced(licence) or "," in licence:
        return re.sub(r"[^\w.+:-]+", "-", licence).strip("-") or "unknown"
    return f"({licence})" if " " in licence else licence


def _is_balanced(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0
