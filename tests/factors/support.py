"""People with second factors, and browsers that have shown their password only."""

from __future__ import annotations

from datetime import timedelta

import pyotp
from flask import Flask
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Actor
from app.db import db
from app.db.people import Person
from app.db.sign_in import SecondFactor
from app.domain import second_factors, sign_in
from tests.support.world import Browser


def actor_of(session: Session, person: Person) -> Actor:
    """The person as an actor."""
    return access.load(session, person.id, clock.now())


def add_app(session: Session, secret_key: str, person: Person) -> tuple[SecondFactor, pyotp.TOTP]:
    """An authenticator app that counts, and the app itself. Its code of this moment has been used. Commits."""
    who = actor_of(session, person)
    factor = second_factors.start_app(session, who, secret_key, "phone")
    app = pyotp.TOTP(second_factors.secret_of(secret_key, factor))
    second_factors.confirm_app(session, who, secret_key, factor, app.at(clock.now()))
    session.commit()
    return factor, app


def after_password(app: Flask, person: Person) -> Browser:
    """A browser whose person has shown a password or a link, and no second factor."""
    browser = Browser(app)
    with app.app_context():
        _, token = sign_in.open_session(db.session(), person.id, "test browser", timedelta(hours=1))
        db.session.commit()
    browser.client.set_cookie(app.session_interface.cookie, token)  # type: ignore[attr-defined]
    return browser
