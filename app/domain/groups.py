"""Groups (cohorts): making and changing them, their managers, and who is in them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from app import clock
from app.access import Action, Actor, policy
from app.access.actor import area_tree, with_narrower
from app.access.places import covers
from app.db.people import Group, GroupManager, GroupMembership, Person, Role, RoleAssignment
from app.db.places import Organisation
from app.domain import audit
from app.domain.places import Place
from app.errors import Forbidden, Invalid

#: How many addresses can be pasted at once.
MOST_PASTED = 500
NOBODY = "There is nobody with this address whom you can put into this group"
_SPLIT = re.compile(r"[\s,;<>()\"']+")


def add(session: Session, actor: Actor, *, name: str, place: Place, ends_at: datetime | None = None) -> Group:
    """A new group in a place that the actor administers.

    Raises:
        Forbidden: they do not administer the place.
        Invalid: the name is empty, or the end is past.
    """
    policy.require_capability(actor, Action.PEOPLE_ADMINISTER)
    _check_place(session, actor, place)
    group = Group(name=_checked(name, ends_at), ends_at=ends_at, **place.columns())
    session.add(group)
    session.flush()
    audit.record(session, actor, "group:create", "group", group.id, until=_day(ends_at))
    return group


def edit(session: Session, actor: Actor, group: Group, *, name: str, place: Place, ends_at: datetime | None) -> None:
    """Another name, place or end. The caller has checked that the actor administers the group.

    Raises:
        Forbidden: they do not administer the place that it should go to.
        Invalid: the name is empty, or a new end is past.
    """
    if place != Place(group.area_id, group.organisation_id):
        _check_place(session, actor, place)
    group.name = _checked(name, ends_at if ends_at != group.ends_at else None)
    group.ends_at = ends_at
    group.area_id, group.organisation_id = place.area_id, place.organisation_id
    session.flush()
    audit.record(session, actor, "group:edit", "group", group.id, until=_day(ends_at), place=place.code)


def _check_place(session: Session, actor: Actor, place: Place) -> None:
    if not covers(session, actor.over(Role.ADMIN), **place.columns()):
        raise Forbidden("You can only keep groups in places that you administer.")


def _checked(name: str, ends_at: datetime | None) -> str:
    name = " ".join(name.split())
    wrong: dict[str, str] = {}
    if not name or len(name) > 200:
        wrong["name"] = "Enter the group's name"
    if ends_at is not None and ends_at <= clock.now():
        wrong["ends"] = "The last day must be today or later"
    if wrong:
        raise Invalid("; ".join(wrong.values()), fields=wrong)
    return name


def _day(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""


def end_now(session: Session, actor: Actor, group: Group) -> None:
    """End a group at once: nobody is in it any more. The caller has checked that the actor administers it."""
    group.ends_at = clock.now()
    audit.record(session, actor, "group:edit", "group", group.id, until=_day(group.ends_at))


# -- managers --------------------------------------------------------------------------------------------------------------


def managers(session: Session, group: Group) -> list[Person]:
    """Who keeps the members of a group besides the admins of its place, by e-mail."""
    query = select(Person).join(GroupManager, GroupManager.person_id == Person.id)
    return list(session.scalars(query.where(GroupManager.group_id == group.id).order_by(func.lower(Person.email))))


def name_manager(session: Session, actor: Actor, group: Group, email: str) -> Person:
    """Let somebody keep the members of a group. The caller has checked that the actor administers the group.

    Raises:
        Invalid: there is nobody of this address who could be put into the group either.
    """
    person = _find(session, actor, group, email, "manager")
    if session.get(GroupManager, (group.id, person.id)) is None:
        session.add(GroupManager(group_id=group.id, person_id=person.id))
        session.flush()
        audit.record(session, actor, "group:name-manager", "group", group.id, person=str(person.id))
    return person


def drop_manager(session: Session, actor: Actor, group: Group, person_id: uuid.UUID) -> None:
    """Let somebody keep the group no longer. The caller has checked that the actor administers it."""
    found = session.get(GroupManager, (group.id, person_id))
    if found is not None:
        session.delete(found)
        audit.record(session, actor, "group:drop-manager", "group", group.id, person=str(person_id))


# -- members ---------------------------------------------------------------------------------------------------------------


def _can_join(session: Session, actor: Actor, group: Group) -> ColumnElement[bool]:
    """People who have not left and whom the actor may put into the group: those whom they administer, and those who
    belong to the group's place, by their organisation or by a role. In a group of no place that is everybody."""
    now = clock.now()
    stays = Person.left_at.is_(None)
    if group.area_id is None and group.organisation_id is None:
        return stays
    if group.area_id is not None:
        inside = with_narrower([group.area_id], area_tree(session))
        organisations = select(Organisation.id).where(Organisation.area_id.in_(inside))
    else:
        inside = frozenset()
        organisations = select(Organisation.id).where(Organisation.id == group.organisation_id)
    seated = select(RoleAssignment.person_id).where(
        or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now),
        or_(RoleAssignment.area_id.in_(inside), RoleAssignment.organisation_id.in_(organisations)),
    )
    mine = policy.visible(actor, Action.PERSON_ADMINISTER, now).with_only_columns(Person.id)
    return stays & or_(Person.organisation_id.in_(organisations), Person.id.in_(seated), Person.id.in_(mine))


def _find(session: Session, actor: Actor, group: Group, email: str, field: str) -> Person:
    wanted = email.strip().lower()
    person = session.scalar(select(Person).where(func.lower(Person.email) == wanted, _can_join(session, actor, group)))
    if person is None:
        raise Invalid(NOBODY, fields={field: NOBODY})
    return person


def members(session: Session, group: Group) -> list[tuple[Person, GroupMembership]]:
    """The people of a group, by e-mail, with their membership, also where that has ended."""
    query = (
        select(Person, GroupMembership)
        .join(GroupMembership, GroupMembership.person_id == Person.id)
        .where(GroupMembership.group_id == group.id)
        .order_by(func.lower(Person.email))
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def join(session: Session, actor: Actor, group: Group, email: str, *, ends_at: datetime | None = None) -> Person:
    """Put somebody into a group by their address, or change until when. The caller has checked that the actor manages
    the group.

    Raises:
        Invalid: there is nobody of this address whom the actor may put there, known elsewhere or not; or the end is past.
    """
    person = _find(session, actor, group, email, "email")
    put(session, actor, group, person, ends_at=ends_at)
    return person


def put(
    session: Session, actor: Actor, group: Group, person: Person, *, ends_at: datetime | None = None
) -> GroupMembership:
    """Put a person into a group, or change until when. The caller has checked group and person.

    Raises:
        Invalid: the end is past.
    """
    if ends_at is not None and ends_at <= clock.now():
        raise Invalid("The last day must be today or later", fields={"until": "The last day must be today or later"})
    membership = session.get(GroupMembership, (group.id, person.id))
    if membership is None:
        membership = GroupMembership(group_id=group.id, person_id=person.id)
        session.add(membership)
    membership.ends_at = ends_at
    session.flush()
    audit.record(session, actor, "group:join", "group", group.id, person=str(person.id), until=_day(ends_at))
    return membership


def leave(session: Session, actor: Actor, group: Group, person_id: uuid.UUID) -> Person | None:
    """Take a person out of a group, at once. The caller has checked that the actor manages the group."""
    membership = session.get(GroupMembership, (group.id, person_id))
    if membership is None:
        return None
    session.delete(membership)
    audit.record(session, actor, "group:leave", "group", group.id, person=str(person_id))
    return session.get(Person, person_id)


@dataclass(frozen=True)
class Pasted:
    """What became of one pasted address."""

    email: str
    outcome: str
    done: bool


def addresses(text: str) -> list[str]:
    """The addresses in a text, in order and each once: one a line, or parted by commas or semicolons, also as mail
    programs write them (`Name <name@example.com>`).

    Raises:
        Invalid: there is none, or there are more than can be pasted at once.
    """
    found = dict.fromkeys(word.lower() for word in _SPLIT.split(text) if "@" in word)
    if not found:
        raise Invalid("Paste at least one email address", fields={"addresses": "Paste at least one email address"})
    if len(found) > MOST_PASTED:
        sentence = f"Paste {MOST_PASTED} addresses or fewer at once"
        raise Invalid(sentence, fields={"addresses": sentence})
    return list(found)


def paste(session: Session, actor: Actor, group: Group, text: str, *, ends_at: datetime | None = None) -> list[Pasted]:
    """Put everybody of a pasted text into a group, with the outcome for each. The caller has checked that the actor
    manages the group.

    Raises:
        Invalid: there is no address, there are too many, or the end is past.
    """
    wanted = addresses(text)
    query = select(Person).where(func.lower(Person.email).in_(wanted), _can_join(session, actor, group))
    known = {person.email.lower(): person for person in session.scalars(query)}
    inside = set(
        session.scalars(
            select(GroupMembership.person_id).where(
                GroupMembership.group_id == group.id,
                or_(GroupMembership.ends_at.is_(None), GroupMembership.ends_at > clock.now()),
            )
        )
    )
    outcomes = []
    for email in wanted:
        person = known.get(email)
        if person is None:
            outcomes.append(Pasted(email, NOBODY, done=False))
            continue
        already = person.id in inside
        put(session, actor, group, person, ends_at=ends_at)
        outcomes.append(Pasted(email, "Was in the group already" if already else "Is in the group now", done=True))
    return outcomes


def put_all(session: Session, actor: Actor, group: Group, person_ids: Sequence[uuid.UUID]) -> int:
    """Put people of a list into a group; those who may not be put there are passed over. Returns how many were put."""
    query = select(Person).where(Person.id.in_(person_ids), _can_join(session, actor, group))
    found = list(session.scalars(query))
    for person in found:
        put(session, actor, group, person)
    return len(found)


def forget_person(session: Session, person_id: uuid.UUID) -> None:
    """Take a person out of all groups, as member and as manager."""
    session.execute(delete(GroupMembership).where(GroupMembership.person_id == person_id))
    session.execute(delete(GroupManager).where(GroupManager.person_id == person_id))
