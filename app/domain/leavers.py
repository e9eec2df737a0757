"""People who move to another organisation, and people who leave."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action, Actor, policy
from app.access.places import covers, may_appoint
from app.access.rules import MAKERS
from app.db.grants import Grant
from app.db.materials import Material
from app.db.people import Group, GroupMembership, Person, Role, RoleAssignment
from app.db.places import Organisation
from app.db.recordings import Recording
from app.db.sign_in import ApiToken, OneTimeLink
from app.domain import admins, audit, groups, people, sign_in
from app.errors import Conflict, Forbidden, Invalid

NO_SUCCESSOR = "There is no facilitator or admin with this address among the people you administer"


# -- moving ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Move:
    """What it means that a person goes from one organisation to another: roles that end, groups to keep or leave."""

    to: Organisation
    roles: list[RoleAssignment]
    groups: list[Group]


def move_of(session: Session, actor: Actor, person: Person, to: Organisation) -> Move:
    """What a move would do; the actor may make it. The caller has checked that they administer the person.

    Raises:
        Forbidden: they do not administer both organisations, or could not give a role that would end.
        Invalid: the organisation is closed, or the person belongs to it already.
        Conflict: the person has left.
    """
    if person.left_at is not None:
        raise Conflict("They have left. Add them again as a new person.")
    if to.id == person.organisation_id:
        raise Invalid("They belong to it already", fields={"organisation": "They belong to it already"})
    cover, now = actor.over(Role.ADMIN), clock.now()
    here = person.organisation_id
    for organisation_id in (to.id, here):
        if organisation_id is not None and not covers(session, cover, organisation_id=organisation_id):
            raise Forbidden("You can only move people between organisations that you administer.")
    people.check_open(session, to.id)
    if here is None:
        return Move(to, [], [])
    ending = [r for r in person.roles if r.organisation_id == here and (r.ends_at is None or r.ends_at > now)]
    if not all(may_appoint(session, actor, r.role, organisation_id=here) for r in ending):
        raise Forbidden(people.OUTRANKED)
    query = (
        select(Group)
        .join(GroupMembership, GroupMembership.group_id == Group.id)
        .where(
            GroupMembership.person_id == person.id,
            Group.organisation_id == here,
            or_(GroupMembership.ends_at.is_(None), GroupMembership.ends_at > now),
            or_(Group.ends_at.is_(None), Group.ends_at > now),
        )
        .order_by(Group.name)
    )
    return Move(to, ending, list(session.scalars(query)))


def move(
    session: Session,
    actor: Actor,
    person: Person,
    to: Organisation,
    *,
    seen_in: uuid.UUID | None,
    keep_groups: Collection[uuid.UUID] = (),
) -> None:
    """Move a person to another organisation: roles over the old one end, and its groups but those to keep.

    Args:
        seen_in: the organisation in which they were when the effect was shown.
    Raises:
        Forbidden, Invalid: as `move_of`.
        Conflict: they were moved meanwhile, or have left.
    """
    session.refresh(person, with_for_update=True)
    if person.organisation_id != seen_in:
        raise Conflict("They were moved meanwhile. Look at them again before you move them.")
    plan = move_of(session, actor, person, to)
    now = clock.now()
    for held in plan.roles:
        held.ends_at = now
        audit.record(
            session, actor, "role:take", "person", person.id,
            role=held.role.value, area="", organisation=str(held.organisation_id),
        )  # fmt: skip
    for group in plan.groups:
        if group.id not in keep_groups:
            groups.leave(session, actor, group, person.id)
    person.organisation_id = to.id
    session.flush()
    audit.record(session, actor, "person:move", "person", person.id, was_in=str(seen_in or ""), now_in=str(to.id))


# -- leaving ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Owned:
    """What a person keeps as its owner, as far as the reader may see to it."""

    recordings: list[Recording]
    materials: list[Material]

    def __bool__(self) -> bool:
        return bool(self.recordings or self.materials)


def owned_by(session: Session, actor: Actor, person: Person) -> Owned:
    """The recordings and materials of a person that the actor could hand over. What belongs to places beyond the actor
    stays with the makers of these places."""
    now = clock.now()
    recordings = policy.visible(actor, Action.RECORDING_MANAGE, now).where(Recording.owner_id == person.id)
    materials = policy.visible(actor, Action.MATERIAL_EDIT, now).where(Material.owner_id == person.id)
    return Owned(
        list(session.scalars(recordings.order_by(Recording.title, Recording.id))),
        list(session.scalars(materials.order_by(Material.title, Material.id))),
    )


def find_successor(session: Session, actor: Actor, person: Person, email: str) -> Person:
    """The facilitator or admin of this address who takes over from a person.

    Raises:
        Invalid: there is none among the people whom the actor administers.
    """
    now = clock.now()
    found = people.by_email(session, email)
    if (
        found is None
        or found.id == person.id
        or not policy.allows(session, actor, Action.PERSON_ADMINISTER, found.id, now)
        or not access.load(session, found.id, now).over(*MAKERS)
    ):
        raise Invalid(NO_SUCCESSOR, fields={"successor": NO_SUCCESSOR})
    return found


def leave(session: Session, actor: Actor, person: Person, *, successor: Person | None = None) -> None:
    """See a person out: roles end, groups are left, sessions end, tokens and links stop, what was shared with them by name
    ends, and what they own goes to their successor. It cannot be undone; whoever comes back is added anew.

    The caller has checked that the actor administers the person, and has the successor from `find_successor`.

    Raises:
        Forbidden: the person holds a role that the actor could not give.
        Conflict: they are the last admin, or have left already.
    """
    session.refresh(person, with_for_update=True)
    if person.left_at is not None:
        raise Conflict("They have left already.")
    people.check_rank(session, actor, person)
    admins.check_somebody_stays(session, person.id)
    now = clock.now()
    handed = _hand_over(session, actor, person, successor) if successor is not None else 0
    ended = 0
    for held in person.roles:
        if held.ends_at is None or held.ends_at > now:
            held.ends_at = now
            ended += 1
    groups.forget_person(session, person.id)
    sign_in.end_all_sessions(session, person.id)
    _stop(session, ApiToken, "revoked_at", ApiToken.person_id == person.id, ApiToken.revoked_at.is_(None))
    session.execute(delete(OneTimeLink).where(OneTimeLink.person_id == person.id, OneTimeLink.used_at.is_(None)))
    _stop(
        session, Grant, "revoked_at", Grant.person_id == person.id, Grant.revoked_at.is_(None),
        revoked_by_id=actor.person_id,
    )  # fmt: skip
    person.left_at = person.suspended_at = now
    person.password_hash = None
    session.flush()
    audit.record(
        session, actor, "person:leave", "person", person.id,
        roles=ended, handed_over=handed, successor=str(successor.id) if successor is not None else "",
    )  # fmt: skip


def _stop(session: Session, table: Any, column: str, *where: Any, **values: Any) -> None:
    session.execute(update(table).where(*where).values({column: clock.now(), **values}))


def _hand_over(session: Session, actor: Actor, person: Person, successor: Person) -> int:
    owned = owned_by(session, actor, person)
    for kind, things in (("recording", owned.recordings), ("material", owned.materials)):
        for thing in things:
            thing.owner_id = successor.id
            audit.record(session, actor, f"{kind}:hand-over", kind, thing.id, successor=str(successor.id))
    return len(owned.recordings) + len(owned.materials)
