"""Invitations: a link with which somebody who was added comes in for the first time."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.db.people import Person
from app.db.sign_in import Identity, LinkPurpose, OneTimeLink
from app.domain import audit, mail, mailed_links, people, sign_in
from app.errors import Conflict, Forbidden
from app.settings import Settings

LIFE = timedelta(days=7)
KIND = "invitation"


@dataclass(frozen=True)
class Invitation:
    """What `invite` made. `link` is readable only now; where mail is set up nobody but the person needs it."""

    person_id: uuid.UUID
    link: str
    mailed: bool


@dataclass(frozen=True)
class Standing:
    """How somebody's first coming stands, for their page."""

    known: bool
    open_until: datetime | None
    #: what became of the mail: "sent", "waiting", "failed", or "" where none was written
    mail: str


def standing(session: Session, person: Person) -> Standing:
    """Whether a person has been here, and what became of their invitation."""
    last = mail.last_to(session, person.id, KIND)
    state = "" if last is None else "sent" if last[1] else "failed" if last[2] else "waiting"
    return Standing(is_known(session, person), open_until(session, [person.id]).get(person.id), state)


def is_known(session: Session, person: Person) -> bool:
    """Whether they have been here already, so that there is nothing to invite them to."""
    if person.password_hash is not None or person.last_signed_in_at is not None:
        return True
    return session.scalar(select(Identity.id).where(Identity.person_id == person.id).limit(1)) is not None


def can_invite(session: Session, actor: Actor, person: Person) -> bool:
    """Whether `invite` would do it."""
    return mailed_links.usable(person) and not is_known(session, person) and people.may_reset(session, actor, person)


def invite(session: Session, settings: Settings, actor: Actor, person: Person) -> Invitation:
    """Invite somebody, or invite them again: an older invitation stops working. With mail set up, it is sent to them.

    Raises:
        Forbidden: they hold a role that the actor could not give; whoever holds the link can become them.
        Conflict: they have been here already, or may not come in.
    """
    if not people.may_reset(session, actor, person):
        raise Forbidden("They hold a role that you could not give, so somebody who could must invite them.")
    if not mailed_links.usable(person):
        raise Conflict("They are suspended. Let them in again first, then invite them.")
    if is_known(session, person):
        raise Conflict("They have signed in before and need no invitation.")
    _withdraw(session, person.id)
    secret = sign_in.make_link(session, LinkPurpose.INVITATION, LIFE, person_id=person.id)
    path = mailed_links.path(LinkPurpose.INVITATION, secret)
    mailed = mail.post(
        session, settings, kind=KIND, address=person.email, path=path, person_id=person.id, life=timedelta(days=2)
    )
    audit.record(session, actor, "invitation:send", "person", person.id, mailed=mailed)
    return Invitation(person.id, settings.base_url + path, mailed)


def cancel(session: Session, actor: Actor, person: Person) -> None:
    """Take an invitation back: its link stops working at once."""
    _withdraw(session, person.id)
    audit.record(session, actor, "invitation:cancel", "person", person.id)


def open_until(session: Session, person_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """Until when the invitations of these people are open; who has none is not in it."""
    rows = session.execute(
        select(OneTimeLink.person_id, func.max(OneTimeLink.expires_at))
        .where(
            OneTimeLink.purpose == LinkPurpose.INVITATION,
            OneTimeLink.person_id.in_(person_ids),
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > clock.now(),
        )
        .group_by(OneTimeLink.person_id)
    )
    return {person_id: until for person_id, until in rows if person_id is not None}


def accept(session: Session, secret: str) -> Person:
    """Use an invitation up: of two at once, one wins.

    Raises:
        NotFound: unknown, used, cancelled or over, or its person may not come in.
    """
    return sign_in.use_link_of(session, LinkPurpose.INVITATION, secret)


def _withdraw(session: Session, person_id: uuid.UUID) -> None:
    session.execute(
        delete(OneTimeLink).where(OneTimeLink.purpose == LinkPurpose.INVITATION, OneTimeLink.person_id == person_id)
    )
    mail.withdraw(session, person_id, KIND)
