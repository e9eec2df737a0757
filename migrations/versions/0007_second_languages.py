"""second languages and audio description: words of captions in any language are found, described versions are known

Only adds, so that the code before it runs on.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_cues_words", "cues", [sa.text("to_tsvector('simple'::regconfig, text)")], postgresql_using="gin"
    )
    op.create_table(
        "audio_descriptions",
        sa.Column("recording_id", sa.Uuid(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("not-needed", "described", name="status", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("described_id", sa.Uuid()),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by_id", sa.Uuid()),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(status = 'described') = (described_id IS NOT NULL)",
            name=op.f("ck_audio_descriptions_described_names_one"),
        ),
        sa.CheckConstraint("described_id <> recording_id", name=op.f("ck_audio_descriptions_of_another")),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
            name=op.f("fk_audio_descriptions_recording_id_recordings"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["described_id"],
            ["recordings.id"],
            name=op.f("fk_audio_descriptions_described_id_recordings"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["decided_by_id"],
            ["people.id"],
            name=op.f("fk_audio_descriptions_decided_by_id_people"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("recording_id", name=op.f("pk_audio_descriptions")),
    )
    op.create_index(op.f("ix_audio_descriptions_described_id"), "audio_descriptions", ["described_id"])


def downgrade() -> None:
    """Which recordings have a described version, and who decided that others need none, is lost."""
    op.drop_table("audio_descriptions")
    op.drop_index("ix_cues_words", table_name="cues")
