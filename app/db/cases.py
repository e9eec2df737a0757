"""Cases: the real, anonymised situations that training is built on."""

from __future__ import annotations

import enum
import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, Column, ForeignKey, String, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, WithTimes, choice
from app.db.people import Person
from app.db.places import Area, Organisation
from app.db.vocabulary import FrameworkDomain, Term

case_terms = Table(
    "case_terms",
    Base.metadata,
    Column("case_id", ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("term_id", ForeignKey("terms.id"), primary_key=True, index=True),
)
case_domains = Table(
    "case_domains",
    Base.metadata,
    Column("case_id", ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("domain_id", ForeignKey("framework_domains.id"), primary_key=True, index=True),
)


class CaseStatus(enum.StrEnum):
    """Whether training may still use the case."""

    LIVE = "live"
    RETIRED = "retired"


class Case(WithId, WithTimes, Base):
    """A case. It belongs to an area or an organisation; with neither it belongs to all facilitators."""

    __tablename__ = "cases"
    __table_args__ = (CheckConstraint("num_nonnulls(area_id, organisation_id) <= 1", name="one_place"),)

    title: Mapped[str] = mapped_column(String(200))
    summary: Mapped[str] = mapped_column(Text, default="", server_default="")
    content_notice: Mapped[str] = mapped_column(Text, default="", server_default="")
    origin_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("terms.id"))
    status: Mapped[CaseStatus] = mapped_column(
        choice(CaseStatus, "status"), default=CaseStatus.LIVE, server_default="live"
    )
    review_on: Mapped[date | None]
    reviewed_on: Mapped[date | None]
    retired_at: Mapped[datetime | None]
    invented: Mapped[bool] = mapped_column(default=False, server_default="false")
    glossary: Mapped[list[str]] = mapped_column(ARRAY(String(100)), default=list, server_default="{}")
    identifying_names: Mapped[list[str]] = mapped_column(ARRAY(String(100)), default=list, server_default="{}")
    area_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("areas.id"), index=True)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))

    origin: Mapped[Term | None] = relationship()
    terms: Mapped[list[Term]] = relationship(secondary=case_terms, order_by=Term.position)
    domains: Mapped[list[FrameworkDomain]] = relationship(
        secondary=case_domains, order_by=(FrameworkDomain.framework_id, FrameworkDomain.position)
    )
    area: Mapped[Area | None] = relationship()
    organisation: Mapped[Organisation | None] = relationship()
    created_by: Mapped[Person | None] = relationship()
