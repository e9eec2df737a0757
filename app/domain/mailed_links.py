"""Links that people ask for themselves: to sign in, and to choose a new password.

Asking writes one row, the same for every address: whether there is an account is looked up only by the worker that
sends. So an answer can tell nothing by its words, its status or its time, and a link that signs somebody in is kept
nowhere but in the mail itself.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM
from app.db.mails import Mail
from app.db.people import Person
from app.db.sign_in import LinkPurpose
from app.domain import audit, back_off, mail, people, sign_in
from app.settings import Settings

LIFE = timedelta(minutes=15)
SIGN_IN, RESET = "sign-in", "reset-password"
PURPOSES = {SIGN_IN: LinkPurpose.SIGN_IN, RESET: LinkPurpose.SET_PASSWORD}
#: What each link leads to. The worker that writes the mails knows no routes; a test compares both.
PATHS = {
    LinkPurpose.SIGN_IN: "/sign-in/link/",
    LinkPurpose.SET_PASSWORD: "/set-password/",
    LinkPurpose.INVITATION: "/invitation/",
}
#: Requests in an hour, for one e-mail address and from one network address. What is over that is silently not written.
MOST_FOR_ADDRESS, MOST_FROM_NETWORK = 5, 50


def path(purpose: LinkPurpose, secret: str) -> str:
    """What a link of ours leads to, from "/" on."""
    return PATHS[purpose] + secret


def ask(session: Session, settings: Settings, kind: str, email: str, network_address: str, target: str = "/") -> None:
    """Somebody asks for a link by mail. What happens is the same whether or not anybody has this address.

    Args:
        kind: `SIGN_IN` or `RESET`.
        target: where to go after signing in: a path of this site.
    Raises:
        Invalid: it does not look like an e-mail address at all.
    """
    email = people.check_email(email)
    now = clock.now()
    free = back_off.allows(session, back_off.key(f"{kind}-link", email), MOST_FOR_ADDRESS, now)
    free &= back_off.allows(session, back_off.key("link-from", network_address), MOST_FROM_NETWORK, now)
    if free and mail.is_set_up(settings):
        subject = mail.render(settings, kind, "/").subject
        mail.put(session, settings, kind, email, subject, target, None, LIFE)


def compose(session: Session, settings: Settings, waiting: Mail) -> mail.Words | None:
    """The words of a mail that is about to be sent. None: it was asked for by somebody without an account."""
    body = mail.body_of(settings, waiting)
    if waiting.kind not in PURPOSES:
        return mail.Words(waiting.subject, body)
    person = people.by_email(session, waiting.address)
    if person is None or not usable(person):
        return None
    purpose = PURPOSES[waiting.kind]
    secret = sign_in.make_link(session, purpose, LIFE, person_id=person.id)
    audit.record(session, SYSTEM, "link:mail", "person", person.id, kind=waiting.kind)
    to = path(purpose, secret)
    if waiting.kind == SIGN_IN and body != "/":
        to += f"?next={quote(body, safe='/')}"
    return mail.render(settings, waiting.kind, to)


def usable(person: Person) -> bool:
    """Whether a link lets this person in at all."""
    return person.suspended_at is None and person.left_at is None
