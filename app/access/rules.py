"""The rules. Each is a name, a sentence for people, and a SQL predicate over the rows of one table.

A rule gets the actor and the moment and says for which rows it holds. `app.access.policy` combines rules; nothing else
may. Predicates name their correlation outright, so that they stay right inside any larger query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from app.access.actor import Actor, Coverage
from app.db.cases import Case, CaseStatus
from app.db.grants import Grant, GrantRight
from app.db.materials import Material, MaterialItem, MaterialItemKind
from app.db.people import Group, GroupManager, Person, Role, RoleAssignment
from app.db.places import Area, Organisation
from app.db.recordings import Recording, RecordingState

Predicate = Callable[[Actor, datetime], ColumnElement[bool]]

MAKERS = (Role.FACILITATOR, Role.ADMIN)
KEEPERS = (Role.FACILITATOR, Role.ADMIN, Role.CUSTODIAN)

#: States of a recording in which the audience of a grant may watch it, once it is watchable.
SHOWABLE = (RecordingState.PROCESSING, RecordingState.READY)


@dataclass(frozen=True)
class Rule:
    """`holds` is the predicate; `sentence` completes "because ..." for an admin who asks why."""

    name: str
    sentence: str
    holds: Predicate


def placed_in(
    cover: Coverage, area: InstrumentedAttribute[Any], organisation: InstrumentedAttribute[Any]
) -> ColumnElement[bool]:
    """Rows that belong to a covered area, to an organisation in one, or to a covered organisation.

    A row that belongs to no place is covered only from everywhere.
    """
    if cover.everywhere:
        return true()
    parts: list[ColumnElement[bool]] = []
    if cover.area_ids:
        parts.append(area.in_(cover.area_ids))
        parts.append(organisation.in_(select(Organisation.id).where(Organisation.area_id.in_(cover.area_ids))))
    if cover.organisation_ids:
        parts.append(organisation.in_(cover.organisation_ids))
    return or_(*parts) if parts else false()


def anyone_of(*roles: Role) -> Predicate:
    """Holds for every row when the actor has one of the roles anywhere."""

    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        return true() if actor.over(*roles) else false()

    return holds


def all_of(*predicates: Predicate) -> Predicate:
    """Holds where all of them hold."""

    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        return and_(*(p(actor, now) for p in predicates))

    return holds


def _role_over(table: Any, *roles: Role) -> Predicate:
    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        return placed_in(actor.over(*roles), table.area_id, table.organisation_id)

    return holds


def _owns(table: Any) -> Predicate:
    """Owners keep their things while they are facilitators somewhere; one who has left keeps nothing."""

    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        if actor.person_id is None or not actor.over(*MAKERS):
            return false()
        owned: ColumnElement[bool] = table.owner_id == actor.person_id
        return owned

    return holds


# -- recordings --------------------------------------------------------------------------------------------------------


def grant_reaches(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Grants in force at `now` whose audience the actor belongs to."""
    return and_(grant_in_force(now), grant_names(actor))


def grant_names(actor: Actor) -> ColumnElement[bool]:
    """Grants whose audience the actor belongs to, in force or not."""
    audience: list[ColumnElement[bool]] = []
    if actor.audience_area_ids:
        audience.append(Grant.area_id.in_(actor.audience_area_ids))
    if actor.organisation_ids:
        audience.append(Grant.organisation_id.in_(actor.organisation_ids))
    if actor.group_ids:
        audience.append(Grant.group_id.in_(actor.group_ids))
    if actor.person_id is not None:
        audience.append(Grant.person_id == actor.person_id)
    return or_(*audience) if audience else false()


def grant_in_force(now: datetime) -> ColumnElement[bool]:
    """Grants that count at `now`, whoever they are for: begun, not over, not revoked, and approved where they need it."""
    return and_(
        Grant.starts_at <= now,
        or_(Grant.ends_at.is_(None), Grant.ends_at > now),
        or_(Grant.revoked_at.is_(None), Grant.revoked_at > now),
        or_(Grant.needs_approval.is_(False), Grant.approved_at <= now),
        or_(Grant.refused_at.is_(None), Grant.refused_at > now),
    )


def _reached_by(right: GrantRight, actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Recordings that a grant of this right lets the actor at: one on the recording itself, or on its case.

    Two subqueries and not one with "or": the database can then look each up by its own index, or hash it for a list.
    """
    reaches = and_(Grant.right == right, grant_reaches(actor, now))
    return or_(
        exists().where(Grant.recording_id == Recording.id, reaches).correlate_except(Grant),
        exists().where(Grant.case_id == Recording.case_id, reaches).correlate_except(Grant),
    )


def _granted(actor: Actor, now: datetime) -> ColumnElement[bool]:
    return _reached_by(GrantRight.WATCH, actor, now)


def _download_granted(actor: Actor, now: datetime) -> ColumnElement[bool]:
    return _reached_by(GrantRight.DOWNLOAD, actor, now)


def _published(actor: Actor, now: datetime) -> ColumnElement[bool]:
    return and_(
        Recording.published_at.is_not(None),
        Recording.published_at <= now,
        Recording.watchable_at.is_not(None),
        Recording.state.in_(SHOWABLE),
    )


def _case_is_live(actor: Actor, now: datetime) -> ColumnElement[bool]:
    return exists().where(Case.id == Recording.case_id, Case.status == CaseStatus.LIVE).correlate_except(Case)


OWNS_RECORDING = Rule("owns", "they uploaded it and are still a facilitator", _owns(Recording))
MAKES_HERE = Rule(
    "makes-here", "they are a facilitator or admin of the place it belongs to", _role_over(Recording, *MAKERS)
)
KEEPS_HERE = Rule(
    "keeps-here", "they are a custodian of the place it belongs to", _role_over(Recording, Role.CUSTODIAN)
)
IN_AUDIENCE = Rule(
    "in-audience",
    "it is published, its case is live, and a grant in force on it or on its case reaches them",
    all_of(_published, _case_is_live, _granted),
)
#: What `IN_AUDIENCE` is made of, for whoever asks what is missing: the gate, the same for everybody, and the grant.
AUDIENCE_GATE = (
    Rule("published", "it is published and can be watched", _published),
    Rule("case-is-live", "its case is live", _case_is_live),
)
GRANT_REACHES = Rule("granted", "a grant in force on it or on its case reaches them", _granted)
DOWNLOAD_GRANTED = Rule(
    "download-granted",
    "a grant in force lets them download it, or the recordings of its case",
    _download_granted,
)
NOT_WITHDRAWN = Rule(
    "not-withdrawn", "it has not been withdrawn", lambda actor, now: Recording.state != RecordingState.WITHDRAWN
)

# -- cases -------------------------------------------------------------------------------------------------------------

CASE_OF_PLACE = Rule(
    "keeps-case", "they are a facilitator, admin or custodian of the place it belongs to", _role_over(Case, *KEEPERS)
)
CASE_EDITOR = Rule(
    "edits-case", "they are a facilitator or admin of the place it belongs to", _role_over(Case, *MAKERS)
)


def _created_case(actor: Actor, now: datetime) -> ColumnElement[bool]:
    if actor.person_id is None or not actor.over(*MAKERS):
        return false()
    return Case.created_by_id == actor.person_id


CASE_AUTHOR = Rule("created-case", "they wrote it and are still a facilitator", _created_case)
CASE_OF_ALL = Rule(
    "shared-case",
    "it belongs to no single place and they are a facilitator, admin or custodian",
    all_of(
        anyone_of(*KEEPERS),
        lambda actor, now: and_(Case.area_id.is_(None), Case.organisation_id.is_(None)),
    ),
)
CASE_KEEPER = Rule("keeps-here", "they are a custodian of the place it belongs to", _role_over(Case, Role.CUSTODIAN))
CASE_IS_LIVE = Rule("case-live", "the case is live", lambda actor, now: Case.status == CaseStatus.LIVE)


def _case_granted(actor: Actor, now: datetime) -> ColumnElement[bool]:
    reaches = and_(Grant.right == GrantRight.WATCH, grant_reaches(actor, now))
    return exists().where(Grant.case_id == Case.id, reaches).correlate_except(Grant)


CASE_GRANTED = Rule(
    "case-granted", "it is live and a grant in force on it reaches them", all_of(CASE_IS_LIVE.holds, _case_granted)
)


def case_has_recording(visible: Predicate) -> Predicate:
    """Cases of which the actor may view at least one recording."""

    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        return exists().where(Recording.case_id == Case.id, visible(actor, now)).correlate_except(Recording)

    return holds


# -- materials ---------------------------------------------------------------------------------------------------------

OWNS_MATERIAL = Rule("owns", "they made it and are still a facilitator", _owns(Material))
MATERIAL_MAKER = Rule(
    "makes-here", "they are a facilitator or admin of the place it belongs to", _role_over(Material, *MAKERS)
)


def material_wholly_visible(visible: Predicate) -> Predicate:
    """Published materials with a clip, of which the actor may view every clip: never wider than its parts."""

    def holds(actor: Actor, now: datetime) -> ColumnElement[bool]:
        clips = exists().where(MaterialItem.material_id == Material.id, MaterialItem.kind == MaterialItemKind.CLIP)
        hidden = exists().where(
            MaterialItem.material_id == Material.id,
            Recording.id == MaterialItem.recording_id,
            # not `not`: a predicate over an empty column is neither true nor false, and must count as hidden
            visible(actor, now).is_not(true()),
        )
        return and_(
            Material.published_at.is_not(None),
            Material.published_at <= now,
            clips.correlate_except(MaterialItem),
            ~hidden.correlate_except(MaterialItem, Recording),
        )

    return holds


def _embed_names_it(actor: Actor, now: datetime) -> ColumnElement[bool]:
    return true() if actor.material_id is None else Material.id == actor.material_id


def _embed_contains_it(actor: Actor, now: datetime) -> ColumnElement[bool]:
    if actor.material_id is None:
        return true()
    return (
        exists()
        .where(MaterialItem.material_id == actor.material_id, MaterialItem.recording_id == Recording.id)
        .correlate_except(MaterialItem)
    )


EMBED_NAMES_MATERIAL = Rule("embed", "an embed asks for its own material only", _embed_names_it)
EMBED_CONTAINS_RECORDING = Rule(
    "embed", "an embed asks for the recordings of its own material only", _embed_contains_it
)

# -- people and places ---------------------------------------------------------------------------------------------------


def _administers_person(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """People placed in what the actor administers: every place of theirs, not only one, must be covered."""
    cover = actor.over(Role.ADMIN)
    if not cover:
        return false()
    if cover.everywhere:
        return true()
    organisation_covered = placed_in(cover, Organisation.area_id, Organisation.id)
    home_outside = and_(
        Person.organisation_id.is_not(None),
        ~exists().where(Organisation.id == Person.organisation_id, organisation_covered).correlate_except(Organisation),
    )
    covered_role = and_(
        or_(RoleAssignment.area_id.is_not(None), RoleAssignment.organisation_id.is_not(None)),
        placed_in(cover, RoleAssignment.area_id, RoleAssignment.organisation_id),
    )
    in_force = or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now)
    # `is not true` and not `not`: a role without an area compares to NULL, which must count as outside
    role_outside = (
        exists()
        .where(RoleAssignment.person_id == Person.id, in_force, covered_role.is_not(true()))
        .correlate_except(RoleAssignment)
    )
    placed = or_(
        Person.organisation_id.is_not(None),
        exists().where(RoleAssignment.person_id == Person.id, in_force).correlate_except(RoleAssignment),
    )
    return and_(placed, ~home_outside, ~role_outside)


ADMINISTERS_PERSON = Rule("administers", "they are an admin of every place that the person has", _administers_person)
ADMINISTERS_ORGANISATION = Rule(
    "administers",
    "they are an admin of the area it is in",
    lambda actor, now: placed_in(actor.over(Role.ADMIN), Organisation.area_id, Organisation.id),
)
ADMINISTERS_GROUP = Rule("administers", "they are an admin of the place it belongs to", _role_over(Group, Role.ADMIN))


def _administers_area(actor: Actor, now: datetime) -> ColumnElement[bool]:
    cover = actor.over(Role.ADMIN)
    return true() if cover.everywhere else Area.id.in_(cover.area_ids)


def _manages_group(actor: Actor, now: datetime) -> ColumnElement[bool]:
    if actor.person_id is None:
        return false()
    named = exists().where(GroupManager.group_id == Group.id, GroupManager.person_id == actor.person_id)
    return named.correlate_except(GroupManager)


ADMINISTERS_AREA = Rule("administers", "they are an admin of it or of an area that it lies in", _administers_area)
MANAGES_GROUP = Rule("manages", "they are named as a manager of the group", _manages_group)
