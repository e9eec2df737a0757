"""Explaining access: who can see a recording and by which rule, and what one person can see and why.

Everything here is asked of `app.access`; the sentences are put together in one place, so that pages and the command line
say the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Select, case, func, literal, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import ANONYMOUS, Action, Actor, load, policy, reach, rules
from app.access.places import known_to, organisations_within
from app.access.policy import Verdict
from app.db.cases import Case
from app.db.grants import Grant, GrantRight
from app.db.people import Person
from app.db.places import Area, AreaKind, Organisation
from app.db.recordings import Recording
from app.domain import days, paging
from app.domain.paging import Page, Sorting

MOST_FOUND = 10
THINGS = {Action.RECORDING_VIEW: ("watch", "recording"), Action.CASE_VIEW: ("see", "case")}
#: What stands for organisations that the asker does not keep, and for people without a place.
OTHER_ORGANISATIONS = "Organisations outside your places"
NO_ORGANISATION = "No organisation"
NO_PLACE = "No place"


# -- one person and one thing --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """Whether somebody may see a thing: the answer in sentences, what is missing for a no, and each rule's verdict."""

    allowed: bool
    sentences: list[str]
    missing: list[str]
    verdicts: list[Verdict]


def answer(session: Session, person: Person, action: Action, row_id: uuid.UUID) -> Answer:
    """Whether a person may watch a recording or see a case, and why.

    Raises:
        NotFound: there is no such row.
    """
    now = clock.now()
    actor = load(session, person.id, now)
    allowed, verdicts = policy.explain(session, actor, action, row_id, now)
    act, thing = THINGS[action]
    name = person.display_name
    if allowed:
        because = [v.sentence for v in verdicts if v.role == "allow" and v.holds]
        return Answer(True, [f"{name} may {act} this {thing}, because {'; and because '.join(because)}."], [], verdicts)
    refused = f"{name} may not {act} this {thing}"
    if not actor.active:
        stopped = "they have left" if person.left_at is not None else "the account is suspended"
        return Answer(False, [f"{refused}: {stopped}."], [], verdicts)
    lacking = [v.sentence for v in verdicts if v.role == "need" and not v.holds]
    if lacking:
        return Answer(False, [f"{refused}: it is not so that {'; nor that '.join(lacking)}."], [], verdicts)
    otherwise = [v.sentence for v in verdicts if v.role == "allow" and not v.holds]
    missing = _missing(session, actor, row_id, now) if action is Action.RECORDING_VIEW else []
    return Answer(
        False,
        [
            f"{refused}: no rule opens it to them.",
            "Any one of these would open it, and none holds:",
            *(f"- {words}" for words in otherwise),
        ],
        missing,
        verdicts,
    )


def _missing(session: Session, actor: Actor, recording_id: uuid.UUID, now: datetime) -> list[str]:
    """What would have to change for the actor to be in the audience of a recording."""
    found = missing_for_audience(session, recording_id, now)
    named = session.scalars(
        select(Grant).where(reach.grants_on(recording_id), rules.grant_names(actor)).options(*_NAMES)
    ).all()
    if not any(_standing(grant, now) == IN_FORCE for grant in named):
        found.append("No grant in force reaches them.")
        found += [f"A grant to {grant.audience_name} names them, but it {_standing(grant, now)}." for grant in named]
    return found


def missing_for_audience(session: Session, recording_id: uuid.UUID, now: datetime) -> list[str]:
    """What keeps a recording from everybody in its audience; empty when nothing does."""
    parts = [case((rule.holds(ANONYMOUS, now), True), else_=False) for rule in rules.AUDIENCE_GATE]
    holds = session.execute(select(*parts).where(Recording.id == recording_id)).one_or_none()
    if holds is None:
        return []
    return [
        f"It is not so that {rule.sentence}." for rule, fine in zip(rules.AUDIENCE_GATE, holds, strict=True) if not fine
    ]


# -- who can see a recording ---------------------------------------------------------------------------------------------

IN_FORCE = "is in force"
_NAMES = (joinedload(Grant.area), joinedload(Grant.organisation), joinedload(Grant.group), joinedload(Grant.person))


def _standing(grant: Grant, now: datetime) -> str:
    """Where a grant stands, to complete "it ..."."""
    if grant.revoked_at is not None and grant.revoked_at <= now:
        return "was ended"
    if grant.refused_at is not None and grant.refused_at <= now:
        return "was not approved"
    if grant.ends_at is not None and grant.ends_at <= now:
        return "has run out"
    if grant.needs_approval and (grant.approved_at is None or grant.approved_at > now):
        return "waits for approval"
    return IN_FORCE if grant.starts_at <= now else "has not begun"


@dataclass(frozen=True)
class Line:
    """One rule in force, or a grant that is to be: in words, how it stands, and how many people it names."""

    words: str
    standing: str
    people: int
    of_case: bool = False
    first: date | None = None
    last: date | None = None
    reason: str = ""


@dataclass(frozen=True)
class Heads:
    """How many people of one organisation, each counted once, where they belong."""

    area: str
    organisation: str
    people: int


@dataclass(frozen=True)
class Picture:
    """Who can see a recording. `total` counts each person once; `missing` is what keeps the audience out."""

    lines: list[Line]
    heads: list[Heads]
    total: int
    missing: list[str]


def picture(session: Session, actor: Actor, recording: Recording, place: str) -> Picture:
    """The rules in force on a recording and the people whom they reach: seven queries, however many there are.

    Organisations that the actor keeps are named; people of others are counted by area only.

    Args:
        place: where the recording belongs, in words.
    """
    now = clock.now()
    rows = reach.reached(recording.id, now)
    counted = session.execute(
        select(rows.c.rule, rows.c.grant_id, func.count()).group_by(rows.c.rule, rows.c.grant_id)
    ).all()
    counts: dict[tuple[str, uuid.UUID | None], int] = {(rule, grant_id): n for rule, grant_id, n in counted}

    def people(rule: rules.Rule, grant_id: uuid.UUID | None = None) -> int:
        return counts.get((rule.name, grant_id), 0)

    missing = missing_for_audience(session, recording.id, now)
    owner = recording.owner.display_name if recording.owner is not None else ""
    lines = [
        Line(f"Facilitators and admins of {place}", IN_FORCE, people(rules.MAKES_HERE)),
        Line(f"Custodians of {place}", IN_FORCE, people(rules.KEEPS_HERE)),
    ]
    if owner:
        words = f"{owner}, who uploaded it, while they are a facilitator or admin somewhere"
        lines.insert(0, Line(words, IN_FORCE, people(rules.OWNS_RECORDING)))
    given = session.scalars(
        select(Grant)
        .where(reach.grants_on(recording.id), or_(Grant.revoked_at.is_(None), Grant.revoked_at > now))
        .where(or_(Grant.ends_at.is_(None), Grant.ends_at > now), Grant.refused_at.is_(None))
        .options(*_NAMES)
        .order_by(Grant.created_at, Grant.id)
    )
    for grant in given:
        name, standing = grant.audience_name, _standing(grant, now)
        lines.append(
            Line(
                name[:1].upper() + name[1:],
                "is not open yet" if standing == IN_FORCE and missing else standing,
                people(rules.IN_AUDIENCE, grant.id),
                of_case=grant.case_id is not None,
                first=grant.starts_at.astimezone(days.UK).date() if grant.starts_at > now else None,
                last=days.last_day_before(grant.ends_at) if grant.ends_at is not None else None,
                reason=grant.reason,
            )
        )
    heads = _heads(session, actor, recording.id, now)
    return Picture(lines, heads, sum(each.people for each in heads), missing)


def _heads(session: Session, actor: Actor, recording_id: uuid.UUID, now: datetime) -> list[Heads]:
    """The people reached, by the one place that each is counted in: their organisation; without one, the organisation
    or the widest area over which they hold a role."""
    people = reach.reach(recording_id, now).subquery("may_watch")
    held = reach.held_roles(now).subquery("seats")
    width = case(
        (Area.kind == AreaKind.COUNTRY, literal(0)), (Area.kind == AreaKind.REGION, literal(1)), else_=literal(2)
    )
    by_role = (
        select(
            held.c.person_id, held.c.organisation_id, func.coalesce(held.c.area_id, Organisation.area_id).label("area")
        )
        .outerjoin(Organisation, Organisation.id == held.c.organisation_id)
        .outerjoin(Area, Area.id == held.c.area_id)
        .where(or_(held.c.area_id.is_not(None), held.c.organisation_id.is_not(None)))
        .ext(distinct_on(held.c.person_id))
        .order_by(held.c.person_id, held.c.organisation_id.is_(None), width, Area.name)
        .subquery("by_role")
    )
    organisation_id = func.coalesce(Person.organisation_id, by_role.c.organisation_id)
    area_id = func.coalesce(Organisation.area_id, by_role.c.area)
    counted = session.execute(
        select(area_id, organisation_id, func.count())
        .select_from(people)
        .join(Person, Person.id == people.c.person_id)
        .outerjoin(Organisation, Organisation.id == Person.organisation_id)
        .outerjoin(by_role, by_role.c.person_id == Person.id)
        .group_by(area_id, organisation_id)
    ).all()
    areas = {row.id: row.name for row in session.execute(select(Area.id, Area.name))}
    kept = {row.id: row.name for row in organisations_within(session, actor.over(*rules.KEEPERS))}
    heads: dict[tuple[str, str], int] = {}
    for area, organisation, number in counted:
        name = NO_ORGANISATION if organisation is None else kept.get(organisation, OTHER_ORGANISATIONS)
        key = (areas.get(area, NO_PLACE), name)
        heads[key] = heads.get(key, 0) + number
    order = sorted(heads, key=lambda key: (key[0] == NO_PLACE, key[0], key[1] == OTHER_ORGANISATIONS, key[1]))
    return [Heads(*key, heads[key]) for key in order]


def find_people(session: Session, actor: Actor, words: str) -> list[Person]:
    """People of this name or address among those of whom the actor may know, at most ten, by address."""
    pattern = "%" + words.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    query = select(Person).where(
        known_to(actor, clock.now()), or_(Person.email.ilike(pattern), Person.name.ilike(pattern))
    )
    return list(session.scalars(query.order_by(func.lower(Person.email)).limit(MOST_FOUND)))


def find_person(session: Session, actor: Actor, person_id: uuid.UUID) -> Person | None:
    """A person, if the actor may know of them."""
    return session.scalar(select(Person).where(Person.id == person_id, known_to(actor, clock.now())))


# -- what a person can see -----------------------------------------------------------------------------------------------

BY_TITLE = Sorting("title", "Title", func.lower(Recording.title))


@dataclass(frozen=True)
class Seen:
    """A recording that somebody may watch, and why."""

    recording: Recording
    because: list[str]


def what(session: Session, actor: Actor, person: Person, *, after: str = "", before: str = "") -> Page[Seen]:
    """A page of the recordings that a person may watch, among those that the actor may watch as well: others are
    neither listed nor counted, so that an explanation tells nobody of what they may not know.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    now = clock.now()
    whose = load(session, person.id, now)
    query: Select[tuple[Recording]] = (
        policy.visible(whose, Action.RECORDING_VIEW, now)
        .where(policy.where(actor, Action.RECORDING_VIEW, now))
        .options(joinedload(Recording.case))
    )
    page = paging.read(session, query, Recording, BY_TITLE, after=after, before=before)
    ids = [recording.id for recording in page.rows]
    explained = policy.explain_all(session, whose, Action.RECORDING_VIEW, ids, now) if ids else {}
    audiences = _audiences(session, whose, page.rows, now)
    return Page(
        [
            Seen(
                recording,
                [
                    f"{verdict.sentence} ({'; '.join(audiences[recording.id])})"
                    if verdict.rule == rules.IN_AUDIENCE.name
                    else verdict.sentence
                    for verdict in explained[recording.id][1]
                    if verdict.role == "allow" and verdict.holds
                ],
            )
            for recording in page.rows
        ],
        page.before,
        page.after,
    )


def _audiences(
    session: Session, actor: Actor, recordings: Sequence[Recording], now: datetime
) -> dict[uuid.UUID, list[str]]:
    """For each recording, the audiences by which grants in force reach the actor."""
    found: dict[uuid.UUID, list[str]] = {recording.id: [] for recording in recordings}
    if not recordings:
        return found
    rows = session.execute(
        select(Recording.id, Grant)
        .join(Case, Case.id == Recording.case_id)
        .join(Grant, or_(Grant.recording_id == Recording.id, Grant.case_id == Case.id))
        .where(Recording.id.in_(found), Grant.right == GrantRight.WATCH, rules.grant_reaches(actor, now))
        .options(*_NAMES)
        .order_by(Grant.created_at, Grant.id)
    )
    for recording_id, grant in rows:
        if grant.audience_name not in found[recording_id]:
            found[recording_id].append(grant.audience_name)
    return found
