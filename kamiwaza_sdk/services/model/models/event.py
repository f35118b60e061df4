"""The table of events: the history."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Index, Integer, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem

from kamiwaza_sdk._validation import MAX_NAME_LENGTH
from kamiwaza_sdk.services.model.models.base import DBBase, JSONObject, UTCDateTime, ordered_string

__all__ = ["DBModelEvent"]


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
