"""Where somebody is in a recording: sent by the player every few seconds, and once more as the page goes."""

from __future__ import annotations

import math

from flask import Blueprint, Response, request

from app.access import Action
from app.db import db
from app.db.recordings import Recording
from app.domain import watching
from app.errors import Invalid
from app.web import guard
from app.web.openapi import NUMBER, PREFIX, describe, thing

bp = Blueprint("api_positions", __name__, url_prefix=f"{PREFIX}/recordings")


def _seconds() -> float:
    """The second in a JSON body, or in the form that `navigator.sendBeacon` can send (with its form token)."""
    body = request.get_json(silent=True) if request.is_json else request.form
    value = body.get("seconds") if hasattr(body, "get") else None
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise Invalid("seconds must be a number", fields={"seconds": "seconds must be a number"})
    return seconds


@bp.post("/<uuid:recording_id>/position")
@guard.on(Action.RECORDING_VIEW, Recording)
@describe("Remember where I am", request=thing({"seconds": NUMBER}), responses={204: None}, tags=("watching",))
def save(recording: Recording) -> Response:
    """Keep the second, clamped to the recording's length."""
    watching.save_position(db.session(), guard.actor(), recording, _seconds())
    return Response(status=204)
