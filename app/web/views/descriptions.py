"""Audio description of a recording: saying that none is needed and why, or which recording is the described version."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import RadioField, SelectField, TextAreaField

from app.access import Action
from app.db import db
from app.db.recordings import Recording
from app.domain import descriptions
from app.web import guard, links
from app.web.forms import Form

bp = Blueprint("descriptions", __name__)


class DescriptionForm(Form):
    """What was decided."""

    status = RadioField(
        "What is true of this recording?",
        choices=[
            ("described", "There is a described version"),
            ("not-needed", "It needs none: everything that matters can be heard"),
            ("missing", "It has none, and none was decided on"),
        ],
        default="missing",
        validate_choice=False,
    )
    described = SelectField(
        "The described version",
        choices=[],
        validate_choice=False,
        description="Another recording of the same case that you may edit. Upload it like any other; it has its own "
        "captions and is shared on its own.",
    )
    reason = TextAreaField("Why none is needed", description="People who cannot see the picture read this.")


@bp.route("/recordings/<uuid:recording_id>/audio-description", methods=["GET", "POST"])
@guard.on(Action.RECORDING_EDIT, Recording)
def edit(recording: Recording) -> Any:
    """Decide."""
    session, who = db.session(), guard.actor()
    form = DescriptionForm()
    found = descriptions.candidates(session, who, recording)
    form.described.choices = [("", "Select a recording"), *((str(row.id), row.title) for row in found)]
    made = descriptions.decision(session, recording.id)
    if request.method == "POST":

        def act() -> bool:
            descriptions.decide(
                session,
                who,
                recording,
                form.status.data or "",
                reason=form.reason.data or "",
                described_id=links.as_id(form.described.data or ""),
            )
            return True

        if form.attempt(act):
            flash("The audio description has been saved.", "success")
            return redirect(url_for("recordings.manage", recording_id=recording.id))
    elif made is not None:
        form.status.data, form.reason.data = made.status.value, made.reason
        form.described.data = str(made.described_id or "")
    errors = form.sentences()
    page = render_template(
        "pages/recordings/description.html", form=form, errors=errors, recording=recording, made=made
    )
    return page, 400 if errors else 200
