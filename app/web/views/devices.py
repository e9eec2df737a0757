"""Devices: where one is signed in oneself, and, for admins, where the people are whom they administer."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from app.access import Action
from app.db import db
from app.domain import devices
from app.web import entrance, guard
from app.web.links import as_id
from app.web.sessions import signed_in_session

bp = Blueprint("devices", __name__)
bp.add_app_template_filter(devices.in_words, "device_words")


@bp.post("/account/sessions/<uuid:session_id>/end")
@guard.can(Action.OWN_ACCOUNT)
def end(session_id: uuid.UUID) -> Any:
    """Sign one of one's own devices out."""
    devices.end_own(db.session(), guard.actor(), session_id)
    flash("The device has been signed out.", "success")
    return redirect(url_for("auth.account"))


@bp.post("/account/sessions/end-others")
@guard.can(Action.OWN_ACCOUNT)
def end_others() -> Any:
    """Sign all of one's own devices out but this one."""
    who, browser = guard.actor(), signed_in_session()
    if who.person_id is not None:
        devices.end_others(db.session(), who, who.person_id, browser.row_id if browser is not None else None)
    flash("All your other devices have been signed out.", "success")
    return redirect(url_for("auth.account"))


@bp.get("/sessions")
@guard.can(Action.PEOPLE_ADMINISTER)
def index() -> Any:
    """Where the people are signed in whom the actor administers."""
    words, person = request.args.get("q", "")[:100], request.args.get("person", "")
    page = devices.of_people(
        db.session(),
        guard.actor(),
        entrance.sessions().idle,
        words=words,
        person_id=as_id(person) if person else None,
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
    )
    kept: dict[str, Any] = {name: value for name, value in (("q", words), ("person", person)) if value}
    browser = signed_in_session()
    return render_template(
        "pages/devices/index.html",
        devices=page.rows,
        query=words,
        kept={"person": person} if person else {},
        filtered=bool(kept),
        this_session=browser.row_id if browser is not None else None,
        older=url_for("devices.index", after=page.after, **kept) if page.after else "",
        newer=url_for("devices.index", before=page.before, **kept) if page.before else "",
    )


@bp.post("/sessions/<uuid:session_id>/end")
@guard.can(Action.PEOPLE_ADMINISTER)
def end_of_person(session_id: uuid.UUID) -> Any:
    """Sign a device of somebody else out."""
    person = devices.end_of_person(db.session(), guard.actor(), session_id)
    flash(f"A device of {person.display_name} has been signed out.", "success")
    return redirect(url_for("devices.index"))
