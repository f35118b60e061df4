"""Search documents: the words by which models are found.

Python splits texts into words, so that both databases find the same. The words are stored in the database. A change of
the rule needs a new schema version, whose migration splits all texts again.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    bindparam,
    insert,
    literal_column,
    select,
    update,
)

from kamiwaza_sdk._validation import check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelDocument
from kamiwaza_sdk.services.model.registry.changes import TAGS_OF_MODEL, ModelChange, Step
from kamiwaza_sdk.services.model.registry.tables import DOCUMENT, MODEL, bound, quick, words_of
from kamiwaza_sdk.services.model.schemas.model import CreateModel, ModelSchema
from kamiwaza_sdk.services.model.session import Scope

WORDS: Final = words_of(bindparam("_words", type_=String()))
_OF_MODEL: Final = (
    DOCUMENT.c.namespace == bound(DOCUMENT, "namespace"),
    DOCUMENT.c.model_id == bound(DOCUMENT, "model_id"),
)

#: SQLite's index: a virtual table that keeps no text of its own. Its first column has its name, and takes commands.
SEARCH: Final = Table(
    "kamiwaza_model_search",
    MetaData(),
    Column("rowid", Integer, primary_key=True),
    Column("words", Text),
    Column("kamiwaza_model_search", Text),
)

#: What the words of a model are made of.
DOCUMENT_SOURCE: Final = select(
    MODEL.c.name,
    MODEL.c.author,
    MODEL.c.description,
    MODEL.c.model_card,
    MODEL.c.deleted_at,
    TAGS_OF_MODEL.label("tags"),
).where(MODEL.c.namespace == bound(MODEL, "namespace"), MODEL.c.id == bound(MODEL, "id"))
INSERT_DOCUMENT: Final = insert(DOCUMENT).values(words=WORDS)
#: Returns the words as the database has made them of what it was given, which is what a loaded row shows.
UPDATE_DOCUMENT: Final = (
    update(DOCUMENT).where(*_OF_MODEL).values(words=WORDS).returning(DOCUMENT.c.id, DOCUMENT.c.words)
)
#: SQLite's index: what it has of a model is taken out while its words are as they were, and put in once they are new.
SEARCH_DELETE: Final = quick(
    insert(SEARCH).from_select(
        ["kamiwaza_model_search", "rowid", "words"],
        select(literal_column("'delete'"), DOCUMENT.c.id, DOCUMENT.c.words).where(*_OF_MODEL),
    )
)
SEARCH_INSERT: Final = quick(
    insert(SEARCH).from_select(["rowid", "words"], select(DOCUMENT.c.id, DOCUMENT.c.words).where(*_OF_MODEL))
)


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


_TAGS = TypeAdapter(dict[str, str])


def new_words(namespace: str, model: CreateModel | ModelSchema) -> str:
    """Return the words of a model that is not deleted."""
    return document_words(
        namespace,
        name=model.name,
        author=model.author,
        description=model.description,
        tags=model.tags,
        model_card=model.model_card,
    )


def insert_document(scope: Scope, model: ModelSchema) -> None:
    """Add a new model to the index of words."""
    words = new_words(scope.namespace, model)
    scope.execute(INSERT_DOCUMENT, model_id=model.id, namespace=scope.namespace, _words=words)
    if scope.dialect == "sqlite":
        scope.execute(SEARCH_INSERT, _model_id=model.id)


def update_document(scope: Scope, model_id: UUID) -> None:
    """Let a model be found by what it says now. Its row and its tags are written by then."""
    row = scope.execute(DOCUMENT_SOURCE, _id=model_id).one()
    tags = _TAGS.validate_json(row.tags)
    words = document_words(
        scope.namespace,
        name=row.name,
        author=row.author,
        description=row.description,
        tags=tags,
        model_card=row.model_card,
        deleted=row.deleted_at is not None,
    )
    _update(scope, model_id, words)


def _update(scope: Scope, model_id: UUID, words: str) -> None:
    if scope.dialect == "sqlite":
        scope.execute(SEARCH_DELETE, _model_id=model_id)
    _refresh(scope, scope.execute(UPDATE_DOCUMENT, _model_id=model_id, _words=words).all())
    if scope.dialect == "sqlite":
        scope.execute(SEARCH_INSERT, _model_id=model_id)


def _refresh(scope: Scope, written: Sequence[Row[Any]]) -> None:  # Any: values of several columns
    for row in written:
        refresh(scope.db, DBModelDocument, row.id, {"words": row.words})


def write_words(change: ModelChange, tags: Mapping[str, str], *steps: Step) -> None:
    """Write a change of a model's tags, which are these now, and let it be found by their words."""
    scope, row = change.scope, change.row
    if "model_card" not in row:  # its other fields may have been changed by the same call
        change.write(*steps, stale=("tags",))
        return update_document(scope, change.id)
    fields = {key: row[key] for key in ("name", "author", "description", "model_card")}
    words = document_words(scope.namespace, tags=tags, **fields)
    if scope.dialect == "sqlite":
        change.write(*steps, stale=("tags",))
        return _update(scope, change.id, words)
    update = Step(UPDATE_DOCUMENT, {"_model_id": change.id, "_words": words})
    return _refresh(scope, change.write(*steps, stale=("tags",), returning=update))


def forget_document(scope: Scope, model_id: UUID) -> None:
    """Take a model that is about to go out of SQLite's index, which no foreign key reaches."""
    if scope.dialect == "sqlite":
        scope.execute(SEARCH_DELETE, _model_id=model_id)
