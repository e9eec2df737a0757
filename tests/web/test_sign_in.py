"""Signing in and out, as a browser does it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import db
from app.db.people import Role
from app.db.sign_in import WebSession
from app.domain import passwords, sign_in
from app.web import guard
from tests.support.routes import UNSAFE, path_of, routes
from tests.support.world import PASSWORD, Browser, World


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def post_sign_in(client: FlaskClient, email: str, password: str, target: str = "/sign-in"):
    token = token_of(client.get("/sign-in").text)
    return client.post(target, data={"csrf_token": token, "email": email, "password": password})


def member(world: World) -> str:
    person = world.person("someone@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed(PASSWORD))
    world.session.commit()
    return person.email


def test_first_admin_link_works_once(app: Flask) -> None:
    with app.app_context():
        secret = sign_in.first_admin_link(db.session())
        db.session.commit()
    client = app.test_client()
    page = client.get(f"/first-admin/{secret}").text
    form = {"csrf_token": token_of(page), "name": "First Admin", "email": "first@example.org"}
    refused = client.post(f"/first-admin/{secret}", data={**form, "password": "short"})
    assert refused.status_code == 400
    assert "There is a problem" in refused.text
    assert "<title>Error: " in refused.text
    done = client.post(f"/first-admin/{secret}", data={**form, "password": PASSWORD})
    assert done.status_code == 302
    assert "Set one up to go on" in client.get("/account", follow_redirects=True).text, "an admin needs a second factor"
    assert app.test_client().get(f"/first-admin/{secret}").status_code == 404
    with app.app_context():
        assert sign_in.first_admin_link(db.session()) is None


def test_sign_in_and_out_on_the_server(app: Flask, session: Session) -> None:
    email = member(World(session))
    client = app.test_client()
    answer = post_sign_in(client, email.upper(), PASSWORD, "/sign-in?next=/account")
    assert (answer.status_code, answer.location) == (302, "/account")
    cookie = client.get_cookie(app.session_interface.cookie)
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    page = client.get("/account").text
    assert client.post("/sign-out").status_code == 400, "signing out needs the form token"
    assert client.post("/sign-out", data={"csrf_token": token_of(page)}).status_code == 302
    client.set_cookie(app.session_interface.cookie, cookie.value)
    assert client.get("/account").location.startswith("/sign-in"), "a replayed cookie is worth nothing"


def test_wrong_unknown_and_suspended_look_alike(app: Flask, session: Session) -> None:
    world = World(session)
    email = member(world)
    gone = world.person("gone@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed(PASSWORD))
    gone.suspended_at = gone.created_at
    session.commit()
    pages = []
    for address, password in ((email, "not the password"), ("nobody@example.org", PASSWORD), (gone.email, PASSWORD)):
        answer = post_sign_in(app.test_client(), address, password)
        assert answer.status_code == 400
        pages.append(re.sub(r'value="[^"]*"', "", answer.text))
    pages = [re.sub(r'content="[^"]*"', "", page) for page in pages]
    assert pages[0] == pages[1] == pages[2]


def test_back_off_after_five_failures(app: Flask, session: Session) -> None:
    email = member(World(session))
    client = app.test_client()
    for _ in range(5):
        assert post_sign_in(client, email, "wrong password").status_code == 400
    blocked = post_sign_in(client, email, PASSWORD)
    assert blocked.status_code == 429
    assert "Too many tries" in blocked.text


def test_next_never_leaves_the_site(app: Flask, session: Session) -> None:
    email = member(World(session))
    for bad in (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aSet-Cookie:x",
    ):
        answer = post_sign_in(app.test_client(), email, PASSWORD, f"/sign-in?next={bad}")
        assert answer.status_code == 302
        assert answer.location.startswith("/")
        assert "evil" not in answer.location


def test_unsafe_requests_need_the_form_token(app: Flask, session: Session) -> None:
    world = World(session)
    person = world.person("p@example.org", Role.VIEWER, "NEY")
    session.commit()
    browser = Browser(app, person)
    asked = 0
    for rule, method in routes(app):
        declaration = guard.declaration_of(app.view_functions[rule.endpoint])
        if method not in UNSAFE or (declaration is not None and declaration.why_no_form_token):
            continue
        answer = browser.client.open(path_of(app, rule), method=method)
        assert answer.status_code == 400, f"{method} {rule} without a token answered {answer.status_code}"
        assert "no longer valid" in answer.text
        asked += 1
    assert asked > 10


def test_visitors_leave_no_row(app: Flask, session: Session) -> None:
    app.test_client().get("/sign-in")
    assert session.scalar(select(func.count()).select_from(WebSession)) == 0


def test_session_dies_with_suspension(app: Flask, session: Session) -> None:
    world = World(session)
    person = world.person("p@example.org", Role.VIEWER, "NEY")
    session.commit()
    browser = Browser(app, person)
    assert browser.get("/account").status_code == 200
    person.suspended_at = person.created_at
    session.commit()
    assert browser.get("/account").status_code == 302


def test_staying_signed_in_moves_the_end(app: Flask, session: Session) -> None:
    person = World(session).person("p@example.org", Role.VIEWER, "NEY")
    session.commit()
    browser = Browser(app, person)
    page = browser.get("/account").text
    shown = re.search(r'name="session-ends" content="([^"]+)"', page)
    assert shown
    row = session.scalars(select(WebSession)).one()
    row.seen_at -= timedelta(minutes=30)
    session.commit()
    answer = browser.send("POST", "/api/v1/session")
    assert answer.status_code == 200
    session.expire_all()
    row = session.scalars(select(WebSession)).one()
    idle = app.session_interface.idle
    ends = datetime.fromisoformat(answer.json["ends"])
    assert abs(ends - min(row.expires_at, row.seen_at + idle)) < timedelta(seconds=5)
    assert app.test_client().post("/api/v1/session").status_code in (400, 401)
