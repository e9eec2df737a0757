"""The queue of what is to be shared more widely, for the admins of the places that it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import TextAreaField

from app import clock
from app.access import Action
from app.db import db
from app.db.grants import Grant
from app.domain import approvals
from app.errors import Conflict, Invalid
from app.web import guard, links, listing, rows, sharing
from app.web.forms import Form

bp = Blueprint("approvals", __name__, url_prefix="/approvals")


class AnswerForm(Form):
    """What is said with a yes or no."""

    answer = TextAreaField("Your answer")


@bp.get("")
@listing.of(Action.GRANT_APPROVE)
def index() -> Any:
    """What waits for this admin."""
    session, who, now = db.session(), guard.actor(), clock.now()
    page = approvals.listing(session, who, after=request.args.get("after", ""), before=request.args.get("before", ""))
    return render_template(
        "pages/share/approvals.html",
        waiting=[_row(grant, now) for grant in page.rows],
        count=approvals.count(session, who),
        beside=links.page_links("approvals.index", page),
    )


def _row(grant: Grant, now: Any) -> dict[str, Any]:
    thing = grant.recording if grant.recording is not None else grant.case
    return {
        **sharing.row(grant, now),
        "title": thing.title if thing is not None else "",
        "by_case": grant.case_id is not None,
        "place": rows.place_name(thing) if thing is not None else "",
        "giver": grant.created_by.display_name if grant.created_by is not None else "Somebody who has left",
        "asked_on": grant.created_at,
    }


@bp.post("/<uuid:grant_id>/approve")
@guard.on(Action.GRANT_APPROVE, Grant, lock=True)
def approve(grant: Grant) -> Any:
    """Say yes."""
    _act(lambda: approvals.approve(db.session(), guard.actor(), grant, AnswerForm().answer.data or ""))
    flash(f"Approved: it is shared with {grant.audience_name}.", "success")
    return redirect(url_for("approvals.index"))


@bp.post("/<uuid:grant_id>/refuse")
@guard.on(Action.GRANT_APPROVE, Grant, lock=True)
def refuse(grant: Grant) -> Any:
    """Say no, and why."""
    _act(lambda: approvals.refuse(db.session(), guard.actor(), grant, AnswerForm().answer.data or ""))
    flash(f"Refused: it is not shared with {grant.audience_name}.", "success")
    return redirect(url_for("approvals.index"))


def _act(act: Callable[[], None]) -> None:
    """A fault in the answer is told on a page of its own: the form stands in a list, beside many others."""
    try:
        act()
    except Invalid as error:
        raise Conflict(str(error)) from None
