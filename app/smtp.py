"""The mail server as the setting SMTP_URL names it.

    smtp+starttls://user:password@mail.example.org:587     TLS from the start of the talk on (RFC 3207); the usual one
    smtps://user:password@mail.example.org:465             TLS from the first byte (RFC 8314)
    smtp://127.0.0.1:25                                    no TLS: for a relay on the same machine

User and password are percent-encoded where they hold characters of an address.
"""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from app.errors import Misconfigured

Scheme = Literal["smtp", "smtps", "smtp+starttls"]
PORTS: dict[str, int] = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
TIMEOUT_SECONDS = 20.0
_HERE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Server:
    """Where mail is handed in."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    def connect(self) -> smtplib.SMTP:
        """An open, encrypted and authenticated connection. Certificates are checked.

        Raises:
            OSError, smtplib.SMTPException: the server is away, is not who it should be, or knows us not.
        """
        if self.scheme == "smtps":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            if self.scheme == "smtp+starttls":
                smtp.starttls(context=ssl.create_default_context())
            if self.user:
                smtp.login(self.user, self.password)
        except (OSError, smtplib.SMTPException):
            smtp.close()
            raise
        return smtp


def parse(url: str) -> Server:
    """The server of an address.

    Raises:
        Misconfigured: the address cannot be used, or would send a password in clear over a network.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in get_args(Scheme) or not parts.hostname or not port:
        raise Misconfigured(
            "VIGNETTE_SMTP_URL must look like smtp+starttls://user:password@host:587, smtps://user:password@host:465 "
            "or smtp://host:25."
        )
    server = Server(parts.scheme, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))
    if server.user and server.scheme == "smtp" and server.host not in _HERE:
        raise Misconfigured(
            "VIGNETTE_SMTP_URL would send the password in clear. Use smtp+starttls:// or smtps:// with a password."
        )
    return server
