"""A real mail server on loopback that keeps what it is given: aiosmtpd, in a thread of its own."""

from __future__ import annotations

import email
import email.policy
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from app.settings import Settings

USER, PASSWORD = "vignette", "a pass/word"
FROM = "vignette@trust.example"


@dataclass
class Postbox:
    """What arrived. `answers` are said to the next mails in place of "accepted"."""

    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    signed_in: list[bytes] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail, or say what was asked for."""
        if self.answers:
            return self.answers.pop(0)
        self.letters.append(cast(EmailMessage, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 accepted"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Let one user in."""
        right = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
        if right:
            self.signed_in.append(data.login)
        return AuthResult(success=right, handled=False)

    def text(self, n: int = -1) -> str:
        """The words of a mail."""
        return cast(str, self.letters[n].get_content()).replace("\r\n", "\n")

    def settings(self, settings: Settings, url: str = "smtp://127.0.0.1:{port}") -> Settings:
        """The same settings with this server."""
        return replace(settings, smtp_url=url.format(port=self.port), mail_from=FROM)


class _Controller(Controller):
    """Takes a free port, which aiosmtpd's own looks for at the port that it was given."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def postbox(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, asks: bool = False
) -> Iterator[Postbox]:
    """A running mail server.

    Args:
        tls: speak TLS from the first byte.
        starttls: ask for TLS before anything else.
        asks: ask for user and password.
    """
    box = Postbox()
    options: dict[str, Any] = {"authenticator": box.authenticate, "auth_required": True} if asks else {}
    if asks and starttls is None:
        options["auth_require_tls"] = False
    if starttls is not None:
        options |= {"tls_context": starttls, "require_starttls": True}
    controller = _Controller(box, hostname="127.0.0.1", port=0, ssl_context=tls, **options)
    controller.start()
    try:
        box.port = controller.port
        yield box
    finally:
        controller.stop()
