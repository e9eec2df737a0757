"""Re-certification: the roles that somebody should look at again, confirmed or ended several at once."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from app import clock
from app.access import Action, policy
from app.db import db
from app.domain import certification
from app.errors import Invalid
from app.web import guard, picked

bp = Blueprint("recertify", __name__, url_prefix="/people/recertify")


def _area() -> str:
    return request.args.get("area", "")[:64]


def _page(errors: dict[str, str]) -> Any:
    session, who, area = db.session(), guard.actor(), _area()
    page = certification.roles(
        session, who, area=area, after=request.args.get("after", ""), before=request.args.get("before", "")
    )
    now = clock.now()
    kept: dict[str, Any] = {"area": area} if area else {}
    parts = certification.parts(session, who)
    shown = render_template(
        "pages/people/recertify.html",
        rows=[
            {
                "held": held,
                "due": certification.due_at(held),
                "overdue": certification.due_at(held) <= now,
                "own": held.person_id == who.person_id,
            }
            for held in page.rows
        ],
        parts=parts,
        total=sum(part.roles for part in parts),
        area=area,
        action=url_for("recertify.decide", **kept),
        errors=errors,
        may_list=policy.can(who, Action.PEOPLE_ADMINISTER),
        older=url_for("recertify.index", after=page.after, **kept) if page.after else "",
        newer=url_for("recertify.index", before=page.before, **kept) if page.before else "",
    )
    return shown, 400 if errors else 200


@bp.get("")
@guard.can(Action.ROLES_CERTIFY)
def index() -> Any:
    """The roles that are due, by area."""
    return _page({})


def _roles(number: int) -> str:
    return "1 role" if number == 1 else f"{number} roles"


@bp.post("")
@guard.can(Action.ROLES_CERTIFY)
def decide() -> Any:
    """Confirm or end those that are ticked."""
    session, who = db.session(), guard.actor()
    try:
        if request.form.get("act") == "end":
            ended, stayed = certification.end(session, who, picked.ids("roles"))
            if ended:
                flash(f"{_roles(ended)} ended.", "success")
            for sentence in stayed:
                flash(sentence, "info")
        else:
            flash(f"{_roles(certification.confirm(session, who, picked.ids('roles')))} confirmed.", "success")
    except Invalid as error:
        return _page(error.fields)
    return redirect(url_for("recertify.index", area=_area() or None))
