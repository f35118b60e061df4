"""What a repository's README says of a model: its card, and a description of it, as far as the registry keeps them."""

import re
from typing import Final, TypeVar

from kamiwaza_sdk.services.hub.schemas.fetched import MAX_CARD_LENGTH, MAX_DESCRIPTION_LENGTH, Fetched
from kamiwaza_sdk.services.storage.services import StorageService

__all__ = ["described", "with_card"]

_CARD: Final = "README.md"
_POINTER: Final = "version https://git-lfs.github.com/spec/"
#: How many characters are looked through for a description.
_SEARCHED: Final = 20_000
#: What a line begins with that is no prose: headings, quotes, lists, tables, HTML, images, badges, code, rules.
_NO_PROSE: Final = re.compile(r"\s*(?:[#>|<]|[-*+] |\d+[.)] |!\[|\[!|```|~~~|---|===|\*\*\*|___|\[[^\]]*\]:)|    |\t")
_LINK: Final = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKUP: Final = re.compile(r"\*\*|__|`|<[^<>]*>")
_Fetched = TypeVar("_Fetched", bound=Fetched)


def with_card(fetched: _Fetched, storage: StorageService) -> _Fetched:
    """Return what was fetched with the card that its ``README.md`` is, if it has one in its root. Blocks."""
    file = next((file for file in fetched.files if file.path == _CARD), None)
    blob = None if file is None else storage.find(file.sha256, size=file.size)
    if blob is None:
        return fetched
    with blob.path.open("rb") as body:
        text = body.read(4 * MAX_CARD_LENGTH).decode(errors="replace")
    card = text.removeprefix("\ufeff").replace("\0", "\ufffd")[:MAX_CARD_LENGTH]
    if not card.strip() or card.startswith(_POINTER):
        return fetched
    return fetched.model_copy(update={"model_card": card, "description": described(card)})


def described(card: str) -> str | None:
    """Return the first paragraph of a card that is prose, without markup; `None` where there is none near its top."""
    paragraph: list[str] = []
    is_code = False
    for line in _after_front_matter(card[:_SEARCHED].splitlines()):
        if line.lstrip().startswith(("```", "~~~")):
            is_code = not is_code
        if is_code or not line.strip() or _NO_PROSE.match(line):
            if paragraph:
                break
        else:
            paragraph.append(line.strip())
    text = " ".join(_MARKUP.sub("", _LINK.sub(r"\1", " ".join(paragraph))).split())
    return _cut(text) or None


def _after_front_matter(lines: list[str]) -> list[str]:
    """Return the lines after the YAML at the top, if there is some."""
    if not lines or lines[0].rstrip() != "---":
        return lines
    ends = (number for number, line in enumerate(lines[1:], start=1) if line.rstrip() in {"---", "..."})
    return lines[next(ends, len(lines)) + 1 :]


def _cut(text: str) -> str:
    """Return a text no longer than a description, which ends with a word."""
    if len(text) <= MAX_DESCRIPTION_LENGTH:
        return text
    begun = text[:MAX_DESCRIPTION_LENGTH]
    return f"{begun.rpartition(' ')[0] or begun[:-1]}…"
