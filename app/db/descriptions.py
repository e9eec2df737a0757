"""Audio description: whether a recording needs one, and which other recording is its described version."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, choice
from app.db.people import Person
from app.db.recordings import Recording


class DescriptionStatus(enum.StrEnum):
    """What was decided. A recording without a row has no description, and nobody has decided yet: it is missing."""

    NOT_NEEDED = "not-needed"
    DESCRIBED = "described"


class AudioDescription(Base):
    """The decision on one recording: who made it, when, and why; or which recording says what is seen."""

    __tablename__ = "audio_descriptions"
    __table_args__ = (
        CheckConstraint("(status = 'described') = (described_id IS NOT NULL)", name="described_names_one"),
        CheckConstraint("described_id <> recording_id", name="of_another"),
    )

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True)
    status: Mapped[DescriptionStatus] = mapped_column(choice(DescriptionStatus, "status"))
    described_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    decided_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())

    recording: Mapped[Recording] = relationship(foreign_keys=recording_id)
    described: Mapped[Recording | None] = relationship(foreign_keys=described_id)
    decided_by: Mapped[Person | None] = relationship()
