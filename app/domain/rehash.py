"""The scheduled reading of stored objects: each is read whole about every so many days and compared with its SHA-256.

A little at a time, the longest unread first. How far it is stands in the rows themselves (`artefacts.verified_at`), so a
worker that ends in the middle is gone on from. What is wrong is kept in `fixity_findings`, looked at again every day, and
taken off when it is right again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM
from app.db.fixity import FindingKind, FixityFinding
from app.db.recordings import Artefact
from app.db.runs import Run
from app.domain import audit, fixity
from app.domain.runs import UNFINISHED
from app.errors import NotFound, Unavailable
from app.pipeline.workflows import ERASE
from app.storage.s3 import Storage

#: What is wrong is read again after this long.
AGAIN = timedelta(days=1)
MOST_AGAIN = 20
#: A pass reads so many times what it would have to for all objects to be read in time: time in which no worker runs is
#: caught up with.
HASTE = 2
_LOCK = 713709


@dataclass(frozen=True)
class Item:
    """One object to be read. `sha256` is empty where the row does not know it yet."""

    key: str
    sha256: str
    size: int
    recording_id: uuid.UUID
    what: str


@dataclass
class Pass:
    """What one pass did: objects and bytes read, and what it found wrong that was not known to be."""

    objects: int = 0
    bytes: int = 0
    found: list[tuple[FindingKind, Item]] = field(default_factory=list)


class _StoppedError(Exception):
    """The worker is to end."""


def read_some(
    sessions: fixity.Sessions,
    storage: Storage,
    *,
    days: int,
    every_seconds: float,
    stopping: Callable[[], bool] = lambda: False,
) -> Pass:
    """Read what has gone unread for longest, as much as one of the passes that come `every_seconds` has to. Returns at
    once where another process is at it.

    Args:
        days: how long an object may go unread; 0 reads nothing.

    Raises:
        Unavailable: storage does not answer. What was read stays read.
    """
    done = Pass()
    if not days:
        return done
    with sessions() as guard:
        if not guard.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
            return done
        with sessions() as session:
            _forget_gone(session)
            again = _wrong(session)
            total = session.scalar(select(func.sum(Artefact.size))) or 0
        share = int(total) * HASTE * every_seconds / (days * 86400)
        try:
            for item in again:
                _read(sessions, storage, item, done, stopping)
            while done.bytes <= share and (item_ := _next(sessions, days)) is not None:
                _read(sessions, storage, item_, done, stopping)
        except _StoppedError:
            pass  # the rows know how far it came
    return done


def _items(session: Session, *conditions: object, limit: int) -> Sequence[Item]:
    erasing = select(Run.recording_id).where(Run.workflow == ERASE.name, Run.state.in_(UNFINISHED))
    query = (
        select(Artefact)
        .where(Artefact.recording_id.not_in(erasing), *conditions)  # type: ignore[arg-type]
        .order_by(_last_read(), Artefact.id)
        .limit(limit)
    )
    return [
        Item(row.key, row.sha256, row.size, row.recording_id, f"{row.kind.value} {row.name}".strip())
        for row in session.scalars(query)
    ]


def _last_read() -> ColumnElement[datetime]:
    """When an object was read last: while it was stored, or since. NULLs are not the greatest."""
    return func.greatest(Artefact.created_at, Artefact.verified_at, type_=Artefact.created_at.type)


def _next(sessions: fixity.Sessions, days: int) -> Item | None:
    with sessions() as session:
        due = _last_read() < clock.now() - timedelta(days=days)
        return next(iter(_items(session, due, limit=1)), None)


def _wrong(session: Session) -> Sequence[Item]:
    old = select(FixityFinding.key).where(FixityFinding.seen_at < clock.now() - AGAIN)
    return _items(session, Artefact.key.in_(old), limit=MOST_AGAIN)


def _forget_gone(session: Session) -> None:
    """Findings of objects that no row names any more."""
    session.execute(delete(FixityFinding).where(FixityFinding.key.not_in(select(Artefact.key))))


def _read(sessions: fixity.Sessions, storage: Storage, item: Item, done: Pass, stopping: Callable[[], bool]) -> None:
    if stopping():
        raise _StoppedError

    def check() -> None:
        if stopping():
            raise _StoppedError

    wrong: FindingKind | None = None
    digest = ""
    try:
        digest = fixity.digest(storage, item.key, check)
        if item.sha256 and digest != item.sha256:
            wrong = FindingKind.ALTERED
    except NotFound:
        wrong = FindingKind.MISSING
    except Unavailable:
        storage.check()  # raises where the whole store is away, and not just this object
        wrong = FindingKind.ALTERED
    done.objects += 1
    done.bytes += item.size
    with sessions() as session:
        if note(session, item, wrong, digest) and wrong is not None:
            done.found.append((wrong, item))


def note(session: Session, item: Item, wrong: FindingKind | None, digest: str) -> bool:
    """Write down what reading an object came to, unless its row has changed since. Returns whether it is news that
    something is wrong."""
    now = clock.now()
    values: dict[str, object] = {"verified_at": now}
    if not item.sha256 and digest:
        values["sha256"] = digest
    same = update(Artefact).where(Artefact.key == item.key, Artefact.sha256 == item.sha256)
    if not session.execute(same.values(**values)).rowcount:  # type: ignore[attr-defined]
        return False
    if wrong is None:
        session.execute(delete(FixityFinding).where(FixityFinding.key == item.key))
        return False
    known = session.scalar(select(FixityFinding.kind).where(FixityFinding.key == item.key))
    row = {"kind": wrong, "recording_id": item.recording_id, "what": item.what, "seen_at": now}
    session.execute(
        insert(FixityFinding)
        .values(id=uuid.uuid4(), key=item.key, found_at=now, **row)
        .on_conflict_do_update(index_elements=["key"], set_=row)
    )
    if known is wrong:
        return False
    audit.record(
        session,
        SYSTEM,
        "storage:missing" if wrong is FindingKind.MISSING else "storage:altered",
        "recording",
        item.recording_id,
        artefact=item.what,
    )
    return True


@dataclass(frozen=True)
class Standing:
    """Where the reading stands: objects in all, those that were read since they were stored, those that are due, and when
    the longest unread was last read."""

    objects: int
    verified: int
    due: int
    oldest: datetime | None


def standing(session: Session, days: int) -> Standing:
    """Where the reading stands: one query."""
    limit = clock.now() - timedelta(days=days or 36500)
    objects, verified, due, oldest = session.execute(
        select(
            func.count(),
            func.count(Artefact.verified_at),
            func.count().filter(_last_read() < limit),
            func.min(_last_read()),
        )
    ).one()
    return Standing(objects, verified, due, oldest)
