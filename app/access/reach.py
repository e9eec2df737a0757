"""Whom a recording reaches: the rules of `recording:view` read backwards, for whoever must answer for it.

`app.access.rules` asks "which recordings, for this actor?"; this asks "which people, for this recording?", as one query
over sets, so that fifty thousand people cost no more questions than five. A test compares both directions over random
worlds. What is said here about who is active, seated or in a group is what `app.access.actor.load` says of one person.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, Uuid, and_, cast, exists, literal, null, or_, select, union
from sqlalchemy.sql.expression import ColumnClause

from app.access.actor import ANONYMOUS
from app.access.rules import AUDIENCE_GATE, IN_AUDIENCE, KEEPS_HERE, MAKERS, MAKES_HERE, OWNS_RECORDING, grant_in_force
from app.db.grants import Grant, GrantRight
from app.db.people import Group, GroupMembership, Person, Role, RoleAssignment
from app.db.places import Area, Organisation
from app.db.recordings import Recording


def active(now: datetime) -> ColumnElement[bool]:
    """People who are neither suspended nor gone at `now`."""
    return and_(
        or_(Person.suspended_at.is_(None), Person.suspended_at > now),
        or_(Person.left_at.is_(None), Person.left_at > now),
    )


def wider_areas() -> CTE:
    """Each area (`inner_id`) with itself and every area that it lies in (`outer_id`)."""
    start = select(Area.id.label("inner_id"), Area.id.label("outer_id")).cte("wider", recursive=True)
    return start.union(
        select(start.c.inner_id, Area.parent_id)
        .join(Area, Area.id == start.c.outer_id)
        .where(Area.parent_id.is_not(None))
    )


def held_roles(now: datetime) -> Select[*tuple[Any, ...]]:
    """The roles in force at `now`: `person_id`, `role`, `area_id`, `organisation_id`."""
    return select(
        RoleAssignment.person_id, RoleAssignment.role, RoleAssignment.area_id, RoleAssignment.organisation_id
    ).where(or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now))


def _row(rule: str, grant_id: Any, person_id: Any) -> Select[Any]:
    return select(
        literal(rule).label("rule"), cast(grant_id, Uuid).label("grant_id"), cast(person_id, Uuid).label("person_id")
    )


def _over_place(held: CTE, wider: CTE) -> ColumnElement[bool]:
    """Roles of `held` whose place covers that of the recording."""
    home = select(Organisation.area_id).where(Organisation.id == Recording.organisation_id).correlate(Recording)
    inside = select(wider.c.outer_id).where(
        or_(wider.c.inner_id == Recording.area_id, wider.c.inner_id == home.scalar_subquery())
    )
    return or_(
        and_(held.c.area_id.is_(None), held.c.organisation_id.is_(None)),
        held.c.organisation_id == Recording.organisation_id,
        held.c.area_id.in_(inside.correlate(Recording)),
    )


def grants_on(recording_id: uuid.UUID) -> ColumnElement[bool]:
    """Grants to watch a recording, its own and those on its case, in force or not."""
    case_id = select(Recording.case_id).where(Recording.id == recording_id).scalar_subquery()
    return and_(Grant.right == GrantRight.WATCH, or_(Grant.recording_id == recording_id, Grant.case_id == case_id))


def reached(recording_id: uuid.UUID, now: datetime) -> CTE:
    """Who is named by which rule: `rule`, `grant_id` (for the audience), `person_id`; active people only.

    The audience is told as the grants name it, whether or not the recording is published: see `open_to_audience`.
    """
    held, wider = held_roles(now).cte("held"), wider_areas()
    here = Recording.id == recording_id
    grant = (
        select(Grant.id, Grant.area_id, Grant.organisation_id, Grant.group_id, Grant.person_id)
        .where(grants_on(recording_id), grant_in_force(now))
        .cte("given")
    )

    def granted(person: Any) -> Select[Any]:
        return _row(IN_AUDIENCE.name, grant.c.id, person).select_from(grant)

    in_area = grant.c.area_id == wider.c.outer_id
    rows = [
        _row(OWNS_RECORDING.name, null(), Recording.owner_id).where(
            here, exists().where(held.c.person_id == Recording.owner_id, held.c.role.in_(MAKERS))
        ),
        *(
            _row(rule.name, null(), held.c.person_id)
            .select_from(held)
            .join(Recording, here)
            .where(held.c.role.in_(roles), _over_place(held, wider))
            for rule, roles in ((MAKES_HERE, MAKERS), (KEEPS_HERE, (Role.CUSTODIAN,)))
        ),
        # to an area: whoever belongs to an organisation in it, or holds a role over it or over something within it
        granted(Person.id)
        .join(wider, in_area)
        .join(Organisation, Organisation.area_id == wider.c.inner_id)
        .join(Person, Person.organisation_id == Organisation.id),
        granted(held.c.person_id).join(wider, in_area).join(held, held.c.area_id == wider.c.inner_id),
        granted(held.c.person_id)
        .join(wider, in_area)
        .join(Organisation, Organisation.area_id == wider.c.inner_id)
        .join(held, held.c.organisation_id == Organisation.id),
        granted(Person.id).join(Person, Person.organisation_id == grant.c.organisation_id),
        granted(held.c.person_id).join(held, held.c.organisation_id == grant.c.organisation_id),
        granted(GroupMembership.person_id)
        .join(GroupMembership, GroupMembership.group_id == grant.c.group_id)
        .join(Group, Group.id == GroupMembership.group_id)
        .where(
            or_(GroupMembership.ends_at.is_(None), GroupMembership.ends_at > now),
            or_(Group.ends_at.is_(None), Group.ends_at > now),
        ),
        granted(grant.c.person_id).where(grant.c.person_id.is_not(None)),
    ]
    named = union(*rows).subquery("named")
    return (
        select(named.c.rule, named.c.grant_id, named.c.person_id)
        .join(Person, Person.id == named.c.person_id)
        .where(active(now))
        .cte("reached")
    )


def open_to_audience(recording_id: uuid.UUID, now: datetime) -> ColumnElement[bool]:
    """Whether grants on the recording count now: it is published, can be watched, and its case is live."""
    return exists().where(Recording.id == recording_id, *(rule.holds(ANONYMOUS, now) for rule in AUDIENCE_GATE))


def opens(rows: CTE, recording_id: uuid.UUID, now: datetime) -> ColumnElement[bool]:
    """Rows of `reached` that let their person watch at `now`."""
    rule: ColumnClause[Any] | ColumnElement[Any] = rows.c.rule
    return or_(rule != IN_AUDIENCE.name, open_to_audience(recording_id, now))


def reach(recording_id: uuid.UUID, now: datetime) -> Select[tuple[uuid.UUID]]:
    """The ids of exactly the people who may watch the recording at `now`, each once."""
    rows = reached(recording_id, now)
    return select(rows.c.person_id).where(opens(rows, recording_id, now)).distinct()
