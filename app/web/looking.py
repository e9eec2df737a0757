"""Requests of an admin who looks at the pages as somebody else: they change nothing, and each page is written down."""

from __future__ import annotations

from typing import Any

from flask import Flask, request, url_for

from app.access import Actor
from app.db import db
from app.domain import view_as
from app.web import errors, guard
from app.web.sessions import signed_in_session

#: What still works: stopping, and signing out.
STILL_OPEN = frozenset({"view_as.stop", "auth.sign_out"})
#: Pages that are their person's alone: devices, tokens, second factors; and what signs somebody in.
PERSONAL = ("/account", "/sign-in")
READ_ONLY = "You see Vignette as somebody else does, which changes nothing. Stop that first."
NOT_YOURS = "You see Vignette as somebody else does. Their account is theirs alone."
#: The parts of a film besides its playlist: one look is enough.
NOT_WRITTEN = frozenset({"static", "health.live", "health.ready", "health.metrics"})
OF_A_FILM = frozenset({"playback.master", "playback.video"})


def looking() -> Actor | None:
    """The actor of such a request; None for every other."""
    browser = signed_in_session()
    if guard.uses_token() or browser is None or browser.view_as_id is None:
        return None
    who = guard.actor()
    return who if who.seen_by is not None else None


def init_refusal(app: Flask) -> None:
    """Refuse what would change something. Registered before the guard, so that nothing else is asked first."""

    @app.before_request
    def refuse() -> Any:
        if request.endpoint in (None, "static") or request.endpoint in STILL_OPEN or looking() is None:
            return None
        if request.method in guard.UNSAFE:
            return _refused(READ_ONLY)
        return _refused(NOT_YOURS) if request.path.startswith(PERSONAL) else None


def init_record(app: Flask) -> None:
    """Write down each page. Registered after the guard, which names the request; what then fails leaves no trace."""

    @app.before_request
    def write() -> None:
        endpoint = request.endpoint or ""
        film = endpoint.startswith("playback.") and endpoint not in OF_A_FILM
        if not endpoint or endpoint in NOT_WRITTEN or film or request.method != "GET":
            return
        who = looking()
        if who is not None:
            ids = {name: str(value) for name, value in (request.view_args or {}).items() if name.endswith("_id")}
            view_as.look(db.session(), who, endpoint, **ids)


def _refused(sentence: str) -> Any:
    if errors.wants_json():
        return errors.problem(403, sentence, "read-only")
    return errors.error_page(403, sentence)


def layout(who: Actor) -> dict[str, Any]:
    """What the banner on every page says."""
    return {"viewing_as": {"name": who.name, "stop": url_for("view_as.stop")}}
