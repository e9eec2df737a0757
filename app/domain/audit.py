"""Writing down who did what, in the transaction of the act."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.orm import Session

from app.access import Actor
from app.db.audit import AuditEvent

_REQUEST_ID = "vignette_request_id"


def request_is(session: Session, request_id: str) -> None:
    """Name the request that this session works for; its audit events carry the id."""
    session.info[_REQUEST_ID] = request_id


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject_kind: str,
    subject_id: uuid.UUID | None = None,
    **detail: Any,
) -> None:
    """Add an audit event to the session. `detail` holds names of fields, ids and dates: never people's words."""
    session.add(
        AuditEvent(
            person_id=actor.person_id,
            actor_kind=actor.kind,
            action=action,
            subject_kind=subject_kind,
            subject_id=subject_id,
            request_id=session.info.get(_REQUEST_ID, ""),
            detail=detail,
        )
    )
