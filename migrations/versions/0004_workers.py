"""workers, the order of runs, why a stage waits, and when objects were last read

Only adds, so that the code before it runs on.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
JSONB = postgresql.JSONB(astext_type=sa.Text())


def _choice(*values: str, name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("machine", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", JSONB, nullable=False),
        sa.Column("state", _choice("working", "draining", "drained", "gone", name="state"), nullable=False),
        sa.Column("started_at", AT, server_default=NOW, nullable=False),
        sa.Column("heartbeat_at", AT, server_default=NOW, nullable=False),
        sa.Column("facts", JSONB, server_default="{}", nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
        sa.UniqueConstraint("name", name=op.f("uq_workers_name")),
    )
    op.add_column("runs", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    op.create_index(op.f("ix_runs_created_at_id"), "runs", ["created_at", "id"])
    op.add_column("stage_runs", sa.Column("waits_for", sa.Text(), server_default="", nullable=False))
    op.add_column("artefacts", sa.Column("verified_at", AT))
    op.create_table(
        "fixity_findings",
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("kind", _choice("missing", "altered", name="kind"), nullable=False),
        sa.Column("recording_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.String(100), nullable=False),
        sa.Column("found_at", AT, server_default=NOW, nullable=False),
        sa.Column("seen_at", AT, server_default=NOW, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"],
            name=op.f("fk_fixity_findings_recording_id_recordings"), ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fixity_findings")),
        sa.UniqueConstraint("key", name=op.f("uq_fixity_findings_key")),
    )  # fmt: skip
    op.create_index(op.f("ix_fixity_findings_recording_id"), "fixity_findings", ["recording_id"])


def downgrade() -> None:
    """What only the new tables and columns hold is lost."""
    op.drop_table("fixity_findings")
    op.drop_column("artefacts", "verified_at")
    op.drop_column("stage_runs", "waits_for")
    op.drop_index(op.f("ix_runs_created_at_id"), "runs")
    op.drop_column("runs", "priority")
    op.drop_table("workers")
