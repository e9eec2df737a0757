"""The rules about grants and requests for one: who keeps them, who approves them, who answers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, or_

from app.access.actor import Actor
from app.access.rules import Predicate, Rule, placed_in
from app.db.cases import Case
from app.db.grants import AccessRequest, Grant
from app.db.people import Role
from app.db.recordings import Recording


def grant_waits(now: datetime) -> ColumnElement[bool]:
    """Grants that somebody must still approve or refuse."""
    return and_(
        Grant.needs_approval.is_(True),
        Grant.approved_at.is_(None),
        Grant.refused_at.is_(None),
        Grant.revoked_at.is_(None),
        or_(Grant.ends_at.is_(None), Grant.ends_at > now),
    )


def grant_on(may_publish: Predicate, may_share: Predicate) -> Predicate:
    """Grants on a recording that the actor may publish, or on a case that they may share."""

    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        recording = exists().where(Recording.id == Grant.recording_id, may_publish(actor, now))
        case = exists().where(Case.id == Grant.case_id, may_share(actor, now))
        return or_(recording.correlate_except(Recording), case.correlate_except(Case))

    return holds


def request_for(may_publish: Predicate) -> Predicate:
    """Requests for a recording that the actor may publish."""

    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        recording = exists().where(Recording.id == AccessRequest.recording_id, may_publish(actor, now))
        return recording.correlate_except(Recording)

    return holds


def _asked_by_another(actor: Actor, now: datetime) -> ColumnElement[bool]:
    return Grant.created_by_id.is_distinct_from(actor.person_id)


ADMINISTERS_AUDIENCE = Rule(
    "administers",
    "they are an admin of the whole place that it is for",
    lambda actor, now: placed_in(actor.over(Role.ADMIN), Grant.area_id, Grant.organisation_id),
)
WAITS = Rule("waits", "it waits for approval", lambda actor, now: grant_waits(now))
ASKED_BY_ANOTHER = Rule("another", "somebody else gave it", _asked_by_another)
IS_OPEN = Rule("open", "it has not been answered", lambda actor, now: AccessRequest.outcome.is_(None))
