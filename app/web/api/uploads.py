"""Uploads over the API: what upload.js, `vignette upload` and curl are built on."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.cases import Case
from app.db.recordings import Upload
from app.db.vocabulary import TermKind
from app.domain import uploads, vocabulary
from app.errors import Invalid
from app.web import guard
from app.web.bodies import Body
from app.web.doors import door
from app.web.openapi import DAY, INTEGER, PREFIX, STRING, URI, UUID, array, component, describe, nullable, one_of, thing

bp = Blueprint("api_uploads", __name__, url_prefix=f"{PREFIX}/uploads")
TAGS = ("uploads",)
BLOCK = 256 * 1024
IN_MEMORY = 1024 * 1024
DIGEST_HEADER = "X-Part-Sha256"
MOST_SIGNED = 200

PART = component("StoredPart", thing({"number": INTEGER, "size": INTEGER}))
UPLOAD = component(
    "Upload",
    thing(
        {
            "id": UUID,
            "recording": UUID,
            "case": UUID,
            "title": STRING,
            "filename": STRING,
            "size": INTEGER,
            "last_modified": nullable(INTEGER),
            "state": one_of("open", "completed", "cancelled"),
            "part_size": INTEGER,
            "parts": array(PART),
            "door": one_of("s3", "proxy"),
            "links": thing({"self": URI, "page": URI}),
        },
        note="`parts` are those that storage holds; every part but the last has `part_size` bytes. `door` says where "
        "parts go: s3, to addresses that this API signs, or proxy, to PUT …/parts/{n} of this API.",
    ),
)
NEW_UPLOAD = component(
    "NewUpload",
    thing(
        {
            "recording_id": UUID,
            "case_id": UUID,
            "title": STRING,
            "themes": array(STRING),
            "description": STRING,
            "recorded_on": DAY,
            "language": STRING,
            "filename": STRING,
            "size": INTEGER,
            "last_modified": INTEGER,
        },
        optional=("recording_id", "themes", "description", "recorded_on", "language", "last_modified"),
        note="`themes` are names or codes; without them the case's are taken. `last_modified` is in milliseconds. "
        "`language` is the language spoken, as a code such as cy, or auto; without it the instance's setting holds. "
        "`recording_id` names a recording that was not accepted or failed and gets another file.",
    ),
)
SIGN = component(
    "PartsToSign",
    thing({"parts": array(thing({"number": INTEGER, "sha256": STRING}))}, note="SHA-256 in base64."),
)
SIGNED = component(
    "SignedParts",
    thing(
        {
            "parts": array(
                thing(
                    {
                        "number": INTEGER,
                        "url": URI,
                        "headers": {"type": "object", "additionalProperties": STRING},
                    }
                )
            ),
            "expires_in": INTEGER,
        },
        note="PUT each part at its address with these headers, within `expires_in` seconds.",
    ),
)
COMPLETED = component(
    "CompletedUpload",
    thing({"recording": UUID, "state": STRING, "links": thing({"self": URI, "page": URI, "recording": URI})}),
)


@bp.url_value_preprocessor
def lift_limit(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """A part may be larger than any other body; this is asked before the form token is looked for in the body."""
    if endpoint == "api_uploads.put_part":
        # one more, since a server that ends bodies by itself is asked for a byte past the last one
        request.max_content_length = uploads.part_size_for(guard.core().settings.max_upload_bytes) + 1


def _links(upload: Upload) -> dict[str, str]:
    return {
        "self": url_for("api_uploads.show", upload_id=upload.id),
        "page": url_for("recordings.manage", recording_id=upload.recording_id),
    }


def shape(upload: Upload) -> dict[str, Any]:
    """An upload as the API shows it; asks storage which parts are there."""
    core = guard.core()
    return {
        "id": str(upload.id),
        "recording": str(upload.recording_id),
        "case": str(upload.recording.case_id),
        "title": upload.recording.title,
        "filename": upload.filename,
        "size": upload.size,
        "last_modified": upload.last_modified,
        "state": upload.state.value,
        "part_size": upload.part_size,
        "parts": [{"number": p.number, "size": p.size} for p in uploads.stored_parts(core.storage, upload)],
        "door": door(core),
        "links": _links(upload),
    }


@bp.post("")
@guard.can(Action.RECORDING_CREATE)
@describe("Open an upload", request=NEW_UPLOAD, responses={201: UPLOAD}, tags=TAGS)
def create() -> Any:
    """Open an upload, and with it a new recording."""
    body = Body()
    case_id = body.id("case_id")
    recording_id = body.id("recording_id", required=False)
    words = body.texts("themes")
    file = uploads.File(
        name=body.text("filename", required=True),
        size=body.integer("size", least=0, most=2**62) or 0,
        last_modified=body.integer("last_modified", least=-(2**53), most=2**53, required=False),
    )
    title, description, day = body.text("title"), body.text("description"), body.day("recorded_on")
    language = body.text("language")
    body.check()
    session, who = db.session(), guard.actor()
    if case_id is None:
        raise Invalid("Select a case", fields={"case_id": "Select a case"})
    case = policy.require(session, who, Action.CASE_RECORD, Case, case_id, clock.now())
    upload = uploads.begin(
        session,
        guard.core().storage,
        who,
        case,
        uploads.Details(
            title=title,
            description=description,
            recorded_on=day,
            themes=vocabulary.find_terms(session, TermKind.THEME, words),
            language=language,
        ),
        file,
        limit=guard.core().settings.max_upload_bytes,
        recording_id=recording_id,
    )
    answer = jsonify(shape(upload))
    answer.status_code = 201
    answer.headers["Location"] = _links(upload)["self"]
    return answer


@bp.get("")
@guard.can(Action.RECORDING_CREATE)
@describe(
    "One's own unfinished uploads",
    query={"state": one_of("open")},
    responses={200: component("Uploads", thing({"items": array(UPLOAD)}))},
    tags=TAGS,
)
def index() -> Any:
    """The actor's unfinished uploads."""
    if request.args.get("state", "open") != "open":
        raise Invalid("state must be open", fields={"state": "state must be open"})
    return jsonify({"items": [shape(upload) for upload in uploads.unfinished(db.session(), guard.actor())]})


@bp.get("/<uuid:upload_id>")
@guard.can(Action.RECORDING_CREATE)
@describe("One's own upload and the parts that have arrived", responses={200: UPLOAD}, tags=TAGS)
def show(upload_id: uuid.UUID) -> Any:
    """One upload."""
    return jsonify(shape(uploads.require(db.session(), guard.actor(), upload_id)))


@bp.post("/<uuid:upload_id>/parts")
@guard.can(Action.RECORDING_CREATE)
@describe("Sign addresses for parts", request=SIGN, responses={200: SIGNED}, tags=TAGS)
def sign(upload_id: uuid.UUID) -> Any:
    """Addresses at storage to PUT parts at."""
    upload = uploads.require(db.session(), guard.actor(), upload_id)
    digests = _wanted_parts()
    urls = uploads.sign(db.session(), guard.core().storage, upload, digests)
    parts = [
        {"number": number, "url": url, "headers": {"x-amz-checksum-sha256": digests[number]}}
        for number, url in urls.items()
    ]
    return jsonify({"parts": parts, "expires_in": uploads.LINK_SECONDS})


def _wanted_parts() -> dict[int, str]:
    wanted = Body().values.get("parts")
    sentence = f"parts must be a list of 1 to {MOST_SIGNED} objects, each with a number and a sha256"
    if not isinstance(wanted, list) or not 0 < len(wanted) <= MOST_SIGNED:
        raise Invalid(sentence, fields={"parts": sentence})
    digests: dict[int, str] = {}
    for item in wanted:
        number = item.get("number") if isinstance(item, dict) else None
        digest = item.get("sha256") if isinstance(item, dict) else None
        if isinstance(number, bool) or not isinstance(number, int) or not isinstance(digest, str):
            raise Invalid(sentence, fields={"parts": sentence})
        digests[number] = digest
    return digests


@bp.put("/<uuid:upload_id>/parts/<int:number>")
@guard.can(Action.RECORDING_CREATE)
@describe(
    "Send one part through the app",
    request={"type": "string", "format": "binary"},
    request_type="application/octet-stream",
    responses={200: PART},
    headers={DIGEST_HEADER: STRING},
    tags=TAGS,
)
def put_part(upload_id: uuid.UUID, number: int) -> Any:
    """Take one part for storage, for where storage cannot be reached. It waits on disk until its digest is known."""
    session = db.session()
    upload = uploads.require(session, guard.actor(), upload_id)
    uploads.check_open(upload)
    size = uploads.check_number(upload, number)
    digest = uploads.check_digest(request.headers.get(DIGEST_HEADER, ""))
    if request.content_length != size:
        sentence = f"Part {number} must have {size} bytes and say so in Content-Length"
        raise Invalid(sentence, fields={"number": sentence})
    session.commit()  # a slow line must not hold a connection to the database while its bytes come in
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body:
        found = hashlib.sha256()
        while block := request.stream.read(BLOCK):
            found.update(block)
            body.write(block)
        if body.tell() != size or base64.b64encode(found.digest()).decode() != digest:
            sentence = f"Part {number} was changed on the way. Send it again."
            raise Invalid(sentence, fields={"sha256": sentence}, code="digest-mismatch")
        body.seek(0)
        uploads.store_part(session, guard.core().storage, upload, number, body, digest, size)
    return jsonify({"number": number, "size": size})


@bp.post("/<uuid:upload_id>/complete")
@guard.can(Action.RECORDING_CREATE)
@describe("Put the parts together and begin processing", responses={200: COMPLETED}, tags=TAGS)
def complete(upload_id: uuid.UUID) -> Any:
    """Complete an upload; asking again answers the same."""
    upload = uploads.require(db.session(), guard.actor(), upload_id, lock=True)
    recording = uploads.complete(db.session(), guard.core().storage, guard.actor(), upload)
    links = {**_links(upload), "recording": url_for("api_recordings.show", recording_id=recording.id)}
    return jsonify({"recording": str(recording.id), "state": recording.state.value, "links": links})


@bp.delete("/<uuid:upload_id>")
@guard.can(Action.RECORDING_CREATE)
@describe("Give an upload up; nothing of it is left", responses={204: None}, tags=TAGS)
def cancel(upload_id: uuid.UUID) -> Any:
    """Cancel an upload."""
    upload = uploads.require(db.session(), guard.actor(), upload_id, lock=True)
    uploads.cancel(db.session(), guard.core().storage, guard.actor(), upload)
    return Response(status=204)
