"""Starting and stopping to look at the pages as somebody else does."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from app.access import Action
from app.db import db
from app.db.people import Person
from app.domain import audit, view_as
from app.errors import Forbidden
from app.web import guard
from app.web.forms import Form, text_field
from app.web.sessions import signed_in_session

bp = Blueprint("view_as", __name__)


class ReasonForm(Form):
    """Why."""

    reason = text_field(
        "Why do you need to?",
        most=audit.MOST_REASON,
        required="Enter why you need to see Vignette as they do",
        hint="Kept in the audit, such as: they say that a recording is missing.",
    )


@bp.route("/people/<uuid:person_id>/view-as", methods=["GET", "POST"])
@guard.on(Action.PERSON_ADMINISTER, Person)
def start(person: Person) -> Any:
    """Ask why, and begin. A token cannot: there would be no banner."""
    session, who = db.session(), guard.actor()
    browser = signed_in_session()
    if guard.uses_token() or browser is None or not view_as.may(session, who, person):
        raise Forbidden("You can only look as somebody else whom you administer, and to whose roles you could appoint.")
    form = ReasonForm()
    if request.method == "POST":
        until = form.attempt(lambda: view_as.start(session, who, browser.row_id, person, form.reason.data or ""))
        if until is not None:
            return redirect(url_for("home.index"))
    errors = form.sentences()
    page = render_template("pages/people/view_as.html", person=person, form=form, errors=errors)
    return page, 400 if errors else 200


@bp.post("/view-as/stop")
@guard.can(Action.OWN_ACCOUNT)
def stop() -> Any:
    """Be oneself again."""
    who, browser = guard.actor(), signed_in_session()
    if browser is not None:
        view_as.stop(db.session(), who, browser.row_id)
    if who.seen_by is None:
        return redirect(url_for("home.index"))
    flash("You see Vignette as yourself again.", "success")
    return redirect(url_for("people.show", person_id=who.person_id))
