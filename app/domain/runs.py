"""Runs of recordings through workflows, and the one place where a recording's state follows from them.

The ledger is the truth; a job in the queue is only a wake-up for a worker. All functions work in the caller's
transaction and lock the run before its stages, so that the stages of one run change one after another. What workers do
to a single stage is in `app.domain.stage_runs`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from app import clock
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import replacing
from app.domain.queue import defer
from app.errors import Conflict
from app.pipeline import ledger
from app.pipeline.spec import Workflow
from app.pipeline.workflows import ERASE, INGEST, RECAPTION, WITHOUT_SOURCE, WORKFLOWS

#: Name of the task that runs one stage; its only argument is `stage_run_id`.
TASK = "vignette.stage"
UNFINISHED = (RunState.RUNNING, RunState.CANCELLING)
CANCELLED_CODE = "cancelled"
#: What a run's priority can be raised and lowered to; a job of a higher one is taken up first.
PRIORITIES: dict[int, str] = {-10: "low", 0: "normal", 10: "high"}
#: Recordings in these states have something to watch, which a run replaces only when it has succeeded.
KEPT_STATES = (RecordingState.READY, RecordingState.WITHDRAWN)


# -- what people ask for -----------------------------------------------------------------------------------------------


def start(
    session: Session,
    recording: Recording,
    workflow: str = INGEST.name,
    requested_by_id: uuid.UUID | None = None,
    *,
    priority: int | None = None,
    plan: Mapping[str, Any] | None = None,
) -> Run:
    """Send a recording through a workflow: the run, its stages and the first jobs come with the caller's commit.

    What the workflow works from must be there: the source, or the sound for new captions. A recording that can be
    watched stays as it is until the run has succeeded.

    Args:
        priority: of the run's jobs; higher ones go first, 0 is ordinary, None what the workflow says.
        plan: what the stages of a workflow without a planner are to know.

    Raises:
        Conflict: it is being processed already, or what it works from is not there.
    """
    session.flush()
    session.execute(select(Recording.id).where(Recording.id == recording.id).with_for_update())
    _check_free(session, recording.id)
    _check_material(session, recording.id, workflow)
    run = Run(
        recording_id=recording.id,
        workflow=workflow,
        requested_by_id=requested_by_id,
        state=RunState.RUNNING,
        priority=WORKFLOWS[workflow].priority if priority is None else priority,
        replaces=recording.state in KEPT_STATES and recording.watchable_at is not None,
        plan=dict(plan or {}),
        created_at=clock.now(),  # not the transaction's: two runs that one makes have an order
    )
    session.add(run)
    session.flush()
    if recording.state in (RecordingState.UPLOADING, RecordingState.FAILED):
        recording.state, recording.reason, recording.reason_code = RecordingState.PROCESSING, "", ""
    add_rows(session, run, ledger.rows(WORKFLOWS[workflow], None))
    advance(session, run, locked_stages(session, run))
    return run


def latest(session: Session, recording_id: uuid.UUID, workflow: str | None = None) -> Run | None:
    """The newest run of a recording, of one workflow or of any."""
    query = select(Run).where(Run.recording_id == recording_id).order_by(Run.created_at.desc()).limit(1)
    return session.scalar(query if workflow is None else query.where(Run.workflow == workflow))


def cancel(session: Session, run: Run, *, by: str = "") -> None:
    """Stop a run: what waits is cancelled now, what runs stops within about a second of the commit.

    Args:
        by: what pages call the person who asked.

    Raises:
        Conflict: the run has ended.
    """
    run = locked(session, run.id)
    if run.state not in UNFINISHED:
        raise Conflict("This has ended already.")
    if run.state == RunState.RUNNING:
        run.state = RunState.CANCELLING
        run.reason = f"Cancelled by {by}." if by else "Cancelled."
        run.reason_code = CANCELLED_CODE
    advance(session, run, locked_stages(session, run))


def retry(session: Session, run: Run) -> None:
    """Take up a failed or cancelled run again. What has succeeded is not done again, unless its version has changed.

    Raises:
        Conflict: the run has not failed, another one is going on, or there is no source any more.
    """
    session.execute(select(Recording.id).where(Recording.id == run.recording_id).with_for_update())
    run = locked(session, run.id)
    recording = session.get_one(Recording, run.recording_id)
    newest = latest(session, run.recording_id)
    if run.state not in (RunState.FAILED, RunState.CANCELLED) or newest is None or newest.id != run.id:
        raise Conflict("Only processing that failed or was cancelled can be tried again.")
    if recording.state not in (RecordingState.FAILED, RecordingState.READY):
        raise Conflict("This recording was rejected or withdrawn, or waits for another file.")
    _check_free(session, run.recording_id)
    workflow = WORKFLOWS[run.workflow]
    _check_material(session, run.recording_id, run.workflow)
    run.state, run.reason, run.reason_code, run.finished_at = RunState.RUNNING, "", "", None
    _reopen(session, run, workflow)
    if recording.state == RecordingState.FAILED:
        recording.state, recording.reason, recording.reason_code = RecordingState.PROCESSING, "", ""
    advance(session, run, locked_stages(session, run))


def reprioritise(session: Session, run: Run, *, higher: bool) -> int:
    """Move a run up or down among those that wait: its jobs in the queue and all that it will have. Returns the new
    priority, which is the old one at either end.

    Raises:
        Conflict: the run has ended.
    """
    run = locked(session, run.id)
    if run.state not in UNFINISHED:
        raise Conflict("This has ended already.")
    beyond = [p for p in PRIORITIES if (p > run.priority if higher else p < run.priority)]
    if beyond:
        before, run.priority = run.priority, min(beyond) if higher else max(beyond)
        session.flush()
        session.execute(_MOVE_JOBS, {"by": run.priority - before, "task": TASK, "run": run.id})
    return run.priority


_MOVE_JOBS = text("""
    UPDATE procrastinate_jobs SET priority = priority + :by
    WHERE status = 'todo' AND task_name = :task
      AND args ->> 'stage_run_id' IN (SELECT id::text FROM stage_runs WHERE run_id = :run)
""")


def priority_word(priority: int) -> str:
    """What pages call a priority."""
    return PRIORITIES.get(priority, "low" if priority < 0 else "high")


def _reopen(session: Session, run: Run, workflow: Workflow) -> None:
    """Put back to waiting what did not succeed, or succeeded as an older version."""
    stages = locked_stages(session, run)
    prints = fingerprints(workflow, facts(run))
    planner = next((row for row in stages if row.stage == workflow.planner), None)
    plan_kept = planner is None or (
        planner.state == StageState.SUCCEEDED and planner.fingerprint == prints[planner.stage]
    )
    if not plan_kept:
        run.plan = {}
    for row in stages:
        per_chunk = workflow.stage(row.stage).per_chunk
        if per_chunk and not plan_kept:
            session.delete(row)  # the new plan says how many there are
        elif not plan_kept or row.state != StageState.SUCCEEDED or row.fingerprint != prints[row.stage]:
            row.state, row.error, row.failures, row.progress = StageState.WAITING, "", 0, 0.0
            row.fingerprint = prints.get(row.stage, "") if plan_kept else ""
            row.outputs = {"attempts_before": row.attempt}
    session.flush()


def progress(run: Run) -> dict[str, Any]:
    """How far a run is, in plain words, for pages and the API.

    Returns:
        `state`, `fraction` (0 to 1), `seconds_left` (None while unknown) and `stages`: one object each with `name`,
        `label`, `state`, `progress` (0 to 1), `queue`, `chunks` ([done, all], or None) and `waiting`: a sentence where
        workers have come by and could not take it up, else empty.
    """
    workflow = WORKFLOWS[run.workflow]
    cells = [cell(row) for row in run.stages]
    done = 1.0 if run.state == RunState.SUCCEEDED else ledger.fraction(workflow, cells)
    begun = [row.started_at for row in run.stages if row.started_at is not None]
    until = run.finished_at or clock.now()
    elapsed = (until - min(begun)).total_seconds() if begun else 0.0
    left = ledger.seconds_left(done, elapsed) if run.state == RunState.RUNNING else None
    stages = []
    for stage in workflow:
        own = [c for c in cells if c.stage == stage.name]
        if not own and run.plan:
            continue  # the plan asks for none of its chunks
        stages.append(
            {
                "name": stage.name,
                "label": stage.label,
                "state": common_state([c.state for c in own]),
                "progress": round(sum(ledger.share(c.state, c.progress) for c in own) / len(own), 3) if own else 0.0,
                "queue": stage.queue,
                "chunks": [sum(c.state in ledger.ENDED for c in own), len(own)] if stage.per_chunk and own else None,
                "waiting": waiting([row for row in run.stages if row.stage == stage.name]),
            }
        )
    return {"state": run.state.value, "fraction": round(done, 4), "seconds_left": left, "stages": stages}


def waiting(stages: Sequence[StageRun]) -> str:
    """Why workers could not take up one of these stages that is queued, as a sentence; empty when none was turned away,
    or another of them is being worked on."""
    if any(row.state == StageState.RUNNING for row in stages):
        return ""
    return next((row.waits_for for row in stages if row.state == StageState.QUEUED and row.waits_for), "")


def common_state(states: Sequence[str]) -> str:
    """One word for a stage of several chunks: the most telling of theirs."""
    for state in (ledger.FAILED, ledger.CANCELLED, ledger.RUNNING):
        if state in states:
            return state
    if ledger.QUEUED in states:
        return ledger.RUNNING if ledger.SUCCEEDED in states else ledger.QUEUED
    return next((s for s in (ledger.WAITING, ledger.SUCCEEDED) if s in states), ledger.SKIPPED if states else "waiting")


def _check_free(session: Session, recording_id: uuid.UUID) -> None:
    unfinished = select(Run.id).where(Run.recording_id == recording_id, Run.state.in_(UNFINISHED))
    if session.scalar(unfinished.limit(1)) is not None:
        raise Conflict("This recording is being processed already.")


_SAYS_MISSING = {
    ArtefactKind.SOURCE: "The uploaded file is not kept any more. Upload it again.",
    ArtefactKind.AUDIO: "The recording has no sound to make captions of.",
}


def _check_material(session: Session, recording_id: uuid.UUID, workflow: str) -> None:
    if workflow in WITHOUT_SOURCE:
        return
    kind = ArtefactKind.AUDIO if workflow == RECAPTION.name else ArtefactKind.SOURCE
    there = select(Artefact.id).where(Artefact.recording_id == recording_id, Artefact.kind == kind)
    if session.scalar(there.limit(1)) is None:
        raise Conflict(_SAYS_MISSING[kind])


# -- what follows ------------------------------------------------------------------------------------------------------


def locked(session: Session, run_id: uuid.UUID) -> Run:
    """The run as it is now, locked until the transaction ends. Raises `NoResultFound`."""
    query = select(Run).where(Run.id == run_id).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one()


def locked_stages(session: Session, run: Run) -> list[StageRun]:
    """The run's stages as they are now, locked, in order."""
    query = (
        select(StageRun)
        .where(StageRun.run_id == run.id)
        .order_by(StageRun.position, StageRun.chunk)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


def facts(run: Run) -> Mapping[str, Any] | None:
    """What the plan states; None before the plan is made."""
    found: Mapping[str, Any] | None = run.plan.get("facts")
    return found


def cell(row: StageRun) -> ledger.Cell:
    """The row as the ledger's rules see it."""
    return ledger.Cell(row.stage, row.chunk, row.state.value, row.progress)


def fingerprints(workflow: Workflow, known: Mapping[str, Any] | None) -> dict[str, str]:
    """Fingerprints as far as they can be known: all of them with a plan or where none is made, else the planner's."""
    if known is not None or not workflow.planner:
        return ledger.fingerprints(workflow, known or {})
    planner = workflow.stage(workflow.planner)
    return {planner.name: ledger.fingerprint(planner.name, planner.version, [])}


def add_rows(session: Session, run: Run, places: Sequence[ledger.Place]) -> None:
    """Add waiting stages at (stage, chunk)."""
    workflow = WORKFLOWS[run.workflow]
    prints = fingerprints(workflow, facts(run))
    for stage, chunk in places:
        session.add(
            StageRun(
                run_id=run.id,
                stage=stage,
                chunk=chunk,
                position=workflow.position(stage),
                state=StageState.WAITING,
                fingerprint=prints.get(stage, ""),
            )
        )
    session.flush()


def wake(session: Session, run: Run, row: StageRun, *, after_seconds: int = 0) -> None:
    """Write the job that makes a worker take a queued stage up."""
    queue = WORKFLOWS[run.workflow].stage(row.stage).queue
    priority = job_priority(run, row)
    defer(session, TASK, queue=queue, priority=priority, after_seconds=after_seconds, stage_run_id=str(row.id))


def job_priority(run: Run, row: StageRun) -> int:
    """The priority of a stage's job: the run's, which goes in steps of ten, and the stage's, which is below ten."""
    return run.priority + WORKFLOWS[run.workflow].stage(row.stage).priority_of(row.chunk)


def advance(session: Session, run: Run, stages: Sequence[StageRun]) -> None:
    """Do what follows from where the stages are: queue, skip, cancel, end the run. Both must be locked."""
    workflow = WORKFLOWS[run.workflow]
    moves = ledger.advance(
        workflow, [cell(row) for row in stages], facts(run), stopping=run.state == RunState.CANCELLING
    )
    at = {(row.stage, row.chunk): row for row in stages}
    for place in moves.skip:
        at[place].state, at[place].finished_at = StageState.SKIPPED, clock.now()
    for place in moves.cancel:
        at[place].state, at[place].finished_at = StageState.CANCELLED, clock.now()
    for place in moves.queue:
        at[place].state = StageState.QUEUED
        wake(session, run, at[place])
    if moves.broken and run.state == RunState.RUNNING:
        run.state = RunState.CANCELLING
    if moves.outcome is not None:
        _end(session, run, stages, RunState(moves.outcome), clock.now())
    session.flush()


def _end(session: Session, run: Run, stages: Sequence[StageRun], outcome: RunState, moment: datetime) -> None:
    run.state, run.finished_at = outcome, moment
    if outcome == RunState.FAILED and not run.reason:
        run.reason = next((row.error for row in stages if row.state == StageState.FAILED and row.error), "")
    recording = session.get_one(Recording, run.recording_id, with_for_update=True)
    if outcome == RunState.SUCCEEDED and run.replaces:
        session.flush()
        replacing.take_place(session, run, stages, recording)
    if recording.state != RecordingState.PROCESSING or run.workflow == RECAPTION.name:
        return  # it was withdrawn meanwhile, or is ready and keeps what it had
    if outcome == RunState.SUCCEEDED and run.workflow == ERASE.name:
        recording.state, recording.watchable_at = RecordingState.REJECTED, None
        recording.reason, recording.reason_code = run.plan["reason"], run.plan["reason_code"]
        session.execute(delete(Artefact).where(Artefact.recording_id == recording.id))
    elif outcome == RunState.SUCCEEDED:
        recording.state = RecordingState.READY
    elif run.plan.get("rejected"):
        # the state follows when the objects are gone: a rejected recording has left nothing behind
        session.flush()
        _erase(session, recording, run)
    else:
        recording.state = RecordingState.FAILED
        recording.reason, recording.reason_code = run.reason, run.reason_code
        if not (_has_rendition(session, recording.id) or recording.width is None):
            recording.watchable_at = None  # it was watched while it grew, and now it does not


def _erase(session: Session, recording: Recording, rejected: Run) -> None:
    """Begin to remove every object of a recording that was rejected."""
    erasing = start(session, recording, ERASE.name, rejected.requested_by_id)
    erasing.plan = {"reason": rejected.reason, "reason_code": rejected.reason_code}


def note_watchable(session: Session, run: Run, stages: Sequence[StageRun]) -> None:
    """Mark the recording as watchable from the moment that a picture, and the sound if there will be any, can be had: the
    first chunk and the first minutes are enough, because more follow while they are watched."""
    workflow = WORKFLOWS[run.workflow]
    recording = session.get_one(Recording, run.recording_id)
    known = facts(run)
    if recording.watchable_at is not None or known is None:
        return
    at = {(row.stage, row.chunk): row for row in stages}
    sound = [row for row in stages if "audio" in workflow.stage(row.stage).makes]
    if any(ledger.wanted(workflow.stage(row.stage), known) and row.state not in ledger.ENDED for row in sound):
        first = at.get(("first_sound", 0))
        if first is None or not first.outputs.get("piece"):
            return
    if known.get("heard_only"):
        if recording.has_audio:
            recording.watchable_at = clock.now()
        return
    chunk = at.get(("transcode", 0))
    growing = chunk is not None and chunk.state == StageState.SUCCEEDED and bool(known.get("grows"))
    if growing or _has_rendition(session, recording.id):
        recording.watchable_at = clock.now()


def _has_rendition(session: Session, recording_id: uuid.UUID) -> bool:
    query = select(Artefact.id).where(Artefact.recording_id == recording_id, Artefact.kind == ArtefactKind.RENDITION)
    return session.scalar(query.limit(1)) is not None
