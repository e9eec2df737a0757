"""Looking at the pages as somebody else does: for an admin, read-only, for half an hour, with a reason, in the audit.

What an admin sees then is what that person sees and the admin may see as well: helping somebody is no way around the
rules that keep a recording from the admin.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from app import clock
from app.access import Action, Actor, load, policy
from app.db.people import Person
from app.db.sign_in import WebSession
from app.domain import audit, people
from app.errors import Conflict, Forbidden, Invalid

LASTS = timedelta(minutes=30)


def may(session: Session, actor: Actor, person: Person) -> bool:
    """Whether the actor may look as this person: another person whom they administer, and to whose every role they
    could appoint. Nobody looks through two people's eyes, and no token or frame through any."""
    if actor.kind != "person" or person.id == actor.person_id:
        return False
    administers = policy.allows(session, actor, Action.PERSON_ADMINISTER, person.id, clock.now())
    return administers and people.may_reset(session, actor, person)


def start(session: Session, actor: Actor, session_id: uuid.UUID, person: Person, reason: str) -> datetime:
    """Let a browser session look as a person from its next request on. Returns until when.

    Raises:
        Forbidden: the actor may not look as this person.
        Conflict: the person's account is stopped.
        Invalid: no reason.
    """
    if not may(session, actor, person):
        raise Forbidden("You can only look as somebody else whom you administer, and to whose roles you could appoint.")
    if not reason.strip():
        sentence = "Enter why you need to see Vignette as they do"
        raise Invalid(sentence, fields={"reason": sentence})
    now = clock.now()
    if not load(session, person.id, now).active:
        raise Conflict("Their account is stopped, so there is nothing to see.")
    until = now + LASTS
    _keep(session, session_id, person.id, until)
    audit.record(
        session, actor, "view-as:start", "person", person.id, reason=reason, until=until.isoformat(timespec="seconds")
    )
    return until


def stop(session: Session, actor: Actor, session_id: uuid.UUID) -> None:
    """End it. Doing it twice is doing it once."""
    if actor.seen_by is not None:
        audit.record(session, actor, "view-as:stop", "person", actor.person_id)
    _keep(session, session_id, None, None)


def look(session: Session, actor: Actor, page: str, **ids: str) -> None:
    """Write down that a page was looked at. `page` is the name of its route, `ids` what its address names."""
    audit.record(session, actor, "view-as:look", "person", actor.person_id, page=page, **ids)


def actor_for(session: Session, real: Actor, person_id: uuid.UUID, until: datetime | None) -> Actor:
    """With which actor a request of such a session goes on: the person's, seen by the real one; or the real one alone,
    once the time is over, the person's account is stopped, or the right to look has gone."""
    now = clock.now()
    if until is None or until <= now or not real.active:
        return real
    person = session.get(Person, person_id)
    if person is None or not may(session, real, person):
        return real
    whose = load(session, person_id, now)
    return whose.looked_at_by(real) if whose.active else real


def _keep(session: Session, session_id: uuid.UUID, person_id: uuid.UUID | None, until: datetime | None) -> None:
    session.execute(
        update(WebSession).where(WebSession.id == session_id).values(view_as_id=person_id, view_as_until=until)
    )
