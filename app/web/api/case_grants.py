"""Grants on a case over the API: each lets its audience see all recordings of the case, those to come too, once each is
published."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint

from app.access import Action
from app.db.cases import Case
from app.web import guard
from app.web.api import grants
from app.web.openapi import PREFIX, describe

bp = Blueprint("api_case_grants", __name__, url_prefix=f"{PREFIX}/cases/<uuid:case_id>/grants")
SHARING = ("sharing",)


@bp.get("")
@guard.on(Action.CASE_SHARE, Case)
@describe("Whom a case is shared with", query=grants.WITH_ENDED, responses={200: grants.GRANTS}, tags=SHARING)
def index(case: Case) -> Any:
    """Grants on the case itself."""
    return grants.index(case)


@bp.post("")
@guard.on(Action.CASE_SHARE, Case)
@describe(
    "Share a case, with all its recordings, with an audience",
    request=grants.NEW_GRANT,
    responses={201: grants.GRANT},
    tags=SHARING,
)
def give(case: Case) -> Any:
    """Give a grant."""
    return grants.give(case)


@bp.patch("/<uuid:grant_id>")
@guard.on(Action.CASE_SHARE, Case)
@describe("Give it another last day", request=grants.LAST_DAY, responses=grants.EXTENDED, tags=SHARING)
def extend(case: Case, grant_id: uuid.UUID) -> Any:
    """Extend or shorten a grant."""
    return grants.extend(case, grant_id)


@bp.delete("/<uuid:grant_id>")
@guard.on(Action.CASE_SHARE, Case)
@describe("End a grant, at once", responses={204: None}, tags=SHARING)
def revoke(case: Case, grant_id: uuid.UUID) -> Any:
    """Revoke a grant."""
    return grants.revoke(case, grant_id)
