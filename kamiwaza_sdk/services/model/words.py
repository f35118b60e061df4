"""The words that models are found by: the same on both databases, as it is Python that takes texts apart.

They are kept in the database. Whoever changes what they are adds a schema version that makes them all anew.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from kamiwaza_sdk._validation import check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException

__all__ = ["MAX_QUERY_WORDS", "MAX_WORDS", "document_words", "query_words"]

#: How many different words of a model are searched, and how many bytes; what its card has after them is not.
MAX_WORDS: Final = 10_000
_MAX_BYTES: Final = 500_000  # PostgreSQL takes a MiB
#: How many words a query may have.
MAX_QUERY_WORDS: Final = 32
#: How many characters a word has; what is longer counts as several. PostgreSQL takes 2,046 bytes.
_MAX_LENGTH: Final = 100

_ASCII_WORD: Final = re.compile(rf"[a-z0-9]{{1,{_MAX_LENGTH}}}")
_WORD: Final = re.compile(rf"[^\W_]{{1,{_MAX_LENGTH}}}")


def document_words(
    namespace: str,
    *,
    name: str,
    author: str | None,
    description: str | None,
    tags: Mapping[str, str],
    model_card: str | None = None,
    deleted: bool = False,
) -> str:
    """Return the different words of a model, with spaces between them."""
    texts = (name, author or "", *tags.keys(), *tags.values(), description or "", model_card or "")
    words = list(dict.fromkeys(_words(" ".join(texts))))[:MAX_WORDS]
    if not words:
        return ""
    prefix = _prefix(namespace, deleted)
    document = prefix + f" {prefix}".join(words)
    return document if len(document) <= _MAX_BYTES // 4 else _cut(document)


def _cut(document: str) -> str:
    """Return as many words as fit into the bytes that there are."""
    encoded = document.encode()
    if len(encoded) <= _MAX_BYTES:
        return document
    return encoded[: encoded.rindex(b" ", 0, _MAX_BYTES)].decode()


def query_words(namespace: str, text: str, *, deleted: bool = False) -> list[str]:
    """Return the words of a query, in its order. The last one may be the beginning of a word.

    Raises:
        InvalidInputException: There are none, or too many.
    """
    words = _words(check_text(text))
    if not words:
        raise InvalidInputException("text", f"{shown(text)} has no letters or digits to find; leave it out to list all")
    if len(words) > MAX_QUERY_WORDS:
        raise InvalidInputException("text", f"has {len(words)} words, over the limit of {MAX_QUERY_WORDS}; shorten it")
    prefix = _prefix(namespace, deleted)
    return [prefix + word for word in words]


@lru_cache(maxsize=1024)
def _prefix(namespace: str, deleted: bool) -> str:
    """Return what each word of a namespace begins with: an index has one list of hits a word, and none is shared.

    Nor with the deleted models of the same namespace.
    """
    digest = blake2b(namespace.encode(), digest_size=4).hexdigest()
    return f"x{digest}" if deleted else digest


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(_without_marks(text))


def _without_marks(text: str) -> str:
    """Fold case and compatible forms, and drop accents: after Unicode's caseless matching (3.13, D146)."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character)[0] != "M")
