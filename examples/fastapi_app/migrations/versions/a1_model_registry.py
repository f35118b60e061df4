"""Create the model registry's tables."""

from alembic import op

import kamiwaza_sdk

revision = "a1"
down_revision = None


def upgrade() -> None:
    """Create them as of this version, whichever later ones the library will know."""
    kamiwaza_sdk.migrations.upgrade(op.get_bind(), to="0004")


def downgrade() -> None:
    """Drop them, unless they have rows."""
    kamiwaza_sdk.migrations.downgrade(op.get_bind(), to=None)
