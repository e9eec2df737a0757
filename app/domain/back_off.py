"""Back-off: who fails again and again waits longer and longer. Counted in the database, so that all web processes agree.

What is counted is named by a hash: the table tells nobody whose sign-in failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.db.sign_in import LoginFailure
from app.errors import TooManyRequests

FREE_FAILURES = 5
LONGEST_WAIT = timedelta(minutes=15)
FORGET_AFTER = timedelta(hours=1)


def key(kind: str, value: str) -> str:
    """What failures of one e-mail address, network address or person are counted under."""
    return hashlib.sha256(f"{kind}:{value.strip().lower()}".encode()).hexdigest()


def wait_after(failures: int) -> timedelta:
    """How long to wait after this many failures in a row: none for five, then 2, 4, 8 ... seconds."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(LONGEST_WAIT, timedelta(seconds=2 ** min(failures - FREE_FAILURES + 1, 10)))


def check(session: Session, keys: Sequence[str], now: datetime) -> None:
    """Stop who must still wait.

    Raises:
        TooManyRequests: with the seconds that are left.
    """
    for failure in session.scalars(select(LoginFailure).where(LoginFailure.key_hash.in_(keys))):
        until = failure.last_at + wait_after(failure.count)
        if until > now:
            seconds = max(1, round((until - now).total_seconds()))
            raise TooManyRequests(f"Too many tries. Wait {seconds} seconds and try again.", retry_after=seconds)


def count(session: Session, keys: Sequence[str], now: datetime) -> None:
    """Count one more failure under each key. The caller commits, so that the error that follows cannot undo it."""
    for one in keys:
        statement = insert(LoginFailure).values(key_hash=one, count=1, last_at=now)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[LoginFailure.key_hash],
                set_={
                    "count": func.least(
                        1000,
                        func.coalesce(
                            select(LoginFailure.count + 1)
                            .where(LoginFailure.key_hash == one, LoginFailure.last_at > now - FORGET_AFTER)
                            .scalar_subquery(),
                            1,
                        ),
                    ),
                    "last_at": now,
                },
            )
        )


def forget(session: Session, keys: Sequence[str]) -> None:
    """Start counting anew, after a success."""
    session.execute(delete(LoginFailure).where(LoginFailure.key_hash.in_(keys)))


def allows(session: Session, one: str, most: int, now: datetime) -> bool:
    """Count one more under a key and say whether it is among the first `most` of its hour. What is over the limit does
    not lengthen the hour, so nobody can keep another out for good."""
    over = LoginFailure.last_at <= now - FORGET_AFTER
    statement = insert(LoginFailure).values(key_hash=one, count=1, last_at=now)
    counted = session.scalar(
        statement.on_conflict_do_update(
            index_elements=[LoginFailure.key_hash],
            set_={
                "count": case((over, 1), else_=func.least(1000, LoginFailure.count + 1)),
                "last_at": case((over, now), else_=LoginFailure.last_at),
            },
        ).returning(LoginFailure.count)
    )
    return counted is not None and counted <= most
