"""The application's own table: what runs where. Its rows refer to versions of the registry."""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from kamiwaza_sdk.orm import DBModelVersion

__all__ = ["Base", "DBDeployment"]


class Base(DeclarativeBase):
    """The application's tables. The registry's have a `MetaData` of their own."""


class DBDeployment(Base):
    """Which version a host serves."""

    __tablename__ = "deployment"

    host: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str]
    # By the column, not by its name, which is looked for in the application's own `MetaData`.
    version_id: Mapped[UUID] = mapped_column(ForeignKey(DBModelVersion.__table__.c.id))
