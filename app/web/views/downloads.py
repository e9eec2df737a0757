"""Downloading a recording, for those who may: a form, so that each time is written down, and then the file itself."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template
from wtforms import RadioField, SelectField
from wtforms.validators import InputRequired

from app import clock
from app.access import Action, policy
from app.captions import files
from app.db import db
from app.db.recordings import Recording
from app.domain import downloads
from app.web import captions_shown, doors, guard
from app.web.forms import Form, text_field
from app.web.headers import content_security_policy, origin_of

bp = Blueprint("downloads", __name__)


class DownloadForm(Form):
    """What, and why."""

    part = RadioField("What to download", [InputRequired("Choose what to download")], choices=[])
    format = SelectField(
        "Kind of file",
        choices=[("", "The usual one"), *((one.name, f"{one.label} (.{one.name})") for one in files.FORMATS.values())],
        validate_choice=False,
        description="For captions WebVTT, SubRip, TTML, plain text or Word; for transcripts plain text or Word.",
    )
    reason = text_field("Why you download it", most=downloads.MOST_REASON, hint="It is kept with your name.")


@bp.get("/recordings/<uuid:recording_id>/download")
@guard.on(Action.RECORDING_DOWNLOAD, Recording)
def show(recording: Recording) -> Any:
    """What there is to download."""
    return _page(recording, _filled(DownloadForm(formdata=None), recording))


def drafts(recording: Recording) -> bool:
    """Whether whoever asks may also take what is still being worked on."""
    return policy.allows(db.session(), guard.actor(), Action.CAPTIONS_EDIT, recording.id, clock.now())


def _filled(form: DownloadForm, recording: Recording) -> DownloadForm:
    found = downloads.parts(db.session(), recording, captions_shown.shown(), drafts=drafts(recording))
    form.part.choices = [(part.name, part.label) for part in found]
    if len(found) > 0 and form.part.data is None:
        form.part.data = found[0].name
    return form


def _page(recording: Recording, form: DownloadForm) -> Any:
    errors = form.sentences()
    page = render_template(
        "pages/share/download.html",
        recording=recording,
        form=form,
        asks_why=downloads.needs_reason(db.session(), guard.actor(), recording),
        errors=errors,
    )
    answer = make_response(page, 400 if errors else 200)
    # browsers hold the redirect after a form to `form-action` too, and the file lies at the storage
    storage = origin_of(guard.core().storage.public_endpoint)
    answer.headers["Content-Security-Policy"] = content_security_policy(storage).replace(
        "form-action 'self'", f"form-action 'self' {storage}".strip()
    )
    return answer


@bp.post("/recordings/<uuid:recording_id>/download")
@guard.on(Action.RECORDING_DOWNLOAD, Recording)
def send(recording: Recording) -> Any:
    """Write it down and hand the file over."""
    form = _filled(DownloadForm(), recording)
    if not form.part.choices:
        return _page(recording, form)
    taken = form.attempt(
        lambda: downloads.take(
            db.session(),
            guard.actor(),
            recording,
            form.part.data or "",
            captions_shown.shown(),
            form.reason.data or "",
            kind=form.format.data or "",
            drafts=drafts(recording),
        )
    )
    return _page(recording, form) if taken is None else file(taken)


def file(taken: downloads.Taken) -> Any:
    """The file, as one to be kept; stored ones by an address that lives for a minute at most where that can be reached."""
    disposition = f'attachment; filename="{taken.filename}"'
    if taken.artefact is None:
        return Response(taken.body, content_type=taken.media_type, headers={"Content-Disposition": disposition})
    key, size, media_type = taken.artefact.key, taken.artefact.size, taken.artefact.media_type
    storage = guard.core().storage
    if doors.door(guard.core()) == "s3" and not guard.uses_token():
        return redirect(storage.presign_get(key, media_type=media_type, disposition=disposition), 303)
    db.session.commit()  # written down before the first byte goes out; and a slow reader must not hold a connection
    db.session.close()
    body, _ = storage.stream(key, (0, size - 1))
    headers = {"Content-Disposition": disposition, "Content-Length": str(size)}
    return Response(body, mimetype=media_type, headers=headers, direct_passthrough=True)
