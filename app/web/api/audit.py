"""The audit over the API: the same events as on the page, the latest first. Asking is written down too."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Blueprint, jsonify, request, url_for

from app.access import Action
from app.db import db
from app.domain import audit_log
from app.domain.audit_log import Filters
from app.errors import Invalid
from app.web import guard
from app.web.openapi import DAY, INTEGER, MOMENT, PREFIX, STRING, UUID, component, describe, nullable, paged, thing
from app.web.views.audit import NAMES, cursor

bp = Blueprint("api_audit", __name__, url_prefix=f"{PREFIX}/audit")

EVENT = component(
    "AuditEvent",
    thing(
        {
            "event": INTEGER,
            "at": MOMENT,
            "person_id": nullable(UUID),
            "person": STRING,
            "actor": STRING,
            "action": STRING,
            "sentence": STRING,
            "subject_kind": STRING,
            "subject_id": nullable(UUID),
            "subject": STRING,
            "request_id": STRING,
            "address": STRING,
            "reason": STRING,
            "detail": {"type": "object"},
        },
        note="`person` and `subject` are names as they are now; empty where there is none or it is not yours to read.",
    ),
)


def _day(name: str) -> date | None:
    text = request.args.get(name, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        sentence = f"{name} must be a real date, like 2027-03-31"
        raise Invalid(sentence, fields={name: sentence}) from None


@bp.get("")
@guard.can(Action.AUDIT_VIEW)
@describe(
    "Who did or saw what",
    query={
        **dict.fromkeys(("person", "action", "subject", "id"), STRING),
        **dict.fromkeys(("from", "until"), DAY),
        **dict.fromkeys(("older", "newer"), INTEGER),
    },
    responses={200: paged("AuditEvents", EVENT)},
    tags=("audit",),
)
def index() -> Any:
    """A page of the events that the actor may read."""
    session, who = db.session(), guard.actor()
    filters = Filters(
        **{name: request.args.get(name, "")[:320] for name in ("person", "action", "subject", "id")},
        from_day=_day("from"),
        until_day=_day("until"),
    )
    page = audit_log.search(session, who, filters, older=cursor("older"), newer=cursor("newer"))
    audit_log.look(session, who, filters)
    kept: dict[str, Any] = {name: request.args[name] for name in NAMES if request.args.get(name)}
    return jsonify(
        {
            "items": [{**audit_log.as_json(line), "sentence": line.sentence} for line in page.lines],
            "links": {
                "next": url_for("api_audit.index", older=page.older, **kept) if page.older is not None else None,
                "previous": url_for("api_audit.index", newer=page.newer, **kept) if page.newer is not None else None,
            },
        }
    )
