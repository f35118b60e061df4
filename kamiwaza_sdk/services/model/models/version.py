"""The table of versions."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
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
    ordered_string,
)
from kamiwaza_sdk.services.model.models.model import DBModel

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.models.alias import DBModelAlias
    from kamiwaza_sdk.services.model.models.config import DBModelConfig
    from kamiwaza_sdk.services.model.models.file import DBModelFile
    from kamiwaza_sdk.services.model.models.tag import DBModelVersionTag

__all__ = ["DBModelVersion"]


def _known(key: str) -> Index:
    """Return the index of a fact that many versions have none of, which costs those nothing."""
    known = text(f"{key} IS NOT NULL")
    return Index(None, "namespace", key, sqlite_where=known, postgresql_where=known)


class DBModelVersion(DBBase):
    """A row of ``kamiwaza_model_version``. Read it and relate to it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_version"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "model_id"], [DBModel.namespace, DBModel.id]),
        UniqueConstraint("namespace", "model_id", "number"),
        UniqueConstraint("namespace", "model_id", "version"),
        UniqueConstraint("namespace", "id"),
        Index(None, "namespace", "model_id", "digest"),
        Index(None, "namespace", "id", "model_id", unique=True),  # what an alias refers to
        *(Index(None, "namespace", key) for key in ("created_at", "updated_at", "size")),
        *map(_known, ("architecture", "quantization", "context_length")),
        CheckConstraint("status IN ('draft', 'ready', 'archived', 'failed')", name="status"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    model_id: Mapped[UUID] = mapped_column(Uuid)
    number: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    source_revision: Mapped[str | None] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    format: Mapped[str | None] = mapped_column(ordered_string(64))
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    details: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    source: Mapped[str | None] = mapped_column(String(MAX_ADDRESS_LENGTH))
    hub: Mapped[str | None] = mapped_column(ordered_string(255))
    source_repository: Mapped[str | None] = mapped_column(String(MAX_ADDRESS_LENGTH))
    description: Mapped[str | None] = mapped_column(Text)
    architecture: Mapped[str | None] = mapped_column(ordered_string(255))
    quantization: Mapped[str | None] = mapped_column(ordered_string(255))
    context_length: Mapped[int | None] = mapped_column(BigInteger)
    attributes: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject, server_default=NO_ATTRIBUTES)
    revision: Mapped[int] = mapped_column(Integer, server_default="1")

    model: Mapped[DBModel] = relationship(viewonly=True, back_populates="versions")
    files: Mapped[list["DBModelFile"]] = relationship(
        viewonly=True, back_populates="model_version", order_by="DBModelFile.path"
    )
    aliases: Mapped[list["DBModelAlias"]] = relationship(
        viewonly=True, back_populates="model_version", order_by="DBModelAlias.alias"
    )
    tags: Mapped[list["DBModelVersionTag"]] = relationship(
        viewonly=True, back_populates="model_version", order_by="DBModelVersionTag.key"
    )
    configs: Mapped[list["DBModelConfig"]] = relationship(
        viewonly=True, back_populates="model_version", order_by="DBModelConfig.name"
    )
