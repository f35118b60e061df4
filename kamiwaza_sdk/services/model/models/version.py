"""Tables of versions: files, lineage, aliases, tags and configurations."""

from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, MAX_NAME_LENGTH, MAX_PATH_LENGTH
from kamiwaza_sdk.services.model.models.model import (
    NO_ATTRIBUTES,
    DBBase,
    DBModel,
    JSONObject,
    UTCDateTime,
    ordered_string,
    partial_index,
)


def _known(key: str) -> Index:
    """Return the index of a fact that many versions have none of, which costs those nothing."""
    return partial_index(None, "namespace", key, where=f"{key} IS NOT NULL")


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


class DBModelFile(DBBase):
    """A row of ``kamiwaza_model_file``. Read it and relate to it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_file"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "version_id"], [DBModelVersion.namespace, DBModelVersion.id]),
        Index(None, "sha256"),
    )

    version_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    path: Mapped[str] = mapped_column(ordered_string(MAX_PATH_LENGTH), primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    format: Mapped[str | None] = mapped_column(String(64))
    url: Mapped[str | None] = mapped_column(String(MAX_ADDRESS_LENGTH))

    model_version: Mapped[DBModelVersion] = relationship(viewonly=True, back_populates="files")


class DBModelLineage(DBBase):
    """A row of ``kamiwaza_model_lineage``. Read it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_lineage"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "version_id"], [DBModelVersion.namespace, DBModelVersion.id]),
        ForeignKeyConstraint(["namespace", "parent_id"], [DBModelVersion.namespace, DBModelVersion.id]),
        Index(None, "parent_id"),
        CheckConstraint("version_id <> parent_id", name="parent"),
    )

    version_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    parent_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    relation: Mapped[str] = mapped_column(String(16))


class DBModelAlias(DBBase):
    """A row of ``kamiwaza_model_alias``. Read it and relate to it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_alias"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "model_id"], [DBModel.namespace, DBModel.id]),
        # The version is one of that model, and of that namespace.
        ForeignKeyConstraint(
            ["namespace", "model_id", "version_id"],
            [DBModelVersion.namespace, DBModelVersion.model_id, DBModelVersion.id],
        ),
        Index(None, "version_id"),
    )

    model_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    alias: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH), primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    version_id: Mapped[UUID] = mapped_column(Uuid)
    number: Mapped[int] = mapped_column(Integer)  # the version's, which never changes: a listing need not look it up
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)

    model: Mapped[DBModel] = relationship(viewonly=True, back_populates="aliases")
    model_version: Mapped[DBModelVersion] = relationship(viewonly=True, back_populates="aliases")


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


class DBModelPin(DBBase):
    """A row of ``kamiwaza_model_pin``. Read it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_pin"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "version_id"], [DBModelVersion.namespace, DBModelVersion.id]),
    )

    version_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH), primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    reason: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class DBRegistry(DBBase):
    """The one row of ``kamiwaza_registry``: an id that no other registry has, unless it is a copy."""

    __tablename__: str = "kamiwaza_registry"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)


_OF_MODEL: Final = "version_id IS NULL"
_OF_VERSION: Final = "version_id IS NOT NULL"


def _unique_where(name: str, *columns: str, where: str) -> Index:
    return partial_index(f"uq_kamiwaza_model_config_{name}", *columns, where=where, unique=True)


class DBModelConfig(DBBase):
    """A row of ``kamiwaza_model_config``. Read it and relate to it; let `ModelService` write it."""

    __tablename__: str = "kamiwaza_model_config"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "model_id"], [DBModel.namespace, DBModel.id]),
        ForeignKeyConstraint(
            ["namespace", "model_id", "version_id"],
            [DBModelVersion.namespace, DBModelVersion.model_id, DBModelVersion.id],
        ),
        _unique_where("model_name", "model_id", "name", where=_OF_MODEL),
        _unique_where("version_name", "version_id", "name", where=_OF_VERSION),
        _unique_where("model_default", "model_id", where=f"is_default AND {_OF_MODEL}"),
        _unique_where("version_default", "version_id", where=f"is_default AND {_OF_VERSION}"),
        Index(None, "model_id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    model_id: Mapped[UUID] = mapped_column(Uuid)
    version_id: Mapped[UUID | None] = mapped_column(Uuid)
    name: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    is_default: Mapped[bool] = mapped_column(Boolean)
    config: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject)
    system_config: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)

    model: Mapped[DBModel] = relationship(viewonly=True, back_populates="configs")
    model_version: Mapped[DBModelVersion | None] = relationship(viewonly=True, back_populates="configs")
