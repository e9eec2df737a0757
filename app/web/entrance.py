"""The way in: the one place where somebody who has proved who they are gets a browser session, whatever the proof was."""

from __future__ import annotations

from datetime import timedelta

from flask import current_app, g, redirect, request, session
from werkzeug.wrappers import Response

from app import clock
from app.access import ANONYMOUS, Actor
from app.db import db
from app.db.people import Person
from app.domain import audit, sign_in
from app.web.sessions import DatabaseSessions, signed_in_session


def sessions() -> DatabaseSessions:
    """The session interface of the running app."""
    interface = current_app.session_interface
    if not isinstance(interface, DatabaseSessions):
        raise TypeError("the app runs with another session interface")
    return interface


def actor_of(person: Person) -> Actor:
    """A person who has just proved who they are, as the audit names them; it may do nothing."""
    return Actor(kind="person", person_id=person.id, name=person.display_name)


def let_in(person: Person, target: str, *, method: str, proved: bool = False) -> Response:
    """Open a session and go on. The browser's session of before ends, and the new one has a token of its own: a token
    that somebody planted is worth nothing.

    Args:
        target: a path of this site, as `forms.safe_next` gives it.
        method: "password", "link" or the key of an OpenID provider.
        proved: a second factor was shown too.
    """
    interface = sessions()
    browser = signed_in_session()
    if browser is not None:
        sign_in.end_session(db.session(), browser.row_id)
    g.actor = ANONYMOUS
    person.last_signed_in_at = clock.now()
    audit.record(db.session(), actor_of(person), "session:start", "person", person.id, method=method)
    _, token = sign_in.open_session(
        db.session(),
        person.id,
        request.user_agent.string,
        timedelta(hours=interface.settings.session_hours),
        method=method,
        address=request.remote_addr or "",
        proved=proved,
    )
    response = redirect(target)
    # Nothing of the visitor's session, its form token included, outlives this: save_session would send it again
    session.clear()
    interface.start(response, token)
    return response
