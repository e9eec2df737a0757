"""Passwords: hashed with argon2id.

Cost: 19 MiB of memory, 2 passes, 1 lane, the least that OWASP's password storage guidance accepts for argon2id; the
library's default costs about fourteen times as much (docs/decisions/0002). The back-off on failures, not the cost of
one hash, is what stops guessing online.
"""

from __future__ import annotations

import argon2

from app.errors import Invalid

MIN_LENGTH = 12
MAX_LENGTH = 200
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: verified when there is no such account, so that both answers take the same time
_NOBODY = _hasher.hash("nobody has this password")
COMMON = frozenset({"password1234", "passwordpassword", "123456789012", "qwertyuiopas", "letmeinletmein"})


def check(password: str) -> None:
    """Refuse a password that is easy to guess.

    Raises:
        Invalid: with a sentence for the field `password`.
    """
    sentence = ""
    if len(password) < MIN_LENGTH:
        sentence = f"Password must be {MIN_LENGTH} characters or more"
    elif len(password) > MAX_LENGTH:
        sentence = f"Password must be {MAX_LENGTH} characters or fewer"
    elif password.lower() in COMMON or len(set(password)) < 4:
        sentence = "Choose a password that is harder to guess"
    if sentence:
        raise Invalid(sentence, fields={"password": sentence})


def hashed(password: str) -> str:
    """The argon2id hash of a password, with its salt and cost."""
    return _hasher.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is right; takes as long when there is nothing to compare with."""
    try:
        right = _hasher.verify(stored or _NOBODY, password[: MAX_LENGTH + 1])
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
    return right and stored is not None


def outdated(stored: str) -> bool:
    """Whether the hash was made at another cost and should be renewed at the next sign-in."""
    return _hasher.check_needs_rehash(stored)
