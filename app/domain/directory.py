"""The directory that admins read: the people, organisations and groups that they administer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, selectinload

from app import clock
from app.access import Action, Actor, policy
from app.db.people import Group, GroupMembership, Person, Role, RoleAssignment
from app.db.places import Organisation
from app.domain import paging
from app.domain.paging import Page, Sorting

PAGE = 50
BY_EMAIL = Sorting("email", "Email address", func.lower(Person.email))


@dataclass(frozen=True)
class PeopleFilter:
    """What a list of people is narrowed to."""

    words: str = ""
    role: Role | None = None
    suspended: bool | None = None
    organisation_id: uuid.UUID | None = None


def people(session: Session, actor: Actor, wanted: PeopleFilter, *, after: str = "", before: str = "") -> Page[Person]:
    """A page of the people whom the actor administers, by e-mail.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    query = policy.visible(actor, Action.PERSON_ADMINISTER, clock.now()).options(
        selectinload(Person.roles).selectinload(RoleAssignment.area),
        selectinload(Person.roles).selectinload(RoleAssignment.organisation),
        selectinload(Person.organisation),
    )
    if wanted.words:
        pattern = f"%{_literal(wanted.words)}%"
        query = query.where(or_(Person.email.ilike(pattern), Person.name.ilike(pattern)))
    if wanted.role is not None:
        query = query.where(Person.roles.any(RoleAssignment.role == wanted.role))
    if wanted.suspended is not None:
        query = query.where(Person.suspended_at.is_not(None) == wanted.suspended)
    if wanted.organisation_id is not None:
        query = query.where(Person.organisation_id == wanted.organisation_id)
    return paging.read(session, query, Person, BY_EMAIL, after=after, before=before, size=PAGE)


def _literal(words: str) -> str:
    """Words without the wildcards of LIKE."""
    return words.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def organisations(session: Session, actor: Actor) -> list[tuple[Organisation, int]]:
    """The organisations that the actor administers, by name, each with how many people belong to it."""
    heads = (
        select(func.count())
        .select_from(Person)
        .where(Person.organisation_id == Organisation.id)
        .correlate(Organisation)
        .scalar_subquery()
    )
    query = (
        policy.visible(actor, Action.ORGANISATION_ADMINISTER, clock.now())
        .add_columns(heads)
        .options(selectinload(Organisation.area))
        .order_by(Organisation.name)
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def groups(session: Session, actor: Actor) -> list[tuple[Group, int]]:
    """The groups that the actor administers, by name, each with how many people are in it."""
    heads = (
        select(func.count())
        .select_from(GroupMembership)
        .where(GroupMembership.group_id == Group.id)
        .correlate(Group)
        .scalar_subquery()
    )
    query = (
        policy.visible(actor, Action.GROUP_ADMINISTER, clock.now()).add_columns(heads).order_by(Group.name, Group.id)
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def members(session: Session, group: Group) -> list[tuple[Person, GroupMembership]]:
    """The people of a group, by e-mail, with their membership."""
    query = (
        select(Person, GroupMembership)
        .join(GroupMembership, GroupMembership.person_id == Person.id)
        .where(GroupMembership.group_id == group.id)
        .order_by(func.lower(Person.email))
    )
    return [(row[0], row[1]) for row in session.execute(query)]
