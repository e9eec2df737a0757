"""hearing: the language spoken in a recording, and which recordings wait for a speech model

Only adds, so that the code before it runs on.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recordings", sa.Column("spoken_language", sa.String(16), nullable=False, server_default=""))
    op.create_index(
        "ix_stage_runs_no_model",
        "stage_runs",
        ["run_id"],
        postgresql_where=sa.text("state = 'skipped' AND (outputs ->> 'why') = 'no-model'"),
    )


def downgrade() -> None:
    op.drop_index("ix_stage_runs_no_model", "stage_runs")
    op.drop_column("recordings", "spoken_language")
