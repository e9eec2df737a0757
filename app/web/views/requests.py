"""Asking with a code to watch a recording, and answering those who ask."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import TextAreaField

from app.access import Action
from app.db import db
from app.db.grants import AccessRequest
from app.domain import access_requests
from app.errors import Conflict, Invalid
from app.web import guard, links, listing, rows
from app.web.forms import Day, Form, text_field

bp = Blueprint("requests", __name__)


class AskForm(Form):
    """A code, and why."""

    code = text_field("Code", most=100, hint="Somebody who may share the recording gave it to you.")
    reason = TextAreaField(
        "Why you ask", description="The owner of the recording reads this, with your name and email address."
    )


class AnswerForm(Form):
    """Yes until a day, or no and why."""

    until = Day("Last day")
    answer = TextAreaField("Why not")


# -- asking --------------------------------------------------------------------------------------------------------------


@bp.get("/ask")
@guard.can(Action.OWN_ACCOUNT)
def ask() -> Any:
    """The form, and what came of one's own requests."""
    return _ask_page(AskForm(formdata=None))


@bp.post("/ask")
@guard.can(Action.OWN_ACCOUNT)
def send() -> Any:
    """Ask. The answer is the same for any code."""
    form = AskForm()

    def act() -> bool:
        access_requests.ask(db.session(), guard.actor(), form.code.data or "", form.reason.data or "")
        return True

    if form.attempt(act) is None:
        return _ask_page(form)
    flash(access_requests.SAID, "success")
    return redirect(url_for("requests.ask"))


def _ask_page(form: AskForm) -> Any:
    errors = form.sentences()
    page = render_template(
        "pages/share/ask.html",
        form=form,
        errors=errors,
        answered=access_requests.answered(db.session(), guard.actor()),
    )
    return page, 400 if errors else 200


# -- answering -----------------------------------------------------------------------------------------------------------


@bp.get("/requests")
@listing.of(Action.REQUEST_ANSWER)
def index() -> Any:
    """Who asks to watch what the actor may publish."""
    session, who = db.session(), guard.actor()
    page = access_requests.listing(
        session, who, after=request.args.get("after", ""), before=request.args.get("before", "")
    )
    return render_template(
        "pages/share/requests.html",
        waiting=[_row(found) for found in page.rows],
        count=access_requests.count(session, who),
        until=access_requests.default_until(),
        beside=links.page_links("requests.index", page),
    )


def _row(found: AccessRequest) -> dict[str, Any]:
    organisation = found.person.organisation
    return {
        "id": found.id,
        "person": found.person.display_name,
        "email": found.person.email,
        "organisation": organisation.name if organisation is not None else "",
        "title": found.recording.title,
        "href": url_for("share.show", recording_id=found.recording_id),
        "place": rows.place_name(found.recording),
        "reason": found.reason,
        "asked_on": found.created_at,
    }


@bp.post("/requests/<uuid:request_id>/grant")
@guard.on(Action.REQUEST_ANSWER, AccessRequest, name="request", lock=True)
def grant(**found: AccessRequest) -> Any:
    """Say yes, until a day, to that person only."""
    form = AnswerForm()
    if not form.validate():
        raise Conflict(next(iter(form.sentences().values())))
    asked = found["request"]
    try:
        access_requests.grant(db.session(), guard.core().settings, guard.actor(), asked, form.until.data)
    except Invalid as error:
        raise Conflict(str(error)) from None
    flash(f"{asked.person.display_name} may watch the recording once it is published.", "success")
    return redirect(url_for("requests.index"))


@bp.post("/requests/<uuid:request_id>/refuse")
@guard.on(Action.REQUEST_ANSWER, AccessRequest, name="request", lock=True)
def refuse(**found: AccessRequest) -> Any:
    """Say no, and note why."""
    asked = found["request"]
    try:
        access_requests.refuse(
            db.session(), guard.core().settings, guard.actor(), asked, AnswerForm().answer.data or ""
        )
    except Invalid as error:
        raise Conflict(str(error)) from None
    flash(f"{asked.person.display_name} will be told that the answer is no.", "success")
    return redirect(url_for("requests.index"))
