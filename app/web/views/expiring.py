"""Grants that end soon, for those who keep them; each can be extended in place."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from app import clock
from app.access import Action
from app.db import db
from app.db.grants import Grant
from app.domain import expiring, grants
from app.errors import Conflict, Invalid
from app.web import guard, links, listing, sharing

bp = Blueprint("expiring", __name__, url_prefix="/grants")


@bp.get("/expiring")
@listing.of(Action.GRANT_KEEP)
def index() -> Any:
    """What ends within 30 or 90 days."""
    asked = request.args.get("within", "")
    within = int(asked) if asked in map(str, expiring.WITHIN) else expiring.WITHIN[0]
    now = clock.now()
    page = expiring.listing(
        db.session(),
        guard.actor(),
        within,
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
    )
    return render_template(
        "pages/share/expiring.html",
        ending=[_row(grant, now) for grant in page.rows],
        within=within,
        spans=expiring.WITHIN,
        beside=links.page_links("expiring.index", page, within=within),
    )


def _row(grant: Grant, now: Any) -> dict[str, Any]:
    on_case = grant.case is not None
    thing = grant.case if grant.case is not None else grant.recording
    address = (
        url_for("case_share.show", case_id=grant.case_id)
        if on_case
        else url_for("share.show", recording_id=grant.recording_id)
    )
    return {**sharing.row(grant, now), "title": thing.title if thing is not None else "", "href": address}


@bp.post("/<uuid:grant_id>/extend")
@guard.on(Action.GRANT_KEEP, Grant, lock=True)
def extend(grant: Grant) -> Any:
    """Give it another last day."""
    form = sharing.UntilForm()
    if not form.validate():
        raise Conflict(next(iter(form.sentences().values())))
    try:
        found = grants.extend(db.session(), guard.actor(), grant, form.until.data)
    except Invalid as error:
        raise Conflict(str(error)) from None
    flash(
        "An admin has been asked to approve the later day. Until then it ends as before."
        if found is not grant
        else f"The last day of sharing with {grant.audience_name} is changed.",
        "success",
    )
    if request.form.get("back") == "share":
        there = {"case_id": grant.case_id} if grant.case_id else {"recording_id": grant.recording_id}
        return redirect(url_for("case_share.show" if grant.case_id else "share.show", **there))
    return redirect(url_for("expiring.index"))
