"""One's own API tokens over the API: to see and to revoke. They are made on the page, after a fresh proof."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, jsonify

from app.access import SCOPES, Action
from app.db import db
from app.db.people import Person
from app.db.sign_in import ApiToken
from app.domain import tokens
from app.web import guard
from app.web.openapi import MOMENT, PREFIX, STRING, UUID, array, component, describe, nullable, one_of, thing

bp = Blueprint("api_tokens", __name__, url_prefix=f"{PREFIX}/tokens")
TAGS = ("account",)
TOKEN = component(
    "Token",
    thing(
        {
            "id": UUID,
            "name": STRING,
            "scopes": array(one_of(*SCOPES)),
            "created_at": MOMENT,
            "expires_at": MOMENT,
            "last_used_at": nullable(MOMENT),
        },
        note="A token without its secret, which is shown once, on the page.",
    ),
)


def _of(token: ApiToken) -> dict[str, Any]:
    return {
        "id": str(token.id),
        "name": token.name,
        "scopes": token.scopes,
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at.isoformat(),
        "last_used_at": token.last_used_at.isoformat() if token.last_used_at else None,
    }


def _my_id() -> uuid.UUID:
    return db.session().get_one(Person, guard.actor().person_id).id


@bp.get("")
@guard.can(Action.OWN_ACCOUNT)
@describe("My tokens that work", responses={200: thing({"items": array(TOKEN)})}, tags=TAGS)
def index() -> Response:
    """Newest first. A token needs the scope `all` to ask."""
    return jsonify({"items": [_of(token) for token in tokens.working(db.session(), _my_id())]})


@bp.delete("/<uuid:token_id>")
@guard.can(Action.OWN_ACCOUNT)
@describe("Revoke one of my tokens", responses={204: None}, tags=TAGS)
def revoke(token_id: uuid.UUID) -> Response:
    """At once; a token may revoke itself. Revoking it again is no error."""
    tokens.revoke(db.session(), guard.actor(), _my_id(), token_id)
    return Response(status=204)
