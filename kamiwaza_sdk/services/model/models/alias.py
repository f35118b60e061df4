"""The table of aliases."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Integer, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.models.base import DBBase, UTCDateTime, ordered_string
from kamiwaza_sdk.services.model.models.model import DBModel
from kamiwaza_sdk.services.model.models.version import DBModelVersion

__all__ = ["DBModelAlias"]


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
