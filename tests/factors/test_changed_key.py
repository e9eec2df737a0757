"""After a change of SECRET_KEY: secrets of authenticator apps do not open, and everybody is told what to do instead."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import clock
from app.db import db
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.sign_in import LoginFailure, SecondFactor
from app.domain import recovery_codes, second_factors
from app.errors import Conflict, Invalid, TooManyRequests
from app.logs import JsonFormatter
from app.settings import Settings
from app.web import create_app
from tests.factors.support import actor_of, add_app, after_password
from tests.support.world import World

NEW_KEY = "another secret key, of thirty-two characters or more"


@pytest.fixture
def admin(session: Session) -> Person:
    person: Person = World(session).person("ada@example.org", Role.ADMIN, "NEY")
    session.commit()
    return person


@pytest.fixture
def renewed(settings: Settings) -> Iterator[Flask]:
    """The same instance, started again with another key."""
    made = create_app(replace(settings, secret_key=NEW_KEY))
    yield made
    with made.app_context():
        db.session.remove()
        db.engine.dispose()


def counted(session: Session) -> tuple[int, int]:
    """How many failures are counted, and written down."""
    session.rollback()
    failures = session.scalar(select(func.coalesce(func.sum(LoginFailure.count), 0))) or 0
    refused = select(func.count()).select_from(AuditEvent).where(AuditEvent.action == "factor:refuse")
    return failures, session.scalar(refused) or 0


def test_a_code_says_what_to_do_and_counts_as_no_guess(
    renewed: Flask, session: Session, settings: Settings, admin: Person, caplog: pytest.LogCaptureFixture
) -> None:
    _, app = add_app(session, settings.secret_key, admin)
    codes = recovery_codes.make(session, actor_of(session, admin), admin.id)
    session.commit()
    browser = after_password(renewed, admin)
    code = app.at(clock.now() + timedelta(seconds=30))
    for _ in range(7):
        page = browser.post("/account/prove?next=/library", {"code": code})
        assert page.status_code == 409
    words = html.unescape(page.text)
    assert second_factors.SEALED in words
    assert "<title>Error: " in words
    assert counted(session) == (0, 0)
    lines = [JsonFormatter("web").format(record) for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(lines) == 7
    for line in lines:
        assert '"event": "second-factor-sealed"' in line
        assert str(admin.id) in line
        for secret in (code, app.secret, admin.email, NEW_KEY, settings.secret_key):
            assert secret not in line
    assert browser.post("/account/prove?next=/library", {"code": codes[0]}).location == "/library"


def test_it_can_be_put_in_order_with_a_recovery_code(
    renewed: Flask, session: Session, settings: Settings, admin: Person
) -> None:
    old, _ = add_app(session, settings.secret_key, admin)
    codes = recovery_codes.make(session, actor_of(session, admin), admin.id)
    session.commit()
    browser = after_password(renewed, admin)
    assert browser.post("/account/prove", {"code": codes[0]}).status_code == 302
    begun = browser.post("/account/second-factors/app", {"name": "new phone"})
    session.rollback()
    new = session.scalars(select(SecondFactor).where(SecondFactor.name == "new phone")).one()
    app = pyotp.TOTP(second_factors.secret_of(NEW_KEY, new))
    assert browser.post(begun.location, {"code": app.at(clock.now())}).status_code == 302
    assert browser.post(f"/account/second-factors/{old.id}/remove").location == "/account/second-factors"
    session.rollback()
    assert session.scalars(select(SecondFactor.name)).all() == ["new phone"]


def test_an_app_that_waited_must_be_begun_again(
    renewed: Flask, session: Session, settings: Settings, admin: Person
) -> None:
    factor = second_factors.start_app(session, actor_of(session, admin), settings.secret_key, "phone")
    session.commit()
    browser = after_password(renewed, admin)
    path = f"/account/second-factors/app/{factor.id}"
    for data in (None, {"code": "123456"}):
        answer = browser.get(path) if data is None else browser.post(path, data)
        assert answer.location == "/account/second-factors"
        assert second_factors.SEALED_WAITING in browser.get(answer.location).text
    begun = browser.post("/account/second-factors/app", {"name": "phone"})
    assert browser.get(begun.location).status_code == 200


def test_beside_an_app_that_opens_every_wrong_code_is_a_guess(
    session: Session, settings: Settings, admin: Person
) -> None:
    """Were it not, who holds a stolen password could guess at the app that opens without end."""
    old, _ = add_app(session, settings.secret_key, admin)
    old.name = "old phone"
    new, app = add_app(session, NEW_KEY, admin)
    new.last_step = None
    session.commit()
    who = actor_of(session, admin)
    wrong = "000000" if app.at(clock.now()) != "000000" else "111111"
    for _ in range(5):
        with pytest.raises(Invalid, match="Codes of old phone cannot be checked"):
            second_factors.prove(session, who, NEW_KEY, wrong)
    with pytest.raises(TooManyRequests):
        second_factors.prove(session, who, NEW_KEY, wrong)
    second_factors.back_off.forget(session, second_factors.back_off_keys(admin.id))
    assert second_factors.prove(session, who, NEW_KEY, app.at(clock.now())) == "totp"
    with pytest.raises(Conflict):
        second_factors.secret_of(NEW_KEY, old)
