"""Signing in safely: one's second factors and recovery codes, and the step that asks for them."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

import segno
from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import DataRequired, Length

from app.access import Action
from app.db import db
from app.db.people import Person
from app.db.sign_in import SecondFactor
from app.domain import passkeys, recovery_codes, second_factors, sign_in
from app.errors import Conflict, Invalid, TooManyRequests
from app.web import ceremonies, guard, proofs
from app.web.errors import status_of
from app.web.forms import Form, safe_next, text_field

bp = Blueprint("factors", __name__, url_prefix="/account")


class AppForm(Form):
    """What an authenticator app is called."""

    name = text_field("Name of the app or device (optional)", most=100, hint="For example: my work phone")


class CodeForm(Form):
    """A code, from an app or a recovery code."""

    code = StringField("Code", [DataRequired("Enter the code"), Length(max=50)])


class PasskeyForm(Form):
    """A passkey that the browser made; the script fills `credential` in."""

    name = text_field("Name of the passkey (optional)", most=100, hint="For example: my work laptop")
    credential = HiddenField("Passkey", [DataRequired("The passkey was not made. Try again.")])


class ShownPasskeyForm(Form):
    """A passkey that the browser shows; the script fills `credential` in."""

    credential = HiddenField("Passkey", [DataRequired("The passkey was not shown. Try again.")])


class PasswordAgainForm(Form):
    """The password once more."""

    password = PasswordField("Password", [DataRequired("Enter your password")])


def _me() -> Person:
    return db.session().get_one(Person, guard.actor().person_id)


def _page(template: str, form: Form, status: int = 400, **context: Any) -> Any:
    errors = form.sentences()
    return render_template(template, form=form, errors=errors, **context), status if errors else 200


# -- what there is ---------------------------------------------------------------------------------------------------------


@bp.get("/second-factors")
@guard.can(Action.FACTORS)
def index() -> Any:
    """One's second factors and how many recovery codes are left."""
    session, me = db.session(), _me()
    return render_template(
        "pages/account/second_factors.html",
        factors=second_factors.of_person(session, me.id),
        codes_left=recovery_codes.left(session, me.id),
        must_have=proofs.required() and second_factors.must_have(guard.actor()),
        unproven=g.get("unproven", False),
        passkeys_work=ceremonies.party() is not None,
        form=AppForm(formdata=None),
    )


@bp.post("/second-factors/<uuid:factor_id>/remove")
@guard.can(Action.OWN_ACCOUNT)
def remove(factor_id: uuid.UUID) -> Any:
    """Remove one."""
    proofs.require_fresh()
    factor = second_factors.own(db.session(), guard.actor(), factor_id)
    second_factors.remove(db.session(), guard.actor(), factor, required=proofs.required())
    flash(f"{factor.name} has been removed.", "success")
    return redirect(url_for("factors.index"))


@bp.post("/second-factors/codes")
@guard.can(Action.OWN_ACCOUNT)
def new_codes() -> Any:
    """Ten new recovery codes in place of the old ones, shown once."""
    proofs.require_fresh()
    if not second_factors.has_any(db.session(), _me().id):
        return redirect(url_for("factors.index"))
    return _codes_page()


def _codes_page() -> Any:
    codes = recovery_codes.make(db.session(), guard.actor(), _me().id)
    return render_template("pages/account/recovery_codes.html", codes=codes)


def _added(factor: SecondFactor) -> Any:
    """After a new factor: it has been shown in this session. With the first one come the recovery codes."""
    first = len(second_factors.of_person(db.session(), factor.person_id)) == 1
    proofs.shown(second_factor=True)
    if first:
        return _codes_page()
    flash(f"{factor.name} can be used from now on.", "success")
    return redirect(url_for("factors.index"))


# -- adding ----------------------------------------------------------------------------------------------------------------


@bp.post("/second-factors/app")
@guard.can(Action.FACTORS)
def start_app() -> Any:
    """Begin with an authenticator app: a secret is made."""
    proofs.require_fresh()
    form = AppForm()
    key = guard.core().settings.secret_key
    factor = form.attempt(lambda: second_factors.start_app(db.session(), guard.actor(), key, form.name.data or ""))
    if factor is None:
        raise Invalid("; ".join(form.sentences().values()))
    return redirect(url_for("factors.confirm_app", factor_id=factor.id))


@bp.route("/second-factors/app/<uuid:factor_id>", methods=["GET", "POST"])
@guard.can(Action.FACTORS)
def confirm_app(factor_id: uuid.UUID) -> Any:
    """Show the secret until its first code is typed."""
    proofs.browser_session()
    session, who, key = db.session(), guard.actor(), guard.core().settings.secret_key
    factor = second_factors.waiting_app(session, who, factor_id)
    try:
        secret = second_factors.secret_of(key, factor)
    except Conflict as error:
        flash(str(error), "info")
        return redirect(url_for("factors.index"))
    form = CodeForm()
    if request.method == "POST":

        def act() -> bool:
            second_factors.confirm_app(session, who, key, factor, form.code.data or "")
            return True

        if form.attempt(act):
            return _added(factor)
    picture = segno.make(second_factors.address_of(secret, _me().email), micro=False)
    return _page(
        "pages/account/add_app.html",
        form,
        picture=picture.svg_data_uri(scale=5, border=4, light="#ffffff"),
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
    )


@bp.route("/second-factors/passkey", methods=["GET", "POST"])
@guard.can(Action.FACTORS)
def add_passkey() -> Any:
    """Make a passkey. The script of the page talks to the browser; the form sends what it made."""
    proofs.require_fresh()
    party = ceremonies.party()
    form = PasskeyForm()
    if request.method == "POST" and party is not None:

        def act() -> SecondFactor:
            challenge = ceremonies.take_challenge("add")
            return passkeys.add(
                db.session(), guard.actor(), party, _me(), challenge, form.credential.data or "", form.name.data or ""
            )

        factor = form.attempt(act)
        if factor is not None:
            return _added(factor)
    return _page("pages/account/add_passkey.html", form, passkeys_work=party is not None, host=_host())


def _host() -> str:
    return urlsplit(guard.core().settings.base_url).netloc


# -- showing ---------------------------------------------------------------------------------------------------------------


@bp.route("/prove", methods=["GET", "POST"])
@guard.can(Action.PROVE)
def prove() -> Any:
    """The step after the password, and before what asks for a fresh proof."""
    target = safe_next(request.args.get("next"))
    me = _me()
    factors = second_factors.of_person(db.session(), me.id)
    if not factors:
        return _prove_by_password(me, target)
    form = CodeForm()
    status = 400
    if request.method == "POST":
        form = ShownPasskeyForm() if "credential" in request.form else form
        try:
            if form.attempt(lambda: _show(form, me)):
                proofs.shown(second_factor=True)
                return redirect(target)
        except (Conflict, TooManyRequests) as error:
            form.refuse(Invalid(str(error)))
            status = status_of(error)
    kinds = {factor.kind.value for factor in factors}
    return _page(
        "pages/account/prove.html",
        form if isinstance(form, CodeForm) else _with_errors_of(form),
        status,
        has_app="totp" in kinds,
        has_passkey="passkey" in kinds and ceremonies.party() is not None,
        fresh=not g.get("unproven", False),
    )


def _with_errors_of(other: Form) -> CodeForm:
    """The page's own form, with what was wrong with the passkey above it."""
    form = CodeForm(formdata=None)
    form.form_errors.extend(other.sentences().values())
    return form


def _show(form: Form, me: Person) -> bool:
    session, who = db.session(), guard.actor()
    if isinstance(form, ShownPasskeyForm):
        party = ceremonies.party()
        if party is None:
            raise Invalid(passkeys.REFUSED)
        passkeys.prove(session, who, party, me, ceremonies.take_challenge("prove"), form.credential.data or "")
        return True
    kind = second_factors.prove(session, who, guard.core().settings.secret_key, form["code"].data or "")
    if kind == "recovery":
        left = recovery_codes.left(session, me.id)
        flash(f"A recovery code was used. {left} of them are left.", "info")
    return True


def _prove_by_password(me: Person, target: str) -> Any:
    """For people without a second factor: the password once more, where signing in was longer ago."""
    browser = proofs.browser_session()
    if proofs.is_fresh(browser, guard.actor()):
        return redirect(url_for("factors.index") if g.get("unproven", False) else target)
    form = PasswordAgainForm()
    status = 400
    if request.method == "POST" and me.password_hash is not None:

        def act() -> bool:
            sign_in.password_again(db.session(), guard.actor(), me, form.password.data or "")
            return True

        try:
            if form.attempt(act):
                proofs.shown(second_factor=False)
                return redirect(target)
        except TooManyRequests as error:
            form.refuse(Invalid(str(error)))
            status = 429
    return _page("pages/account/password_again.html", form, status, has_password=me.password_hash is not None)
