"""The offer of the demo region, for an admin from everywhere on an empty instance."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from app.access import Action
from app.db import db
from app.db.people import Role
from app.domain import demo
from app.errors import Forbidden
from app.web import guard, proofs

bp = Blueprint("demo", __name__)


@bp.post("/demo")
@guard.can(Action.PEOPLE_ADMINISTER)
def start() -> Any:
    """Make the demo region and show how to sign in to it; the password is shown only now."""
    who = guard.actor()
    if not who.over(Role.ADMIN).everywhere:
        raise Forbidden("Only an admin from everywhere can make the demo region.")
    core = guard.core()
    made = demo.create(
        db.session(), core.storage, who, factors_key=core.settings.secret_key if proofs.required() else ""
    )
    return render_template("pages/demo.html", demo=made)
