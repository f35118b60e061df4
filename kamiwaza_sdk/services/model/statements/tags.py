"""Statements about tags, the same for those of models and those of versions."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Delete, Insert, Select, Table, Update, delete, insert, select, update

from kamiwaza_sdk.services.model.statements.constructs import TAG, VERSION_TAG, bound

__all__ = ["MODEL_TAGS", "VERSION_TAGS", "TagStatements"]


@dataclass(frozen=True)
class TagStatements:
    """What can be done with the tags in a table, whose owner is given as ``_owner``."""

    owner: str
    select_all: Select[tuple[str, str]]
    insert: Insert
    update: Update
    delete: Delete


def _statements(table: Table, owner: str) -> TagStatements:
    own = (table.c.namespace == bound(table, "namespace"), table.c[owner] == bound(table, owner))
    one = (*own, table.c.key == bound(table, "key"))
    return TagStatements(
        owner=owner,
        select_all=select(table.c.key, table.c.value).where(*own),
        insert=insert(table),
        update=update(table).where(*one),
        delete=delete(table).where(*one),
    )


MODEL_TAGS: Final = _statements(TAG, "model_id")
VERSION_TAGS: Final = _statements(VERSION_TAG, "version_id")
