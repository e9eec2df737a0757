"""Where an actor may put things and whom they may reach: nobody gives more than they hold."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.orm import Session

from app.access.actor import Actor, Coverage
from app.access.rules import ADMINISTERS_PERSON, KEEPERS, placed_in
from app.db.people import Person, Role, RoleAssignment
from app.db.places import WIDTH, Area, Organisation

#: For each role, the roles whose holder may give or take it.
MAY_APPOINT: dict[Role, frozenset[Role]] = {
    Role.ADMIN: frozenset({Role.VIEWER, Role.FACILITATOR, Role.ADMIN}),
    Role.CUSTODIAN: frozenset({Role.CUSTODIAN}),
}


def covers(
    session: Session, cover: Coverage, *, area_id: uuid.UUID | None = None, organisation_id: uuid.UUID | None = None
) -> bool:
    """Whether the place (an area, an organisation, or with neither "everywhere") lies wholly within the coverage."""
    if cover.everywhere:
        return True
    if area_id is not None:
        return area_id in cover.area_ids
    if organisation_id is not None:
        within = placed_in(cover, Organisation.area_id, Organisation.id)
        return session.scalar(select(Organisation.id).where(Organisation.id == organisation_id, within)) is not None
    return False


def may_appoint(
    session: Session,
    actor: Actor,
    role: Role,
    *,
    area_id: uuid.UUID | None = None,
    organisation_id: uuid.UUID | None = None,
) -> bool:
    """Whether the actor may give (or take) `role` over the place. Everywhere is given only from everywhere; the first
    custodian of a place is appointed by an admin from everywhere."""
    holders = [held for held, given in MAY_APPOINT.items() if role in given]
    if covers(session, actor.over(*holders), area_id=area_id, organisation_id=organisation_id):
        return True
    return role is Role.CUSTODIAN and actor.over(Role.ADMIN).everywhere


def areas_within(session: Session, cover: Coverage) -> list[Area]:
    """The areas of the coverage, wider first, for a list to choose from."""
    query = select(Area).order_by(WIDTH, Area.name)
    if not cover.everywhere:
        query = query.where(Area.id.in_(cover.area_ids))
    return list(session.scalars(query))


def organisations_within(session: Session, cover: Coverage) -> list[Organisation]:
    """The organisations of the coverage by name, for a list to choose from."""
    return list(
        session.scalars(
            select(Organisation)
            .where(placed_in(cover, Organisation.area_id, Organisation.id))
            .order_by(Organisation.name)
        )
    )


def known_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """People of whom the actor may know: themselves, those whom they administer, and those who belong to a place that
    they cover as facilitator, admin or custodian, by their organisation or by a role."""
    cover = actor.over(*KEEPERS)
    if not actor.active or not cover:
        return Person.id == actor.person_id if actor.active and actor.person_id is not None else false()
    organisations = select(Organisation.id).where(placed_in(cover, Organisation.area_id, Organisation.id))
    holders = select(RoleAssignment.person_id).where(
        or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now),
        placed_in(cover, RoleAssignment.area_id, RoleAssignment.organisation_id),
    )
    return or_(
        Person.id == actor.person_id,
        ADMINISTERS_PERSON.holds(actor, now),
        Person.organisation_id.in_(organisations),
        Person.id.in_(holders),
    )


def appointable(actor: Actor) -> ColumnElement[bool]:
    """Roles that the actor may give and take: `may_appoint` over the rows of the table."""
    parts: list[ColumnElement[bool]] = []
    for role in Role:
        holders = [held for held, given in MAY_APPOINT.items() if role in given]
        within = placed_in(actor.over(*holders), RoleAssignment.area_id, RoleAssignment.organisation_id)
        if role is Role.CUSTODIAN and actor.over(Role.ADMIN).everywhere:
            parts.append(RoleAssignment.role == role)
        else:
            parts.append(and_(RoleAssignment.role == role, within))
    return or_(false(), *parts)
