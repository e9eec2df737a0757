"""People: adding them, their roles and passwords, and stopping them."""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM, Actor
from app.access.places import covers, may_appoint
from app.db.people import Group, GroupMembership, Person, Role, RoleAssignment
from app.db.sign_in import LinkPurpose
from app.domain import audit, passwords, sign_in
from app.domain.places import Place
from app.errors import Conflict, Forbidden, Invalid

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
) -> Person:
    """A new person with a first role, or a further role for somebody who is already known.

    Raises:
        Invalid: the address or password is not acceptable.
        Forbidden: the actor may not give this role there.
    """
    email = check_email(email)
    person = by_email(session, email)
    if person is None:
        person = Person(email=email, name=name.strip(), organisation_id=place.organisation_id)
        session.add(person)
        session.flush()
        audit.record(session, actor, "person:create", "person", person.id)
    elif name.strip() and not person.name:
        person.name = name.strip()
    give_role(session, actor, person, role, place)
    if password is not None:
        set_password(session, actor, person, password)
    return person


def add_first_admin(session: Session, *, email: str, name: str, password: str) -> Person:
    """The first admin, from everywhere."""
    return add(session, SYSTEM, email=email, name=name, role=Role.ADMIN, place=Place(), password=password)


def set_password(
    session: Session, actor: Actor, person: Person, password: str, *, keep: uuid.UUID | None = None
) -> None:
    """Give a person a new password. Their sessions end, and links on their way to them stop working: whoever knew the
    old one is out.

    Raises:
        Invalid: it is easy to guess.
    """
    passwords.check(password)
    person.password_hash = passwords.hashed(password)
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


def password_link(session: Session, actor: Actor, person: Person) -> str:
    """The secret of a one-time link with which a password is chosen for a person.

    Raises:
        Forbidden: the person holds a role that the actor could not give.
    """
    if not may_reset(session, actor, person):
        raise Forbidden("They hold a role that you could not give, so somebody who could must make their link.")
    Args:
        keep: the session in which they change it themselves, which goes on.
    secret = sign_in.make_link(session, LinkPurpose.SET_PASSWORD, sign_in.SET_PASSWORD_LINK, person_id=person.id)
    audit.record(session, actor, "person:link", "person", person.id)
    return secret


    sign_in.end_all_sessions(session, person.id, but=keep)
    sign_in.end_links(session, person.id)
def give_role(
    session: Session, actor: Actor, person: Person, role: Role, place: Place, *, ends_at: datetime | None = None
) -> RoleAssignment:
    """Give a role over a place; giving it again changes only when it ends.

    Raises:
        Forbidden: the actor may not give this role there.
    """
    if not may_appoint(session, actor, role, **place.columns()):
        raise Forbidden("You can only give roles up to your own, in places that you administer.")
    existing = next(
        (
            held
            for held in person.roles
            if held.role is role and held.area_id == place.area_id and held.organisation_id == place.organisation_id
        ),
        None,
    )
    if existing is None:
        existing = RoleAssignment(role=role, created_by_id=actor.person_id, **place.columns())
        person.roles.append(existing)
    existing.ends_at = ends_at
    session.flush()
    audit.record(
        session, actor, "role:give", "person", person.id,
        role=role.value, area=str(place.area_id or ""), organisation=str(place.organisation_id or ""),
    )  # fmt: skip
    return existing


def take_role(session: Session, actor: Actor, held: RoleAssignment) -> None:
    """Take a role away, at once.

    Raises:
        Forbidden: the actor may not take this role there.
        Conflict: it is the last admin's.
    """
    if not may_appoint(session, actor, held.role, area_id=held.area_id, organisation_id=held.organisation_id):
        raise Forbidden("You can only take away roles that you could give.")
    of_everywhere = held.role is Role.ADMIN and held.area_id is None and held.organisation_id is None
    if of_everywhere and _is_last_admin(session, held.person_id):
        raise Conflict("This is the last admin of everywhere. Make somebody else an admin first.")
    person = held.person
    audit.record(
        session, actor, "role:take", "person", held.person_id,
        role=held.role.value, area=str(held.area_id or ""), organisation=str(held.organisation_id or ""),
    )  # fmt: skip
    person.roles.remove(held)
    session.flush()


def _is_last_admin(session: Session, person_id: uuid.UUID) -> bool:
    now = clock.now()
    others = session.scalar(
        select(func.count())
        .select_from(RoleAssignment)
        .join(Person, Person.id == RoleAssignment.person_id)
        .where(
            RoleAssignment.role == Role.ADMIN,
            RoleAssignment.area_id.is_(None),
            RoleAssignment.organisation_id.is_(None),
            (RoleAssignment.ends_at.is_(None)) | (RoleAssignment.ends_at > now),
            Person.suspended_at.is_(None),
            RoleAssignment.person_id != person_id,
        )
    )
    return not others


def suspend(session: Session, actor: Actor, person: Person) -> None:
    """Stop a person at once: sessions end, tokens stop, nothing is visible any more. It can be undone.

    Raises:
        Conflict: they are the last admin.
    """
    holds_all = any(
        held.role is Role.ADMIN and held.area_id is None and held.organisation_id is None for held in person.roles
    )
    if holds_all and _is_last_admin(session, person.id):
        raise Conflict("This is the last admin of everywhere. Make somebody else an admin first.")
    person.suspended_at = clock.now()
    sign_in.end_all_sessions(session, person.id)
    audit.record(session, actor, "person:suspend", "person", person.id)


def restore(session: Session, actor: Actor, person: Person) -> None:
    """Let a suspended person in again."""
    person.suspended_at = None
    audit.record(session, actor, "person:restore", "person", person.id)


def set_organisation(session: Session, actor: Actor, person: Person, organisation_id: uuid.UUID | None) -> None:
    """Say which organisation a person belongs to, or none.

    Raises:
        Forbidden: the actor does not administer that organisation.
    """
    if organisation_id is not None and not covers(session, actor.over(Role.ADMIN), organisation_id=organisation_id):
        raise Forbidden("You can only place people in organisations that you administer.")
    person.organisation_id = organisation_id
    audit.record(session, actor, "person:place", "person", person.id, organisation=str(organisation_id or ""))


def join_group(
    session: Session, actor: Actor, person: Person, group: Group, *, ends_at: datetime | None = None
) -> None:
    """Put a person into a group, or change until when. The caller has checked that the actor administers the group."""
    membership = session.get(GroupMembership, (group.id, person.id))
    if membership is None:
        session.add(GroupMembership(group_id=group.id, person_id=person.id, ends_at=ends_at))
    else:
        membership.ends_at = ends_at
    audit.record(session, actor, "group:join", "group", group.id, person=str(person.id))


def leave_group(session: Session, actor: Actor, person: Person, group: Group) -> None:
    """Take a person out of a group, at once."""
    membership = session.get(GroupMembership, (group.id, person.id))
    if membership is not None:
        session.delete(membership)
        audit.record(session, actor, "group:leave", "group", group.id, person=str(person.id))
