"""Grants: that an audience may see a recording or a case, from when, until when, and why; and requests for one."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, choice
from app.db.cases import Case
from app.db.people import Group, Person
from app.db.places import Area, Organisation
from app.db.recordings import Recording


class GrantRight(enum.StrEnum):
    """What a grant lets its audience do. Downloading never comes by itself: it takes a grant of its own."""

    WATCH = "watch"
    DOWNLOAD = "download"


class Grant(WithId, Base):
    """Exactly one audience: an area (and all within it), an organisation, a group or a person; and exactly one thing: a
    recording, or a case with all recordings of it, those to come included.

    A grant that `needs_approval` is not in force before `approved_at`. Grants are never deleted while their thing
    lives: `revoked_at` ends one and keeps its history.
    """

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint("num_nonnulls(area_id, organisation_id, group_id, person_id) = 1", name="one_audience"),
        CheckConstraint("num_nonnulls(recording_id, case_id) = 1", name="one_thing"),
        CheckConstraint(
            "\"right\" <> 'download' OR (ends_at IS NOT NULL AND reason <> '')", name="download_is_bounded"
        ),
        CheckConstraint("ends_at IS NULL OR ends_at > starts_at", name="ends_after_start"),
    )

    recording_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    case_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"), index=True)
    right: Mapped[GrantRight] = mapped_column(
        choice(GrantRight, "right"), default=GrantRight.WATCH, server_default="watch"
    )
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
    #: set for an audience wider than the region of whoever gave it
    needs_approval: Mapped[bool] = mapped_column(default=False, server_default="false")
    approved_at: Mapped[datetime | None]
    approved_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    refused_at: Mapped[datetime | None]
    #: what was said when it was approved or refused
    answer: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: when its owner was last told that it will end soon
    reminded_at: Mapped[datetime | None]

    recording: Mapped[Recording | None] = relationship()
    case: Mapped[Case | None] = relationship()
    created_by: Mapped[Person | None] = relationship(foreign_keys=[created_by_id])
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


class AccessCode(WithId, Base):
    """A code with which somebody who may not watch a recording can ask to. Its owner hands it out; kept as SHA-256."""

    __tablename__ = "access_codes"

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class RequestOutcome(enum.StrEnum):
    """How a request ended."""

    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class AccessRequest(WithId, Base):
    """That a person asks to watch a recording. Only one of a person and recording is open at a time."""

    __tablename__ = "access_requests"
    __table_args__ = (
        Index(
            "uq_access_requests_open",
            "recording_id",
            "person_id",
            unique=True,
            postgresql_where=text("outcome IS NULL"),
        ),
        CheckConstraint("(outcome IS NULL) = (decided_at IS NULL)", name="decided_with_outcome"),
    )

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    code_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("access_codes.id", ondelete="SET NULL"))
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    outcome: Mapped[RequestOutcome | None] = mapped_column(choice(RequestOutcome, "outcome"))
    decided_at: Mapped[datetime | None]
    decided_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    #: what was said when it was refused
    answer: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: when its recording's owner was told of it
    told_at: Mapped[datetime | None]
    grant_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("grants.id", ondelete="SET NULL"))

    recording: Mapped[Recording] = relationship()
    person: Mapped[Person] = relationship(foreign_keys=[person_id])
