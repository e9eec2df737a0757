"""Worker processes as they tell of themselves."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, WithId, choice


class WorkerState(enum.StrEnum):
    """What a worker does. A draining one takes no new job and finishes what it has; a drained one has nothing left and
    waits; one that is gone has ended or has not been heard of for long."""

    WORKING = "working"
    DRAINING = "draining"
    DRAINED = "drained"
    GONE = "gone"


class Worker(WithId, Base):
    """One worker process. `facts` is what it measures of its machine: see `workers.machine`."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(100), unique=True)
    machine: Mapped[str] = mapped_column(String(64))
    pid: Mapped[int]
    queues: Mapped[list[str]] = mapped_column(JSONB)
    state: Mapped[WorkerState] = mapped_column(choice(WorkerState, "state"), default=WorkerState.WORKING)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=func.now())
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
