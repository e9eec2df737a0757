"""What is left to do for a recording, as its maker's task list says it; and what to do about a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import url_for

from app.db import db
from app.db.recordings import Recording, RecordingState
from app.domain import audit, descriptions, hearing
from app.domain.standing import Standing
from app.web import captions_shown, guard

_WAITS = (RecordingState.UPLOADING, RecordingState.PROCESSING)
_FILE_STATES = {
    RecordingState.UPLOADING: ("in_progress", "The file has not arrived yet."),
    RecordingState.PROCESSING: ("in_progress", "The file is here and is being prepared for watching."),
    RecordingState.READY: ("done", "The file is ready to watch."),
    RecordingState.WITHDRAWN: ("done", "The file is kept while the recording is withdrawn."),
    RecordingState.REJECTED: ("problem", "The file was not accepted."),
    RecordingState.FAILED: ("problem", "Processing stopped."),
}


def of_recording(
    recording: Recording, facts: Standing, missing: Sequence[str], may: Mapping[str, bool], captions: hearing.State
) -> list[dict[str, Any]]:
    """The steps to a published recording, each with where it stands and, where it cannot be done yet, why."""
    here: dict[str, Any] = {"recording_id": recording.id}
    state, sentence = _FILE_STATES[recording.state]
    if recording.state is RecordingState.PROCESSING and recording.watchable_at is not None:
        sentence = "You can watch it already; the other qualities and the captions follow."
    complete = bool(recording.title and recording.terms)
    again = recording.state in (RecordingState.UPLOADING, RecordingState.REJECTED)
    upload = url_for("upload.new", recording=recording.id) if recording.state is RecordingState.REJECTED else None
    if recording.state is RecordingState.UPLOADING:
        upload = url_for("upload.new", case=recording.case_id)
    return [
        {
            "text": "Details and themes",
            "href": url_for("recordings.edit", **here) if may["edit"] else None,
            "state": "done" if complete else "todo",
            "hint": "" if complete else "No theme is chosen yet.",
        },
        {"text": "File", "href": upload if again and may["edit"] else None, "state": state, "hint": sentence},
        {
            "text": "Captions",
            "href": url_for("captions.index", **here) if facts.captions and may["captions"] else None,
            **_captions(recording, facts, captions),
        },
        {
            "text": "Chapters (optional)",
            "href": url_for("recordings.edit_chapters", **here) if may["edit"] else None,
            "state": "done" if recording.chapters else "todo",
        },
        {
            "text": "Audio description",
            "href": url_for("descriptions.edit", **here) if may["edit"] else None,
            **_description(recording),
        },
        {"text": "Share and publish", **_sharing(recording, missing, may)},
    ]


_WITHOUT_CAPTIONS = {
    "waiting-for-model": ("in_progress", hearing.WAITING_SENTENCE),
    "making": ("in_progress", "They are being made."),
    "no-sound": ("skipped", "The recording has no sound."),
    "off": ("skipped", "Captions are not made by machine here."),
    "failed": ("problem", "The captions could not be made. Make them again below."),
}


def _captions(recording: Recording, facts: Standing, standing: hearing.State) -> dict[str, Any]:
    if not facts.captions:
        if recording.state in _WAITS:
            return {"state": "blocked", "hint": "They are made when the file is processed."}
        state, hint = _WITHOUT_CAPTIONS.get(standing, ("todo", "There are no captions."))
        return {"state": state, "hint": hint}
    track = facts.captions[0]
    if track.no_speech:
        return {"state": "done", "hint": "No speech was found in the sound."}
    if track.status == "reviewed":
        return {"state": "done", "hint": f"{track.cues} captions, checked by a person."}
    seen = (
        "Viewers are told so."
        if captions_shown.unchecked_are_shown()
        else "Viewers see them when somebody has checked them."
    )
    return {"state": "automatic", "hint": f"{track.cues} captions, made by a machine. {seen}"}


def _description(recording: Recording) -> dict[str, Any]:
    made = descriptions.decision(db.session(), recording.id)
    if made is None:
        return {"state": "todo", "hint": "Nobody has said yet whether it can be followed without the picture."}
    return {"state": "done", "hint": "It needs none." if made.described_id is None else "There is a described version."}


def _sharing(recording: Recording, missing: Sequence[str], may: Mapping[str, bool]) -> dict[str, Any]:
    href = url_for("share.show", recording_id=recording.id) if may["publish"] else None
    if recording.state is RecordingState.WITHDRAWN:
        return {"href": href, "state": "withdrawn", "hint": "Withdrawn. Only its makers and custodians see it."}
    if recording.published_at is not None:
        unseen = [sentence for sentence in missing if "shared" in sentence]
        return {"href": href, "state": "problem", "hint": unseen[0]} if unseen else {"href": href, "state": "published"}
    return {"href": href, "state": "todo", "hint": " ".join(missing)}


def advice(recording: Recording) -> str:
    """What the maker can do about a file that was not accepted or a failure; empty when there is nothing to do."""
    if recording.state is RecordingState.REJECTED:
        return (
            "Nothing of the file was kept. Choose another file, or export the video again as MP4 (H.264) and send that."
        )
    if recording.state is RecordingState.FAILED:
        return "The file is kept. Try again; if it stops at the same point, export the video again and upload that."
    return ""


def note(recording: Recording, action: str) -> None:
    """Write down that somebody pressed one of the buttons of processing."""
    audit.record(db.session(), guard.actor(), action, "recording", recording.id)
