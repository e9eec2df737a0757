"""People: the list that an admin keeps, one person's page, and adding somebody."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length

from app import clock
from app.access import Action, policy
from app.access.places import areas_within, may_appoint
from app.db import db
from app.db.people import Person, Role, RoleAssignment
from app.domain import (
    audit,
    days,
    directory,
    imports,
    invitations,
    leavers,
    looks,
    mail,
    paging,
    people,
    spreadsheets,
)
from app.domain.directory import PeopleFilter, State
from app.domain.places import place_from_code
from app.errors import NotFound
from app.web import choices, guard
from app.web.forms import Day, Form, text_field
from app.web.links import as_id

bp = Blueprint("people", __name__, url_prefix="/people")
ROLES = [(role.value, role.value.capitalize()) for role in Role]
#: Lists that are longer are no help as checkboxes; the pages of organisations and groups lead to these filters.
MOST_BOXES = 40
FILTERS = ("q", "role", "state", "organisation", "area", "group")


class RoleForm(Form):
    """A role over a place, for ever or until a day."""

    role = SelectField("Role", choices=ROLES)
    place = SelectField("Where", description="They hold the role here and in everything within it.")
    until = Day("Until (optional)", description="The last day on which they hold it.")

    def fill(self) -> None:
        """Offer the places that the actor administers."""
        self.place.choices = choices.places(db.session(), guard.actor())
        if self.role.data is None:
            self.role.data = Role.VIEWER.value


class EndForm(Form):
    """Until when a role is held."""

    until = Day("Until (empty: without an end)")


class PersonForm(RoleForm):
    """Somebody new, with a first role."""

    email = StringField("Email address", [DataRequired("Enter an email address"), Length(max=320)])
    name = text_field("Full name", most=200, required="Enter the full name")


class OrganisationForm(Form):
    """The organisation that somebody goes to."""

    organisation = SelectField("Organisation", choices=[])


def _wanted() -> PeopleFilter:
    """The filter that the address asks for; what it cannot mean counts for nothing."""

    def ids(name: str) -> tuple[uuid.UUID, ...]:
        return tuple(found for text in request.values.getlist(name) if (found := as_id(text)) is not None)

    return PeopleFilter(
        words=request.values.get("q", "")[:100].replace("\x00", ""),
        roles=tuple(role for role in Role if role.value in request.values.getlist("role")),
        states=tuple(state for state in State if state.value in request.values.getlist("state")),
        organisation_ids=ids("organisation"),
        area_ids=ids("area"),
        group_ids=ids("group"),
    )


def _filters(wanted: PeopleFilter) -> list[dict[str, Any]]:
    session, who = db.session(), guard.actor()
    cover = who.over(Role.ADMIN)
    offered: list[tuple[str, str, list[tuple[str, str]], set[str]]] = [
        ("role", "Role", ROLES, {role.value for role in wanted.roles}),
        ("state", "Account", [(s.value, s.value.capitalize()) for s in State], {s.value for s in wanted.states}),
        ("area", "Area", [(str(a.id), a.name) for a in areas_within(session, cover)], {str(i) for i in wanted.area_ids}),
        (
            "organisation", "Organisation", [(str(o.id), o.name) for o, _ in directory.organisations(session, who)],
            {str(i) for i in wanted.organisation_ids},
        ),
        (
            "group", "Group", [(str(g.id), g.name) for g, _ in directory.groups(session, who)],
            {str(i) for i in wanted.group_ids},
        ),
    ]  # fmt: skip
    return [
        {"name": name, "legend": legend, "items": [{"value": v, "text": t, "checked": v in chosen} for v, t in items]}
        for name, legend, every, chosen in offered
        if (items := every if len(every) <= MOST_BOXES else [(v, t) for v, t in every if v in chosen])
    ]


@bp.get("/")
@guard.can(Action.PEOPLE_ADMINISTER)
def index() -> Any:
    """The people whom the actor administers."""
    wanted = _wanted()
    sorting = paging.choose(directory.SORTINGS, request.args.get("sort"))
    page = directory.people(
        db.session(),
        guard.actor(),
        wanted,
        sorting=sorting,
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
    )
    kept: dict[str, Any] = {name: found for name in FILTERS if (found := [v for v in request.args.getlist(name) if v])}
    filtered = bool(kept)
    sorts = [
        {"text": s.label, "href": url_for("people.index", **kept, sort=s.name), "current": s is sorting}
        for s in directory.SORTINGS
    ]
    if sorting is not directory.SORTINGS[0]:
        kept["sort"] = sorting.name
    now = clock.now()
    return render_template(
        "pages/people/index.html",
        people=[(person, directory.state_of(person, now).value, _held(person)) for person in page.rows],
        filters=_filters(wanted),
        query=wanted.words,
        filtered=filtered,
        sorts=sorts,
        kept=[(name, value) for name, values in kept.items() for value in ([values] if name == "sort" else values)],
        sort=sorting.name,
        older=url_for("people.index", after=page.after, **kept) if page.after else "",
        newer=url_for("people.index", before=page.before, **kept) if page.before else "",
    )


def _held(person: Person) -> list[RoleAssignment]:
    now = clock.now()
    return [held for held in person.roles if held.ends_at is None or held.ends_at > now]


@bp.post("/export")
@guard.can(Action.PEOPLE_ADMINISTER)
def export() -> Any:
    """The list with its filters as CSV. A form, because it is written down who took it."""
    session, who = db.session(), guard.actor()
    sorting = paging.choose(directory.SORTINGS, request.form.get("sort"))
    rows = list(directory.export(session, who, _wanted(), sorting))
    audit.record(session, who, "people:export", "people", rows=len(rows))
    return Response(
        spreadsheets.write(directory.EXPORT_HEADER, rows),
        mimetype="text/csv",
        headers={"Content-Disposition": "attachment; filename=people.csv"},
    )


@bp.route("/new", methods=["GET", "POST"])
@guard.can(Action.PEOPLE_ADMINISTER)
def new() -> Any:
    """Add somebody with a first role, and invite them."""
    session, who, settings = db.session(), guard.actor(), guard.core().settings
    form = PersonForm()
    form.fill()
    if request.method == "POST":
        before = people.by_email(session, form.email.data or "")
        ours = before is not None and policy.allows(session, who, Action.PERSON_ADMINISTER, before.id, clock.now())
        person = form.attempt(
            lambda: people.add(
                session,
                who,
                email=form.email.data or "",
                # the name of somebody whom the actor does not administer is not theirs to give
                name=(form.name.data or "") if before is None or ours else "",
                role=Role(form.role.data),
                place=place_from_code(form.place.data or ""),
                ends_at=days.end_of(form.until.data) if form.until.data else None,
            )
        )
        if person is not None:
            if before is not None and ours and invitations.is_known(session, person):
                flash(f"{person.email} already had an account and now has this role too.", "success")
                return redirect(url_for("people.show", person_id=person.id))
            link = ""
            if imports.can_be_invited(session, who, person):
                made = invitations.invite(session, settings, who, person)
                link = "" if made.mailed else made.link
            if link:
                return render_template("pages/links/hand_over.html", person=person, link=link)
            # the same for somebody new and for somebody known elsewhere
            flash(f"{form.email.data} has been invited.", "success")
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
    looks.at_person(db.session(), guard.actor(), person)
    return _page(person)


def _page(person: Person, role_form: RoleForm | None = None) -> Any:
    session, who, now = db.session(), guard.actor(), clock.now()
    form = role_form or RoleForm(formdata=None)
    form.fill()
    place_form = OrganisationForm(formdata=None)
    place_form.organisation.choices = [
        (str(o.id), o.name) for o in choices.open_organisations(session, who) if o.id != person.organisation_id
    ]
    removable = {
        held.id
        for held in person.roles
        if may_appoint(session, who, held.role, area_id=held.area_id, organisation_id=held.organisation_id)
    }
    end_forms = {}
    for held in _held(person):
        end_forms[held.id] = EndForm(formdata=None, prefix=f"role-{held.id}-")
        end_forms[held.id].until.data = days.last_day_before(held.ends_at) if held.ends_at else None
    errors = form.sentences()
    return (
        render_template(
            "pages/people/show.html",
            person=person,
            state=directory.state_of(person, now).value,
            held=_held(person),
            ended=[held for held in person.roles if held.ends_at is not None and held.ends_at <= now],
            groups=directory.groups_of(session, who, person),
            sessions=directory.sessions_of(session, person, guard.core().settings),
            form=form,
            end_forms=end_forms,
            place_form=place_form,
            removable=removable,
            errors=errors,
            is_self=person.id == who.person_id,
            may_govern=people.may_reset(session, who, person),
            owns=bool(leavers.owned_by(session, who, person)),
            now=now,
            invitation=invitations.standing(session, person),
            can_mail=mail.is_set_up(guard.core().settings),
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
            db.session(),
            guard.actor(),
            person,
            Role(form.role.data),
            place_from_code(form.place.data or ""),
            ends_at=days.end_of(form.until.data) if form.until.data else None,
        )
    )
    if held is None:
        return _page(person, form)
    flash(f"{person.display_name} is now {held.role.value} of {held.place_name}.", "success")
    return redirect(url_for("people.show", person_id=person.id))


def _role_of(person: Person, role_id: uuid.UUID) -> RoleAssignment:
    held = db.session().get(RoleAssignment, role_id)
    if held is None or held.person_id != person.id:
        raise NotFound
    return held


def _back_to(person: Person) -> Any:
    """Their page, or the list where they are no longer ours to see."""
    session, who = db.session(), guard.actor()
    still = policy.allows(session, who, Action.PERSON_ADMINISTER, person.id, clock.now())
    return redirect(url_for("people.show", person_id=person.id) if still else url_for("people.index"))


@bp.post("/<uuid:person_id>/roles/<uuid:role_id>/take")
@guard.on(Action.PERSON_ADMINISTER, Person)
def take_role(person: Person, role_id: uuid.UUID) -> Any:
    """Take a role away."""
    held = _role_of(person, role_id)
    words = f"{person.display_name} is no longer {held.role.value} of {held.place_name}."
    people.take_role(db.session(), guard.actor(), held)
    flash(words, "success")
    return _back_to(person)


@bp.post("/<uuid:person_id>/roles/<uuid:role_id>/end")
@guard.on(Action.PERSON_ADMINISTER, Person)
def end_role(person: Person, role_id: uuid.UUID) -> Any:
    """Say until when a role is held."""
    held = _role_of(person, role_id)
    form = EndForm(prefix=f"role-{held.id}-")

    def act() -> bool:
        ends_at = days.end_of(form.until.data) if form.until.data else None
        people.end_role(db.session(), guard.actor(), held, ends_at)
        return True

    if form.attempt(act):
        flash("The role's end has been changed.", "success")
    else:
        for sentence in form.sentences().values():
            flash(sentence, "problem")
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
