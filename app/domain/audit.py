"""Writing down who did or saw what, from where and why, in the transaction of the act."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.orm import Session

from app.access import Actor
from app.db.audit import AuditEvent

MOST_REASON = 1000
MOST_ADDRESS = 64
_REQUEST = "vignette_request"


def request_is(session: Session, request_id: str, address: str = "") -> None:
    """Name the request that this session works for, and the network address that it came from; audit events carry
    both. The command line and jobs have neither."""
    session.info[_REQUEST] = (request_id, address[:MOST_ADDRESS])


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject_kind: str,
    subject_id: uuid.UUID | None = None,
    *,
    reason: str = "",
    **detail: Any,
) -> None:
    """Add an audit event to the session.

    Args:
        reason: why, in the words of whoever was asked for it; what is longer than 1,000 characters is cut.
        detail: names of fields, ids, numbers and dates: never people's words.
    """
    if actor.seen_by is not None:
        detail["seen_as"] = str(actor.person_id)
    request_id, address = session.info.get(_REQUEST, ("", ""))
    session.add(
        AuditEvent(
            person_id=actor.real_id,
            actor_kind=actor.kind,
            action=action,
            subject_kind=subject_kind,
            subject_id=subject_id,
            request_id=request_id,
            address=address,
            reason=reason.strip()[:MOST_REASON],
            detail=detail,
        )
    )
