"""Accounts at OpenID providers and whose they are: signing in, linking, and what a provider's rules give.

People are known by issuer and subject. An e-mail address that a provider names makes a new person at most; it never
leads to one who is there already.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import clock
from app.access import ANONYMOUS, SYSTEM, Actor
from app.db.people import Person, Role, RoleAssignment
from app.db.places import Organisation
from app.db.sign_in import Identity, LinkPurpose, SignInAttempt, WebSession
from app.domain import audit, openid, people, secrets, sign_in
from app.domain.openid import Refused
from app.domain.provider_client import Account
from app.domain.providers import Provider
from app.errors import Conflict, Invalid, NotFound

#: How long somebody may take at the provider.
ATTEMPT_LIFE = timedelta(minutes=15)
#: An account is linked only in a session that was opened, or proved by a second factor, this short a time ago.
FRESH = timedelta(minutes=15)
#: Links from an admin that may be accepted by signing in with a provider.
ACCEPTED_LINKS = (LinkPurpose.INVITATION, LinkPurpose.SET_PASSWORD)
MOST_NAME = 200


# -- attempts ------------------------------------------------------------------------------------------------------------


def begin(session: Session, provider: Provider, state: str) -> None:
    """Note that a browser went to the provider with this state. What is too old is forgotten."""
    now = clock.now()
    session.execute(delete(SignInAttempt).where(SignInAttempt.expires_at <= now))
    session.add(SignInAttempt(state_hash=secrets.digest(state), provider=provider.key, expires_at=now + ATTEMPT_LIFE))


def take(session: Session, provider: Provider, state: str) -> None:
    """Use a state up: of two callbacks at once, one wins. The caller commits before anything else.

    Raises:
        Refused: unknown, of another provider, too old or used.
    """
    found = session.scalar(
        delete(SignInAttempt)
        .where(
            SignInAttempt.state_hash == secrets.digest(state),
            SignInAttempt.provider == provider.key,
            SignInAttempt.expires_at > clock.now(),
        )
        .returning(SignInAttempt.state_hash)
    )
    if found is None:
        raise Refused("state")


def refuse(session: Session, provider: Provider, refused: Refused) -> None:
    """Write a refusal down and commit, so that the answer, an error, cannot undo it. Only codes and ids are kept."""
    session.rollback()
    audit.record(
        session, ANONYMOUS, "sign-in:refused", "person", refused.person_id, code=refused.code, provider=provider.key
    )
    session.commit()


# -- whose account it is -----------------------------------------------------------------------------------------------------


def find(session: Session, provider: Provider, subject: str) -> Identity | None:
    """The account that is known by this issuer and subject, locked for the transaction."""
    return session.scalar(
        select(Identity).where(Identity.issuer == provider.issuer, Identity.subject == subject).with_for_update()
    )


def of_person(session: Session, person_id: uuid.UUID) -> Sequence[Identity]:
    """A person's accounts at providers, the oldest first."""
    return session.scalars(select(Identity).where(Identity.person_id == person_id).order_by(Identity.created_at)).all()


def arrive(session: Session, provider: Provider, account: Account, *, link: str = "") -> Person:
    """The person whose account this is, with the roles that the provider's rules give now.

    Args:
        link: the secret of an invitation or another link of an admin, which this sign-in accepts.
    Raises:
        Refused: with the reason.
    """
    identity = find(session, provider, account.subject)
    email = openid.check_account(provider, account.claims, known=identity is not None or bool(link))
    try:
        if link:
            identity = _accept(session, provider, account, link, identity)
        elif identity is None:
            identity = _newcomer(session, provider, account, email)
    except IntegrityError as error:
        raise Refused("at-once") from error
    person = identity.person
    if not may_enter(person):
        raise Refused("suspended", person.id)
    identity.last_used_at = clock.now()
    _place(session, provider, account, person)
    return person


def may_enter(person: Person) -> bool:
    """Whether a person is neither suspended nor gone."""
    now = clock.now()
    return all(moment is None or moment > now for moment in (person.suspended_at, person.left_at))


def _accept(session: Session, provider: Provider, account: Account, secret: str, identity: Identity | None) -> Identity:
    person = _whom_lets_in(session, secret)
    if identity is None:
        identity = _add(session, _as(person), provider, account.subject, person)
    elif identity.person_id != person.id:
        raise Refused("linked-elsewhere", person.id)
    sign_in.end_links(session, person.id)
    return identity


def _whom_lets_in(session: Session, secret: str) -> Person:
    """Use an admin's link up, whichever it is."""
    for purpose in ACCEPTED_LINKS:
        try:
            person = sign_in.use_link_of(session, purpose, secret)
        except NotFound:
            continue
        session.flush()
        if purpose is LinkPurpose.INVITATION:
            audit.record(session, _as(person), "invitation:accept", "person", person.id)
        return person
    raise Refused("link-used")


def _newcomer(session: Session, provider: Provider, account: Account, email: str) -> Identity:
    """A new person, without any access."""
    try:
        email = people.check_email(email)
    except Invalid as error:
        raise Refused("no-email") from error
    other = people.by_email(session, email)
    if other is not None:
        raise Refused("not-linked", other.id)
    name = account.claims.get("name")
    name = "".join(c for c in name if c.isprintable()).strip()[:MOST_NAME] if isinstance(name, str) else ""
    person = Person(email=email, name=name)
    session.add(person)
    session.flush()
    audit.record(session, SYSTEM, "person:create", "person", person.id, provider=provider.key)
    return _add(session, _as(person), provider, account.subject, person)


def _add(session: Session, actor: Actor, provider: Provider, subject: str, person: Person) -> Identity:
    identity = Identity(person_id=person.id, issuer=provider.issuer, subject=subject, created_at=clock.now())
    session.add(identity)
    session.flush()
    audit.record(session, actor, "identity:link", "person", person.id, provider=provider.key, identity=str(identity.id))
    return identity


def _as(person: Person) -> Actor:
    return Actor(kind="person", person_id=person.id, name=person.display_name)


# -- linking by oneself --------------------------------------------------------------------------------------------------------


def is_fresh(session: Session, session_id: uuid.UUID) -> bool:
    """Whether the person at this browser session proved a short time ago who they are."""
    row = session.get(WebSession, session_id)
    if row is None:
        return False
    proved = max(filter(None, (row.created_at, row.second_factor_at)))
    return proved > clock.now() - FRESH


def link(session: Session, actor: Actor, person: Person, provider: Provider, account: Account) -> Identity:
    """Add an account to one's own person.

    Raises:
        Refused: it belongs to somebody else, or may not be used here.
    """
    openid.check_account(provider, account.claims, known=True)
    if not may_enter(person):
        raise Refused("suspended", person.id)
    identity = find(session, provider, account.subject)
    if identity is not None:
        if identity.person_id != person.id:
            raise Refused("linked-elsewhere", person.id)
        return identity
    try:
        return _add(session, actor, provider, account.subject, person)
    except IntegrityError as error:
        raise Refused("at-once") from error


def unlink(session: Session, actor: Actor, person: Person, identity_id: uuid.UUID, keys: dict[str, str]) -> None:
    """Take an account away from a person, with the roles that its provider's rules gave.

    Args:
        keys: issuer to provider key.
    Raises:
        NotFound: it is not one of theirs.
        Conflict: it is their only way to sign in.
    """
    held = list(of_person(session, person.id))
    identity = next((one for one in held if one.id == identity_id), None)
    if identity is None:
        raise NotFound
    if len(held) == 1 and not person.password_hash:
        raise Conflict("This is your only way to sign in. Link another account or ask for a password first.")
    session.delete(identity)
    key = keys.get(identity.issuer, "")
    audit.record(session, actor, "identity:unlink", "person", person.id, provider=key, identity=str(identity.id))
    if key and not any(one.issuer == identity.issuer for one in held if one is not identity):
        _keep_only(session, person, source_of(key), set())


# -- what rules give -----------------------------------------------------------------------------------------------------------


def source_of(key: str) -> str:
    """What `role_assignments.source` says for a provider's rules."""
    return f"openid:{key}"


def _place(session: Session, provider: Provider, account: Account, person: Person) -> None:
    """Give the roles of the rules that fit, and take those that an earlier sign-in gave and no rule gives any more."""
    wanted: set[tuple[Role, uuid.UUID]] = set()
    for rule in openid.fitting(provider, account.claims):
        organisation = _organisation(session, rule.organisation)
        if organisation is not None:
            wanted.add((rule.role, organisation.id))
    source = source_of(provider.key)
    kept = _keep_only(session, person, source, wanted)
    now = clock.now()
    # what somebody gave by hand is left alone, and not given twice
    kept |= {
        (held.role, held.organisation_id)
        for held in person.roles
        if held.organisation_id is not None and (held.ends_at is None or held.ends_at > now)
    }
    for role, organisation_id in sorted(wanted - kept, key=str):
        session.add(RoleAssignment(person=person, role=role, organisation_id=organisation_id, source=source))
        audit.record(
            session, SYSTEM, "role:give", "person", person.id,
            role=role.value, area="", organisation=str(organisation_id), source=source,
        )  # fmt: skip
    session.flush()


def _keep_only(
    session: Session, person: Person, source: str, wanted: set[tuple[Role, uuid.UUID]]
) -> set[tuple[Role, uuid.UUID]]:
    """Take the roles of a source that are not wanted; which of the wanted are there already."""
    kept: set[tuple[Role, uuid.UUID]] = set()
    for held in [one for one in person.roles if one.source == source]:
        if held.organisation_id is not None and (held.role, held.organisation_id) in wanted:
            kept.add((held.role, held.organisation_id))
            continue
        audit.record(
            session, SYSTEM, "role:take", "person", person.id,
            role=held.role.value, area=str(held.area_id or ""), organisation=str(held.organisation_id or ""),
            source=source,
        )  # fmt: skip
        person.roles.remove(held)
    session.flush()
    return kept


def _organisation(session: Session, named: str) -> Organisation | None:
    """The organisation of a rule, by id or name; None when there is none that is open, so that the rule gives nothing."""
    try:
        matching = Organisation.id == uuid.UUID(named)
    except ValueError:
        matching = func.lower(Organisation.name) == named.lower()
    return session.scalar(select(Organisation).where(matching, Organisation.closed_at.is_(None)))
