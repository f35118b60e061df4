"""The tables of tags: those of models, and those of versions."""

from typing import Final
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.models.base import DBBase, ordered_string
from kamiwaza_sdk.services.model.models.model import DBModel
from kamiwaza_sdk.services.model.models.version import DBModelVersion

__all__ = ["VALUE_START", "DBModelTag", "DBModelVersionTag"]

#: How many characters of a value are indexed: PostgreSQL's indexes hold no long ones.
VALUE_START: Final = 64


class DBModelTag(DBBase):
    """A row of ``kamiwaza_model_tag``. Read it and relate to it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_tag"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "model_id"], [DBModel.namespace, DBModel.id]),
        Index("ix_kamiwaza_model_tag_value", "key", "value_start", "namespace"),
    )

    model_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    key: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH), primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    value: Mapped[str] = mapped_column(Text)
    value_start: Mapped[str] = mapped_column(ordered_string(VALUE_START))

    model: Mapped[DBModel] = relationship(viewonly=True, back_populates="tags")


class DBModelVersionTag(DBBase):
    """A row of ``kamiwaza_model_version_tag``. Read it and relate to it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_version_tag"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "version_id"], [DBModelVersion.namespace, DBModelVersion.id]),
        Index("ix_kamiwaza_model_version_tag_value", "key", "value_start", "namespace"),
    )

    version_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    key: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH), primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    value: Mapped[str] = mapped_column(Text)
    value_start: Mapped[str] = mapped_column(ordered_string(VALUE_START))

    model_version: Mapped[DBModelVersion] = relationship(viewonly=True, back_populates="tags")
