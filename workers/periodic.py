"""What is done every few minutes by one worker at a time: things that have run out are removed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, text

from app import clock, logs
from app.core import Core
from app.db.recordings import Recording, RecordingState, Upload, UploadState
from app.db.runs import Run
from app.db.sign_in import IdempotencyKey, LoginFailure, OneTimeLink, WebSession
from app.domain import further, replacing, viewings
from app.domain import rehash as rehashing
from app.domain.runs import UNFINISHED
from app.storage import keys
from workers.tidy import tidy

log = logging.getLogger(__name__)

UPLOAD_LIFE = timedelta(days=7)
ANSWER_LIFE = timedelta(days=1)
#: Long after they have run out: who looks for what happened finds them for a while.
LINKS_KEPT, FAILURES_KEPT = timedelta(days=30), timedelta(days=1)
#: A run's objects are looked over again in this span after its end: a worker that was given up may have stored some late.
TIDY_AFTER, TIDY_UNTIL = timedelta(minutes=15), timedelta(hours=2)
#: AV1 runs that go on at a time: each keeps its source and chunks somewhere.
MOST_FURTHER = 4
_LOCK = 713707


def upkeep(core: Core) -> None:
    """All of it; returns at once where another process is at it.

    Raises:
        Unavailable: storage does not answer. What was done stays done.
    """
    with core.session() as guard:
        if not guard.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
            return
        guard.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))  # it only stands guard meanwhile
        _close_viewings(core)
        _purge(core)
        _drop_stale_uploads(core)
        _tidy_ended(core)
        _remove_retired(core)
        _begin_further(core)


def rehash(core: Core, every_seconds: float, stopping: Callable[[], bool]) -> None:
    """Read a few of the stored objects that have gone unread for longest, and say what is wrong with them.

    Raises:
        Unavailable: storage does not answer. What was read stays read.
    """
    done = rehashing.read_some(
        core.session,
        core.storage,
        days=core.settings.rehash_days,
        every_seconds=every_seconds,
        stopping=stopping,
    )
    for kind, item in done.found:
        logs.event(
            log, f"a stored object is {kind.value}", logging.ERROR, recording_id=item.recording_id, artefact=item.what
        )
    if done.objects:
        logs.event(log, "stored objects read", count=done.objects, bytes=done.bytes)


def unfinished(core: Core, run_ids: Collection[UUID]) -> set[UUID]:
    """Which of these runs have not ended."""
    with core.session() as session:
        return set(session.scalars(select(Run.id).where(Run.id.in_(run_ids), Run.state.in_(UNFINISHED))))


def _close_viewings(core: Core) -> None:
    """Viewings whose player has gone without a word end where it was last heard of."""
    while True:
        with core.session() as session:
            if viewings.close_silent(session) < viewings.BATCH:
                return


def _purge(core: Core) -> None:
    with core.session() as session:
        now = clock.now()
        session.execute(delete(WebSession).where(WebSession.expires_at < now))
        session.execute(delete(OneTimeLink).where(OneTimeLink.expires_at < now - LINKS_KEPT))
        session.execute(delete(LoginFailure).where(LoginFailure.last_at < now - FAILURES_KEPT))
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - ANSWER_LIFE))
        session.execute(
            text(
                "DELETE FROM procrastinate_jobs j WHERE status IN ('failed', 'cancelled', 'aborted') AND NOT EXISTS "
                "(SELECT 1 FROM procrastinate_events e WHERE e.job_id = j.id AND e.at > now() - interval '7 days')"
            )
        )


def _drop_stale_uploads(core: Core) -> None:
    """Uploads that nobody has gone on with, and the recordings that have nothing but them."""
    stale = select(Upload.id).where(Upload.state == UploadState.OPEN, Upload.updated_at < clock.now() - UPLOAD_LIFE)
    with core.session() as session:
        ids = list(session.scalars(stale))
    for upload_id in ids:
        with core.session() as session:
            upload = session.scalar(stale.with_only_columns(Upload).where(Upload.id == upload_id).with_for_update())
            if upload is None:
                continue  # taken up again since
            core.storage.abort_multipart(upload.key, upload.storage_upload_id)
            upload.state = UploadState.CANCELLED
            recording = session.get_one(Recording, upload.recording_id)
            if recording.state == RecordingState.UPLOADING:
                core.storage.delete_prefix(keys.recording_prefix(recording.id))
                session.flush()
                session.execute(delete(Recording).where(Recording.id == recording.id))
            logs.event(log, "upload dropped", upload_id=upload_id)


def _tidy_ended(core: Core) -> None:
    now = clock.now()
    query = select(Run.recording_id).where(Run.finished_at.between(now - TIDY_UNTIL, now - TIDY_AFTER)).distinct()
    with core.session() as session:
        ids = list(session.scalars(query))
    for recording_id in ids:
        if removed := tidy(core, recording_id):
            logs.event(log, "late objects removed", recording_id=recording_id, count=removed)


def _remove_retired(core: Core) -> None:
    """What was replaced, and no player holds a playlist of any more. A row goes only after its object."""
    while True:
        with core.session() as session:
            rows = replacing.over(session, clock.now())
            for row in rows:
                core.storage.delete(row.key)
                session.delete(row)
        if not rows:
            return
        logs.event(log, "replaced objects removed", count=len(rows))


def _begin_further(core: Core) -> None:
    """Recordings that are ready get their pictures in AV1, a few at a time."""
    if core.settings.av1 == "off":
        return
    with core.session() as session:
        if started := further.begin(session, MOST_FURTHER):
            logs.event(log, "further work begun", count=started)
