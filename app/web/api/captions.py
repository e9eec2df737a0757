"""Captions over the API: tracks, the version that people work on, saving without overwriting anybody, versions, checking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, jsonify, request

from app.access import Action
from app.captions import comparing, fixing
from app.captions.cues import Cue
from app.db import db
from app.db.captions import CaptionTrack
from app.db.recordings import Recording
from app.domain import caption_drafts, caption_reviews, caption_versions
from app.domain.caption_drafts import Draft, EditedMeanwhile
from app.errors import Invalid
from app.web import cue_shapes, guard
from app.web.bodies import Body
from app.web.cue_shapes import CUE, CUES, DRAFT
from app.web.errors import problem
from app.web.openapi import (
    BOOLEAN,
    INTEGER,
    MOMENT,
    PREFIX,
    STRING,
    array,
    component,
    describe,
    nullable,
    one_of,
    thing,
)

bp = Blueprint("api_captions", __name__, url_prefix=f"{PREFIX}/recordings/<uuid:recording_id>/captions")
TAGS = ("captions",)
MOST_REVISION = 2**31 - 1

TRACK = component(
    "CaptionTrack",
    thing(
        {
            "language": STRING,
            "kind": one_of("captions", "translation"),
            "version": INTEGER,
            "revision": INTEGER,
            "reviewed_version": nullable(INTEGER),
            "reviewed_at": nullable(MOMENT),
            "published_version": nullable(INTEGER),
            "published_at": nullable(MOMENT),
            "waits_for_second": BOOLEAN,
        },
        note="Viewers see `published_version`. `revision` changes with every save; a save names the one it began from.",
    ),
)
VERSION = component(
    "CaptionVersion",
    thing(
        {
            "number": INTEGER,
            "origin": one_of("automatic", "edited", "imported"),
            "parent": nullable(INTEGER),
            "note": STRING,
            "by": STRING,
            "created_at": MOMENT,
            "updated_at": MOMENT,
            "cues": INTEGER,
            "checked": INTEGER,
        }
    ),
)
CLASH = thing({"first": INTEGER, "last": INTEGER, "theirs": CUES})
MERGED = component(
    "MergedCaptions",
    thing(
        {"revision": INTEGER, "by": STRING, "at": MOMENT, "cues": CUES, "clashes": array(CLASH)},
        note="Where both changed the same captions mine stands, from `first` to before `last`, and `theirs` is beside it.",
    ),
)
CHANGE = thing(
    {"change": one_of("same", "changed", "added", "removed"), "before": nullable(CUE), "after": nullable(CUE)}
)
REVISION = thing({"revision": INTEGER})


def _refused(error: EditedMeanwhile) -> Response:
    """409 with what the other one saved, so that the caller can choose."""
    db.session.rollback()
    theirs = error.theirs
    answer = problem(409, str(error), error.code)
    body = {
        **(answer.get_json() or {}),
        "theirs": cue_shapes.shape_draft(theirs, [], cues=True),
    }
    answer.set_data(jsonify(body).get_data())
    return answer


def _draft(recording: Recording, draft: Draft, *, cues: bool) -> Response:
    session = db.session()
    duration = recording.duration_ms / 1000 if recording.duration_ms is not None else None
    names = caption_reviews.named_in(session, recording, draft.cues)
    found = cue_shapes.problems(draft.cues, names, duration)
    answer = jsonify(cue_shapes.shape_draft(draft, found, cues=cues))
    answer.set_etag(str(draft.revision))
    return answer


@bp.url_value_preprocessor
def _long_bodies(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Bodies may be larger here than elsewhere: they can hold hours of captions. Before anything reads them."""
    request.max_content_length = cue_shapes.MOST_BYTES


def _revision(body: Body) -> int:
    """The revision that the caller began from: `If-Match`, or `revision` in the body."""
    tag = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if tag:
        if not tag.isascii() or not tag.isdigit() or int(tag) > MOST_REVISION:
            raise Invalid(
                "If-Match must be the revision that you began from.", fields={"If-Match": "must be a revision"}
            )
        return int(tag)
    found = body.integer("revision", least=0, most=MOST_REVISION)
    body.check()
    return found or 0


# -- tracks ------------------------------------------------------------------------------------------------------------


def _track(track: CaptionTrack) -> dict[str, Any]:
    four_eyes = guard.core().settings.captions_four_eyes == "on"
    return {
        "language": track.language,
        "kind": track.kind.value,
        "version": track.current_version,
        "revision": track.revision,
        "reviewed_version": track.reviewed_version,
        "reviewed_at": track.reviewed_at.isoformat() if track.reviewed_at is not None else None,
        "published_version": track.published_version,
        "published_at": track.published_at.isoformat() if track.published_at is not None else None,
        "waits_for_second": caption_reviews.waits_for_second(db.session(), track, four_eyes=four_eyes),
    }


@bp.get("")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe(
    "The caption tracks of a recording",
    responses={200: thing({"items": array(TRACK)})},
    tags=TAGS,
)
def index(recording: Recording) -> Any:
    """The tracks."""
    return jsonify({"items": [_track(track) for track in caption_versions.tracks(db.session(), recording.id)]})


@bp.get("/<language>")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe("The version that people work on", responses={200: DRAFT}, tags=TAGS)
def show(recording: Recording, language: str) -> Any:
    """The current version with its captions and what is wrong with them."""
    session = db.session()
    track = caption_versions.track(session, recording.id, language)
    return _draft(recording, caption_drafts.of(session, track), cues=True)


@bp.put("/<language>")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe(
    "Save the captions that people work on",
    request=thing(
        {"revision": INTEGER, "cues": CUES, "apart": BOOLEAN, "note": STRING},
        optional=("revision", "apart", "note"),
        note="`revision`, or the header If-Match, is the one that you began from. Has somebody saved since, the answer is 409 "
        "`edited-meanwhile` with `theirs`, and nothing is changed. `apart` keeps what was there as a version of its own.",
    ),
    responses={200: DRAFT},
    headers={"If-Match": STRING},
    tags=TAGS,
)
def save(recording: Recording, language: str) -> Any:
    """Save."""
    body = Body()
    revision, apart, note = _revision(body), body.flag("apart"), body.text("note", most=caption_versions.MOST_NOTE)
    body.check()
    cues = cue_shapes.read(body.values.get("cues"))
    try:
        draft = caption_drafts.save(
            db.session(), guard.actor(), recording, language, cues, revision=revision, apart=apart, note=note
        )
    except EditedMeanwhile as error:
        return _refused(error)
    return _draft(recording, draft, cues=False)


@bp.post("/<language>/merge")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe(
    "Put one's own work and what is saved together; saves nothing",
    request=thing({"base": CUES, "mine": CUES}, note="`base` is what both began from."),
    responses={200: MERGED},
    tags=TAGS,
)
def merge(recording: Recording, language: str) -> Any:
    """Merge."""
    body = Body()
    session = db.session()
    theirs = caption_drafts.of(session, caption_versions.track(session, recording.id, language))
    base, mine = (
        caption_versions.fit_to_keep(cue_shapes.read(body.values.get(name), name)) for name in ("base", "mine")
    )
    merged = comparing.merge(base, mine, theirs.cues)
    return jsonify(
        {
            "revision": theirs.revision,
            "by": theirs.by,
            "at": theirs.at.isoformat(),
            "cues": _shapes(merged.cues),
            "clashes": [
                {"first": clash.first, "last": clash.last, "theirs": _shapes(clash.theirs)} for clash in merged.clashes
            ],
        }
    )


@bp.post("/<language>/fix")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe(
    "Fix timing and lines without changing words; saves nothing",
    request=thing({"cues": CUES}),
    responses={200: thing({"cues": CUES})},
    tags=TAGS,
)
def fix(recording: Recording, language: str) -> Any:
    """Captions within the rules."""
    body = Body()
    caption_versions.track(db.session(), recording.id, language)
    cues = caption_versions.fit_to_keep(cue_shapes.read(body.values.get("cues")))
    duration = recording.duration_ms / 1000 if recording.duration_ms else None
    return jsonify({"cues": _shapes(fixing.fixed(cues, duration=duration))})


def _shapes(cues: Sequence[Cue]) -> list[dict[str, Any]]:
    return [cue_shapes.shape(cue) for cue in cues]


# -- versions ----------------------------------------------------------------------------------------------------------


@bp.get("/<language>/versions")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe("The versions of a track, the newest first", responses={200: thing({"items": array(VERSION)})}, tags=TAGS)
def versions(recording: Recording, language: str) -> Any:
    """Every version that was kept."""
    session = db.session()
    kept = caption_versions.listing(session, caption_versions.track(session, recording.id, language))
    return jsonify(
        {
            "items": [
                {
                    **vars(row),
                    "origin": row.origin.value,
                    "created_at": row.created_at.isoformat(),
                    "updated_at": row.updated_at.isoformat(),
                }
                for row in kept
            ]
        }
    )


@bp.get("/<language>/versions/<int:number>")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe("The captions of one version", responses={200: thing({"number": INTEGER, "cues": CUES})}, tags=TAGS)
def version(recording: Recording, language: str, number: int) -> Any:
    """One version."""
    session = db.session()
    track = caption_versions.track(session, recording.id, language)
    found = caption_versions.version(session, track, number)
    return jsonify({"number": number, "cues": _shapes(caption_versions.cues_of(session, track, found.number))})


@bp.get("/<language>/versions/<int:number>/changes")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe(
    "What a version changed",
    query={"since": INTEGER},
    responses={200: thing({"since": INTEGER, "number": INTEGER, "changes": array(CHANGE)})},
    tags=TAGS,
)
def changes(recording: Recording, language: str, number: int) -> Any:
    """Compared with `since`: another version, by default the one that it was made from."""
    session = db.session()
    track = caption_versions.track(session, recording.id, language)
    found = caption_versions.version(session, track, number)
    since = request.args.get("since", default=found.parent or number, type=int)
    before = caption_versions.version(session, track, since)
    rows = comparing.differences(
        caption_versions.cues_of(session, track, before.number), caption_versions.cues_of(session, track, number)
    )
    return jsonify(
        {
            "since": since,
            "number": number,
            "changes": [
                {
                    "change": row.change.value,
                    "before": cue_shapes.shape(row.before) if row.before is not None else None,
                    "after": cue_shapes.shape(row.after) if row.after is not None else None,
                }
                for row in rows
            ],
        }
    )


@bp.post("/<language>/restore")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe(
    "Work on with an earlier version",
    request=thing({"version": INTEGER, "revision": INTEGER}),
    responses={200: DRAFT},
    headers={"If-Match": STRING},
    tags=TAGS,
)
def restore(recording: Recording, language: str) -> Any:
    """Restore."""
    body = Body()
    number = body.integer("version", least=1, most=MOST_REVISION) or 0
    revision = _revision(body)
    body.check()
    try:
        draft = caption_drafts.restore(db.session(), guard.actor(), recording, language, number, revision=revision)
    except EditedMeanwhile as error:
        return _refused(error)
    return _draft(recording, draft, cues=True)


# -- checking ----------------------------------------------------------------------------------------------------------


@bp.post("/<language>/review")
@guard.on(Action.CAPTIONS_REVIEW, Recording)
@describe(
    "Say that every caption was compared with the sound; viewers then see them",
    request=thing({"revision": INTEGER, "names_are_right": BOOLEAN}, optional=("names_are_right",)),
    responses={200: TRACK},
    headers={"If-Match": STRING},
    tags=TAGS,
)
def review(recording: Recording, language: str) -> Any:
    """Mark as checked."""
    body = Body()
    revision, names = _revision(body), body.flag("names_are_right")
    body.check()
    core = guard.core()
    try:
        draft = caption_reviews.review(
            db.session(), core.storage, guard.actor(), recording, language, revision=revision,
            four_eyes=core.settings.captions_four_eyes == "on", names_are_right=names,
        )  # fmt: skip
    except EditedMeanwhile as error:
        return _refused(error)
    return jsonify(_track(draft.track))


@bp.post("/<language>/approve")
@guard.on(Action.CAPTIONS_REVIEW, Recording)
@describe(
    "Be the second pair of eyes on captions that somebody marked as checked",
    request=REVISION,
    responses={200: TRACK},
    headers={"If-Match": STRING},
    tags=TAGS,
)
def approve(recording: Recording, language: str) -> Any:
    """Approve."""
    revision = _revision(Body())
    core = guard.core()
    try:
        draft = caption_reviews.approve(
            db.session(), core.storage, guard.actor(), recording, language, revision=revision
        )
    except EditedMeanwhile as error:
        return _refused(error)
    return jsonify(_track(draft.track))


@bp.post("/<language>/unpublish")
@guard.on(Action.CAPTIONS_REVIEW, Recording)
@describe("Take the captions from viewers", responses={200: TRACK}, tags=TAGS)
def unpublish(recording: Recording, language: str) -> Any:
    """Unpublish."""
    session = db.session()
    caption_reviews.unpublish(session, guard.actor(), recording, language)
    return jsonify(_track(caption_versions.track(session, recording.id, language)))
