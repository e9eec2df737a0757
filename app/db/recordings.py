"""Recordings: one filmed role play of a case, the upload that brings it, and the objects made of it."""

from __future__ import annotations

import enum
import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, WithTimes, choice
from app.db.cases import Case
from app.db.people import Person
from app.db.places import Area, Organisation
from app.db.vocabulary import Term

recording_terms = Table(
    "recording_terms",
    Base.metadata,
    Column("recording_id", ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True),
    Column("term_id", ForeignKey("terms.id"), primary_key=True, index=True),
)


class RecordingState(enum.StrEnum):
    """Where a recording is in its life. Whether it is published is a second question: `published_at`."""

    UPLOADING = "uploading"
    PROCESSING = "processing"
    READY = "ready"
    REJECTED = "rejected"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class Recording(WithId, WithTimes, Base):
    """One filmed role play of a case. `source_name` is what the uploader called the file: shown, never used as a path."""

    __tablename__ = "recordings"
    __table_args__ = (
        CheckConstraint("num_nonnulls(area_id, organisation_id) <= 1", name="one_place"),
        Index("ix_recordings_created_at_id", "created_at", "id"),
        Index("ix_recordings_title_search", "title_search", postgresql_using="gin"),
    )

    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    recorded_on: Mapped[date | None]
    state: Mapped[RecordingState] = mapped_column(
        choice(RecordingState, "state"), default=RecordingState.UPLOADING, server_default="uploading"
    )
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    reason_code: Mapped[str] = mapped_column(String(64), default="", server_default="")
    watchable_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    source_name: Mapped[str] = mapped_column(String(400), default="", server_default="")
    source_size: Mapped[int | None] = mapped_column(BigInteger)
    duration_ms: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    has_audio: Mapped[bool | None]
    #: Stream indexes of the tracks of sound that somebody chose, the usual one first; None leaves it to the source.
    sound_tracks: Mapped[list[int] | None] = mapped_column(JSONB(none_as_null=True))
    #: What of the uploaded file is missing: see `app.media.damage`.
    damage: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    #: a code of `app.captions.spoken`, "auto", or empty for what the instance's setting says
    spoken_language: Mapped[str] = mapped_column(String(16), default="", server_default="")
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"), index=True)
    area_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("areas.id"), index=True)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    title_search: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed("to_tsvector('english', title || ' ' || description)", persisted=True),
        deferred=True,
    )

    case: Mapped[Case] = relationship()
    owner: Mapped[Person | None] = relationship()
    area: Mapped[Area | None] = relationship()
    organisation: Mapped[Organisation | None] = relationship()
    terms: Mapped[list[Term]] = relationship(secondary=recording_terms, order_by=Term.position)
    artefacts: Mapped[list[Artefact]] = relationship(back_populates="recording", cascade="all, delete-orphan")
    chapters: Mapped[list[Chapter]] = relationship(order_by="Chapter.start_ms", cascade="all, delete-orphan")


class ArtefactKind(enum.StrEnum):
    """What an object in storage is."""

    SOURCE = "source"
    RENDITION = "rendition"
    AUDIO = "audio"
    DOWNLOAD = "download"
    POSTER = "poster"
    STORYBOARD = "storyboard"
    CAPTIONS = "captions"
    WORDS = "words"
    PEAKS = "peaks"


class Artefact(WithId, Base):
    """One object in storage that belongs to a recording for good.

    `name` tells artefacts of a kind apart (the rung of a rendition, the language of captions). `detail` is what reading
    it needs: the segment index and codecs of a rendition, the geometry of a storyboard. `verified_at` is when the object
    was last read whole and had its SHA-256.
    """

    __tablename__ = "artefacts"
    __table_args__ = (UniqueConstraint("recording_id", "kind", "name"),)

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    kind: Mapped[ArtefactKind] = mapped_column(choice(ArtefactKind, "kind"))
    name: Mapped[str] = mapped_column(String(64), default="", server_default="")
    key: Mapped[str] = mapped_column(String(300), unique=True)
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    verified_at: Mapped[datetime | None]

    recording: Mapped[Recording] = relationship(back_populates="artefacts")


class RetiredObject(WithId, Base):
    """An object that was an artefact until another took its place. Players that were told of it may ask for it until
    `until`; then it is removed. Columns are those of the artefact."""

    __tablename__ = "retired_objects"

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    kind: Mapped[ArtefactKind] = mapped_column(choice(ArtefactKind, "kind"))
    name: Mapped[str] = mapped_column(String(64), default="", server_default="")
    key: Mapped[str] = mapped_column(String(300), unique=True)
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    until: Mapped[datetime] = mapped_column(index=True)


class Chapter(WithId, Base):
    """A titled point in a recording."""

    __tablename__ = "chapters"

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    start_ms: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))


class UploadState(enum.StrEnum):
    """Where an upload is."""

    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Upload(WithId, WithTimes, Base):
    """A multipart upload of one source file; it can be taken up again until it is completed or cancelled."""

    __tablename__ = "uploads"

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"), index=True)
    state: Mapped[UploadState] = mapped_column(
        choice(UploadState, "state"), default=UploadState.OPEN, server_default="open"
    )
    key: Mapped[str] = mapped_column(String(300), unique=True)
    storage_upload_id: Mapped[str] = mapped_column(String(300))
    filename: Mapped[str] = mapped_column(String(400))
    size: Mapped[int] = mapped_column(BigInteger)
    last_modified: Mapped[int | None] = mapped_column(BigInteger)
    part_size: Mapped[int]

    recording: Mapped[Recording] = relationship()
    parts: Mapped[list[UploadPart]] = relationship(order_by="UploadPart.number", cascade="all, delete-orphan")


class UploadPart(Base):
    """The SHA-256 (base64, as S3 wants it) that was signed for one part; what S3 holds is asked of S3."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(44))


class WatchPosition(Base):
    """Where a person was in a recording."""

    __tablename__ = "watch_positions"

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    recording_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    position_ms: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class NoticeAcknowledgement(Base):
    """That a person has read a version of the notice on real cases."""

    __tablename__ = "notice_acknowledgements"

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    acknowledged_at: Mapped[datetime] = mapped_column(server_default=func.now())
