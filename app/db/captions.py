"""Caption tracks, their kept versions, and the cues that search reads."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, choice
from app.db.people import Person
from app.db.recordings import Recording


class CaptionOrigin(enum.StrEnum):
    """How a version came to be."""

    AUTOMATIC = "automatic"
    EDITED = "edited"
    IMPORTED = "imported"


class CaptionKind(enum.StrEnum):
    """Whether a track is in the language that is spoken, or a translation of it."""

    CAPTIONS = "captions"
    TRANSLATION = "translation"


class CaptionTrack(WithId, Base):
    """The captions of a recording in one language. It is automatic until a person has reviewed it.

    The numbers name versions: `current_version` is the one that people work on, `reviewed_version` the last that
    somebody marked as checked, `published_version` the one that viewers see (empty: none). `revision` counts every change
    of what is current; whoever saves names the revision that they began from.
    """

    __tablename__ = "caption_tracks"
    __table_args__ = (UniqueConstraint("recording_id", "language"),)

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    language: Mapped[str] = mapped_column(String(16))
    kind: Mapped[CaptionKind] = mapped_column(
        choice(CaptionKind, "kind"), default=CaptionKind.CAPTIONS, server_default="captions"
    )
    current_version: Mapped[int] = mapped_column(default=0, server_default="0")
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    reviewed_version: Mapped[int | None]
    reviewed_at: Mapped[datetime | None]
    reviewed_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    approved_at: Mapped[datetime | None]
    approved_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    published_version: Mapped[int | None]
    published_at: Mapped[datetime | None]

    recording: Mapped[Recording] = relationship()
    reviewed_by: Mapped[Person | None] = relationship(foreign_keys=reviewed_by_id)
    approved_by: Mapped[Person | None] = relationship(foreign_keys=approved_by_id)
    versions: Mapped[list[CaptionVersion]] = relationship(order_by="CaptionVersion.number", back_populates="track")


class CaptionVersion(WithId, Base):
    """One kept state of a track. A version without cues says that no speech was found.

    `parent` is the number of the version that it was made from. A person's version takes up what they save until they
    pause, until somebody else saves, or until it has been reviewed; `revision` is the track's at its last save.
    """

    __tablename__ = "caption_versions"
    __table_args__ = (UniqueConstraint("track_id", "number"),)

    track_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("caption_tracks.id", ondelete="CASCADE"))
    number: Mapped[int]
    origin: Mapped[CaptionOrigin] = mapped_column(choice(CaptionOrigin, "origin"))
    engine: Mapped[str] = mapped_column(String(100), default="", server_default="")
    model: Mapped[str] = mapped_column(String(100), default="", server_default="")
    parent: Mapped[int | None]
    note: Mapped[str] = mapped_column(String(200), default="", server_default="")
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))

    created_by: Mapped[Person | None] = relationship()
    track: Mapped[CaptionTrack] = relationship(back_populates="versions")
    cues: Mapped[list[Cue]] = relationship(order_by="Cue.position", cascade="all, delete-orphan")


class Cue(Base):
    """One caption: from/until in milliseconds of played time, at most two lines in `text` parted by a newline.

    `checked`: a person has compared it with the sound. `doubtful` are the words of it that the engine was unsure of.
    """

    __tablename__ = "cues"
    __table_args__ = (
        CheckConstraint("start_ms >= 0 AND end_ms > start_ms", name="times_in_order"),
        Index("ix_cues_search", "search", postgresql_using="gin"),
        # for tracks in other languages than English, whose words are looked for as they are written
        Index("ix_cues_words", text("to_tsvector('simple'::regconfig, text)"), postgresql_using="gin"),
    )

    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("caption_versions.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    start_ms: Mapped[int]
    end_ms: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    speaker: Mapped[str] = mapped_column(String(60), default="", server_default="")
    confidence: Mapped[float | None]
    checked: Mapped[bool] = mapped_column(default=False, server_default="false")
    doubtful: Mapped[list[str]] = mapped_column(ARRAY(String(100)), default=list, server_default="{}")
    search: Mapped[Any] = mapped_column(
        TSVECTOR, Computed("to_tsvector('english', text)", persisted=True), deferred=True
    )
