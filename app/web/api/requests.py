"""Who asks to watch, over the API, for those who may share the recording."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from app.access import Action
from app.db import db
from app.db.grants import AccessRequest
from app.domain import access_requests
from app.web import guard, links, listing
from app.web.api import grants
from app.web.bodies import Body
from app.web.openapi import MOMENT, PREFIX, STRING, UUID, component, describe, paged, thing

bp = Blueprint("api_requests", __name__, url_prefix=f"{PREFIX}/requests")
TAGS = ("sharing",)

ASKED = component(
    "AccessRequest",
    thing(
        {
            "id": UUID,
            "recording_id": UUID,
            "title": STRING,
            "person": STRING,
            "email": STRING,
            "organisation": STRING,
            "reason": STRING,
            "asked_at": MOMENT,
        }
    ),
)
NO = component(
    "RequestRefusal", thing({"answer": STRING}, note="Why not, for the record; whoever asked is not shown it.")
)


def _shape(found: AccessRequest) -> dict[str, Any]:
    organisation = found.person.organisation
    return {
        "id": str(found.id),
        "recording_id": str(found.recording_id),
        "title": found.recording.title,
        "person": found.person.display_name,
        "email": found.person.email,
        "organisation": organisation.name if organisation is not None else "",
        "reason": found.reason,
        "asked_at": found.created_at.isoformat(),
    }


@bp.get("")
@listing.of(Action.REQUEST_ANSWER)
@describe(
    "Who asks to watch what one may share",
    query={"after": STRING, "before": STRING},
    responses={200: paged("AccessRequests", ASKED)},
    tags=TAGS,
)
def index() -> Any:
    """A page of them, the oldest first."""
    page = access_requests.listing(
        db.session(), guard.actor(), after=request.args.get("after", ""), before=request.args.get("before", "")
    )
    beside = links.page_links("api_requests.index", page)
    return jsonify({"items": [_shape(found) for found in page.rows], "links": beside})


@bp.post("/<uuid:request_id>/grant")
@guard.on(Action.REQUEST_ANSWER, AccessRequest, name="request", lock=True)
@describe("Say yes, until a day, to that person only", request=grants.LAST_DAY, responses={204: None}, tags=TAGS)
def grant(**found: AccessRequest) -> Any:
    """Say yes."""
    body = Body()
    until = grants.last_day(body)
    body.check()
    access_requests.grant(db.session(), guard.core().settings, guard.actor(), found["request"], until)
    return Response(status=204)


@bp.post("/<uuid:request_id>/refuse")
@guard.on(Action.REQUEST_ANSWER, AccessRequest, name="request", lock=True)
@describe("Say no, and note why", request=NO, responses={204: None}, tags=TAGS)
def refuse(**found: AccessRequest) -> Any:
    """Say no. The reason is for the audit; whoever asked reads only that the answer is no."""
    body = Body()
    answer = body.text("answer", required=True)
    body.check()
    access_requests.refuse(db.session(), guard.core().settings, guard.actor(), found["request"], answer)
    return Response(status=204)
