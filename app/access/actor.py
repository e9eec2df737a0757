"""Who asks: a person with the roles that they hold now, or the system itself.

An actor is loaded afresh for each request and job, so a role, group or account that ended a moment ago counts no more.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from app.access.actions import VIEW_AS_ACTIONS, Action
from app.db.people import Group, GroupMembership, Person, Role, RoleAssignment
from app.db.places import Area, Organisation

NOWHERE: frozenset[uuid.UUID] = frozenset()


@dataclass(frozen=True)
class Coverage:
    """The places over which a role is held: everywhere, or these areas (with all within them) and organisations."""

    everywhere: bool = False
    area_ids: frozenset[uuid.UUID] = NOWHERE
    organisation_ids: frozenset[uuid.UUID] = NOWHERE

    def __bool__(self) -> bool:
        return self.everywhere or bool(self.area_ids) or bool(self.organisation_ids)

    def __or__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.everywhere or other.everywhere,
            self.area_ids | other.area_ids,
            self.organisation_ids | other.organisation_ids,
        )


@dataclass(frozen=True)
class Actor:
    """Who asks, with everything that the rules need, so that a rule is a query without a join on the actor.

    `audience_area_ids` are the areas whose grants reach this actor: those that the actor sits in, and all wider ones.
    `actions` narrows a token or an embed; None means no narrowing.
    """

    kind: str
    person_id: uuid.UUID | None = None
    name: str = ""
    active: bool = True
    coverage: dict[Role, Coverage] = field(default_factory=dict)
    audience_area_ids: frozenset[uuid.UUID] = NOWHERE
    organisation_ids: frozenset[uuid.UUID] = NOWHERE
    group_ids: frozenset[uuid.UUID] = NOWHERE
    actions: frozenset[Action] | None = None
    #: an embed may see this material only
    material_id: uuid.UUID | None = None
    #: who really asks, where an admin looks at the pages as this person: what is closed to either is closed
    seen_by: Actor | None = None

    def over(self, *roles: Role) -> Coverage:
        """The places over which the actor holds any of these roles."""
        result = Coverage()
        for role in roles:
            result |= self.coverage.get(role, Coverage())
        return result

    @property
    def is_system(self) -> bool:
        """True for the command line and jobs, which act for whoever runs the machine."""
        return self.kind == "system"

    @property
    def is_anonymous(self) -> bool:
        """True for somebody who has not signed in."""
        return self.person_id is None and not self.is_system

    @property
    def real_id(self) -> uuid.UUID | None:
        """Who is to answer for what is done: the admin, where one looks at the pages as somebody else."""
        return self.person_id if self.seen_by is None else self.seen_by.person_id

    def looked_at_by(self, real: Actor) -> Actor:
        """The same actor as an admin sees the pages in their place: read-only, and no more than the admin may see."""
        return replace(self.narrowed("view-as", VIEW_AS_ACTIONS), seen_by=real)

    def narrowed(self, kind: str, actions: Collection[Action], material_id: uuid.UUID | None = None) -> Actor:
        """The same actor with fewer actions: an API token or an embed."""
        kept = frozenset(actions) if self.actions is None else self.actions & frozenset(actions)
        return replace(self, kind=kind, actions=kept, material_id=material_id)


ANONYMOUS = Actor(kind="anonymous", active=False)
SYSTEM = Actor(kind="system", name="system", coverage={role: Coverage(everywhere=True) for role in Role})


# Every request asks these, so they are built once.
_PERSON = (
    select(
        Person.id,
        Person.name,
        Person.email,
        Person.suspended_at,
        Person.left_at,
        Person.organisation_id,
        Organisation.area_id,
    )
    .outerjoin(Organisation, Organisation.id == Person.organisation_id)
    .where(Person.id == bindparam("person"))
)
_ROLES = (
    select(RoleAssignment.role, RoleAssignment.area_id, RoleAssignment.organisation_id, Organisation.area_id)
    .outerjoin(Organisation, Organisation.id == RoleAssignment.organisation_id)
    .where(
        RoleAssignment.person_id == bindparam("person"),
        or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > bindparam("now")),
    )
)
_GROUPS = (
    select(GroupMembership.group_id)
    .join(Group, Group.id == GroupMembership.group_id)
    .where(
        GroupMembership.person_id == bindparam("person"),
        or_(GroupMembership.ends_at.is_(None), GroupMembership.ends_at > bindparam("now")),
        or_(Group.ends_at.is_(None), Group.ends_at > bindparam("now")),
    )
)
_TREE = select(Area.id, Area.parent_id)


def area_tree(session: Session) -> dict[uuid.UUID, uuid.UUID | None]:
    """Parent of each area; there are a few dozen areas at most."""
    return {row.id: row.parent_id for row in session.execute(_TREE)}


def with_wider(area_ids: Iterable[uuid.UUID], tree: dict[uuid.UUID, uuid.UUID | None]) -> frozenset[uuid.UUID]:
    """These areas and every area that they lie in."""
    found: set[uuid.UUID] = set()
    for start in area_ids:
        current: uuid.UUID | None = start
        while current is not None and current not in found:
            found.add(current)
            current = tree.get(current)
    return frozenset(found)


def with_narrower(area_ids: Iterable[uuid.UUID], tree: dict[uuid.UUID, uuid.UUID | None]) -> frozenset[uuid.UUID]:
    """These areas and every area within them."""
    wanted = frozenset(area_ids)
    return frozenset(area for area in tree if with_wider([area], tree) & wanted)


def load(session: Session, person_id: uuid.UUID, now: datetime) -> Actor:
    """The actor for a person as they stand at `now`: always four queries.

    A person who is unknown, suspended or has left becomes an actor who may do nothing. A group that has ended has nobody
    in it.
    """
    asked = {"person": person_id, "now": now}
    person = session.execute(_PERSON, asked).one_or_none()
    if person is None:
        return ANONYMOUS
    if any(stopped is not None and stopped <= now for stopped in (person.suspended_at, person.left_at)):
        return ANONYMOUS
    tree = area_tree(session)
    roles = session.execute(_ROLES, asked).all()
    groups = session.scalars(_GROUPS, asked).all()
    coverage: dict[Role, Coverage] = {}
    sits_in: set[uuid.UUID] = set()
    organisations: set[uuid.UUID] = set()
    if person.organisation_id is not None:
        organisations.add(person.organisation_id)
        sits_in.add(person.area_id)
    for role, area_id, organisation_id, organisation_area_id in roles:
        here = Coverage(
            everywhere=area_id is None and organisation_id is None,
            area_ids=with_narrower([area_id], tree) if area_id is not None else NOWHERE,
            organisation_ids=frozenset([organisation_id]) if organisation_id is not None else NOWHERE,
        )
        coverage[role] = coverage.get(role, Coverage()) | here
        if area_id is not None:
            sits_in.add(area_id)
        if organisation_id is not None:
            organisations.add(organisation_id)
            sits_in.add(organisation_area_id)
    return Actor(
        kind="person",
        person_id=person.id,
        name=person.name or person.email,
        coverage=coverage,
        audience_area_ids=with_wider(sits_in, tree),
        organisation_ids=frozenset(organisations),
        group_ids=frozenset(groups),
    )
