"""Viewings: each sitting in which somebody plays a recording, with its start, its stop and the seconds that were played.

A viewing opens with the first playlist, file or position that is asked for, and lives while more come. Seconds are
counted by the server's clock, between one sign of life and the next, and never more than passed. It closes when the
player says so, when the person signs out, or after five minutes without a sign. Both ends stand in the audit. Where an
admin sees the pages as somebody else does, it is the admin who watches.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.db.recordings import Recording, WatchPosition
from app.db.viewings import Viewing
from app.domain import audit

SILENCE = timedelta(minutes=5)
#: Players send where they are more often than this; what lies further apart was a pause or a jump back.
STEP_SECONDS = 20.0
#: Where only requests for parts of the file tell that somebody plays: these come in bursts, so most change nothing.
PART_EVERY = timedelta(seconds=5)
#: Positions that arrive this soon after the last word belong to what has ended.
LAST_WORDS = timedelta(seconds=5)
BATCH = 100


def opened(session: Session, actor: Actor, recording: Recording) -> None:
    """The actor asked for a playlist: the viewing opens, unless one is open."""
    if actor.person_id is not None:
        _open(session, actor, recording.id, clock.now())


def played_part(session: Session, actor: Actor, recording: Recording) -> None:
    """The actor asked for a part of the file. Counts where no positions come: frames, tokens, and pages without
    scripts. One statement, and mostly one that changes nothing."""
    if actor.person_id is None:
        return
    now = clock.now()
    query = _alive(actor, recording.id, now)
    last_at = session.scalar(query.with_only_columns(Viewing.last_at))
    if last_at is None:
        _open(session, actor, recording.id, now)
    elif now - last_at >= PART_EVERY:
        seconds = min((now - last_at).total_seconds(), STEP_SECONDS)
        ids = query.with_only_columns(Viewing.id)
        session.execute(
            # `last_at` again: of two requests at once, the second finds nothing to add
            update(Viewing)
            .where(Viewing.id.in_(ids), Viewing.last_at == last_at)
            .values(seconds=Viewing.seconds + seconds, last_at=now)
            .execution_options(synchronize_session=False)
        )


def at(session: Session, actor: Actor, recording: Recording, second: float, *, ended: bool = False) -> None:
    """The player is at this second. Call it before the position is saved: how far it moved says how long it played.

    Args:
        ended: this is its last word, so the viewing closes.
    """
    if actor.person_id is None:
        return
    now = clock.now()
    if _just_ended(session, actor, recording.id, now):
        return
    viewing = _open(session, actor, recording.id, now)
    before = session.scalar(
        select(WatchPosition.position_ms).where(
            WatchPosition.person_id == actor.person_id, WatchPosition.recording_id == recording.id
        )
    )
    viewing.seconds += played((now - viewing.last_at).total_seconds(), before, second)
    viewing.last_at = max(now, viewing.last_at)
    if ended:
        _close(session, viewing)


def played(passed: float, before_ms: int | None, second: float) -> float:
    """Seconds that were played since the last sign of life: as far as the position moved, but never more than passed.

    Args:
        passed: seconds since then, by the server's clock.
        before_ms: the position then, in milliseconds; None when it is not known.
        second: the position now. One before the last was jumped to: the time since then counts for one step at most.
    """
    moved = second - before_ms / 1000 if before_ms is not None else STEP_SECONDS
    return max(0.0, min(passed, moved if moved >= 0 else STEP_SECONDS))


def close_all(session: Session, person_id: uuid.UUID, kind: str = "person") -> None:
    """Close what a person has open: they sign out."""
    query = select(Viewing).where(Viewing.person_id == person_id, Viewing.actor_kind == kind)
    for viewing in session.scalars(query.where(Viewing.ended_at.is_(None)).order_by(Viewing.id).with_for_update()):
        _close(session, viewing)


def close_silent(session: Session) -> int:
    """Close a batch of those from which nothing was heard for five minutes. Returns how many there were."""
    query = (
        select(Viewing)
        .where(Viewing.ended_at.is_(None), Viewing.last_at < clock.now() - SILENCE)
        .order_by(Viewing.last_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    found = list(session.scalars(query))
    for viewing in found:
        _close(session, viewing)
    return len(found)


def total(session: Session, recording: Recording) -> tuple[int, float]:
    """How many people have played a recording, and for how many seconds together: one query. No names."""
    people, seconds = session.execute(
        select(func.count(Viewing.person_id.distinct()), func.coalesce(func.sum(Viewing.seconds), 0.0)).where(
            Viewing.recording_id == recording.id
        )
    ).one()
    return int(people), float(seconds)


# -- inside ----------------------------------------------------------------------------------------------------------------


def _of(actor: Actor, recording_id: uuid.UUID) -> Select[Viewing]:
    return select(Viewing).where(
        Viewing.person_id == actor.real_id,
        Viewing.recording_id == recording_id,
        Viewing.actor_kind == actor.kind,
        Viewing.ended_at.is_(None),
    )


def _alive(actor: Actor, recording_id: uuid.UUID, now: datetime) -> Select[Viewing]:
    return _of(actor, recording_id).where(Viewing.last_at >= now - SILENCE)


def _just_ended(session: Session, actor: Actor, recording_id: uuid.UUID, now: datetime) -> bool:
    """Whether the player has said its last word a moment ago: of what it sends as its page goes, that may come first."""
    ended = session.scalar(
        select(func.max(Viewing.ended_at)).where(
            Viewing.person_id == actor.real_id,
            Viewing.recording_id == recording_id,
            Viewing.actor_kind == actor.kind,
        )
    )
    return (
        ended is not None
        and now - ended < LAST_WORDS
        and session.scalar(_of(actor, recording_id).with_only_columns(Viewing.id).limit(1)) is None
    )


def _open(session: Session, actor: Actor, recording_id: uuid.UUID, now: datetime) -> Viewing:
    """The open viewing, or a new one in place of one that fell silent."""
    found = session.scalar(_alive(actor, recording_id, now).with_for_update())
    if found is not None:
        return found
    # A player asks for several playlists at once: one of the requests opens the viewing, the others wait and find it.
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{actor.real_id}{recording_id}{actor.kind}", 0)))
    )
    for viewing in session.scalars(_of(actor, recording_id).order_by(Viewing.started_at).with_for_update()):
        if viewing.last_at >= now - SILENCE:
            return viewing
        _close(session, viewing)
    viewing = Viewing(
        recording_id=recording_id,
        person_id=actor.real_id,
        actor_kind=actor.kind,
        started_at=now,
        last_at=now,
        seconds=0.0,
    )
    session.add(viewing)
    session.flush()
    audit.record(session, actor, "recording:watch", "recording", recording_id, viewing=str(viewing.id))
    return viewing


def _close(session: Session, viewing: Viewing) -> None:
    viewing.ended_at = viewing.last_at
    audit.record(
        session,
        Actor(kind=viewing.actor_kind, person_id=viewing.person_id),
        "recording:watched",
        "recording",
        viewing.recording_id,
        viewing=str(viewing.id),
        start=viewing.started_at.isoformat(timespec="seconds"),
        stop=viewing.last_at.isoformat(timespec="seconds"),
        seconds=round(viewing.seconds, 1),
    )
