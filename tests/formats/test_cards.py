"""Heads of model cards: read as ModelCard of huggingface_hub reads them, and within limits."""

from typing import Any, Final

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st

from kamiwaza_sdk.formats import describe_repository
from kamiwaza_sdk.formats.metadata import read_front_matter

KEYS: Final = ("license", "license_name", "language", "library_name", "base_model", "tags", "pipeline_tag")
RESULTS: Final = "".join(f"  - task:\n      type: Retrieval\n    value: {number}\n" for number in range(2500))
HEADS: Final = {
    "plain": "---\nlicense: mit\n---\n",
    "comment": "---\nlicense: apache-2.0  # as it is\n---\n",
    "no end of line": "---\nlicense: mit\n---",
    "blanks behind the dashes": "---\nlicense: mit\n---  \nText",
    "blanks behind the first dashes": "--- \nlicense: mit\n---\n",
    "windows": "---\r\nlicense: mit\r\ntags:\r\n- a\r\n---\r\n",
    "old macs": "---\rlicense: mit\r---\r",
    "blank line first": "\n---\nlicense: mit\n---\n",
    "blanks first": "  ---\nlicense: mit\n---\n",
    "title first": "# Title\n---\nlicense: mit\n---\n",
    "no head": "# Title\nlicense: mit\n",
    "empty head": "---\n---\nlicense: mit\n",
    "empty text": "",
    "never closed": "---\nlicense: mit\n",
    "four dashes": "----\nlicense: mit\n----\n",
    "folded": "---\nlicense: >-\n  mit\n---\n",
    "literal": "---\nlicense: |\n  mit\n---\n",
    "quoted key": '---\n"license": mit\n---\n',
    "single quotes": "---\nlicense: 'mit'\n---\n",
    "escapes": '---\nlicense: "m\\x69t"\n---\n',
    "blank before colon": "---\nlicense : mit\n---\n",
    "indented": "---\n license: mit\n---\n",
    "explicit key": "---\n? license\n: mit\n---\n",
    "flow mapping": "---\n{license: mit, tags: [a, b]}\n---\n",
    "list": "---\nlicense: [mit, cc-by-nc-4.0]\n---\n",
    "list of lines": '---\nlanguage:\n- en\n- "de"\n---\n',
    "list over lines": "---\ntags: [a,\n  b,\n  'c: d']\n---\n",
    "on the next line": "---\nlicense:\n  mit\n---\n",
    "colon inside": "---\ntags:\n- 'fast: very'\n- region:us\n---\n",
    "hash inside": "---\ntags: [a#b, c]\n---\n",
    "anchor and alias": "---\nlicense: &l mit\ntags: [*l, x]\n---\n",
    "merged": "---\nbase: &b\n  license: mit\n<<: *b\n---\n",
    "merged, and its own": "---\nbase: &b\n  license: mit\nlicense: gpl-3.0\n<<: *b\n---\n",
    "twice": "---\nlicense: mit\nlicense: gpl-3.0\n---\n",
    "null": "---\nlicense: null\ntags: ~\nlanguage:\n---\n",
    "quoted null": "---\nlicense: 'null'\n---\n",
    "empty text as a value": "---\nlicense: ''\n---\n",
    "nested": "---\nmodel-index:\n- name: x\n  license: gpl-3.0\nlicense: mit\n---\n",
    "after 64 KiB of results": f"---\nmodel-index:\n- name: m\n  results:\n{RESULTS}license: mit\n---\n",
    "text of several lines": "---\nlicense: mit\nextra_gated_prompt: >-\n  ### AGREEMENT\n\n  license: none\n---\n",
    "other": "---\nlicense: other\nlicense_name: mit\nlicense_link: LICENSE\n---\n",
    "unicode": "---\nlicense: mit\ntags: [日本語, émile]\n---\n",
    "explicit tag": "---\nlicense: !!str mit\n---\n",
    "directive": "---\n%YAML 1.1\n---\nlicense: mit\n---\n",
    "no mapping": "---\n- license\n- mit\n---\n",
    "broken": "---\nlicense: mit\ntags: [a\n---\n",
    "broken by a tab": "---\nlicense: mit\n\ttags: a\n---\n",
    "alias to nothing": "---\nlicense: *x\n---\n",
}
#: Where ours differs, and says more: as it was written, where YAML 1.1 makes a value of it; or where ModelCard refuses
#: a card as a whole, or finds no head in it.
DIFFERENT: Final[dict[str, tuple[str, dict[str, tuple[str, ...]]]]] = {
    "Norwegian": ("---\nlanguage: no\n---\n", {"language": ("no",)}),
    "a number": ("---\ntags: [2024, 7.50, yes]\n---\n", {"tags": ("2024", "7.50", "yes")}),
    "a date": ("---\ntags: [2024-01-02]\n---\n", {"tags": ("2024-01-02",)}),
    "a type of Python": ("---\nlicense: mit\nx: !!python/name:os.sep ''\n---\n", {"license": ("mit",)}),
    "an unknown tag": ("---\nlicense: !secret mit\n---\n", {"license": ("mit",)}),
    "an unhashable key": ("---\nlicense: mit\n? [a]\n: b\n---\n", {"license": ("mit",)}),
    "a byte order mark": ("\ufeff---\nlicense: mit\n---\n", {"license": ("mit",)}),
    "a tab, which libyaml takes": ("---\nlicense:\tmit\n---\n", {"license": ("mit",)}),
    "lists in a list": ("---\nlicense: [[mit], apache-2.0]\n---\n", {"license": ("mit", "apache-2.0")}),
}


def as_texts(value: Any) -> tuple[str, ...]:  # Any: YAML
    """Return what we make of a value that ModelCard has."""
    values = value if isinstance(value, list) else [value]
    return tuple(one.strip() for one in values if isinstance(one, str) and one.strip())


def of_model_card(text: str) -> dict[str, tuple[str, ...]]:
    """Return what huggingface_hub reads; nothing where it refuses."""
    try:
        data = ModelCard(text, ignore_metadata_errors=True).data.to_dict()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, yaml.YAMLError):
        return {}
    return {key: as_texts(data[key]) for key in KEYS if key in data and as_texts(data[key])}


def ours(text: str) -> dict[str, tuple[str, ...]]:
    """Return what we read of the same keys."""
    read = read_front_matter(text)
    return {key: read[key] for key in KEYS if read.get(key)}


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_read_as_huggingface_hub_reads_them(name: str) -> None:
    assert ours(HEADS[name]) == of_model_card(HEADS[name])


@pytest.mark.parametrize("name", DIFFERENT)
def test_values_keep_their_letters_where_huggingface_hub_converts_them(name: str) -> None:
    text, expected = DIFFERENT[name]
    assert ours(text) == expected
    assert of_model_card(text) != expected


def test_most_heads_have_values() -> None:
    assert sum(1 for text in HEADS.values() if of_model_card(text)) > 30


def test_aliases_of_millions_of_values_are_refused() -> None:
    nested = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 9))
    assert read_front_matter(f"---\na0: &a0 [x]\n{nested}license: mit\n---\n") == {}


def test_heads_over_a_limit_are_ignored() -> None:
    deep = f"---\ntags: {'[' * 20_000}{']' * 20_000}\nlicense: mit\n---\n"
    long = f"---\nx: {'y' * 1024**2}\nlicense: mit\n---\n"
    many = f"---\nx: [{'y,' * 200_000}]\nlicense: mit\n---\n"
    for card in (deep, long, many):
        assert describe_repository({"README.md": card.encode()}, {}).license is None


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text("-: []{}\n#'\"ab&*?!|>", max_size=60))
def test_any_card_is_read_or_ignored(text: str) -> None:
    read_front_matter(f"---\n{text}\n---\n")
