"""What waits for an admin's yes, over the API: grants for areas beyond those of whoever gave them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from app.access import Action
from app.db import db
from app.db.grants import Grant
from app.domain import approvals
from app.web import guard, links, listing
from app.web.api import grants
from app.web.bodies import Body
from app.web.openapi import MOMENT, PREFIX, STRING, UUID, component, describe, nullable, paged, thing

bp = Blueprint("api_approvals", __name__, url_prefix=f"{PREFIX}/approvals")
TAGS = ("sharing",)

WAITING = component(
    "WaitingGrant",
    thing(
        {
            "id": UUID,
            "recording_id": nullable(UUID),
            "case_id": nullable(UUID),
            "title": STRING,
            "given_by": STRING,
            "asked_at": MOMENT,
            "grant": grants.GRANT,
        },
        note="One of `recording_id` and `case_id`; a case stands for all of its recordings. `given_by` is empty where "
        "nobody is known any more.",
    ),
)
ANSWER = component("Answer", thing({"answer": STRING}, optional=("answer",)))
REFUSAL = component("Refusal", thing({"answer": STRING}, note="Why not: whoever asked reads it."))


def _shape(grant: Grant) -> dict[str, Any]:
    on = grant.recording if grant.recording is not None else grant.case
    return {
        "id": str(grant.id),
        "recording_id": str(grant.recording_id) if grant.recording_id is not None else None,
        "case_id": str(grant.case_id) if grant.case_id is not None else None,
        "title": on.title if on is not None else "",
        "given_by": grant.created_by.display_name if grant.created_by is not None else "",
        "asked_at": grant.created_at.isoformat(),
        "grant": grants.shape(grant),
    }


@bp.get("")
@listing.of(Action.GRANT_APPROVE)
@describe(
    "What waits for one's approval",
    query={"after": STRING, "before": STRING},
    responses={200: paged("WaitingGrants", WAITING)},
    tags=TAGS,
)
def index() -> Any:
    """A page of it, the oldest first."""
    page = approvals.listing(
        db.session(), guard.actor(), after=request.args.get("after", ""), before=request.args.get("before", "")
    )
    beside = links.page_links("api_approvals.index", page)
    return jsonify({"items": [_shape(grant) for grant in page.rows], "links": beside})


@bp.post("/<uuid:grant_id>/approve")
@guard.on(Action.GRANT_APPROVE, Grant, lock=True)
@describe("Say yes: the grant counts from now", request=ANSWER, responses={204: None}, tags=TAGS)
def approve(grant: Grant) -> Any:
    """Say yes."""
    body = Body()
    answer = body.text("answer")
    body.check()
    approvals.approve(db.session(), guard.actor(), grant, answer)
    return Response(status=204)


@bp.post("/<uuid:grant_id>/refuse")
@guard.on(Action.GRANT_APPROVE, Grant, lock=True)
@describe("Say no, and why", request=REFUSAL, responses={204: None}, tags=TAGS)
def refuse(grant: Grant) -> Any:
    """Say no."""
    body = Body()
    answer = body.text("answer", required=True)
    body.check()
    approvals.refuse(db.session(), guard.actor(), grant, answer)
    return Response(status=204)
