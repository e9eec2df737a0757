"""Audit events: who did or saw what, written in the transaction of the act, and the chain that shows that none is missing.

The application may add events and read them. A deferred trigger of the database adds each to the chain when its
transaction commits (migration 0003), so that the order of the chain is the order of the commits.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class AuditEvent(Base):
    """One act. `detail` names fields and ids, never what people said or wrote; `reason` is why, where one was asked for.

    `person_id` has no foreign key: what somebody did stays written when they are deleted.
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_subject", "subject_kind", "subject_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
    person_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    actor_kind: Mapped[str] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[uuid.UUID | None]
    request_id: Mapped[str] = mapped_column(String(64), default="", server_default="")
    #: the network address of the request; empty for the command line and jobs
    address: Mapped[str] = mapped_column(String(64), default="", server_default="")
    reason: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")


class AuditLink(Base):
    """One link of the chain: SHA-256 over the link before and the event. Numbered from 1 without a gap."""

    __tablename__ = "audit_chain"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("audit_events.id"), unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
