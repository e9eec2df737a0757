"""Which audit events an actor may read, and which looks of keepers are written down as such.

Admins and custodians read what people whom they are over did, and what anybody did to things of their places; from
everywhere, all. Who an event names is theirs to know by that; what the thing is called is for the rules of the thing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import Session

from app.access import policy
from app.access.actions import Action
from app.access.actor import Actor
from app.access.rules import placed_in
from app.db.audit import AuditEvent
from app.db.cases import Case
from app.db.materials import Material
from app.db.people import Group, Person, Role
from app.db.places import Organisation
from app.db.recordings import Recording

OVERSEERS = (Role.ADMIN, Role.CUSTODIAN)
#: What the subject of an event may be, beside people, organisations and areas: things that have a place.
PLACED: dict[str, type[Any]] = {"recording": Recording, "case": Case, "material": Material, "group": Group}


def events(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """The audit events that the actor may read, as a predicate over `AuditEvent`."""
    if not policy.can(actor, Action.AUDIT_VIEW):
        return false()
    cover = actor.over(*OVERSEERS)
    if cover.everywhere:
        return true()
    people = select(Person.id).where(_over_person(actor, now))
    organisations = select(Organisation.id).where(placed_in(cover, Organisation.area_id, Organisation.id))
    return or_(
        AuditEvent.person_id.in_(people),
        and_(AuditEvent.subject_kind == "person", AuditEvent.subject_id.in_(people)),
        and_(AuditEvent.subject_kind == "organisation", AuditEvent.subject_id.in_(organisations)),
        and_(AuditEvent.subject_kind == "area", AuditEvent.subject_id.in_(cover.area_ids)),
        *(
            and_(
                AuditEvent.subject_kind == kind,
                AuditEvent.subject_id.in_(
                    select(table.id).where(placed_in(cover, table.area_id, table.organisation_id))
                ),
            )
            for kind, table in PLACED.items()
        ),
    )


def named(actor: Actor, kind: str, now: datetime) -> ColumnElement[bool]:
    """Of which subjects of a kind the actor may read the name, as a predicate over the kind's table."""
    cover = actor.over(*OVERSEERS)
    if kind == "person":
        return or_(_over_person(actor, now), Person.id == actor.person_id)
    if kind == "organisation":
        return true()  # a name on every page that shares
    table = PLACED[kind]
    return placed_in(cover, table.area_id, table.organisation_id)


def only_as_keeper(session: Session, actor: Actor, recording: Recording, now: datetime) -> bool:
    """Whether the actor sees a recording for no other reason than being an admin or custodian: one query, and none for
    people who are neither."""
    if actor.is_system or not actor.over(*OVERSEERS) or recording.owner_id == actor.person_id:
        return False
    without = replace(actor, coverage={r: c for r, c in actor.coverage.items() if r not in OVERSEERS})
    return not policy.allows(session, without, Action.RECORDING_VIEW, recording.id, now)


def _over_person(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """People wholly within the places of the actor, whichever of the overseeing roles they hold there."""
    overseer = replace(actor, coverage={Role.ADMIN: actor.over(*OVERSEERS)}, actions=None)
    return policy.where(overseer, Action.PERSON_ADMINISTER, now)
