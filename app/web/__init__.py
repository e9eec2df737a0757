"""The web application: routes, pages and the JSON API over the core."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from flask import Flask, Response, g, request, url_for
from flask_login import LoginManager
from werkzeug.middleware.proxy_fix import ProxyFix

from app import access
from app.access import Action, policy
from app.core import ROOT, build_core
from app.db import db
from app.settings import Settings
from app.web import api, looking, views
from app.web.assets import init_templates
from app.web.errors import init_errors
from app.web.guard import actor, init_guard
from app.web.headers import init_headers
from app.web.sessions import DatabaseSessions, signed_in_session

#: The menu: words, endpoint and what it takes to see it. Data, so that header and tests agree.
MENU: tuple[tuple[str, str, Action], ...] = (
    ("Library", "library.index", Action.OWN_ACCOUNT),
    ("Cases", "cases.index", Action.OWN_ACCOUNT),
    ("My recordings", "recordings.mine", Action.RECORDING_CREATE),
    ("Training materials", "materials.index", Action.OWN_ACCOUNT),
    ("Sharing", "requests.index", Action.SHARING_VIEW),
    ("People and places", "people.index", Action.PEOPLE_ADMINISTER),
    ("Audit", "audit.index", Action.AUDIT_VIEW),
    ("Work", "work.index", Action.WORK_VIEW),
)


class SignedIn:
    """What Flask-Login keeps of somebody signed in: the id. Rights are asked of the database at each request."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, person_id: Any) -> None:
        self.person_id = person_id

    def get_id(self) -> str:
        """The id as Flask-Login stores it."""
        return str(self.person_id)


def create_app(settings: Settings) -> Flask:
    """The WSGI application for complete settings.

    Raises:
        Misconfigured: something needed is missing or weak.
    """
    core = build_core(settings)
    app = core.app
    app.import_name = __name__
    app.root_path = str(ROOT / "app" / "web")
    app.config.update(
        MAX_CONTENT_LENGTH=1024 * 1024,
        MAX_FORM_MEMORY_SIZE=1024 * 1024,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=settings.secure,
        WTF_CSRF_HEADERS=["X-CSRF-Token"],
        SESSION_COOKIE_HTTPONLY=True,
    )
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # it answers with a redirect to whatever Host the request named
    app.add_url_rule("/static/<path:filename>", endpoint="static", view_func=lambda filename: Response())
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]
    sessions = DatabaseSessions(settings)
    app.session_interface = sessions
    init_headers(app, core)
    init_templates(app, brand=settings.brand, organisation_name=settings.organisation_name)
    init_errors(app)
    _init_login(app)
    looking.init_refusal(app)
    init_guard(app)
    looking.init_record(app)
    _init_transaction(app)
    _init_layout(app, sessions)
    for package in (views, api):
        for module in pkgutil.iter_modules(package.__path__):
            blueprint = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "bp", None)
            if blueprint is not None:
                app.register_blueprint(blueprint)
    return app


def _init_login(app: Flask) -> None:
    login = LoginManager(app)
    login.session_protection = None  # the session is a row of ours and ends when we say

    @login.request_loader  # type: ignore[untyped-decorator]
    def from_request(_request: Any) -> SignedIn | None:
        browser = signed_in_session()
        return SignedIn(browser.person_id) if browser is not None and browser.person_id is not None else None


def _init_transaction(app: Flask) -> None:
    """One owner of the transaction: a request that succeeded commits, any other leaves no trace."""

    @app.after_request
    def end_transaction(response: Response) -> Response:
        if response.status_code < 400:
            db.session.commit()
        else:
            db.session.rollback()
        return response


def _init_layout(app: Flask, sessions: DatabaseSessions) -> None:
    @app.context_processor
    def layout() -> dict[str, Any]:
        who: access.Actor = g.get("actor", access.ANONYMOUS)
        if who.kind not in ("person", "view-as"):
            return {}
        browser = signed_in_session()
        ends = sessions.ends_at(browser).isoformat(timespec="seconds") if browser is not None else ""
        return {
            "actor": who,
            "navigation": [
                {"text": text, "href": url_for(endpoint), "current": request.path.startswith(url_for(endpoint))}
                for text, endpoint, action in MENU
                if endpoint in app.view_functions and policy.can(who, action)
            ],
            "account": {
                "text": who.name,
                "href": url_for("auth.account") if who.seen_by is None else "",
                "sign_out": url_for("auth.sign_out"),
            },
            "session_ends": ends,
            "session_person": str(browser.person_id) if browser is not None else "",
            **(looking.layout(who) if who.seen_by is not None else {}),
        }


__all__ = ["actor", "create_app"]
