"""The work of all workers, for those who keep it going: queues, workers, runs with their stages, and what can be changed.

What is shown of recordings is asked of the policy, as everywhere: who may not view one reads no title and no run of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, exists, func, or_, select, text
from sqlalchemy.orm import Session, contains_eager, joinedload, selectinload

from app import clock
from app.access import Action, Actor, policy
from app.db.fixity import FixityFinding
from app.db.recordings import Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.db.workers import Worker
from app.domain import audit, paging, runs, workers
from app.domain.paging import Page, Sorting
from app.errors import Invalid, NotFound
from app.pipeline.spec import QUEUES
from app.pipeline.workflows import WORKFLOWS

Act = Literal["retry", "cancel", "raise", "lower"]
ACTS: tuple[Act, ...] = get_args(Act)
LATELY = timedelta(days=7)
MOST_FINDINGS = 50
SORTINGS = (
    Sorting("newest", "Newest first", Run.created_at, descending=True),
    Sorting("oldest", "Oldest first", Run.created_at),
    Sorting("priority", "Highest priority first", Run.priority, descending=True),
)
#: A run stands at the stages that are in one of these states.
_AT = (StageState.QUEUED, StageState.RUNNING, StageState.FAILED)


# -- queues and workers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QueueStanding:
    """One queue: jobs that could be taken now, those that are being worked on, those that are set for later (a pause before
    another try), and for how many seconds the oldest of the first has waited. `no_room` counts stages that workers could
    not take up for want of room; `takers` the workers that take jobs of it."""

    name: str
    waiting: int = 0
    running: int = 0
    later: int = 0
    no_room: int = 0
    oldest_seconds: float | None = None
    takers: int = 0


_QUEUES = text("""
    SELECT j.queue_name,
      count(*) FILTER (WHERE j.status = 'todo' AND due) AS waiting,
      count(*) FILTER (WHERE j.status = 'doing') AS running,
      count(*) FILTER (WHERE j.status = 'todo' AND NOT due) AS later,
      extract(epoch FROM now() - min(greatest(e.at, j.scheduled_at)) FILTER (WHERE j.status = 'todo' AND due))::float
    FROM procrastinate_jobs j
    CROSS JOIN LATERAL (SELECT coalesce(j.scheduled_at <= now(), true) AS due) d
    LEFT JOIN LATERAL (
      SELECT max(at) AS at FROM procrastinate_events WHERE job_id = j.id AND type IN ('deferred', 'deferred_for_retry')
    ) e ON true
    WHERE j.status = 'doing' OR (j.status = 'todo' AND EXISTS (
      -- the job of a stage that was cancelled is taken up for nothing
      SELECT 1 FROM stage_runs s WHERE s.id = (j.args ->> 'stage_run_id')::uuid AND s.state = 'queued'
    ))
    GROUP BY j.queue_name
""")


def queues(session: Session, present: Sequence[Worker]) -> list[QueueStanding]:
    """All queues, also empty ones: two queries. `present` are the workers that are there."""
    jobs = {row[0]: row[1:] for row in session.execute(_QUEUES)}
    turned_away = session.execute(
        select(Run.workflow, StageRun.stage, func.count())
        .join(Run, StageRun.run_id == Run.id)
        .where(StageRun.state == StageState.QUEUED, StageRun.waits_for != "")
        .group_by(Run.workflow, StageRun.stage)
    ).all()
    found = []
    for name in QUEUES:
        waiting, running, later, oldest = jobs.get(name, (0, 0, 0, None))
        found.append(
            QueueStanding(
                name,
                waiting,
                running,
                later,
                sum(count for workflow, stage, count in turned_away if _queue_of(workflow, stage) == name),
                max(0.0, oldest) if oldest is not None else None,
                sum(name in worker.queues and worker.state.value == "working" for worker in present),
            )
        )
    return found


@dataclass(frozen=True)
class Doing:
    """A stage that is being worked on. `title` is empty where it is not the actor's to read."""

    run_id: uuid.UUID
    stage: str
    chunk: int | None
    progress: float
    title: str


@dataclass(frozen=True)
class WorkerStanding:
    """A worker and what it works on; `present` says whether it has been heard of lately."""

    worker: Worker
    present: bool
    silent_seconds: float
    doing: list[Doing] = field(default_factory=list)


def crew(session: Session, actor: Actor) -> list[WorkerStanding]:
    """All workers that are there or have gone lately: three queries."""
    now = clock.now()
    rows = session.execute(
        select(StageRun, Run).join(Run, StageRun.run_id == Run.id).where(StageRun.state == StageState.RUNNING)
    ).all()
    titles = _titles(session, actor, {run.recording_id for _, run in rows}, now)
    doing: dict[str, list[Doing]] = {}
    for stage, run in rows:
        doing.setdefault(stage.worker, []).append(
            Doing(
                run.id,
                label_of(run.workflow, stage.stage),
                stage.chunk + 1 if _per_chunk(run.workflow, stage.stage) else None,
                stage.progress,
                titles.get(run.recording_id, ""),
            )
        )
    return [
        WorkerStanding(
            worker,
            workers.present(worker, now),
            max(0.0, (now - worker.heartbeat_at).total_seconds()),
            doing.get(worker.name, []),
        )
        for worker in workers.listing(session)
    ]


@dataclass(frozen=True)
class StageFigures:
    """What one stage took lately, over all recordings: ends, failures among them, middle of the seconds, processor time."""

    stage: str
    label: str
    ends: int
    failures: int
    median_seconds: float
    cpu_seconds: float


def figures(session: Session) -> list[StageFigures]:
    """What each stage took in the last seven days: one query."""
    took = func.extract("epoch", StageRun.finished_at - StageRun.started_at)
    query = (
        select(
            Run.workflow,
            StageRun.stage,
            func.count(),
            func.count().filter(StageRun.state == StageState.FAILED),
            func.percentile_cont(0.5).within_group(took),
            func.sum(StageRun.cpu_seconds),
        )
        .join(Run, StageRun.run_id == Run.id)
        .where(
            StageRun.state.in_((StageState.SUCCEEDED, StageState.FAILED)),
            StageRun.started_at.is_not(None),
            StageRun.finished_at > clock.now() - LATELY,
        )
        .group_by(Run.workflow, StageRun.stage)
        .order_by(func.sum(StageRun.cpu_seconds).desc(), StageRun.stage)
    )
    return [
        StageFigures(stage, label_of(workflow, stage), ends, failures, float(median or 0), float(cpu or 0))
        for workflow, stage, ends, failures, median, cpu in session.execute(query)
    ]


def findings(session: Session, actor: Actor) -> list[tuple[FixityFinding, str]]:
    """Stored objects that are wrong now, the latest first, each with its recording's title where the actor may read it."""
    rows = session.scalars(select(FixityFinding).order_by(FixityFinding.found_at.desc()).limit(MOST_FINDINGS)).all()
    titles = _titles(session, actor, {row.recording_id for row in rows}, clock.now())
    return [(row, titles.get(row.recording_id, "")) for row in rows]


def _titles(session: Session, actor: Actor, ids: Collection[uuid.UUID], now: datetime) -> Mapping[uuid.UUID, str]:
    if not ids:
        return {}
    may = policy.where(actor, Action.RECORDING_VIEW, now)
    return {
        row.id: row.title
        for row in session.execute(select(Recording.id, Recording.title).where(Recording.id.in_(ids), may))
    }


# -- runs ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filters:
    """What the list of runs is narrowed to; what is empty narrows nothing. `stage` means runs that stand there now, or
    failed there; `recording` is an id, or words of a title."""

    state: str = ""
    workflow: str = ""
    stage: str = ""
    recording: str = ""


def listing(
    session: Session,
    actor: Actor,
    filters: Filters,
    sorting: Sorting,
    *,
    after: str = "",
    before: str = "",
    size: int = paging.PAGE,
) -> Page[Run]:
    """A page of runs of recordings that the actor may view: two queries.

    Raises:
        Invalid: there is no such state, workflow, stage or page.
    """
    query = _visible(actor).options(contains_eager(Run.recording), selectinload(Run.stages))
    for condition in _conditions(filters):
        query = query.where(condition)
    return paging.read(session, query, Run, sorting, after=after, before=before, size=size)


def find(session: Session, actor: Actor, run_id: uuid.UUID) -> Run:
    """A run with its recording and stages.

    Raises:
        NotFound: there is none, or its recording is not the actor's to view.
    """
    query = _visible(actor).options(joinedload(Run.recording), selectinload(Run.stages))
    run: Run | None = session.scalar(query.where(Run.id == run_id))
    if run is None:
        raise NotFound
    return run


def _visible(actor: Actor) -> Any:
    may = policy.where(actor, Action.RECORDING_VIEW, clock.now())
    return select(Run).join(Recording, Run.recording_id == Recording.id).where(may)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    wrong: dict[str, str] = {}
    if filters.state and filters.state not in {state.value for state in RunState}:
        wrong["state"] = "There is no such state"
    if filters.workflow and filters.workflow not in WORKFLOWS:
        wrong["workflow"] = "There is no such workflow"
    if filters.stage and filters.stage not in stages_by_name():
        wrong["stage"] = "There is no such stage"
    if wrong:
        raise Invalid(next(iter(wrong.values())), fields=wrong)
    found: list[ColumnElement[bool]] = []
    if filters.state:
        found.append(Run.state == RunState(filters.state))
    if filters.workflow:
        found.append(Run.workflow == filters.workflow)
    if filters.stage:
        found.append(
            exists().where(StageRun.run_id == Run.id, StageRun.stage == filters.stage, StageRun.state.in_(_AT))
        )
    if words := filters.recording.strip().replace("\x00", ""):
        by_title = Recording.title.icontains(words, autoescape=True)
        try:
            found.append(or_(Recording.id == uuid.UUID(words), by_title))
        except ValueError:
            found.append(by_title)
    return found


def stages_by_name() -> dict[str, str]:
    """All stages of all workflows, with what people call them."""
    return {stage.name: stage.label for workflow in WORKFLOWS.values() for stage in workflow}


def label_of(workflow: str, stage: str) -> str:
    """What people call a stage; its name, where an older or newer program knew it."""
    return next((s.label for s in WORKFLOWS.get(workflow, ()) if s.name == stage), stage)


def _queue_of(workflow: str, stage: str) -> str:
    return next((s.queue for s in WORKFLOWS.get(workflow, ()) if s.name == stage), "")


def _per_chunk(workflow: str, stage: str) -> bool:
    return any(s.per_chunk for s in WORKFLOWS.get(workflow, ()) if s.name == stage)


def fraction(run: Run) -> float:
    """How far a run is, 0 to 1."""
    if run.workflow not in WORKFLOWS:
        return 1.0 if run.state == RunState.SUCCEEDED else 0.0
    return float(runs.progress(run)["fraction"])


def now_at(run: Run) -> list[str]:
    """What a run is at, or failed at, in words."""
    names = dict.fromkeys(row.stage for row in run.stages if row.state in _AT)
    return [label_of(run.workflow, name) for name in names]


def waiting(run: Run) -> str:
    """Why workers could not take up what a run is at, as a sentence; empty when nothing of it was turned away."""
    return next((words for _, parts in grouped(run) if (words := runs.waiting(parts))), "")


def seconds(row: Run | StageRun) -> float | None:
    """How long a run or the last attempt at a stage has taken so far, or took; None before it began."""
    began = row.created_at if isinstance(row, Run) else row.started_at
    if began is None or (isinstance(row, StageRun) and row.finished_at is None and row.state != StageState.RUNNING):
        return None
    return max(0.0, ((row.finished_at or clock.now()) - began).total_seconds())


def grouped(run: Run) -> list[tuple[str, list[StageRun]]]:
    """The stages of a run in their order, each with its chunks."""
    found: dict[str, list[StageRun]] = {}
    for row in run.stages:
        found.setdefault(row.stage, []).append(row)
    return list(found.items())


def possible(run: Run) -> list[Act]:
    """What can be done with a run as it stands."""
    if run.state in runs.UNFINISHED:
        moves: list[Act] = ["raise"] if run.priority < max(runs.PRIORITIES) else []
        moves += ["lower"] if run.priority > min(runs.PRIORITIES) else []
        return [*moves, "cancel"] if run.state == RunState.RUNNING else []
    again = run.state in (RunState.FAILED, RunState.CANCELLED)
    return ["retry"] if again and run.recording.state in (RecordingState.FAILED, RecordingState.READY) else []


def do(session: Session, actor: Actor, run: Run, act: Act) -> None:
    """Retry, cancel, raise or lower a run, and write it down.

    Raises:
        Conflict: that cannot be done with it as it stands.
    """
    detail = {"run": str(run.id)}
    if act == "retry":
        runs.retry(session, run)
        audit.record(session, actor, "processing:retry", "recording", run.recording_id, **detail)
    elif act == "cancel":
        runs.cancel(session, run, by=actor.name)
        audit.record(session, actor, "processing:cancel", "recording", run.recording_id, **detail)
    else:
        before = run.priority
        higher = act == "raise"
        if runs.reprioritise(session, run, higher=higher) != before:
            audit.record(
                session,
                actor,
                "processing:raise" if higher else "processing:lower",
                "recording",
                run.recording_id,
                **detail,
            )
