"""Signing in: passwords, browser sessions, one-time links and API tokens."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from app import clock
from app.access import SCOPES, Action, Actor
from app.db.people import Person, Role, RoleAssignment
from app.db.sign_in import ApiToken, LinkPurpose, OneTimeLink, WebSession
from app.domain import audit, back_off, passwords, secrets
from app.errors import Invalid, NotFound

WRONG = "Email address or password is wrong. Check both and try again."
WRONG_AGAIN = "Password is wrong"
FIRST_ADMIN_LINK = timedelta(hours=24)
SET_PASSWORD_LINK = timedelta(days=3)
TOKEN_LIFE = timedelta(days=90)


def authenticate(session: Session, email: str, password: str, address: str) -> Person:
    """The person whose password this is. Commits the count of failures itself, so that an error cannot undo it.

    Raises:
        Invalid: the same sentence for an unknown address, a wrong password and a suspended account.
        TooManyRequests: after five failures in a row for this e-mail or from this network address.
    """
    now = clock.now()
    keys = [back_off.key("email", email), back_off.key("address", address)]
    back_off.check(session, keys, now)
    person = session.scalar(select(Person).where(func.lower(Person.email) == email.strip().lower()))
    right = passwords.matches(person.password_hash if person else None, password)
    if person is None or not right or (person.suspended_at is not None and person.suspended_at <= now):
        back_off.count(session, keys, now)
        session.commit()
        raise Invalid(WRONG, fields={"email": WRONG})
    back_off.forget(session, keys[:1])
    if person.password_hash and passwords.outdated(person.password_hash):
        person.password_hash = passwords.hashed(password)
    return person


def password_again(
    session: Session, actor: Actor, person: Person, typed: str, *, wrong: str = WRONG_AGAIN, field: str = "password"
) -> None:
    """Check the password once more, of somebody who is signed in. Commits the count of failures itself.

    Failures are counted under the person, on every page together: neither somebody who signs in wrongly from outside nor
    one who holds a stolen session makes the other wait. The person's row is locked first, so that guesses come one after
    the other.

    Args:
        wrong: the sentence for a wrong password.
        field: the field of the form that it belongs to.
    Raises:
        Invalid: it is wrong.
        TooManyRequests: after five failures in a row of this person.
    """
    session.execute(select(Person.id).where(Person.id == person.id).with_for_update(key_share=True))
    now, keys = clock.now(), [back_off.key("password", str(person.id))]
    back_off.check(session, keys, now)
    if not passwords.matches(person.password_hash, typed):
        back_off.count(session, keys, now)
        audit.record(session, actor, "password:refuse", "person", person.id)
        session.commit()
        raise Invalid(wrong, fields={field: wrong})
    back_off.forget(session, keys)


# -- browser sessions ------------------------------------------------------------------------------------------------------


def open_session(
    session: Session,
    person_id: uuid.UUID,
    user_agent: str,
    life: timedelta,
    embed_material_id: uuid.UUID | None = None,
    *,
    method: str = "password",
    address: str = "",
    proved: bool = False,
) -> tuple[WebSession, str]:
    """A new browser session and the token for its cookie. The only place that opens one.

    Args:
        method: how they signed in: "password", "link" or the key of an OpenID provider.
        address: the network address that they came from.
        proved: a second factor was shown too, for example to a provider that vouches for it.
    """
    token = secrets.new()
    now = clock.now()
    row = WebSession(
        token_hash=secrets.digest(token),
        person_id=person_id,
        embed_material_id=embed_material_id,
        user_agent=user_agent[:300],
        method=method[:32],
        address=address[:64],
        second_factor_at=now if proved else None,
        created_at=now,
        seen_at=now,
        expires_at=now + life,
        payload={},
    )
    session.add(row)
    session.flush()
    return row, token


def find_session(session: Session, token: str, idle: timedelta) -> WebSession | None:
    """The session of a cookie, if it has not ended."""
    now = clock.now()
    return session.scalar(
        select(WebSession).where(
            WebSession.token_hash == secrets.digest(token), WebSession.expires_at > now, WebSession.seen_at > now - idle
        )
    )


def end_session(session: Session, session_id: uuid.UUID) -> None:
    """End a browser session: its cookie is worth nothing from now on."""
    session.execute(delete(WebSession).where(WebSession.id == session_id))


def end_all_sessions(session: Session, person_id: uuid.UUID, *, but: uuid.UUID | None = None) -> None:
    """End all browser sessions of a person, except one if named."""
    query = delete(WebSession).where(WebSession.person_id == person_id)
    session.execute(query if but is None else query.where(WebSession.id != but))


# -- one-time links ----------------------------------------------------------------------------------------------------------


def make_link(
    session: Session,
    purpose: LinkPurpose,
    life: timedelta,
    *,
    person_id: uuid.UUID | None = None,
    material_id: uuid.UUID | None = None,
) -> str:
    """The secret of a new one-time link."""
    secret = secrets.new()
    session.add(
        OneTimeLink(
            purpose=purpose,
            token_hash=secrets.digest(secret),
            person_id=person_id,
            material_id=material_id,
            expires_at=clock.now() + life,
        )
    )
    return secret


def peek_link(session: Session, purpose: LinkPurpose, secret: str) -> OneTimeLink:
    """The link of a secret while it still works, without using it up.

    Raises:
        NotFound: unknown, used or expired.
    """
    link = session.scalar(_working_link(purpose, secret))
    if link is None:
        raise NotFound
    return link


def use_link(session: Session, purpose: LinkPurpose, secret: str) -> OneTimeLink:
    """Use a link up: of two at once, one wins.

    Raises:
        NotFound: unknown, used or expired.
    """
    link = session.scalar(_working_link(purpose, secret).with_for_update())
    if link is None:
        raise NotFound
    link.used_at = clock.now()
    return link


def person_of_link(session: Session, purpose: LinkPurpose, secret: str) -> Person:
    """Whom a link lets in, without using it up.

    Raises:
        NotFound: unknown, used or expired; or its person is suspended or has left. The four are never told apart.
    """
    return _let_in(session, peek_link(session, purpose, secret))


def use_link_of(session: Session, purpose: LinkPurpose, secret: str) -> Person:
    """Use a link up and give whom it lets in: of two at once, one wins.

    Raises:
        NotFound: as for `person_of_link`.
    """
    return _let_in(session, use_link(session, purpose, secret))


def _let_in(session: Session, link: OneTimeLink) -> Person:
    person = session.get(Person, link.person_id) if link.person_id is not None else None
    if person is None or person.suspended_at is not None or person.left_at is not None:
        raise NotFound
    return person


def end_links(session: Session, person_id: uuid.UUID) -> None:
    """Stop the links of a person that are still on their way: those that sign in and those that choose a password."""
    session.execute(
        delete(OneTimeLink).where(
            OneTimeLink.person_id == person_id,
            OneTimeLink.purpose.in_([LinkPurpose.SIGN_IN, LinkPurpose.SET_PASSWORD, LinkPurpose.INVITATION]),
            OneTimeLink.used_at.is_(None),
        )
    )


def _working_link(purpose: LinkPurpose, secret: str) -> Select[OneTimeLink]:
    return select(OneTimeLink).where(
        OneTimeLink.purpose == purpose,
        OneTimeLink.token_hash == secrets.digest(secret),
        OneTimeLink.used_at.is_(None),
        OneTimeLink.expires_at > clock.now(),
    )


def has_admin(session: Session) -> bool:
    """Whether anybody is an admin from everywhere: without one, the first-admin link is offered."""
    return (
        session.scalar(
            select(RoleAssignment.id)
            .where(
                RoleAssignment.role == Role.ADMIN,
                RoleAssignment.area_id.is_(None),
                RoleAssignment.organisation_id.is_(None),
            )
            .limit(1)
        )
        is not None
    )


def first_admin_link(session: Session) -> str | None:
    """The secret of a fresh first-admin link, replacing any older one; None once there is an admin."""
    if has_admin(session):
        return None
    session.execute(delete(OneTimeLink).where(OneTimeLink.purpose == LinkPurpose.FIRST_ADMIN))
    return make_link(session, LinkPurpose.FIRST_ADMIN, FIRST_ADMIN_LINK)


# -- API tokens --------------------------------------------------------------------------------------------------------------


def make_token(
    session: Session,
    actor: Actor,
    person: Person,
    name: str,
    scopes: Iterable[str],
    *,
    ends_at: datetime | None = None,
) -> str:
    """A new API token of a person; the only time that its secret can be read. Without `ends_at` it works for 90 days.

    Raises:
        Invalid: an unknown scope, or none.
    """
    wanted = list(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        known = ", ".join(SCOPES)
        raise Invalid(f"Scope must be one of {known}", fields={"scope": f"Scope must be one of {known}"})
    secret = "vgn_" + secrets.new()
    token = ApiToken(
        person_id=person.id,
        name=name[:100] or "token",
        token_hash=secrets.digest(secret),
        scopes=wanted,
        expires_at=ends_at or clock.now() + TOKEN_LIFE,
    )
    session.add(token)
    session.flush()
    audit.record(session, actor, "token:create", "person", person.id, token=str(token.id), scopes=wanted)
    return secret


def find_token(session: Session, secret: str) -> tuple[uuid.UUID, frozenset[Action]] | None:
    """Whose token this is and which actions it may do; None when it does not work (any more)."""
    now = clock.now()
    token = session.scalar(
        select(ApiToken).where(
            ApiToken.token_hash == secrets.digest(secret),
            ApiToken.expires_at > now,
            or_(ApiToken.revoked_at.is_(None), ApiToken.revoked_at > now),
        )
    )
    if token is None:
        return None
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        session.execute(update(ApiToken).where(ApiToken.id == token.id).values(last_used_at=now))
    actions: frozenset[Action] = frozenset().union(*(SCOPES[s] for s in token.scopes if s in SCOPES))
    return token.person_id, actions


def revoke_token(session: Session, actor: Actor, token: ApiToken) -> None:
    """Stop a token at once."""
    token.revoked_at = clock.now()
    audit.record(session, actor, "token:revoke", "person", token.person_id, token=str(token.id))
