"""Browser sessions: in the database once somebody has signed in, so that signing out ends them for good.

Before that there is nothing to protect but the form token: visitors get a small signed cookie and no row, so that
reading the sign-in page writes nothing.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, Request, Response, request
from flask import session as flask_session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from sqlalchemy import update
from werkzeug.datastructures import CallbackDict
from werkzeug.wrappers import Response as BaseResponse

from app import clock
from app.db import db
from app.db.sign_in import WebSession
from app.domain import sign_in
from app.settings import Settings

SEEN_EVERY = timedelta(minutes=1)


class ServerSession(CallbackDict, SessionMixin):  # type: ignore[type-arg]
    """What Flask calls `session` for somebody signed in. `row_id` names the row, `person_id` whose it is."""

    def __init__(self, row: WebSession) -> None:
        def changed(session: Any) -> None:
            session.modified = True

        super().__init__(dict(row.payload), changed)
        self.row_id: uuid.UUID = row.id
        self.person_id: uuid.UUID | None = row.person_id
        self.embed_material_id: uuid.UUID | None = row.embed_material_id
        self.created_at: datetime = row.created_at
        self.expires_at: datetime = row.expires_at
        self.second_factor_at: datetime | None = row.second_factor_at
        self.view_as_id: uuid.UUID | None = row.view_as_id
        self.view_as_until: datetime | None = row.view_as_until
        self.seen_at: datetime = row.seen_at
        self.modified = False
        self.accessed = True


def signed_in_session() -> ServerSession | None:
    """The session of somebody signed in; None for a visitor."""
    found = flask_session._get_current_object()  # type: ignore[attr-defined]
    return found if isinstance(found, ServerSession) else None


class DatabaseSessions(SecureCookieSessionInterface):
    """Flask's session interface over `web_sessions`; visitors keep Flask's own signed cookie under another name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.idle = timedelta(minutes=settings.session_idle_minutes)
        self.life = timedelta(hours=settings.session_hours)
        prefix = "__Host-" if settings.secure else ""
        self.cookie = f"{prefix}vignette"
        self.visitor_cookie = f"{prefix}vignette-visitor"
        self.embed_cookie = f"{prefix}vignette-embed"

    def get_cookie_name(self, app: Flask) -> str:
        """The visitor's cookie; the signed-in one is handled here."""
        return self.visitor_cookie

    def get_cookie_secure(self, app: Flask) -> bool:
        """Secure wherever people come by https; the __Host- prefix asks for it."""
        return self.settings.secure

    def get_cookie_samesite(self, app: Flask) -> str:
        """Lax: a link from a mail keeps people signed in, a form on another site does not."""
        return "Lax"

    def open_session(self, app: Flask, request: Request) -> Any:
        """The session of the request's cookie, or a visitor's."""
        if request.path.startswith("/static/"):
            return SecureCookieSession()
        embedded = request.path.startswith("/embed/")
        token = request.cookies.get(self.embed_cookie if embedded else self.cookie)
        if token:
            row = sign_in.find_session(db.session(), token, self.idle)
            # an embed's session works in embeds only, and no other session works there
            if row is not None and (row.embed_material_id is not None) == embedded:
                return ServerSession(row)
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Keep what changed; a session that was ended meanwhile stays ended."""
        if not isinstance(session, ServerSession):
            super().save_session(app, session, response)
            return
        now = clock.now()
        values: dict[str, Any] = {"payload": dict(session)} if session.modified else {}
        if values or (self._renews(session, now) and not _by_itself()):
            db.session.execute(update(WebSession).where(WebSession.id == session.row_id).values(seen_at=now, **values))
            db.session.commit()
        response.vary.add("Cookie")

    def start(self, response: BaseResponse, token: str) -> None:
        """Give the browser the cookie of a session that was opened."""
        response.set_cookie(
            self.cookie, token, httponly=True, secure=self.settings.secure, samesite="Lax", path="/",
            max_age=int(self.life.total_seconds()),
        )  # fmt: skip
        self.clear_visitor(response)

    def start_embed(self, response: BaseResponse, token: str) -> None:
        """Give a frame on another site the cookie of its own session: partitioned, so that no site can follow it."""
        response.set_cookie(
            self.embed_cookie, token, httponly=True, secure=True, samesite="None", path="/", partitioned=True,
            max_age=int(self.life.total_seconds()),
        )  # fmt: skip

    def stop(self, response: BaseResponse) -> None:
        """Take the cookie back."""
        response.delete_cookie(self.cookie, path="/", secure=self.settings.secure, httponly=True, samesite="Lax")

    def clear_visitor(self, response: BaseResponse) -> None:
        """Drop the visitor's cookie, so that nothing from before signing in lives on."""
        response.delete_cookie(
            self.visitor_cookie, path="/", secure=self.settings.secure, httponly=True, samesite="Lax"
        )

    def ends_at(self, session: ServerSession) -> datetime:
        """When the session ends if nothing more is asked after this request."""
        now = clock.now()
        renewed = session.modified or (self._renews(session, now) and not _by_itself())
        return min(session.expires_at, (now if renewed else session.seen_at) + self.idle)

    def _renews(self, session: ServerSession, now: datetime) -> bool:
        return session.seen_at < now - SEEN_EVERY


def _by_itself() -> bool:
    """Whether a page's script asks this by itself, so that it says nothing about anybody being there: reading the API,
    as the progress of a recording does every few seconds. What plays counts as use, because somebody watches: media is
    asked for only while it plays, and so is its position kept. So does an upload that goes on."""
    return request.method in ("GET", "HEAD") and (request.endpoint or "").startswith(("api_", "health."))
