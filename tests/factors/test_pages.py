"""The pages for second factors, and that nothing else opens before one was shown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import clock
from app.db.people import Person, Role
from app.db.sign_in import ApiToken, SecondFactor, WebSession
from app.domain import passwords, second_factors
from app.settings import Settings
from app.web import create_app, guard
from tests.factors.support import add_app, after_password
from tests.support.routes import path_of, routes
from tests.support.world import PASSWORD, Browser, World

#: What is open to an admin with a password only, beside public pages.
LEFT = {
    "factors.index", "factors.start_app", "factors.confirm_app", "factors.add_passkey", "factors.prove",
    "api_passkeys.creation", "api_passkeys.request_", "api_session.show", "api_session.stay",
}  # fmt: skip
#: What is still open when there is a factor to show.
LEFT_WITH_ONE = {"factors.prove", "api_passkeys.request_", "api_session.show", "api_session.stay"}


@pytest.fixture
def admin(session: Session) -> Person:
    person: Person = World(session).person(
        "ada@example.org", Role.ADMIN, "NEY", password_hash=passwords.hashed(PASSWORD)
    )
    session.commit()
    return person


def open_routes(app: Flask, browser: Browser) -> set[str]:
    """The endpoints that lead somewhere else than to the proof; every other must answer as `closed` says."""
    found = set()
    token = browser.form_token()
    for rule, method in routes(app):
        if rule.endpoint == "static":
            continue
        declaration = guard.declaration_of(app.view_functions[rule.endpoint])
        if declaration is None or declaration.kind == "public":
            continue
        answer = browser.client.open(path_of(app, rule), method=method, headers={"X-CSRF-Token": token})
        if rule.rule.startswith("/api/"):
            closed = answer.status_code == 403 and answer.json["code"] == "second-factor"
        elif rule.rule.startswith("/embed/"):
            closed = answer.status_code == 404
        else:
            closed = answer.status_code == 302 and answer.location.startswith("/account/prove?next=")
        if not closed:
            found.add(rule.endpoint)
    return found


@pytest.mark.parametrize("role", [Role.ADMIN, Role.CUSTODIAN])
def test_without_a_factor_every_route_is_closed(app: Flask, session: Session, role: Role) -> None:
    person = World(session).person("p@example.org", role)
    session.commit()
    browser = after_password(app, person)
    assert open_routes(app, browser) - LEFT == set()
    assert browser.get("/").location.startswith("/account/prove")
    assert browser.get("/sign-in").location == "/"
    page = browser.get("/account/prove?next=/library", follow_redirects=True)
    assert "Set one up to go on" in page.text
    assert "Library" not in page.text, "no menu"
    assert browser.post("/sign-out").location == "/sign-in"


def test_with_a_factor_it_must_be_shown(app: Flask, session: Session, settings: Settings, admin: Person) -> None:
    add_app(session, settings.secret_key, admin)
    browser = after_password(app, admin)
    assert open_routes(app, browser) - LEFT_WITH_ONE == set()


def test_public_pages_give_nothing_of_ones_own(app: Flask, admin: Person) -> None:
    browser = after_password(app, admin)
    for path in ("/help", "/privacy"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "People and places" not in page.text


def test_signing_in_with_a_code(app: Flask, session: Session, settings: Settings, admin: Person) -> None:
    factor, totp = add_app(session, settings.secret_key, admin)
    factor.last_step = None
    session.commit()
    browser = Browser(app)
    answer = browser.post("/sign-in?next=/library", {"email": admin.email, "password": PASSWORD})
    assert answer.location == "/library"
    asked = browser.get("/library")
    assert asked.location == "/account/prove?next=/library"
    wrong = browser.post(asked.location, {"code": "12 34"})
    assert wrong.status_code == 400
    assert "<title>Error: " in wrong.text
    code = totp.at(clock.now())
    assert browser.post(asked.location, {"code": code}).location == "/library"
    assert browser.get("/library").status_code == 200
    other = after_password(app, admin)
    assert other.post("/account/prove", {"code": code}).status_code == 400, "the code was used in another session"
    assert other.get("/library").status_code == 302


def test_setting_the_first_one_up(app: Flask, session: Session, admin: Person) -> None:
    browser = after_password(app, admin)
    begun = browser.post("/account/second-factors/app", {"name": "my phone"})
    page = browser.get(begun.location).text
    secret = re.search(r'<code id="secret">([A-Z2-7 ]+)</code>', page)
    assert secret
    assert 'src="data:image/svg+xml' in page
    totp = pyotp.TOTP(secret[1].replace(" ", ""))
    assert browser.post(begun.location, {"code": "0"}).status_code == 400
    done = browser.post(begun.location, {"code": totp.at(clock.now())})
    assert done.status_code == 200
    codes = re.findall(r"<li><code>([a-z2-7-]+)</code></li>", done.text)
    assert len(codes) == 10
    assert browser.get("/library").status_code == 200, "it has been shown in this session"
    assert browser.get(begun.location).status_code == 404, "the secret is never shown again"
    listed = browser.get("/account/second-factors").text
    assert "my phone" in listed
    assert "10 recovery codes left" in listed
    another = after_password(app, admin)
    used = another.post("/account/prove", {"code": codes[0]}, follow_redirects=True)
    assert "9 of them are left" in used.text


def test_one_who_has_one_cannot_add_another_unproven(
    app: Flask, session: Session, settings: Settings, admin: Person
) -> None:
    add_app(session, settings.secret_key, admin)
    browser = after_password(app, admin)
    browser.post("/account/second-factors/app", {"name": "a thief's phone"})
    assert session.scalar(select(func.count()).select_from(SecondFactor)) == 1


def age(session: Session, minutes: int) -> None:
    """Make all browser sessions older."""
    for row in session.scalars(select(WebSession)):
        row.created_at -= timedelta(minutes=minutes)
        if row.second_factor_at is not None:
            row.second_factor_at -= timedelta(minutes=minutes)
    session.commit()


def test_some_acts_ask_for_a_fresh_proof(app: Flask, session: Session, settings: Settings, admin: Person) -> None:
    factor, totp = add_app(session, settings.secret_key, admin)
    add_app(session, settings.secret_key, admin)
    factor.last_step = None
    session.commit()
    browser = Browser(app, admin)
    age(session, 9)
    assert browser.post("/account/second-factors/codes").status_code == 200
    age(session, 2)
    here = f"/account/second-factors/{factor.id}/remove"
    change = {"old_password": PASSWORD, "password": "four other random words"}
    for path, data in (
        (here, {}), ("/account/second-factors/codes", {}), ("/account/second-factors/app", {}),
        ("/account/tokens", {"name": "x", "scopes": "read", "days": "30"}), ("/account", change),
    ):  # fmt: skip
        asked = browser.post(path, data, headers={"Referer": "http://localhost/account/second-factors"})
        assert asked.location == "/account/prove?next=/account/second-factors", path
    assert session.scalar(select(func.count()).select_from(ApiToken)) == 0
    assert session.scalar(select(func.count()).select_from(SecondFactor)) == 2
    assert browser.get("/account/second-factors/passkey").location.startswith("/account/prove")
    assert browser.post("/account/prove", {"code": totp.at(clock.now())}).status_code == 302
    assert browser.post(here).location == "/account/second-factors"
    assert session.scalar(select(func.count()).select_from(SecondFactor)) == 1


def test_people_without_one_type_their_password_again(app: Flask, session: Session) -> None:
    person = World(session).person("v@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed(PASSWORD))
    session.commit()
    browser = after_password(app, person)
    assert browser.get("/library").status_code == 200, "it is optional for them"
    assert browser.get("/account/prove?next=/account").location == "/account", "they have just signed in"
    age(session, 11)
    assert browser.post("/account/second-factors/app").location.startswith("/account/prove")
    assert browser.post("/account/prove", {"password": "wrong"}).status_code == 400
    assert browser.post("/account/prove?next=//evil.example", {"password": PASSWORD}).location == "/"
    assert browser.post("/account/second-factors/app").location.startswith("/account/second-factors/app/")


def test_people_without_password_sign_in_again(app: Flask, session: Session) -> None:
    person = World(session).person("v@example.org", Role.VIEWER, "NEY")
    session.commit()
    browser = after_password(app, person)
    age(session, 11)
    page = browser.get("/account/prove")
    assert "sign in again" in page.text
    assert browser.post("/account/prove", {"password": ""}).status_code == 200
    assert browser.post("/account/second-factors/app").location.startswith("/account/prove")


def test_a_token_proves_itself_but_makes_no_factor(app: Flask, session: Session, admin: Person) -> None:
    secret = World(session).token(admin, "all")
    session.commit()
    client = app.test_client()
    bearer = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/recordings", headers=bearer).status_code == 200
    for path in ("/account/second-factors/app", "/account/second-factors/codes", "/account/tokens"):
        assert client.post(path, headers=bearer).status_code == 403, path
    assert client.post("/api/v1/passkeys/creation", headers=bearer).status_code == 403
    assert session.scalar(select(func.count()).select_from(SecondFactor)) == 0


def test_optional_leaves_it_to_people(settings: Settings, session: Session, admin: Person) -> None:
    app = create_app(replace(settings, second_factor="optional"))
    browser = after_password(app, admin)
    assert browser.get("/library").status_code == 200
    add_app(session, settings.secret_key, admin)
    assert browser.get("/library").location.startswith("/account/prove"), "who has one is asked for it"


def test_becoming_an_admin_asks_at_once(app: Flask, session: Session) -> None:
    world = World(session)
    person = world.person("v@example.org", Role.VIEWER, "NEY")
    session.commit()
    browser = after_password(app, person)
    assert browser.get("/library").status_code == 200
    world.role(person, Role.ADMIN, "NEY")
    session.commit()
    assert browser.get("/library").location.startswith("/account/prove")


def test_wrong_codes_make_wait(app: Flask, session: Session, settings: Settings, admin: Person) -> None:
    add_app(session, settings.secret_key, admin)
    browser = after_password(app, admin)
    answers = [browser.post("/account/prove", {"code": "abc"}).status_code for _ in range(6)]
    assert answers == [400] * 5 + [429]
    assert second_factors.has_any(session, admin.id)
