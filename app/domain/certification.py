"""Re-certification: every six months somebody who could give a role, an admin or a custodian, says that it is right."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, contains_eager, selectinload

from app import clock
from app.access import Actor
from app.access.places import appointable
from app.access.reach import active
from app.db.people import Person, RoleAssignment
from app.db.places import Area, Organisation
from app.domain import audit, paging, people
from app.domain.paging import Page, Sorting
from app.errors import Conflict, Invalid

#: Half a year: half of 366 days.
EVERY = timedelta(days=183)
AHEAD = timedelta(days=30)
PAGE = 50
#: When it was last said that the role is right: at the latest confirmation, or when it was given.
SINCE = func.coalesce(RoleAssignment.confirmed_at, RoleAssignment.created_at)
BY_DUE = Sorting("due", "Longest ago first", SINCE)
CHOOSE = "Select at least one role"
#: How the address calls roles that hold everywhere.
EVERYWHERE = "all"


def due_at(held: RoleAssignment) -> datetime:
    """When somebody should look at a role again."""
    return (held.confirmed_at or held.created_at) + EVERY


def _due(actor: Actor) -> Select[RoleAssignment]:
    """Roles in force, of people whose accounts work, that the actor could give, and that are due within 30 days."""
    now = clock.now()
    return (
        select(RoleAssignment)
        .join(Person, Person.id == RoleAssignment.person_id)
        .where(
            appointable(actor),
            active(now),
            or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now),
            now - EVERY + AHEAD > SINCE,
        )
    )


def _area_id() -> Select[uuid.UUID]:
    """The area that a role counts in: its own, or that of its organisation."""
    home = select(Organisation.area_id).where(Organisation.id == RoleAssignment.organisation_id)
    return select(func.coalesce(RoleAssignment.area_id, home.correlate(RoleAssignment).scalar_subquery())).correlate(
        RoleAssignment
    )


@dataclass(frozen=True)
class Part:
    """How many roles are due in one area. `code` is what the address calls it."""

    code: str
    name: str
    roles: int


def parts(session: Session, actor: Actor) -> list[Part]:
    """The areas in which roles are due, by name, each with how many; everywhere comes first."""
    area_id = _area_id().scalar_subquery()
    rows = _due(actor).with_only_columns(area_id.label("area_id")).subquery("due")
    counted = session.execute(
        select(Area.code, Area.name, func.count())
        .select_from(rows)
        .outerjoin(Area, Area.id == rows.c.area_id)
        .group_by(Area.code, Area.name)
        .order_by(Area.name.nulls_first())
    )
    return [Part(code or EVERYWHERE, name or "Everywhere", number) for code, name, number in counted]


def roles(session: Session, actor: Actor, *, area: str = "", after: str = "", before: str = "") -> Page[RoleAssignment]:
    """A page of the roles that are due, the longest ago first.

    Args:
        area: the code of an area to narrow to, or "all" for roles that hold everywhere; empty for all areas.
    Raises:
        Invalid: the cursor was not made by this list.
    """
    query = _due(actor).options(
        contains_eager(RoleAssignment.person),
        selectinload(RoleAssignment.area),
        selectinload(RoleAssignment.organisation),
    )
    if area == EVERYWHERE:
        query = query.where(RoleAssignment.area_id.is_(None), RoleAssignment.organisation_id.is_(None))
    elif area:
        wanted = select(Area.id).where(Area.code == area).scalar_subquery()
        query = query.where(_area_id().scalar_subquery() == wanted)
    return paging.read(session, query, RoleAssignment, BY_DUE, after=after, before=before, size=PAGE)


def _chosen(session: Session, actor: Actor, ids: Collection[uuid.UUID]) -> list[RoleAssignment]:
    """Those of these roles that are due and not the actor's own, locked.

    Raises:
        Invalid: none is named.
    """
    if not ids:
        raise Invalid(CHOOSE, fields={"roles": CHOOSE})
    query = (
        _due(actor)
        .where(RoleAssignment.id.in_(ids), RoleAssignment.person_id.is_distinct_from(actor.person_id))
        .order_by(RoleAssignment.id)
        .with_for_update(of=RoleAssignment)
    )
    return list(session.scalars(query))


def confirm(session: Session, actor: Actor, ids: Collection[uuid.UUID]) -> int:
    """Say of several roles that they are still right. Returns how many; nobody confirms a role of their own.

    Raises:
        Invalid: none is named.
    """
    chosen = _chosen(session, actor, ids)
    for held in chosen:
        held.confirmed_at, held.confirmed_by_id = clock.now(), actor.person_id
        audit.record(
            session, actor, "role:confirm", "person", held.person_id,
            role=held.role.value, area=str(held.area_id or ""), organisation=str(held.organisation_id or ""),
        )  # fmt: skip
    return len(chosen)


def end(session: Session, actor: Actor, ids: Collection[uuid.UUID]) -> tuple[int, list[str]]:
    """End several roles at once. Returns how many ended, and a sentence for each that had to stay.

    Raises:
        Invalid: none is named.
    """
    ended, stayed = 0, []
    for held in _chosen(session, actor, ids):
        name = held.person.display_name
        try:
            people.take_role(session, actor, held)
        except Conflict as error:
            stayed.append(f"{name}: {error}")
        else:
            ended += 1
    return ended, stayed
