"""Schema 0001: models, their versions, and the files of those."""

from typing import Final

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql

#: The tables whose rows a downgrade would lose.
TABLES: Final = ("kamiwaza_model", "kamiwaza_model_version", "kamiwaza_model_file")


def _ordered(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _moment() -> sa.DateTime:
    return sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade(op: Operations) -> None:
    """Create the three tables."""
    _create_model(op)
    _create_version(op)
    _create_file(op)


def _create_model(op: Operations) -> None:
    op.create_table(
        "kamiwaza_model",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("name", _ordered(255), nullable=False),
        sa.Column("family", _ordered(255)),
        sa.Column("task", _ordered(255)),
        sa.Column("author", _ordered(255)),
        sa.Column("hub", _ordered(255)),
        sa.Column("source_repository", sa.String(2048)),
        sa.Column("description", sa.Text()),
        sa.Column("license", _ordered(255)),
        sa.Column("model_card", sa.Text()),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.Column("deleted_at", _moment()),
        sa.PrimaryKeyConstraint("id", name="pk_kamiwaza_model"),
        sa.UniqueConstraint("namespace", "name", name="uq_kamiwaza_model_namespace_name"),
        sa.UniqueConstraint("namespace", "id", name="uq_kamiwaza_model_namespace_id"),
    )


def _create_version(op: Operations) -> None:
    table = "kamiwaza_model_version"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", _ordered(255), nullable=False),
        sa.Column("source_revision", sa.String(255)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("details", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["namespace", "model_id"],
            ["kamiwaza_model.namespace", "kamiwaza_model.id"],
            name=f"fk_{table}_namespace_model_id",
        ),
        sa.UniqueConstraint("namespace", "model_id", "number", name=f"uq_{table}_namespace_model_id_number"),
        sa.UniqueConstraint("namespace", "model_id", "version", name=f"uq_{table}_namespace_model_id_version"),
        sa.UniqueConstraint("namespace", "id", name=f"uq_{table}_namespace_id"),
        sa.CheckConstraint("status IN ('draft', 'ready', 'archived', 'failed')", name=f"ck_{table}_status"),
    )
    op.create_index(f"ix_{table}_namespace_model_id_digest", table, ["namespace", "model_id", "digest"])


def _create_file(op: Operations) -> None:
    op.create_table(
        "kamiwaza_model_file",
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("path", _ordered(1024), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("format", sa.String(64)),
        sa.PrimaryKeyConstraint("version_id", "path", name="pk_kamiwaza_model_file"),
        sa.ForeignKeyConstraint(
            ["namespace", "version_id"],
            ["kamiwaza_model_version.namespace", "kamiwaza_model_version.id"],
            name="fk_kamiwaza_model_file_namespace_version_id",
        ),
    )
    op.create_index("ix_kamiwaza_model_file_sha256", "kamiwaza_model_file", ["sha256"])


def downgrade(op: Operations) -> None:
    """Drop the three tables, and every model with them."""
    for table in ("kamiwaza_model_file", "kamiwaza_model_version", "kamiwaza_model"):
        op.drop_table(table)
