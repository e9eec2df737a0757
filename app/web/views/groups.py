"""Groups: the list, one group's people and managers, adding people by address, from a list or by pasting."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from app import clock
from app.access import Action, policy
from app.access.places import covers
from app.db import db
from app.db.people import Group, Role
from app.domain import days, directory, groups
from app.domain.directory import PeopleFilter
from app.domain.places import Place, place_from_code
from app.web import choices, guard
from app.web.forms import Day, Form, text_field
from app.web.links import as_id

bp = Blueprint("groups", __name__)


class GroupForm(Form):
    """A group's name, place and end."""

    name = text_field("Name", most=200, required="Enter the group's name")
    place = SelectField("Place that keeps it", choices=[])
    ends = Day("Last day (optional)", description="After this day nobody is in the group any more.")


class MemberForm(Form):
    """Somebody to put into a group."""

    email = StringField("Email address", [DataRequired("Enter an email address"), Length(max=320)])
    until = Day("Until (optional)", description="The last day on which they are in the group.")


class ManagerForm(Form):
    """Somebody to keep the members of a group."""

    manager = StringField("Email address of a manager", [DataRequired("Enter an email address"), Length(max=320)])


class PasteForm(Form):
    """Many addresses at once."""

    addresses = TextAreaField(
        "Email addresses",
        [DataRequired("Paste at least one email address"), Length(max=100_000)],
        description=f"One a line, or with commas between them; {groups.MOST_PASTED} at most.",
    )
    until = Day("Until (optional)", description="The last day on which they are in the group.")


def _end(day: Any) -> Any:
    return days.end_of(day) if day else None


def _administers(group: Group) -> bool:
    return policy.allows(db.session(), guard.actor(), Action.GROUP_ADMINISTER, group.id, clock.now())


@bp.route("/groups", methods=["GET", "POST"])
@guard.can(Action.OWN_ACCOUNT)
def index() -> Any:
    """The groups that the actor administers or manages."""
    session, who = db.session(), guard.actor()
    may_add = policy.can(who, Action.PEOPLE_ADMINISTER)
    form = GroupForm()
    form.place.choices = choices.places(session, who)
    if request.method == "POST":
        policy.require_capability(who, Action.PEOPLE_ADMINISTER)
        made = form.attempt(
            lambda: groups.add(
                session,
                who,
                name=form.name.data or "",
                place=place_from_code(form.place.data or ""),
                ends_at=_end(form.ends.data),
            )
        )
        if made is not None:
            flash(f"The group {made.name} has been added.", "success")
            return redirect(url_for("groups.show", group_id=made.id))
    errors = form.sentences()
    page = render_template(
        "pages/places/groups.html",
        form=form,
        errors=errors,
        groups=directory.groups(session, who),
        may_add=may_add,
        now=clock.now(),
    )
    return page, 400 if errors else 200


@bp.route("/groups/<uuid:group_id>", methods=["GET", "POST"])
@guard.on(Action.GROUP_MANAGE, Group)
def show(group: Group) -> Any:
    """One group: its people, and putting somebody into it."""
    form = MemberForm()
    if request.method == "POST":
        person = form.attempt(
            lambda: groups.join(
                db.session(), guard.actor(), group, form.email.data or "", ends_at=_end(form.until.data)
            )
        )
        if person is not None:
            flash(f"{person.display_name} is in the group.", "success")
            return redirect(url_for("groups.show", group_id=group.id))
    return _page(group, form=form)


def _page(group: Group, *, form: MemberForm | None = None, manager_form: ManagerForm | None = None) -> Any:
    session, now = db.session(), clock.now()
    forms = [form or MemberForm(formdata=None), manager_form or ManagerForm(formdata=None)]
    errors = forms[0].sentences() | forms[1].sentences()
    page = render_template(
        "pages/places/group.html",
        group=group,
        form=forms[0],
        manager_form=forms[1],
        errors=errors,
        members=groups.members(session, group),
        managers=groups.managers(session, group),
        administers=_administers(group),
        may_list=policy.can(guard.actor(), Action.PEOPLE_ADMINISTER),
        now=now,
    )
    return page, 400 if errors else 200


@bp.route("/groups/<uuid:group_id>/edit", methods=["GET", "POST"])
@guard.on(Action.GROUP_ADMINISTER, Group)
def edit(group: Group) -> Any:
    """A group's name, place and end."""
    session, who = db.session(), guard.actor()
    place = Place(group.area_id, group.organisation_id)
    form = GroupForm(
        data={
            "name": group.name,
            "place": place.code,
            "ends": days.last_day_before(group.ends_at) if group.ends_at else None,
        }
    )
    form.place.choices = choices.places(session, who)
    if place.code not in dict(form.place.choices) and covers(session, who.over(Role.ADMIN), **place.columns()):
        form.place.choices = [(place.code, "Where it is now"), *form.place.choices]
    if request.method == "POST":

        def act() -> bool:
            groups.edit(
                session,
                who,
                group,
                name=form.name.data or "",
                place=place_from_code(form.place.data or ""),
                ends_at=_end(form.ends.data),
            )
            return True

        if form.attempt(act):
            flash("The group has been changed.", "success")
            return redirect(url_for("groups.show", group_id=group.id))
    errors = form.sentences()
    return render_template("pages/places/group_edit.html", group=group, form=form, errors=errors), (
        400 if errors else 200
    )


@bp.post("/groups/<uuid:group_id>/end")
@guard.on(Action.GROUP_ADMINISTER, Group)
def end(group: Group) -> Any:
    """End a group at once."""
    groups.end_now(db.session(), guard.actor(), group)
    flash("The group has ended. Nobody is in it any more.", "success")
    return redirect(url_for("groups.show", group_id=group.id))


@bp.post("/groups/<uuid:group_id>/managers")
@guard.on(Action.GROUP_ADMINISTER, Group)
def name_manager(group: Group) -> Any:
    """Let somebody keep the members of a group."""
    form = ManagerForm()
    person = form.attempt(lambda: groups.name_manager(db.session(), guard.actor(), group, form.manager.data or ""))
    if person is None:
        return _page(group, manager_form=form)
    flash(f"{person.display_name} now manages the group.", "success")
    return redirect(url_for("groups.show", group_id=group.id))


@bp.post("/groups/<uuid:group_id>/managers/<uuid:person_id>/drop")
@guard.on(Action.GROUP_ADMINISTER, Group)
def drop_manager(group: Group, person_id: uuid.UUID) -> Any:
    """Let somebody keep the group no longer."""
    groups.drop_manager(db.session(), guard.actor(), group, person_id)
    flash("They no longer manage the group.", "success")
    return redirect(url_for("groups.show", group_id=group.id))


@bp.post("/groups/<uuid:group_id>/members/<uuid:person_id>/leave")
@guard.on(Action.GROUP_MANAGE, Group)
def leave(group: Group, person_id: uuid.UUID) -> Any:
    """Take somebody out of a group."""
    person = groups.leave(db.session(), guard.actor(), group, person_id)
    if person is not None:
        flash(f"{person.display_name} is no longer in the group.", "success")
    return redirect(url_for("groups.show", group_id=group.id))


@bp.route("/groups/<uuid:group_id>/paste", methods=["GET", "POST"])
@guard.on(Action.GROUP_MANAGE, Group)
def paste(group: Group) -> Any:
    """Put many people into a group by their addresses, with what became of each."""
    form = PasteForm()
    outcomes = None
    if request.method == "POST":
        outcomes = form.attempt(
            lambda: groups.paste(
                db.session(), guard.actor(), group, form.addresses.data or "", ends_at=_end(form.until.data)
            )
        )
    errors = form.sentences()
    page = render_template("pages/places/group_paste.html", group=group, form=form, errors=errors, outcomes=outcomes)
    return page, 400 if errors else 200


@bp.route("/groups/<uuid:group_id>/choose", methods=["GET", "POST"])
@guard.on(Action.GROUP_ADMINISTER, Group)
def choose(group: Group) -> Any:
    """Put people into a group from the list of those whom the actor administers."""
    session, who = db.session(), guard.actor()
    if request.method == "POST":
        chosen = [found for text in request.form.getlist("person") if (found := as_id(text)) is not None]
        count = groups.put_all(session, who, group, chosen)
        flash(f"{count} {'person has' if count == 1 else 'people have'} been put into the group.", "success")
        return redirect(url_for("groups.show", group_id=group.id))
    words = request.args.get("q", "")[:100].replace("\x00", "")
    page = directory.people(
        session,
        who,
        PeopleFilter(words=words),
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
    )
    inside = {person.id for person, _ in groups.members(session, group)}
    kept: dict[str, Any] = {"q": words} if words else {}
    return render_template(
        "pages/places/group_choose.html",
        group=group,
        people=[person for person in page.rows if person.left_at is None],
        inside=inside,
        query=words,
        older=url_for("groups.choose", group_id=group.id, after=page.after, **kept) if page.after else "",
        newer=url_for("groups.choose", group_id=group.id, before=page.before, **kept) if page.before else "",
    )
