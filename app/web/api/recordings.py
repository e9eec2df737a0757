"""Recordings over the API: where one stands, lists, publishing, grants, withdrawing."""

from __future__ import annotations

import uuid
from typing import Any, get_args

from flask import Blueprint, jsonify, request

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.recordings import Recording, RecordingState
from app.domain import grants, hearing, looks, paging, posters, recordings, reprocessing, standing
from app.errors import Invalid
from app.web import captions_shown, guard, links, listing
from app.web.api import grants as shared
from app.web.api.pages import PAGING, page_size
from app.web.bodies import Body
from app.web.openapi import (
    BOOLEAN,
    INTEGER,
    MOMENT,
    NUMBER,
    PREFIX,
    STRING,
    URI,
    UUID,
    array,
    component,
    describe,
    nullable,
    one_of,
    paged,
    thing,
)

bp = Blueprint("api_recordings", __name__, url_prefix=f"{PREFIX}/recordings")
TAGS = ("recordings",)
SHARING = ("sharing",)

STATE = one_of(*(state.value for state in RecordingState))
CASE_NAME = component("CaseName", thing({"id": UUID, "title": STRING}))
RECORDING = component(
    "Recording",
    thing(
        {
            "id": UUID,
            "title": STRING,
            "case": CASE_NAME,
            "state": STATE,
            "progress": NUMBER,
            "reason": STRING,
            "duration_seconds": nullable(NUMBER),
            "published": BOOLEAN,
            "renditions": array(
                thing({"name": STRING, "width": INTEGER, "height": INTEGER, "bandwidth": INTEGER, "size": INTEGER})
            ),
            "captions": array(
                thing(
                    {
                        "language": STRING,
                        "status": one_of("automatic", "reviewed"),
                        "cues": INTEGER,
                        "no_speech": BOOLEAN,
                    }
                )
            ),
            "sounds": array(STRING),
            "watchable_seconds": nullable(NUMBER),
            "damage": array(
                thing({"kind": one_of("end", "picture", "sound"), "start": NUMBER, "end": NUMBER, "sentence": STRING})
            ),
            "caption_state": one_of(*get_args(hearing.State)),
            "language": STRING,
            "links": thing(
                {
                    "self": URI,
                    "watch": URI,
                    "playlist": nullable(URI),
                    "manifest": nullable(URI),
                    "captions": nullable(URI),
                    "poster": nullable(URI),
                    "storyboard": nullable(URI),
                    "peaks": nullable(URI),
                }
            ),
            "seconds_left": nullable(NUMBER),
            "stages": array(
                thing({"name": STRING, "label": STRING, "state": STRING, "progress": NUMBER, "waiting": STRING}),
            ),
        },
        optional=("seconds_left", "stages"),
        note="`progress` runs from 0 to 1. `seconds_left` and `stages` are for those who may manage the recording. "
        "A link is null until there is something behind it. `sounds` names the tracks of sound that can be heard, the "
        "usual one first. `watchable_seconds` is how much can be watched while the picture is still being encoded, and "
        "null once all of it can. `damage` says what of the uploaded file is missing. "
        "A stage's `waiting` says why workers could not take it up yet, "
        "for example for want of room on their disk; it goes on by itself. "
        "`caption_state` is waiting-for-model where captions will be made by themselves once there is a speech model. "
        "`language` is the language that was chosen as spoken: a code, auto, or empty for the instance's setting.",
    ),
)
SUMMARY = component(
    "RecordingSummary",
    thing(
        {
            "id": UUID,
            "title": STRING,
            "case": CASE_NAME,
            "state": STATE,
            "reason": STRING,
            "duration_seconds": nullable(NUMBER),
            "published": BOOLEAN,
            "created_at": MOMENT,
            "links": thing({"self": URI, "watch": URI}),
        }
    ),
)
PUBLISH = thing(
    {"without_captions": BOOLEAN},
    optional=("without_captions",),
    note="While nobody has checked the captions, publishing is refused with the code `captions-unchecked` unless "
    "`without_captions` is true.",
)
STATE_ONLY = component("RecordingState", thing({"id": UUID, "state": STATE, "published": BOOLEAN}))


def _seconds(recording: Recording) -> float | None:
    return recording.duration_ms / 1000 if recording.duration_ms is not None else None


def shape(recording: Recording) -> dict[str, Any]:
    """A recording as the API shows it to this actor."""
    session = db.session()
    facts = standing.of(session, recording.id, captions_shown.shown())
    run = standing.latest_run(session, recording)
    progress = standing.progress(recording, run)
    shown = {
        "id": str(recording.id),
        "title": recording.title,
        "case": {"id": str(recording.case_id), "title": recording.case.title},
        "state": recording.state.value,
        "progress": progress.fraction,
        "reason": recording.reason,
        "duration_seconds": _seconds(recording),
        "published": recording.published_at is not None,
        "renditions": [vars(rendition) for rendition in facts.renditions],
        "captions": [{**vars(track), "no_speech": track.no_speech} for track in facts.captions],
        "sounds": facts.sounds,
        "watchable_seconds": facts.growing_seconds,
        "damage": [{**part.to_json(), "sentence": part.sentence} for part in recordings.damage(recording)],
        "caption_state": hearing.state(recording, run, made=bool(facts.captions)),
        "language": recording.spoken_language,
        "links": links.of_recording(recording, facts),
    }
    if policy.allows(session, guard.actor(), Action.RECORDING_MANAGE, recording.id, clock.now()):
        shown |= {"seconds_left": progress.seconds_left, "stages": progress.stages}
    return shown


def summary(recording: Recording) -> dict[str, Any]:
    """A recording in a list."""
    return {
        "id": str(recording.id),
        "title": recording.title,
        "case": {"id": str(recording.case_id), "title": recording.case.title},
        "state": recording.state.value,
        "reason": recording.reason,
        "duration_seconds": _seconds(recording),
        "published": recording.published_at is not None,
        "created_at": recording.created_at.isoformat(),
        "links": links.plain(recording),
    }


@bp.get("")
@listing.of(Action.RECORDING_VIEW)
@describe(
    "Recordings that one may watch, newest first",
    query={**PAGING, "case": UUID, "state": STATE, "sort": one_of(*(s.name for s in recordings.SORTINGS))},
    responses={200: paged("Recordings", SUMMARY)},
    tags=TAGS,
)
def index() -> Any:
    """A page of recordings."""
    case, state, sort = (request.args.get(name, "") for name in ("case", "state", "sort"))
    if case and links.as_id(case) is None:
        raise Invalid("case must be an id", fields={"case": "case must be an id"})
    if state and state not in {known.value for known in RecordingState}:
        raise Invalid("There is no such state", fields={"state": "There is no such state"})
    page = recordings.listing(
        db.session(),
        guard.actor(),
        paging.choose(recordings.SORTINGS, sort),
        case_id=links.as_id(case),
        state=RecordingState(state) if state else None,
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
        size=page_size(),
    )
    beside = links.page_links("api_recordings.index", page, case=case, state=state, sort=sort, limit=page_size())
    return jsonify({"items": [summary(recording) for recording in page.rows], "links": beside})


@bp.get("/<uuid:recording_id>")
@guard.on(Action.RECORDING_VIEW, Recording)
@describe("One recording and how far it is", responses={200: RECORDING}, tags=TAGS)
def show(recording: Recording) -> Any:
    """One recording."""
    return jsonify(shape(recording))


LANGUAGE = component(
    "SpokenLanguage",
    thing({"language": STRING}, optional=("language",), note="A code such as cy, auto, or empty for the setting."),
)
BEGUN = component("CaptionsBegun", thing({"id": UUID, "caption_state": STRING, "language": STRING}))


@bp.post("/<uuid:recording_id>/captions/again")
@guard.on(Action.RECORDING_EDIT, Recording, lock=True)
@describe(
    "Make its captions again, when nothing more urgent waits; what a person has written or checked stays",
    request=LANGUAGE,
    responses={202: BEGUN},
    tags=TAGS,
)
def caption_again(recording: Recording) -> Any:
    """Make the captions again, in another language if one is named."""
    body = Body()
    language = body.text("language") if "language" in body.values else None
    body.check()
    hearing.again(db.session(), guard.actor(), recording, language=language)
    begun = {"id": str(recording.id), "caption_state": "making", "language": recording.spoken_language}
    return jsonify(begun), 202


# -- sharing -------------------------------------------------------------------------------------------------------------


def _state_answer(recording: Recording) -> Any:
    published = recording.published_at is not None
    return jsonify({"id": str(recording.id), "state": recording.state.value, "published": published})


@bp.post("/<uuid:recording_id>/publish")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
@describe(
    "Open it to the audience of its grants",
    request=PUBLISH,
    responses={200: STATE_ONLY},
    tags=SHARING,
)
def publish(recording: Recording) -> Any:
    """Publish."""
    body = Body()
    without_captions = body.flag("without_captions")
    body.check()
    grants.publish(
        db.session(),
        guard.actor(),
        recording,
        without_captions=without_captions,
        unchecked_shown=captions_shown.unchecked_are_shown(),
    )
    return _state_answer(recording)


@bp.post("/<uuid:recording_id>/unpublish")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
@describe("Close it to its audience; grants are kept", responses={200: STATE_ONLY}, tags=SHARING)
def unpublish(recording: Recording) -> Any:
    """Undo publishing."""
    grants.unpublish(db.session(), guard.actor(), recording)
    return _state_answer(recording)


@bp.post("/<uuid:recording_id>/withdraw")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
@describe("Take it from everybody but its makers, at once", responses={200: STATE_ONLY}, tags=SHARING)
def withdraw(recording: Recording) -> Any:
    """Withdraw."""
    recordings.withdraw(db.session(), guard.actor(), recording)
    return _state_answer(recording)


@bp.post("/<uuid:recording_id>/restore")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
@describe("Undo a withdrawal", responses={200: STATE_ONLY}, tags=SHARING)
def restore(recording: Recording) -> Any:
    """Undo a withdrawal."""
    recordings.restore(db.session(), guard.actor(), recording)
    return _state_answer(recording)


@bp.post("/<uuid:recording_id>/reprocess")
@guard.on(Action.RECORDING_EDIT, Recording)
@describe(
    "Process it again, behind other work: only what is stale is done; it can be watched meanwhile",
    responses={202: STATE_ONLY},
    tags=TAGS,
)
def reprocess(recording: Recording) -> Any:
    """Process again."""
    reprocessing.again(db.session(), guard.actor(), recording)
    return _state_answer(recording), 202


@bp.put("/<uuid:recording_id>/poster")
@guard.on(Action.RECORDING_EDIT, Recording)
@describe(
    "Choose the frame that stands for it; null is the automatic choice",
    request=thing({"seconds": nullable(NUMBER)}),
    responses={202: STATE_ONLY},
    tags=TAGS,
)
def choose_poster(recording: Recording) -> Any:
    """Have the poster made of the frame at a second."""
    body = Body()
    seconds = body.number("seconds")
    body.check()
    if seconds is None:
        posters.forget(db.session(), guard.actor(), recording)
    else:
        posters.choose(db.session(), guard.actor(), recording, seconds)
    return _state_answer(recording), 202


@bp.get("/<uuid:recording_id>/grants")
@guard.on(Action.RECORDING_PUBLISH, Recording)
@describe("Whom it is shared with", query=shared.WITH_ENDED, responses={200: shared.GRANTS}, tags=SHARING)
def grants_index(recording: Recording) -> Any:
    """The recording's own grants and those on its case."""
    looks.at_sharing(db.session(), guard.actor(), recording)
    return shared.index(recording)


@bp.post("/<uuid:recording_id>/grants")
@guard.on(Action.RECORDING_PUBLISH, Recording)
@describe("Share it with an audience", request=shared.NEW_GRANT, responses={201: shared.GRANT}, tags=SHARING)
def grant(recording: Recording) -> Any:
    """Give a grant."""
    return shared.give(recording)


@bp.patch("/<uuid:recording_id>/grants/<uuid:grant_id>")
@guard.on(Action.RECORDING_PUBLISH, Recording)
@describe("Give a grant another last day", request=shared.LAST_DAY, responses=shared.EXTENDED, tags=SHARING)
def extend(recording: Recording, grant_id: uuid.UUID) -> Any:
    """Extend or shorten a grant."""
    return shared.extend(recording, grant_id)


@bp.delete("/<uuid:recording_id>/grants/<uuid:grant_id>")
@guard.on(Action.RECORDING_PUBLISH, Recording)
@describe("End a grant, at once", responses={204: None}, tags=SHARING)
def revoke(recording: Recording, grant_id: uuid.UUID) -> Any:
    """Revoke a grant."""
    return shared.revoke(recording, grant_id)
