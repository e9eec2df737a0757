"""Places and groups: areas as they stand, organisations in them, and groups of people."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length

from app import clock
from app.access import Action, policy
from app.access.places import areas_within, organisations_within
from app.db import db
from app.db.people import Group, Person, Role
from app.domain import days, directory, people, places
from app.domain.places import EVERYWHERE, Place, place_from_code
from app.errors import Invalid
from app.web import guard
from app.web.forms import Day, Form, text_field

bp = Blueprint("places", __name__)


class OrganisationForm(Form):
    """A new organisation."""

    name = text_field("Name", most=200, required="Enter the organisation's name")
    area = SelectField("Area that it sits in", choices=[])


class GroupForm(Form):
    """A new group."""

    name = text_field("Name", most=200, required="Enter the group's name")
    place = SelectField("Place that keeps it", choices=[])


class MemberForm(Form):
    """Somebody to put into a group."""

    email = StringField("Email address", [DataRequired("Enter an email address"), Length(max=320)])
    until = Day("Until (optional)", description="The last day on which they are in the group.")


@bp.route("/organisations", methods=["GET", "POST"])
@guard.can(Action.PEOPLE_ADMINISTER)
def organisations() -> Any:
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


@bp.route("/groups", methods=["GET", "POST"])
@guard.can(Action.PEOPLE_ADMINISTER)
def groups() -> Any:
    """Groups that the actor administers."""
    session, who = db.session(), guard.actor()
    cover = who.over(Role.ADMIN)
    form = GroupForm()
    form.place.choices = [(EVERYWHERE, "Everywhere")] if cover.everywhere else []
    form.place.choices += [(Place(area_id=a.id).code, a.name) for a in areas_within(session, cover)]
    form.place.choices += [(Place(organisation_id=o.id).code, o.name) for o in organisations_within(session, cover)]
    if request.method == "POST":
        made = form.attempt(
            lambda: places.add_group(
                session, who, name=form.name.data or "", place=place_from_code(form.place.data or "")
            )
        )
        if made is not None:
            flash(f"The group {made.name} has been added.", "success")
            return redirect(url_for("places.group", group_id=made.id))
    errors = form.sentences()
    page = render_template("pages/places/groups.html", form=form, errors=errors, groups=directory.groups(session, who))
    return page, 400 if errors else 200


@bp.route("/groups/<uuid:group_id>", methods=["GET", "POST"])
@guard.on(Action.GROUP_ADMINISTER, Group)
def group(group: Group) -> Any:
    """One group: its people, and putting somebody into it."""
    session, who = db.session(), guard.actor()
    form = MemberForm()
    if request.method == "POST":

        def act() -> Person:
            person = people.by_email(session, form.email.data or "")
            may = person is not None and policy.allows(session, who, Action.PERSON_ADMINISTER, person.id, clock.now())
            if person is None or not may:
                sentence = "There is nobody with this address among the people you administer"
                raise Invalid(sentence, fields={"email": sentence})
            people.join_group(
                session, who, person, group, ends_at=days.end_of(form.until.data) if form.until.data else None
            )
            return person

        person = form.attempt(act)
        if person is not None:
            flash(f"{person.display_name} is in the group.", "success")
            return redirect(url_for("places.group", group_id=group.id))
    errors = form.sentences()
    page = render_template(
        "pages/places/group.html", group=group, form=form, errors=errors, members=directory.members(session, group)
    )
    return page, 400 if errors else 200


@bp.post("/groups/<uuid:group_id>/members/<uuid:person_id>/leave")
@guard.on(Action.GROUP_ADMINISTER, Group)
def leave(group: Group, person_id: uuid.UUID) -> Any:
    """Take somebody out of a group."""
    person = db.session().get(Person, person_id)
    if person is not None:
        people.leave_group(db.session(), guard.actor(), person, group)
        flash(f"{person.display_name} is no longer in the group.", "success")
    return redirect(url_for("places.group", group_id=group.id))
