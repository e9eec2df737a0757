"""How a person signs in, for their admin: second factors to reset, tokens to revoke."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for

from app.access import Action
from app.db import db
from app.db.people import Person
from app.domain import mail, people, second_factors, tokens
from app.web import guard, proofs

bp = Blueprint("people_sign_in", __name__, url_prefix="/people")


@bp.get("/<uuid:person_id>/sign-in")
@guard.on(Action.PERSON_ADMINISTER, Person)
def show(person: Person) -> Any:
    """Their second factors by kind, and their tokens."""
    session, who = db.session(), guard.actor()
    return render_template(
        "pages/people/sign_in.html",
        person=person,
        factors=second_factors.of_person(session, person.id),
        tokens=tokens.working(session, person.id),
        in_words=tokens.in_words,
        may_reset=person.id != who.person_id and people.may_reset(session, who, person),
        is_self=person.id == who.person_id,
    )


@bp.post("/<uuid:person_id>/second-factors/reset")
@guard.on(Action.PERSON_ADMINISTER, Person)
def reset(person: Person) -> Any:
    """Remove the second factors of somebody who lost them, and tell them so."""
    proofs.require_fresh()
    second_factors.reset(db.session(), guard.actor(), person)
    told = mail.post(
        db.session(),
        guard.core().settings,
        kind="second-factors-reset",
        address=person.email,
        path=url_for("factors.index"),
        person_id=person.id,
    )
    words = f"{person.display_name} has no second factor any more and was signed out everywhere."
    flash(words + (" They are told by e-mail." if told else " Tell them: no mail is sent here."), "success")
    return redirect(url_for("people_sign_in.show", person_id=person.id))


@bp.post("/<uuid:person_id>/tokens/<uuid:token_id>/revoke")
@guard.on(Action.PERSON_ADMINISTER, Person)
def revoke(person: Person, token_id: uuid.UUID) -> Any:
    """Stop one of their tokens."""
    token = tokens.revoke(db.session(), guard.actor(), person.id, token_id)
    flash(f"The token {token.name} no longer works.", "success")
    return redirect(url_for("people_sign_in.show", person_id=person.id))
