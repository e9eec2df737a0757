"""The work of all workers: queues, workers, runs and their stages, and the buttons that keep it going."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.runs import Run, RunState
from app.domain import paging, rehash, runs, work, workers
from app.pipeline.workflows import WORKFLOWS
from app.web import guard, links, rows
from app.web.forms import Form, text_field

bp = Blueprint("work", __name__, url_prefix="/work")

NAMES = ("state", "workflow", "stage", "recording")
DONE = {
    "retry": "The recording is being processed again. What was done before is not done twice.",
    "cancel": "Processing is being cancelled. It can be tried again.",
    "raise": "Moved up: its jobs are taken before those of a lower priority.",
    "lower": "Moved down: its jobs are taken after those of a higher priority.",
    "drain": "The worker takes no more jobs and finishes what it has.",
    "undrain": "The worker takes jobs again.",
}


class FilterForm(Form):
    """What the list of runs is narrowed to, as it stands in the address."""

    state = SelectField(
        "State", validate_choice=False, choices=[("", "Any"), *((s.value, s.value.capitalize()) for s in RunState)]
    )
    workflow = SelectField("Workflow", validate_choice=False)
    stage = SelectField("Stands or failed at", validate_choice=False)
    recording = text_field("Recording", most=200, hint="Words of its title, or its id")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.workflow.choices = [("", "Any"), *((name, name.capitalize()) for name in WORKFLOWS)]
        self.stage.choices = [("", "Any stage"), *work.stages_by_name().items()]

    @property
    def filters(self) -> work.Filters:
        """The same for the domain."""
        return work.Filters(**{name: getattr(self, name).data or "" for name in NAMES})


@bp.get("")
@guard.can(Action.WORK_VIEW)
def index() -> Any:
    """Everything at once."""
    session, who, asked = db.session(), guard.actor(), request.args
    form = FilterForm(formdata=asked)
    kept: dict[str, Any] = {name: asked[name] for name in NAMES if asked.get(name)}
    sorting = paging.choose(work.SORTINGS, asked.get("sort"))

    def read() -> paging.Page[Run]:
        after, before = asked.get("after", ""), asked.get("before", "")
        return work.listing(session, who, form.filters, sorting, after=after, before=before)

    page = form.attempt(read)
    crew = work.crew(session, who)
    days = guard.core().settings.rehash_days
    errors = form.sentences()
    body = render_template(
        "pages/work/index.html",
        form=form,
        errors=errors,
        kept=kept,
        queues=work.queues(session, [member.worker for member in crew if member.present]),
        crew=crew,
        runs=[row(run) for run in page.rows] if page else [],
        beside=links.page_links("work.index", page, **kept, sort=asked.get("sort", "")) if page else {},
        sortings=rows.sortings("work.index", work.SORTINGS, sorting, kept),
        figures=work.figures(session),
        days=days,
        fixity=rehash.standing(session, days),
        findings=work.findings(session, who),
        may=may(),
        at=clock.now(),
    )
    return body, 400 if errors else 200


def may() -> bool:
    """Whether whoever asks may press the buttons."""
    return policy.can(guard.actor(), Action.WORK_ADMINISTER)


def row(run: Run) -> dict[str, Any]:
    """A run as the list shows it."""
    return {
        "run": run,
        "title": run.recording.title,
        "priority": runs.priority_word(run.priority),
        "percent": int(work.fraction(run) * 100),
        "at": work.now_at(run),
        "waiting": work.waiting(run),
        "seconds": work.seconds(run),
        "cpu_seconds": sum(stage.cpu_seconds for stage in run.stages),
        "possible": work.possible(run),
    }


@bp.get("/runs/<uuid:run_id>")
@guard.can(Action.WORK_VIEW)
def run(run_id: uuid.UUID) -> Any:
    """One run: its stages and chunks, and what each took."""
    found = work.find(db.session(), guard.actor(), run_id)
    stages = [
        {
            "label": work.label_of(found.workflow, name),
            "state": runs.common_state([part.state.value for part in parts]),
            "waiting": runs.waiting(parts),
            "errors": list(dict.fromkeys(part.error for part in parts if part.error)),
            "seconds": sum(took) if (took := [s for part in parts if (s := work.seconds(part)) is not None]) else None,
            "cpu_seconds": sum(part.cpu_seconds for part in parts) or None,
            "attempts": sum(part.attempt for part in parts),
            "parts": [{"part": part, "seconds": work.seconds(part)} for part in parts],
        }
        for name, parts in work.grouped(found)
    ]
    return render_template("pages/work/run.html", **row(found), stages=stages, may=may())


@bp.post("/runs/<uuid:run_id>/<any(retry, cancel, raise, lower):act>")
@guard.can(Action.WORK_ADMINISTER)
def change(run_id: uuid.UUID, act: work.Act) -> Any:
    """Press one of a run's buttons."""
    work.do(db.session(), guard.actor(), work.find(db.session(), guard.actor(), run_id), act)
    flash(DONE[act], "success")
    return redirect(url_for("work.run", run_id=run_id))


@bp.post("/workers/<uuid:worker_id>/<any(drain, undrain):act>")
@guard.can(Action.WORK_ADMINISTER)
def worker(worker_id: uuid.UUID, act: str) -> Any:
    """Let a worker take no more jobs, or jobs again."""
    (workers.drain if act == "drain" else workers.undrain)(db.session(), guard.actor(), worker_id)
    flash(DONE[act], "success")
    return redirect(url_for("work.index", _anchor="workers"))
