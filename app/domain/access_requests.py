"""Codes that owners hand out, requests that people make with one, and their answers.

Who asks learns nothing: a right code and a wrong one take the same statements and get the same sentence. That owners
hear of a request is a worker's job (`tell`), so that not even the time tells.
"""

from __future__ import annotations

import base64
import secrets as random
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import Action, Actor, policy
from app.db.grants import AccessCode, AccessRequest, RequestOutcome
from app.db.people import Person
from app.db.recordings import Recording
from app.domain import audit, back_off, days, grants, mail, paging, secrets
from app.domain.paging import Page, Sorting
from app.errors import Invalid, TooManyRequests
from app.settings import Settings

CODE_LIFE = timedelta(days=30)
GRANTED_FOR = timedelta(days=90)
#: Tries of a person in an hour. A code has 75 bits, so this is about noise, not about guessing.
MOST_AN_HOUR = 10
MOST_CODES = 20
SAID = "If the code is right, the owner has been asked."
OLDEST = Sorting("oldest", "Oldest first", AccessRequest.created_at)


# -- codes ---------------------------------------------------------------------------------------------------------------


def make_code(session: Session, actor: Actor, recording: Recording) -> str:
    """A new code for a recording; the only time that it can be read. The caller has asked the policy.

    Raises:
        Invalid: there are many codes already.
    """
    if len(codes(session, recording)) >= MOST_CODES:
        raise Invalid(f"There are {MOST_CODES} codes already. Stop one that you do not need first.")
    letters = base64.b32encode(random.token_bytes(10)).decode()[:15]
    code = "-".join(letters[start : start + 5] for start in (0, 5, 10))
    now = clock.now()
    row = AccessCode(
        recording_id=recording.id,
        code_hash=secrets.digest(_letters(code)),
        created_by_id=actor.person_id,
        created_at=now,
        expires_at=now + CODE_LIFE,
    )
    session.add(row)
    session.flush()
    audit.record(session, actor, "code:create", "recording", recording.id, code=str(row.id))
    return code


def _letters(code: str) -> str:
    """A code as it is hashed: people type it in either case, with blanks or without its dashes."""
    return "".join(letter for letter in code.upper() if letter.isalnum())


def codes(session: Session, recording: Recording) -> list[AccessCode]:
    """The codes of a recording that work, the newest first."""
    query = select(AccessCode).where(
        AccessCode.recording_id == recording.id, AccessCode.revoked_at.is_(None), AccessCode.expires_at > clock.now()
    )
    return list(session.scalars(query.order_by(AccessCode.created_at.desc(), AccessCode.id)))


def find_code(session: Session, recording: Recording, code_id: uuid.UUID) -> AccessCode | None:
    """A code of this recording."""
    return session.scalar(select(AccessCode).where(AccessCode.id == code_id, AccessCode.recording_id == recording.id))


def revoke_code(session: Session, actor: Actor, code: AccessCode) -> None:
    """Stop a code. Doing it twice is doing it once."""
    if code.revoked_at is None:
        code.revoked_at = clock.now()
        audit.record(session, actor, "code:revoke", "recording", code.recording_id, code=str(code.id))


# -- asking --------------------------------------------------------------------------------------------------------------


def ask(session: Session, actor: Actor, code: str, reason: str) -> None:
    """Ask with a code to watch what it stands for. What comes of it is not told.

    Raises:
        Invalid: a field is empty or too long.
        TooManyRequests: more than ten tries in an hour.
    """
    if not code.strip() or not reason.strip():
        missing = {"code": "Enter the code"} if not code.strip() else {"reason": "Say why you ask"}
        raise Invalid(next(iter(missing.values())), fields=missing)
    if len(reason.strip()) > grants.MOST_REASON:
        sentence = f"The reason must be {grants.MOST_REASON} characters or fewer"
        raise Invalid(sentence, fields={"reason": sentence})
    now = clock.now()
    if not back_off.allows(session, back_off.key("ask", str(actor.person_id)), MOST_AN_HOUR, now):
        raise TooManyRequests("You have asked many times. Try again in an hour.", retry_after=3600)
    # one statement for any code: it writes a row or none
    fitting = select(
        literal(uuid.uuid4()),
        AccessCode.recording_id,
        literal(actor.person_id),
        AccessCode.id,
        literal(reason.strip()),
        literal(now),
        literal(""),
    ).where(
        AccessCode.code_hash == secrets.digest(_letters(code)),
        AccessCode.revoked_at.is_(None),
        AccessCode.expires_at > now,
    )
    columns = ["id", "recording_id", "person_id", "code_id", "reason", "created_at", "answer"]
    asked = session.scalar(
        insert(AccessRequest).from_select(columns, fitting).on_conflict_do_nothing().returning(AccessRequest.id)
    )
    audit.record(
        session, actor, "access:ask", "person", actor.person_id, request=str(asked) if asked is not None else ""
    )


@dataclass(frozen=True)
class Answered:
    """How a request of one's own ended. The recording is named only to those who may watch it now."""

    at: datetime
    granted: bool
    recording: Recording | None


def answered(session: Session, actor: Actor, limit: int = 10) -> list[Answered]:
    """The answers to the actor's own requests, the latest first. What has no answer is not told of: it would say that a
    code was right."""
    now = clock.now()
    rows = session.scalars(
        select(AccessRequest)
        .where(AccessRequest.person_id == actor.person_id, AccessRequest.decided_at.is_not(None))
        .order_by(AccessRequest.decided_at.desc(), AccessRequest.id)
        .limit(limit)
    ).all()
    ids = [row.recording_id for row in rows]
    query = policy.visible(actor, Action.RECORDING_VIEW, now).where(Recording.id.in_(ids))
    may_watch = {recording.id: recording for recording in session.scalars(query)}
    return [
        Answered(
            row.decided_at or now,
            row.outcome is RequestOutcome.GRANTED,
            may_watch.get(row.recording_id) if row.outcome is RequestOutcome.GRANTED else None,
        )
        for row in rows
    ]


# -- answering -----------------------------------------------------------------------------------------------------------


def listing(session: Session, actor: Actor, *, after: str = "", before: str = "") -> Page[AccessRequest]:
    """A page of the requests that the actor may answer, the oldest first.

    Raises:
        Invalid: the cursor was not made by this list.
    """
    query = policy.visible(actor, Action.REQUEST_ANSWER, clock.now()).options(
        joinedload(AccessRequest.recording),
        joinedload(AccessRequest.person).joinedload(Person.organisation),
    )
    return paging.read(session, query, AccessRequest, OLDEST, after=after, before=before)


def count(session: Session, actor: Actor) -> int:
    """How many requests wait for this actor."""
    waiting = policy.visible(actor, Action.REQUEST_ANSWER, clock.now()).with_only_columns(AccessRequest.id)
    return session.scalar(select(func.count()).select_from(waiting.subquery())) or 0


def default_until() -> date:
    """The last day that is suggested for an answer."""
    return days.today() + GRANTED_FOR


def grant(session: Session, settings: Settings, actor: Actor, request: AccessRequest, until_day: date | None) -> None:
    """Let the person who asked, and nobody else, watch the recording. The caller has asked the policy.

    Raises:
        Invalid: the day is not right.
    """
    given = grants.give(
        session, actor, request.recording, grants.Audience(person_id=request.person_id),
        until_day=until_day, reason=request.reason, asked=True,
    )  # fmt: skip
    request.grant_id = given.id
    _close(session, settings, actor, request, RequestOutcome.GRANTED)


def refuse(session: Session, settings: Settings, actor: Actor, request: AccessRequest, answer: str) -> None:
    """Say no, and why, for the record. The caller has asked the policy.

    Raises:
        Invalid: there is no answer, or it is too long.
    """
    if not 0 < len(answer.strip()) <= grants.MOST_REASON:
        sentence = (
            "Say why not. They are not shown this"
            if not answer.strip()
            else f"Your answer must be {grants.MOST_REASON} characters or fewer"
        )
        raise Invalid(sentence, fields={"answer": sentence})
    request.answer = answer.strip()
    _close(session, settings, actor, request, RequestOutcome.REFUSED)


def _close(session: Session, settings: Settings, actor: Actor, request: AccessRequest, outcome: RequestOutcome) -> None:
    request.outcome, request.decided_at, request.decided_by_id = outcome, clock.now(), actor.person_id
    granted = outcome is RequestOutcome.GRANTED
    audit.record(
        session, actor, "access:grant" if granted else "access:refuse", "recording", request.recording_id,
        reason=request.answer, request=str(request.id), person=str(request.person_id),
    )  # fmt: skip
    mail.post(
        session, settings, kind="request-answered", address=request.person.email, path="/ask",
        person_id=request.person_id,
    )  # fmt: skip


def tell(session: Session, settings: Settings) -> int:
    """Tell owners, in one e-mail each, how many requests wait for them. Returns how many e-mails were written."""
    now = clock.now()
    fresh = session.scalars(
        select(AccessRequest)
        .where(AccessRequest.outcome.is_(None), AccessRequest.told_at.is_(None))
        .with_for_update(skip_locked=True)
    ).all()
    waiting: dict[uuid.UUID, int] = {}
    for request in fresh:
        request.told_at = now
        recording = session.get_one(Recording, request.recording_id)
        code = session.get(AccessCode, request.code_id) if request.code_id is not None else None
        for person_id in {recording.owner_id, code.created_by_id if code is not None else None}:
            if person_id is not None:
                waiting[person_id] = waiting.get(person_id, 0) + 1
    people = select(Person).where(Person.id.in_(waiting), Person.suspended_at.is_(None), Person.left_at.is_(None))
    written = 0
    for person in session.scalars(people):
        written += mail.post(
            session, settings, kind="requests-waiting", address=person.email, path="/requests", person_id=person.id,
            count=waiting[person.id],
        )  # fmt: skip
    return written
