"""Scoring a recording after watching, and what its facilitators see of the scores."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from app.access import Action
from app.db import db
from app.db.recordings import Recording
from app.domain import evaluations, vocabulary
from app.errors import Invalid
from app.web import guard
from app.web.views.watch import watch_page

bp = Blueprint("evaluations", __name__)


def _scores() -> dict[uuid.UUID, int]:
    """Question to score, as far as the form says; whatever is no digit from 1 to 5 counts as not answered."""
    return {
        question.id: int(value)
        for question in vocabulary.evaluation_questions(db.session())
        if (value := request.form.get(str(question.id), "")) in {"1", "2", "3", "4", "5"}
    }


@bp.post("/recordings/<uuid:recording_id>/evaluation")
@guard.on(Action.RECORDING_EVALUATE, Recording)
def send(recording: Recording) -> Any:
    """Keep the scores; faults show the watch page again with what was chosen."""
    scores, reflection = _scores(), request.form.get("reflection", "").replace("\x00", "")
    try:
        evaluations.evaluate(db.session(), guard.actor(), recording, scores, reflection)
    except Invalid as error:
        return watch_page(recording, errors=error.fields, scores=scores, reflection=reflection), 400
    flash("Thank you. Your scores have been saved.", "success")
    return redirect(url_for("watch.show", recording_id=recording.id, shown="yes"))


@bp.get("/recordings/<uuid:recording_id>/evaluation")
@guard.on(Action.RECORDING_MANAGE, Recording)
def results(recording: Recording) -> Any:
    """The figures, for those who manage the recording."""
    return render_template(
        "pages/evaluations/results.html",
        recording=recording,
        results=evaluations.results(db.session(), [recording.id]),
    )
