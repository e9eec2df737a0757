"""Choosing the still that stands for a recording."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from wtforms import RadioField

from app.access import Action
from app.db import db
from app.db.recordings import ArtefactKind, Recording
from app.domain import playback, posters, recordings
from app.errors import Invalid, NotFound
from app.web import guard
from app.web.forms import Form, text_field
from app.web.views.playback import deliver

bp = Blueprint("posters", __name__, url_prefix="/recordings")

MOMENT, AUTOMATIC = "moment", "automatic"


class PosterForm(Form):
    """One of the candidates by number, another moment, or the machine's choice."""

    choice = RadioField("Which picture should stand for the recording?", choices=[])
    second = text_field(
        "Another moment", most=12, hint="A time of the recording, like 1:15. Fill this in if you chose it above."
    )


@bp.route("/<uuid:recording_id>/poster", methods=["GET", "POST"])
@guard.on(Action.RECORDING_EDIT, Recording)
def choose(recording: Recording) -> Any:
    """Choose among candidates, or name a moment."""
    session, form = db.session(), PosterForm()
    stills = {str(posters.number_of(row)): posters.second_of(row) for row in posters.candidates(session, recording.id)}
    form.choice.choices = [*((number, "") for number in stills), (MOMENT, ""), (AUTOMATIC, "")]
    if request.method == "POST":

        def act() -> str:
            if form.choice.data == AUTOMATIC:
                posters.forget(session, guard.actor(), recording)
                return "The picture that Vignette chose is shown again."
            if form.choice.data == MOMENT:
                second = posters.read_second(form.second.data or "", recording.duration_ms)
            else:
                second = stills[form.choice.data]
            posters.choose(session, guard.actor(), recording, second)
            return "The picture is being made. It is shown in a moment."

        if form.choice.data is None:
            form.refuse(Invalid("", fields={"choice": "Select a picture"}))
        elif told := form.attempt(act):
            flash(told, "success")
            return redirect(url_for("recordings.manage", recording_id=recording.id))
    errors = form.sentences()
    page = render_template(
        "pages/recordings/poster.html",
        form=form,
        errors=errors,
        recording=recording,
        stills=stills,
        current=_current(recording),
        ready=recordings.standing(recording) in ("ready", "published", "withdrawn"),
    )
    return page, 400 if errors else 200


def _current(recording: Recording) -> float | None:
    """The second of the still that is shown; None when there is none."""
    try:
        return posters.second_of(posters.current(db.session(), recording.id))
    except NotFound:
        return None


@bp.get("/<uuid:recording_id>/poster/<int:number>.jpg")
@guard.on(Action.RECORDING_EDIT, Recording)
def candidate(recording: Recording, number: int) -> Response:
    """One of the pictures to choose from."""
    return deliver(playback.artefact(db.session(), recording.id, ArtefactKind.POSTER, posters.candidate(number)))
