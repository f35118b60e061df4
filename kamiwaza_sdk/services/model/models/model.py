"""The table of models.

The table of what models are found by.

The table of events: the history.
"""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.models.base import (
    NO_ATTRIBUTES,
    DBBase,
    JSONObject,
    UTCDateTime,
    Words,
    ordered_string,
)

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.models.version import DBModelAlias, DBModelConfig, DBModelTag, DBModelVersion


def _sorting(key: str) -> Index:
    """Return the index of an order. Of living models only, which are all that is listed.

    Else, until its statistics are there, PostgreSQL takes such an index to check foreign keys by namespace and id, and
    reads all of the namespace each time.
    """
    living = text("deleted_at IS NULL")
    return Index(None, "namespace", key, "id", sqlite_where=living, postgresql_where=living)


class DBModel(DBBase):
    """A row of ``kamiwaza_model``. Read it and relate to it; let `ModelService` write it.

    A host's foreign key names the column: ``ForeignKey(DBModel.__table__.c.id)``.
    """

    __tablename__: str = "kamiwaza_model"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint("namespace", "name"),
        UniqueConstraint("namespace", "id"),
        *map(_sorting, ("created_at", "updated_at", "task", "author", "family")),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    name: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    family: Mapped[str | None] = mapped_column(ordered_string(255))
    task: Mapped[str | None] = mapped_column(ordered_string(255))
    author: Mapped[str | None] = mapped_column(ordered_string(255))
    hub: Mapped[str | None] = mapped_column(ordered_string(255))
    source_repository: Mapped[str | None] = mapped_column(String(MAX_ADDRESS_LENGTH))
    description: Mapped[str | None] = mapped_column(Text)
    license: Mapped[str | None] = mapped_column(ordered_string(255))
    model_card: Mapped[str | None] = mapped_column(Text)
    private: Mapped[bool] = mapped_column(Boolean)
    revision: Mapped[int] = mapped_column(Integer)
    last_number: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_event: Mapped[int] = mapped_column(Integer, server_default="0")
    last_event_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    attributes: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject, server_default=NO_ATTRIBUTES)

    versions: Mapped[list["DBModelVersion"]] = relationship(
        viewonly=True, back_populates="model", order_by="DBModelVersion.number"
    )
    aliases: Mapped[list["DBModelAlias"]] = relationship(
        viewonly=True, back_populates="model", order_by="DBModelAlias.alias"
    )
    tags: Mapped[list["DBModelTag"]] = relationship(viewonly=True, back_populates="model", order_by="DBModelTag.key")
    configs: Mapped[list["DBModelConfig"]] = relationship(
        viewonly=True, back_populates="model", order_by="DBModelConfig.name"
    )


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


class DBModelEvent(DBBase):
    """A row of ``kamiwaza_model_event``. Read it; let `ModelService` write it.

    It refers to nothing by foreign keys: what happened stays known when what it happened to is gone.
    """

    __tablename__: str = "kamiwaza_model_event"
    __table_args__: tuple[SchemaItem, ...] = (
        Index(None, "namespace", "at", "model_id", "sequence"),
        Index(
            None,
            "model_id",
            "alias",
            "sequence",
            sqlite_where=text("alias IS NOT NULL"),
            postgresql_where=text("alias IS NOT NULL"),
        ),
    )

    model_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    kind: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str | None] = mapped_column(String(255))
    version_id: Mapped[UUID | None] = mapped_column(Uuid)
    alias: Mapped[str | None] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    before: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject)
    after: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject)
