"""Grants: giving a recording to an audience and taking it back; publishing. Nobody gives more than they hold."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import Actor
from app.access.places import areas_within, covers, organisations_within
from app.access.rules import KEEPERS, SHOWABLE, grant_in_force, placed_in
from app.db.cases import CaseStatus
from app.db.grants import Grant
from app.db.people import Group, Person, RoleAssignment
from app.db.places import Area, AreaKind, Organisation
from app.db.recordings import Recording, RecordingState
from app.domain import audit, days, people
from app.errors import Conflict, Invalid

AREA_KINDS = tuple(kind.value for kind in AreaKind)
FORMS = "region:CODE, country:CODE, locality:CODE, organisation:ID, group:ID or user:EMAIL"
NOT_YOURS = "You can only share with places, groups and people where you are a facilitator or admin"
MOST_REASON = 1000


@dataclass(frozen=True)
class Audience:
    """Whom a grant is for: exactly one of the four."""

    area_id: uuid.UUID | None = None
    organisation_id: uuid.UUID | None = None
    group_id: uuid.UUID | None = None
    person_id: uuid.UUID | None = None

    def columns(self) -> dict[str, uuid.UUID | None]:
        """As columns of a grant."""
        return {
            "area_id": self.area_id,
            "organisation_id": self.organisation_id,
            "group_id": self.group_id,
            "person_id": self.person_id,
        }


def audience_of(grant: Grant) -> Audience:
    """Whom a grant is for."""
    return Audience(grant.area_id, grant.organisation_id, grant.group_id, grant.person_id)


# -- whom one may share with ---------------------------------------------------------------------------------------------


def _nobody(sentence: str = NOT_YOURS) -> Invalid:
    return Invalid(sentence, fields={"to": sentence})


def find_audience(session: Session, actor: Actor, wanted: str) -> Audience:
    """The audience of a word such as `region:NEY`, if the actor may share with it.

    What does not exist and what the actor may not share with get the same sentence.

    Raises:
        Invalid: not of that form, or no such audience within the actor's reach.
    """
    kind, _, value = wanted.strip().partition(":")
    kind, value = kind.strip().lower(), value.strip()
    if not value or kind not in (*AREA_KINDS, "organisation", "group", "user"):
        raise _nobody(f"Write whom to share with as {FORMS}")
    audience = _named(session, kind, value)
    if audience is None or not may_reach(session, actor, audience):
        raise _nobody()
    return audience


def _named(session: Session, kind: str, value: str) -> Audience | None:
    if kind in AREA_KINDS:
        code = value.upper()
        area_id = session.scalar(
            select(Area.id).where(Area.kind == AreaKind(kind), Area.code.in_([value, code, value.lower()]))
        )
        return Audience(area_id=area_id) if area_id is not None else None
    if kind == "user":
        person = people.by_email(session, value)
        return Audience(person_id=person.id) if person is not None else None
    try:
        row_id = uuid.UUID(value)
    except ValueError:
        return None
    table: type[Any] = Organisation if kind == "organisation" else Group
    if session.scalar(select(table.id).where(table.id == row_id)) is None:
        return None
    return Audience(organisation_id=row_id) if kind == "organisation" else Audience(group_id=row_id)


def may_reach(session: Session, actor: Actor, audience: Audience) -> bool:
    """Whether the audience lies within what the actor covers as facilitator, admin or custodian. A person does when they belong
    to a place there: their organisation, or one over which they hold a role."""
    cover = actor.over(*KEEPERS)
    if cover.everywhere:
        return True
    if audience.area_id is not None or audience.organisation_id is not None:
        return covers(session, cover, area_id=audience.area_id, organisation_id=audience.organisation_id)
    if audience.group_id is not None:
        query = select(Group.id).where(
            Group.id == audience.group_id, placed_in(cover, Group.area_id, Group.organisation_id)
        )
        return session.scalar(query) is not None
    home = (
        select(Person.id)
        .join(Organisation, Organisation.id == Person.organisation_id)
        .where(Person.id == audience.person_id, placed_in(cover, Organisation.area_id, Organisation.id))
    )
    now = clock.now()
    role = select(RoleAssignment.person_id).where(
        RoleAssignment.person_id == audience.person_id,
        RoleAssignment.ends_at.is_(None) | (RoleAssignment.ends_at > now),
        placed_in(cover, RoleAssignment.area_id, RoleAssignment.organisation_id),
    )
    return session.scalar(home.union(role).limit(1)) is not None


def choices(session: Session, actor: Actor) -> list[tuple[str, str]]:
    """Audiences to choose from, as (word, name): areas from wide to narrow, then organisations, then groups."""
    cover = actor.over(*KEEPERS)
    found = [(f"{area.kind.value}:{area.code}", f"Everyone in {area.name}") for area in areas_within(session, cover)]
    found += [(f"organisation:{o.id}", f"Everyone at {o.name}") for o in organisations_within(session, cover)]
    groups = session.scalars(
        select(Group).where(placed_in(cover, Group.area_id, Group.organisation_id)).order_by(Group.name)
    )
    return found + [(f"group:{group.id}", f"The group {group.name}") for group in groups]


# -- giving and taking ---------------------------------------------------------------------------------------------------


def give(
    session: Session,
    actor: Actor,
    recording: Recording,
    audience: Audience,
    *,
    from_day: date | None = None,
    until_day: date | None = None,
    reason: str = "",
) -> Grant:
    """Let an audience watch a recording once it is published. Giving the same again changes nothing.

    Args:
        from_day: the first day; by default from now.
        until_day: the last day, all of which counts (UK time); None is for good.

    Raises:
        Invalid: the audience is out of the actor's reach, or the days are not in order.
    """
    if not may_reach(session, actor, audience):
        raise _nobody()
    now = clock.now()
    if until_day is not None and until_day < days.today():
        sentence = "The last day must be today or in the future"
        raise Invalid(sentence, fields={"until": sentence})
    if from_day is not None and until_day is not None and until_day < from_day:
        sentence = "The last day must be the first day or later"
        raise Invalid(sentence, fields={"until": sentence})
    if len(reason.strip()) > MOST_REASON:
        sentence = f"The reason must be {MOST_REASON} characters or fewer"
        raise Invalid(sentence, fields={"reason": sentence})
    starts_at = max(now, days.start_of(from_day)) if from_day is not None else now
    ends_at = days.end_of(until_day) if until_day is not None else None
    # one after another, so that the same grant asked for twice at once is one grant
    session.execute(select(Recording.id).where(Recording.id == recording.id).with_for_update())
    for held in current(session, recording):
        if audience_of(held) == audience and held.ends_at == ends_at and held.starts_at <= starts_at:
            return held
    grant = Grant(
        recording_id=recording.id,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason.strip(),
        created_by_id=actor.person_id,
        **audience.columns(),
    )
    session.add(grant)
    session.flush()
    detail = {name: str(value) for name, value in audience.columns().items() if value is not None}
    audit.record(
        session, actor, "grant:give", "recording", recording.id,
        grant=str(grant.id), until=until_day.isoformat() if until_day else "", **detail,
    )  # fmt: skip
    return grant


def again(session: Session, actor: Actor, grant: Grant) -> Grant:
    """Undo a revocation: the same audience, until the same moment, for the same reason.

    Raises:
        Invalid: the audience is out of the actor's reach.
        Conflict: the time for which it was given is over.
    """
    now = clock.now()
    if grant.ends_at is not None and grant.ends_at <= now:
        raise Conflict("The time for which this was shared is over. Share it again with a new last day.")
    until = days.last_day_before(grant.ends_at) if grant.ends_at is not None else None
    if grant.recording is None:
        raise Conflict("This was shared by its case. Share the case again.")
    return give(session, actor, grant.recording, audience_of(grant), until_day=until, reason=grant.reason)


def revoke(session: Session, actor: Actor, grant: Grant) -> None:
    """End a grant at once. Doing it twice is doing it once."""
    if grant.revoked_at is None:
        grant.revoked_at, grant.revoked_by_id = clock.now(), actor.person_id
        audit.record(session, actor, "grant:revoke", "recording", grant.recording_id, grant=str(grant.id))


def find(session: Session, recording: Recording, grant_id: uuid.UUID) -> Grant | None:
    """A grant of this recording."""
    return session.scalar(select(Grant).where(Grant.id == grant_id, Grant.recording_id == recording.id))


_NAMES = (joinedload(Grant.area), joinedload(Grant.organisation), joinedload(Grant.group), joinedload(Grant.person))


def current(session: Session, recording: Recording) -> list[Grant]:
    """Grants that are in force or will be, oldest first."""
    now = clock.now()
    query = (
        select(Grant)
        .where(
            Grant.recording_id == recording.id,
            Grant.revoked_at.is_(None),
            Grant.ends_at.is_(None) | (Grant.ends_at > now),
        )
        .options(*_NAMES)
        .order_by(Grant.created_at, Grant.id)
    )
    return list(session.scalars(query))


def ended(session: Session, recording: Recording, limit: int = 10) -> list[Grant]:
    """Grants that were revoked or have run out, the latest first."""
    now = clock.now()
    query = (
        select(Grant)
        .where(Grant.recording_id == recording.id, Grant.revoked_at.is_not(None) | (Grant.ends_at <= now))
        .options(*_NAMES)
        .order_by(Grant.created_at.desc(), Grant.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def when(grant: Grant, now: datetime) -> tuple[date | None, date | None]:
    """First day, if it is still to come, and last day, if there is one."""
    first = grant.starts_at.astimezone(days.UK).date() if grant.starts_at > now else None
    return first, days.last_day_before(grant.ends_at) if grant.ends_at is not None else None


# -- publishing ----------------------------------------------------------------------------------------------------------


def missing_for_publishing(session: Session, recording: Recording) -> list[str]:
    """What is still needed before a recording can be published, in sentences; empty when nothing is."""
    missing: list[str] = []
    if recording.state is RecordingState.WITHDRAWN:
        missing.append("The recording is withdrawn. Restore it first.")
    elif recording.state not in SHOWABLE or recording.watchable_at is None:
        missing.append("The recording cannot be watched yet.")
    if recording.case.status is not CaseStatus.LIVE:
        missing.append("Its case is retired.")
    in_force = select(Grant.id).where(Grant.recording_id == recording.id, grant_in_force(clock.now()))
    if session.scalar(in_force.limit(1)) is None:
        missing.append("It is not shared with anybody yet.")
    return missing


def publish(session: Session, actor: Actor, recording: Recording) -> None:
    """Open a recording to its audience. Doing it twice is doing it once.

    Raises:
        Conflict: something is missing; the sentence says what.
    """
    if recording.published_at is not None:
        return
    missing: Sequence[str] = missing_for_publishing(session, recording)
    if missing:
        raise Conflict("This recording cannot be published. " + " ".join(missing), code="not-publishable")
    recording.published_at = clock.now()
    audit.record(session, actor, "recording:publish", "recording", recording.id)


def unpublish(session: Session, actor: Actor, recording: Recording) -> None:
    """Close a recording to its audience; its grants stay for another time."""
    if recording.published_at is not None:
        recording.published_at = None
        audit.record(session, actor, "recording:unpublish", "recording", recording.id)
