"""Who sees all recordings of a case: the grants on the case itself."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for

from app import clock
from app.access import Action
from app.db import db
from app.db.cases import Case
from app.db.grants import Grant
from app.domain import grants
from app.errors import Conflict, Invalid, NotFound
from app.web import guard, rows, sharing

bp = Blueprint("case_share", __name__, url_prefix="/cases/<uuid:case_id>/share")


def _page(case: Case, form: sharing.GrantForm) -> Any:
    form.fill(guard.actor())
    errors = form.sentences()
    page = render_template(
        "pages/share/case.html",
        case=case,
        place=rows.place_name(case),
        **sharing.lists(case, clock.now()),
        form=form,
        errors=errors,
    )
    return page, 400 if errors else 200


def _back(case: Case) -> Any:
    return redirect(url_for("case_share.show", case_id=case.id))


@bp.get("")
@guard.on(Action.CASE_SHARE, Case)
def show(case: Case) -> Any:
    """Who sees the recordings of the case, and what can be changed about that."""
    return _page(case, sharing.GrantForm(formdata=None))


@bp.post("")
@guard.on(Action.CASE_SHARE, Case)
def give(case: Case) -> Any:
    """Share the case with one more audience."""
    form = sharing.GrantForm()
    given = form.give(guard.actor(), case)
    if given is None:
        return _page(case, form)
    flash(sharing.said(given, clock.now()), "success")
    return _back(case)


def _grant(case: Case, grant_id: uuid.UUID) -> Grant:
    found = grants.find(db.session(), case, grant_id)
    if found is None:
        raise NotFound
    return found


@bp.post("/<uuid:grant_id>/revoke")
@guard.on(Action.CASE_SHARE, Case)
def revoke(case: Case, grant_id: uuid.UUID) -> Any:
    """Stop sharing the case with an audience."""
    grant = _grant(case, grant_id)
    grants.revoke(db.session(), guard.actor(), grant)
    flash(f"No longer shared with {grant.audience_name}. You can undo this below.", "success")
    return _back(case)


@bp.post("/<uuid:grant_id>/again")
@guard.on(Action.CASE_SHARE, Case)
def again(case: Case, grant_id: uuid.UUID) -> Any:
    """Undo that, or begin anew with a last day."""
    try:
        grant = grants.again(db.session(), guard.actor(), _grant(case, grant_id), sharing.UntilForm().until.data)
    except Invalid as error:
        raise Conflict(str(error)) from None
    flash(sharing.said(grant, clock.now()), "success")
    return _back(case)
