"""The table of configurations."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Boolean, ForeignKeyConstraint, Index, TextClause, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.models.base import DBBase, JSONObject, UTCDateTime, ordered_string
from kamiwaza_sdk.services.model.models.model import DBModel
from kamiwaza_sdk.services.model.models.version import DBModelVersion

__all__ = ["DBModelConfig"]

_OF_MODEL: Final = "version_id IS NULL"
_OF_VERSION: Final = "version_id IS NOT NULL"


def _unique_where(name: str, *columns: str, where: str) -> Index:
    condition: dict[str, TextClause] = dict.fromkeys(("sqlite_where", "postgresql_where"), text(where))
    options: dict[str, Any] = {"unique": True, **condition}  # Any: keyword arguments of several types
    return Index(f"uq_kamiwaza_model_config_{name}", *columns, **options)


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
