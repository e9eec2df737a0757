"""The tree of areas: country > region > locality. Adding, changing, moving and deleting; counts of what lies within."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, or_, select, union
from sqlalchemy.orm import Session

from app import clock
from app.access import Action, Actor, policy
from app.access.actor import area_tree, with_narrower, with_wider
from app.access.places import areas_within, covers
from app.access.rules import grant_in_force
from app.db.cases import Case
from app.db.grants import Grant
from app.db.materials import Material
from app.db.people import Group, Person, Role, RoleAssignment
from app.db.places import WIDTH, Area, AreaKind, Organisation
from app.db.recordings import Recording
from app.domain import audit
from app.domain.places import EVERYWHERE
from app.errors import Conflict, Forbidden, Invalid

#: What an area of each kind lies in; a country lies in nothing.
LIES_IN: dict[AreaKind, AreaKind | None] = {
    AreaKind.COUNTRY: None,
    AreaKind.REGION: AreaKind.COUNTRY,
    AreaKind.LOCALITY: AreaKind.REGION,
}
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
ROOTS = "Only an admin of everywhere can add, change or delete a country."
NOT_YOURS = "You can only change areas within those that you administer."


@dataclass
class Node:
    """An area of the tree, with how many organisations and people there are in it and everything within it. People are
    counted once, and only those whom the reader administers."""

    area: Area
    organisations: int = 0
    people: int = 0
    children: list[Node] = field(default_factory=list)


def tree(session: Session, actor: Actor) -> list[Node]:
    """The areas that the actor administers, as trees, by name: three queries."""
    parents = area_tree(session)
    query = policy.visible(actor, Action.AREA_ADMINISTER, clock.now()).order_by(Area.name)
    nodes = {area.id: Node(area) for area in session.scalars(query)}
    for area_id, count in session.execute(select(Organisation.area_id, func.count()).group_by(Organisation.area_id)):
        for wider in with_wider([area_id], parents) & nodes.keys():
            nodes[wider].organisations += count
    for person_areas in _seats(session, actor).values():
        for wider in with_wider(person_areas, parents) & nodes.keys():
            nodes[wider].people += 1
    roots: list[Node] = []
    for node in nodes.values():
        parent = nodes.get(node.area.parent_id) if node.area.parent_id is not None else None
        (parent.children if parent is not None else roots).append(node)
    return roots


def _seats(session: Session, actor: Actor) -> dict[uuid.UUID, set[uuid.UUID]]:
    """The areas in which each person sits whom the actor administers: by their organisation, or by a role."""
    now = clock.now()
    mine = policy.visible(actor, Action.PERSON_ADMINISTER, now).with_only_columns(Person.id)
    mine = mine.where(Person.left_at.is_(None))
    home = select(Person.id, Organisation.area_id).join(Organisation, Organisation.id == Person.organisation_id)
    held = select(RoleAssignment.person_id, func.coalesce(RoleAssignment.area_id, Organisation.area_id)).outerjoin(
        Organisation, Organisation.id == RoleAssignment.organisation_id
    )
    held = held.where(
        or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now),
        or_(RoleAssignment.area_id.is_not(None), RoleAssignment.organisation_id.is_not(None)),
    )
    found: dict[uuid.UUID, set[uuid.UUID]] = {}
    allowed = set(session.scalars(mine))
    for person_id, area_id in session.execute(union(home, held)):
        if person_id in allowed:
            found.setdefault(person_id, set()).add(area_id)
    return found


def _check_may_change(session: Session, actor: Actor, area: Area) -> None:
    if area.kind is AreaKind.COUNTRY and not actor.over(Role.ADMIN).everywhere:
        raise Forbidden(ROOTS)
    if not covers(session, actor.over(Role.ADMIN), area_id=area.id):
        raise Forbidden(NOT_YOURS)


def _check_may_keep(session: Session, actor: Actor, parent_id: uuid.UUID | None) -> None:
    """Whether the actor may add to, take from or delete in the area that something lies in."""
    if parent_id is None:
        if not actor.over(Role.ADMIN).everywhere:
            raise Forbidden(ROOTS)
    elif not covers(session, actor.over(Role.ADMIN), area_id=parent_id):
        raise Forbidden(NOT_YOURS)


def _checked(
    session: Session, name: str, code: str, parent_id: uuid.UUID | None, but: uuid.UUID | None = None
) -> tuple[str, str]:
    """Name and code without outer spaces. Codes are told apart without regard to case, names among their neighbours."""
    name, code = " ".join(name.split()), code.strip()
    wrong: dict[str, str] = {}
    if not name or len(name) > 200:
        wrong["name"] = "Enter the area's name in 200 characters or fewer"
    elif _taken(session, func.lower(Area.name) == name.lower(), Area.parent_id.is_not_distinct_from(parent_id), but):
        wrong["name"] = "There is an area of this name beside it already"
    if not _CODE.fullmatch(code) or code.lower() == EVERYWHERE:
        wrong["code"] = "Enter a code of letters, digits and hyphens, like NEY or NEY-leeds"
    elif _taken(session, func.lower(Area.code) == code.lower(), True, but):
        wrong["code"] = "This code belongs to another area"
    if wrong:
        raise Invalid("; ".join(wrong.values()), fields=wrong)
    return name, code


def _taken(session: Session, one: Any, other: Any, but: uuid.UUID | None) -> bool:
    query = select(Area.id).where(one, other) if other is not True else select(Area.id).where(one)
    return session.scalar(query if but is None else query.where(Area.id != but)) is not None


def add(session: Session, actor: Actor, *, parent: Area | None, name: str, code: str) -> Area:
    """A new area: a country without a parent, a region in a country, a locality in a region.

    Raises:
        Forbidden: the actor does not administer the parent; countries are for admins of everywhere.
        Invalid: the name or code is taken or not acceptable, or nothing lies in areas of the parent's kind.
    """
    _check_may_keep(session, actor, parent.id if parent is not None else None)
    kind = next((k for k, outer in LIES_IN.items() if outer is (parent.kind if parent is not None else None)), None)
    if kind is None:
        sentence = "A locality has no areas within it"
        raise Invalid(sentence, fields={"parent": sentence})
    name, code = _checked(session, name, code, parent.id if parent is not None else None)
    area = Area(name=name, code=code, kind=kind, parent_id=parent.id if parent is not None else None)
    session.add(area)
    session.flush()
    audit.record(session, actor, "area:create", "area", area.id, kind=kind.value, parent=str(area.parent_id or ""))
    return area


def edit(session: Session, actor: Actor, area: Area, *, name: str, code: str) -> None:
    """Give an area another name or code. The old code is refused from then on, by command line and API too.

    Raises:
        Forbidden: the actor does not administer it; countries are for admins of everywhere.
        Invalid: the name or code is taken or not acceptable.
    """
    _check_may_change(session, actor, area)
    name, code = _checked(session, name, code, area.parent_id, but=area.id)
    changed = [word for word, old, new in (("name", area.name, name), ("code", area.code, code)) if old != new]
    area.name, area.code = name, code
    session.flush()
    audit.record(session, actor, "area:edit", "area", area.id, changed=changed)


def new_parents(session: Session, actor: Actor, area: Area) -> list[Area]:
    """The areas that this one can be moved to: of the legal kind, administered by the actor, and not where it is."""
    outer = LIES_IN[area.kind]
    found = areas_within(session, actor.over(Role.ADMIN))
    return [a for a in found if a.kind is outer and a.id != area.parent_id]


@dataclass(frozen=True)
class Wider:
    """An area whose grants begin or cease to reach what is moved. `grants` in force, None where that is not the
    reader's to know."""

    area: Area
    grants: int | None


@dataclass(frozen=True)
class Effect:
    """What moves with an area or an organisation: people counted as the reader may know them, roles held over it or
    within it, and whose grants and admins no longer reach it, or begin to."""

    organisations: int
    people: int
    roles: int
    leaves: list[Wider]
    enters: list[Wider]


def effect_of(
    session: Session,
    actor: Actor,
    *,
    area_ids: frozenset[uuid.UUID],
    organisation_ids: list[uuid.UUID],
    was_in: uuid.UUID,
    will_be_in: uuid.UUID,
) -> Effect:
    """What it means that these areas and organisations no longer lie in one area but in another."""
    now, parents = clock.now(), area_tree(session)
    before, after = with_wider([was_in], parents), with_wider([will_be_in], parents)
    in_force = or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now)
    over = or_(RoleAssignment.area_id.in_(area_ids), RoleAssignment.organisation_id.in_(organisation_ids))
    roles = session.scalar(select(func.count()).select_from(RoleAssignment).where(over, in_force)) or 0
    mine = policy.visible(actor, Action.PERSON_ADMINISTER, now).with_only_columns(Person.id)
    seated = select(RoleAssignment.person_id).where(over, in_force)
    people = session.scalar(
        select(func.count())
        .select_from(Person)
        .where(
            Person.left_at.is_(None),
            Person.id.in_(mine),
            or_(Person.organisation_id.in_(organisation_ids), Person.id.in_(seated)),
        )
    )
    return Effect(
        len(organisation_ids), people or 0, roles,
        _wider(session, actor, before - after), _wider(session, actor, after - before),
    )  # fmt: skip


def _wider(session: Session, actor: Actor, area_ids: frozenset[uuid.UUID]) -> list[Wider]:
    counts: dict[Any, int] = {
        row[0]: row[1]
        for row in session.execute(
            select(Grant.area_id, func.count())
            .where(Grant.area_id.in_(area_ids), grant_in_force(clock.now()))
            .group_by(Grant.area_id)
        )
    }
    cover = actor.over(Role.ADMIN)
    areas = session.scalars(select(Area).where(Area.id.in_(area_ids)).order_by(WIDTH.desc()))
    return [Wider(a, counts.get(a.id, 0) if cover.everywhere or a.id in cover.area_ids else None) for a in areas]


def effect_of_move(session: Session, actor: Actor, area: Area, to: Area) -> Effect:
    """What moving an area would do; the actor may do it.

    Raises:
        Forbidden, Invalid: as `move`.
    """
    was_in = _check_move(session, actor, area, to)
    inside = with_narrower([area.id], area_tree(session))
    organisations = list(session.scalars(select(Organisation.id).where(Organisation.area_id.in_(inside))))
    return effect_of(session, actor, area_ids=inside, organisation_ids=organisations, was_in=was_in, will_be_in=to.id)


def _check_move(session: Session, actor: Actor, area: Area, to: Area) -> uuid.UUID:
    outer = LIES_IN[area.kind]
    if area.parent_id is None or to.kind is not outer:
        words = "A country lies in no other area" if outer is None else f"A {area.kind.value} lies in a {outer.value}"
        raise Invalid(words, fields={"to": words})
    if to.id == area.parent_id:
        raise Invalid("It lies there already", fields={"to": "It lies there already"})
    _check_may_keep(session, actor, area.parent_id)
    _check_may_keep(session, actor, to.id)
    return area.parent_id


def move(session: Session, actor: Actor, area: Area, to: Area, *, seen_in: uuid.UUID) -> None:
    """Move a locality to another region or a region to another country, with everything within it. Who may see what
    follows at the next request. Kinds leave no way to make a circle.

    Args:
        seen_in: the area in which it lay when the effect was shown.
    Raises:
        Forbidden: the actor does not administer both ends.
        Invalid: the kinds do not fit.
        Conflict: it was moved meanwhile.
    """
    session.refresh(area, with_for_update=True)
    if area.parent_id != seen_in:
        raise Conflict("It was moved meanwhile. Look at it again before you move it.")
    was_in = _check_move(session, actor, area, to)
    _checked(session, area.name, area.code, to.id, but=area.id)
    area.parent_id = to.id
    session.flush()
    audit.record(session, actor, "area:move", "area", area.id, was_in=str(was_in), now_in=str(to.id))


def contents(session: Session, area: Area) -> list[str]:
    """What keeps an area from being deleted, in words; empty when nothing does. Grants count also when they have ended,
    because their history is kept."""
    now = clock.now()
    in_force = or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now)
    rows: list[tuple[str, Any]] = [
        ("areas", select(Area.id).where(Area.parent_id == area.id)),
        ("organisations", select(Organisation.id).where(Organisation.area_id == area.id)),
        ("roles", select(RoleAssignment.id).where(RoleAssignment.area_id == area.id, in_force)),
        ("groups", select(Group.id).where(Group.area_id == area.id)),
        ("cases", select(Case.id).where(Case.area_id == area.id)),
        ("recordings", select(Recording.id).where(Recording.area_id == area.id)),
        ("training materials", select(Material.id).where(Material.area_id == area.id)),
        ("things shared with it", select(Grant.id).where(Grant.area_id == area.id)),
    ]
    return [word for word, query in rows if session.scalar(query.limit(1)) is not None]


def delete(session: Session, actor: Actor, area: Area) -> None:
    """Delete an area with nothing in it.

    Raises:
        Forbidden: the actor does not administer what it lies in; countries are for admins of everywhere.
        Conflict: something is in it.
    """
    _check_may_keep(session, actor, area.parent_id)
    session.refresh(area, with_for_update=True)
    kept = contents(session, area)
    if kept:
        raise Conflict(f"{area.name} still has {', '.join(kept)}. Only an empty area can be deleted.")
    session.execute(delete_rows(RoleAssignment).where(RoleAssignment.area_id == area.id))
    audit.record(session, actor, "area:delete", "area", area.id, code=area.code)
    session.delete(area)
    session.flush()
