"""The watch page, and confirming the notice on real cases."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from app import clock
from app.access import Action, policy
from app.captions import languages
from app.db import db
from app.db.recordings import Recording, RecordingState
from app.db.vocabulary import TermKind
from app.domain import descriptions, evaluations, growing, looks, recordings, vocabulary, watching
from app.web import captions_shown, guard, players
from app.web.forms import safe_next

bp = Blueprint("watch", __name__)


@bp.get("/recordings/<uuid:recording_id>")
@guard.on(Action.RECORDING_VIEW, Recording)
def show(recording: Recording) -> Any:
    """The watch page."""
    looks.at_recording(db.session(), guard.actor(), recording)
    return watch_page(recording)


@bp.post("/notice/acknowledge")
@guard.can(Action.OWN_ACCOUNT)
def acknowledge() -> Any:
    """Keep that the notice was read, and go back."""
    watching.acknowledge(db.session(), guard.actor())
    return redirect(safe_next(request.form.get("next")))


def start_second(recording: Recording) -> float | None:
    """The second that the address asks for (`?t=751`), within the recording."""
    try:
        seconds = float(request.args.get("t", ""))
    except ValueError:
        return None
    if not math.isfinite(seconds):
        return None
    return max(0.0, min(seconds, (recording.duration_ms or 0) / 1000))


def watch_page(
    recording: Recording,
    *,
    errors: Mapping[str, str] | None = None,
    scores: Mapping[uuid.UUID, int] | None = None,
    reflection: str | None = None,
) -> str:
    """The page of a recording that the actor may view.

    Args:
        errors, scores, reflection: of an evaluation that was sent with faults; by default what was saved before.
    """
    session, who, now = db.session(), guard.actor(), clock.now()
    recording = watching.to_watch(session, recording.id)
    case = recording.case
    asked, resume = start_second(recording), watching.position(session, who, recording)
    # before the first time only: whoever has watched some of it has seen the note
    note_first = bool(
        case.content_notice
        and not errors
        and request.args.get("shown") != "yes"
        and not watching.has_watched(session, who, recording)
    )
    captions = watching.captions(session, recording.id, captions_shown.shown())
    mine = evaluations.mine(session, who, recording.id)
    start = asked if asked is not None else resume or 0.0
    player = players.player_of(
        recording, start=start, position=url_for("api_positions.save", recording_id=recording.id)
    )
    if start and player["mp4"]:
        player["mp4"] += f"#t={start:g}"  # where scripts are off, the browser's own player begins there
    return render_template(
        "pages/watch/show.html",
        recording=recording,
        case=case,
        case_href=_case_href(recording, now),
        player=player,
        note_first=note_first,
        resumed=resume if asked is None else None,
        asked=asked,
        captions=captions,
        captions_hidden=player["captions_note"] == players.HIDDEN,
        said=_said([track for track in captions if track.cues]),
        description=descriptions.told(session, who, recording),
        themes=[term for term in recording.terms if term.kind is TermKind.THEME],
        draft=recording.published_at is None or recording.published_at > now,
        processing=recording.state is RecordingState.PROCESSING,
        grown=growing.seconds(session, recording.id) if recording.state is RecordingState.PROCESSING else None,
        damage=recordings.damage(recording),
        withdrawn=recording.state is RecordingState.WITHDRAWN,
        acknowledged=case.invented or watching.has_acknowledged(session, who),
        here=request.full_path.rstrip("?")
        if request.endpoint == "watch.show"
        else url_for("watch.show", recording_id=recording.id),
        may_download=policy.allows(session, who, Action.RECORDING_DOWNLOAD, recording.id, now),
        may_manage=policy.allows(session, who, Action.RECORDING_MANAGE, recording.id, now),
        may_evaluate=policy.allows(session, who, Action.RECORDING_EVALUATE, recording.id, now),
        questions=vocabulary.evaluation_questions(session),
        scores=scores if scores is not None else {s.question_id: s.value for s in mine.scores} if mine else {},
        reflection=reflection if reflection is not None else mine.reflection if mine else "",
        evaluated=mine,
        errors=dict(errors or {}),
    )


def _said(tracks: Sequence[watching.Captions]) -> dict[str, Any] | None:
    """The first track as `components/transcript.html` draws it, and in which languages there are others. Words wrap as
    the page is wide, not as captions do."""
    if not tracks:
        return None
    return {
        "checked": tracks[0].checked,
        "language": languages.of(tracks[0].language),
        "others": [languages.of(track.language) for track in tracks[1:]],
        "rows": [
            {
                "start": cue.start_ms / 1000,
                "end": cue.end_ms / 1000,
                "text": cue.text.replace("\n", " "),
                "speaker": cue.speaker,
            }
            for cue in tracks[0].cues
        ],
    }


def _case_href(recording: Recording, now: Any) -> str:
    """Address of the case's page, for those who may see it."""
    if not policy.allows(db.session(), guard.actor(), Action.CASE_VIEW, recording.case_id, now):
        return ""
    return url_for("cases.show", case_id=recording.case_id)
