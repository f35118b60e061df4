"""Schema 0004: pins, which keep versions from being let go, and what tells one registry from another."""

from typing import Final
from uuid import uuid4

import sqlalchemy as sa
from alembic.operations import Operations

#: The tables whose rows a downgrade would lose. Of the other, there is nothing to lose.
TABLES: Final = ("kamiwaza_model_pin",)

_REGISTRY: Final = sa.Table("kamiwaza_registry", sa.MetaData(), sa.Column("id", sa.Uuid()))


def _ordered(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade(op: Operations) -> None:
    """Create two tables, and give the registry its id."""
    connection = op.get_bind()
    schema = connection.schema_for_object(_REGISTRY)
    _create_pin(op, schema)
    op.create_table(
        "kamiwaza_registry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_kamiwaza_registry"),
        schema=schema,
    )
    connection.execute(sa.insert(_REGISTRY).values(id=uuid4()))


def _create_pin(op: Operations, schema: str | None) -> None:
    table, version = "kamiwaza_model_pin", "kamiwaza_model_version"
    referred = version if schema is None else f"{schema}.{version}"
    op.create_table(
        table,
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("name", _ordered(255), nullable=False),
        sa.Column("namespace", _ordered(255), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("actor", sa.String(255)),
        sa.Column("created_at", sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "name", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["namespace", "version_id"],
            [f"{referred}.namespace", f"{referred}.id"],
            name=f"fk_{table}_namespace_version_id",
        ),
        schema=schema,
    )


def downgrade(op: Operations) -> None:
    """Drop the two tables."""
    schema = op.get_bind().schema_for_object(_REGISTRY)
    for table in ("kamiwaza_model_pin", "kamiwaza_registry"):
        op.drop_table(table, schema=schema)
