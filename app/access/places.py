"""Where an actor may put things and whom they may reach: nobody gives more than they hold."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access.actor import Actor, Coverage
from app.access.rules import placed_in
from app.db.people import Role
from app.db.places import Area, Organisation

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
    query = select(Area).order_by(Area.kind, Area.name)
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
