"""What workers do to one stage of a run. Every change names the attempt it belongs to and is refused when a later one
has begun, so a worker that froze and woke up late can change nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app import clock
from app.db.recordings import Artefact, Recording
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import replacing, runs
from app.domain.replacing import Made
from app.pipeline import ledger
from app.pipeline.workflows import WORKFLOWS

#: A stage taken up this often without an end (workers that died, services that were away) is given up.
ATTEMPT_LIMIT = 40
LONGEST_PAUSE_SECONDS = 60
_SWEEPER_LOCK = 713706

#: A worker that freezes in the middle of a sign of life holds its row, and with it everybody who would put things right: the
#: database ends such a transaction after this long, and on waking up the worker finds its connection gone.
LET_GO = func.set_config("idle_in_transaction_session_timeout", "5s", True)

Word = Literal["go", "cancel", "superseded"]


def begin(session: Session, stage_run_id: uuid.UUID, worker: str) -> int | None:
    """Take a queued stage up. Returns the attempt's number, or None when there is nothing to do: it has ended, another
    worker has it, or the run is being stopped."""
    found = _locked(session, stage_run_id)
    if found is None:
        return None
    run, _, row = found
    if row.state != StageState.QUEUED or run.state != RunState.RUNNING:
        return None
    row.attempt += 1
    row.state, row.worker, row.progress, row.error, row.waits_for = StageState.RUNNING, worker, 0.0, "", ""
    row.started_at, row.finished_at = clock.now(), None
    session.flush()
    # the database's clock: those of the machines may differ by more than the time after which a worker counts as lost
    session.execute(update(StageRun).where(StageRun.id == row.id).values(heartbeat_at=func.clock_timestamp()))
    return row.attempt


def postpone(session: Session, stage_run_id: uuid.UUID, sentence: str, *, after_seconds: int) -> None:
    """Leave a queued stage for later because this machine has no room for it: any worker may come by again, this one or
    another. It was not begun, so it uses up neither retries nor attempts."""
    query = select(StageRun).where(StageRun.id == stage_run_id, StageRun.state == StageState.QUEUED)
    # its row alone is locked: a long recording may have a hundred chunks that all wait
    row = session.scalar(query.with_for_update().execution_options(populate_existing=True))
    run = session.get(Run, row.run_id) if row is not None else None
    if row is None or run is None or run.state != RunState.RUNNING:
        return
    row.waits_for = sentence
    session.flush()
    if session.execute(_HAS_JOB, {"task": runs.TASK, "id": str(row.id)}).first() is None:
        runs.wake(session, run, row, after_seconds=after_seconds)


_HAS_JOB = text("""
    SELECT 1 FROM procrastinate_jobs
    WHERE status = 'todo' AND task_name = :task AND args ->> 'stage_run_id' = :id LIMIT 1
""")


def put_back(session: Session, stage_run_id: uuid.UUID, attempt: int, sentence: str, *, after_seconds: int) -> bool:
    """End an attempt that found no room before it did any work, as if it had not been begun. False when it came too
    late."""
    found = _held(session, stage_run_id, attempt)
    if found is None:
        return False
    run, stages, row = found
    if run.state == RunState.RUNNING:
        row.state, row.waits_for = StageState.QUEUED, sentence
        row.outputs = {**row.outputs, "attempts_before": row.outputs.get("attempts_before", 0) + 1}
        runs.wake(session, run, row, after_seconds=after_seconds)
    else:
        row.state, row.finished_at = StageState.CANCELLED, clock.now()
    runs.advance(session, run, stages)
    return True


def charge(session: Session, stage_run_id: uuid.UUID, cpu_seconds: float) -> None:
    """Add the processor time of an attempt to its stage, whether or not the attempt counted."""
    session.execute(
        update(StageRun)
        .where(StageRun.id == stage_run_id)
        .values(cpu_seconds=StageRun.cpu_seconds + cpu_seconds)
        .execution_options(synchronize_session=False)
    )


def beat(session: Session, stage_run_id: uuid.UUID, attempt: int, progress: float) -> Word:
    """Say that the attempt is alive and how far it is (0 to 1), and hear whether to go on.

    Returns:
        "go"; "cancel": stop, then call `release`; "superseded": stop, nothing may be written any more.
    """
    query = (
        update(StageRun)
        .where(StageRun.id == stage_run_id, StageRun.attempt == attempt, StageRun.state == StageState.RUNNING)
        .values(progress=min(max(progress, 0.0), 1.0), heartbeat_at=func.clock_timestamp())
        .returning(StageRun.run_id, LET_GO)
        .execution_options(synchronize_session=False)
    )
    run_id = session.scalar(query)
    if run_id is not None:
        state = session.scalar(select(Run.state).where(Run.id == run_id))
        return "go" if state == RunState.RUNNING else "cancel"
    there = select(StageRun.attempt, StageRun.state).where(StageRun.id == stage_run_id)
    known = session.execute(there).one_or_none()
    if known is None or (known.attempt == attempt and known.state.value in ledger.ENDED):
        return "cancel"  # erased, or ended: there is nobody else who has it
    return "superseded"


def finish(
    session: Session,
    stage_run_id: uuid.UUID,
    attempt: int,
    outputs: Mapping[str, Any],
    *,
    artefacts: Sequence[Made] = (),
    plan: Mapping[str, Any] | None = None,
    apply: Callable[[Session], None] | None = None,
) -> bool:
    """End a stage well: its artefacts, its outputs and the jobs of what comes next, all in this transaction. In a run that
    replaces what is there, the artefacts wait for the run's end.

    Args:
        outputs: what later stages of the run read; JSON.
        plan: from the planner only: `facts` and whatever the stages need to know.
        apply: further changes that belong to this end; called only when it counts.

    Returns:
        False when it came too late: a newer attempt has the stage. Nothing was changed then.
    """
    found = _held(session, stage_run_id, attempt)
    if found is None:
        return False
    run, stages, row = found
    if not run.replaces:
        for made in artefacts:
            replacing.keep(session, run.recording_id, made)
    row.state, row.progress, row.finished_at = StageState.SUCCEEDED, 1.0, clock.now()
    row.outputs = {**outputs, "kept": [made.key for made in artefacts]}
    if run.replaces:
        row.outputs[replacing.STAGED] = [made.to_json() for made in artefacts]
    if plan is not None:
        run.plan = dict(plan)
        stages = _expand(session, run)
    if apply is not None:
        _apply(session, run, row, apply)
    session.flush()
    runs.note_watchable(session, run, stages)
    runs.advance(session, run, stages)
    return True


def _apply(session: Session, run: Run, row: StageRun, apply: Callable[[Session], None]) -> None:
    """Make the further changes of an end. What players go by stays as it is until the run has replaced the rest."""
    if not run.replaces:
        apply(session)
        return
    recording = session.get_one(Recording, run.recording_id)
    before = {column: getattr(recording, column) for column in replacing.COLUMNS}
    apply(session)
    shown = {name: getattr(recording, name) for name, value in before.items() if getattr(recording, name) != value}
    for name in shown:
        setattr(recording, name, before[name])
    row.outputs = {**row.outputs, replacing.SHOWN: shown}


def skip(session: Session, stage_run_id: uuid.UUID, attempt: int, sentence: str, why: str = "") -> bool:
    """End a stage that finds nothing to do; the sentence says why to people, `why` to programs (in `outputs`). False when
    it came too late."""
    found = _held(session, stage_run_id, attempt)
    if found is None:
        return False
    run, stages, row = found
    row.state, row.error, row.finished_at = StageState.SKIPPED, sentence, clock.now()
    row.outputs = {**row.outputs, "why": why} if why else row.outputs
    runs.advance(session, run, stages)
    return True


def fail(
    session: Session,
    stage_run_id: uuid.UUID,
    attempt: int,
    sentence: str,
    code: str,
    *,
    final: bool = False,
    transient: bool = False,
) -> bool:
    """End an attempt badly. It is queued again with growing pauses while the stage has retries left.

    Args:
        final: trying again cannot help.
        transient: a service was away: that uses up none of the stage's retries, only attempts.

    Returns:
        False when it came too late.
    """
    found = _held(session, stage_run_id, attempt)
    if found is None:
        return False
    run, stages, row = found
    stage = WORKFLOWS[run.workflow].stage(row.stage)
    row.error = sentence
    row.failures += 0 if transient else 1
    if run.state == RunState.CANCELLING:
        row.state, row.finished_at = StageState.CANCELLED, clock.now()
    elif final or row.failures > stage.retries or _worn_out(row):
        row.state, row.finished_at = StageState.FAILED, clock.now()
        if not stage.optional:
            run.reason, run.reason_code = sentence, code
    else:
        row.state = StageState.QUEUED
        tries = row.attempt - row.outputs.get("attempts_before", 0)
        runs.wake(session, run, row, after_seconds=min(2**tries, LONGEST_PAUSE_SECONDS))
    runs.advance(session, run, stages)
    return True


def reject(session: Session, stage_run_id: uuid.UUID, attempt: int, sentence: str, code: str) -> bool:
    """End the run because the file cannot become a recording: all its objects are erased, then it is rejected.

    Returns:
        False when it came too late.
    """
    found = _held(session, stage_run_id, attempt)
    if found is None:
        return False
    run, stages, row = found
    row.error, row.finished_at = sentence, clock.now()
    if run.state == RunState.RUNNING:
        row.state, run.state = StageState.FAILED, RunState.CANCELLING
        run.reason, run.reason_code = sentence, code
        run.plan = {**run.plan, "rejected": True}
    else:
        row.state = StageState.CANCELLED
    runs.advance(session, run, stages)
    return True


def release(session: Session, stage_run_id: uuid.UUID, attempt: int) -> bool:
    """Say that the attempt has stopped as it was asked to. In a run that goes on, another worker takes the stage up at
    once (this one has been told to end); in a cancelled one, the stage is cancelled. False when it came too late."""
    found = _held(session, stage_run_id, attempt)
    if found is None:
        return False
    run, stages, row = found
    if run.state == RunState.RUNNING:
        row.state = StageState.QUEUED
        runs.wake(session, run, row)
    else:
        row.state, row.finished_at = StageState.CANCELLED, clock.now()
    runs.advance(session, run, stages)
    return True


def recover(session: Session, stalled_seconds: float) -> int:
    """Put right what lost workers left: their stages are queued again, and every queued stage has its job.

    One process at a time does this; the others return at once.

    Args:
        stalled_seconds: without a sign of life for this long, a worker counts as lost.

    Returns:
        How many stages were taken from lost workers.
    """
    if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _SWEEPER_LOCK}):
        return 0
    session.execute(_RETRY_STALLED_JOBS, {"seconds": stalled_seconds, "task": runs.TASK})
    lost = session.execute(_LOST_STAGES, {"seconds": stalled_seconds}).all()
    for run_id in sorted({run_id for _, run_id in lost}):
        run = runs.locked(session, run_id)
        stages = runs.locked_stages(session, run)
        ids = {stage_id for stage_id, its_run in lost if its_run == run_id}
        for row in stages:
            if row.id in ids and row.state == StageState.RUNNING:
                _take_back(run, row)
        runs.advance(session, run, stages)
    for (stage_run_id,) in session.execute(_QUEUED_WITHOUT_JOB, {"task": runs.TASK}).all():
        row = session.get_one(StageRun, stage_run_id)
        runs.wake(session, session.get_one(Run, row.run_id), row)
    return len(lost)


_RETRY_STALLED_JOBS = text("""
    SELECT procrastinate_retry_job_v2(job.id, now(), NULL, NULL, NULL)
    FROM (
        SELECT j.id FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
        WHERE j.status = 'doing' AND (
            w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => :seconds)
            -- its worker lives but has lost it: the database restarted just when the job's end was to be written
            OR j.task_name = :task AND NOT EXISTS (
                SELECT 1 FROM stage_runs s WHERE s.id::text = j.args ->> 'stage_run_id' AND (
                    s.state = 'running' OR s.heartbeat_at > clock_timestamp() - make_interval(secs => :seconds))
            ) AND NOT EXISTS (
                SELECT 1 FROM procrastinate_events e
                WHERE e.job_id = j.id AND e.type = 'started' AND e.at > now() - make_interval(secs => :seconds)
            )
        )
        FOR UPDATE OF j SKIP LOCKED
    ) AS job
""")
_LOST_STAGES = text("""
    SELECT id, run_id FROM stage_runs
    WHERE state = 'running' AND heartbeat_at < clock_timestamp() - make_interval(secs => :seconds)
""")
_QUEUED_WITHOUT_JOB = text("""
    SELECT s.id FROM stage_runs s JOIN runs r ON r.id = s.run_id
    WHERE s.state = 'queued' AND r.state = 'running' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs j
        WHERE j.status IN ('todo', 'doing') AND j.task_name = :task AND j.args ->> 'stage_run_id' = s.id::text
    )
    FOR UPDATE OF s SKIP LOCKED
""")


def _take_back(run: Run, row: StageRun) -> None:
    """Take a stage from a lost worker; its job follows, because a queued stage without one gets one."""
    if run.state != RunState.RUNNING:
        row.state, row.finished_at = StageState.CANCELLED, clock.now()
    elif _worn_out(row):
        row.state, row.finished_at = StageState.FAILED, clock.now()
        row.error = "Every worker that took this up was lost."
    else:
        row.state = StageState.QUEUED


def _worn_out(row: StageRun) -> bool:
    return row.attempt - int(row.outputs.get("attempts_before", 0)) >= ATTEMPT_LIMIT


def _locked(session: Session, stage_run_id: uuid.UUID) -> tuple[Run, list[StageRun], StageRun] | None:
    """The run, all its stages and this one, locked in that order; None when the recording is gone."""
    run_id = session.scalar(select(StageRun.run_id).where(StageRun.id == stage_run_id))
    if run_id is None:
        return None
    run = runs.locked(session, run_id)
    stages = runs.locked_stages(session, run)
    return next(((run, stages, row) for row in stages if row.id == stage_run_id), None)


def _held(session: Session, stage_run_id: uuid.UUID, attempt: int) -> tuple[Run, list[StageRun], StageRun] | None:
    """As `_locked`, but None also when the attempt does not hold the stage any more."""
    found = _locked(session, stage_run_id)
    if found is None or found[2].attempt != attempt or found[2].state != StageState.RUNNING:
        return None
    return found


def _expand(session: Session, run: Run) -> list[StageRun]:
    """Add the rows of chunks now that the plan is known, and take over results that an earlier run has left."""
    workflow = WORKFLOWS[run.workflow]
    known = run.plan["facts"]
    prints = ledger.fingerprints(workflow, known)
    done = _kept_results(session, run)
    have = ledger.reuse(workflow, prints, done, known)
    stages = runs.locked_stages(session, run)
    there = {(row.stage, row.chunk) for row in stages}
    places = [p for p in ledger.rows(workflow, known) if p not in there and p[0] not in have.needless]
    for row in stages:
        if row.stage == workflow.planner:
            continue  # its row keeps the fingerprint that it has without a plan
        row.fingerprint = prints[row.stage]
        if (
            row.state == StageState.WAITING
            and row.stage in have.reused
            and ledger.wanted(workflow.stage(row.stage), known)
        ):
            row.state, row.progress = StageState.SUCCEEDED, 1.0
            taken_over = done[prints[row.stage]]
            row.outputs = {k: v for k, v in taken_over.items() if k not in (replacing.STAGED, replacing.SHOWN)}
        elif row.state == StageState.WAITING and row.stage in have.needless:
            row.state = StageState.SKIPPED
    runs.add_rows(session, run, places)
    return runs.locked_stages(session, run)


def _kept_results(session: Session, run: Run) -> dict[str, dict[str, Any]]:
    """Outputs by fingerprint of stages of other runs of the recording whose artefacts are all still there."""
    keys = set(session.scalars(select(Artefact.key).where(Artefact.recording_id == run.recording_id)))
    earlier = (
        select(StageRun)
        .join(Run, StageRun.run_id == Run.id)
        .where(Run.recording_id == run.recording_id, Run.id != run.id, StageRun.state == StageState.SUCCEEDED)
        .order_by(StageRun.finished_at)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in session.scalars(earlier):
        kept = row.outputs.get("kept", [])
        if row.fingerprint and kept and keys.issuperset(kept):
            found[row.fingerprint] = row.outputs
    return found
