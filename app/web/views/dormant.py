"""Dormant accounts: looking at them, suspending several at once, and undoing that."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, session, url_for

from app.access import Action
from app.db import db
from app.domain import dormant
from app.errors import Invalid
from app.web import guard, picked

bp = Blueprint("dormant", __name__, url_prefix="/people/dormant")
#: The browser session remembers whom it suspended last.
LAST = "dormant_suspended"


@bp.get("")
@guard.can(Action.PEOPLE_ADMINISTER)
def index() -> Any:
    """The dormant accounts."""
    return _page({})


def _page(errors: dict[str, str]) -> Any:
    kept, who = db.session(), guard.actor()
    page = dormant.accounts(kept, who, after=request.args.get("after", ""), before=request.args.get("before", ""))
    shown = render_template(
        "pages/people/dormant.html",
        people=page.rows,
        days=dormant.AFTER.days,
        undo=dormant.suspended_just_now(kept, who, _last()),
        errors=errors,
        older=url_for("dormant.index", after=page.after) if page.after else "",
        newer=url_for("dormant.index", before=page.before) if page.before else "",
    )
    return shown, 400 if errors else 200


def _last() -> list[uuid.UUID]:
    return [uuid.UUID(text) for text in session.get(LAST, [])]


def _tell(outcome: dormant.Outcome, words: str) -> None:
    if outcome.done:
        count = "1 account" if len(outcome.done) == 1 else f"{len(outcome.done)} accounts"
        flash(f"{count} {words}.", "success")
    for person, sentence in outcome.refused:
        flash(f"{person.display_name}: {sentence}", "info")


@bp.post("")
@guard.can(Action.PEOPLE_ADMINISTER)
def suspend() -> Any:
    """Suspend those who are ticked."""
    try:
        outcome = dormant.suspend(db.session(), guard.actor(), picked.ids("people"))
    except Invalid as error:
        return _page(error.fields)
    session[LAST] = [str(person.id) for person in outcome.done]
    _tell(outcome, "suspended. You can undo this below")
    return redirect(url_for("dormant.index"))


@bp.post("/undo")
@guard.can(Action.PEOPLE_ADMINISTER)
def undo() -> Any:
    """Let in again whom this browser suspended last."""
    outcome = dormant.undo(db.session(), guard.actor(), _last())
    session.pop(LAST, None)
    _tell(outcome, "can sign in again")
    return redirect(url_for("dormant.index"))
