"""Organisations after they were added: their name, moving, closing, deleting."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.access.places import areas_within, covers
from app.db.cases import Case
from app.db.grants import Grant
from app.db.materials import Material
from app.db.people import Group, Person, Role, RoleAssignment
from app.db.places import Area, Organisation
from app.db.recordings import Recording
from app.domain import areas, audit
from app.errors import Conflict, Forbidden, Invalid


def may_place(session: Session, actor: Actor, organisation: Organisation) -> bool:
    """Whether the actor administers the area that it sits in, and not only the organisation itself."""
    return covers(session, actor.over(Role.ADMIN), area_id=organisation.area_id)


def _check_may_place(session: Session, actor: Actor, area_id: uuid.UUID) -> None:
    if not covers(session, actor.over(Role.ADMIN), area_id=area_id):
        raise Forbidden("This is for admins of the area that the organisation sits in.")


def rename(session: Session, actor: Actor, organisation: Organisation, name: str) -> None:
    """Another name. The caller has checked that the actor administers the organisation.

    Raises:
        Invalid: the name is empty or taken.
    """
    name = " ".join(name.split())
    query = select(Organisation.id).where(func.lower(Organisation.name) == name.lower())
    taken = session.scalar(query.where(Organisation.id != organisation.id)) is not None
    if not name or len(name) > 200 or taken:
        sentence = "An organisation with this name already exists" if taken else "Enter the organisation's name"
        raise Invalid(sentence, fields={"name": sentence})
    organisation.name = name
    session.flush()
    audit.record(session, actor, "organisation:rename", "organisation", organisation.id)


def new_areas(session: Session, actor: Actor, organisation: Organisation) -> list[Area]:
    """The areas that it can be moved to: administered by the actor, and not where it is."""
    return [a for a in areas_within(session, actor.over(Role.ADMIN)) if a.id != organisation.area_id]


def effect_of_move(session: Session, actor: Actor, organisation: Organisation, to: Area) -> areas.Effect:
    """What moving it to another area would do; the actor may do it.

    Raises:
        Forbidden, Invalid: as `move`.
    """
    _check_move(session, actor, organisation, to)
    return areas.effect_of(
        session, actor, area_ids=frozenset(), organisation_ids=[organisation.id],
        was_in=organisation.area_id, will_be_in=to.id,
    )  # fmt: skip


def _check_move(session: Session, actor: Actor, organisation: Organisation, to: Area) -> None:
    if to.id == organisation.area_id:
        raise Invalid("It sits there already", fields={"to": "It sits there already"})
    _check_may_place(session, actor, organisation.area_id)
    _check_may_place(session, actor, to.id)


def move(session: Session, actor: Actor, organisation: Organisation, to: Area, *, seen_in: uuid.UUID) -> None:
    """Move it to another area, with everything that belongs to it.

    Args:
        seen_in: the area in which it sat when the effect was shown.
    Raises:
        Forbidden: the actor does not administer both areas.
        Invalid: it sits there already.
        Conflict: it was moved meanwhile.
    """
    session.refresh(organisation, with_for_update=True)
    if organisation.area_id != seen_in:
        raise Conflict("It was moved meanwhile. Look at it again before you move it.")
    _check_move(session, actor, organisation, to)
    organisation.area_id = to.id
    session.flush()
    audit.record(
        session, actor, "organisation:move", "organisation", organisation.id, was_in=str(seen_in), now_in=str(to.id)
    )


def close(session: Session, actor: Actor, organisation: Organisation) -> None:
    """Let nobody new in. Who is there stays, with all that they may see.

    Raises:
        Forbidden: the actor does not administer its area.
    """
    _check_may_place(session, actor, organisation.area_id)
    organisation.closed_at = organisation.closed_at or clock.now()
    audit.record(session, actor, "organisation:close", "organisation", organisation.id)


def reopen(session: Session, actor: Actor, organisation: Organisation) -> None:
    """Let people in again.

    Raises:
        Forbidden: the actor does not administer its area.
    """
    _check_may_place(session, actor, organisation.area_id)
    organisation.closed_at = None
    audit.record(session, actor, "organisation:reopen", "organisation", organisation.id)


def contents(session: Session, organisation: Organisation) -> list[str]:
    """What keeps it from being deleted, in words. People who have left do not; grants do also when they have ended."""
    now, here = clock.now(), organisation.id
    in_force = or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now)
    rows: list[tuple[str, Any]] = [
        ("people", select(Person.id).where(Person.organisation_id == here, Person.left_at.is_(None))),
        ("roles", select(RoleAssignment.id).where(RoleAssignment.organisation_id == here, in_force)),
        ("groups", select(Group.id).where(Group.organisation_id == here)),
        ("cases", select(Case.id).where(Case.organisation_id == here)),
        ("recordings", select(Recording.id).where(Recording.organisation_id == here)),
        ("training materials", select(Material.id).where(Material.organisation_id == here)),
        ("things shared with it", select(Grant.id).where(Grant.organisation_id == here)),
    ]
    return [word for word, query in rows if session.scalar(query.limit(1)) is not None]


def delete(session: Session, actor: Actor, organisation: Organisation) -> None:
    """Delete it when it has nothing. People who have left it keep no organisation.

    Raises:
        Forbidden: the actor does not administer its area.
        Conflict: it has something.
    """
    _check_may_place(session, actor, organisation.area_id)
    session.refresh(organisation, with_for_update=True)
    kept = contents(session, organisation)
    if kept:
        raise Conflict(f"{organisation.name} still has {', '.join(kept)}. Only an empty organisation can be deleted.")
    session.execute(delete_rows(RoleAssignment).where(RoleAssignment.organisation_id == organisation.id))
    session.execute(update(Person).where(Person.organisation_id == organisation.id).values(organisation_id=None))
    audit.record(session, actor, "organisation:delete", "organisation", organisation.id)
    session.delete(organisation)
    session.flush()
