"""Sending mail: what waits in `mails` is handed to the mail server of the settings.

A mail is claimed for one worker, in a transaction that ends before anything is sent, and marked as sent in another.
A worker that is killed while it sends leaves the claim to run out, and the mail is sent again. Only one killed between
the server's "accepted" and the mark sends it twice: rather twice than never. Both then carry the same Message-ID, by
which mail programs drop the second, and a link works once however often it was sent.

Logs name the kind and the result; never an address, a subject or a link.
"""

from __future__ import annotations

import logging
import smtplib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from app import clock, logs, smtp
from app.core import Core
from app.db.mails import Mail
from app.domain import mail, mailed_links
from app.errors import Misconfigured, Unavailable

log = logging.getLogger(__name__)

#: Mails sent in one go, so that a worker that is told to end does so within seconds.
MOST = 50


@dataclass(frozen=True)
class _Letter:
    """A claimed mail, ready to send."""

    id: uuid.UUID
    kind: str
    address: str
    message: EmailMessage


def send_due(core: Core, stopping: Callable[[], bool] = lambda: False) -> int:
    """Send what is due. Returns how many went out.

    Raises:
        Unavailable: the mail server does not answer; what waits is tried again later.
    """
    if not mail.is_set_up(core.settings):
        return 0
    count = 0
    server: smtplib.SMTP | None = None
    try:
        for _ in range(MOST):
            letter = None if stopping() else _next(core)
            if letter is None:
                break
            if server is None:
                server = _connect(core)
            count += _send(core, server, letter)
    finally:
        if server is not None:
            _leave(server)
    with core.session() as session:
        if given_up := mail.sweep(session):
            logs.event(log, "mails given up", logging.WARNING, count=given_up)
    return count


def _next(core: Core) -> _Letter | None:
    """Claim the next mail that can be sent; what names nobody or cannot be read is dropped on the way."""
    while True:
        with core.session() as session:
            waiting = mail.claim(session)
            if waiting is None:
                return None
            try:
                words = mailed_links.compose(session, core.settings, waiting)
                if words is None:
                    session.delete(waiting)
                    continue
                return _Letter(waiting.id, waiting.kind, waiting.address, _message(core, waiting, words))
            except (Misconfigured, ValueError, HeaderParseError, IndexError) as error:
                # another SECRET_KEY, or an address that the standard library cannot take apart
                mail.failed(session, waiting.id)
                logs.event(log, "mail not sent", logging.WARNING, action=waiting.kind, code=type(error).__name__)


def _message(core: Core, waiting: Mail, words: mail.Words) -> EmailMessage:
    message = EmailMessage()
    message["From"] = core.settings.mail_from
    message["To"] = Address(addr_spec=waiting.address)
    message["Subject"] = words.subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{waiting.id}@{core.settings.mail_from.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(words.text)
    return message


def _connect(core: Core) -> smtplib.SMTP:
    try:
        return smtp.parse(core.settings.smtp_url).connect()
    except (OSError, smtplib.SMTPException) as error:
        logs.event(log, "the mail server is away", logging.WARNING, code=type(error).__name__)
        raise Unavailable("The mail server does not answer.") from error


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException) as error:  # what it accepted before stays accepted
        logs.event(log, "the mail server hung up", code=type(error).__name__)
        server.close()


def _send(core: Core, server: smtplib.SMTP, letter: _Letter) -> bool:
    """Hand one mail over. What the server refuses for good is not tried again."""
    try:
        server.send_message(letter.message, to_addrs=[letter.address])
    except smtplib.SMTPServerDisconnected as error:
        logs.event(log, "the mail server is away", logging.WARNING, code=type(error).__name__)
        raise Unavailable("The mail server went away.") from error
    except (smtplib.SMTPException, OSError) as error:
        final = _is_final(error)
        logs.event(log, "mail not sent", logging.WARNING, action=letter.kind, code=type(error).__name__)
        if final:
            with core.session() as session:
                mail.failed(session, letter.id)
        if isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException):
            raise Unavailable("The mail server went away.") from error
        return False
    with core.session() as session:
        mail.sent(session, letter.id)
    logs.event(log, "mail sent", action=letter.kind)
    return True


def _is_final(error: Exception) -> bool:
    """Whether the server said no for good: codes from 500 on (RFC 5321, 4.2.1), or an address that it cannot carry."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError)
