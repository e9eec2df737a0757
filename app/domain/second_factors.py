"""Second factors: who must have one, authenticator apps (TOTP, RFC 6238), removing and resetting.

Passkeys have `app/domain/passkeys.py`, recovery codes `app/domain/recovery_codes.py`.
"""

from __future__ import annotations

import hmac
import logging
import uuid
from datetime import datetime, timedelta

import pyotp
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app import clock, logs
from app.access import Action, Actor
from app.db.people import Person, Role
from app.db.sign_in import FactorKind, SecondFactor
from app.domain import audit, back_off, people, recovery_codes, secrets, sign_in
from app.errors import Conflict, Forbidden, Invalid, Misconfigured, NotFound

log = logging.getLogger(__name__)

#: Roles that open more than their holder's own: they are worth a second factor, wherever they are held.
SENSITIVE = (Role.ADMIN, Role.CUSTODIAN)
#: How long a proof counts for what asks for a fresh one.
FRESH = timedelta(minutes=10)
#: How long a secret that was shown waits for its first code.
PENDING = timedelta(hours=1)
MOST = 10
STEP = 30
ISSUER = "Vignette"
PURPOSE = "totp"
WRONG = "The code is wrong, too old or was used already. Enter the newest code."
SEALED = (
    "Codes of your authenticator app cannot be checked any more, because the secret key of this service was changed. "
    "Use a recovery code, or a passkey if you have one, then remove the app and add it again. "
    "Or ask an admin who could give you your role to reset your second factors."
)
SEALED_WAITING = "The secret key of this service was changed meanwhile. Add the app again from the beginning."


# -- who needs one -------------------------------------------------------------------------------------------------------


def must_have(actor: Actor) -> bool:
    """Whether the actor holds a role, anywhere, that asks for a second factor."""
    return bool(actor.over(*SENSITIVE))


def has_any(session: Session, person_id: uuid.UUID) -> bool:
    """Whether a person has a factor that counts: one query."""
    query = select(SecondFactor.id).where(SecondFactor.person_id == person_id, SecondFactor.confirmed_at.is_not(None))
    return session.scalar(query.limit(1)) is not None


def before_proof(session: Session, actor: Actor, *, required: bool) -> frozenset[Action] | None:
    """What an actor may do in a session in which no second factor was shown; None: all that they may.

    Who has a factor can only show it: to add another takes the first, or a stolen password would be enough.
    """
    if actor.person_id is not None and has_any(session, actor.person_id):
        return frozenset({Action.PROVE, Action.SESSION})
    if required and must_have(actor):
        return frozenset({Action.PROVE, Action.FACTORS, Action.SESSION})
    return None


def of_person(session: Session, person_id: uuid.UUID) -> list[SecondFactor]:
    """The factors that count, oldest first."""
    return list(
        session.scalars(
            select(SecondFactor)
            .where(SecondFactor.person_id == person_id, SecondFactor.confirmed_at.is_not(None))
            .order_by(SecondFactor.created_at, SecondFactor.id)
        )
    )


def own(session: Session, actor: Actor, factor_id: uuid.UUID) -> SecondFactor:
    """One of the actor's factors that count.

    Raises:
        NotFound: there is no such factor of theirs.
    """
    factor = session.scalar(
        select(SecondFactor).where(
            SecondFactor.id == factor_id,
            SecondFactor.person_id == actor.person_id,
            SecondFactor.confirmed_at.is_not(None),
        )
    )
    if factor is None:
        raise NotFound
    return factor


# -- authenticator apps --------------------------------------------------------------------------------------------------


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The time step (30 s since 1970) whose code this is, of the present one and its neighbours; None: of none."""
    present = int(now.timestamp()) // STEP
    app = pyotp.TOTP(secret)
    found = [step for step in (present, present - 1, present + 1) if hmac.compare_digest(app.generate_otp(step), code)]
    return found[0] if found else None


def start_app(session: Session, actor: Actor, secret_key: str, name: str) -> SecondFactor:
    """A new authenticator app that waits for its first code, in place of any that waited before.

    Raises:
        Conflict: there are enough factors.
    """
    person_id = _person_id(actor)
    check_room(session, person_id)
    session.execute(
        delete(SecondFactor).where(SecondFactor.person_id == person_id, SecondFactor.confirmed_at.is_(None))
    )
    factor = SecondFactor(
        person_id=person_id,
        kind=FactorKind.TOTP,
        name=name.strip()[:100] or "Authenticator app",
        secret=secrets.seal(secret_key, PURPOSE, pyotp.random_base32().encode()),
        created_at=clock.now(),
    )
    session.add(factor)
    session.flush()
    return factor


def waiting_app(session: Session, actor: Actor, factor_id: uuid.UUID) -> SecondFactor:
    """The app of the actor that still waits for its first code.

    Raises:
        NotFound: there is none such, or it waited too long.
    """
    factor = session.scalar(
        select(SecondFactor)
        .where(
            SecondFactor.id == factor_id,
            SecondFactor.person_id == actor.person_id,
            SecondFactor.kind == FactorKind.TOTP,
            SecondFactor.confirmed_at.is_(None),
            SecondFactor.created_at > clock.now() - PENDING,
        )
        .with_for_update()
    )
    if factor is None:
        raise NotFound
    return factor


def secret_of(secret_key: str, factor: SecondFactor) -> str:
    """The secret of an authenticator app, in base32.

    Raises:
        Conflict: it was sealed under another SECRET_KEY; the sentence says what its person can do. The log says so too:
            whoever changed the key should know whom that concerns.
    """
    try:
        return secrets.unseal(secret_key, PURPOSE, factor.secret or b"").decode()
    except Misconfigured:
        logs.event(log, "second-factor-sealed", logging.ERROR, person_id=str(factor.person_id))
        raise Conflict(SEALED if factor.confirmed_at else SEALED_WAITING, code="second-factor-sealed") from None


def address_of(secret: str, email: str) -> str:
    """What the picture holds that an app reads: an otpauth address."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def confirm_app(session: Session, actor: Actor, secret_key: str, factor: SecondFactor, typed: str) -> None:
    """Let an app count from now on, by its first code.

    Raises:
        Invalid: the code is wrong.
        Conflict: the SECRET_KEY was changed since the app was begun.
    """
    step = matching_step(secret_of(secret_key, factor), recovery_codes.plain(typed), clock.now())
    if step is None:
        sentence = "The code is wrong. Check that the clock of your phone is right, and enter the newest code."
        raise Invalid(sentence, fields={"code": sentence})
    factor.last_step = step
    count_from_now(session, actor, factor)


def count_from_now(session: Session, actor: Actor, factor: SecondFactor) -> None:
    """Note that a factor has been shown for the first time."""
    factor.confirmed_at = factor.last_used_at = clock.now()
    session.flush()
    audit.record(
        session, actor, "factor:add", "person", factor.person_id, factor=str(factor.id), kind=factor.kind.value
    )


def check_room(session: Session, person_id: uuid.UUID) -> None:
    """Stop at ten factors.

    Raises:
        Conflict: there are ten.
    """
    if len(of_person(session, person_id)) >= MOST:
        raise Conflict(f"You have {MOST} second factors already. Remove one that you do not use.")


# -- showing one ---------------------------------------------------------------------------------------------------------


def prove(session: Session, actor: Actor, secret_key: str, typed: str) -> str:
    """Check a code of an app, or a recovery code, and use it up; which of the two it was ("totp" or "recovery").

    The person's factors are locked first, so that guesses come one after the other. Commits the count of failures
    itself, so that the error cannot undo it. An app whose secret does not open is passed over.

    Raises:
        Invalid: the code is wrong, too old or was used.
        TooManyRequests: after five failures in a row of this person.
        Conflict: no app's secret opens under this SECRET_KEY. That counts as no failure: there was nothing to guess.
    """
    person_id, now = _person_id(actor), clock.now()
    factors = locked(session, person_id)
    keys = back_off_keys(person_id)
    back_off.check(session, keys, now)
    code = recovery_codes.plain(typed)
    kind, advice = "", ""
    if code.isascii() and code.isdigit():
        apps, sealed = _opened(secret_key, factors)
        if sealed and not apps:
            raise Conflict(SEALED, code="second-factor-sealed")
        # beside an app that can be guessed at, every wrong code is a guess, whichever app it was meant for
        advice = " ".join(f"Codes of {factor.name} cannot be checked any more: use another." for factor in sealed)
        kind = "totp" if any(_take(factor, secret, code, now) for factor, secret in apps) else ""
    elif factors and recovery_codes.take(session, person_id, code):
        kind = "recovery"
    if not kind:
        fail(session, actor, now)
        sentence = f"{WRONG} {advice}".strip()
        raise Invalid(sentence, fields={"code": sentence})
    back_off.forget(session, keys)
    audit.record(session, actor, "factor:prove", "person", person_id, kind=kind)
    return kind


def locked(session: Session, person_id: uuid.UUID) -> list[SecondFactor]:
    """The factors that count, locked until the transaction ends and read anew."""
    return list(
        session.scalars(
            select(SecondFactor)
            .where(SecondFactor.person_id == person_id, SecondFactor.confirmed_at.is_not(None))
            .order_by(SecondFactor.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def back_off_keys(person_id: uuid.UUID) -> list[str]:
    """What failures to show a second factor are counted under: the person, because the password was right already."""
    return [back_off.key("second-factor", str(person_id))]


def fail(session: Session, actor: Actor, now: datetime) -> None:
    """Count and write down a failure, and commit that."""
    person_id = _person_id(actor)
    back_off.count(session, back_off_keys(person_id), now)
    audit.record(session, actor, "factor:refuse", "person", person_id)
    session.commit()


def _opened(secret_key: str, factors: list[SecondFactor]) -> tuple[list[tuple[SecondFactor, str]], list[SecondFactor]]:
    """The authenticator apps with their secrets, and those whose secrets do not open."""
    apps: list[tuple[SecondFactor, str]] = []
    sealed: list[SecondFactor] = []
    for factor in factors:
        if factor.kind is not FactorKind.TOTP:
            continue
        try:
            apps.append((factor, secret_of(secret_key, factor)))
        except Conflict:
            sealed.append(factor)
    return apps, sealed


def _take(factor: SecondFactor, secret: str, code: str, now: datetime) -> bool:
    """Whether it is a code of this app that was not used, nor any later one."""
    step = matching_step(secret, code, now)
    if step is None or (factor.last_step is not None and step <= factor.last_step):
        return False
    factor.last_step = step
    factor.last_used_at = now
    return True


# -- taking them away ----------------------------------------------------------------------------------------------------


def remove(session: Session, actor: Actor, factor: SecondFactor, *, required: bool) -> None:
    """Remove one's own factor; with the last one go the recovery codes.

    Raises:
        Conflict: it is the last one of somebody who must have one.
    """
    others = [one for one in locked(session, factor.person_id) if one.id != factor.id]
    if not others and required and must_have(actor):
        raise Conflict("Admins and custodians must have a second factor. Add another one before you remove the last.")
    session.delete(factor)
    if not others:
        recovery_codes.drop(session, factor.person_id)
    audit.record(
        session, actor, "factor:remove", "person", factor.person_id, factor=str(factor.id), kind=factor.kind.value
    )


def reset(session: Session, actor: Actor, person: Person) -> None:
    """Remove all factors and recovery codes of somebody who lost them, and end their sessions: whoever holds their
    password can then set up new ones, so it takes the right to appoint to every role that they have.

    Raises:
        Forbidden: the person holds a role that the actor could not give, or is the actor.
    """
    if person.id == actor.person_id:
        raise Forbidden("Remove your own on the page of your account.")
    if not people.may_reset(session, actor, person):
        raise Forbidden("They hold a role that you could not give, so somebody who could must do this.")
    session.execute(delete(SecondFactor).where(SecondFactor.person_id == person.id))
    recovery_codes.drop(session, person.id)
    back_off.forget(session, back_off_keys(person.id))
    sign_in.end_all_sessions(session, person.id)
    audit.record(session, actor, "factor:reset", "person", person.id)


def _person_id(actor: Actor) -> uuid.UUID:
    if actor.person_id is None:
        raise Forbidden("Only a person has second factors.")
    return actor.person_id
