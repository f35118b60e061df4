"""The table of what was made from what."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.models.base import DBBase, ordered_string
from kamiwaza_sdk.services.model.models.version import DBModelVersion

__all__ = ["DBModelLineage"]


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
