"""Going on being signed in: what the page's warning asks for before the session ends by itself."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from app.access import Action
from app.errors import NotSignedIn
from app.web import guard
from app.web.openapi import PREFIX, describe, thing
from app.web.sessions import DatabaseSessions, signed_in_session

bp = Blueprint("api_session", __name__, url_prefix=f"{PREFIX}/session")


ENDS = thing({"ends": {"type": "string", "format": "date-time"}})


@bp.get("")
@guard.can(Action.SESSION)
@describe(
    "When the browser session that asks ends; asking does not put it off", responses={200: ENDS}, tags=("account",)
)
def show() -> Response:
    """Another tab or a playing film may have renewed the session since this page was made."""
    return _ends(renew=False)


@bp.post("")
@guard.can(Action.SESSION)
@describe(
    "Stay signed in: put off the end of the browser session that asks",
    responses={200: ENDS},
    tags=("account",),
)
def stay() -> Response:
    """Count this as use of the session. Its absolute end does not move."""
    return _ends(renew=True)


def _ends(*, renew: bool) -> Response:
    browser = signed_in_session()
    sessions = current_app.session_interface
    if browser is None or not isinstance(sessions, DatabaseSessions):
        raise NotSignedIn
    if renew:
        browser.modified = True  # written at once, not only once a minute
    return jsonify({"ends": sessions.ends_at(browser).isoformat(timespec="seconds")})
