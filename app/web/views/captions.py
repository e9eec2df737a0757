"""Captions as their makers handle them: the tracks of a recording, the editor, versions, and marking them as checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from app import clock
from app.access import Action, policy
from app.captions import comparing, languages
from app.db import db
from app.db.recordings import ArtefactKind, Recording
from app.domain import caption_drafts, caption_reviews, caption_versions, looks, playback
from app.domain.caption_drafts import Draft, EditedMeanwhile
from app.errors import Conflict, Invalid
from app.web import captions_shown, cue_forms, cue_shapes, guard, players

bp = Blueprint("captions", __name__, url_prefix="/recordings/<uuid:recording_id>/captions")


@bp.url_value_preprocessor
def _long_forms(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """A page of captions has more fields, and holds what it was made from. Before anything reads the form."""
    request.max_form_memory_size = request.max_content_length = cue_shapes.MOST_BYTES


def _language(code: str) -> str:
    return languages.of(code).name


def _four_eyes() -> bool:
    return guard.core().settings.captions_four_eyes == "on"


def _revision() -> int:
    """The revision that the form was made from."""
    text = request.form.get("revision", "")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid("This form is not complete. Go back, reload the page and try again.")
    return int(text)


def _editor(recording: Recording, language: str, **values: Any) -> Any:
    return redirect(url_for("captions.edit", recording_id=recording.id, language=language, **values))


# -- pages -------------------------------------------------------------------------------------------------------------


@bp.get("")
@guard.on(Action.CAPTIONS_EDIT, Recording)
def index(recording: Recording) -> Any:
    """The caption tracks of a recording."""
    session = db.session()
    tracks = caption_versions.tracks(session, recording.id)
    shown = captions_shown.unchecked_are_shown()
    return render_template(
        "pages/captions/index.html",
        recording=recording,
        tracks=[
            {
                "href": url_for("captions.edit", recording_id=recording.id, language=track.language),
                "text": _language(track.language),
                **_status(track, caption_drafts.of(session, track), unchecked_shown=shown),
            }
            for track in tracks
        ],
    )


def _status(track: Any, draft: Draft, *, unchecked_shown: bool) -> dict[str, str]:
    """Where a track stands, as the task list says it."""
    done = f"{draft.checked} of {len(draft.cues)} captions checked."
    if not draft.cues:
        return {"state": "done", "hint": "No speech was found."}
    if track.published_version == track.current_version:
        return {"state": "done", "hint": "Checked by a person. Viewers see these captions."}
    if caption_reviews.waits_for_second(db.session(), track, four_eyes=_four_eyes()):
        return {"state": "waiting", "hint": "Checked by one person. A second one has to look before viewers see them."}
    if track.published_version is not None:
        return {"state": "in_progress", "hint": f"{done} Viewers still see version {track.published_version}."}
    seen = "Viewers see them, marked as automatic." if unchecked_shown else "Viewers do not see them yet."
    return {"state": "automatic" if draft.origin.value == "automatic" else "in_progress", "hint": f"{done} {seen}"}


@bp.get("/<language>")
@guard.on(Action.CAPTIONS_EDIT, Recording)
def edit(recording: Recording, language: str) -> Any:
    """The editor."""
    looks.at_recording(db.session(), guard.actor(), recording)
    return _page(recording, language)


def _page(
    recording: Recording, language: str, *, typed: Sequence[cue_forms.Row] = (), errors: dict[str, str] | None = None,
    meanwhile: str = "", status: int = 200,
) -> Any:  # fmt: skip
    """The editor's page.

    Args:
        typed: rows of a form that was not saved. With `errors` they stand in the form again; with `meanwhile`, the sentence
            that somebody else changed these captions, they stand above it.
    """
    session, who = db.session(), guard.actor()
    track = caption_versions.track(session, recording.id, language)
    draft = caption_drafts.of(session, track)
    found = cue_shapes.problems(
        draft.cues,
        caption_reviews.named_in(session, recording, draft.cues),
        (recording.duration_ms or 0) / 1000 or None,
    )
    notes: dict[int, list[str]] = {}
    for problem in found:
        notes.setdefault(problem["index"], []).append(problem["sentence"])
    number = request.values.get("page", "1")
    page = cue_forms.page_of(draft.cues, int(number) if number.isascii() and number.isdigit() else 1, notes)
    player = players.player_of(recording)
    player["captions"], player["captions_note"] = [], ""
    names = [problem for problem in found if problem["rule"] == "name"]
    html = render_template(
        "pages/captions/edit.html",
        recording=recording,
        language=language,
        language_name=_language(language),
        track=track,
        draft=draft,
        page=page,
        typed=typed if meanwhile else (),
        rows=typed if typed and not meanwhile else page.rows,
        base=request.form.get("base", page.base) if typed and not meanwhile else page.base,
        revision=request.form.get("revision") if typed and not meanwhile else draft.revision,
        meanwhile=meanwhile,
        names=names,
        problems=len(notes),
        player=player,
        peaks=_peaks(recording),
        speakers=sorted({cue.speaker for cue in draft.cues if cue.speaker}),
        against=caption_reviews.stands_against(session, recording, draft, names_are_right=True),
        is_shown=track.published_version == draft.number,
        is_reviewed=track.reviewed_version == draft.number,
        waits=caption_reviews.waits_for_second(session, track, four_eyes=_four_eyes()),
        may_review=policy.allows(session, who, Action.CAPTIONS_REVIEW, recording.id, clock.now()),
        unchecked_shown=captions_shown.unchecked_are_shown(),
        errors=errors or ({"": meanwhile} if meanwhile else {}),
    )
    return html, status


def _peaks(recording: Recording) -> str:
    """Address of the shape of the sound, where it was drawn."""
    there = playback.has(db.session(), recording.id, ArtefactKind.PEAKS)
    return url_for("playback.peaks", recording_id=recording.id) if there else ""


@bp.post("/<language>")
@guard.on(Action.CAPTIONS_EDIT, Recording)
def save(recording: Recording, language: str) -> Any:
    """Save a page of captions, where scripts do not run."""
    session, number = db.session(), request.form.get("page", "1")
    revision = _revision()
    try:
        base, sent, rows = cue_forms.read(request.form)
        track = caption_versions.track(session, recording.id, language, lock=True)
        draft = caption_drafts.of(session, track)
        # somebody may have saved other captions meanwhile: what was sent still fits where its own were left alone
        cues = cue_forms.put_in_place(draft.cues, base, sent)
        if cues is None:
            error = EditedMeanwhile(draft)
            return _page(recording, language, typed=rows, meanwhile=str(error), status=409)
        fresh = revision if revision == draft.revision else draft.revision
        caption_drafts.save(session, guard.actor(), recording, language, cues, revision=fresh)
    except Invalid as error:
        db.session.rollback()
        return _page(
            recording, language, typed=getattr(error, "rows", ()), errors=error.fields or {"": str(error)}, status=400
        )
    flash("The captions are saved.", "success")
    return _editor(recording, language, page=number)


@bp.get("/<language>/versions")
@guard.on(Action.CAPTIONS_EDIT, Recording)
def versions(recording: Recording, language: str) -> Any:
    """Every version that was kept."""
    session = db.session()
    track = caption_versions.track(session, recording.id, language)
    return render_template(
        "pages/captions/versions.html",
        recording=recording,
        language=language,
        language_name=_language(language),
        track=track,
        versions=caption_versions.listing(session, track),
    )


@bp.get("/<language>/versions/<int:number>")
@guard.on(Action.CAPTIONS_EDIT, Recording)
def version(recording: Recording, language: str, number: int) -> Any:
    """One version compared with another: the one asked for, or the one that it was made from."""
    session = db.session()
    track = caption_versions.track(session, recording.id, language)
    found = caption_versions.version(session, track, number)
    since = request.args.get("since", type=int) or found.parent or number
    before = caption_versions.version(session, track, since)
    rows = comparing.differences(
        caption_versions.cues_of(session, track, before.number), caption_versions.cues_of(session, track, number)
    )
    changed = [row for row in rows if row.change is not comparing.Change.SAME]
    return render_template(
        "pages/captions/version.html",
        recording=recording,
        language=language,
        language_name=_language(language),
        track=track,
        version=found,
        since=since,
        others=[kept.number for kept in caption_versions.listing(session, track) if kept.number != number],
        rows=rows if since == number else changed,
        same=len(rows) - len(changed),
        written=cue_forms.written,
    )


# -- verbs -------------------------------------------------------------------------------------------------------------


def _told(recording: Recording, language: str, error: Conflict) -> Any:
    """A verb that could not be done: back to the editor, with the sentence."""
    db.session.rollback()
    return _page(recording, language, errors={"": str(error)}, status=409)


@bp.post("/<language>/restore")
@guard.on(Action.CAPTIONS_EDIT, Recording)
def restore(recording: Recording, language: str) -> Any:
    """Work on with an earlier version."""
    number = request.form.get("version", "")
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        abort(404)
    try:
        caption_drafts.restore(db.session(), guard.actor(), recording, language, int(number), revision=_revision())
    except EditedMeanwhile as error:
        return _told(recording, language, error)
    flash(f"Version {number} is the one that is worked on again. What was in between is kept.", "success")
    return _editor(recording, language)


@bp.post("/<language>/check-all")
@guard.on(Action.CAPTIONS_EDIT, Recording)
def check_all(recording: Recording, language: str) -> Any:
    """Tick every caption."""
    try:
        caption_drafts.check_all(db.session(), guard.actor(), recording, language, revision=_revision())
    except EditedMeanwhile as error:
        return _told(recording, language, error)
    flash("Every caption is ticked as checked.", "success")
    return _editor(recording, language)


@bp.post("/<language>/review")
@guard.on(Action.CAPTIONS_REVIEW, Recording)
def review(recording: Recording, language: str) -> Any:
    """Say that the captions are right."""
    core = guard.core()
    try:
        draft = caption_reviews.review(
            db.session(),
            core.storage,
            guard.actor(),
            recording,
            language,
            revision=_revision(),
            four_eyes=_four_eyes(),
            names_are_right=request.form.get("names_are_right") == "yes",
        )
    except Conflict as error:
        return _told(recording, language, error)
    shown = draft.track.published_version == draft.number
    flash(
        "The captions are checked. Viewers see them now."
        if shown
        else "The captions are checked. Viewers see them when a second person has looked at them.",
        "success",
    )
    return _editor(recording, language)


@bp.post("/<language>/approve")
@guard.on(Action.CAPTIONS_REVIEW, Recording)
def approve(recording: Recording, language: str) -> Any:
    """Be the second pair of eyes."""
    try:
        caption_reviews.approve(
            db.session(), guard.core().storage, guard.actor(), recording, language, revision=_revision()
        )
    except Conflict as error:
        return _told(recording, language, error)
    flash("The captions are approved. Viewers see them now.", "success")
    return _editor(recording, language)


@bp.post("/<language>/unpublish")
@guard.on(Action.CAPTIONS_REVIEW, Recording)
def unpublish(recording: Recording, language: str) -> Any:
    """Take the captions from viewers."""
    caption_reviews.unpublish(db.session(), guard.actor(), recording, language)
    flash("Viewers do not see these captions any more. Mark them as checked to show them again.", "success")
    return _editor(recording, language)
