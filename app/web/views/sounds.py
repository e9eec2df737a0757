"""Which tracks of sound of a recording are heard: a choice for files that have several."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import RadioField
from wtforms.validators import InputRequired

from app.access import Action
from app.db import db
from app.db.recordings import Recording
from app.domain import sounds
from app.web import guard
from app.web.forms import Checkboxes, Form

bp = Blueprint("sounds", __name__, url_prefix="/recordings")


class SoundsForm(Form):
    """The usual track, and others beside it."""

    usual = RadioField(
        "Sound that people hear",
        [InputRequired("Choose the sound that people hear")],
        choices=[],
        description="Captions are made of this one.",
    )
    others = Checkboxes(
        "Other sounds to offer (optional)",
        choices=[],
        description="People can change to these in the player. Listen to each one to its end first.",
    )


@bp.route("/<uuid:recording_id>/sounds", methods=["GET", "POST"])
@guard.on(Action.RECORDING_EDIT, Recording)
def edit(recording: Recording) -> Any:
    """Choose."""
    session = db.session()
    tracks = sounds.of_source(session, recording)
    form = SoundsForm()
    form.usual.choices = form.others.choices = [(str(track.index), track.label) for track in tracks]
    if request.method == "POST":
        # a file with one track or none has no choice to send, and is told so by the verb
        usual = form.usual.data if (form.usual.data or "").isdecimal() else None
        others = [int(value) for value in form.others.data or [] if value.isdecimal()]

        def act() -> bool:
            sounds.choose(session, guard.actor(), recording, None if usual is None else int(usual), others)
            return True

        if form.attempt(act):
            flash("The sound is being prepared again. The picture stays as it is.", "success")
            return redirect(url_for("recordings.manage", recording_id=recording.id))
    else:
        form.usual.data = next((str(track.index) for track in tracks if track.usual), None)
        form.others.data = [str(track.index) for track in tracks if track.offered and not track.usual]
    errors = form.sentences()
    page = render_template("pages/recordings/sounds.html", form=form, errors=errors, recording=recording, tracks=tracks)
    return page, 400 if errors else 200
