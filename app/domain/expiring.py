"""Grants that end soon: the list for those who keep them, and the e-mails that remind owners."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import Action, Actor, policy
from app.db.cases import Case
from app.db.grants import Grant
from app.db.people import Person
from app.db.recordings import Recording
from app.domain import grants, mail, paging
from app.domain.paging import Page, Sorting
from app.settings import Settings

WITHIN = (30, 90)
#: An owner is told once this long before the end, and once more shortly before it.
FIRST, LAST = timedelta(days=14), timedelta(days=2)
#: `ends_at` is never null in what is listed here.
SOONEST = Sorting("soonest", "Soonest first", Grant.ends_at)


def listing(session: Session, actor: Actor, within: int, *, after: str = "", before: str = "") -> Page[Grant]:
    """A page of the grants that the actor keeps and that end within so many days, the soonest first.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    now = clock.now()
    query = (
        policy.visible(actor, Action.GRANT_KEEP, now)
        .where(
            Grant.ends_at > now,
            Grant.ends_at <= now + timedelta(days=within),
            Grant.revoked_at.is_(None),
            Grant.refused_at.is_(None),
            Grant.needs_approval.is_(False) | Grant.approved_at.is_not(None),
        )
        .options(*grants.NAMES, joinedload(Grant.recording).joinedload(Recording.case), joinedload(Grant.case))
    )
    return paging.read(session, query, Grant, SOONEST, after=after, before=before)


def remind(session: Session, settings: Settings) -> int:
    """Tell owners, in one e-mail each, how many of their grants end soon. Each grant counts 14 days and 2 days before its
    end, once each; a grant that was never to last that long is not counted then. Returns how many e-mails were written.
    """
    now = clock.now()
    spans = [
        and_(
            Grant.ends_at <= now + span,
            Grant.starts_at < Grant.ends_at - span,
            or_(Grant.reminded_at.is_(None), Grant.reminded_at < Grant.ends_at - span),
        )
        for span in (FIRST, LAST)
    ]
    due = session.scalars(
        select(Grant)
        .where(
            Grant.ends_at > now,
            Grant.revoked_at.is_(None),
            Grant.refused_at.is_(None),
            Grant.needs_approval.is_(False) | Grant.approved_at.is_not(None),
            or_(*spans),
        )
        .with_for_update(skip_locked=True, of=Grant)
    ).all()
    owners: Counter[uuid.UUID] = Counter()
    for grant in due:
        owner_id = _owner(session, grant)
        grant.reminded_at = now
        if owner_id is not None:
            owners[owner_id] += 1
    people = session.scalars(
        select(Person).where(Person.id.in_(owners), Person.suspended_at.is_(None), Person.left_at.is_(None))
    )
    written = 0
    for person in people:
        written += mail.post(
            session, settings, kind="grants-ending", address=person.email, path="/grants/expiring", person_id=person.id,
            count=owners[person.id],
        )  # fmt: skip
    return written


def _owner(session: Session, grant: Grant) -> uuid.UUID | None:
    """Whose recording or case it is; where that is nobody any more, who gave it."""
    active = and_(Person.suspended_at.is_(None), Person.left_at.is_(None))
    owner = (
        select(Case.created_by_id).where(Case.id == grant.case_id)
        if grant.case_id is not None
        else select(Recording.owner_id).where(Recording.id == grant.recording_id)
    )
    found = session.scalar(select(Person.id).where(Person.id.in_(owner), active))
    return found if found is not None else grant.created_by_id
