"""The table of what models are found by."""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Integer, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.models.base import DBBase, Words, ordered_string
from kamiwaza_sdk.services.model.models.model import DBModel

__all__ = ["DBModelDocument"]


class DBModelDocument(DBBase):
    """A row of ``kamiwaza_model_document``: the words of one model.

    PostgreSQL indexes them where they are. On SQLite the index is a virtual table, ``kamiwaza_model_search``, which
    refers to a row by ``id``.
    """

    __tablename__: str = "kamiwaza_model_document"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "model_id"], [DBModel.namespace, DBModel.id]),
        UniqueConstraint("model_id"),
        Index(None, "words", postgresql_using="gin", postgresql_with={"gin_pending_list_limit": 1024}).ddl_if(
            dialect="postgresql"
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    model_id: Mapped[UUID] = mapped_column(Uuid)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    words: Mapped[str] = mapped_column(Words)
