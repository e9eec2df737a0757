"""Verifying the audit: that no event was changed, removed, put in between or moved since it was written.

Each link of the chain is the SHA-256 of the link before it and of its event. Whoever can change the database as its
owner could also write the whole chain anew; what they cannot change is a seal (number and hash of a link) that was kept
elsewhere. `verify(expect=seal)` shows whether the chain of that day is the beginning of today's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.db.audit import AuditLink
from app.errors import Invalid

#: Links that one query looks at: what a verification holds in memory does not grow with the chain.
BLOCK = 10_000

_FIRST_WRONG = text("""
    SELECT number, coalesce(before, :last_number) AS before,
      CASE
        WHEN number <> coalesce(before, :last_number) + 1 THEN 'gap'
        WHEN event IS NULL THEN 'event'
        ELSE 'hash'
      END AS what
    FROM (
      SELECT c.number, c.hash, e AS event,
        lag(c.number) OVER w AS before, coalesce(lag(c.hash) OVER w, :last_hash) AS hash_before
      FROM (SELECT * FROM audit_chain WHERE number > :after ORDER BY number LIMIT :block) c
      LEFT JOIN audit_events e ON e.id = c.event_id
      WINDOW w AS (ORDER BY c.number)
    ) links
    WHERE number <> coalesce(before, :last_number) + 1 OR event IS NULL OR hash <> audit_hash(hash_before, event)
    ORDER BY number LIMIT 1
""")
_LAST_OF_BLOCK = text("""
    SELECT number, hash FROM (SELECT number, hash FROM audit_chain WHERE number > :after ORDER BY number LIMIT :block) c
    ORDER BY number DESC LIMIT 1
""")
_MISSING = text("""
    SELECT count(*), min(e.id) FROM audit_events e
    WHERE NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.event_id = e.id)
""")
_REASONS = {
    "gap": "the link before it is missing",
    "event": "its event is missing",
    "hash": "its event, or a link before it, is not as it was written",
}


@dataclass(frozen=True)
class Verdict:
    """What a verification found. `links` is how many were right from the start on; `seal` is NUMBER:HEX of the last of
    these, to keep elsewhere. `broken_at` is the number of the first wrong link, and `why` says how."""

    ok: bool
    links: int
    seal: str
    broken_at: int | None = None
    why: str = ""
    #: events that no link names, and the number of the first of them
    missing: int = 0
    first_missing: int | None = None
    #: whether a chain that was kept earlier is the beginning of this one; None: not asked
    expected: bool | None = None

    @property
    def sentences(self) -> list[str]:
        """The verdict for people."""
        told = []
        if self.broken_at is not None:
            told.append(f"The chain is broken at link {self.broken_at}: {self.why}.")
        if self.missing:
            told.append(f"{self.missing} events are missing from the chain, the first is event {self.first_missing}.")
        if self.expected is False:
            told.append("The chain that was kept earlier is not the beginning of this one.")
        if not told:
            told.append(f"The audit is whole: {self.links} events, each chained to the one before.")
            if self.expected:
                told.append("It begins with the chain that was kept earlier.")
        return [*told, f"Seal to keep elsewhere: {self.seal}"] if self.seal and self.ok else told


def verify(session: Session, expect: str = "", *, block: int = BLOCK) -> Verdict:
    """Recompute the whole chain, in the database, block by block.

    Args:
        expect: a seal, NUMBER:HEX, of an earlier verification.
    Raises:
        Invalid: `expect` is no seal.
    """
    wanted = _read_seal(expect) if expect else None
    number, last = 0, b""
    wrong: Any = None
    while wrong is None:
        values = {"after": number, "block": block, "last_number": number, "last_hash": last}
        wrong = session.execute(_FIRST_WRONG, values).one_or_none()
        if wrong is None:
            end = session.execute(_LAST_OF_BLOCK, {"after": number, "block": block}).one_or_none()
            if end is None:
                break
            number, last = end.number, bytes(end.hash)
    if wrong is not None:
        number = wrong.before
        found = session.scalar(select(AuditLink.hash).where(AuditLink.number == number))
        last = bytes(found) if found is not None else b""
    missing, first_missing = session.execute(_MISSING).one()
    expected = None
    if wanted is not None:
        kept = session.scalar(select(AuditLink.hash).where(AuditLink.number == wanted[0]))
        # only links that are right themselves can vouch for anything
        expected = kept is not None and bytes(kept) == wanted[1] and (wrong is None or wanted[0] < wrong.number)
    return Verdict(
        ok=wrong is None and not missing and expected is not False,
        links=number,
        seal=f"{number}:{last.hex()}" if last else "",
        broken_at=wrong.number if wrong is not None else None,
        why=_REASONS[wrong.what] if wrong is not None else "",
        missing=missing,
        first_missing=first_missing,
        expected=expected,
    )


def _read_seal(seal: str) -> tuple[int, bytes]:
    found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", seal.strip().lower())
    if found is None:
        raise Invalid("A seal looks like 1234:ab12..., a number, a colon and 64 hexadecimal digits.")
    return int(found[1]), bytes.fromhex(found[2])
