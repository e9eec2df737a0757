"""Caption files over the API: bringing one in any format, taking one away, beginning a second language."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, request

from app import clock
from app.access import Action, policy
from app.captions import files, tracks
from app.db import db
from app.db.recordings import Recording
from app.domain import caption_files, downloads
from app.domain.caption_files import Brought
from app.errors import Forbidden, Invalid
from app.web import captions_shown, guard
from app.web.openapi import INTEGER, PREFIX, STRING, array, component, describe, one_of, thing
from app.web.views.downloads import file

bp = Blueprint("api_caption_files", __name__, url_prefix=f"{PREFIX}/recordings/<uuid:recording_id>/captions")
TAGS = ("captions",)
BINARY = {"type": "string", "format": "binary"}
BROUGHT = component(
    "ImportedCaptions",
    thing(
        {
            "language": STRING,
            "version": INTEGER,
            "cues": INTEGER,
            "remarks": array(thing({"place": INTEGER, "sentence": STRING})),
        },
        note="`place` is the line of the file, or the row of a table, that a remark is about.",
    ),
)


@bp.url_value_preprocessor
def allow_a_whole_file(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """A caption file is larger than other bodies; this is asked before the form token is looked for in the body."""
    if endpoint == "api_caption_files.bring":
        request.max_content_length = tracks.MAX_BYTES + 1


def _answer(brought: Brought) -> Any:
    remarks = [{"place": flag.line, "sentence": flag.sentence} for flag in brought.flags]
    shown = {"language": brought.language, "version": brought.version, "cues": brought.cues, "remarks": remarks}
    return jsonify(shown), 201


@bp.post("/<language>/import")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe(
    "Import captions as the version that is worked on",
    request=BINARY,
    request_type="application/octet-stream",
    query={"filename": STRING},
    responses={201: BROUGHT},
    tags=TAGS,
)
def bring(recording: Recording, language: str) -> Any:
    """Take a file in any format."""
    data = request.get_data()
    if not data:
        raise Invalid("The body must be the bytes of a caption file")
    name = request.args.get("filename", "")
    return _answer(
        caption_files.bring(db.session(), guard.core().storage, guard.actor(), recording, language, data, name)
    )


@bp.post("/<language>/translate")
@guard.on(Action.CAPTIONS_EDIT, Recording)
@describe("Begin captions in a second language as a copy of the first", responses={201: BROUGHT}, tags=TAGS)
def translate(recording: Recording, language: str) -> Any:
    """Copy the captions of what is spoken."""
    return _answer(
        caption_files.begin_translation(db.session(), guard.core().storage, guard.actor(), recording, language)
    )


@bp.get(f"/<language>.<any({','.join(files.FORMATS)}):kind>")
@guard.on(Action.RECORDING_DOWNLOAD, Recording)
@describe(
    "Download captions; it is written down",
    query={"reason": STRING, "version": one_of("shown", "current")},
    responses={200: BINARY},
    response_type="application/octet-stream",
    tags=TAGS,
)
def export(recording: Recording, language: str, kind: str) -> Any:
    """Captions as a file: those that viewers see, or those that are worked on."""
    session, who = db.session(), guard.actor()
    version = request.args.get("version", "shown")
    if version not in ("shown", "current"):
        raise Invalid("version must be shown or current", fields={"version": "version must be shown or current"})
    current = version == "current"
    if current and not policy.allows(session, who, Action.CAPTIONS_EDIT, recording.id, clock.now()):
        raise Forbidden("Only those who may edit the captions can have what is being worked on.")
    name = f"{'draft' if current else 'captions'}-{language}"
    reason = request.args.get("reason", "")
    return file(
        downloads.take(session, who, recording, name, captions_shown.shown(), reason, kind=kind, drafts=current)
    )
