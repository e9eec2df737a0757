"""Grants: that an audience may see a recording, from when, until when, and why."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId
from app.db.people import Group, Person
from app.db.places import Area, Organisation
from app.db.recordings import Recording


class Grant(WithId, Base):
    """Exactly one audience: an area (and all within it), an organisation, a group or a person.

    Grants are never deleted while the recording lives: `revoked_at` ends one and keeps its history.
    """

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint("num_nonnulls(area_id, organisation_id, group_id, person_id) = 1", name="one_audience"),
        CheckConstraint("ends_at IS NULL OR ends_at > starts_at", name="ends_after_start"),
    )

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    area_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("areas.id"), index=True)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    group_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    starts_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ends_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    revoked_at: Mapped[datetime | None]
    revoked_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))

    recording: Mapped[Recording] = relationship()
    area: Mapped[Area | None] = relationship()
    organisation: Mapped[Organisation | None] = relationship()
    group: Mapped[Group | None] = relationship()
    person: Mapped[Person | None] = relationship(foreign_keys=[person_id])

    @property
    def audience_name(self) -> str:
        """Who this grant is for, in words."""
        if self.area is not None:
            return f"everyone in {self.area.name}"
        if self.organisation is not None:
            return f"everyone at {self.organisation.name}"
        if self.group is not None:
            return f"the group {self.group.name}"
        if self.person is None:
            raise ValueError("a grant without an audience cannot be stored")
        return self.person.display_name
