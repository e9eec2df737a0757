"""Secrets that are sealed open with the same key and purpose only."""

from __future__ import annotations

import pytest

from app.domain import secrets
from app.errors import Misconfigured

KEY, OTHER = "one key of the settings, long enough", "another key of settings, long enough"


def test_what_was_sealed_opens_again() -> None:
    sealed = secrets.seal(KEY, "mail", b"a link")
    assert b"link" not in sealed
    assert secrets.unseal(KEY, "mail", sealed) == b"a link"
    assert secrets.seal(KEY, "mail", b"a link") != sealed, "the same words sealed twice look different"


def test_it_opens_for_nobody_else() -> None:
    sealed = secrets.seal(KEY, "mail", b"a link")
    changed = sealed[:-5] + (b"AAAAA" if sealed[-5:] != b"AAAAA" else b"BBBBB")
    for key, purpose, box in ((OTHER, "mail", sealed), (KEY, "totp", sealed), (KEY, "mail", changed)):
        with pytest.raises(Misconfigured):
            secrets.unseal(key, purpose, box)
