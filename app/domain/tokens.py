"""API tokens as their owners and admins see them. Making and finding one is signing in: `app/domain/sign_in.py`.

A token is its own proof: it acts without a second factor, so to make one takes a fresh proof. It stops when it is revoked,
when its time is over, and when its person leaves; while its person is suspended it does nothing. A new password leaves
tokens as they are: it says nothing about the programs that hold them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.db.people import Person
from app.db.sign_in import ApiToken
from app.domain import days, sign_in
from app.errors import Conflict, Invalid, NotFound

LONGEST = timedelta(days=365)
MOST = 50
#: What each scope lets a program do, in words.
WORDS: dict[str, str] = {
    "read": "Read: look at cases, recordings and training materials",
    "upload": "Upload: add recordings and change them",
    "publish": "Publish: share, publish and withdraw recordings",
    "all": "All: everything that you may do",
}


def make(session: Session, actor: Actor, person: Person, name: str, scopes: Iterable[str], until: date | None) -> str:
    """A new token of one's own; the only time that its secret can be read.

    Args:
        until: the last day on which it works; at most a year away.
    Raises:
        Invalid: no name, no scope, or a day that is past or too far away.
        Conflict: there are too many.
    """
    faults = {}
    if not name.strip():
        faults["name"] = "Enter a name, so that you know later which program has the token"
    if until is None or not days.today() <= until <= latest_day():
        faults["until"] = "Until when must be a day from today to a year from now"
    wanted = list(scopes)
    if not wanted:
        faults["scopes"] = "Choose what the program may do"
    if faults or until is None:
        raise Invalid("; ".join(faults.values()), fields=faults)
    if len(working(session, person.id)) >= MOST:
        raise Conflict(f"You have {MOST} tokens already. Revoke those that you do not use.")
    return sign_in.make_token(session, actor, person, name.strip(), wanted, ends_at=days.end_of(until))


def working(session: Session, person_id: uuid.UUID) -> list[ApiToken]:
    """A person's tokens that were neither revoked nor are over, newest first."""
    return list(
        session.scalars(
            select(ApiToken)
            .where(ApiToken.person_id == person_id, ApiToken.revoked_at.is_(None), ApiToken.expires_at > clock.now())
            .order_by(ApiToken.created_at.desc(), ApiToken.id)
        )
    )


def revoke(session: Session, actor: Actor, person_id: uuid.UUID, token_id: uuid.UUID) -> ApiToken:
    """Stop a person's token at once. The caller has checked that it is the actor's own, or one of somebody whom they
    administer.

    Raises:
        NotFound: the person has no such token.
    """
    token = session.scalar(select(ApiToken).where(ApiToken.id == token_id, ApiToken.person_id == person_id))
    if token is None:
        raise NotFound
    if token.revoked_at is None:
        sign_in.revoke_token(session, actor, token)
    return token


def latest_day() -> date:
    """The last day that a new token may be given."""
    return days.today() + LONGEST


def default_day() -> date:
    """The day that the form offers: 90 days from now."""
    return days.today() + sign_in.TOKEN_LIFE


def in_words(scopes: Iterable[str]) -> list[str]:
    """What scopes let a program do."""
    return [WORDS[scope] for scope in scopes if scope in WORDS]
