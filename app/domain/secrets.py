"""Random secrets that are handed out once and kept as SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets


def new() -> str:
    """256 random bits, safe in addresses and headers."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is stored in place of the secret. The secret is random, so a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).hexdigest()
