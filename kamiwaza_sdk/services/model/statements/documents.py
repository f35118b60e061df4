"""Statements about the words that models are found by."""

from typing import Final

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, bindparam, insert, literal_column, select, update

from kamiwaza_sdk.services.model.statements.constructs import DOCUMENT, MODEL, TAG, bound, json_map, words_of

__all__ = ["DOCUMENT_SOURCE", "INSERT_DOCUMENT", "SEARCH", "SEARCH_DELETE", "SEARCH_INSERT", "UPDATE_DOCUMENT"]

_WORDS: Final = words_of(bindparam("_words", type_=String()))
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
    select(json_map(TAG.c.key, TAG.c.value))
    .where(TAG.c.namespace == MODEL.c.namespace, TAG.c.model_id == MODEL.c.id)
    .correlate(MODEL)
    .scalar_subquery()
    .label("tags"),
).where(MODEL.c.namespace == bound(MODEL, "namespace"), MODEL.c.id == bound(MODEL, "id"))
INSERT_DOCUMENT: Final = insert(DOCUMENT).values(words=_WORDS)
#: Returns the words as the database has made them of what it was given, which is what a loaded row shows.
UPDATE_DOCUMENT: Final = (
    update(DOCUMENT).where(*_OF_MODEL).values(words=_WORDS).returning(DOCUMENT.c.id, DOCUMENT.c.words)
)
#: SQLite's index: what it has of a model is taken out while its words are as they were, and put in once they are new.
SEARCH_DELETE: Final = insert(SEARCH).from_select(
    ["kamiwaza_model_search", "rowid", "words"],
    select(literal_column("'delete'"), DOCUMENT.c.id, DOCUMENT.c.words).where(*_OF_MODEL),
)
SEARCH_INSERT: Final = insert(SEARCH).from_select(
    ["rowid", "words"], select(DOCUMENT.c.id, DOCUMENT.c.words).where(*_OF_MODEL)
)
