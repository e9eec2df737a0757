"""The vocabulary: themes, professions, case origins, frameworks with their domains, evaluation questions.

All of it is data that can be edited; retired words stay for the cases that use them.
"""

from __future__ import annotations

import enum
import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, choice


class TermKind(enum.StrEnum):
    """The lists that a term can stand in."""

    THEME = "theme"
    PROFESSION = "profession"
    ORIGIN = "origin"
    CHARACTERISTIC = "characteristic"


class Term(WithId, Base):
    """One word of a flat list. `code` is stable and made from the first name."""

    __tablename__ = "terms"
    __table_args__ = (UniqueConstraint("kind", "code"),)

    kind: Mapped[TermKind] = mapped_column(choice(TermKind, "kind"))
    code: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    position: Mapped[int]
    retired_at: Mapped[datetime | None]


class Framework(WithId, Base):
    """A published quality framework. `confirmed` says how sure we are of its wording."""

    __tablename__ = "frameworks"

    code: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    supersedes_code: Mapped[str | None] = mapped_column(String(64))
    confirmed: Mapped[str] = mapped_column(String(200), default="", server_default="")

    domains: Mapped[list[FrameworkDomain]] = relationship(
        order_by="FrameworkDomain.position", back_populates="framework"
    )


class FrameworkDomain(WithId, Base):
    """One domain of a framework."""

    __tablename__ = "framework_domains"
    __table_args__ = (UniqueConstraint("framework_id", "position"),)

    framework_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("frameworks.id"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))

    framework: Mapped[Framework] = relationship(back_populates="domains")


class EvaluationQuestion(WithId, Base):
    """One question that is scored from 1 to 5 after watching."""

    __tablename__ = "evaluation_questions"

    text: Mapped[str] = mapped_column(String(300), unique=True)
    position: Mapped[int]
    low_label: Mapped[str] = mapped_column(String(60))
    high_label: Mapped[str] = mapped_column(String(60))
    retired_at: Mapped[datetime | None]
