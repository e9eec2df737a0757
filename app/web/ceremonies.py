"""Between a passkey's two halves: the challenge is kept in the browser's session on the server, and works once."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from app import clock
from app.domain import passkeys
from app.domain.passkeys import RelyingParty
from app.errors import Invalid
from app.web import guard, proofs

LIFE = timedelta(minutes=5)
_NAME = "passkey"


def party() -> RelyingParty | None:
    """Whom passkeys are for here; None where browsers offer none."""
    return passkeys.relying_party(guard.core().settings.base_url)


def keep_challenge(purpose: str, challenge: bytes) -> None:
    """Keep the challenge of a ceremony ("add" or "prove"), in place of any other."""
    proofs.browser_session()[_NAME] = {
        "purpose": purpose,
        "challenge": base64.b64encode(challenge).decode(),
        "until": (clock.now() + LIFE).isoformat(),
    }


def take_challenge(purpose: str) -> bytes:
    """The challenge that was kept; it is gone then, whatever the answer to it is worth.

    Raises:
        Invalid: there is none for this purpose, or it is too old.
    """
    kept = proofs.browser_session().pop(_NAME, None)
    if kept is None or kept["purpose"] != purpose or datetime.fromisoformat(kept["until"]) <= clock.now():
        raise Invalid(passkeys.REFUSED, fields={"credential": passkeys.REFUSED})
    return base64.b64decode(kept["challenge"])
