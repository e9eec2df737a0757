"""reprocessing: runs that replace what is there all at once, objects that were replaced, and waveforms

Only adds, and loosens what was there, so that the code before it runs on.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KINDS = ("source", "rendition", "audio", "download", "poster", "storyboard", "captions", "words")


def _kinds(*kinds: str) -> str:
    return f"kind IN ({', '.join(repr(kind) for kind in kinds)})"


def upgrade() -> None:
    """One table, one column, one more kind of artefact."""
    op.add_column("runs", sa.Column("replaces", sa.Boolean(), server_default="false", nullable=False))
    op.drop_constraint(op.f("ck_artefacts_kind"), "artefacts", type_="check")
    op.create_check_constraint(op.f("ck_artefacts_kind"), "artefacts", _kinds(*KINDS, "peaks"))
    op.create_table(
        "retired_objects",
        sa.Column("recording_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), server_default="", nullable=False),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(_kinds(*KINDS, "peaks"), name=op.f("ck_retired_objects_kind")),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
            name=op.f("fk_retired_objects_recording_id_recordings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retired_objects")),
        sa.UniqueConstraint("key", name=op.f("uq_retired_objects_key")),
    )
    for column in ("recording_id", "until"):
        op.create_index(op.f(f"ix_retired_objects_{column}"), "retired_objects", [column])


def downgrade() -> None:
    """Waveforms are forgotten; their objects, and those that were replaced, are orphans that `vignette fsck` finds."""
    op.drop_table("retired_objects")
    op.execute("DELETE FROM artefacts WHERE kind = 'peaks'")
    op.drop_constraint(op.f("ck_artefacts_kind"), "artefacts", type_="check")
    op.create_check_constraint(op.f("ck_artefacts_kind"), "artefacts", _kinds(*KINDS))
    op.drop_column("runs", "replaces")
