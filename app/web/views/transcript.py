"""The transcript on a page of its own: to read, to search, to link to a second of it, and to print."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request

from app import clock
from app.access import Action, policy
from app.captions.transcript import MOST_WANTED
from app.db import db
from app.db.people import Person
from app.db.recordings import Recording
from app.domain import looks, search, transcripts, watching
from app.web import captions_shown, guard, players

bp = Blueprint("transcript", __name__)


@bp.get("/recordings/<uuid:recording_id>/transcript")
@guard.on(Action.RECORDING_VIEW, Recording)
def show(recording: Recording) -> Any:
    """The transcript in one language, with the words that were looked for marked."""
    session, who = db.session(), guard.actor()
    looks.at_recording(session, who, recording)
    recording = watching.to_watch(session, recording.id)
    wanted = search.cleaned(request.args.get("q", ""))[:MOST_WANTED]
    found, languages = transcripts.of(
        session, recording.id, captions_shown.shown(), wanted, request.args.get("language", "")
    )
    person = session.get(Person, who.person_id) if who.person_id is not None else None
    return render_template(
        "pages/watch/transcript.html",
        recording=recording,
        found=found,
        languages=languages,
        wanted=wanted,
        note="" if found is None or found.checked else players.UNCHECKED,
        hidden=found is None and players.captions_note(players.tracks_of(recording)) == players.HIDDEN,
        notice=transcripts.notice(recording.case),
        reader=f"{person.display_name} · {person.email}" if person is not None else "",
        now=clock.now(),
        base_url=guard.core().settings.base_url,
        may_download=found is not None
        and policy.allows(session, who, Action.RECORDING_DOWNLOAD, recording.id, clock.now()),
    )
