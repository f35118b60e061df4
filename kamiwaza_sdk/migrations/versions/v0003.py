"""Schema 0003: where each version came from, facts to filter on, what users note, cards that are found, and "z".

What was stored as ``quantisation`` and ``quantised`` is ``quantization`` and ``quantized`` from here on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql

from kamiwaza_sdk.migrations.versions.v0002 import document_words

#: No table goes with a downgrade; of the columns that do, `losses` tells.
TABLES: Final[tuple[str, ...]] = ()

#: How many rows are in memory at a time: their JSON may be long.
_BATCH: Final = 200
_CARDS: Final = 100  # which may be long
_MAX_ADDRESS_LENGTH: Final = 2048
_MAX_WORD_LENGTH: Final = 255
_MAX_INTEGER: Final = 2**63 - 1
_FACTS: Final = ("architecture", "quantization", "context_length")
_KEYS: Final = {"quantisation": "quantization"}
_RELATIONS: Final = {"quantised": "quantized"}

_JSON: Final = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
# Only as far as rows are read and written here.
_MODEL: Final = sa.Table(
    "kamiwaza_model",
    sa.MetaData(),
    sa.Column("id", sa.Uuid()),
    *(sa.Column(name, sa.Text()) for name in ("namespace", "name", "author", "description", "model_card")),
    sa.Column("deleted_at", sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")),
    sa.Column("attributes", _JSON),
)
_TAG: Final = sa.Table(
    "kamiwaza_model_tag",
    sa.MetaData(),
    sa.Column("model_id", sa.Uuid()),
    *(sa.Column(name, sa.Text()) for name in ("key", "value")),
)
_VERSION: Final = sa.Table(
    "kamiwaza_model_version",
    sa.MetaData(),
    sa.Column("id", sa.Uuid()),
    *(sa.Column(name, sa.Text()) for name in ("source", "hub", "source_repository", "description")),
    *(sa.Column(name, sa.Text()) for name in ("architecture", "quantization")),
    sa.Column("context_length", sa.BigInteger()),
    sa.Column("details", _JSON),
    sa.Column("attributes", _JSON),
)
_FILE: Final = sa.Table("kamiwaza_model_file", sa.MetaData(), sa.Column("url", sa.Text()))
_LINEAGE: Final = sa.Table("kamiwaza_model_lineage", sa.MetaData(), sa.Column("relation", sa.Text()))
_EVENT: Final = sa.Table(
    "kamiwaza_model_event",
    sa.MetaData(),
    sa.Column("model_id", sa.Uuid()),
    sa.Column("sequence", sa.Integer()),
    sa.Column("before", _JSON),
    sa.Column("after", _JSON),
)
_DOCUMENT: Final = sa.Table(
    "kamiwaza_model_document",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger()),
    sa.Column("model_id", sa.Uuid()),
    sa.Column("words", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql")),
)
_SEARCH: Final = sa.Table(
    "kamiwaza_model_search",
    sa.MetaData(),
    sa.Column("rowid", sa.Integer()),
    sa.Column("words", sa.Text()),
    sa.Column("kamiwaza_model_search", sa.Text()),
)


def _ordered(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade(op: Operations) -> None:
    """Add columns to three tables, fill those that can be, spell anew what is stored, and index cards."""
    schema = op.get_bind().schema_for_object(_MODEL)
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column, schema=schema)
    connection = op.get_bind()
    _respell(connection, _KEYS, _RELATIONS)
    _fill_facts(connection)
    _index_facts(op)
    _fill_documents(connection, with_cards=True)


def _columns() -> dict[str, list[sa.Column[Any]]]:  # Any: columns of several types
    none = sa.text("'{}'")
    return {
        "kamiwaza_model": [sa.Column("attributes", _JSON, nullable=False, server_default=none)],
        "kamiwaza_model_version": [
            sa.Column("source", sa.String(_MAX_ADDRESS_LENGTH)),
            sa.Column("hub", _ordered(255)),
            sa.Column("source_repository", sa.String(_MAX_ADDRESS_LENGTH)),
            sa.Column("description", sa.Text()),
            sa.Column("architecture", _ordered(_MAX_WORD_LENGTH)),
            sa.Column("quantization", _ordered(_MAX_WORD_LENGTH)),
            sa.Column("context_length", sa.BigInteger()),
            sa.Column("attributes", _JSON, nullable=False, server_default=none),
            sa.Column("revision", sa.Integer(), nullable=False, server_default="1"),
        ],
        "kamiwaza_model_file": [sa.Column("url", sa.String(_MAX_ADDRESS_LENGTH))],
    }


def _index_facts(op: Operations) -> None:
    table = "kamiwaza_model_version"
    for key in _FACTS:
        where = sa.text(f"{key} IS NOT NULL")
        op.create_index(
            f"ix_{table}_namespace_{key}", table, ["namespace", key], sqlite_where=where, postgresql_where=where
        )


def _respell(connection: sa.Connection, keys: Mapping[str, str], relations: Mapping[str, str]) -> None:
    """Rename keys of details and kinds of relations, in what is there and in what the history tells."""
    for old, new in relations.items():
        connection.execute(sa.update(_LINEAGE).where(_LINEAGE.c.relation == old).values(relation=new))
    words = (*keys, *relations)
    _rewrite(connection, _VERSION, ("id",), {"details": lambda value: _renamed(value, keys)}, words)

    def told(value: Any) -> Any:  # Any: JSON
        return _retold(value, keys, relations)

    _rewrite(connection, _EVENT, ("model_id", "sequence"), {"before": told, "after": told}, words)


def _renamed(value: Any, keys: Mapping[str, str]) -> Any:  # Any: JSON
    """Return an object with its keys renamed, but for one whose new name is taken; anything else as it is."""
    if not isinstance(value, dict):
        return value
    return {keys[key] if key in keys and keys[key] not in value else key: inner for key, inner in value.items()}


def _retold(value: Any, keys: Mapping[str, str], relations: Mapping[str, str]) -> Any:  # Any: JSON
    """Return what an event tells: details, the relation to one parent, and those to several."""
    if not isinstance(value, dict):  # no service has written it
        return value
    told = dict(value)
    if "details" in told:
        told["details"] = _renamed(told["details"], keys)
    if isinstance(parents := told.get("derived_from"), list):
        told["derived_from"] = [_related(parent, relations) for parent in parents]
    return _related(told, relations) if "version_id" in told else told


def _related(value: Any, relations: Mapping[str, str]) -> Any:  # Any: JSON
    relation = value.get("relation") if isinstance(value, dict) else None
    if not isinstance(relation, str) or relation not in relations:
        return value
    return value | {"relation": relations[relation]}


def _rewrite(
    connection: sa.Connection,
    table: sa.Table,
    key: tuple[str, ...],
    changes: Mapping[str, Callable[[Any], Any]],  # Any: JSON
    words: Sequence[str],
) -> None:
    """Write anew the rows in whose JSON one of some words is, a batch at a time."""
    texts = [sa.cast(table.c[name], sa.Text()) for name in changes]
    concerned = sa.or_(*(text.contains(word) for text in texts for word in words))
    statement = (
        sa.update(table)
        .where(*(table.c[name] == sa.bindparam(f"of_{name}") for name in key))
        .values({name: sa.bindparam(f"new_{name}", type_=_JSON) for name in changes})
    )
    columns = [table.c[name] for name in (*key, *changes)]
    for rows in _batches(connection, columns, len(key), concerned):
        values = [
            {f"of_{name}": getattr(row, name) for name in key}
            | {f"new_{name}": change(getattr(row, name)) for name, change in changes.items()}
            for row in rows
        ]
        connection.execute(statement, values)


def _batches(
    connection: sa.Connection,
    columns: Sequence[sa.ColumnElement[Any]],  # Any: columns of several types
    keys: int,
    *conditions: sa.ColumnElement[bool],
    limit: int | None = None,
) -> Iterator[Sequence[sa.Row[Any]]]:  # Any: as above
    """Yield rows in the order of their key, which is the first of the columns, or the first few."""
    key = columns[:keys]
    statement = sa.select(*columns).where(*conditions).order_by(*key).limit(min(limit or _BATCH, _BATCH))
    rows = connection.execute(statement).all()
    while rows:
        last = [sa.literal(value, column.type) for value, column in zip(rows[-1], key, strict=False)]
        yield rows
        rows = connection.execute(statement.where(sa.tuple_(*key) > sa.tuple_(*last))).all()


def _fill_facts(connection: sa.Connection) -> None:
    change = (
        sa.update(_VERSION)
        .where(_VERSION.c.id == sa.bindparam("of"))
        .values({key: sa.bindparam(f"new_{key}") for key in _FACTS})
    )
    for rows in _batches(connection, (_VERSION.c.id, _VERSION.c.details), 1):
        values = [{"of": row.id, **_facts(row.details)} for row in rows]
        if known := [each for each in values if any(each[f"new_{key}"] is not None for key in _FACTS)]:
            connection.execute(change, known)


def _facts(stored: object) -> dict[str, str | int | None]:
    details = stored if isinstance(stored, dict) else {}
    length = details.get("context_length")
    return {
        "new_architecture": _word(details.get("architecture")),
        "new_quantization": _word(details.get("quantization")),
        "new_context_length": length if type(length) is int and 0 < length <= _MAX_INTEGER else None,
    }


def _word(value: object) -> str | None:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_WORD_LENGTH:
        return None
    is_text = "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    return value if is_text else None


def _fill_documents(connection: sa.Connection, *, with_cards: bool) -> None:
    """Make the words of the models that have a card anew: with those of the card, or without."""
    columns = [column for column in _MODEL.c if column.name != "attributes"]
    for rows in _batches(connection, columns, 1, _MODEL.c.model_card.is_not(None), limit=_CARDS):
        tags = _tags(connection, [row.id for row in rows])
        values = [{"of": row.id, "text": _words(row, tags.get(row.id, {}), with_cards=with_cards)} for row in rows]
        _replace_words(connection, values)


def _tags(connection: sa.Connection, models: Sequence[Any]) -> dict[Any, dict[str, str]]:  # Any: ids
    found: dict[Any, dict[str, str]] = {}  # Any: as above
    for row in connection.execute(sa.select(_TAG).where(_TAG.c.model_id.in_(models))):
        found.setdefault(row.model_id, {})[row.key] = row.value
    return found


def _words(model: sa.Row[Any], tags: Mapping[str, str], *, with_cards: bool) -> str:  # Any: of several columns
    return document_words(
        model.namespace,
        name=model.name,
        author=model.author,
        description=model.description,
        tags=tags,
        model_card=model.model_card if with_cards else None,
        deleted=model.deleted_at is not None,
    )


def _replace_words(connection: sa.Connection, values: Sequence[Mapping[str, Any]]) -> None:  # Any: ids and texts
    """Give documents other words; SQLite's index is told what it had of them first, and what it has then."""
    words: sa.ColumnElement[Any] = sa.bindparam("text", type_=sa.Text())  # Any: a type that SQLAlchemy has no name for
    is_sqlite = connection.dialect.name == "sqlite"
    if not is_sqlite:
        words = sa.func.array_to_tsvector(sa.func.string_to_array(words, " "))
    of = _DOCUMENT.c.model_id == sa.bindparam("of")
    had = sa.select(sa.literal_column("'delete'"), _DOCUMENT.c.id, _DOCUMENT.c.words).where(of)
    has = sa.select(_DOCUMENT.c.id, _DOCUMENT.c.words).where(of)
    ids = [{"of": value["of"]} for value in values]
    if is_sqlite:
        connection.execute(sa.insert(_SEARCH).from_select(["kamiwaza_model_search", "rowid", "words"], had), ids)
    connection.execute(sa.update(_DOCUMENT).where(of).values(words=words), values)
    if is_sqlite:
        connection.execute(sa.insert(_SEARCH).from_select(["rowid", "words"], has), ids)


def losses(connection: sa.Connection) -> dict[str, int]:
    """Count the rows that a downgrade takes something from which nothing else tells."""
    noted = sa.cast(_MODEL.c.attributes, sa.Text()) != "{}"
    origin = [_VERSION.c[key].is_not(None) for key in ("source", "hub", "source_repository", "description")]
    counted = {
        "kamiwaza_model": sa.select(sa.func.count()).select_from(_MODEL).where(noted),
        "kamiwaza_model_version": sa.select(sa.func.count())
        .select_from(_VERSION)
        .where(sa.or_(*origin, sa.cast(_VERSION.c.attributes, sa.Text()) != "{}")),
        "kamiwaza_model_file": sa.select(sa.func.count()).select_from(_FILE).where(_FILE.c.url.is_not(None)),
    }
    rows = {table: connection.scalars(statement).one() for table, statement in counted.items()}
    return {table: count for table, count in rows.items() if count}


def downgrade(op: Operations) -> None:
    """Take cards out of the index, spell as before, and drop the columns."""
    connection = op.get_bind()
    _fill_documents(connection, with_cards=False)
    _respell(connection, _swapped(_KEYS), _swapped(_RELATIONS))
    for key in _FACTS:
        op.drop_index(f"ix_kamiwaza_model_version_namespace_{key}", "kamiwaza_model_version")
    schema = connection.schema_for_object(_MODEL)
    for table, columns in _columns().items():
        for column in reversed(columns):
            op.drop_column(table, column.name, schema=schema)


def _swapped(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}
