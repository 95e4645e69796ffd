"""Devices that have proved their secret, and the reports that are told from their repetitions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds two columns to the devices."""
    op.add_column("devices", sa.Column("authenticated", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("devices", sa.Column("identities", sa.Text(), nullable=False, server_default=""))
