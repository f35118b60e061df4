"""What the registry's tables share: their metadata, their names, their column types."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from pydantic import JsonValue
from sqlalchemy import JSON, DateTime, MetaData, String, Text, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

_NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class DBBase(DeclarativeBase):
    """Base of the mapped classes, on a `MetaData` of their own: a host's ``create_all`` never meets our tables."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=_NAMING)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC: ``TIMESTAMP WITH TIME ZONE``, or on SQLite a text of fixed width that sorts by time."""

    impl: type[DateTime] = DateTime
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # Any: str on one database, datetime on the other
        """Return the type that each database keeps a moment as."""
        return String(27) if dialect.name == "sqlite" else dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # Any: as above
        """Turn a moment into what the database keeps."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # Any: as above
        """Turn what the database keeps into a moment in UTC."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if dialect.name == "sqlite" else value).astimezone(UTC)


class JSONObject(TypeDecorator[dict[str, JsonValue]]):
    """A JSON object: ``JSONB`` on PostgreSQL, text on SQLite."""

    impl: type[JSON] = JSON
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # Any: what JSON is to SQLAlchemy
        """Return the type that each database keeps JSON as."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON())
        from sqlalchemy.dialects.postgresql import JSONB  # a tenth of the package's import time

        return dialect.type_descriptor(JSONB())


class Words(TypeDecorator[str]):
    """The words that a model is found by: ``TSVECTOR`` on PostgreSQL, text with spaces between them on SQLite."""

    impl: type[Text] = Text
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # Any: what each database makes of words
        """Return the type that each database keeps words as."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import TSVECTOR  # as above

        return dialect.type_descriptor(TSVECTOR())


#: What is in a column of JSON objects that was added later, in rows from before.
NO_ATTRIBUTES: Final = text("'{}'")


def ordered_string(length: int) -> String:
    """Return a string type that both databases compare and sort by code point."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")
