"""One's own API tokens: make one, see when each was last used, revoke."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for

from app.access import Action
from app.db import db
from app.db.people import Person
from app.domain import tokens
from app.web import guard, proofs
from app.web.forms import Checkboxes, Day, Form, text_field

bp = Blueprint("tokens", __name__, url_prefix="/account/tokens")


class TokenForm(Form):
    """A new token."""

    name = text_field("Name", most=100, hint="Which program is it for?")
    scopes = Checkboxes("What may the program do?", choices=list(tokens.WORDS.items()))
    until = Day("Until when", description="The last day on which it works, at most a year from now.")


@bp.get("")
@guard.can(Action.OWN_ACCOUNT)
def index() -> Any:
    """The tokens that work, and a form for another."""
    return _page(TokenForm(formdata=None, until=tokens.default_day()))


def _page(form: TokenForm) -> Any:
    errors = form.sentences()
    found = tokens.working(db.session(), db.session().get_one(Person, guard.actor().person_id).id)
    page = render_template(
        "pages/account/tokens.html", tokens=found, form=form, errors=errors, in_words=tokens.in_words
    )
    return page, 400 if errors else 200


@bp.post("")
@guard.can(Action.OWN_ACCOUNT)
def make() -> Any:
    """Make a token and show it, this once."""
    proofs.require_fresh()
    form, session = TokenForm(), db.session()
    me = session.get_one(Person, guard.actor().person_id)
    secret = form.attempt(
        lambda: tokens.make(session, guard.actor(), me, form.name.data or "", form.scopes.data or [], form.until.data)
    )
    if secret is None:
        return _page(form)
    return render_template("pages/account/token.html", secret=secret, name=form.name.data, until=form.until.data)


@bp.post("/<uuid:token_id>/revoke")
@guard.can(Action.OWN_ACCOUNT)
def revoke(token_id: uuid.UUID) -> Any:
    """Stop one."""
    me = db.session().get_one(Person, guard.actor().person_id)
    token = tokens.revoke(db.session(), guard.actor(), me.id, token_id)
    flash(f"The token {token.name} no longer works.", "success")
    return redirect(url_for("tokens.index"))
