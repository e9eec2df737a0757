"""Organisations: the list, and one of them."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField

from app import clock
from app.access import Action, policy
from app.access.places import areas_within
from app.db import db
from app.db.people import Role
from app.db.places import Area, Organisation
from app.domain import directory, organisations, places
from app.errors import Invalid
from app.web import guard
from app.web.forms import Form, text_field
from app.web.links import as_id

bp = Blueprint("places", __name__)


class NameForm(Form):
    """An organisation's name."""

    name = text_field("Name", most=200, required="Enter the organisation's name")


class OrganisationForm(NameForm):
    """A new organisation."""

    area = SelectField("Area that it sits in", choices=[])


class MoveForm(Form):
    """Where an organisation goes."""

    to = SelectField("Move it to", choices=[])


@bp.route("/organisations", methods=["GET", "POST"], endpoint="organisations")
@guard.can(Action.PEOPLE_ADMINISTER)
def list_organisations() -> Any:
    """Organisations and the areas that they sit in."""
    session, who = db.session(), guard.actor()
    areas = areas_within(session, who.over(Role.ADMIN))
    form = OrganisationForm()
    form.area.choices = [(str(a.id), f"{a.name} ({a.kind.value})") for a in areas]
    if request.method == "POST":
        made = form.attempt(
            lambda: places.add_organisation(session, who, name=form.name.data or "", area_id=uuid.UUID(form.area.data))
        )
        if made is not None:
            flash(f"{made.name} has been added.", "success")
            return redirect(url_for("places.organisations"))
    errors = form.sentences()
    page = render_template(
        "pages/places/organisations.html",
        form=form,
        errors=errors,
        organisations=directory.organisations(session, who),
        areas=areas,
    )
    return page, 400 if errors else 200


@bp.route("/organisations/<uuid:organisation_id>", methods=["GET", "POST"])
@guard.on(Action.ORGANISATION_ADMINISTER, Organisation)
def organisation(organisation: Organisation) -> Any:
    """One organisation: its name, its area, closing and deleting it."""
    session, who = db.session(), guard.actor()
    form = NameForm(data={"name": organisation.name})
    if request.method == "POST":

        def act() -> bool:
            organisations.rename(session, who, organisation, form.name.data or "")
            return True

        if form.attempt(act):
            flash("The organisation has been changed.", "success")
            return redirect(url_for("places.organisation", organisation_id=organisation.id))
    errors = form.sentences()
    may_place = organisations.may_place(session, who, organisation)
    move_form = MoveForm(formdata=None)
    if may_place:
        found = organisations.new_areas(session, who, organisation)
        move_form.to.choices = [(str(a.id), f"{a.name} ({a.kind.value})") for a in found]
    page = render_template(
        "pages/places/organisation.html",
        organisation=organisation,
        area=session.get(Area, organisation.area_id),
        form=form,
        move_form=move_form,
        errors=errors,
        may_place=may_place,
        contents=organisations.contents(session, organisation),
    )
    return page, 400 if errors else 200


@bp.route("/organisations/<uuid:organisation_id>/move", methods=["GET", "POST"])
@guard.on(Action.ORGANISATION_ADMINISTER, Organisation)
def move(organisation: Organisation) -> Any:
    """What moving an organisation does, and doing it."""
    session, who = db.session(), guard.actor()
    to_id = as_id(request.values.get("to", "")) or uuid.UUID(int=0)
    to = policy.require(session, who, Action.AREA_ADMINISTER, Area, to_id, clock.now())
    if request.method == "POST":
        seen_in = as_id(request.form.get("seen_in", ""))
        if seen_in is None:
            raise Invalid("Look at what the move does first.")
        organisations.move(session, who, organisation, to, seen_in=seen_in)
        flash(f"{organisation.name} now sits in {to.name}.", "success")
        return redirect(url_for("places.organisation", organisation_id=organisation.id))
    effect = organisations.effect_of_move(session, who, organisation, to)
    here = url_for("places.organisation", organisation_id=organisation.id)
    return render_template(
        "pages/places/move.html", thing=organisation, to=to, effect=effect, seen_in=organisation.area_id,
        action=url_for("places.move", organisation_id=organisation.id), back_to=here,
    )  # fmt: skip


@bp.post("/organisations/<uuid:organisation_id>/close")
@guard.on(Action.ORGANISATION_ADMINISTER, Organisation)
def close(organisation: Organisation) -> Any:
    """Let nobody new in."""
    organisations.close(db.session(), guard.actor(), organisation)
    flash(f"{organisation.name} is closed. Nobody new can be added to it.", "success")
    return redirect(url_for("places.organisation", organisation_id=organisation.id))


@bp.post("/organisations/<uuid:organisation_id>/reopen")
@guard.on(Action.ORGANISATION_ADMINISTER, Organisation)
def reopen(organisation: Organisation) -> Any:
    """Let people in again."""
    organisations.reopen(db.session(), guard.actor(), organisation)
    flash(f"{organisation.name} is open again.", "success")
    return redirect(url_for("places.organisation", organisation_id=organisation.id))


@bp.post("/organisations/<uuid:organisation_id>/delete")
@guard.on(Action.ORGANISATION_ADMINISTER, Organisation)
def delete(organisation: Organisation) -> Any:
    """Delete an empty organisation."""
    name = organisation.name
    organisations.delete(db.session(), guard.actor(), organisation)
    flash(f"{name} has been deleted.", "success")
    return redirect(url_for("places.organisations"))
