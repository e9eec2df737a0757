"""Looks that are written down although they change nothing: those of admins and custodians at what is not their own."""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from app import clock
from app.access import Actor, oversight
from app.db.people import Person
from app.db.recordings import Recording
from app.domain import audit


def at_person(session: Session, actor: Actor, person: Person) -> None:
    """Somebody opened a person's page."""
    audit.record(session, actor, "person:look", "person", person.id)


def at_recording(session: Session, actor: Actor, recording: Recording) -> None:
    """Somebody opened a recording; written down when only an admin's or custodian's role lets them."""
    if oversight.only_as_keeper(session, actor, recording, clock.now()):
        audit.record(session, actor, "recording:look", "recording", recording.id)


def at_sharing(session: Session, actor: Actor, recording: Recording) -> None:
    """The same for who sees a recording."""
    if oversight.only_as_keeper(session, actor, recording, clock.now()):
        audit.record(session, actor, "sharing:look", "recording", recording.id)


def why(session: Session, actor: Actor, person: Person, kind: str, thing_id: uuid.UUID) -> None:
    """Somebody asked why a person sees a thing, or, where the thing is that person, what they see at all."""
    audit.record(session, actor, "access:explain", kind, thing_id, person=str(person.id))
