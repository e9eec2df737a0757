"""Bringing captions as a file, and beginning a second language. Both work without scripts."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import FileField, SelectField

from app import clock
from app.access import Action, policy
from app.captions import languages, tracks
from app.db import db
from app.db.recordings import Recording
from app.domain import caption_files, caption_versions
from app.domain.caption_files import Brought
from app.errors import Conflict, Invalid
from app.web import guard
from app.web.forms import Form

bp = Blueprint("caption_files", __name__, url_prefix="/recordings/<uuid:recording_id>/captions")

CHOICES = [("", "Select a language"), *((one.tag, one.label) for one in languages.LANGUAGES.values())]


class ImportForm(Form):
    """A caption file and its language."""

    file = FileField(
        "Caption file",
        description="WebVTT, SubRip (.srt), TTML, plain text or Word (.docx), at most 4 MB.",
    )
    language = SelectField("Language", choices=CHOICES, validate_choice=False)


class TranslationForm(Form):
    """The language to translate into."""

    language = SelectField(
        "Language",
        choices=CHOICES,
        validate_choice=False,
        description="The captions are copied; in the editor you then overwrite them one by one.",
    )


@bp.url_value_preprocessor
def allow_a_whole_file(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """A caption file is larger than other forms; this comes before anything reads the form."""
    request.max_content_length = tracks.MAX_BYTES + 64 * 1024


def uploaded() -> tuple[bytes, str]:
    """The bytes of the file that came with the form, one more than is allowed at most, and its name.

    Raises:
        Invalid: there is none.
    """
    chosen = request.files.get("file")
    data = chosen.read(tracks.MAX_BYTES + 1) if chosen is not None else b""
    if chosen is None or not data:
        raise Invalid("Select a caption file", fields={"file": "Select a caption file"})
    return data, chosen.filename or ""


@bp.route("/import", methods=["GET", "POST"])
@guard.on(Action.CAPTIONS_EDIT, Recording)
def bring(recording: Recording) -> Any:
    """Choose a file; what was brought is told, with what to look at."""
    form = ImportForm()
    if request.method == "GET":
        asked = request.args.get("language", "")
        form.language.data = asked if asked in languages.LANGUAGES else _usual(recording)
    else:

        def act() -> Brought:
            # everything that is wrong is said at once
            faults: dict[str, str] = {}
            try:
                caption_files.check_language(form.language.data or "")
            except Invalid as error:
                faults |= error.fields
            try:
                data, name = uploaded()
            except Invalid as error:
                faults |= error.fields
            if faults:
                raise Invalid("; ".join(faults.values()), fields=faults)
            try:
                return caption_files.bring(
                    db.session(), guard.core().storage, guard.actor(), recording, form.language.data, data, name
                )
            except Invalid as error:
                raise Invalid(str(error), fields=error.fields or {"file": str(error)}) from None

        brought = form.attempt(act)
        if brought is not None:
            return _done(recording, brought)
    errors = form.sentences()
    page = render_template(
        "pages/captions/import.html",
        recording=recording,
        form=form,
        errors=errors,
        back={"href": _back(recording), "text": "Back to the captions"},
        may_download=policy.allows(db.session(), guard.actor(), Action.RECORDING_DOWNLOAD, recording.id, clock.now()),
    )
    return page, 400 if errors else 200


def _usual(recording: Recording) -> str:
    found = caption_versions.tracks(db.session(), recording.id)
    return found[0].language if found and found[0].language in languages.LANGUAGES else "en"


def _back(recording: Recording) -> str:
    return url_for("captions.index", recording_id=recording.id)


def _done(recording: Recording, brought: Brought) -> str:
    return render_template(
        "pages/captions/imported.html",
        recording=recording,
        brought=brought,
        language=languages.of(brought.language),
        back={"href": _back(recording), "text": "Back to the captions"},
    )


@bp.route("/translate", methods=["GET", "POST"])
@guard.on(Action.CAPTIONS_EDIT, Recording)
def translate(recording: Recording) -> Any:
    """Begin captions in a second language as a copy of the first."""
    form = TranslationForm()
    if request.method == "POST":

        def act() -> Brought:
            try:
                return caption_files.begin_translation(
                    db.session(), guard.core().storage, guard.actor(), recording, form.language.data or ""
                )
            except Conflict as error:
                raise Invalid(str(error), fields={"language": str(error)}) from None

        begun = form.attempt(act)
        if begun is not None:
            name = languages.of(begun.language).name
            flash(
                f"{begun.cues:,} captions were copied. They are not shown until somebody has checked the {name} ones."
            )
            return redirect(url_for("captions.edit", recording_id=recording.id, language=begun.language))
    errors = form.sentences()
    page = render_template(
        "pages/captions/translate.html",
        recording=recording,
        form=form,
        errors=errors,
        back={"href": _back(recording), "text": "Back to the captions"},
    )
    return page, 400 if errors else 200
