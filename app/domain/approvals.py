"""Approving and refusing what is to be shared more widely than its giver reaches. Who may is `grant:approve`."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import Action, Actor, policy
from app.db.grants import Grant
from app.db.recordings import Recording
from app.domain import audit, grants, paging
from app.domain.paging import Page, Sorting
from app.errors import Invalid

OLDEST = Sorting("oldest", "Oldest first", Grant.created_at)
_SHOWN = (
    *grants.NAMES,
    joinedload(Grant.recording).joinedload(Recording.case),
    joinedload(Grant.case),
    joinedload(Grant.created_by),
)


def listing(session: Session, actor: Actor, *, after: str = "", before: str = "") -> Page[Grant]:
    """A page of what waits for this actor, the oldest first.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    query = policy.visible(actor, Action.GRANT_APPROVE, clock.now()).options(*_SHOWN)
    return paging.read(session, query, Grant, OLDEST, after=after, before=before)


def count(session: Session, actor: Actor) -> int:
    """How much waits for this actor."""
    waiting = policy.visible(actor, Action.GRANT_APPROVE, clock.now()).with_only_columns(Grant.id)
    return session.scalar(select(func.count()).select_from(waiting.subquery())) or 0


def _checked(answer: str) -> str:
    answer = answer.strip()
    if len(answer) > grants.MOST_REASON:
        sentence = f"Your answer must be {grants.MOST_REASON} characters or fewer"
        raise Invalid(sentence, fields={"answer": sentence})
    return answer


def approve(session: Session, actor: Actor, grant: Grant, answer: str = "") -> None:
    """Let a waiting grant count. The caller has asked the policy.

    Raises:
        Invalid: the answer is too long.
    """
    grant.answer = _checked(answer)
    grant.approved_at, grant.approved_by_id = clock.now(), actor.person_id
    _write(session, actor, grant, "grant:approve")


def refuse(session: Session, actor: Actor, grant: Grant, answer: str) -> None:
    """Say no to a waiting grant, and why. The caller has asked the policy.

    Raises:
        Invalid: there is no answer, or it is too long.
    """
    grant.answer = _checked(answer)
    if not grant.answer:
        sentence = "Say why not, so that they know what to change"
        raise Invalid(sentence, fields={"answer": sentence})
    grant.refused_at, grant.approved_by_id = clock.now(), actor.person_id
    _write(session, actor, grant, "grant:refuse")


def _write(session: Session, actor: Actor, grant: Grant, action: str) -> None:
    kind, thing_id = ("case", grant.case_id) if grant.case_id else ("recording", grant.recording_id)
    audit.record(session, actor, action, kind, thing_id, reason=grant.answer, grant=str(grant.id))
