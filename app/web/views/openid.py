"""Signing in through an organisation's OpenID provider, and the accounts that one has linked."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, session, url_for
from flask.blueprints import BlueprintSetupState

from app.access import Action
from app.core import Core
from app.db import db
from app.db.people import Person
from app.domain import identities, providers
from app.domain.openid import Refused
from app.domain.provider_client import Client
from app.errors import Conflict, NotFound
from app.web import entrance, guard
from app.web.forms import safe_next
from app.web.sessions import signed_in_session

bp = Blueprint("openid", __name__)
EXTENSION = "vignette-openid"
#: Where a browser keeps what it must know when it comes back, by state; a few, for people who open several tabs.
KEPT = "openid"
MOST_KEPT = 3
MOST_NEXT = 500
#: Refusals of the account and not of the answer.
FORBIDDEN = frozenset(
    {"no-email", "unverified-email", "foreign-domain", "not-linked", "linked-elsewhere", "suspended", "session-old"}
)
PROVIDERS_FAULT = frozenset({"provider-down", "provider-answer", "discovery-issuer", "discovery-address", "keys"})


@dataclass(frozen=True)
class Trip:
    """What a browser keeps while it is at the provider. `who` is set when somebody signed in links an account."""

    provider: str
    nonce: str
    verifier: str
    target: str = "/"
    link: str = ""
    who: str = ""


@bp.record_once
def _set_up(state: BlueprintSetupState) -> None:
    """Read the providers when the app is made, so that a wrong list stops the start."""
    core: Core = state.app.extensions["vignette"]
    state.app.extensions[EXTENSION] = {
        key: Client(provider, f"{core.settings.base_url}/sign-in/from/{key}")
        for key, provider in providers.load(core.settings.oidc_providers).items()
    }


@bp.app_context_processor
def _names() -> dict[str, Any]:
    return {"sign_in_providers": [client.provider for client in _clients().values()]}


def _clients() -> dict[str, Client]:
    found: dict[str, Client] = current_app.extensions[EXTENSION]
    return found


def _client(key: str) -> Client:
    if key not in _clients():
        raise NotFound
    return _clients()[key]


@bp.post("/sign-in/with/<key>")
@guard.public("people who are not signed in go to their organisation's sign-in from here")
def start(key: str) -> Any:
    """Go to a provider to sign in."""
    return _leave(
        _client(key),
        target=safe_next(request.args.get("next"))[:MOST_NEXT],
        link=request.form.get("link", "")[:200],
    )


def _leave(client: Client, *, target: str = "/", link: str = "", who: str = "") -> Any:
    try:
        made = client.request()
    except Refused as refused:
        return _refusal(client, refused, linking=bool(who))
    identities.begin(db.session(), client.provider, made.state)
    trip = Trip(client.provider.key, made.nonce, made.verifier, target, link, who)
    kept = list(session.get(KEPT, {}).items())[-(MOST_KEPT - 1) :]
    session[KEPT] = {**dict(kept), made.state: asdict(trip)}
    return render_template("pages/sign_in_leave.html", provider=client.provider, url=made.url)


@bp.get("/sign-in/from/<key>")
@guard.public("a provider sends browsers back to here; what they bring is the proof, and works once")
def finish(key: str) -> Any:
    """Come back from a provider."""
    client = _client(key)
    linking = False
    try:
        trip = _take(client)
        linking = bool(trip.who)
        if "error" in request.args:
            raise Refused("cancelled" if request.args["error"] == "access_denied" else "provider-error")
        if not request.args.get("code"):
            raise Refused("no-code")
        account = client.account(
            code=request.args["code"],
            nonce=trip.nonce,
            verifier=trip.verifier,
            named_issuer=request.args.get("iss"),
        )
        if linking:
            return _link(client, trip, account)
        person = identities.arrive(db.session(), client.provider, account, link=trip.link)
        return entrance.let_in(person, safe_next(trip.target), method=key, proved=account.second_factor)
    except Refused as refused:
        return _refusal(client, refused, linking=linking)


def _take(client: Client) -> Trip:
    """The trip that this callback ends; it is used up from here on, whatever comes next.

    Raises:
        Refused: this browser did not start it, or it was used, or it is too old.
    """
    state = request.args.get("state", "")
    kept = dict(session.get(KEPT, {}))
    found = kept.pop(state, None)
    if found is None or found["provider"] != client.provider.key:
        raise Refused("state")
    session[KEPT] = kept
    try:
        identities.take(db.session(), client.provider, state)
    finally:
        # held open, the transaction would wait for the provider with us
        db.session.commit()
    return Trip(**found)


def _link(client: Client, trip: Trip, account: Any) -> Response:
    browser = signed_in_session()
    if browser is None or str(browser.person_id) != trip.who:
        raise Refused("not-yours")
    person = db.session().get_one(Person, browser.person_id)
    identities.link(db.session(), guard.actor(), person, client.provider, account)
    flash(f"Your account at {client.provider.name} is linked.", "success")
    return redirect(url_for("openid.linked"))  # type: ignore[return-value]


def _refusal(client: Client, refused: Refused, *, linking: bool) -> Any:
    identities.refuse(db.session(), client.provider, refused)
    status = 403 if refused.code in FORBIDDEN else 503 if refused.code in PROVIDERS_FAULT else 400
    linking = linking and signed_in_session() is not None
    page = render_template("pages/sign_in_refused.html", sentence=str(refused), code=refused.code, linking=linking)
    return page, status


# -- one's own accounts -----------------------------------------------------------------------------------------------------


@bp.get("/account/identities")
@guard.can(Action.OWN_ACCOUNT)
def linked() -> Any:
    """The accounts with which one signs in."""
    browser = signed_in_session()
    names = {client.provider.issuer: client.provider.name for client in _clients().values()}
    held = identities.of_person(db.session(), guard.actor().person_id)  # type: ignore[arg-type]
    have = {identity.issuer for identity in held}
    return render_template(
        "pages/identities.html",
        held=[(identity, names.get(identity.issuer, identity.issuer)) for identity in held],
        addable=[client.provider for client in _clients().values() if client.provider.issuer not in have],
        fresh=browser is not None and identities.is_fresh(db.session(), browser.row_id),
    )


@bp.post("/account/identities/<key>")
@guard.can(Action.OWN_ACCOUNT)
def link(key: str) -> Any:
    """Go to a provider to link an account with oneself."""
    client = _client(key)
    browser = signed_in_session()
    if browser is None or browser.person_id is None:
        raise Conflict("Accounts are linked in a browser, by somebody who has signed in there.")
    if not identities.is_fresh(db.session(), browser.row_id):
        return _refusal(client, Refused("session-old", browser.person_id), linking=True)
    return _leave(client, who=str(browser.person_id))


@bp.post("/account/identities/<uuid:identity_id>/remove")
@guard.can(Action.OWN_ACCOUNT)
def unlink(identity_id: uuid.UUID) -> Any:
    """Take a linked account away."""
    person = db.session().get_one(Person, guard.actor().person_id)
    keys = {client.provider.issuer: client.provider.key for client in _clients().values()}
    identities.unlink(db.session(), guard.actor(), person, identity_id, keys)
    flash("The account is no longer linked.", "success")
    return redirect(url_for("openid.linked"))
