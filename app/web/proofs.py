"""Proof that the person at the browser is who signed in: a second factor, and a fresh one for what could lock its owner out.

A proof belongs to one browser session. A bearer token has none, so it can do nothing that asks for a fresh one.
"""

from __future__ import annotations

from datetime import datetime

from flask import redirect, request, url_for
from sqlalchemy import update
from werkzeug.wrappers import Response as BaseResponse

from app import clock
from app.access import Actor
from app.db import db
from app.db.sign_in import WebSession
from app.domain import second_factors
from app.errors import Forbidden, ProofNeeded
from app.web import guard
from app.web.forms import safe_next
from app.web.sessions import ServerSession, signed_in_session

_PROVED_AT = "proved_at"
FRESH_WORDS = "Show again that it is you: this can only be done within 10 minutes of showing it."


def required() -> bool:
    """Whether this instance asks admins and custodians for a second factor."""
    return guard.core().settings.second_factor == "required"


def is_fresh(browser: ServerSession, who: Actor) -> bool:
    """Whether the proof is at most ten minutes old. For somebody with a second factor only that counts; for others
    their password, or having signed in just now."""
    moments = [browser.second_factor_at]
    if who.person_id is None or not second_factors.has_any(db.session(), who.person_id):
        said = browser.get(_PROVED_AT)
        moments += [browser.created_at, datetime.fromisoformat(said) if isinstance(said, str) else None]
    since = clock.now() - second_factors.FRESH
    return any(moment is not None and moment > since for moment in moments)


def browser_session() -> ServerSession:
    """The session of the browser that asks.

    Raises:
        Forbidden: a token asks.
    """
    browser = signed_in_session()
    if browser is None or guard.uses_token():
        raise Forbidden("This can only be done on the pages, by somebody who is signed in.")
    return browser


def require_fresh() -> None:
    """Go on only with a fresh proof in this browser session.

    Raises:
        ProofNeeded: it is too old; a page then leads to showing it again.
        Forbidden: a token asks.
    """
    if not is_fresh(browser_session(), guard.actor()):
        raise ProofNeeded(FRESH_WORDS)


def shown(*, second_factor: bool) -> None:
    """Note that the person has just proved who they are in this session."""
    browser, now = browser_session(), clock.now()
    browser[_PROVED_AT] = now.isoformat()
    if second_factor:
        browser.second_factor_at = now
        db.session.execute(update(WebSession).where(WebSession.id == browser.row_id).values(second_factor_at=now))


def lead() -> BaseResponse:
    """Where a browser goes that lacks a proof: to the page for it, and afterwards back."""
    if request.method == "GET":
        target = request.full_path.rstrip("?")
    else:
        came_from = request.referrer or ""
        target = "/" + came_from.removeprefix(request.host_url) if came_from.startswith(request.host_url) else "/"
    return redirect(url_for("factors.prove", next=safe_next(target)))
