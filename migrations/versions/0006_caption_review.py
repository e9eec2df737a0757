"""caption review: revisions, who checked and approved, the version that viewers see, checked cues, doubtful words

Only adds, with defaults, so that the code before it runs on. A track that was marked as reviewed before keeps being seen.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
KINDS = ("captions", "translation")
TRACK = (
    "kind", "revision", "reviewed_version", "approved_at", "approved_by_id", "published_version", "published_at",
)  # fmt: skip


def upgrade() -> None:
    kind = sa.Enum(*KINDS, name="kind", native_enum=False, length=32, create_constraint=False)
    op.add_column("caption_tracks", sa.Column("kind", kind, server_default="captions", nullable=False))
    op.create_check_constraint(op.f("ck_caption_tracks_kind"), "caption_tracks", "kind IN ('captions', 'translation')")
    op.add_column("caption_tracks", sa.Column("revision", sa.Integer(), server_default="0", nullable=False))
    op.add_column("caption_tracks", sa.Column("reviewed_version", sa.Integer()))
    op.add_column("caption_tracks", sa.Column("approved_at", AT))
    op.add_column("caption_tracks", sa.Column("approved_by_id", sa.Uuid()))
    op.create_foreign_key(
        op.f("fk_caption_tracks_approved_by_id_people"),
        "caption_tracks", "people", ["approved_by_id"], ["id"], ondelete="SET NULL",
    )  # fmt: skip
    op.add_column("caption_tracks", sa.Column("published_version", sa.Integer()))
    op.add_column("caption_tracks", sa.Column("published_at", AT))
    op.execute(
        "UPDATE caption_tracks SET reviewed_version = current_version, published_version = current_version, "
        "published_at = reviewed_at WHERE reviewed_at IS NOT NULL AND current_version > 0"
    )
    op.add_column("caption_versions", sa.Column("parent", sa.Integer()))
    op.add_column("caption_versions", sa.Column("note", sa.String(200), server_default="", nullable=False))
    op.add_column("caption_versions", sa.Column("revision", sa.Integer(), server_default="0", nullable=False))
    op.add_column("caption_versions", sa.Column("updated_at", AT, server_default=NOW, nullable=False))
    op.execute("UPDATE caption_versions SET updated_at = created_at")
    op.add_column("cues", sa.Column("checked", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("cues", sa.Column("doubtful", postgresql.ARRAY(sa.String(100)), server_default="{}", nullable=False))


def downgrade() -> None:
    """Who checked what, and which version viewers see, is lost."""
    for column in ("doubtful", "checked"):
        op.drop_column("cues", column)
    for column in ("updated_at", "revision", "note", "parent"):
        op.drop_column("caption_versions", column)
    for column in reversed(TRACK):
        op.drop_column("caption_tracks", column)
