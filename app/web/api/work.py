"""The work of all workers over the API: what the page shows, and the same buttons."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, jsonify, request, url_for

from app.access import Action
from app.db import db
from app.db.fixity import FindingKind
from app.db.runs import Run, RunState, StageRun, StageState
from app.db.workers import Worker, WorkerState
from app.domain import paging, rehash, work, workers
from app.web import guard, links
from app.web.api.pages import PAGING, page_size
from app.web.openapi import (
    INTEGER,
    MOMENT,
    NUMBER,
    PREFIX,
    STRING,
    URI,
    UUID,
    array,
    component,
    describe,
    nullable,
    one_of,
    paged,
    thing,
)
from app.web.views.work import NAMES

bp = Blueprint("api_work", __name__, url_prefix=f"{PREFIX}/work")
TAGS = ("work",)

QUEUE = thing(
    {
        "name": STRING,
        "waiting": INTEGER,
        "running": INTEGER,
        "later": INTEGER,
        "no_room": INTEGER,
        "oldest_seconds": nullable(NUMBER),
        "takers": INTEGER,
    },
    note="Jobs; `later` are set for a later moment, `no_room` counts stages that workers could not take up for want of "
    "room, `takers` the workers that take jobs.",
)
WORKER = component(
    "Worker",
    thing(
        {
            "id": UUID,
            "name": STRING,
            "machine": STRING,
            "pid": INTEGER,
            "queues": array(STRING),
            "state": one_of(*(state.value for state in WorkerState)),
            "started_at": MOMENT,
            "heartbeat_at": MOMENT,
            "disk_free_bytes": nullable(INTEGER),
            "memory_peak_bytes": nullable(INTEGER),
            "cpu_seconds": nullable(NUMBER),
            "doing": array(
                thing(
                    {"run_id": UUID, "stage": STRING, "chunk": nullable(INTEGER), "progress": NUMBER, "title": STRING}
                )
            ),
        },
        note="`memory_peak_bytes` and `cpu_seconds` are those of the worker's cgroup (version 2), null where there is none.",
    ),
)
FINDING = thing(
    {
        "recording_id": UUID,
        "key": STRING,
        "what": STRING,
        "kind": one_of(*(kind.value for kind in FindingKind)),
        "found_at": MOMENT,
    }
)
WORK = component(
    "Work",
    thing(
        {
            "queues": array(QUEUE),
            "workers": array(WORKER),
            "stages": array(
                thing(
                    {
                        "stage": STRING,
                        "label": STRING,
                        "ends": INTEGER,
                        "failures": INTEGER,
                        "median_seconds": NUMBER,
                        "cpu_seconds": NUMBER,
                    },
                    note="Of the last seven days.",
                )
            ),
            "fixity": thing(
                {
                    "objects": INTEGER,
                    "verified": INTEGER,
                    "due": INTEGER,
                    "oldest": nullable(MOMENT),
                    "findings": array(FINDING),
                }
            ),
        }
    ),
)
_RUN: dict[str, Any] = {
    "id": UUID,
    "recording": thing({"id": UUID, "title": STRING}),
    "workflow": STRING,
    "state": one_of(*(state.value for state in RunState)),
    "priority": INTEGER,
    "progress": NUMBER,
    "at": array(STRING),
    "waiting": STRING,
    "reason": STRING,
    "created_at": MOMENT,
    "finished_at": nullable(MOMENT),
    "seconds": nullable(NUMBER),
    "cpu_seconds": NUMBER,
    "possible": array(one_of(*work.ACTS)),
    "links": thing({"self": URI, "recording": URI}),
}
RUN = component(
    "Run",
    thing(
        _RUN,
        note="`at` names the stages that are queued, running or failed; `waiting` says why workers could not take one up; "
        "`possible` is what can be done with it: POST to its address with that word behind it.",
    ),
)
PART = thing(
    {
        "stage": STRING,
        "label": STRING,
        "chunk": INTEGER,
        "state": one_of(*(state.value for state in StageState)),
        "attempt": INTEGER,
        "failures": INTEGER,
        "progress": NUMBER,
        "worker": STRING,
        "waiting": STRING,
        "error": STRING,
        "started_at": nullable(MOMENT),
        "finished_at": nullable(MOMENT),
        "seconds": nullable(NUMBER),
        "cpu_seconds": NUMBER,
    }
)
RUN_WHOLE = component("RunWithStages", thing({**_RUN, "stages": array(PART)}))


def _moment(value: Any) -> str | None:
    return value.isoformat() if value is not None else None


def _of_worker(standing: work.WorkerStanding) -> dict[str, Any]:
    """A worker as the API shows it."""
    worker = standing.worker
    shown = _plain(worker)
    if not standing.present:
        shown["state"] = WorkerState.GONE.value
    doing = [{**vars(one), "run_id": str(one.run_id)} for one in standing.doing]
    return {**shown, "doing": doing}


def _plain(worker: Worker) -> dict[str, Any]:
    facts = {name: worker.facts.get(name) for name in ("disk_free_bytes", "memory_peak_bytes", "cpu_seconds")}
    return {
        "id": str(worker.id),
        "name": worker.name,
        "machine": worker.machine,
        "pid": worker.pid,
        "queues": worker.queues,
        "state": worker.state.value,
        "started_at": worker.started_at.isoformat(),
        "heartbeat_at": worker.heartbeat_at.isoformat(),
        **facts,
        "doing": [],
    }


def of_run(run: Run) -> dict[str, Any]:
    """A run as lists show it."""
    return {
        "id": str(run.id),
        "recording": {"id": str(run.recording_id), "title": run.recording.title},
        "workflow": run.workflow,
        "state": run.state.value,
        "priority": run.priority,
        "progress": work.fraction(run),
        "at": work.now_at(run),
        "waiting": work.waiting(run),
        "reason": run.reason,
        "created_at": run.created_at.isoformat(),
        "finished_at": _moment(run.finished_at),
        "seconds": work.seconds(run),
        "cpu_seconds": sum(stage.cpu_seconds for stage in run.stages),
        "possible": work.possible(run),
        "links": {
            "self": url_for("api_work.run", run_id=run.id),
            "recording": url_for("api_recordings.show", recording_id=run.recording_id),
        },
    }


def _part(run: Run, row: StageRun) -> dict[str, Any]:
    return {
        "stage": row.stage,
        "label": work.label_of(run.workflow, row.stage),
        "chunk": row.chunk,
        "state": row.state.value,
        "attempt": row.attempt,
        "failures": row.failures,
        "progress": row.progress,
        "worker": row.worker,
        "waiting": row.waits_for if row.state is StageState.QUEUED else "",
        "error": row.error,
        "started_at": _moment(row.started_at),
        "finished_at": _moment(row.finished_at),
        "seconds": work.seconds(row),
        "cpu_seconds": row.cpu_seconds,
    }


def _whole(run: Run) -> Any:
    return jsonify({**of_run(run), "stages": [_part(run, row) for row in run.stages]})


@bp.get("")
@guard.can(Action.WORK_VIEW)
@describe("Queues, workers, what stages take, and stored objects", responses={200: WORK}, tags=TAGS)
def index() -> Any:
    """Everything but the runs."""
    session, who = db.session(), guard.actor()
    crew = work.crew(session, who)
    standing = rehash.standing(session, guard.core().settings.rehash_days)
    return jsonify(
        {
            "queues": [vars(queue) for queue in work.queues(session, [m.worker for m in crew if m.present])],
            "workers": [_of_worker(member) for member in crew],
            "stages": [vars(figure) for figure in work.figures(session)],
            "fixity": {
                **vars(standing),
                "oldest": _moment(standing.oldest),
                "findings": [
                    {
                        "recording_id": str(row.recording_id),
                        "key": row.key,
                        "what": row.what,
                        "kind": row.kind.value,
                        "found_at": row.found_at.isoformat(),
                    }
                    for row, _ in work.findings(session, who)
                ],
            },
        }
    )


@bp.get("/runs")
@guard.can(Action.WORK_VIEW)
@describe(
    "Runs of recordings through workflows, newest first",
    query={**PAGING, **dict.fromkeys(NAMES, STRING), "sort": one_of(*(s.name for s in work.SORTINGS))},
    responses={200: paged("Runs", RUN)},
    tags=TAGS,
)
def index_runs() -> Any:
    """A page of runs."""
    kept = {name: request.args.get(name, "")[:200] for name in NAMES}
    sort = request.args.get("sort", "")
    page = work.listing(
        db.session(),
        guard.actor(),
        work.Filters(**kept),
        paging.choose(work.SORTINGS, sort),
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
        size=page_size(),
    )
    beside = links.page_links("api_work.index_runs", page, **kept, sort=sort, limit=page_size())
    return jsonify({"items": [of_run(run) for run in page.rows], "links": beside})


@bp.get("/runs/<uuid:run_id>")
@guard.can(Action.WORK_VIEW)
@describe("One run with every stage and chunk", responses={200: RUN_WHOLE}, tags=TAGS)
def run(run_id: uuid.UUID) -> Any:
    """One run."""
    return _whole(work.find(db.session(), guard.actor(), run_id))


@bp.post("/runs/<uuid:run_id>/<any(retry, cancel, raise, lower):act>")
@guard.can(Action.WORK_ADMINISTER)
@describe("Try a run again, cancel it, or move it up or down", responses={200: RUN_WHOLE}, tags=TAGS)
def change(run_id: uuid.UUID, act: work.Act) -> Any:
    """What the page's buttons do."""
    session, who = db.session(), guard.actor()
    found = work.find(session, who, run_id)
    work.do(session, who, found, act)
    return _whole(found)


@bp.post("/workers/<uuid:worker_id>/<any(drain, undrain):act>")
@guard.can(Action.WORK_ADMINISTER)
@describe("Let a worker take no more jobs, or jobs again", responses={200: WORKER}, tags=TAGS)
def change_worker(worker_id: uuid.UUID, act: str) -> Any:
    """Drain or undrain."""
    worker = (workers.drain if act == "drain" else workers.undrain)(db.session(), guard.actor(), worker_id)
    return jsonify(_plain(worker))
