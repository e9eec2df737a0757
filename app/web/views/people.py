"""People: the list that an admin keeps, one person's page, and adding somebody."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length

from app.access import Action
from app.access.places import areas_within, may_appoint, organisations_within
from app.db import db
from app.db.people import Person, Role, RoleAssignment
from app.domain import directory, people
from app.domain.places import EVERYWHERE, Place, place_from_code
from app.errors import NotFound
from app.web import guard
from app.web.forms import Form, text_field

bp = Blueprint("people", __name__, url_prefix="/people")
ROLES = [(role.value, role.value.capitalize()) for role in Role]


class RoleForm(Form):
    """A role over a place."""

    role = SelectField("Role", choices=ROLES)
    place = SelectField("Where", description="They hold the role here and in everything within it.")

    def fill(self) -> None:
        """Offer the places that the actor administers."""
        cover = guard.actor().over(Role.ADMIN)
        session = db.session()
        choices = [(EVERYWHERE, "Everywhere")] if cover.everywhere else []
        choices += [(Place(area_id=a.id).code, f"{a.name} ({a.kind.value})") for a in areas_within(session, cover)]
        choices += [
            (Place(organisation_id=o.id).code, f"{o.name} (organisation)") for o in organisations_within(session, cover)
        ]
        self.place.choices = choices
        if self.role.data is None:
            self.role.data = Role.VIEWER.value


class PersonForm(RoleForm):
    """Somebody new, with a first role."""

    email = StringField("Email address", [DataRequired("Enter an email address"), Length(max=320)])
    name = text_field("Full name", most=200, required="Enter the full name")


class OrganisationForm(Form):
    """The organisation that somebody belongs to."""

    organisation = SelectField("Organisation", choices=[])


@bp.get("/")
@guard.can(Action.PEOPLE_ADMINISTER)
def index() -> Any:
    """The people whom the actor administers."""
    roles = {role.value: role for role in Role}
    status = request.args.get("status", "")
    wanted = directory.PeopleFilter(
        words=request.args.get("q", "")[:100],
        role=roles.get(request.args.get("role", "")),
        suspended={"suspended": True, "active": False}.get(status),
    )
    page = directory.people(
        db.session(),
        guard.actor(),
        wanted,
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
    )
    kept: dict[str, Any] = {
        name: value for name, value in request.args.items() if name in ("q", "role", "status") and value
    }
    return render_template(
        "pages/people/index.html",
        people=page.rows,
        filters=[
            {
                "name": "role",
                "legend": "Role",
                "items": [{"value": v, "text": t, "checked": v == kept.get("role")} for v, t in ROLES],
            },
            {
                "name": "status",
                "legend": "Account",
                "items": [
                    {"value": v, "text": v.capitalize(), "checked": v == status} for v in ("active", "suspended")
                ],
            },
        ],
        query=wanted.words,
        filtered=bool(kept),
        older=url_for("people.index", after=page.after, **kept) if page.after else "",
        newer=url_for("people.index", before=page.before, **kept) if page.before else "",
    )


@bp.route("/new", methods=["GET", "POST"])
@guard.can(Action.PEOPLE_ADMINISTER)
def new() -> Any:
    """Add somebody with a first role; the answer is a link with which they choose a password."""
    form = PersonForm()
    form.fill()
    if request.method == "POST":
        person = form.attempt(
            lambda: people.add(
                db.session(),
                guard.actor(),
                email=form.email.data or "",
                name=form.name.data or "",
                role=Role(form.role.data),
                place=place_from_code(form.place.data or ""),
            )
        )
        if person is not None:
            if person.password_hash is None and people.may_reset(db.session(), guard.actor(), person):
                return _password_link_page(person)
            flash(f"{person.email} already had an account and now has this role too.", "success")
            return redirect(url_for("people.index"))
    errors = form.sentences()
    return render_template("pages/people/new.html", form=form, errors=errors), 400 if errors else 200


def _password_link_page(person: Person) -> Any:
    """Show a fresh link once: it is not kept anywhere in readable form."""
    secret = people.password_link(db.session(), guard.actor(), person)
    link = guard.core().settings.base_url + url_for("auth.set_password", secret=secret)
    return render_template("pages/people/link.html", person=person, link=link)


@bp.get("/<uuid:person_id>")
@guard.on(Action.PERSON_ADMINISTER, Person)
def show(person: Person) -> Any:
    """One person: roles, organisation, account."""
    return _page(person)


def _page(person: Person, role_form: RoleForm | None = None) -> Any:
    session, who = db.session(), guard.actor()
    form = role_form or RoleForm(formdata=None)
    form.fill()
    place_form = OrganisationForm(formdata=None)
    place_form.organisation.choices = [("", "None")] + [
        (str(o.id), o.name) for o in organisations_within(session, who.over(Role.ADMIN))
    ]
    place_form.organisation.data = str(person.organisation_id or "")
    removable = {
        held.id
        for held in person.roles
        if may_appoint(session, who, held.role, area_id=held.area_id, organisation_id=held.organisation_id)
    }
    errors = form.sentences()
    return (
        render_template(
            "pages/people/show.html",
            person=person,
            form=form,
            place_form=place_form,
            removable=removable,
            errors=errors,
            is_self=person.id == who.person_id,
        ),
        400 if errors else 200,
    )


@bp.post("/<uuid:person_id>/roles")
@guard.on(Action.PERSON_ADMINISTER, Person)
def give_role(person: Person) -> Any:
    """Give a further role."""
    form = RoleForm()
    form.fill()
    held = form.attempt(
        lambda: people.give_role(
            db.session(), guard.actor(), person, Role(form.role.data), place_from_code(form.place.data or "")
        )
    )
    if held is None:
        return _page(person, form)
    flash(f"{person.display_name} is now {held.role.value} of {held.place_name}.", "success")
    return redirect(url_for("people.show", person_id=person.id))


@bp.post("/<uuid:person_id>/roles/<uuid:role_id>/take")
@guard.on(Action.PERSON_ADMINISTER, Person)
def take_role(person: Person, role_id: uuid.UUID) -> Any:
    """Take a role away."""
    held = db.session().get(RoleAssignment, role_id)
    if held is None or held.person_id != person.id:
        raise NotFound
    words = f"{person.display_name} is no longer {held.role.value} of {held.place_name}."
    people.take_role(db.session(), guard.actor(), held)
    flash(words, "success")
    # without their last place they are no longer ours to see
    still = bool(person.roles) or person.organisation_id is not None
    return redirect(url_for("people.show", person_id=person.id) if still else url_for("people.index"))


@bp.post("/<uuid:person_id>/organisation")
@guard.on(Action.PERSON_ADMINISTER, Person)
def set_organisation(person: Person) -> Any:
    """Say which organisation they belong to."""
    value = request.form.get("organisation", "")
    try:
        organisation_id = uuid.UUID(value) if value else None
    except ValueError:
        raise NotFound from None
    people.set_organisation(db.session(), guard.actor(), person, organisation_id)
    flash("The organisation has been changed.", "success")
    return redirect(url_for("people.show", person_id=person.id))


@bp.post("/<uuid:person_id>/suspend")
@guard.on(Action.PERSON_ADMINISTER, Person)
def suspend(person: Person) -> Any:
    """Stop somebody at once."""
    people.suspend(db.session(), guard.actor(), person)
    flash(f"{person.display_name} can no longer sign in or see anything.", "success")
    return redirect(url_for("people.show", person_id=person.id))


@bp.post("/<uuid:person_id>/restore")
@guard.on(Action.PERSON_ADMINISTER, Person)
def restore(person: Person) -> Any:
    """Let somebody in again."""
    people.restore(db.session(), guard.actor(), person)
    flash(f"{person.display_name} can sign in again.", "success")
    return redirect(url_for("people.show", person_id=person.id))


@bp.post("/<uuid:person_id>/link")
@guard.on(Action.PERSON_ADMINISTER, Person)
def password_link(person: Person) -> Any:
    """A link with which they choose a new password."""
    return _password_link_page(person)
