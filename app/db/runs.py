"""The run ledger: each passage of a recording through a workflow, and each stage of it."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, choice
from app.db.recordings import Recording


class RunState(enum.StrEnum):
    """Where a run is. The last three are final."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StageState(enum.StrEnum):
    """Where a stage run is: waiting for what it needs, queued, running, or one of four ends."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Run(WithId, Base):
    """One passage of a recording through a workflow; at most one is unfinished per recording.

    `priority` is that of its jobs: higher ones go first, 0 is ordinary. One that `replaces` keeps what it makes to itself
    until it has succeeded, because there is something to watch already; then all of it takes its place at once.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "uq_runs_one_unfinished",
            "recording_id",
            unique=True,
            postgresql_where=text("state IN ('running', 'cancelling')"),
        ),
        Index("ix_runs_created_at_id", "created_at", "id"),
    )

    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    workflow: Mapped[str] = mapped_column(String(64))
    state: Mapped[RunState] = mapped_column(
        choice(RunState, "state"), default=RunState.RUNNING, server_default="running"
    )
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    plan: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    reason_code: Mapped[str] = mapped_column(String(64), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    requested_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    replaces: Mapped[bool] = mapped_column(default=False, server_default="false")

    recording: Mapped[Recording] = relationship()
    stages: Mapped[list[StageRun]] = relationship(
        back_populates="run", cascade="all, delete-orphan", order_by="StageRun.position, StageRun.chunk"
    )


class StageRun(WithId, Base):
    """One stage of a run; a stage that works by chunks has a row per chunk, others have chunk 0.

    `attempt` grows each time a worker takes the stage up; a finish counts only when it names the present attempt, so a
    worker that froze and woke up late can change nothing. `waits_for` says what a queued stage waits for when workers
    have come by and could not take it up; empty otherwise.
    """

    __tablename__ = "stage_runs"
    __table_args__ = (
        UniqueConstraint("run_id", "stage", "chunk"),
        # workers ask every minute which recordings wait for a speech model: few, among a great many stages
        Index(
            "ix_stage_runs_no_model",
            "run_id",
            postgresql_where=text("state = 'skipped' AND (outputs ->> 'why') = 'no-model'"),
        ),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    stage: Mapped[str] = mapped_column(String(64))
    chunk: Mapped[int] = mapped_column(default=0, server_default="0")
    position: Mapped[int]
    state: Mapped[StageState] = mapped_column(
        choice(StageState, "state"), default=StageState.WAITING, server_default="waiting"
    )
    attempt: Mapped[int] = mapped_column(default=0, server_default="0")
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    progress: Mapped[float] = mapped_column(default=0.0, server_default="0")
    fingerprint: Mapped[str] = mapped_column(String(64), default="", server_default="")
    outputs: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    error: Mapped[str] = mapped_column(Text, default="", server_default="")
    waits_for: Mapped[str] = mapped_column(Text, default="", server_default="")
    worker: Mapped[str] = mapped_column(String(100), default="", server_default="")
    cpu_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    run: Mapped[Run] = relationship(back_populates="stages")
