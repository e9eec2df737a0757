"""Viewings: that somebody watched a recording, from when to when, and how many seconds of it were played."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, WithId


class Viewing(WithId, Base):
    """One sitting. It is open while positions come in; closing it writes the audit event that stays."""

    __tablename__ = "viewings"
    __table_args__ = (Index("ix_viewings_recording_id_started_at", "recording_id", "started_at"),)

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    actor_kind: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    #: seconds of playing, counted by the server's clock between positions; never more than the time that passed
    seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    ended_at: Mapped[datetime | None]
