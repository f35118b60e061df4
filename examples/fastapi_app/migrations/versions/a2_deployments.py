"""Create the application's own table, which refers to the registry's."""

import sqlalchemy as sa
from alembic import op

revision = "a2"
down_revision = "a1"


def upgrade() -> None:
    """Create it."""
    op.create_table(
        "deployment",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["kamiwaza_model_version.id"]),
        sa.PrimaryKeyConstraint("host"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("deployment")
