"""Evaluations: what people scored after watching."""

from __future__ import annotations

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, WithTimes


class Evaluation(WithId, WithTimes, Base):
    """One person's evaluation of one recording; sending it again replaces the scores."""

    __tablename__ = "evaluations"
    __table_args__ = (UniqueConstraint("recording_id", "person_id"),)

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    reflection: Mapped[str] = mapped_column(Text, default="", server_default="")

    scores: Mapped[list[Score]] = relationship(cascade="all, delete-orphan")


class Score(Base):
    """A score from 1 to 5 for one question."""

    __tablename__ = "scores"
    __table_args__ = (CheckConstraint("value BETWEEN 1 AND 5", name="one_to_five"),)

    evaluation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    question_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evaluation_questions.id"), primary_key=True, index=True)
    value: Mapped[int] = mapped_column(SmallInteger)
