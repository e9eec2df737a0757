"""Where somebody is in a recording: sent by the player every few seconds, and once more as the page goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from app.access import Action
from app.db import db
from app.db.recordings import Recording
from app.domain import viewings, watching
from app.errors import Invalid
from app.web import guard
from app.web.openapi import BOOLEAN, NUMBER, PREFIX, describe, thing

bp = Blueprint("api_positions", __name__, url_prefix=f"{PREFIX}/recordings")


def _body() -> Mapping[str, Any]:
    """A JSON body, or the form that `navigator.sendBeacon` can send (with its form token)."""
    body: Any = request.get_json(silent=True) if request.is_json else request.form
    return body if isinstance(body, Mapping) else {}


def _seconds(body: Mapping[str, Any]) -> float:
    """The second in a body."""
    value = body.get("seconds")
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise Invalid("seconds must be a number", fields={"seconds": "seconds must be a number"})
    return seconds


@bp.post("/<uuid:recording_id>/position")
@guard.on(Action.RECORDING_VIEW, Recording)
@describe(
    "Remember where I am",
    request=thing({"seconds": NUMBER, "ended": BOOLEAN}, optional=("ended",)),
    responses={204: None},
    tags=("watching",),
)
def save(recording: Recording) -> Response:
    """Keep the second, clamped to the recording's length. `ended` says that nothing more will come of this viewing."""
    session, who, body = db.session(), guard.actor(), _body()
    seconds = _seconds(body)
    viewings.at(session, who, recording, seconds, ended=body.get("ended") in (True, "true"))
    watching.save_position(session, who, recording, seconds)
    return Response(status=204)
