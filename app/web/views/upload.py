"""The page where a recording begins: what it is of, and its file."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import HiddenField, SelectField, TextAreaField
from wtforms.validators import Length

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.recordings import Recording, Upload
from app.db.vocabulary import TermKind
from app.domain import cases, recordings, uploads, vocabulary
from app.web import choices, guard
from app.web.forms import Checkboxes, Day, Form, text_field
from app.web.links import as_id

bp = Blueprint("upload", __name__)


class UploadForm(Form):
    """What is said of a recording with its file; the script sends it, so it is only shown here."""

    recording_id = HiddenField()
    case_id = SelectField("Case", choices=[])
    title = text_field("Title", most=200, required="Enter a title", hint="Nothing that tells who was filmed.")
    themes = Checkboxes("Themes", choices=[], description="Those of the case, unless you change them.")
    recorded_on = Day("Date of filming (optional)")
    description = TextAreaField(
        "Description (optional)", [Length(max=10_000)], description="For example which part of the case is played."
    )
    language = SelectField("Language spoken", choices=[], description=choices.LANGUAGE_HINT)


@bp.get("/recordings/new")
@guard.can(Action.RECORDING_CREATE)
def new() -> Any:
    """Choose a file for a new recording, or another file for one that was not accepted."""
    session, who = db.session(), guard.actor()
    known = cases.recordable(session, who)
    asked_case = as_id(request.args.get("case", ""))
    again = _again(as_id(request.args.get("recording", "")))
    if again is not None:
        asked_case = again.case_id
    chosen = next((case for case in known if case.id == asked_case), None)
    form = UploadForm(formdata=None)
    form.case_id.choices = [(str(case.id), case.title) for case in known]
    form.themes.choices = [(term.code, term.name) for term in vocabulary.terms_of(session, TermKind.THEME)]
    form.language.choices = choices.languages(guard.core().settings.caption_language)
    if chosen is not None:
        form.case_id.data = str(chosen.id)
        form.themes.data = [term.code for term in recordings.themes_from_case(chosen)]
    if again is not None:
        form.recording_id.data, form.title.data, form.description.data = again.id, again.title, again.description
        form.themes.data, form.recorded_on.data = [term.code for term in again.terms], again.recorded_on
    return render_template(
        "pages/upload/new.html",
        form=form,
        case=chosen,
        again=again,
        has_cases=bool(known),
        may_add_case=policy.can(who, Action.CASE_CREATE),
        max_bytes=guard.core().settings.max_upload_bytes,
        unfinished=[_row(upload) for upload in uploads.unfinished(session, who)],
    )


def _again(recording_id: uuid.UUID | None) -> Recording | None:
    if recording_id is None:
        return None
    return policy.require(db.session(), guard.actor(), Action.RECORDING_EDIT, Recording, recording_id, clock.now())


def _row(upload: Upload) -> dict[str, Any]:
    sent = uploads.stored_parts(guard.core().storage, upload)
    return {
        "id": upload.id,
        "filename": upload.filename,
        "size": upload.size,
        "last_modified": upload.last_modified if upload.last_modified is not None else "",
        "sent": sum(part.size for part in sent),
        "title": upload.recording.title,
        "case": upload.recording.case.title,
        "started": upload.created_at,
        "cancel": url_for("upload.cancel", upload_id=upload.id),
    }


@bp.post("/uploads/<uuid:upload_id>/cancel")
@guard.can(Action.RECORDING_CREATE)
def cancel(upload_id: uuid.UUID) -> Any:
    """Cancel an unfinished upload from a page."""
    upload = uploads.require(db.session(), guard.actor(), upload_id, lock=True)
    uploads.cancel(db.session(), guard.core().storage, guard.actor(), upload)
    flash("The upload is cancelled, and what was sent is deleted.", "success")
    return redirect(url_for("recordings.mine"))
