"""Audio description: for each recording a decision that none is needed, a described version, or neither: missing.

A described version is a recording of its own, of the same case, made like any other: filmed or cut again with a voice that
says what is seen, captioned, and shared by its own grants. So it needs no way round the policy: whoever may not view it
is told no more than that there is none for them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import Action, Actor, policy
from app.db.descriptions import AudioDescription, DescriptionStatus
from app.db.recordings import Recording, RecordingState
from app.domain import audit
from app.errors import Invalid

MISSING = "missing"
STATUSES = (MISSING, DescriptionStatus.NOT_NEEDED.value, DescriptionStatus.DESCRIBED.value)
MOST_REASON = 500
CHOOSE = "Select the recording that is the described version"


@dataclass(frozen=True)
class Told:
    """What the actor is told of a recording's audio description. `described` is there only if they may view it; `of` is
    the recording whose described version this one is, under the same condition."""

    status: str
    reason: str = ""
    by: str = ""
    at: datetime | None = None
    described: Recording | None = None
    of: Recording | None = None


def decision(session: Session, recording_id: uuid.UUID) -> AudioDescription | None:
    """What was decided of a recording, or None where nobody has: one query."""
    return session.scalar(
        select(AudioDescription)
        .where(AudioDescription.recording_id == recording_id)
        .options(joinedload(AudioDescription.decided_by))
    )


def told(session: Session, actor: Actor, recording: Recording) -> Told:
    """What the actor is told of a recording that they may view: two queries."""
    made = session.scalars(
        select(AudioDescription)
        .where(or_(AudioDescription.recording_id == recording.id, AudioDescription.described_id == recording.id))
        .options(joinedload(AudioDescription.decided_by))
        .order_by(AudioDescription.decided_at, AudioDescription.recording_id)
    ).all()
    own = next((row for row in made if row.recording_id == recording.id), None)
    beside = [row.recording_id for row in made if row is not own]
    wanted = [*beside, *([own.described_id] if own is not None and own.described_id is not None else [])]
    found: dict[uuid.UUID, Recording] = {}
    if wanted:
        query = policy.visible(actor, Action.RECORDING_VIEW, clock.now()).where(
            Recording.id.in_(wanted), Recording.state != RecordingState.WITHDRAWN
        )
        found = {row.id: row for row in session.scalars(query)}
    original = next((found[one] for one in beside if one in found), None)
    if own is None:
        return Told(MISSING, of=original)
    by = own.decided_by.name or own.decided_by.email if own.decided_by is not None else ""
    if own.status is DescriptionStatus.NOT_NEEDED:
        return Told(own.status.value, own.reason, by, own.decided_at, of=original)
    described = found.get(own.described_id) if own.described_id is not None else None
    if described is None and not policy.allows(session, actor, Action.RECORDING_MANAGE, recording.id, clock.now()):
        return Told(MISSING, of=original)  # for them there is none
    return Told(own.status.value, own.reason, by, own.decided_at, described, original)


def candidates(session: Session, actor: Actor, recording: Recording) -> Sequence[Recording]:
    """The recordings that can be named as the described version: others of the same case that the actor may edit."""
    return session.scalars(
        policy.visible(actor, Action.RECORDING_EDIT, clock.now())
        .where(Recording.case_id == recording.case_id, Recording.id != recording.id)
        .order_by(Recording.title, Recording.id)
        .limit(200)
    ).all()


def decide(
    session: Session,
    actor: Actor,
    recording: Recording,
    status: str,
    *,
    reason: str = "",
    described_id: uuid.UUID | None = None,
) -> None:
    """Keep what was decided; "missing" takes a decision back. The caller has asked the policy.

    Raises:
        Invalid: no such status, no reason why none is needed, or no recording that can be named.
    """
    reason = " ".join(reason.split())
    if status not in STATUSES:
        raise Invalid(
            "Select what is true of this recording", fields={"status": "Select what is true of this recording"}
        )
    if len(reason) > MOST_REASON:
        sentence = f"The reason must be {MOST_REASON} characters or fewer"
        raise Invalid(sentence, fields={"reason": sentence})
    if status == DescriptionStatus.NOT_NEEDED and not reason:
        raise Invalid("Say why none is needed", fields={"reason": "Say why none is needed"})
    if status == DescriptionStatus.DESCRIBED:
        known = {row.id for row in candidates(session, actor, recording)}
        if described_id is None or described_id not in known:
            raise Invalid(CHOOSE, fields={"described": CHOOSE})
    else:
        described_id = None
    row = session.get(AudioDescription, recording.id, with_for_update=True)
    if status == MISSING:
        if row is None:
            return
        session.delete(row)
    else:
        row = row or AudioDescription(recording_id=recording.id)
        row.status, row.reason, row.described_id = DescriptionStatus(status), reason, described_id
        row.decided_by_id, row.decided_at = actor.person_id, clock.now()
        session.add(row)
    detail = {"described": str(described_id)} if described_id is not None else {}
    audit.record(
        session, actor, "recording:describe", "recording", recording.id, reason=reason, status=status, **detail
    )
    session.flush()


def followed_by_ear() -> ColumnElement[bool]:
    """Recordings that can be followed without the picture: described versions, and those that need none."""
    return or_(
        exists().where(AudioDescription.described_id == Recording.id).correlate_except(AudioDescription),
        exists()
        .where(AudioDescription.recording_id == Recording.id, AudioDescription.status == DescriptionStatus.NOT_NEEDED)
        .correlate_except(AudioDescription),
    )
