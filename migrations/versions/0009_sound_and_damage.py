"""sound and damage: which tracks of sound are heard, and what of a file is missing

Only adds, so that the code before it runs on.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recordings", sa.Column("sound_tracks", postgresql.JSONB(), nullable=True))
    op.add_column(
        "recordings", sa.Column("damage", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("recordings", "damage")
    op.drop_column("recordings", "sound_tracks")
