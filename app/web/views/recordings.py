"""Recordings as their makers see them: my recordings, what is left to do for one, its details and chapters."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField, TextAreaField
from wtforms.validators import Length

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.recordings import Recording, RecordingState
from app.db.runs import Run, RunState
from app.db.vocabulary import TermKind
from app.domain import (
    chapters,
    grants,
    hearing,
    looks,
    paging,
    recordings,
    reprocessing,
    runs,
    sounds,
    standing,
    viewings,
    vocabulary,
)
from app.errors import Conflict
from app.pipeline.workflows import RECAPTION
from app.web import captions_shown, choices, guard, links, rows, tasks
from app.web.forms import Checkboxes, Day, Form, text_field

bp = Blueprint("recordings", __name__, url_prefix="/recordings")


class DetailsForm(Form):
    """What is written of a recording."""

    title = text_field("Title", most=200, required="Enter a title", hint="Nothing that tells who was filmed.")
    themes = Checkboxes("Themes", choices=[], description="Select all that apply.")
    recorded_on = Day("Date of filming (optional)")
    description = TextAreaField(
        "Description (optional)",
        [Length(max=10_000, message="Description must be 10,000 characters or fewer")],
    )
    language = SelectField("Language spoken", choices=[], validate_choice=False, description=choices.LANGUAGE_HINT)


class ChaptersForm(Form):
    """Chapters as lines."""

    chapters = TextAreaField(
        "Chapters",
        [Length(max=30_000, message="Chapters must be 30,000 characters or fewer")],
        description="One a line: when it starts, then its title. For example: 0:45 Meeting the patient",
    )


@bp.get("/mine")
@guard.can(Action.RECORDING_CREATE)
def mine() -> Any:
    """The recordings that the actor uploaded."""
    session, asked = db.session(), request.args
    chosen = [word for word in asked.getlist("state") if word in recordings.STANDINGS]
    sorting = paging.choose(recordings.SORTINGS, asked.get("sort"))
    page = recordings.mine(
        session, guard.actor(), chosen, sorting, after=asked.get("after", ""), before=asked.get("before", "")
    )
    cards = rows.of_recordings(session, page.rows, manage=True)
    for card, recording in zip(cards, page.rows, strict=True):
        card["case"] = recording.case.title
        told = recordings.STANDINGS[card["state"]] if card["state"] in ("ready", "published") else ""
        card["notes"] = [words for words in (told, recording.reason) if words]
    items = [{"value": value, "text": text, "checked": value in chosen} for value, text in recordings.STANDINGS.items()]
    kept = {"state": chosen, "sort": asked.get("sort", "")}
    return render_template(
        "pages/recordings/mine.html",
        recordings=cards,
        groups=[{"name": "state", "legend": "State", "items": items}],
        narrowed=bool(chosen),
        sort=sorting.name,
        sortings=rows.sortings("recordings.mine", recordings.SORTINGS, sorting, {**kept, "sort": ""}),
        beside=links.page_links("recordings.mine", page, **kept),
    )


@bp.get("/<uuid:recording_id>/manage")
@guard.on(Action.RECORDING_MANAGE, Recording)
def manage(recording: Recording) -> Any:
    """What is done and what is left to do for one recording."""
    looks.at_recording(db.session(), guard.actor(), recording)
    session, who, now = db.session(), guard.actor(), clock.now()
    run = standing.latest_run(session, recording)
    progress = standing.progress(recording, run)
    facts = standing.of(session, recording.id, captions_shown.shown())
    may = {
        "edit": policy.allows(session, who, Action.RECORDING_EDIT, recording.id, now),
        "publish": policy.allows(session, who, Action.RECORDING_PUBLISH, recording.id, now),
        "captions": policy.allows(session, who, Action.CAPTIONS_EDIT, recording.id, now),
    }
    missing = grants.missing_for_publishing(session, recording)
    running = run is not None and run.state in runs.UNFINISHED
    captions = hearing.state(recording, run, made=bool(facts.captions))
    return render_template(
        "pages/recordings/manage.html",
        recording=recording,
        place=rows.place_name(recording),
        viewers=viewings.total(session, recording),
        audit=policy.can(who, Action.AUDIT_VIEW),
        state=recordings.standing(recording),
        tasks=tasks.of_recording(recording, facts, missing, may, captions),
        recaptioning=running and run is not None and run.workflow == RECAPTION.name,
        recaption_percent=int(runs.progress(run)["fraction"] * 100) if run is not None else 0,
        language=choices.language_name(recording.spoken_language, guard.core().settings.caption_language),
        may_caption_again=hearing.possible(recording, run),
        advice=tasks.advice(recording),
        running=running,
        retryable=_retryable(recording, run),
        stages=[{**stage, "title": stage["label"]} for stage in progress.stages],
        work=policy.can(who, Action.WORK_VIEW),
        replacing=run is not None and run.state in runs.UNFINISHED and run.replaces,
        stale=_stale(recording, run),
        percent=int((runs.progress(run)["fraction"] if run is not None and run.replaces else progress.fraction) * 100),
        seconds_left=progress.seconds_left,
        undeletable=recordings.why_not_deletable(session, recording),
        may=may,
        damage=recordings.damage(recording),
        tracks=sounds.of_source(session, recording),
    )


def _stale(recording: Recording, run: Run | None) -> tuple[str, ...] | None:
    """What processing the recording again would renew; None where that cannot be done."""
    busy = run is not None and run.state in runs.UNFINISHED
    if busy or recording.state not in runs.KEPT_STATES or recording.watchable_at is None or run is None:
        return None
    found = reprocessing.stale_among(db.session(), guard.core().settings, [recording])
    return found[0].stages if found else ()


def _retryable(recording: Recording, run: Run | None) -> bool:
    stopped = run is not None and run.state in (RunState.FAILED, RunState.CANCELLED)
    return stopped and recording.state not in (RecordingState.REJECTED, RecordingState.WITHDRAWN)


@bp.route("/<uuid:recording_id>/edit", methods=["GET", "POST"])
@guard.on(Action.RECORDING_EDIT, Recording)
def edit(recording: Recording) -> Any:
    """Change what is written of a recording."""
    session, who = db.session(), guard.actor()
    form = DetailsForm()
    known = vocabulary.terms_of(session, TermKind.THEME)
    kept = [term for term in recording.terms if term.kind is TermKind.THEME and term not in known]
    by_code = {term.code: term for term in [*known, *kept]}
    form.themes.choices = [(code, term.name) for code, term in by_code.items()]
    form.language.choices = choices.languages(guard.core().settings.caption_language)
    if request.method == "POST":

        def act() -> bool:
            edited = recordings.Edited(
                title=form.title.data or "",
                description=form.description.data or "",
                recorded_on=form.recorded_on.data,
                themes=[by_code[code] for code in form.themes.data or []],
                language=form.language.data,
            )
            recordings.edit(session, who, recording, edited)
            return True

        if form.attempt(act):
            flash("The details have been saved.", "success")
            return _to_manage(recording)
    else:
        form.title.data, form.description.data = recording.title, recording.description
        form.recorded_on.data, form.themes.data = recording.recorded_on, [term.code for term in recording.terms]
        form.language.data = recording.spoken_language
    errors = form.sentences()
    page = render_template("pages/recordings/edit.html", form=form, errors=errors, recording=recording)
    return page, 400 if errors else 200


@bp.route("/<uuid:recording_id>/chapters", methods=["GET", "POST"])
@guard.on(Action.RECORDING_EDIT, Recording)
def edit_chapters(recording: Recording) -> Any:
    """Write chapters as lines."""
    form = ChaptersForm()
    if request.method == "POST":

        def act() -> bool:
            chapters.replace(db.session(), guard.actor(), recording, form.chapters.data or "")
            return True

        if form.attempt(act):
            flash("The chapters have been saved.", "success")
            return _to_manage(recording)
    else:
        form.chapters.data = chapters.written([(row.start_ms, row.title) for row in recording.chapters])
    errors = form.sentences()
    page = render_template("pages/recordings/chapters.html", form=form, errors=errors, recording=recording)
    return page, 400 if errors else 200


def _to_manage(recording: Recording) -> Any:
    return redirect(url_for("recordings.manage", recording_id=recording.id))


# -- buttons -------------------------------------------------------------------------------------------------------------


def _latest(recording: Recording) -> Run:
    run = runs.latest(db.session(), recording.id)
    if run is None:
        raise Conflict("This recording has not been processed yet.")
    return run


@bp.post("/<uuid:recording_id>/retry")
@guard.on(Action.RECORDING_EDIT, Recording)
def retry(recording: Recording) -> Any:
    """Process again from where it failed."""
    runs.retry(db.session(), _latest(recording))
    tasks.note(recording, "processing:retry")
    flash("The recording is being processed again. What was done before is not done twice.", "success")
    return _to_manage(recording)


@bp.post("/<uuid:recording_id>/reprocess")
@guard.on(Action.RECORDING_EDIT, Recording)
def reprocess(recording: Recording) -> Any:
    """Process a ready recording again, behind other work."""
    reprocessing.again(db.session(), guard.actor(), recording)
    flash("The recording will be processed again when nothing else waits. It can be watched meanwhile.", "success")
    return _to_manage(recording)


@bp.post("/<uuid:recording_id>/cancel")
@guard.on(Action.RECORDING_EDIT, Recording)
def cancel(recording: Recording) -> Any:
    """Stop processing."""
    runs.cancel(db.session(), _latest(recording), by=guard.actor().name)
    tasks.note(recording, "processing:cancel")
    flash("Processing is being cancelled. You can start it again.", "success")
    return _to_manage(recording)


@bp.post("/<uuid:recording_id>/captions/again")
@guard.on(Action.RECORDING_EDIT, Recording, lock=True)
def caption_again(recording: Recording) -> Any:
    """Make the captions again."""
    hearing.again(db.session(), guard.actor(), recording)
    flash("The captions are being made again. What a person has written or checked stays.", "success")
    return _to_manage(recording)


@bp.post("/<uuid:recording_id>/withdraw")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
def withdraw(recording: Recording) -> Any:
    """Take it from its audience."""
    recordings.withdraw(db.session(), guard.actor(), recording)
    flash("The recording is withdrawn: only its makers and custodians see it. You can restore it.", "success")
    return _to_manage(recording)


@bp.post("/<uuid:recording_id>/restore")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
def restore(recording: Recording) -> Any:
    """Undo a withdrawal."""
    recordings.restore(db.session(), guard.actor(), recording)
    flash("The recording is restored: the same people can watch it as before.", "success")
    return _to_manage(recording)


@bp.route("/<uuid:recording_id>/delete", methods=["GET", "POST"])
@guard.on(Action.RECORDING_EDIT, Recording, lock=True)
def delete(recording: Recording) -> Any:
    """Delete a recording that was never published, after asking once more."""
    if request.method == "GET":
        reason = recordings.why_not_deletable(db.session(), recording)
        return render_template("pages/recordings/delete.html", recording=recording, reason=reason)
    recordings.delete_draft(db.session(), guard.core().storage, guard.actor(), recording)
    flash("The recording and everything made of it has been deleted.", "success")
    return redirect(url_for("recordings.mine"))
