"""Schema 0002: aliases, tags, configurations, history, lineage, and the words that models are found by."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql

from kamiwaza_sdk.services.model.exceptions import DatabaseUnsupportedException

#: The tables whose rows a downgrade would lose. ``kamiwaza_model_document`` is none: models say what is in it.
TABLES: Final = (
    "kamiwaza_model_alias",
    "kamiwaza_model_tag",
    "kamiwaza_model_version_tag",
    "kamiwaza_model_config",
    "kamiwaza_model_event",
    "kamiwaza_model_lineage",
)

#: How many rows are in memory at a time.
_BATCH: Final = 1_000
_MAX_FORMAT_LENGTH: Final = 64
_MAX_PARAMETERS: Final = 2**63 - 1
_SORTED_BY: Final = ("created_at", "updated_at", "task", "author", "family")
_MODEL_INDEXES: Final = tuple(f"{key}_id" for key in _SORTED_BY)
_VERSION_INDEXES: Final = ("created_at", "updated_at", "size", "id_model_id")

# Only as far as rows are read and written here. Tables, as a host's schema_translate_map does not apply to less.
_MODEL: Final = sa.Table(
    "kamiwaza_model",
    sa.MetaData(),
    sa.Column("id", sa.Uuid()),
    *(sa.Column(name, sa.Text()) for name in ("namespace", "name", "author", "description")),
    sa.Column("deleted_at", sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")),
)
_VERSION: Final = sa.Table(
    "kamiwaza_model_version",
    sa.MetaData(),
    sa.Column("id", sa.Uuid()),
    sa.Column("format", sa.String(64)),
    sa.Column("parameters", sa.BigInteger()),
    sa.Column("details", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
)
_FILE: Final = sa.Table(
    "kamiwaza_model_file", sa.MetaData(), sa.Column("version_id", sa.Uuid()), sa.Column("format", sa.String(64))
)
_DOCUMENT: Final = sa.Table(
    "kamiwaza_model_document",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger()),
    sa.Column("model_id", sa.Uuid()),
    sa.Column("namespace", sa.String(255)),
    sa.Column("words", sa.Text()),
)
_SEARCH: Final = sa.Table(
    "kamiwaza_model_search", sa.MetaData(), sa.Column("rowid", sa.Integer()), sa.Column("words", sa.Text())
)


def _ordered(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _moment() -> sa.DateTime:
    return sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def _json() -> sa.JSON:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade(op: Operations) -> None:
    """Create the new tables, add columns to two, and derive from the rows there are what those now hold.

    Raises:
        DatabaseUnsupportedException: SQLite was built without full-text search. Nothing was touched.
    """
    if _is_sqlite(op):
        _create_search(op)  # first, as it may be refused
    _alter_model(op)
    _alter_version(op)
    _create_alias(op)
    _create_tags(op)
    _create_config(op)
    _create_event(op)
    _create_lineage(op)
    _create_document(op)
    _fill_versions(op.get_bind())
    _fill_documents(op.get_bind())
    _index_documents(op)


def _is_sqlite(op: Operations) -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _create_search(op: Operations) -> None:
    options = "content='kamiwaza_model_document', content_rowid='id', tokenize='ascii', detail='none', columnsize=0"
    command = f"CREATE VIRTUAL TABLE %(fullname)s USING fts5(words, {options})"
    statement = sa.DDL(command)  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so
    try:
        op.execute(statement.against(_SEARCH))
    except sa.exc.OperationalError as error:
        if "no such module: fts5" not in str(error.orig):
            raise
        reason = "it was built without FTS5; use a Python whose sqlite3 module has it, as python.org's do"
        raise DatabaseUnsupportedException(dialect="sqlite", reason=reason) from error


def _schema(op: Operations) -> str | None:
    """Return where a host keeps our tables: Alembic's ALTER TABLE, unlike all else, has to be told."""
    return op.get_bind().schema_for_object(_MODEL)


def _alter_model(op: Operations) -> None:
    last_event = sa.Column("last_event", sa.Integer(), nullable=False, server_default="0")
    op.add_column("kamiwaza_model", last_event, schema=_schema(op))
    op.add_column("kamiwaza_model", sa.Column("last_event_at", _moment()), schema=_schema(op))
    where = sa.text("deleted_at IS NULL")
    for key in _SORTED_BY:
        name, columns = f"ix_kamiwaza_model_namespace_{key}_id", ["namespace", key, "id"]
        op.create_index(name, "kamiwaza_model", columns, sqlite_where=where, postgresql_where=where)


def _alter_version(op: Operations) -> None:
    table = "kamiwaza_model_version"
    op.add_column(table, sa.Column("format", _ordered(64)), schema=_schema(op))
    op.add_column(table, sa.Column("parameters", sa.BigInteger()), schema=_schema(op))
    for key in ("created_at", "updated_at", "size"):
        op.create_index(f"ix_{table}_namespace_{key}", table, ["namespace", key])
    op.create_index(f"ix_{table}_namespace_id_model_id", table, ["namespace", "id", "model_id"], unique=True)


def _of_model(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["namespace", "model_id"],
        ["kamiwaza_model.namespace", "kamiwaza_model.id"],
        name=f"fk_{table}_namespace_model_id",
    )


def _of_version(table: str, column: str = "version_id") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["namespace", column],
        ["kamiwaza_model_version.namespace", "kamiwaza_model_version.id"],
        name=f"fk_{table}_namespace_{column}",
    )


def _of_version_of_model(table: str) -> sa.ForeignKeyConstraint:
    version = "kamiwaza_model_version"
    return sa.ForeignKeyConstraint(
        ["namespace", "model_id", "version_id"],
        [f"{version}.namespace", f"{version}.model_id", f"{version}.id"],
        name=f"fk_{table}_namespace_model_id_version_id",
    )


def _create_alias(op: Operations) -> None:
    table = "kamiwaza_model_alias"
    op.create_table(
        table,
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("alias", _ordered(255), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "alias", name=f"pk_{table}"),
        _of_model(table),
        _of_version_of_model(table),
    )
    op.create_index(f"ix_{table}_version_id", table, ["version_id"])


def _create_tags(op: Operations) -> None:
    _create_tag(op, "kamiwaza_model_tag", "model_id", _of_model("kamiwaza_model_tag"))
    _create_tag(op, "kamiwaza_model_version_tag", "version_id", _of_version("kamiwaza_model_version_tag"))


def _create_tag(op: Operations, table: str, owner: str, reference: sa.ForeignKeyConstraint) -> None:
    op.create_table(
        table,
        sa.Column(owner, sa.Uuid(), nullable=False),
        sa.Column("key", _ordered(255), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("value_start", _ordered(64), nullable=False),
        sa.PrimaryKeyConstraint(owner, "key", name=f"pk_{table}"),
        reference,
    )
    op.create_index(f"ix_{table}_value", table, ["key", "value_start", "namespace"])


def _create_config(op: Operations) -> None:
    table = "kamiwaza_model_config"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid()),
        sa.Column("name", _ordered(255), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("config", _json(), nullable=False),
        sa.Column("system_config", _json(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        _of_model(table),
        _of_version_of_model(table),
    )
    op.create_index(f"ix_{table}_model_id", table, ["model_id"])
    _create_config_uniqueness(op, table)


def _create_config_uniqueness(op: Operations, table: str) -> None:
    of_model, of_version = "version_id IS NULL", "version_id IS NOT NULL"
    for name, columns, condition in (
        ("model_name", ["model_id", "name"], of_model),
        ("version_name", ["version_id", "name"], of_version),
        ("model_default", ["model_id"], f"is_default AND {of_model}"),
        ("version_default", ["version_id"], f"is_default AND {of_version}"),
    ):
        where = sa.text(condition)
        op.create_index(f"uq_{table}_{name}", table, columns, unique=True, sqlite_where=where, postgresql_where=where)


def _create_event(op: Operations) -> None:
    table = "kamiwaza_model_event"
    op.create_table(
        table,
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(255)),
        sa.Column("version_id", sa.Uuid()),
        sa.Column("alias", _ordered(255)),
        sa.Column("before", _json(), nullable=False),
        sa.Column("after", _json(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "sequence", name=f"pk_{table}"),
    )
    columns = ["namespace", "at", "model_id", "sequence"]
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
    columns, where = ["model_id", "alias", "sequence"], sa.text("alias IS NOT NULL")
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns, sqlite_where=where, postgresql_where=where)


def _create_lineage(op: Operations) -> None:
    table = "kamiwaza_model_lineage"
    op.create_table(
        table,
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("relation", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "parent_id", name=f"pk_{table}"),
        _of_version(table),
        _of_version(table, "parent_id"),
        sa.CheckConstraint("version_id <> parent_id", name=f"ck_{table}_parent"),
    )
    op.create_index(f"ix_{table}_parent_id", table, ["parent_id"])


def _create_document(op: Operations) -> None:
    table = "kamiwaza_model_document"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("words", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        _of_model(table),
        sa.UniqueConstraint("model_id", name=f"uq_{table}_model_id"),
    )


def _batches(
    connection: sa.Connection, *columns: sa.Column[Any]
) -> Iterator[Sequence[sa.Row[Any]]]:  # Any: of whatever columns
    """Yield a table's rows in the order of the first of these columns, its id."""
    statement = sa.select(*columns).order_by(columns[0]).limit(_BATCH)
    rows = connection.execute(statement).all()
    while rows:
        yield rows
        rows = connection.execute(statement.where(columns[0] > rows[-1].id)).all()


def _fill_versions(connection: sa.Connection) -> None:
    change = (
        sa.update(_VERSION)
        .where(_VERSION.c.id == sa.bindparam("of"))
        .values(format=sa.bindparam("new_format"), parameters=sa.bindparam("new_parameters"))
    )
    for rows in _batches(connection, _VERSION.c.id, _VERSION.c.details):
        formats = _file_formats(connection, first=rows[0].id, last=rows[-1].id)
        values = [
            {
                "of": row.id,
                "new_format": _named_format(row.details) or formats.get(row.id),
                "new_parameters": _parameters(row.details),
            }
            for row in rows
        ]
        connection.execute(change, values)


def _file_formats(connection: sa.Connection, *, first: UUID, last: UUID) -> dict[UUID, str]:
    """Return the one format that a version's files have, for the versions where there is just one."""
    statement = (
        sa.select(_FILE.c.version_id, sa.func.min(_FILE.c.format))
        .where(_FILE.c.version_id.between(first, last), _FILE.c.format.is_not(None))
        .group_by(_FILE.c.version_id)
        .having(sa.func.count(_FILE.c.format.distinct()) == 1)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def _named_format(details: object) -> str | None:
    value = details.get("format") if isinstance(details, dict) else None
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_FORMAT_LENGTH else None


def _parameters(details: object) -> int | None:
    """Return a number of parameters: as it is named, or the sum where they are named by data type."""
    value = details.get("parameters") if isinstance(details, dict) else None
    counts = list(value.values()) if isinstance(value, dict) else [value]
    numbers = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
    if not counts or len(numbers) < len(counts):
        return None
    return sum(numbers) if sum(numbers) <= _MAX_PARAMETERS else None


def _fill_documents(connection: sa.Connection) -> None:
    words: sa.ColumnElement[Any] = sa.bindparam("text", type_=sa.Text())  # Any: a type that SQLAlchemy has no name for
    if connection.dialect.name == "postgresql":
        words = sa.func.array_to_tsvector(sa.func.string_to_array(words, " "))
    statement = sa.insert(_DOCUMENT).values(words=words)
    for rows in _batches(connection, *_MODEL.c):
        connection.execute(statement, [_document(row) for row in rows])


def _document(model: sa.Row[Any]) -> dict[str, Any]:  # Any: of several columns, as above
    words = document_words(
        model.namespace,
        name=model.name,
        author=model.author,
        description=model.description,
        tags={},
        deleted=model.deleted_at is not None,
    )
    return {"model_id": model.id, "namespace": model.namespace, "text": words}


def _index_documents(op: Operations) -> None:
    """Make the index of all words at once, which takes less time than word by word."""
    if _is_sqlite(op):
        documents = sa.select(_DOCUMENT.c.id, _DOCUMENT.c.words)
        op.execute(sa.insert(_SEARCH).from_select(["rowid", "words"], documents))
        return
    op.create_index(
        "ix_kamiwaza_model_document_words",
        "kamiwaza_model_document",
        ["words"],
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},
    )


def downgrade(op: Operations) -> None:
    """Drop the new tables and the columns that were added to two."""
    if _is_sqlite(op):
        op.drop_table("kamiwaza_model_search")
    for table in ("kamiwaza_model_document", *reversed(TABLES)):
        op.drop_table(table)
    _drop(op, "kamiwaza_model_version", _VERSION_INDEXES, columns=("parameters", "format"))
    _drop(op, "kamiwaza_model", _MODEL_INDEXES, columns=("last_event_at", "last_event"))


def _drop(op: Operations, table: str, indexes: Sequence[str], *, columns: Sequence[str]) -> None:
    for index in indexes:
        op.drop_index(f"ix_{table}_namespace_{index}", table)
    for column in columns:
        op.drop_column(table, column, schema=_schema(op))


#: The rule by which texts were words in these schema versions. It stays as it is, whatever the registry does later.
_MAX_WORDS: Final = 10_000
_MAX_BYTES: Final = 500_000
_MAX_WORD: Final = 100
_ASCII_WORD: Final = re.compile(rf"[a-z0-9]{{1,{_MAX_WORD}}}")
_ANY_WORD: Final = re.compile(rf"[^\W_]{{1,{_MAX_WORD}}}")


def document_words(
    namespace: str,
    *,
    name: str,
    author: str | None,
    description: str | None,
    tags: Mapping[str, str],
    model_card: str | None = None,
    deleted: bool = False,
) -> str:
    """Return the different words of a model, with spaces between them."""
    texts = (name, author or "", *tags.keys(), *tags.values(), description or "", model_card or "")
    words = list(dict.fromkeys(_split(" ".join(texts))))[:_MAX_WORDS]
    if not words:
        return ""
    prefix = _prefix(namespace, deleted)
    document = prefix + f" {prefix}".join(words)
    return document if len(document) <= _MAX_BYTES // 4 else _cut(document)


def _cut(document: str) -> str:
    """Return as many words as fit into the bytes that there are."""
    encoded = document.encode()
    if len(encoded) <= _MAX_BYTES:
        return document
    return encoded[: encoded.rindex(b" ", 0, _MAX_BYTES)].decode()


@lru_cache(maxsize=1024)
def _prefix(namespace: str, deleted: bool) -> str:
    """Return what each word of a namespace begins with: an index has one list of hits a word, and none is shared.

    Nor with the deleted models of the same namespace.
    """
    digest = blake2b(namespace.encode(), digest_size=4).hexdigest()
    return f"x{digest}" if deleted else digest


def _split(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _ANY_WORD.findall(_without_marks(text))


def _without_marks(text: str) -> str:
    """Fold case and compatible forms, and drop accents: after Unicode's caseless matching (3.13, D146)."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character)[0] != "M")
