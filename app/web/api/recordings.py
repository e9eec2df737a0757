"""Recordings over the API: where one stands, lists, publishing, grants, withdrawing."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.grants import Grant, GrantRight
from app.db.recordings import Recording, RecordingState
from app.domain import grants, paging, recordings, standing
from app.errors import Invalid, NotFound
from app.web import guard, links, listing
from app.web.bodies import Body
from app.web.openapi import (
    BOOLEAN,
    DAY,
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
MOST_PER_PAGE = 100

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
            "links": thing(
                {
                    "self": URI,
                    "watch": URI,
                    "playlist": nullable(URI),
                    "captions": nullable(URI),
                    "poster": nullable(URI),
                    "storyboard": nullable(URI),
                }
            ),
            "seconds_left": nullable(NUMBER),
            "stages": array(
                thing({"name": STRING, "label": STRING, "state": STRING, "progress": NUMBER}),
            ),
        },
        optional=("seconds_left", "stages"),
        note="`progress` runs from 0 to 1. `seconds_left` and `stages` are for those who may manage the recording. "
        "A link is null until there is something behind it.",
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
STATE_ONLY = component("RecordingState", thing({"id": UUID, "state": STATE, "published": BOOLEAN}))
GRANT = component(
    "Grant",
    thing(
        {
            "id": UUID,
            "audience": STRING,
            "from": MOMENT,
            "until": nullable(MOMENT),
            "reason": STRING,
            "revoked": BOOLEAN,
            "right": one_of(*(right.value for right in GrantRight)),
            "status": one_of("in force", "to come", "waiting", "refused", "revoked", "over"),
            "by_case": BOOLEAN,
        },
        note="`waiting`: it is for an area beyond those of whoever gave it, and an admin of that area decides. "
        "`by_case`: it is on the recording's case and is ended there.",
    ),
)
NEW_GRANT = component(
    "NewGrant",
    thing(
        {
            "to": STRING,
            "from": DAY,
            "until": DAY,
            "reason": STRING,
            "right": one_of(*(right.value for right in GrantRight)),
        },
        optional=("from", "until", "reason", "right"),
        note=f"`to` is {grants.FORMS}. `until` is the last day that counts, in UK time. A `right` to download needs a "
        "last day and a reason, an area beyond one's own a reason.",
    ),
)


def _seconds(recording: Recording) -> float | None:
    return recording.duration_ms / 1000 if recording.duration_ms is not None else None


def shape(recording: Recording) -> dict[str, Any]:
    """A recording as the API shows it to this actor."""
    session = db.session()
    facts = standing.of(session, recording.id)
    progress = standing.progress(recording, standing.latest_run(session, recording))
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


def grant_shape(grant: Grant) -> dict[str, Any]:
    """A grant as the API shows it."""
    return {
        "id": str(grant.id),
        "audience": grant.audience_name,
        "from": grant.starts_at.isoformat(),
        "until": grant.ends_at.isoformat() if grant.ends_at is not None else None,
        "reason": grant.reason,
        "revoked": grant.revoked_at is not None,
        "right": grant.right.value,
        "status": grants.status(grant, clock.now()),
        "by_case": grant.case_id is not None,
    }


def page_size() -> int:
    """How many items the request asks for on a page.

    Raises:
        Invalid: not a number from 1 to 100.
    """
    text = request.args.get("limit", str(paging.PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_PER_PAGE:
        sentence = f"limit must be from 1 to {MOST_PER_PAGE}"
        raise Invalid(sentence, fields={"limit": sentence})
    return int(text)


PAGING = {
    "after": STRING,
    "before": STRING,
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": paging.PAGE},
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


# -- sharing -------------------------------------------------------------------------------------------------------------


def _state_answer(recording: Recording) -> Any:
    published = recording.published_at is not None
    return jsonify({"id": str(recording.id), "state": recording.state.value, "published": published})


@bp.post("/<uuid:recording_id>/publish")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
@describe("Open it to the audience of its grants", responses={200: STATE_ONLY}, tags=SHARING)
def publish(recording: Recording) -> Any:
    """Publish."""
    grants.publish(db.session(), guard.actor(), recording)
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


@bp.get("/<uuid:recording_id>/grants")
@guard.on(Action.RECORDING_PUBLISH, Recording)
@describe(
    "Whom it is shared with",
    responses={200: component("Grants", thing({"items": array(GRANT)}))},
    tags=SHARING,
)
def grants_index(recording: Recording) -> Any:
    """Grants in force, to come or waiting, the recording's own and those on its case."""
    session = db.session()
    found = [
        *grants.current(session, recording),
        *grants.waiting(session, recording),
        *grants.current(session, recording.case),
    ]
    return jsonify({"items": [grant_shape(grant) for grant in found]})


@bp.post("/<uuid:recording_id>/grants")
@guard.on(Action.RECORDING_PUBLISH, Recording)
@describe("Share it with an audience", request=NEW_GRANT, responses={201: GRANT}, tags=SHARING)
def grant(recording: Recording) -> Any:
    """Give a grant."""
    body = Body()
    to = body.text("to", required=True, most=400)
    from_day, until_day, reason = body.day("from"), body.day("until"), body.text("reason", most=grants.MOST_REASON)
    right = body.text("right", most=20) or GrantRight.WATCH.value
    body.check()
    if right not in {known.value for known in GrantRight}:
        raise Invalid("There is no such right", fields={"right": "There is no such right"})
    session, who = db.session(), guard.actor()
    audience = grants.find_audience(session, who, to)
    given = grants.give(
        session,
        who,
        recording,
        audience,
        right=GrantRight(right),
        from_day=from_day,
        until_day=until_day,
        reason=reason,
    )
    answer = jsonify(grant_shape(given))
    answer.status_code = 201
    return answer


@bp.delete("/<uuid:recording_id>/grants/<uuid:grant_id>")
@guard.on(Action.RECORDING_PUBLISH, Recording)
@describe("End a grant, at once", responses={204: None}, tags=SHARING)
def revoke(recording: Recording, grant_id: uuid.UUID) -> Any:
    """Revoke a grant."""
    found = grants.find(db.session(), recording, grant_id)
    if found is None:
        raise NotFound
    grants.revoke(db.session(), guard.actor(), found)
    return Response(status=204)
