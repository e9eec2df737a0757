"""Links by mail: asking for one, and what the links lead to. Opening a link changes nothing, because mail scanners open
them too; the button on its page does."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from app.access import Action
from app.db import db
from app.db.people import Person
from app.db.sign_in import LinkPurpose
from app.domain import audit, invitations, mail, mailed_links, people, sign_in
from app.errors import NotFound
from app.web import entrance, guard
from app.web.forms import Form, safe_next
from app.web.views.auth import PasswordForm

bp = Blueprint("links", __name__)


class AddressForm(Form):
    """Where to send a link."""

    email = StringField("Email address", [DataRequired("Enter your email address"), Length(max=320)])


def dead() -> Any:
    """The page of every link that does not work, whatever the reason: unknown, used, over, cancelled, suspended."""
    return render_template("pages/links/dead.html", deterministic=True), 404


def _ask(kind: str) -> Any:
    form = AddressForm()
    settings = guard.core().settings
    target = safe_next(request.args.get("next"))
    if request.method == "POST" and mail.is_set_up(settings):

        def act() -> bool:
            mailed_links.ask(db.session(), settings, kind, form.email.data or "", request.remote_addr or "", target)
            return True

        if form.attempt(act):
            return render_template("pages/links/asked.html")
    errors = form.sentences()
    page = render_template(
        "pages/links/ask.html", form=form, errors=errors, kind=kind, can_mail=mail.is_set_up(settings)
    )
    return page, 400 if errors else 200


@bp.route("/sign-in/link", methods=["GET", "POST"])
@guard.public("people who are not signed in ask here for a link; every address gets the same answer")
def ask_sign_in() -> Any:
    """Ask for a link to sign in."""
    return _ask(mailed_links.SIGN_IN)


@bp.route("/forgotten-password", methods=["GET", "POST"])
@guard.public("people who are not signed in ask here for a link; every address gets the same answer")
def ask_reset() -> Any:
    """Ask for a link to choose a new password."""
    return _ask(mailed_links.RESET)


@bp.route("/sign-in/link/<secret>", methods=["GET", "POST"])
@guard.public("the link itself is the proof; it works once, and only by POST")
def enter(secret: str) -> Any:
    """Sign in by a link from a mail."""
    session = db.session()
    try:
        if request.method == "POST":
            person = sign_in.use_link_of(session, LinkPurpose.SIGN_IN, secret)
            return entrance.let_in(person, safe_next(request.args.get("next")), method="link")
        person = sign_in.person_of_link(session, LinkPurpose.SIGN_IN, secret)
    except NotFound:
        return dead()
    return render_template("pages/links/enter.html", person=person)


@bp.route("/invitation/<secret>", methods=["GET", "POST"])
@guard.public("the link itself is the proof; it works once, and only by POST")
def invitation(secret: str) -> Any:
    """Come in for the first time: with a password, or without one where links come by mail."""
    session = db.session()
    can_mail = mail.is_set_up(guard.core().settings)
    try:
        person = sign_in.person_of_link(session, LinkPurpose.INVITATION, secret)
    except NotFound:
        return dead()
    form = PasswordForm()
    if request.method == "POST" and can_mail and request.form.get("how") == "link":
        return _accept(secret)
    if request.method == "POST" and (answer := form.attempt(lambda: _accept(secret, form.password.data or ""))):
        return answer
    errors = form.sentences()
    page = render_template("pages/links/invitation.html", form=form, errors=errors, person=person, can_mail=can_mail)
    return page, 400 if errors else 200


def _accept(secret: str, password: str | None = None) -> Any:
    session = db.session()
    try:
        person = invitations.accept(session, secret)
    except NotFound:
        return dead()
    who = entrance.actor_of(person)
    if password is not None:
        people.set_password(session, who, person, password)
    audit.record(session, who, "invitation:accept", "person", person.id)
    return entrance.let_in(person, url_for("home.index"), method="link")


# -- for admins ------------------------------------------------------------------------------------------------------------


@bp.post("/people/<uuid:person_id>/invite")
@guard.on(Action.PERSON_ADMINISTER, Person)
def invite(person: Person) -> Any:
    """Invite somebody, or invite them again."""
    return invited(person)


def invited(person: Person) -> Any:
    """Invite a person; the link is shown only where it was not sent to them by mail."""
    made = invitations.invite(db.session(), guard.core().settings, guard.actor(), person)
    if made.mailed:
        flash(f"An invitation is on its way to {person.email}. It works once, for 7 days.", "success")
        return redirect(url_for("people.show", person_id=person.id))
    return render_template("pages/links/hand_over.html", person=person, link=made.link)


@bp.post("/people/<uuid:person_id>/invitation/cancel")
@guard.on(Action.PERSON_ADMINISTER, Person)
def cancel_invitation(person: Person) -> Any:
    """Take an invitation back."""
    invitations.cancel(db.session(), guard.actor(), person)
    flash("The invitation no longer works.", "success")
    return redirect(url_for("people.show", person_id=person.id))
