"""The guard: every route says what it takes to use it, and what says nothing is closed.

    @bp.get("/recordings/<uuid:recording_id>")
    @guard.on(Action.RECORDING_VIEW, Recording)
    def show(recording: Recording) -> str: ...

`on` loads the row through the policy and hands it over in place of the id, so that a view cannot forget to ask. A test
walks all routes for a declaration.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request
from flask_login import current_user
from flask_wtf.csrf import CSRFProtect

from app import access, clock
from app.access import ANONYMOUS, EMBED_ACTIONS, Action, Actor, policy
from app.core import Core
from app.db import db
from app.domain import audit, second_factors, sign_in, view_as
from app.errors import NotFound, NotSignedIn, ProofNeeded
from app.web.sessions import signed_in_session

View = TypeVar("View", bound=Callable[..., Any])
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
csrf = CSRFProtect()


@dataclass(frozen=True)
class Declaration:
    """What a route asks for. `kind` is "public", "capability" or "row"."""

    kind: str
    action: Action | None = None
    table: type[Any] | None = None
    param: str = ""
    why_public: str = ""
    #: why an unsafe request needs no form token; empty: it needs one
    why_no_form_token: str = ""


def _declare(view: View, declaration: Declaration) -> View:
    view._guard = declaration  # type: ignore[attr-defined]
    return view


def declaration_of(view: Callable[..., Any]) -> Declaration | None:
    """What a view function declared, if anything."""
    return getattr(view, "_guard", None)


def public(why: str, *, no_form_token: str = "") -> Callable[[View], View]:
    """Open to everybody, for a reason that is written down."""
    return lambda view: _declare(view, Declaration("public", why_public=why, why_no_form_token=no_form_token))


def can(action: Action) -> Callable[[View], View]:
    """Open to actors who can do an action that needs no row."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            policy.require_capability(actor(), action)
            return view(*args, **kwargs)

        return cast(View, _declare(guarded, Declaration("capability", action)))

    return decorate


def on(action: Action, table: type[Any], *, name: str = "", lock: bool = False) -> Callable[[View], View]:
    """Open to actors who may do the action to the row that the address names as `<name>_id`.

    Args:
        name: the word in the address and of the view's argument; by default the table's, in lower case.
        lock: lock the row for the request's transaction.
    """
    word = name or table.__name__.lower()
    param = f"{word}_id"

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            row_id: uuid.UUID = kwargs.pop(param)
            who = actor()
            if who.is_anonymous:
                raise NotSignedIn
            kwargs[word] = policy.require(db.session(), who, action, table, row_id, clock.now(), lock=lock)
            return view(*args, **kwargs)

        return cast(View, _declare(guarded, Declaration("row", action, table, param)))

    return decorate


def actor() -> Actor:
    """Who asks: by bearer token where there is one, else by session. Loaded once a request, always from the database."""
    if "actor" not in g:
        g.actor = _load_actor()
    who: Actor = g.actor
    return who


def _load_actor() -> Actor:
    session = db.session()
    if uses_token():
        found = sign_in.find_token(session, request.headers["Authorization"].partition(" ")[2].strip())
        if found is None:
            return ANONYMOUS
        person_id, actions = found
        who = access.load(session, person_id, clock.now())
        return who.narrowed("token", actions) if who.active else who
    if not current_user.is_authenticated:
        return ANONYMOUS
    who = access.load(session, current_user.person_id, clock.now())
    browser = signed_in_session()
    if browser is not None and browser.embed_material_id is not None and who.active:
        return who.narrowed("embed", EMBED_ACTIONS, browser.embed_material_id)
    if browser is not None and browser.second_factor_at is None and who.active:
        required = core().settings.second_factor == "required"
        left = second_factors.before_proof(session, who, required=required)
        if left is not None:
            g.unproven = True
            return who.narrowed("person", left)
    if browser is not None and browser.view_as_id is not None:
        return view_as.actor_for(session, who, browser.view_as_id, browser.view_as_until)
    return who


def require_proof() -> None:
    """Close what is public by its declaration, but not meant for somebody who must still show a second factor.

    Raises:
        ProofNeeded: they must.
    """
    actor()
    if g.get("unproven", False):
        raise ProofNeeded


def core() -> Core:
    """The core of the running app: settings and storage."""
    found: Core = current_app.extensions["vignette"]
    return found


def uses_token() -> bool:
    """Whether the request carries a bearer token: its own proof, which a browser cannot be tricked into sending. Basic
    credentials, which browsers add by themselves, are not meant for us and count for nothing."""
    return request.headers.get("Authorization", "").lower().startswith("bearer ")


def init_guard(app: Flask) -> None:
    """Close every route that says nothing, and check the form token of every unsafe request that rests on a cookie."""
    csrf.init_app(app)

    @app.before_request
    def check() -> None:
        audit.request_is(db.session(), g.get("request_id", ""), request.remote_addr or "")
        if request.endpoint is None:
            return
        if request.endpoint == "static":
            return
        declaration = declaration_of(current_app.view_functions[request.endpoint])
        if declaration is None:
            raise NotFound
        if request.method in UNSAFE and not uses_token() and not declaration.why_no_form_token:
            csrf.protect()
        # The one place that asks for the second factor: until it was shown, no route is open but those of the actions
        # that are left, and public ones, which give a narrowed actor nothing.
        if declaration.kind != "public" and declaration.action not in (actor().actions or ()):
            require_proof()
