"""Processing recordings again: which of them hold results that the program would make otherwise now, and the runs that
renew these. Only what is stale is done again; a recording can be watched all the time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, selectinload

from app.access import Actor
from app.db.recordings import Artefact, Recording
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import audit, planning, runs
from app.errors import Conflict
from app.pipeline import ledger
from app.pipeline.spec import Stage
from app.pipeline.workflows import INGEST, WORKFLOWS
from app.settings import Settings

#: Behind everything that somebody waits for.
PRIORITY = -10
_BATCH = 200


@dataclass(frozen=True)
class Stale:
    """A recording of which something would be made otherwise now: the labels of the stages that would make it."""

    recording_id: uuid.UUID
    title: str
    stages: tuple[str, ...]


def again(session: Session, actor: Actor, recording: Recording) -> Run:
    """Send a recording through the pipeline again, behind all ordinary work.

    Raises:
        Conflict: it is being processed, cannot be watched yet, or its source is not kept any more.
    """
    if recording.state not in runs.KEPT_STATES or recording.watchable_at is None:
        raise Conflict("Only a recording that is ready can be processed again. Try again what failed instead.")
    run = runs.start(session, recording, INGEST.name, actor.person_id, priority=PRIORITY)
    audit.record(session, actor, "processing:again", "recording", recording.id)
    return run


def candidates(session: Session) -> Iterator[list[Recording]]:
    """All recordings that can be processed again, in batches, the oldest first."""
    after: uuid.UUID | None = None
    ready = (
        select(Recording)
        .where(Recording.state.in_(runs.KEPT_STATES), Recording.watchable_at.is_not(None))
        .order_by(Recording.id)
        .limit(_BATCH)
    )
    while batch := list(session.scalars(ready if after is None else ready.where(Recording.id > after))):
        yield batch
        after = batch[-1].id


def stale_among(session: Session, settings: Settings, recordings: Sequence[Recording]) -> list[Stale]:
    """Those of these recordings that hold something stale. Recordings that never went through the pipeline here (made by
    an older instance, say) are not judged."""
    ids = [recording.id for recording in recordings]
    newest = (
        select(Run)
        .where(Run.recording_id.in_(ids), Run.workflow == INGEST.name, Run.state == RunState.SUCCEEDED)
        .ext(distinct_on(Run.recording_id))
        .order_by(Run.recording_id, Run.created_at.desc())
        .options(selectinload(Run.stages))
    )
    known = {run.recording_id: run for run in session.scalars(newest)}
    kept: dict[uuid.UUID, set[str]] = {}
    for recording_id, key in session.execute(
        select(Artefact.recording_id, Artefact.key).where(Artefact.recording_id.in_(ids))
    ):
        kept.setdefault(recording_id, set()).add(key)
    found = []
    for recording in recordings:
        run = known.get(recording.id)
        stages = _stale_stages(session, settings, run, kept.get(recording.id, set())) if run is not None else []
        if stages:
            found.append(Stale(recording.id, recording.title, tuple(stage.label for stage in stages)))
    return found


def _stale_stages(session: Session, settings: Settings, run: Run, kept: set[str]) -> list[Stage]:
    """The stages whose lasting results are not what they would be now. All of them, where even the measuring is old."""
    rows = {row.stage: row for row in run.stages}
    workflow = WORKFLOWS[INGEST.name]
    planner = workflow.stage(workflow.planner)
    facts = planning.anew(run.plan, settings, *planning.spoken_in(session, run.recording_id, settings))
    measured = ledger.fingerprint(planner.name, planner.version, [])
    if facts is None or rows[planner.name].fingerprint != measured:
        return [planner]
    prints = ledger.fingerprints(workflow, facts)
    return [
        stage
        for stage in workflow
        if stage.makes and ledger.wanted(stage, facts) and not _fresh(rows.get(stage.name), prints[stage.name], kept)
    ]


def _fresh(row: StageRun | None, print_: str, kept: set[str]) -> bool:
    """Whether a stage ended well, or rightly found nothing to do, under the conditions of today."""
    if row is None or row.fingerprint != print_:
        return False
    if row.state == StageState.SKIPPED:
        return True
    return row.state == StageState.SUCCEEDED and kept.issuperset(row.outputs.get("kept", ()))
