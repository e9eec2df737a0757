"""Work that is done to ready recordings when nothing else waits: their pictures in AV1."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from app.db.recordings import Recording
from app.db.runs import Run, RunState
from app.domain import runs
from app.errors import Conflict, NotFound
from app.pipeline.workflows import AV1, INGEST

#: Behind everything, also behind what is processed again.
PRIORITY = -20


def plan_of(session: Session, recording_id: uuid.UUID) -> dict[str, Any]:
    """What the newest successful run through the whole pipeline planned.

    Raises:
        NotFound: there was none.
    """
    query = select(Run.plan).where(
        Run.recording_id == recording_id, Run.workflow == INGEST.name, Run.state == RunState.SUCCEEDED
    )
    found: dict[str, Any] | None = session.scalar(query.order_by(Run.created_at.desc()).limit(1))
    if not found:
        raise NotFound
    return found


def begin(session: Session, most: int) -> int:
    """Start the AV1 runs of recordings that have gone through the pipeline since they last had one, while fewer than
    `most` are going on. Returns how many were started.

    One that failed or was cancelled is not started again by itself.
    """
    going_on = session.scalar(
        select(func.count()).where(Run.workflow == AV1.name, Run.state.in_(runs.UNFINISHED)).select_from(Run)
    )
    later = aliased(Run)
    due = (
        select(Recording)
        .join(Run, Run.recording_id == Recording.id)
        .where(
            Run.workflow == INGEST.name,
            Run.state == RunState.SUCCEEDED,
            Recording.state.in_(runs.KEPT_STATES),
            Recording.watchable_at.is_not(None),
            ~exists().where(
                later.recording_id == Recording.id,
                (later.state.in_(runs.UNFINISHED))
                | ((later.workflow == AV1.name) & (later.created_at > Run.created_at)),
            ),
        )
        .order_by(Run.created_at.desc())
        .limit(max(0, most - (going_on or 0)))
        .with_for_update(of=Recording, skip_locked=True)
    )
    started = 0
    for recording in session.scalars(due).unique().all():
        try:
            runs.start(session, recording, AV1.name, priority=PRIORITY)
        except Conflict:
            continue  # its source is not kept any more
        started += 1
    return started
