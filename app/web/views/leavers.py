"""Moving a person to another organisation, and seeing somebody out: each with a page that says what it does first."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import BooleanField, StringField
from wtforms.validators import DataRequired, Length

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.people import Person
from app.db.places import Organisation
from app.domain import leavers, people
from app.errors import NotFound
from app.web import guard
from app.web.forms import Form
from app.web.links import as_id

bp = Blueprint("leavers", __name__, url_prefix="/people")


class LeaveForm(Form):
    """Seeing somebody out."""

    successor = StringField(
        "Hand over to (optional)",
        [Length(max=320)],
        description="Email address of the facilitator or admin who takes over. Without one, these things stay with the "
        "makers of the places that they belong to.",
    )
    sure = BooleanField("They leave, and this cannot be undone", [DataRequired("Confirm that they leave")])


def _organisation(text: str) -> Organisation:
    found = as_id(text)
    session, who = db.session(), guard.actor()
    if found is None:
        raise NotFound
    return policy.require(session, who, Action.ORGANISATION_ADMINISTER, Organisation, found, clock.now())


@bp.route("/<uuid:person_id>/move", methods=["GET", "POST"])
@guard.on(Action.PERSON_ADMINISTER, Person)
def move(person: Person) -> Any:
    """What moving somebody does, and doing it."""
    session, who = db.session(), guard.actor()
    to = _organisation(request.values.get("organisation", ""))
    if request.method == "POST":
        keep = {found for text in request.form.getlist("keep") if (found := as_id(text)) is not None}
        seen_in = as_id(request.form.get("seen_in", ""))
        leavers.move(session, who, person, to, seen_in=seen_in, keep_groups=keep)
        flash(f"{person.display_name} now belongs to {to.name}.", "success")
        still = policy.allows(session, who, Action.PERSON_ADMINISTER, person.id, clock.now())
        return redirect(url_for("people.show", person_id=person.id) if still else url_for("people.index"))
    return render_template(
        "pages/people/move.html", person=person, to=to, plan=leavers.move_of(session, who, person, to)
    )


@bp.post("/<uuid:person_id>/organisation/none")
@guard.on(Action.PERSON_ADMINISTER, Person)
def no_organisation(person: Person) -> Any:
    """Say that somebody belongs to no organisation."""
    people.set_organisation(db.session(), guard.actor(), person, None)
    flash(f"{person.display_name} belongs to no organisation.", "success")
    still = policy.allows(db.session(), guard.actor(), Action.PERSON_ADMINISTER, person.id, clock.now())
    return redirect(url_for("people.show", person_id=person.id) if still else url_for("people.index"))


@bp.route("/<uuid:person_id>/leave", methods=["GET", "POST"])
@guard.on(Action.PERSON_ADMINISTER, Person)
def leave(person: Person) -> Any:
    """What leaving does, and doing it."""
    session, who = db.session(), guard.actor()
    people.check_rank(session, who, person)
    form = LeaveForm()
    if request.method == "POST":

        def act() -> uuid.UUID:
            email = (form.successor.data or "").strip()
            successor = leavers.find_successor(session, who, person, email) if email else None
            leavers.leave(session, who, person, successor=successor)
            return person.id

        if form.attempt(act) is not None:
            flash(f"{person.display_name} has left.", "success")
            return redirect(url_for("people.index"))
    errors = form.sentences()
    page = render_template(
        "pages/people/leave.html", person=person, form=form, errors=errors, owned=leavers.owned_by(session, who, person)
    )
    return page, 400 if errors else 200
