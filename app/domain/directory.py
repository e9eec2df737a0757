"""The directory that admins read: the people, organisations and groups that they administer."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select
from sqlalchemy.orm import Session, selectinload

from app import clock
from app.access import Action, Actor, policy
from app.access.actor import area_tree, with_narrower
from app.db.people import Group, GroupManager, GroupMembership, Person, Role, RoleAssignment
from app.db.places import Organisation
from app.db.sign_in import WebSession
from app.domain import paging
from app.domain.paging import Page, Sorting
from app.settings import Settings

PAGE = 50
#: Who has not signed in for so long is dormant.
DORMANT_AFTER = timedelta(days=90)
_NEVER = literal(datetime(1970, 1, 1, tzinfo=UTC), Person.created_at.type)
SORTINGS = (
    Sorting("email", "Email address", func.lower(Person.email)),
    Sorting("name", "Name", func.lower(func.coalesce(func.nullif(Person.name, ""), Person.email))),
    Sorting("newest", "Newest first", Person.created_at, descending=True),
    Sorting("signed-in", "Last signed in", func.coalesce(Person.last_signed_in_at, _NEVER), descending=True),
)


class State(enum.StrEnum):
    """How an account stands; each is in exactly one state."""

    INVITED = "invited"
    ACTIVE = "active"
    DORMANT = "dormant"
    SUSPENDED = "suspended"
    LEFT = "left"


def state_of(person: Person, now: datetime) -> State:
    """How an account stands. Invited: they have never been here; dormant: not for 90 days."""
    if person.left_at is not None and person.left_at <= now:
        return State.LEFT
    if person.suspended_at is not None and person.suspended_at <= now:
        return State.SUSPENDED
    if person.last_signed_in_at is None:
        return State.INVITED
    return State.ACTIVE if person.last_signed_in_at > now - DORMANT_AFTER else State.DORMANT


def _in_state(state: State, now: datetime) -> ColumnElement[bool]:
    """`state_of` as a predicate."""
    left = and_(Person.left_at.is_not(None), Person.left_at <= now)
    stopped = and_(Person.suspended_at.is_not(None), Person.suspended_at <= now)
    if state is State.LEFT:
        return left
    if state is State.SUSPENDED:
        return and_(~left, stopped)
    here = {
        State.INVITED: Person.last_signed_in_at.is_(None),
        State.ACTIVE: Person.last_signed_in_at > now - DORMANT_AFTER,
        State.DORMANT: Person.last_signed_in_at <= now - DORMANT_AFTER,
    }[state]
    return and_(~left, ~stopped, here)


@dataclass(frozen=True)
class PeopleFilter:
    """What a list of people is narrowed to: to one of each list that is not empty, and to all of the lists. People are
    of an area when they belong to an organisation in it or within it, or hold a role there."""

    words: str = ""
    roles: tuple[Role, ...] = ()
    states: tuple[State, ...] = ()
    organisation_ids: tuple[uuid.UUID, ...] = ()
    area_ids: tuple[uuid.UUID, ...] = ()
    group_ids: tuple[uuid.UUID, ...] = ()


def _narrowed(session: Session, actor: Actor, wanted: PeopleFilter) -> Select[Any]:
    now = clock.now()
    query = policy.visible(actor, Action.PERSON_ADMINISTER, now).options(
        selectinload(Person.roles).selectinload(RoleAssignment.area),
        selectinload(Person.roles).selectinload(RoleAssignment.organisation),
        selectinload(Person.organisation),
    )
    in_force = or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now)
    if wanted.words.strip():
        pattern = f"%{_literal(wanted.words)}%"
        query = query.where(or_(Person.email.ilike(pattern), Person.name.ilike(pattern)))
    if wanted.roles:
        query = query.where(Person.roles.any(and_(RoleAssignment.role.in_(wanted.roles), in_force)))
    if wanted.states:
        query = query.where(or_(*(_in_state(state, now) for state in wanted.states)))
    if wanted.organisation_ids:
        query = query.where(Person.organisation_id.in_(wanted.organisation_ids))
    if wanted.area_ids:
        inside = with_narrower(wanted.area_ids, area_tree(session))
        organisations = select(Organisation.id).where(Organisation.area_id.in_(inside))
        over = or_(RoleAssignment.area_id.in_(inside), RoleAssignment.organisation_id.in_(organisations))
        query = query.where(or_(Person.organisation_id.in_(organisations), Person.roles.any(and_(over, in_force))))
    if wanted.group_ids:
        # groups that the actor does not keep count as empty, so that the filter tells nothing about them
        mine = policy.visible(actor, Action.GROUP_MANAGE, now).with_only_columns(Group.id)
        inside_groups = select(GroupMembership.person_id).where(
            GroupMembership.group_id.in_(wanted.group_ids),
            GroupMembership.group_id.in_(mine),
            or_(GroupMembership.ends_at.is_(None), GroupMembership.ends_at > now),
        )
        query = query.where(Person.id.in_(inside_groups))
    return query


def people(
    session: Session,
    actor: Actor,
    wanted: PeopleFilter,
    *,
    sorting: Sorting = SORTINGS[0],
    after: str = "",
    before: str = "",
) -> Page[Person]:
    """A page of the people whom the actor administers.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    return paging.read(
        session, _narrowed(session, actor, wanted), Person, sorting, after=after, before=before, size=PAGE
    )


EXPORT_HEADER = ("email", "name", "organisation", "roles", "state", "added", "last signed in")


def export(session: Session, actor: Actor, wanted: PeopleFilter, sorting: Sorting) -> Iterator[tuple[str, ...]]:
    """The whole list as rows of a table, with `EXPORT_HEADER`."""
    now = clock.now()
    order = sorting.by.desc() if sorting.descending else sorting.by.asc()
    for person in session.scalars(_narrowed(session, actor, wanted).order_by(order, Person.id)):
        held = [r for r in person.roles if r.ends_at is None or r.ends_at > now]
        yield (
            person.email,
            person.name,
            person.organisation.name if person.organisation is not None else "",
            "; ".join(
                f"{r.role.value} of {r.place_name}" + (f" until {r.ends_at.date().isoformat()}" if r.ends_at else "")
                for r in held
            ),
            state_of(person, now).value,
            person.created_at.date().isoformat(),
            person.last_signed_in_at.date().isoformat() if person.last_signed_in_at is not None else "",
        )


def _literal(words: str) -> str:
    """Words without the wildcards of LIKE."""
    return words.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def organisations(session: Session, actor: Actor) -> list[tuple[Organisation, int]]:
    """The organisations that the actor administers, by name, each with how many of the people whom the actor
    administers belong to it and have not left: two queries."""
    now = clock.now()
    heads: dict[Any, int] = {
        row[0]: row[1]
        for row in session.execute(
            select(Person.organisation_id, func.count())
            .where(policy.where(actor, Action.PERSON_ADMINISTER, now), Person.left_at.is_(None))
            .group_by(Person.organisation_id)
        )
    }
    query = (
        policy.visible(actor, Action.ORGANISATION_ADMINISTER, now)
        .options(selectinload(Organisation.area))
        .order_by(Organisation.name)
    )
    return [(organisation, heads.get(organisation.id, 0)) for organisation in session.scalars(query)]


def groups(session: Session, actor: Actor) -> list[tuple[Group, int]]:
    """The groups that the actor administers or manages, by name, each with how many people are in it now."""
    now = clock.now()
    heads = (
        select(func.count())
        .select_from(GroupMembership)
        .where(
            GroupMembership.group_id == Group.id,
            or_(GroupMembership.ends_at.is_(None), GroupMembership.ends_at > now),
        )
        .correlate(Group)
        .scalar_subquery()
    )
    query = policy.visible(actor, Action.GROUP_MANAGE, now).add_columns(heads).order_by(Group.name, Group.id)
    return [(row[0], row[1]) for row in session.execute(query)]


def groups_of(session: Session, actor: Actor, person: Person) -> list[tuple[Group, GroupMembership]]:
    """The groups of a person that the actor keeps, by name, with their membership; also such as have ended."""
    query = (
        policy.visible(actor, Action.GROUP_MANAGE, clock.now())
        .add_columns(GroupMembership)
        .join(GroupMembership, GroupMembership.group_id == Group.id)
        .where(GroupMembership.person_id == person.id)
        .order_by(Group.name, Group.id)
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def manages_groups(session: Session, actor: Actor) -> bool:
    """Whether the actor is named as a manager of a group."""
    if actor.person_id is None or not actor.active:
        return False
    return (
        session.scalar(select(GroupManager.group_id).where(GroupManager.person_id == actor.person_id).limit(1))
        is not None
    )


def sessions_of(session: Session, person: Person, settings: Settings) -> int:
    """On how many devices a person is signed in now."""
    now = clock.now()
    query = (
        select(func.count())
        .select_from(WebSession)
        .where(
            WebSession.person_id == person.id,
            WebSession.embed_material_id.is_(None),
            WebSession.expires_at > now,
            WebSession.seen_at > now - timedelta(minutes=settings.session_idle_minutes),
        )
    )
    return session.scalar(query) or 0
