"""People: adding them, their roles and passwords, and stopping them. Moving and leaving are in `app.domain.leavers`."""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM, Actor
from app.access.places import covers, may_appoint
from app.db.people import Person, Role, RoleAssignment
from app.db.places import Organisation
from app.db.sign_in import LinkPurpose
from app.domain import admins, audit, passwords, sign_in
from app.domain.places import Place
from app.errors import Conflict, Forbidden, Invalid

OUTRANKED = "They hold a role that you could not give, so somebody who could must do this."
TOO_MUCH = "You can only give roles up to your own, in places that you administer."
CLOSED = "This organisation is closed: nobody new can be added to it"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")


def check_email(email: str) -> str:
    """The address without outer spaces.

    Raises:
        Invalid: it does not look like an address.
    """
    email = email.strip()
    if not _EMAIL.fullmatch(email) or len(email) > 320:
        sentence = "Enter an email address in the correct format, like name@example.com"
        raise Invalid(sentence, fields={"email": sentence})
    return email


def by_email(session: Session, email: str) -> Person | None:
    """The person with this address, in any case."""
    return session.scalar(select(Person).where(func.lower(Person.email) == email.strip().lower()))


def add(
    session: Session,
    actor: Actor,
    *,
    email: str,
    name: str = "",
    role: Role,
    place: Place,
    password: str | None = None,
    ends_at: datetime | None = None,
) -> Person:
    """A new person with a first role, or a further role for somebody who is already known. Somebody who had left comes
    back as if new: with this role and nothing of what they had.

    Raises:
        Invalid: the address or password is not acceptable, or the organisation is closed.
        Forbidden: the actor may not give this role there.
    """
    email = check_email(email)
    person = by_email(session, email)
    if person is None:
        check_open(session, place.organisation_id)
        person = Person(email=email, name=name.strip(), organisation_id=place.organisation_id)
        session.add(person)
        session.flush()
        audit.record(session, actor, "person:create", "person", person.id)
    else:
        if not may_appoint(session, actor, role, **place.columns()):
            raise Forbidden(TOO_MUCH)
        if person.left_at is not None:
            person.left_at = person.suspended_at = None
            person.organisation_id = place.organisation_id
            audit.record(session, actor, "person:return", "person", person.id)
        if name.strip() and not person.name:
            person.name = name.strip()
    give_role(session, actor, person, role, place, ends_at=ends_at)
    if password is not None:
        set_password(session, actor, person, password)
    return person


def check_open(session: Session, organisation_id: uuid.UUID | None) -> None:
    """Whether people can still come to an organisation.

    Raises:
        Invalid: it is closed.
    """
    if organisation_id is None:
        return
    closed = session.scalar(select(Organisation.closed_at).where(Organisation.id == organisation_id))
    if closed is not None and closed <= clock.now():
        raise Invalid(CLOSED, fields={"place": CLOSED, "organisation": CLOSED})


def add_first_admin(session: Session, *, email: str, name: str, password: str) -> Person:
    """The first admin, from everywhere."""
    return add(session, SYSTEM, email=email, name=name, role=Role.ADMIN, place=Place(), password=password)


def set_password(
    session: Session, actor: Actor, person: Person, password: str, *, keep: uuid.UUID | None = None
) -> None:
    """Give a person a new password. Their sessions end, and links on their way to them stop working: whoever knew the
    old one is out.

    Args:
        keep: the session in which they change it themselves, which goes on.
    Raises:
        Invalid: it is easy to guess.
    """
    passwords.check(password)
    person.password_hash = passwords.hashed(password)
    sign_in.end_all_sessions(session, person.id, but=keep)
    sign_in.end_links(session, person.id)
    audit.record(session, actor, "person:set-password", "person", person.id)


def may_reset(session: Session, actor: Actor, person: Person) -> bool:
    """Whether the actor may make a link with which a new password is chosen for a person. Whoever holds the link can
    become that person, so it takes the right to appoint to every role that the person has."""
    now = clock.now()
    return all(
        may_appoint(session, actor, held.role, area_id=held.area_id, organisation_id=held.organisation_id)
        for held in person.roles
        if held.ends_at is None or held.ends_at > now
    )


def check_rank(session: Session, actor: Actor, person: Person) -> None:
    """Whether the actor may do to a person what touches all their roles: suspend them, let them in again, see them out,
    make their link.

    Raises:
        Forbidden: the person holds a role that the actor could not give.
    """
    if not may_reset(session, actor, person):
        raise Forbidden(OUTRANKED)


def password_link(session: Session, actor: Actor, person: Person) -> str:
    """The secret of a one-time link with which a password is chosen for a person.

    Raises:
        Forbidden: the person holds a role that the actor could not give.
    """
    check_rank(session, actor, person)
    secret = sign_in.make_link(session, LinkPurpose.SET_PASSWORD, sign_in.SET_PASSWORD_LINK, person_id=person.id)
    audit.record(session, actor, "person:link", "person", person.id)
    return secret


def give_role(
    session: Session, actor: Actor, person: Person, role: Role, place: Place, *, ends_at: datetime | None = None
) -> RoleAssignment:
    """Give a role over a place; giving it again changes only when it ends.

    Raises:
        Forbidden: the actor may not give this role there.
        Conflict: the person has left, or it would give the last admin an end.
        Invalid: the organisation is closed, or the end is past.
    """
    if not may_appoint(session, actor, role, **place.columns()):
        raise Forbidden(TOO_MUCH)
    if person.left_at is not None:
        raise Conflict("They have left. Add them again as a new person.")
    check_open(session, place.organisation_id)
    existing = next(
        (
            held
            for held in person.roles
            if held.role is role and held.area_id == place.area_id and held.organisation_id == place.organisation_id
        ),
        None,
    )
    if existing is None:
        _check_end(ends_at)
        existing = RoleAssignment(role=role, created_by_id=actor.person_id, ends_at=ends_at, **place.columns())
        person.roles.append(existing)
    else:
        _set_end(session, existing, ends_at)
    session.flush()
    audit.record(
        session, actor, "role:give", "person", person.id,
        role=role.value, area=str(place.area_id or ""), organisation=str(place.organisation_id or ""),
        until=ends_at.isoformat() if ends_at else "",
    )  # fmt: skip
    return existing


def end_role(session: Session, actor: Actor, held: RoleAssignment, ends_at: datetime | None) -> None:
    """Say until when a role is held; None is for ever.

    Raises:
        Forbidden: the actor may not give this role there.
        Conflict: it would give the last admin an end.
        Invalid: the end is past; a role that should stop now is taken away.
    """
    _check_may_touch(session, actor, held)
    _set_end(session, held, ends_at)
    session.flush()
    audit.record(
        session, actor, "role:end", "person", held.person_id,
        role=held.role.value, area=str(held.area_id or ""), organisation=str(held.organisation_id or ""),
        until=ends_at.isoformat() if ends_at else "",
    )  # fmt: skip


def _check_end(ends_at: datetime | None) -> None:
    if ends_at is not None and ends_at <= clock.now():
        sentence = "The last day must be today or later"
        raise Invalid(sentence, fields={"until": sentence})


def _set_end(session: Session, held: RoleAssignment, ends_at: datetime | None) -> None:
    _check_end(ends_at)
    if ends_at is not None and admins.is_of_everywhere(held):
        admins.check_somebody_stays(session, held.person_id, until=ends_at)
    held.ends_at = ends_at


def _check_may_touch(session: Session, actor: Actor, held: RoleAssignment) -> None:
    if not may_appoint(session, actor, held.role, area_id=held.area_id, organisation_id=held.organisation_id):
        raise Forbidden("You can only change roles that you could give.")


def take_role(session: Session, actor: Actor, held: RoleAssignment) -> None:
    """Take a role away, at once.

    Raises:
        Forbidden: the actor may not take this role there.
        Conflict: it is the last admin's.
    """
    _check_may_touch(session, actor, held)
    if admins.is_of_everywhere(held):
        admins.check_somebody_stays(session, held.person_id)
    person = held.person
    audit.record(
        session, actor, "role:take", "person", held.person_id,
        role=held.role.value, area=str(held.area_id or ""), organisation=str(held.organisation_id or ""),
    )  # fmt: skip
    person.roles.remove(held)
    session.flush()


def suspend(session: Session, actor: Actor, person: Person) -> None:
    """Stop a person at once: sessions end, tokens stop, nothing is visible any more. It can be undone.

    Raises:
        Forbidden: they hold a role that the actor could not give.
        Conflict: they are the last admin.
    """
    check_rank(session, actor, person)
    admins.check_somebody_stays(session, person.id)
    person.suspended_at = clock.now()
    sign_in.end_all_sessions(session, person.id)
    audit.record(session, actor, "person:suspend", "person", person.id)


def restore(session: Session, actor: Actor, person: Person) -> None:
    """Let a suspended person in again.

    Raises:
        Forbidden: they hold a role that the actor could not give.
        Conflict: they have left, which cannot be undone.
    """
    check_rank(session, actor, person)
    if person.left_at is not None:
        raise Conflict("They have left. Add them again as a new person.")
    person.suspended_at = None
    audit.record(session, actor, "person:restore", "person", person.id)


def set_organisation(session: Session, actor: Actor, person: Person, organisation_id: uuid.UUID | None) -> None:
    """Say which organisation a person belongs to, or none; nothing else changes. See `leavers.move`.

    Raises:
        Forbidden: the actor does not administer that organisation.
        Invalid: it is closed.
    """
    if organisation_id is not None and not covers(session, actor.over(Role.ADMIN), organisation_id=organisation_id):
        raise Forbidden("You can only place people in organisations that you administer.")
    check_open(session, organisation_id)
    person.organisation_id = organisation_id
    audit.record(session, actor, "person:place", "person", person.id, organisation=str(organisation_id or ""))
