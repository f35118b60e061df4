"""The table of the files that versions are made of."""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, MAX_NAME_LENGTH, MAX_PATH_LENGTH
from kamiwaza_sdk.services.model.models.base import DBBase, ordered_string
from kamiwaza_sdk.services.model.models.version import DBModelVersion

__all__ = ["DBModelFile"]


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
