"""The start page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, redirect, render_template, url_for

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.people import Role
from app.domain import directory, library, watching
from app.domain.days import today
from app.web import captions_shown, cards, guard

bp = Blueprint("home", __name__)


@bp.get("/")
@guard.public("visitors are sent on to sign in")
def index() -> Any:
    """Home: search, going on, what is new, what waits."""
    who, session = guard.actor(), db.session()
    if who.is_anonymous:
        return redirect(url_for("auth.sign_in"))
    guard.require_proof()
    begun = watching.to_continue(session, who)
    new = watching.new_nearby(session, who)
    extras = library.extras(session, who, [recording for recording, _ in begun] + new, captions_shown.shown())
    makes = policy.can(who, Action.RECORDING_CREATE)
    return render_template(
        "pages/home.html",
        begun=[cards.card(recording, extras, at=at) for recording, at in begun],
        new=cards.cards(new, extras),
        recordings=[
            {"recording": recording, "state": cards.state_of(recording, clock.now())}
            for recording in (watching.waiting_recordings(session, who) if makes else [])
        ],
        cases=watching.waiting_cases(session, who) if makes else [],
        makes=makes,
        # admins find it among people and places
        certifies=policy.can(who, Action.ROLES_CERTIFY) and not policy.can(who, Action.PEOPLE_ADMINISTER),
        manages_groups=directory.manages_groups(session, who),
        today=today(),
        may_start_demo=who.over(Role.ADMIN).everywhere and "demo.start" in current_app.view_functions,
        is_everywhere_admin=who.over(Role.ADMIN).everywhere,
    )
