"""Tables of models, their search documents and their history, and the base of all tables."""

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeDecorator, TypeEngine

from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, MAX_NAME_LENGTH

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.models.version import DBModelAlias, DBModelConfig, DBModelTag, DBModelVersion


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


class DialectIndex(Index):
    """An index with options of single dialects, such as ``postgresql_where``.

    `Index` itself loads these dialects when it is given their options, which would be a quarter of the package's import
    time. This one loads them when the options are first read, as for DDL.
    """

    def __init__(self, name: str | None, *columns: str, unique: bool = False, **options: object) -> None:
        super().__init__(name, *columns, unique=unique)
        self._options = options

    @cached_property
    def dialect_options(self) -> Any:  # Any: SQLAlchemy's type for it is private
        """The options by dialect and name."""
        options = super().dialect_options
        for key, value in self._options.items():
            dialect, _, name = key.partition("_")
            options[dialect][name] = value
        return options


def partial_index(name: str | None, *columns: str, where: str, unique: bool = False) -> DialectIndex:
    """Return an index of the rows that meet a condition, on both databases."""
    condition = text(where)
    return DialectIndex(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


#: What is in a column of JSON objects that was added later, in rows from before.
NO_ATTRIBUTES: Final = text("'{}'")


def ordered_string(length: int) -> String:
    """Return a string type that both databases compare and sort by code point."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _sorting(key: str) -> Index:
    """Return the index of an order. Of living models only, which are all that is listed.

    Else, until its statistics are there, PostgreSQL takes such an index to check foreign keys by namespace and id, and
    reads all of the namespace each time.
    """
    return partial_index(None, "namespace", key, "id", where="deleted_at IS NULL")


class DBModel(DBBase):
    """A row of ``kamiwaza_model``. Read it and relate to it; let `ModelService` write it.

    A host's foreign key names the column: ``ForeignKey(DBModel.__table__.c.id)``.
    """

    __tablename__: str = "kamiwaza_model"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint("namespace", "name"),
        UniqueConstraint("namespace", "id"),
        *map(_sorting, ("created_at", "updated_at", "task", "author", "family")),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    name: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    family: Mapped[str | None] = mapped_column(ordered_string(255))
    task: Mapped[str | None] = mapped_column(ordered_string(255))
    author: Mapped[str | None] = mapped_column(ordered_string(255))
    hub: Mapped[str | None] = mapped_column(ordered_string(255))
    source_repository: Mapped[str | None] = mapped_column(String(MAX_ADDRESS_LENGTH))
    description: Mapped[str | None] = mapped_column(Text)
    license: Mapped[str | None] = mapped_column(ordered_string(255))
    model_card: Mapped[str | None] = mapped_column(Text)
    private: Mapped[bool] = mapped_column(Boolean)
    revision: Mapped[int] = mapped_column(Integer)
    last_number: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_event: Mapped[int] = mapped_column(Integer, server_default="0")
    last_event_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    attributes: Mapped[dict[str, JsonValue]] = mapped_column(JSONObject, server_default=NO_ATTRIBUTES)

    versions: Mapped[list["DBModelVersion"]] = relationship(
        viewonly=True, back_populates="model", order_by="DBModelVersion.number"
    )
    aliases: Mapped[list["DBModelAlias"]] = relationship(
        viewonly=True, back_populates="model", order_by="DBModelAlias.alias"
    )
    tags: Mapped[list["DBModelTag"]] = relationship(viewonly=True, back_populates="model", order_by="DBModelTag.key")
    configs: Mapped[list["DBModelConfig"]] = relationship(
        viewonly=True, back_populates="model", order_by="DBModelConfig.name"
    )


class DBModelDocument(DBBase):
    """A row of ``kamiwaza_model_document``: the words of one model.

    PostgreSQL indexes them where they are. On SQLite the index is a virtual table, ``kamiwaza_model_search``, which
    refers to a row by ``id``.
    """

    __tablename__: str = "kamiwaza_model_document"
    __table_args__: tuple[SchemaItem, ...] = (
        ForeignKeyConstraint(["namespace", "model_id"], [DBModel.namespace, DBModel.id]),
        UniqueConstraint("model_id"),
        DialectIndex(None, "words", postgresql_using="gin", postgresql_with={"gin_pending_list_limit": 1024}).ddl_if(
            dialect="postgresql"
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    model_id: Mapped[UUID] = mapped_column(Uuid)
    namespace: Mapped[str] = mapped_column(ordered_string(MAX_NAME_LENGTH))
    words: Mapped[str] = mapped_column(Words)


class DBModelEvent(DBBase):
    """A row of ``kamiwaza_model_event``. Read it; let `ModelService` write it.

    It refers to nothing by foreign keys: what happened stays known when what it happened to is gone.
    """

    __tablename__: str = "kamiwaza_model_event"
    __table_args__: tuple[SchemaItem, ...] = (
        Index(None, "namespace", "at", "model_id", "sequence"),
        partial_index(None, "model_id", "alias", "sequence", where="alias IS NOT NULL"),
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
