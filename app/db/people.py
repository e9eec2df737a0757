"""People, the roles that they hold over places, and the groups that they belong to."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, WithTimes, choice
from app.db.places import Area, Organisation


class Role(enum.StrEnum):
    """What a person may be over a place."""

    VIEWER = "viewer"
    FACILITATOR = "facilitator"
    ADMIN = "admin"
    CUSTODIAN = "custodian"


class Person(WithId, WithTimes, Base):
    """Somebody who can sign in. `email` is kept as typed; it is compared in lower case."""

    __tablename__ = "people"
    __table_args__ = (Index("uq_people_email_lower", text("lower(email)"), unique=True),)

    email: Mapped[str] = mapped_column(String(320))
    name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    password_hash: Mapped[str | None] = mapped_column(String(300))
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    suspended_at: Mapped[datetime | None]
    #: when they left the programme: suspended, without roles and groups
    left_at: Mapped[datetime | None]
    last_signed_in_at: Mapped[datetime | None]

    organisation: Mapped[Organisation | None] = relationship()
    roles: Mapped[list[RoleAssignment]] = relationship(
        back_populates="person", cascade="all, delete-orphan", foreign_keys="RoleAssignment.person_id"
    )

    @property
    def display_name(self) -> str:
        """What pages call this person."""
        return self.name or self.email


class RoleAssignment(WithId, Base):
    """A role held over an area, over an organisation, or, when both are empty, everywhere."""

    __tablename__ = "role_assignments"
    __table_args__ = (CheckConstraint("num_nonnulls(area_id, organisation_id) <= 1", name="one_place"),)

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role] = mapped_column(choice(Role, "role"))
    area_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("areas.id"), index=True)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    ends_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    #: when somebody who could give it last said that it is still right (re-certification); until then its creation counts
    confirmed_at: Mapped[datetime | None]
    confirmed_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    #: what keeps it: empty for people, `openid:<key>` for a provider's rules, which take it away when they fit no more
    source: Mapped[str] = mapped_column(String(64), default="", server_default="")

    person: Mapped[Person] = relationship(back_populates="roles", foreign_keys=[person_id])
    area: Mapped[Area | None] = relationship()
    organisation: Mapped[Organisation | None] = relationship()

    @property
    def place_name(self) -> str:
        """Where the role holds, in words."""
        if self.area is not None:
            return self.area.name
        return self.organisation.name if self.organisation is not None else "everywhere"


class Group(WithId, WithTimes, Base):
    """A set of people with a name, such as a cohort on a course. It belongs to a place, whose admins keep it, beside the
    managers that they name. After `ends_at` nobody is in it any more."""

    __tablename__ = "groups"
    __table_args__ = (CheckConstraint("num_nonnulls(area_id, organisation_id) <= 1", name="one_place"),)

    name: Mapped[str] = mapped_column(String(200))
    area_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("areas.id"), index=True)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    ends_at: Mapped[datetime | None]


class GroupManager(Base):
    """That a person keeps the members of a group. It gives nothing else: who manages is not in the group by that."""

    __tablename__ = "group_managers"

    group_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class GroupMembership(Base):
    """That a person is in a group, for ever or until a moment."""

    __tablename__ = "group_memberships"

    group_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    ends_at: Mapped[datetime | None]
