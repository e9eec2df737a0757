"""Signing in and out, the first admin's link, setting a password, and one's own account."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, Length

from app.access import Action
from app.db import db
from app.db.people import Person
from app.db.sign_in import LinkPurpose
from app.domain import audit, devices, mail, passwords, people, second_factors, sign_in, viewings
from app.errors import Invalid, NotFound, TooManyRequests
from app.web import entrance, guard, proofs
from app.web.forms import Form, safe_next, text_field
from app.web.sessions import signed_in_session

bp = Blueprint("auth", __name__)


class SignInForm(Form):
    """E-mail and password."""

    email = StringField("Email address", [DataRequired("Enter your email address"), Length(max=320)])
    password = PasswordField("Password", [DataRequired("Enter your password")])


class PasswordForm(Form):
    """A new password."""

    password = PasswordField(
        "Password",
        [DataRequired("Enter a password")],
        description=f"At least {passwords.MIN_LENGTH} characters. Three random words make a good one.",
    )


class FirstAdminForm(PasswordForm):
    """Who the first admin is."""

    email = StringField("Email address", [DataRequired("Enter your email address"), Length(max=320)])
    name = text_field("Full name", most=200, required="Enter your full name")


class ChangePasswordForm(PasswordForm):
    """The old password and a new one."""

    old_password = PasswordField("Current password", [DataRequired("Enter your current password")])


@bp.route("/sign-in", endpoint="sign_in", methods=["GET", "POST"])
@guard.public("people who are not signed in must get here")
def sign_in_page() -> Any:
    """The sign-in form."""
    form = SignInForm()
    target = safe_next(request.args.get("next"))
    who = guard.actor()
    if request.method == "GET":
        if who.active and not who.is_anonymous:
            return redirect(target)
        return _sign_in_form(form, {})
    status = 400
    try:
        person = form.attempt(
            lambda: sign_in.authenticate(
                db.session(), form.email.data or "", form.password.data or "", request.remote_addr or ""
            )
        )
    except TooManyRequests as error:
        form.refuse(Invalid(str(error)))
        person, status = None, 429
    if person is None:
        return _sign_in_form(form, form.sentences()), status
    return entrance.let_in(person, target, method="password")


def _sign_in_form(form: SignInForm, errors: dict[str, str]) -> str:
    can_mail = mail.is_set_up(guard.core().settings)
    return render_template("pages/sign_in.html", form=form, errors=errors, can_mail=can_mail)


@bp.post("/sign-out")
@guard.public("signing out twice is no error")
def sign_out() -> Any:
    """End the session on the server."""
    browser = signed_in_session()
    response = redirect(url_for("auth.sign_in"))
    if browser is not None:
        audit.record(db.session(), guard.actor(), "session:end", "person", browser.person_id)
        if browser.person_id is not None:
            viewings.close_all(db.session(), browser.person_id)
        sign_in.end_session(db.session(), browser.row_id)
        entrance.sessions().stop(response)
    return response


@bp.route("/first-admin/<secret>", methods=["GET", "POST"])
@guard.public("the link itself is the proof; it works once, and only while there is no admin")
def first_admin(secret: str) -> Any:
    """Make the first admin."""
    db_session = db.session()
    sign_in.peek_link(db_session, LinkPurpose.FIRST_ADMIN, secret)
    if sign_in.has_admin(db_session):
        raise NotFound
    form = FirstAdminForm()
    if request.method == "POST":

        def act() -> Person:
            passwords.check(form.password.data or "")
            person = people.add_first_admin(
                db_session, email=form.email.data or "", name=form.name.data or "", password=form.password.data or ""
            )
            sign_in.use_link(db_session, LinkPurpose.FIRST_ADMIN, secret)
            return person

        person = form.attempt(act)
        if person is not None:
            return entrance.let_in(person, url_for("home.index"), method="link")
    return _form_page("pages/first_admin.html", form)


@bp.route("/set-password/<secret>", methods=["GET", "POST"])
@guard.public("the link itself is the proof; it works once")
def set_password(secret: str) -> Any:
    """Choose a password by a link from an admin."""
    db_session = db.session()
    link = sign_in.peek_link(db_session, LinkPurpose.SET_PASSWORD, secret)
    person = db_session.get(Person, link.person_id)
    if person is None or person.suspended_at is not None:
        raise NotFound
    form = PasswordForm()
    if request.method == "POST":

        def act() -> Person:
            # first, because a new password stops all links that are on their way
            sign_in.use_link(db_session, LinkPurpose.SET_PASSWORD, secret)
            db_session.flush()
            people.set_password(db_session, entrance.actor_of(person), person, form.password.data or "")
            return person

        if form.attempt(act) is not None:
            return entrance.let_in(person, url_for("home.index"), method="link")
    return _form_page("pages/set_password.html", form, person=person)


def _form_page(template: str, form: Form, status: int = 400, **context: Any) -> Any:
    errors = form.sentences()
    return render_template(template, form=form, errors=errors, **context), status if errors else 200


@bp.route("/account", methods=["GET", "POST"])
@guard.can(Action.OWN_ACCOUNT)
def account() -> Any:
    """One's own account: roles, password, devices and tokens."""
    db_session = db.session()
    person = db_session.get_one(Person, guard.actor().person_id)
    form = ChangePasswordForm()
    status = 400
    if request.method == "POST":
        if second_factors.has_any(db_session, person.id):
            proofs.require_fresh()

        def act() -> bool:
            typed = form.old_password.data or ""
            sign_in.password_again(
                db_session, guard.actor(), person, typed, wrong="Current password is wrong", field="old_password"
            )
            browser = signed_in_session()
            keep = browser.row_id if browser is not None else None
            people.set_password(db_session, guard.actor(), person, form.password.data or "", keep=keep)
            return True

        try:
            changed = form.attempt(act)
        except TooManyRequests as error:
            form.refuse(Invalid(str(error)))
            changed, status = None, 429
        if changed:
            flash("Your password has been changed. Your other devices have been signed out.", "success")
            return redirect(url_for("auth.account"))
    browser = signed_in_session()
    return _form_page(
        "pages/account.html",
        form,
        status,
        person=person,
        sessions=devices.of_person(db_session, person.id, entrance.sessions().idle),
        this_session=browser.row_id if browser is not None else None,
    )
