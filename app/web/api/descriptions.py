"""Audio description over the API."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from app.access import Action
from app.db import db
from app.db.recordings import Recording
from app.domain import descriptions
from app.web import guard
from app.web.bodies import Body
from app.web.openapi import MOMENT, PREFIX, STRING, UUID, component, describe, nullable, one_of, thing

bp = Blueprint("api_descriptions", __name__, url_prefix=f"{PREFIX}/recordings/<uuid:recording_id>/audio-description")
TAGS = ("recordings",)
STATUS = one_of(*descriptions.STATUSES)
DESCRIPTION = component(
    "AudioDescription",
    thing(
        {
            "status": STATUS,
            "reason": STRING,
            "by": STRING,
            "at": nullable(MOMENT),
            "described": nullable(UUID),
            "described_version_of": nullable(UUID),
        },
        note="`described` is the recording in which a voice says what is seen. Whoever may not view that reads `missing`.",
    ),
)


def _shape(recording: Recording) -> Any:
    told = descriptions.told(db.session(), guard.actor(), recording)
    return jsonify(
        {
            "status": told.status,
            "reason": told.reason,
            "by": told.by,
            "at": told.at.isoformat() if told.at is not None else None,
            "described": str(told.described.id) if told.described is not None else None,
            "described_version_of": str(told.of.id) if told.of is not None else None,
        }
    )


@bp.get("")
@guard.on(Action.RECORDING_VIEW, Recording)
@describe("Whether it can be followed without the picture", responses={200: DESCRIPTION}, tags=TAGS)
def show(recording: Recording) -> Any:
    """What was decided."""
    return _shape(recording)


@bp.put("")
@guard.on(Action.RECORDING_EDIT, Recording)
@describe(
    "Decide on its audio description",
    request=thing({"status": STATUS, "reason": STRING, "described": nullable(UUID)}, optional=("reason", "described")),
    responses={200: DESCRIPTION},
    tags=TAGS,
)
def decide(recording: Recording) -> Any:
    """Decide."""
    body = Body()
    status, reason = body.text("status", required=True, most=40), body.text("reason", most=descriptions.MOST_REASON)
    described = body.id("described", required=False)
    body.check()
    descriptions.decide(db.session(), guard.actor(), recording, status, reason=reason, described_id=described)
    return _shape(recording)
