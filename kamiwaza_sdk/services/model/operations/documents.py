"""Keeps what models are found by in step with what they say."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import TypeAdapter

from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelDocument
from kamiwaza_sdk.services.model.scope import Scope
from kamiwaza_sdk.services.model.statements import documents as statements
from kamiwaza_sdk.services.model.words import document_words

__all__ = ["forget_document", "insert_document", "update_document"]

_TAGS = TypeAdapter(dict[str, str])


def insert_document(
    scope: Scope,
    model_id: UUID,
    *,
    name: str,
    author: str | None,
    description: str | None,
    tags: Mapping[str, str],
    model_card: str | None,
) -> None:
    """Make a new model one that is found."""
    words = document_words(
        scope.namespace, name=name, author=author, description=description, tags=tags, model_card=model_card
    )
    scope.execute(statements.INSERT_DOCUMENT, model_id=model_id, namespace=scope.namespace, _words=words)
    if scope.dialect == "sqlite":
        scope.execute(statements.SEARCH_INSERT, _model_id=model_id)


def update_document(scope: Scope, model_id: UUID) -> None:
    """Let a model be found by what it says now. Its row and its tags are written by then."""
    row = scope.execute(statements.DOCUMENT_SOURCE, _id=model_id).one()
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
    if scope.dialect == "sqlite":
        scope.execute(statements.SEARCH_DELETE, _model_id=model_id)
    for written in scope.execute(statements.UPDATE_DOCUMENT, _model_id=model_id, _words=words):
        refresh(scope.db, DBModelDocument, written.id, {"words": written.words})
    if scope.dialect == "sqlite":
        scope.execute(statements.SEARCH_INSERT, _model_id=model_id)


def forget_document(scope: Scope, model_id: UUID) -> None:
    """Take a model that is about to go out of SQLite's index, which no foreign key reaches."""
    if scope.dialect == "sqlite":
        scope.execute(statements.SEARCH_DELETE, _model_id=model_id)
