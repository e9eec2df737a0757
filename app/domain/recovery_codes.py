"""Recovery codes: for the day on which the second factor is lost. Ten at a time, shown once, each works once."""

from __future__ import annotations

import base64
import secrets as random
import uuid

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.db.sign_in import RecoveryCode
from app.domain import audit, secrets

HOW_MANY = 10
#: 16 letters of base32: 80 random bits, too many to search for behind a plain hash
LENGTH = 16


def make(session: Session, actor: Actor, person_id: uuid.UUID) -> list[str]:
    """Ten new codes in place of any older ones; the only time that they can be read."""
    drop(session, person_id)
    codes = [_new() for _ in range(HOW_MANY)]
    session.add_all(RecoveryCode(person_id=person_id, code_hash=secrets.digest(plain(code))) for code in codes)
    audit.record(session, actor, "recovery:create", "person", person_id, codes=len(codes))
    return codes


def take(session: Session, person_id: uuid.UUID, typed: str) -> bool:
    """Use a code up; of two requests at once, one wins. Spaces, dashes and case do not matter."""
    used = session.scalar(
        update(RecoveryCode)
        .where(
            RecoveryCode.person_id == person_id,
            RecoveryCode.code_hash == secrets.digest(plain(typed)),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=clock.now())
        .returning(RecoveryCode.id)
    )
    return used is not None


def left(session: Session, person_id: uuid.UUID) -> int:
    """How many still work."""
    query = select(func.count()).where(RecoveryCode.person_id == person_id, RecoveryCode.used_at.is_(None))
    return session.scalar(query) or 0


def drop(session: Session, person_id: uuid.UUID) -> None:
    """Remove all codes of a person."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person_id))


def plain(typed: str) -> str:
    """A code as it is hashed."""
    return "".join(typed.split()).replace("-", "").lower()


def _new() -> str:
    letters = base64.b32encode(random.token_bytes(LENGTH * 5 // 8)).decode().lower()
    return "-".join(letters[start : start + 4] for start in range(0, LENGTH, 4))
