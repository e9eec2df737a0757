"""The tracks of sound of a recording over the API."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from app.access import Action
from app.db import db
from app.db.recordings import Recording
from app.domain import sounds
from app.web import guard
from app.web.bodies import Body
from app.web.openapi import BOOLEAN, INTEGER, PREFIX, STRING, array, component, describe, thing

bp = Blueprint("api_sounds", __name__, url_prefix=f"{PREFIX}/recordings")

MOST_INDEX = 9999
SOUNDS = component(
    "Sounds",
    thing(
        {"tracks": array(thing({"index": INTEGER, "label": STRING, "offered": BOOLEAN, "usual": BOOLEAN}))},
        note="The tracks that the uploaded file holds. One that is not offered is heard by nobody.",
    ),
)


def _shape(recording: Recording) -> Any:
    return jsonify({"tracks": [vars(track) for track in sounds.of_source(db.session(), recording)]})


@bp.get("/<uuid:recording_id>/sounds")
@guard.on(Action.RECORDING_MANAGE, Recording)
@describe("Tracks of sound in the file", responses={200: SOUNDS}, tags=("recordings",))
def show(recording: Recording) -> Any:
    """The tracks of the source."""
    return _shape(recording)


@bp.put("/<uuid:recording_id>/sounds")
@guard.on(Action.RECORDING_EDIT, Recording)
@describe(
    "Choose the tracks of sound that are heard",
    request=thing({"usual": INTEGER, "others": array(INTEGER)}, optional=("others",)),
    responses={202: SOUNDS},
    tags=("recordings",),
)
def choose(recording: Recording) -> Any:
    """Choose; the sound and the captions are made again."""
    body = Body()
    usual = body.integer("usual", least=0, most=MOST_INDEX)
    others = body.integers("others", least=0, most=MOST_INDEX)
    body.check()
    sounds.choose(db.session(), guard.actor(), recording, usual, others)
    return _shape(recording), 202
