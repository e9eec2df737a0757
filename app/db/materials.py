"""Training materials: an ordered plan of clips and notes, never seen by more people than its parts."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, WithTimes, choice
from app.db.people import Person
from app.db.places import Area, Organisation
from app.db.recordings import Recording


class Material(WithId, WithTimes, Base):
    """A plan for a training session. `published_at` empty: only its makers see it."""

    __tablename__ = "materials"
    __table_args__ = (CheckConstraint("num_nonnulls(area_id, organisation_id) <= 1", name="one_place"),)

    title: Mapped[str] = mapped_column(String(200))
    introduction: Mapped[str] = mapped_column(Text, default="", server_default="")
    published_at: Mapped[datetime | None]
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"), index=True)
    area_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("areas.id"), index=True)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)

    owner: Mapped[Person | None] = relationship()
    area: Mapped[Area | None] = relationship()
    organisation: Mapped[Organisation | None] = relationship()
    items: Mapped[list[MaterialItem]] = relationship(
        back_populates="material", order_by="MaterialItem.position", cascade="all, delete-orphan"
    )
    embed_hosts: Mapped[list[EmbedHost]] = relationship(order_by="EmbedHost.host", cascade="all, delete-orphan")


class MaterialItemKind(enum.StrEnum):
    """What stands at a place in a material."""

    CLIP = "clip"
    NOTE = "note"


class MaterialItem(WithId, Base):
    """A clip (a recording, whole or from `start_ms` to `end_ms`) or a note (plain text with blank-line paragraphs)."""

    __tablename__ = "material_items"
    __table_args__ = (
        UniqueConstraint("material_id", "position", deferrable=True, initially="DEFERRED"),
        CheckConstraint("(kind = 'clip') = (recording_id IS NOT NULL)", name="clip_has_recording"),
        CheckConstraint("end_ms IS NULL OR end_ms > coalesce(start_ms, 0)", name="ends_after_start"),
    )

    material_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("materials.id", ondelete="CASCADE"))
    position: Mapped[int]
    kind: Mapped[MaterialItemKind] = mapped_column(choice(MaterialItemKind, "kind"))
    recording_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("recordings.id"), index=True)
    start_ms: Mapped[int | None]
    end_ms: Mapped[int | None]
    text: Mapped[str] = mapped_column(Text, default="", server_default="")

    material: Mapped[Material] = relationship(back_populates="items")
    recording: Mapped[Recording | None] = relationship()


class EmbedHost(Base):
    """A host whose pages may show the material in a frame."""

    __tablename__ = "embed_hosts"

    material_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("materials.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(String(253), primary_key=True)
