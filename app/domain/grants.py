"""Grants: giving a recording, or a case with all its recordings, to an audience; extending, taking back; publishing.

Nobody gives more than they hold: what goes to an area beyond that needs a reason, and waits for an admin of that area.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import Actor
from app.access.places import areas_within, covers, organisations_within
from app.access.rules import KEEPERS, SHOWABLE, grant_in_force, placed_in
from app.access.sharing import grant_waits
from app.db.cases import Case, CaseStatus
from app.db.grants import AccessRequest, Grant, GrantRight
from app.db.people import Group, Person, RoleAssignment
from app.db.places import Area, AreaKind, Organisation
from app.db.recordings import Recording, RecordingState
from app.domain import audit, caption_reviews, days, people
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
    """The audience of a word such as `region:NEY`, if the actor may share with it, or ask to: areas beyond their own are
    for its admins to approve.

    What does not exist and what the actor may not share with get the same sentence.

    Raises:
        Invalid: not of that form, or no such audience of which the actor may know.
    """
    kind, _, value = wanted.strip().partition(":")
    kind, value = kind.strip().lower(), value.strip()
    if not value or kind not in (*AREA_KINDS, "organisation", "group", "user"):
        raise _nobody(f"Write whom to share with as {FORMS}")
    audience = _named(session, kind, value)
    if audience is None or not (may_reach(session, actor, audience) or _may_ask(actor, audience)):
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


def _may_ask(actor: Actor, audience: Audience) -> bool:
    """Whether the actor may ask that it be shared with an audience beyond their reach: with an area."""
    return audience.area_id is not None and bool(actor.over(*KEEPERS))


def choices(session: Session, actor: Actor) -> list[tuple[str, str]]:
    """Audiences to choose from, as (word, name): areas from wide to narrow, then organisations, then groups, then the
    areas that need approval."""
    cover = actor.over(*KEEPERS)
    found = [(_word(area), f"Everyone in {area.name}") for area in areas_within(session, cover)]
    found += [(f"organisation:{o.id}", f"Everyone at {o.name}") for o in organisations_within(session, cover)]
    groups = session.scalars(
        select(Group).where(placed_in(cover, Group.area_id, Group.organisation_id)).order_by(Group.name)
    )
    found += [(f"group:{group.id}", f"The group {group.name}") for group in groups]
    if cover and not cover.everywhere:
        beyond = select(Area).where(Area.id.not_in(cover.area_ids), Area.kind != AreaKind.LOCALITY)
        found += [
            (_word(area), f"Everyone in {area.name} (needs approval)")
            for area in session.scalars(beyond.order_by(Area.kind, Area.name))
        ]
    return found


def _word(area: Area) -> str:
    return f"{area.kind.value}:{area.code}"


# -- giving and taking ---------------------------------------------------------------------------------------------------

Thing = Recording | Case


def _refuse(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})


def _kind(thing: Thing) -> str:
    return "case" if isinstance(thing, Case) else "recording"


def _of(thing: Thing) -> ColumnElement[bool]:
    return Grant.case_id == thing.id if isinstance(thing, Case) else Grant.recording_id == thing.id


def thing_of(session: Session, grant: Grant) -> Thing:
    """The recording or case that a grant is on."""
    if grant.case_id is not None:
        return session.get_one(Case, grant.case_id)
    return session.get_one(Recording, grant.recording_id)


def give(
    session: Session,
    actor: Actor,
    thing: Thing,
    audience: Audience,
    *,
    right: GrantRight = GrantRight.WATCH,
    from_day: date | None = None,
    until_day: date | None = None,
    reason: str = "",
    asked: bool = False,
) -> Grant:
    """Let an audience watch a recording, or all recordings of a case, once published; or download what it may watch.

    Beyond the actor's reach it waits for approval. Giving the same again changes nothing.

    Args:
        from_day: the first day; by default from now.
        until_day: the last day, all of which counts (UK time); None is for good.
        asked: the audience is a person who asked for it with a code of the owner's, wherever they are.

    Raises:
        Invalid: the audience is out of the actor's reach, the days are not in order, or a reason or last day is missing.
    """
    reason = _checked(right, from_day, until_day, reason)
    direct = asked or may_reach(session, actor, audience)
    if not direct and not _may_ask(actor, audience):
        raise _nobody()
    if not direct and not reason:
        raise _refuse("reason", "Say why: an admin of that area decides whether it is shared there")
    now = clock.now()
    starts_at = max(now, days.start_of(from_day)) if from_day is not None else now
    ends_at = days.end_of(until_day) if until_day is not None else None
    # one after another, so that the same grant asked for twice at once is one grant
    table: type[Any] = type(thing)
    session.execute(select(table.id).where(table.id == thing.id).with_for_update())
    for held in [*current(session, thing), *waiting(session, thing)]:
        same = audience_of(held) == audience and held.right == right and held.ends_at == ends_at
        if same and held.starts_at <= starts_at:
            return held
    grant = Grant(
        **{f"{_kind(thing)}_id": thing.id},
        right=right,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        needs_approval=not direct,
        created_by_id=actor.person_id,
        **audience.columns(),
    )
    session.add(grant)
    session.flush()
    detail = {name: str(value) for name, value in audience.columns().items() if value is not None}
    audit.record(
        session, actor, "grant:give" if direct else "grant:ask", _kind(thing), thing.id, reason=reason,
        grant=str(grant.id), right=right.value, until=until_day.isoformat() if until_day else "", **detail,
    )  # fmt: skip
    return grant


def _checked(right: GrantRight, from_day: date | None, until_day: date | None, reason: str) -> str:
    """The reason without blanks around it.

    Raises:
        Invalid: something about days or reason is not right.
    """
    reason = reason.strip()
    if until_day is not None and until_day < days.today():
        raise _refuse("until", "The last day must be today or in the future")
    if from_day is not None and until_day is not None and until_day < from_day:
        raise _refuse("until", "The last day must be the first day or later")
    if len(reason) > MOST_REASON:
        raise _refuse("reason", f"The reason must be {MOST_REASON} characters or fewer")
    if right is GrantRight.DOWNLOAD and until_day is None:
        raise _refuse("until", "Enter the last day: a right to download always ends")
    if right is GrantRight.DOWNLOAD and not reason:
        raise _refuse("reason", "Say why they need to download it")
    return reason


def again(session: Session, actor: Actor, grant: Grant, until_day: date | None = None) -> Grant:
    """Give anew what was revoked or is over: the same audience for the same reason, until the same moment or a new day.

    Raises:
        Invalid: the audience is out of the actor's reach, or the day is not right.
        Conflict: the time for which it was given is over, and no new last day is named.
    """
    if until_day is None and grant.ends_at is not None:
        if grant.ends_at <= clock.now():
            raise Conflict("The time for which this was shared is over. Share it again with a new last day.")
        until_day = days.last_day_before(grant.ends_at)
    return give(
        session, actor, thing_of(session, grant), audience_of(grant),
        right=grant.right, until_day=until_day, reason=grant.reason, asked=_was_asked_for(session, grant),
    )  # fmt: skip


def _was_asked_for(session: Session, grant: Grant) -> bool:
    """Whether it answered a person's own request, so that the person may be anywhere."""
    return session.scalar(select(AccessRequest.id).where(AccessRequest.grant_id == grant.id).limit(1)) is not None


def extend(session: Session, actor: Actor, grant: Grant, until_day: date | None) -> Grant:
    """Give a grant another last day. Returns it, or, where a later day needs approval, a new one that waits while the old
    one runs on.

    Raises:
        Invalid: the day is not right, or the audience is out of the actor's reach.
        Conflict: the grant has ended.
    """
    _checked(grant.right, None, until_day, grant.reason)
    now = clock.now()
    if grant.revoked_at is not None or grant.refused_at is not None or (grant.ends_at and grant.ends_at <= now):
        raise Conflict("This has ended. Share it again with a new last day.")
    ends_at = days.end_of(until_day) if until_day is not None else None
    if ends_at is not None and ends_at <= grant.starts_at:
        raise _refuse("until", "The last day must be the first day or later")
    later = grant.ends_at is not None and (ends_at is None or ends_at > grant.ends_at)
    in_reach = may_reach(session, actor, audience_of(grant)) or _was_asked_for(session, grant)
    if later and status(grant, now) != "waiting" and not in_reach:
        return give(
            session, actor, thing_of(session, grant), audience_of(grant),
            right=grant.right, until_day=until_day, reason=grant.reason,
        )  # fmt: skip
    before, grant.ends_at, grant.reminded_at = grant.ends_at, ends_at, None
    audit.record(
        session, actor, "grant:extend", "case" if grant.case_id else "recording", grant.case_id or grant.recording_id,
        grant=str(grant.id), until=until_day.isoformat() if until_day else "",
        before=before.isoformat() if before else "",
    )  # fmt: skip
    return grant


def revoke(session: Session, actor: Actor, grant: Grant) -> None:
    """End a grant at once. Doing it twice is doing it once."""
    if grant.revoked_at is None:
        grant.revoked_at, grant.revoked_by_id = clock.now(), actor.person_id
        kind, thing_id = ("case", grant.case_id) if grant.case_id else ("recording", grant.recording_id)
        audit.record(session, actor, "grant:revoke", kind, thing_id, grant=str(grant.id))


def find(session: Session, thing: Thing, grant_id: uuid.UUID, *, lock: bool = False) -> Grant | None:
    """A grant on this recording or case itself.

    Args:
        lock: take the row's lock, for a change that must see the latest state.
    """
    query = select(Grant).where(Grant.id == grant_id, _of(thing))
    return session.scalar(query.with_for_update(of=Grant) if lock else query)


NAMES = (joinedload(Grant.area), joinedload(Grant.organisation), joinedload(Grant.group), joinedload(Grant.person))


def current(session: Session, thing: Thing) -> list[Grant]:
    """Grants on this thing itself that are in force or will be, oldest first."""
    now = clock.now()
    query = (
        select(Grant)
        .where(
            _of(thing),
            Grant.revoked_at.is_(None),
            Grant.refused_at.is_(None),
            Grant.needs_approval.is_(False) | Grant.approved_at.is_not(None),
            Grant.ends_at.is_(None) | (Grant.ends_at > now),
        )
        .options(*NAMES)
        .order_by(Grant.created_at, Grant.id)
    )
    return list(session.scalars(query))


def waiting(session: Session, thing: Thing) -> list[Grant]:
    """Grants on this thing itself that wait for approval, oldest first."""
    query = select(Grant).where(_of(thing), grant_waits(clock.now())).options(*NAMES)
    return list(session.scalars(query.order_by(Grant.created_at, Grant.id)))


def ended(session: Session, thing: Thing, limit: int = 10) -> list[Grant]:
    """Grants on this thing itself that were revoked or refused or have run out, the latest first."""
    over = Grant.revoked_at.is_not(None) | Grant.refused_at.is_not(None) | (Grant.ends_at <= clock.now())
    query = select(Grant).where(_of(thing), over).options(*NAMES)
    return list(session.scalars(query.order_by(Grant.created_at.desc(), Grant.id).limit(limit)))


def status(grant: Grant, now: datetime) -> str:
    """Where a grant stands, in one word or two: "in force", "to come", "waiting", "refused", "revoked" or "over"."""
    if grant.revoked_at is not None:
        return "revoked"
    if grant.refused_at is not None:
        return "refused"
    if grant.ends_at is not None and grant.ends_at <= now:
        return "over"
    if grant.needs_approval and grant.approved_at is None:
        return "waiting"
    return "to come" if grant.starts_at > now else "in force"


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
    on_it = (Grant.recording_id == recording.id) | (Grant.case_id == recording.case_id)
    in_force = select(Grant.id).where(on_it, Grant.right == GrantRight.WATCH, grant_in_force(clock.now()))
    if session.scalar(in_force.limit(1)) is None:
        missing.append("It is not shared with anybody yet.")
    return missing


def publish(
    session: Session,
    actor: Actor,
    recording: Recording,
    *,
    without_captions: bool = False,
    unchecked_shown: bool = False,
) -> None:
    """Open a recording to its audience. Doing it twice is doing it once.

    Args:
        without_captions: the actor knows that viewers get no captions, and wants it nevertheless.
        unchecked_shown: viewers also get captions that nobody has checked.
    Raises:
        Conflict: something is missing; the sentence says what. With the code `captions-unchecked` only checked captions
            are, and `without_captions` goes past it.
    """
    if recording.published_at is not None:
        return
    missing: Sequence[str] = missing_for_publishing(session, recording)
    if missing:
        raise Conflict("This recording cannot be published. " + " ".join(missing), code="not-publishable")
    uncaptioned = caption_reviews.why_not_captioned(session, recording, unchecked_shown=unchecked_shown)
    if uncaptioned and not without_captions:
        raise Conflict(f"{uncaptioned} Check the captions first, or publish without them.", code="captions-unchecked")
    recording.published_at = clock.now()
    audit.record(session, actor, "recording:publish", "recording", recording.id, captions=not uncaptioned)


def unpublish(session: Session, actor: Actor, recording: Recording) -> None:
    """Close a recording to its audience; its grants stay for another time."""
    if recording.published_at is not None:
        recording.published_at = None
        audit.record(session, actor, "recording:unpublish", "recording", recording.id)
