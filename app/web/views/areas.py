"""The tree of areas and its editor."""

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
from app.db.places import Area, AreaKind
from app.domain import areas
from app.errors import Invalid
from app.web import guard
from app.web.forms import Form, text_field
from app.web.links import as_id

bp = Blueprint("areas", __name__, url_prefix="/places/areas")


class AreaForm(Form):
    """An area's name and code."""

    name = text_field("Name", most=200, required="Enter the area's name")
    code = text_field(
        "Code",
        most=64,
        required="Enter a code of letters, digits and hyphens, like NEY or NEY-leeds",
        hint="What the command line and the API call it: letters, digits and hyphens.",
    )


class NewAreaForm(AreaForm):
    """An area in another."""

    parent = SelectField("Lies in", choices=[])


class MoveForm(Form):
    """Where an area goes."""

    to = SelectField("Move it to", choices=[])


@bp.route("/", methods=["GET", "POST"])
@guard.can(Action.PEOPLE_ADMINISTER)
def index() -> Any:
    """The tree, and adding to it."""
    session, who = db.session(), guard.actor()
    cover = who.over(Role.ADMIN)
    form = NewAreaForm()
    outer = [a for a in areas_within(session, cover) if a.kind is not AreaKind.LOCALITY]
    form.parent.choices = [("", "Nothing: it is a country")] if cover.everywhere else []
    form.parent.choices += [(str(a.id), f"{a.name} ({a.kind.value})") for a in outer]
    if request.method == "POST":
        parent_id = as_id(form.parent.data or "")
        made = form.attempt(
            lambda: areas.add(
                session,
                who,
                parent=session.get(Area, parent_id) if parent_id is not None else None,
                name=form.name.data or "",
                code=form.code.data or "",
            )
        )
        if made is not None:
            flash(f"{made.name} has been added.", "success")
            return redirect(url_for("areas.index"))
    errors = form.sentences()
    page = render_template("pages/places/areas.html", tree=areas.tree(session, who), form=form, errors=errors)
    return page, 400 if errors else 200


@bp.route("/<uuid:area_id>", methods=["GET", "POST"])
@guard.on(Action.AREA_ADMINISTER, Area)
def edit(area: Area) -> Any:
    """One area: name and code, where it lies, deleting it."""
    session, who = db.session(), guard.actor()
    form = AreaForm(data={"name": area.name, "code": area.code})
    if request.method == "POST":

        def act() -> bool:
            areas.edit(session, who, area, name=form.name.data or "", code=form.code.data or "")
            return True

        if form.attempt(act):
            flash("The area has been changed.", "success")
            return redirect(url_for("areas.index"))
    errors = form.sentences()
    everywhere = who.over(Role.ADMIN).everywhere
    parent = session.get(Area, area.parent_id) if area.parent_id is not None else None
    keeps_parent = everywhere if parent is None else parent.id in who.over(Role.ADMIN).area_ids or everywhere
    move_form = MoveForm(formdata=None)
    move_form.to.choices = [(str(a.id), a.name) for a in areas.new_parents(session, who, area)] if keeps_parent else []
    page = render_template(
        "pages/places/area.html",
        area=area,
        parent=parent,
        form=form,
        move_form=move_form,
        errors=errors,
        may_edit=everywhere or parent is not None,
        may_delete=keeps_parent,
        contents=areas.contents(session, area),
    )
    return page, 400 if errors else 200


@bp.route("/<uuid:area_id>/move", methods=["GET", "POST"])
@guard.on(Action.AREA_ADMINISTER, Area)
def move(area: Area) -> Any:
    """What moving an area does, and doing it."""
    session, who = db.session(), guard.actor()
    to_id = as_id(request.values.get("to", "")) or uuid.UUID(int=0)
    to = policy.require(session, who, Action.AREA_ADMINISTER, Area, to_id, clock.now())
    if request.method == "POST":
        seen_in = as_id(request.form.get("seen_in", ""))
        if seen_in is None:
            raise Invalid("Look at what the move does first.")
        areas.move(session, who, area, to, seen_in=seen_in)
        flash(f"{area.name} now lies in {to.name}.", "success")
        return redirect(url_for("areas.index"))
    effect = areas.effect_of_move(session, who, area, to)
    return render_template(
        "pages/places/move.html", thing=area, to=to, effect=effect, seen_in=area.parent_id,
        action=url_for("areas.move", area_id=area.id), back_to=url_for("areas.edit", area_id=area.id),
    )  # fmt: skip


@bp.post("/<uuid:area_id>/delete")
@guard.on(Action.AREA_ADMINISTER, Area)
def delete(area: Area) -> Any:
    """Delete an empty area."""
    name = area.name
    areas.delete(db.session(), guard.actor(), area)
    flash(f"{name} has been deleted.", "success")
    return redirect(url_for("areas.index"))
