"""E-mail: written in the transaction of the act, sent by a worker, so that no mail goes out for an act that did not happen.

A mail holds fixed words, numbers and one link into this site; what it is about is behind the link, where the policy
decides who sees it. No title, name or sentence of anybody can get into one: `post` has no place for it. The words of
each kind stand in templates/mail/<kind>.txt. Links begin with PUBLIC_URL, never with what a request says its host is.

What waits is sealed and is emptied once it is sent, because a link can sign somebody in.
"""

from __future__ import annotations

import string
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from app import clock
from app.db.mails import Mail
from app.domain import secrets
from app.settings import Settings

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates" / "mail"
PURPOSE = "mail"
LIFE = timedelta(days=2)
#: After a failure the next try waits this long, then twice as long each time, up to `LONGEST_WAIT`.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=30)
#: How long it is kept that a mail went out (not what it said).
KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Words:
    """Subject and plain text of a mail."""

    subject: str
    text: str


def is_set_up(settings: Settings) -> bool:
    """Whether this instance can send mail. Where it cannot, pages say so and admins hand links over themselves."""
    return bool(settings.smtp_url)


def render(settings: Settings, kind: str, path: str, **numbers: int) -> Words:
    """The words of a mail: those of its kind, with the link put in.

    Args:
        kind: the name of a file in templates/mail.
        path: what the link leads to, from "/" on.
        numbers: what else the template names.
    Raises:
        ValueError: a template without a subject, or a path that is none.
        KeyError: the template names something that was not given.
    """
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("a mail links to a path of this site")
    head, _, text = (TEMPLATES / f"{kind}.txt").read_text().partition("\n\n")
    if not head.startswith("Subject: ") or "\n" in head:
        raise ValueError(f"templates/mail/{kind}.txt must begin with one line 'Subject: ...' and an empty one")
    values = {name: str(int(number)) for name, number in numbers.items()}
    filled = string.Template(text).substitute(values, link=settings.base_url + path)
    return Words(string.Template(head.removeprefix("Subject: ")).substitute(values), filled)


def post(
    session: Session,
    settings: Settings,
    *,
    kind: str,
    address: str,
    path: str,
    person_id: uuid.UUID | None = None,
    life: timedelta = LIFE,
    **numbers: int,
) -> bool:
    """Put a mail into the post, in the session's transaction. False: this instance sends no mail, and nothing is kept.

    Args:
        life: how long it is worth sending; afterwards it is dropped.
    """
    words = render(settings, kind, path, **numbers)
    if not is_set_up(settings):
        return False
    put(session, settings, kind, address, words.subject, words.text, person_id, life)
    return True


def put(
    session: Session,
    settings: Settings,
    kind: str,
    address: str,
    subject: str,
    body: str,
    person_id: uuid.UUID | None,
    life: timedelta,
) -> None:
    """Write the row of a mail; its body is sealed."""
    now = clock.now()
    session.add(
        Mail(
            person_id=person_id,
            address=address,
            kind=kind,
            subject=subject,
            body=secrets.seal(settings.secret_key, PURPOSE, body.encode()),
            created_at=now,
            next_try_at=now,
            not_after=now + life,
        )
    )
    session.flush()


def body_of(settings: Settings, mail: Mail) -> str:
    """What a waiting mail holds, in clear.

    Raises:
        Misconfigured: it was written under another SECRET_KEY.
    """
    return secrets.unseal(settings.secret_key, PURPOSE, mail.body or b"").decode()


def withdraw(session: Session, person_id: uuid.UUID, kind: str) -> None:
    """Take back what of this kind has not been sent to a person yet."""
    session.execute(delete(Mail).where(Mail.person_id == person_id, Mail.kind == kind, Mail.sent_at.is_(None)))


# -- for the worker that sends -------------------------------------------------------------------------------------------


def claim(session: Session) -> Mail | None:
    """The next mail that is due, for this worker alone: others pass it by until its next try. The caller commits before
    it sends; a worker that dies in between costs a wait, never the mail."""
    now = clock.now()
    mail = session.scalar(
        select(Mail)
        .where(
            Mail.sent_at.is_(None),
            Mail.failed_at.is_(None),
            Mail.body.is_not(None),
            Mail.next_try_at <= now,
            Mail.not_after > now,
        )
        .order_by(Mail.next_try_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if mail is not None:
        mail.tries += 1
        mail.next_try_at = now + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(mail.tries - 1, 10))
        session.flush()
    return mail


def sent(session: Session, mail_id: uuid.UUID) -> None:
    """It went out: only that is kept, and not what it said."""
    session.execute(update(Mail).where(Mail.id == mail_id).values(sent_at=clock.now(), body=None))


def failed(session: Session, mail_id: uuid.UUID) -> None:
    """It will never go out."""
    session.execute(update(Mail).where(Mail.id == mail_id).values(failed_at=clock.now(), body=None))


def sweep(session: Session) -> int:
    """Give up what is not worth sending any more, and forget what is old. Returns how many were given up."""
    now = clock.now()
    given_up: Sequence[uuid.UUID] = session.scalars(
        update(Mail)
        .where(Mail.sent_at.is_(None), Mail.failed_at.is_(None), Mail.not_after <= now)
        .values(failed_at=now, body=None)
        .returning(Mail.id)
    ).all()
    session.execute(delete(Mail).where(Mail.created_at < now - KEPT, or_(Mail.sent_at < now, Mail.failed_at < now)))
    return len(given_up)


def last_to(session: Session, person_id: uuid.UUID, kind: str) -> tuple[datetime, bool, bool] | None:
    """When the last mail of a kind to a person was written, whether it was sent, and whether it failed."""
    row = session.execute(
        select(Mail.created_at, Mail.sent_at, Mail.failed_at)
        .where(Mail.person_id == person_id, Mail.kind == kind)
        .order_by(Mail.created_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row[0], row[1] is not None, row[2] is not None)
