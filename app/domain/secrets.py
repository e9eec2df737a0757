"""Random secrets that are handed out once and kept as SHA-256 only, and secrets that must be read again, kept sealed.

What is sealed is encrypted with Fernet (AES-128-CBC with HMAC-SHA256) under a key that HKDF (RFC 5869) derives from
SECRET_KEY and a purpose: who reads the database or a backup without the settings can read none of it, and what was
sealed for one purpose opens for no other.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import secrets

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import Misconfigured


def new() -> str:
    """256 random bits, safe in addresses and headers."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is stored in place of the secret. The secret is random, so a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).hexdigest()


def seal(secret_key: str, purpose: str, plain: bytes) -> bytes:
    """Encrypt what only this instance may read again.

    Args:
        secret_key: the setting SECRET_KEY.
        purpose: a word for what it is ("mail", "totp"); it opens with the same word only.
    """
    return _box(secret_key, purpose).encrypt(plain)


def unseal(secret_key: str, purpose: str, sealed: bytes) -> bytes:
    """What was sealed.

    Raises:
        Misconfigured: it was sealed under another SECRET_KEY or for another purpose, or it was changed.
    """
    try:
        return _box(secret_key, purpose).decrypt(sealed)
    except InvalidToken:
        raise Misconfigured(
            f"A secret in the database ({purpose}) does not open: VIGNETTE_SECRET_KEY is not the one that it was "
            "written with. Put the old key back, or make the secret anew."
        ) from None


@functools.lru_cache(maxsize=16)
def _box(secret_key: str, purpose: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=f"vignette/seal/{purpose}".encode()).derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(key))
