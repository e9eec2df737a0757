"""Dormant accounts: people who have not signed in for 90 days, or never since they were invited that long ago."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session, selectinload

from app import clock
from app.access import Action, Actor, policy
from app.db.people import Person, RoleAssignment
from app.domain import paging, people
from app.domain.paging import Page, Sorting
from app.errors import Conflict, Forbidden, Invalid

AFTER = timedelta(days=90)
PAGE = 50
BY_EMAIL = Sorting("email", "Email address", func.lower(Person.email))
CHOOSE = "Select at least one person"


def _dormant(actor: Actor) -> Select[tuple[Person]]:
    """Accounts that still work, whom the actor administers, without a sign-in for so long. The actor's own is none."""
    now = clock.now()
    query: Select[tuple[Person]] = policy.visible(actor, Action.PERSON_ADMINISTER, now)
    return query.where(
        Person.suspended_at.is_(None),
        Person.left_at.is_(None),
        Person.id.is_distinct_from(actor.person_id),
        or_(
            Person.last_signed_in_at < now - AFTER,
            and_(Person.last_signed_in_at.is_(None), Person.created_at < now - AFTER),
        ),
    )


def accounts(session: Session, actor: Actor, *, after: str = "", before: str = "") -> Page[Person]:
    """A page of the dormant accounts, by e-mail.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    query = _dormant(actor).options(
        selectinload(Person.roles).selectinload(RoleAssignment.area),
        selectinload(Person.roles).selectinload(RoleAssignment.organisation),
    )
    return paging.read(session, query, Person, BY_EMAIL, after=after, before=before, size=PAGE)


@dataclass
class Outcome:
    """What became of several: those done, and those refused with the sentence that says why."""

    done: list[Person] = field(default_factory=list)
    refused: list[tuple[Person, str]] = field(default_factory=list)


def suspend(session: Session, actor: Actor, ids: Collection[uuid.UUID]) -> Outcome:
    """Suspend several dormant accounts. Those that are dormant no more are left alone.

    Raises:
        Invalid: none is named.
    """
    if not ids:
        raise Invalid(CHOOSE, fields={"people": CHOOSE})
    return _each(session, actor, _dormant(actor).where(Person.id.in_(ids)), people.suspend)


def undo(session: Session, actor: Actor, ids: Collection[uuid.UUID]) -> Outcome:
    """Let people in again who were suspended together."""
    query: Select[tuple[Person]] = policy.visible(actor, Action.PERSON_ADMINISTER, clock.now())
    query = query.where(Person.id.in_(ids), Person.suspended_at.is_not(None), Person.left_at.is_(None))
    return _each(session, actor, query, people.restore)


def suspended_just_now(session: Session, actor: Actor, ids: Collection[uuid.UUID]) -> list[Person]:
    """Those of these whom the actor can still let in again, by e-mail."""
    if not ids:
        return []
    query: Select[tuple[Person]] = policy.visible(actor, Action.PERSON_ADMINISTER, clock.now())
    query = query.where(Person.id.in_(ids), Person.suspended_at.is_not(None), Person.left_at.is_(None))
    return list(session.scalars(query.order_by(func.lower(Person.email))))


def _each(
    session: Session, actor: Actor, query: Select[tuple[Person]], act: Callable[[Session, Actor, Person], None]
) -> Outcome:
    outcome = Outcome()
    named = select(Person.id).where(Person.id.in_(query.with_only_columns(Person.id)))
    for person_id in session.scalars(named.order_by(Person.id)).all():
        # one lock after another, in one order, so that two admins do not wait for each other
        person = session.get_one(Person, person_id, with_for_update=True)
        try:
            act(session, actor, person)
        except (Forbidden, Conflict) as error:
            outcome.refused.append((person, str(error)))
        else:
            outcome.done.append(person)
    return outcome
