"""Where people are signed in: their own list, and that of the people whom an admin administers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app import clock
from app.access import Action, Actor, policy
from app.db.people import Person
from app.db.sign_in import WebSession
from app.domain import audit, paging, sign_in
from app.domain.paging import Page, Sorting
from app.errors import NotFound

LAST_SEEN = Sorting("seen", "Last seen", WebSession.seen_at, descending=True)
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Chromium", "Chromium"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True)
class Device:
    """A session with whose it is."""

    session: WebSession
    person: Person


def in_words(user_agent: str) -> str:
    """The browser and system that a User-Agent header names, in words: "Firefox on Windows". What it says is the
    browser's own claim: good enough to know one's own device by, no proof of anything."""
    browser = next((words for mark, words in _BROWSERS if re.search(rf"\b{mark}\b", user_agent)), "")
    system = next((words for mark, words in _SYSTEMS if mark in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or (f"Browser on {system}" if system else "Unknown browser")


def of_person(session: Session, person_id: uuid.UUID, idle: timedelta) -> Sequence[WebSession]:
    """The sessions of a person that have not ended, the last used first."""
    now = clock.now()
    return session.scalars(
        select(WebSession)
        .where(
            WebSession.person_id == person_id,
            WebSession.embed_material_id.is_(None),
            WebSession.expires_at > now,
            WebSession.seen_at > now - idle,
        )
        .order_by(WebSession.seen_at.desc(), WebSession.id)
    ).all()


def end_own(session: Session, actor: Actor, session_id: uuid.UUID) -> None:
    """End one of one's own sessions.

    Raises:
        NotFound: it is not one of theirs.
    """
    row = session.get(WebSession, session_id)
    if row is None or row.person_id is None or row.person_id != actor.person_id:
        raise NotFound
    _end(session, actor, row)


def end_others(session: Session, actor: Actor, person_id: uuid.UUID, this: uuid.UUID | None) -> None:
    """End all sessions of a person but this one, frames on other sites included."""
    sign_in.end_all_sessions(session, person_id, but=this)
    audit.record(session, actor, "session:end-others", "person", person_id)


def of_people(
    session: Session,
    actor: Actor,
    idle: timedelta,
    *,
    words: str = "",
    person_id: uuid.UUID | None = None,
    after: str = "",
    before: str = "",
) -> Page[Device]:
    """One page of the sessions of the people whom the actor administers, the last used first.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    now = clock.now()
    theirs = policy.visible(actor, Action.PERSON_ADMINISTER, now).with_only_columns(Person.id)
    if words.strip():
        theirs = theirs.where(
            or_(
                Person.email.icontains(words.strip(), autoescape=True),
                Person.name.icontains(words.strip(), autoescape=True),
            )
        )
    if person_id is not None:
        theirs = theirs.where(Person.id == person_id)
    query = select(WebSession).where(
        WebSession.person_id.in_(theirs),
        WebSession.embed_material_id.is_(None),
        WebSession.expires_at > now,
        WebSession.seen_at > now - idle,
    )
    page = paging.read(session, query, WebSession, LAST_SEEN, after=after, before=before)
    people = {
        person.id: person
        for person in session.scalars(select(Person).where(Person.id.in_([row.person_id for row in page.rows])))
    }
    return Page([Device(row, people[row.person_id]) for row in page.rows], page.before, page.after)


def end_of_person(session: Session, actor: Actor, session_id: uuid.UUID) -> Person:
    """End a session of somebody whom the actor administers. Returns whose it was.

    Raises:
        NotFound: there is none, or it is of somebody whom the actor may not know of.
    """
    row = session.get(WebSession, session_id)
    if row is None or row.person_id is None:
        raise NotFound
    person = policy.require(session, actor, Action.PERSON_ADMINISTER, Person, row.person_id, clock.now())
    _end(session, actor, row)
    return person


def _end(session: Session, actor: Actor, row: WebSession) -> None:
    audit.record(session, actor, "session:end", "person", row.person_id)
    sign_in.end_session(session, row.id)
